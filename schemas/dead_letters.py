"""A dead letter: a message that could not be understood, kept on the application's dead-letter topic.

Its key and value are the original bytes; why and whence is in its headers, so that nothing of the original is lost.

Promises: the original can be restored exactly, with its headers, from the dead letter alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.errors import InvalidValue

Headers = Sequence[tuple[str, bytes | None]]
_PREFIX = "kafold."


class DeadLetter(NamedTuple):
    """A message that could not be understood. `error` is the error's type, `reason` is for people."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    error: str
    reason: str

    def to_headers(self) -> list[tuple[str, bytes | None]]:
        """Return the headers of the dead-letter record: the original's, then ours."""
        ours = {name: str(getattr(self, name)) for name in _OURS}
        # A reason may quote what is no text; the original bytes are kept whole beside it.
        return [
            *self.headers,
            *((_PREFIX + name, text.encode(errors="backslashreplace")) for name, text in ours.items()),
        ]

    @classmethod
    def from_record(cls, key: bytes | None, value: bytes | None, headers: Headers | None) -> "DeadLetter":
        """Read a dead-letter record back. Our headers are the last ones, even if the original was a dead letter itself.

        Raises:
            InvalidValue: it is no dead letter.
        """
        split = len(headers or ()) - len(_OURS)
        theirs, ours = list(headers or ())[: max(split, 0)], list(headers or ())[max(split, 0) :]
        if [name for name, _ in ours] != [_PREFIX + name for name in _OURS]:
            raise InvalidValue("the record is no dead letter: the headers that say why and whence are missing")
        try:
            topic, partition, offset, timestamp_ms, error, reason = ((data or b"").decode() for _, data in ours)
            return cls(topic, int(partition), int(offset), int(timestamp_ms), key, value, theirs, error, reason)
        except ValueError as error:
            raise InvalidValue(f"the record is no dead letter: {error}") from error


_OURS = ("topic", "partition", "offset", "timestamp_ms", "error", "reason")
