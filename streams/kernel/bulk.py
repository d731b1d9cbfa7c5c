"""Bulk folding: what records do to rows, many thousands at a time, with the rows in memory.

The same as `streams/kernel/folding.py` does to a batch, made for speed. Where all rows are in memory, records are
decoded and folded one after the other. Where they are not, it takes two passes: **decoding** turns records into steps
(and passes over what the projection does not fold by the first five bytes), **folding** lets the steps act on the rows,
and in between the caller loads those that are `missing`. So it does with records of which one cannot be taken.

Promises: pure; rows equal those of `fold`, event for event; where an event cannot be taken, the rows are as they were
before it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias, cast

from schemas.errors import DecodingError
from schemas.messages import Event
from schemas.metadata import EventMetadata
from schemas.wire import HEADER_BYTES
from streams.kernel.folding import Envelope, ParkedKeys, Problem
from streams.kernel.projection import Projection
from streams.kernel.row_per_event import RowPerEvent

# No metadata where nobody looks at it.
Decoded: TypeAlias = tuple[Event, EventMetadata | None]
# Of a record's first five bytes (None: it has none): its type, and the function that decodes records that begin so.
Resolve = Callable[[Any], tuple[type[Event], Callable[[bytes], Decoded]]]
# The same, with a row's values, in order, in the event's place.
ResolveRow = Callable[[Any], tuple[type[Event], Callable[[bytes], tuple[tuple[Any, ...], None]]]]
# Row key, event, metadata, record; event None: the error says why there is none.
BulkStep: TypeAlias = tuple[Any, Event | None, EventMetadata | None, Any, Exception | None]


class Refusal(NamedTuple):
    """An event that cannot be taken, and the row that it met (None: there was none, or its key is not known)."""

    problem: Problem
    row: Any


class _Decoders(dict[Any, Callable[[bytes], Decoded] | None]):
    """By the first five bytes, what decodes records that begin so; None: they are passed over.

    What is not in it yet is resolved, which raises a DecodingError where nothing can decode it.
    """

    def __init__(self, resolve: Resolve, event_types: Collection[type[Event]]) -> None:
        self._resolve, self._event_types = resolve, event_types

    def __missing__(self, header: bytes | None) -> Callable[[bytes], Decoded] | None:
        kind, decode = self._resolve(header)
        self[header] = decode if kind in self._event_types else None
        return self[header]


class BulkFold:
    """The rows in memory. `rows`: by key, the row, or None where there is known to be none.

    `needs_rows`: whether a row can only be folded from the one before it.
    """

    needs_rows = True

    def __init__(self, projection: Projection[Any, Any], resolve: Mapping[str, Resolve]) -> None:
        """`resolve`: by topic."""
        self.rows: dict[Any, Any] = {}
        self._added: set[Any] = set()
        self._changed: set[Any] = set()  # what was added only once is not among them
        self.parked = ParkedKeys()
        self._row_type: type[Any] = projection.row
        self._new_row = projection.new_row
        self._project: Callable[[Any, Any, Any], Any] = projection.project
        self._decoders = {topic: _Decoders(each, projection.event_types) for topic, each in resolve.items()}
        self._key_of = _key_of(projection)

    def take(self, topic: str, records: Sequence[Any], on_refusal: Callable[[Refusal], None]) -> None:
        """Decode and fold, where every row that there is is in memory: what `decode` and `fold` do, in one pass."""
        done = 0 if self.parked else self.straight(topic, records)
        if done < len(records):
            self.fold(self.decode(topic, records[done:]), on_refusal)

    def straight(self, topic: str, records: Sequence[Any]) -> int:
        """Decode and fold the records up to one with which something is wrong; return how many they are."""
        decoders, rows, key_of = self._decoders[topic], self.rows, self._key_of
        change, add, find, changed = self._changed.add, self._added.add, rows.get, self._changed
        new_row, project, row_type = self._new_row, self._project, self._row_type
        record = None
        try:
            for record in records:
                data = record.value()
                decode = decoders[data[:HEADER_BYTES]]
                if decode is None:
                    continue
                event, meta = decode(data)
                key = key_of(event)
                before = find(key)
                after = project(new_row(key) if before is None else before, event, meta)
                if type(after) is not row_type and after is not None:
                    return records.index(record)
                if after is not before:
                    rows[key] = after
                    # What was deleted since the last save is still there for whoever saves.
                    if before is None and key not in changed:
                        add(key)
                    else:
                        change(key)
        except Exception:  # noqa: BLE001  (the other way says what is wrong with it)
            return records.index(record)
        return len(records)

    def decode(self, topic: str, records: Iterable[Any]) -> list[BulkStep]:
        """Return the steps of the records (with `value()`), in order, without those that the projection passes over."""
        steps: list[BulkStep] = []
        add, decoders, key_of = steps.append, self._decoders[topic], self._key_of
        for record in records:
            data = record.value()
            try:
                decode = decoders[None if data is None else data[:HEADER_BYTES]]
            except DecodingError as error:
                add((None, None, None, record, error))
                continue
            if decode is None:
                continue
            try:
                event, meta = decode(data)
                add((key_of(event), event, meta, record, None))
            except Exception as error:  # noqa: BLE001  (bad bytes, or whatever the application's key raises)
                add((None, None, None, record, error))
        return steps

    def missing(self, steps: Iterable[BulkStep]) -> set[Any]:
        """Return the keys of which it is not known whether there is a row."""
        rows = self.rows
        return {step[0] for step in steps if step[0] not in rows and step[4] is None}

    def fold(self, steps: Sequence[BulkStep], on_refusal: Callable[[Refusal], None]) -> None:
        """Let the steps act on the rows. What cannot be taken parks its key, and is told with what waits behind it."""
        rows, changed, parked = self.rows, self._changed, self.parked
        change, add, find = changed.add, self._added.add, rows.get
        new_row, project, row_type = self._new_row, self._project, self._row_type
        waiting = bool(parked)
        for key, event, meta, record, error in steps:
            if error is not None or waiting:
                waiting = True
                if self._waits(key, record, error, on_refusal):
                    continue
            before = find(key)
            try:
                after = project(new_row(key) if before is None else before, event, meta)
                if type(after) is not row_type and after is not None:
                    raise TypeError(f"project returned a {type(after).__name__}, not a {row_type.__name__} or None")  # noqa: TRY301
            except Exception as raised:  # noqa: BLE001  (whatever the application's function raises parks the key)
                parked.rows.add(key)
                waiting = True
                on_refusal(Refusal(Problem(key, False, _envelope(record, event, meta), raised), before))
                continue
            if after is not before:
                rows[key] = after
                # What was deleted since the last save is still there for whoever saves.
                if before is None and key not in changed:
                    add(key)
                else:
                    change(key)

    def take_changed(self) -> tuple[dict[Any, Any], set[Any]]:
        """Return the changed rows by key, None where one was deleted, and which of the keys are new; begin anew."""
        rows, added = self.rows, self._added
        taken = {key: rows[key] for key in chain(added, self._changed)}
        self._changed, self._added = set(), set()
        return taken, added

    def forget(self, rows_max: int, recent: Iterable[Any]) -> None:
        """Keep at most so many rows, the `recent` ones. Everything must be saved."""
        kept = list(recent)[-rows_max:] if rows_max else []
        self.rows = {key: self.rows[key] for key in kept}

    def _waits(self, key: Any, record: Any, error: Exception | None, on_refusal: Callable[[Refusal], None]) -> bool:
        """Return whether the step has to wait, and park its message's key if its row's is not known."""
        message_key, parked = record.key() or b"", self.parked
        if message_key in parked.messages or error is not None:
            cause = None if message_key in parked.messages else error
            parked.messages.add(message_key)
            on_refusal(Refusal(Problem(message_key, True, _envelope(record, None, None), cause), None))
            return True
        if key in parked.rows:
            on_refusal(Refusal(Problem(key, False, _envelope(record, None, None), None), None))
            return True
        return False


class BulkRows(BulkFold):
    """The same for a row per event, whose `resolve` decodes a row's values, in order, instead of an event.

    The last row of a key stays. No row needs the one before it, so that only those are in `rows`, as tuples, that have
    not been taken; which of them are new is not known, and all of them are said to be.
    """

    needs_rows = False

    def __init__(self, projection: RowPerEvent[Any, Any], resolve: Mapping[str, ResolveRow]) -> None:
        """`resolve`: by topic."""
        super().__init__(projection, cast("Mapping[str, Resolve]", resolve))
        self._key_of, self._row_type = itemgetter(0), tuple
        self._project = lambda _before, row, _meta: row

    def straight(self, topic: str, records: Sequence[Any]) -> int:
        """Keep the rows of all records, and return how many records there are; or of none, and return 0."""
        try:
            rows = list(self._rows(topic, records))
        except Exception:  # noqa: BLE001  (the other way says what is wrong with which record)
            return 0
        self.rows.update(zip(map(self._key_of, rows), rows, strict=True))
        return len(records)

    def take_changed(self) -> tuple[dict[Any, Any], set[Any]]:
        """Return the rows since the last time by key, and their keys."""
        taken, self.rows = self.rows, {}
        return taken, set(taken)

    def forget(self, rows_max: int, recent: Iterable[Any]) -> None:
        """Keep none, as ever."""

    def _rows(self, topic: str, records: Iterable[Any]) -> Iterator[Any]:
        decoders = self._decoders[topic]
        for record in records:
            data = record.value()
            decode = decoders[data[:HEADER_BYTES]]
            if decode is not None:
                yield decode(data)[0]


def _envelope(record: Any, event: Event | None, meta: EventMetadata | None) -> Envelope:
    return Envelope(record.offset(), record.key() or b"", record.value() or b"", event, meta)


def _key_of(projection: Projection[Any, Any]) -> Callable[[Any], Any]:
    """Return the quickest function that gives what `projection.key_of` gives."""
    if projection.key is not None:
        return projection.key
    fields = {each.aggregate_id_field for each in projection.event_types}
    plain = all(each.model_fields[each.aggregate_id_field].annotation is str for each in projection.event_types)
    if len(fields) == 1 and plain:
        [name] = fields
        return lambda event: event.__dict__[name]
    return projection.key_of
