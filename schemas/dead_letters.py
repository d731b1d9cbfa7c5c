"""A dead letter: a message that could not be understood, kept on the application's dead-letter topic.

Its key and value are the original bytes; why and whence is in its headers, so that nothing of the original is lost.

Promises: the original can be restored exactly, with its headers, from the dead letter alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

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
        return [*self.headers, *((_PREFIX + name, text.encode()) for name, text in ours.items())]

    @classmethod
    def from_record(cls, key: bytes | None, value: bytes | None, headers: Headers) -> "DeadLetter":
        """Read a dead-letter record back. Our headers are the last of their names."""
        ours = {
            name.removeprefix(_PREFIX): (data or b"").decode() for name, data in headers if name.startswith(_PREFIX)
        }
        theirs = list(headers)[: -len(_OURS)]
        return cls(
            ours["topic"], int(ours["partition"]), int(ours["offset"]), int(ours["timestamp_ms"]),
            key, value, theirs, ours["error"], ours["reason"],
        )  # fmt: skip


_OURS = ("topic", "partition", "offset", "timestamp_ms", "error", "reason")
