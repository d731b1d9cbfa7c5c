"""Folding: what a batch of a partition's events does to a projection's rows.

An **envelope** is one record of an events topic, decoded or found undecodable. A **step** is one envelope with the key
of the row that it acts on. A key is **parked** when an event that it needs cannot be taken: `project` raised, or the
event cannot be decoded (then the message's key is parked, since no row's is known). Later events of the key wait behind
it.

Promises: pure; a parked key's row stays as it was before the event that could not be taken, and every other key goes
on; a batch that was folded in pieces gives the same rows as one that was folded whole.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from schemas.errors import DecodingError
from schemas.messages import Event
from schemas.metadata import EventMetadata
from streams.kernel.errors import LogBroken
from streams.kernel.projection import Row

RowT = TypeVar("RowT", bound=Row)
Decode = Callable[[bytes], tuple[Event, EventMetadata]]


class Foldable(Protocol[RowT]):
    """What has rows by key that events change: a projection, or a process manager with its states."""

    @property
    def row(self) -> type[RowT]:
        """The row model."""
        ...

    @property
    def event_types(self) -> frozenset[type[Any]]:
        """What it takes; everything else passes by."""
        ...

    def key_of(self, event: Any) -> Any:
        """Return the key of the row that the event acts on."""
        ...

    def new_row(self, key: Any) -> RowT:
        """Return the row before its first event."""
        ...

    @property
    def project(self) -> Callable[[RowT, Any, Any], RowT | None]:
        """The function from a row and an event to the row after it."""
        ...


class Envelope(NamedTuple):
    """One record of an events topic. `event` and `meta` are None when it could not be decoded; `error` says why."""

    offset: int
    key: bytes
    data: bytes
    event: Event | None
    meta: EventMetadata | None
    error: Exception | None = None


class Problem(NamedTuple):
    """Why an envelope waits; `error` None: only behind another. `by_message`: the key is the message's."""

    key: Any
    by_message: bool
    envelope: Envelope
    error: Exception | None


# A step is (row key, envelope, error); error: the key could not be computed. A plain tuple, since one is made for each
# event and projection.
Step: TypeAlias = tuple[Any, Envelope, Exception | None]


@dataclass(slots=True)
class ParkedKeys:
    """The keys that later events must wait behind: of rows, and of messages."""

    rows: set[Any] = field(default_factory=set)
    messages: set[bytes] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.rows or self.messages)

    def copy(self) -> "ParkedKeys":
        """Return a copy that can be added to."""
        return ParkedKeys(set(self.rows), set(self.messages))


class Folded(NamedTuple):
    """`rows`: by key, each row that changed, None where it was deleted. `problems`: what has to be parked, in order."""

    rows: dict[Any, Any]
    problems: list[Problem]


def envelopes(decode: Decode, records: Iterable[Any]) -> list[Envelope]:
    """Return the records (anything with offset, key and value) decoded. Nothing is raised for bad bytes."""
    new, made = tuple.__new__, []  # half the time of calling the class
    for record in records:
        offset, key, data = record.offset, record.key or b"", record.value or b""
        try:
            event, meta = decode(data)
        except DecodingError as error:
            made.append(Envelope(offset, key, data, None, None, error))
        else:
            made.append(new(Envelope, (offset, key, data, event, meta, None)))
    return made


def plan(projection: Foldable[Any], batch: Iterable[Envelope]) -> list[Step]:
    """Return the steps of a projection, in order: the events of its types, and those that it may not pass over."""
    types, key_of = projection.event_types, projection.key_of
    steps: list[Step] = []
    for envelope in batch:
        event = envelope[3]
        if event is None:
            steps.append((None, envelope, envelope.error))
        elif type(event) in types:
            try:
                steps.append((key_of(event), envelope, None))
            except Exception as error:  # noqa: BLE001  (whatever the application's function raises parks the message)
                steps.append((None, envelope, error))
    return steps


def first_versions(steps: Iterable[Step]) -> dict[Any, int]:
    """Return the keys of the rows that the steps act on, each with the version of its first event."""
    firsts: dict[Any, int] = {}
    for key, envelope, error in steps:
        if error is None and key not in firsts:
            meta = envelope[4]
            firsts[key] = 0 if meta is None else meta.version
    return firsts


def fold(
    projection: Foldable[RowT], steps: Sequence[Step], known: Callable[[Any], RowT | None], parked: ParkedKeys
) -> Folded:
    """Return what the steps do. `known` gives the row before the batch; keys that get parked are added to `parked`."""
    rows: dict[Any, RowT | None] = {}
    problems: list[Problem] = []
    new_row, project, row_type = projection.new_row, projection.project, projection.row
    for step in steps:
        key, envelope, error = step
        if error is not None or parked:
            problem = _problem(step, parked)
            if problem is not None:
                problems.append(problem)
                continue
        before = rows[key] if key in rows else known(key)
        try:
            after = project(new_row(key) if before is None else before, envelope.event, envelope.meta)
            if after is not None and type(after) is not row_type:
                raise TypeError(f"project returned a {type(after).__name__}, not a {row_type.__name__} or None")  # noqa: TRY301
        except Exception as raised:  # noqa: BLE001  (whatever the application's function raises parks the key)
            parked.rows.add(key)
            problems.append(Problem(key, False, envelope, raised))
            continue
        if after is not before:
            rows[key] = after
    return Folded(rows, problems)


def _problem(step: Step, parked: ParkedKeys) -> Problem | None:
    """Return why the step has to wait, and park its message's key if its row's is not known."""
    key, envelope, error = step
    if envelope.key in parked.messages or error is not None:
        waits = envelope.key in parked.messages
        parked.messages.add(envelope.key)
        return Problem(envelope.key, True, envelope, None if waits else error)
    if key in parked.rows:
        return Problem(key, False, envelope, None)
    return None


def next_versions(heads: Mapping[bytes, int], batch: Iterable[Envelope]) -> dict[bytes, int]:
    """Return each aggregate's version after the batch. `heads` gives the version before it, by message key.

    Raises:
        LogBroken: a version is missing, or there twice.
    """
    after: dict[bytes, int] = {}
    for envelope in batch:
        if envelope.meta is None:
            continue
        key, version = envelope.key, envelope.meta.version
        before = after[key] if key in after else heads.get(key, 0)
        if version != before + 1:
            raise LogBroken(
                f"aggregate {key.decode(errors='replace')} is at version {before}, and offset {envelope.offset} holds "
                f"version {version} (event {envelope.meta.event_id}): the log is broken; first find out why"
            )
        after[key] = version
    return after
