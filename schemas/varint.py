"""Avro's whole numbers: zigzag, then seven bits a byte, low bits first.

Promises: the bytes are those of any Avro library; a number beyond 64 bits is refused, never cut.
"""

from functools import lru_cache

from schemas.errors import InvalidValue

_BITS = 64
LONG_MAX = 2 ** (_BITS - 1) - 1
LONG_MIN = -(2 ** (_BITS - 1))
_SHIFT_MAX = 63
# Where the bits of the fifth to the tenth byte go; a 64-bit number has no more bytes.
_SHIFTS = range(28, _SHIFT_MAX + 1, 7)


def long_bytes(number: int) -> bytes:
    """Return a number as Avro writes it.

    Raises:
        OverflowError: it is beyond 64 bits.
        TypeError: it is not whole.
    """
    if not LONG_MIN <= number <= LONG_MAX:
        raise OverflowError(f"{number} does not fit 64 bits")
    rest = (number << 1) ^ (number >> _SHIFT_MAX)
    # The common sizes are written out: a loop costs two to three times as much. Offsets and amounts of money have three
    # or four bytes, times in milliseconds six.
    if rest < 1 << 7:
        return bytes((rest,))
    if rest < 1 << 14:
        return bytes((rest & 127 | 128, rest >> 7))
    if rest < 1 << 21:
        return bytes((rest & 127 | 128, rest >> 7 & 127 | 128, rest >> 14))
    if rest < 1 << 28:
        return bytes((rest & 127 | 128, rest >> 7 & 127 | 128, rest >> 14 & 127 | 128, rest >> 21))
    if 1 << 35 <= rest < 1 << 42:
        return bytes(
            (
                rest & 127 | 128,
                rest >> 7 & 127 | 128,
                rest >> 14 & 127 | 128,
                rest >> 21 & 127 | 128,
                rest >> 28 & 127 | 128,
                rest >> 35,
            )
        )
    made = bytearray()
    while rest > 127:
        made.append(rest & 127 | 128)
        rest >>= 7
    made.append(rest)
    return bytes(made)


time_bytes = lru_cache(maxsize=1024)(long_bytes)
"""`long_bytes` for times: messages that are written together share one, and finding it takes a tenth of making it."""


def long_tail(data: bytes, at: int, first: int) -> tuple[int, int]:
    """Read the rest of a number whose first byte was more than 127; return it, still zigzag, and where it ends.

    Raises:
        IndexError: the bytes end before the number does.
        InvalidValue: it is beyond 64 bits.
    """
    # The common sizes are written out, as in `long_bytes`; a loop takes a third more.
    second = data[at]
    if second < 128:
        return first & 127 | second << 7, at + 1
    third = data[at + 1]
    if third < 128:
        return first & 127 | (second & 127) << 7 | third << 14, at + 2
    raw = first & 127 | (second & 127) << 7 | (third & 127) << 14
    fourth = data[at + 2]
    if fourth < 128:
        return raw | fourth << 21, at + 3
    raw |= (fourth & 127) << 21
    fifth = data[at + 3]
    if fifth < 128:
        return raw | fifth << 28, at + 4
    sixth = data[at + 4]
    if sixth < 128:
        return raw | (fifth & 127) << 28 | sixth << 35, at + 5
    return _long_tail(data, at + 3, raw)


def _long_tail(data: bytes, at: int, raw: int) -> tuple[int, int]:
    for shift in _SHIFTS:
        byte = data[at]
        at += 1
        if byte < 128:
            raw |= byte << shift
            if raw >> _BITS:
                break
            return raw, at
        raw |= (byte & 127) << shift
    raise InvalidValue("a number has more than 64 bits")


def length_tail(data: bytes, at: int, first: int) -> tuple[int, int]:
    """Read the rest of a length whose first byte was odd or more than 127; return it, still zigzag, and where it ends.

    Raises:
        InvalidValue: it is negative.
    """
    raw, at = long_tail(data, at, first) if first > 127 else (first, at)
    if raw & 1:
        raise InvalidValue("a length is negative")
    return raw, at


SMALL_BELOW = 4096
SMALL = tuple(long_bytes(number) for number in range(SMALL_BELOW))
"""The bytes of the small numbers, which most lengths and counts are."""
