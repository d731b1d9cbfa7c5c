"""Upcasters: pure functions from one version's fields to the next one's, for what Avro's rules alone cannot bridge.

An **upcaster** takes the fields of one version as a dict (days, times, UUIDs and decimals as Python's own, enums as
texts, nested records as dicts) and returns those of the version that it leads to. Where no upcaster leads on, Avro's
rules bridge the versions: new fields take their defaults, removed ones are dropped.

Promises: what was once written decodes into today's class; that every version of the history has its way is checked
when the application starts (`Evolution.check`): no gap, no cycle, no two ways.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.avro_foreign import foreign_record
from schemas.compatibility import Mode, unreadable
from schemas.conforming import conform
from schemas.decoder import message_decoder
from schemas.errors import DecodingError, DefinitionError, UnreadableVersion, UpcasterFailed
from schemas.history import History, Schema, likeness, record_of
from schemas.metadata import METADATA_FIELD
from schemas.resolution import resolve
from schemas.shape import RecordShape

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Upcaster:
    """`upcast` leads from a version of a record (`account.PurchaseRecorded`) to the next one, or to `to`.

    Where the meaning of a field changes and its type does not (a unit, for example), say so in the field's description:
    versions are told apart by their schemas, and those have nothing else that differs.
    """

    record: str
    version: int
    upcast: Callable[[Fields], Fields]
    to: tuple[str, int] | None = None

    @property
    def source(self) -> tuple[str, int]:
        """The version that it takes."""
        return self.record, self.version

    @property
    def target(self) -> tuple[str, int]:
        """The version that it makes."""
        return self.to or (self.record, self.version + 1)


class Way(NamedTuple):
    """How to get from a schema to today's record: the upcasters in order, and the record they end at."""

    upcasters: tuple[Upcaster, ...]
    record: str


