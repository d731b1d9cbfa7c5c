"""A dead letter: a message that could not be understood, kept on the application's dead-letter topic.

Its key and value are the original bytes; why and whence is in its headers, so that nothing of the original is lost.
That a letter's original was sent again is a **note**, a record without a value behind the letter, in its partition.

Promises: the original can be restored exactly, with its headers, from the dead letter alone; sent again, it has the
command id that it had.
"""

from typing import NamedTuple

from schemas.errors import InvalidValue
from schemas.metadata import ID_HEADER, Headers, implied_id

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

    @property
    def origin(self) -> str:
        """Where the original lies, as a text."""
        return f"{self.topic}-{self.partition}-{self.offset}"

    def again(self) -> Headers:
        """Return the headers of the original when it is sent again: its own, and the id that it has without an own."""
        command_id = implied_id(self.topic, self.partition, self.offset, self.headers)
        theirs = [each for each in self.headers if each[0] != ID_HEADER]
        return [*theirs, (ID_HEADER, command_id.encode())]

    def note(self) -> Headers:
        """Return the headers of the note that the original was sent again."""
        return [(_NOTE, self.origin.encode())]

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


def noted_origin(headers: Headers | None) -> str | None:
    """Return the origin of the letter that a note is about; None: the record is no note."""
    match list(headers or ()):
        case [(name, bytes(origin))] if name == _NOTE:
            return origin.decode(errors="replace")
        case _:
            return None


_NOTE = _PREFIX + "sent-again"
_OURS = ("topic", "partition", "offset", "timestamp_ms", "error", "reason")
