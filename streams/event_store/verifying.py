"""Verifying: the journal compared with its topic, event by event.

Theory of operation. The journal has no index by partition and offset, and the live path shall not pay for one; to sort
it would need its size again in temporary files. So each side is read once, in the order in which it lies, and tallied
(`streams/event_store/comparing.py`). Only a stretch whose tallies differ is read again, in order, to name the event.

The two are compared up to where the journal's checkpoint is. What the topic has after it is merely not there yet: by
so many events the journal is **behind**. What is parked is known to be missing.

Promises: nothing is changed, memory does not grow with the log (three numbers for 10,000 offsets), and the first
difference is named.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from psycopg import sql

from schemas.errors import InvalidPosition
from schemas.registry import SchemaIds
from streams.event_store.comparing import (
    Difference,
    Entry,
    Place,
    Stretch,
    Tally,
    first_difference,
    offsets_of,
)
from streams.event_store.topic import EventsTopic
from streams.kafka.config import Kafka
from streams.kafka.topics import topic_ids
from streams.kernel.application import AnyAggregate, Application
from streams.postgres import journal
from streams.postgres.checkpoints import JOURNAL
from streams.postgres.connection import Connection, connect

OnProgress = Callable[[int, int], None]

PROGRESS_EVENTS = 5_000
ROWS = 5_000

_CHECKPOINTS = """
SELECT partition, next, topic_id FROM kafold.checkpoints
WHERE application = %s AND projection = %s AND version = %s AND topic = %s ORDER BY partition
"""
_PARKED = """
SELECT partition, "offset" FROM kafold.parked WHERE application = %s AND projection = %s AND version = %s AND topic = %s
"""
_ROWS = 'SELECT partition, "offset", id, version, data FROM {}'
_STRETCH = _ROWS + ' WHERE partition = %s AND "offset" >= %s AND "offset" < %s ORDER BY "offset"'


class Verified(NamedTuple):
    """`events`: how many are the same in both, up to the first difference.

    `parked`: how many the journal waits for. `behind`: how many the topic had, when it was looked at, after the
    journal's checkpoint.
    """

    topic: str
    events: int
    parked: int
    behind: int
    difference: Difference | None


class _Journal(NamedTuple):
    """The journal as one snapshot has it. `ends`: its checkpoint by partition; `lacks`: what is parked."""

    ends: Mapping[int, int]
    lacks: frozenset[Place]
    tally: Tally


def verify(
    application: Application,
    aggregate: AnyAggregate,
    kafka: Kafka,
    dsn: str,
    ids: SchemaIds,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Verified:
    """Compare an aggregate type's journal with its topic. `on_progress` is told how much of how much is done.

    Raises:
        InvalidPosition: the journal is of another topic of the same name.
    """
    name = application.topics(aggregate).events
    with (
        connect(dsn, "verify") as connection,
        EventsTopic(kafka, name, application.event_codec(aggregate, ids)) as topic,
    ):
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        progress = _Progress(on_progress, topic.ends)
        known = _tallied(connection, application.name, name, kafka, progress)
        tally, behind = Tally(), 0
        for entry in topic.all():
            progress.step()
            if entry.offset >= known.ends.get(entry.partition, 0):
                behind += 1
            elif entry.place not in known.lacks:
                tally.add(entry)
        events, difference = known.tally.events, None
        for stretch in known.tally.differing(tally):
            events, difference = _compared(connection, topic, stretch, known)
            if difference is not None:
                break
    return Verified(name, events, len(known.lacks), behind, difference)


class _Progress:
    """Says now and then how much is done: what the topic has, and as much again for the journal."""

    def __init__(self, on_progress: OnProgress, ends: Mapping[int, int]) -> None:
        self._done = 0
        self._total = 2 * sum(ends.values())
        self._on_progress = on_progress

    def step(self) -> None:
        self._done += 1
        if self._done % PROGRESS_EVENTS == 0:
            self._on_progress(self._done, max(self._total, self._done))


def _tallied(connection: Connection, application: str, topic: str, kafka: Kafka, progress: _Progress) -> _Journal:
    """Go through the journal once, in one snapshot, in the order in which it lies."""
    reader = [application, *JOURNAL, topic]
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        ends = _ends(connection, reader, kafka)
        parked = frozenset((place[0], place[1]) for place in connection.execute(_PARKED, reader))
        tally, there = Tally(), set[Place]()
        with connection.cursor(name="journal") as cursor:
            cursor.itersize = ROWS
            cursor.execute(sql.SQL(_ROWS).format(journal.table(topic)), binary=True)
            for row in cursor:
                entry = Entry(*row)
                tally.add(entry)
                progress.step()
                if entry.place in parked:
                    there.add(entry.place)
    return _Journal(ends, parked - there, tally)


def _ends(connection: Connection, reader: list[Any], kafka: Kafka) -> Mapping[int, int]:
    """Return by partition how far the journal is."""
    topic = reader[-1]
    found = connection.execute(_CHECKPOINTS, reader).fetchall()
    [actual] = topic_ids(kafka, [topic]).values()
    for partition, _, topic_id in found:
        if topic_id != actual:
            raise InvalidPosition(
                f"the journal of {topic} (partition {partition}) is of another topic of this name (UUID {topic_id}, "
                f"now {actual}): restore the topic, or drop the journal's table and checkpoints to have it made anew"
            )
    return {partition: next_offset for partition, next_offset, _ in found}


def _compared(
    connection: Connection, topic: EventsTopic, stretch: Stretch, known: _Journal
) -> tuple[int, Difference | None]:
    """Compare a stretch side by side; return how many events are the same up to the difference, and the difference.

    There may be none any more: what was parked at first may have been taken into the journal since.
    """
    partition, (first, last) = stretch[0], offsets_of(stretch)
    same = list[Entry]()
    statement = sql.SQL(_STRETCH).format(journal.table(topic.name))
    rows = (Entry(*row) for row in connection.execute(statement, [partition, first, last], binary=True))
    recorded = topic.between(partition, first, min(last, known.ends.get(partition, 0)))
    difference = first_difference(recorded, rows, known.lacks, same.append)
    return known.tally.before(stretch) + len(same), difference