@dataclass(frozen=True)
class Evolution:
    """An application's history, its upcasters, and the mode that new versions must keep (`modes`: by record)."""

    history: History = field(default_factory=History)
    upcasters: Sequence[Upcaster] = ()
    mode: Mode = Mode.BACKWARD_TRANSITIVE
    modes: Mapping[str, Mode] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse upcasters that do not form chains."""
        sources = [each.source for each in self.upcasters]
        for record, version in sources:
            if sources.count((record, version)) > 1:
                raise DefinitionError(f"two upcasters lead away from {record} version {version}: keep one")
        for each in self.upcasters:
            for record, version in (each.source, each.target):
                self.history.schema(record, version)
            self._chain(each)

    def _chain(self, first: Upcaster) -> tuple[Upcaster, ...]:
        chain = [first]
        while (following := self._next(*chain[-1].target)) is not None:
            if following in chain:
                record, version = following.source
                raise DefinitionError(f"the upcasters lead in a circle, back to {record} version {version}")
            chain.append(following)
        return tuple(chain)

    def _next(self, record: str, version: int) -> Upcaster | None:
        """Return the next upcaster on the line: Avro's rules bridge the versions before it."""
        ahead = [each for each in self.upcasters if each.record == record and each.version >= version]
        return min(ahead, key=lambda each: each.version, default=None)

    def upcast_versions(self, record: str) -> frozenset[int]:
        """Return the versions of a record that an upcaster, sooner or later, leads away from."""
        last = max((each.version for each in self.upcasters if each.record == record), default=0)
        return frozenset(range(1, last + 1))

    def mode_of(self, record: str) -> Mode:
        """Return the mode that a record's new versions must keep."""
        return self.modes.get(record, self.mode)

    def way(self, schema: Schema) -> Way:
        """Return how to get from what was written with the schema to a record of today.

        Raises:
            UnreadableVersion: an upcaster lies ahead, and the schema is of none of the versions before it.
        """
        record = record_of(schema)
        number = self.history.number_of(record, schema)
        if number is None:
            number = self._like(record, schema)
        following = self._next(record, number)
        if following is None:
            return Way((), record)
        chain = self._chain(following)
        return Way(chain, chain[-1].target[0])

    def _like(self, record: str, schema: Schema) -> int:
        """Take a schema that others registered for the newest version that can read it."""
        versions = list(enumerate(self.history.versions.get(record, ()), 1))
        for number, version in reversed(versions):
            if not unreadable(schema, version):
                return number
        if self._next(record, 1) is not None:
            raise UnreadableVersion(f"{record}: the schema is of no version in the history, and none can read it")
        return len(versions) + 1

    def decoder(
        self, written: Schema, way: Way, today: RecordShape, told: str = ""
    ) -> Callable[[bytes], tuple[Any, Any]]:
        """Return the function (header and body) → (message, metadata) that goes the way.

        Raises:
            UnreadableVersion: Avro's rules do not bridge a part of the way.
        """
        first = way.upcasters[0]
        start = self._version_shape(*first.source, today.fields[METADATA_FIELD])
        shape, problems = resolve(written, start)
        if problems or not isinstance(shape, RecordShape):
            raise UnreadableVersion(f"{record_of(written)} as version {first.version}: {'; '.join(problems)}")
        read = message_decoder(shape, METADATA_FIELD, told=told)
        following = (*way.upcasters[1:], None)
        steps = [self._step(each, after) for each, after in zip(way.upcasters, following, strict=True)]
        own = {name: inner for name, inner in today.fields.items() if name != METADATA_FIELD}
        end = RecordShape(today.schema, model=today.model, fields=own, defaults=today.defaults)

        def decode(data: bytes) -> tuple[Any, Any]:
            fields, metadata = read(data)
            for step in steps:
                fields = step(fields)
            return conform(end, fields, strict=False), metadata

        return decode

    def _step(self, upcaster: Upcaster, following: Upcaster | None) -> Callable[[Fields], Fields]:
        made = self._version_shape(*upcaster.target)
        wanted = self._version_shape(*following.source) if following else made
        told = f"the upcaster from {upcaster.record} version {upcaster.version}"

        def step(fields: Fields) -> Fields:
            try:
                result: Fields = conform(made, upcaster.upcast(fields), strict=True)
            except DecodingError as error:
                raise UpcasterFailed(f"{told} does not return the fields of its target: {error}") from error
            except Exception as error:  # the application's function may raise anything
                raise UpcasterFailed(f"{told} raised {type(error).__name__}: {error}") from error
            return result if wanted is made else conform(wanted, result, strict=False)

        return step

    def _version_shape(self, record: str, number: int, metadata: Any = None) -> RecordShape:
        """Return the shape of a version's own fields, and of its metadata if that is given."""
        version = foreign_record(self.history.schema(record, number))
        fields = {name: shape for name, shape in version.fields.items() if name != METADATA_FIELD}
        if metadata is not None:
            fields = {METADATA_FIELD: metadata, **fields}
        return RecordShape(version.schema, model=dict, fields=fields, defaults=version.defaults)

    def check(self, today: Mapping[str, RecordShape]) -> Sequence[str]:
        """Return the versions from which nothing leads to today's records (by their name in the history), and why."""
        problems = []
        for record, versions in self.history.versions.items():
            for number, schema in enumerate(versions, 1):
                problems += [f"{record} version {number}: {each}" for each in self._lost(schema, today)]
        return problems

    def _lost(self, schema: Schema, today: Mapping[str, RecordShape]) -> Sequence[str]:
        way = self.way(schema)
        reader = today.get(way.record)
        if reader is None:
            return [f"there is no {way.record} any more: bring the class back, or write an upcaster to its successor"]
        if not way.upcasters:
            return resolve(schema, reader).problems
        legs = [(schema, self.history.schema(*way.upcasters[0].source))]
        for one, two in zip(way.upcasters, way.upcasters[1:], strict=False):
            legs.append((self.history.schema(*one.target), self.history.schema(*two.source)))
        gaps = [each for old, new in legs if likeness(old) != likeness(new) for each in unreadable(old, new)]
        return [*gaps, *resolve(self.history.schema(*way.upcasters[-1].target), reader).problems]
