"""A source: one events topic with everything that folds it, the journal and the projections.

Promises: readers come in the one order in which everyone takes locks: rows with one owner first, since nobody waits for
those, then shared rows by projection name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.registry import SchemaIds
from streams.kernel.application import AnyAggregate, AnyProjection, Application
from streams.kernel.folding import Decode
from streams.postgres.checkpoints import JOURNAL, Reader
from streams.postgres.parking import code_of
from streams.postgres.tables import Table, table_of


@dataclass(frozen=True, slots=True)
class TableReader:
    """A reader with a table: its name in the books, and the fingerprint of its code."""

    reader: Reader
    table: Table
    code: str


@dataclass(frozen=True, slots=True)
class RowReader(TableReader):
    """A projection as a reader."""

    projection: AnyProjection


@dataclass(frozen=True, slots=True)
class Source:
    """One events topic."""

    application: str
    topic: str
    decode: Decode
    projections: Sequence[RowReader]
    journaled: bool = True

    @property
    def readers(self) -> list[Reader]:
        """Who has a checkpoint on this topic, once it is folded."""
        own = [each.reader for each in self.projections]
        return [JOURNAL, *own] if self.journaled else own


def sources(application: Application, ids: SchemaIds, only: Reader | None = None) -> dict[str, Source]:
    """Return the application's sources by topic. `only`: those of one version of a projection, without the journal."""
    made = [_source(application, aggregate, ids, only) for aggregate in application.aggregates]
    return {source.topic: source for source in made if source.journaled or source.projections}


def _source(application: Application, aggregate: AnyAggregate, ids: SchemaIds, only: Reader | None) -> Source:
    projections = [
        each
        for each in application.projections
        if aggregate in each.of and only in (None, Reader(each.name, each.version))
    ]
    projections.sort(key=lambda each: (not each.on_aggregate_key, each.name, each.version))
    return Source(
        application.name,
        application.topics(aggregate).events,
        application.event_codec(aggregate, ids).decode,
        [
            RowReader(Reader(each.name, each.version), table_of(application.name, each), code_of(each.project), each)
            for each in projections
        ],
        journaled=only is None,
    )
