"""The event store: the two verbs of the field, on Kafka.

`load` reads one aggregate's events from the journal in PostgreSQL, in milliseconds and from any process; `append` asks
the owner of the aggregate's partition to write some. The topic stays the truth: the journal is a copy of it, written
with its checkpoint by the stream worker, and `verify` (`streams/event_store/verifying.py`) compares the two.

Promises: a history is complete up to the position that it carries; where the journal is not yet at the position that
was asked for, `Stale` says how far it is, and where an event had to be parked, `ParkedHistory` does; two writers never
both win, since there is one owner.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from psycopg_pool import ConnectionPool

from schemas.appending import AppendEvents, AppendProblem
from schemas.command_bus import CommandBus
from schemas.errors import DecodingError, DefinitionError
from schemas.messages import Command, Event
from schemas.metadata import EventMetadata
from schemas.outcomes import Accepted, Rejected
from schemas.position import Position
from schemas.registry import SchemaIds
from streams.event_store.history import History, Recorded
from streams.kernel.aggregate import Aggregate, State
from streams.kernel.application import Application
from streams.kernel.errors import ParkedHistory, Stale
from streams.kernel.partitioner import partition_of
from streams.postgres import journal
from streams.postgres.checkpoints import JOURNAL, Reached, wait_on
from streams.postgres.connection import Connection

S = TypeVar("S", bound=State)
C = TypeVar("C", bound=Command[Any, Any])
Ev = TypeVar("Ev", bound=Event)
WAIT_S = 5.0
CONNECTIONS_MAX = 4

# What a sender writes where the owner gives the metadata.
_BLANK = EventMetadata("", "", "", "", 0, 0)

_STATE = """
SELECT c.next, c.topic_id, EXISTS (
    SELECT FROM kafold.parked p
    WHERE p.application = c.application AND p.projection = c.projection AND p.version = c.version
        AND p.topic = c.topic AND p.message_key = %s AND p.key = %s
) FROM kafold.checkpoints c
WHERE c.application = %s AND c.projection = %s AND c.version = %s AND c.topic = %s AND c.partition = %s
"""


class EventStore(Generic[S, C, Ev]):
    """The events of one aggregate type. It may be shared between threads; close it, or use it in a `with`."""

    def __init__(
        self,
        application: Application,
        aggregate: Aggregate[S, C, Ev],
        *,
        dsn: str,
        ids: SchemaIds,
        partitions: int,
        commands: CommandBus | None = None,
    ) -> None:
        """`partitions`: of the application's topics. `commands`: the way to the owners, which `append` needs."""
        self._application = application.name
        self._aggregate = aggregate
        self._topic = application.topics(aggregate).events
        self._codec = application.event_codec(aggregate, ids)
        self._partitions = partitions
        self._commands = commands
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            dsn,
            min_size=1,
            max_size=CONNECTIONS_MAX,
            kwargs={"autocommit": True, "application_name": "kafold event store"},
            check=ConnectionPool.check_connection,
            open=True,
        )

    def load(
        self, aggregate_id: str, upto: int | None = None, at_least: Position | None = None, timeout_s: float = WAIT_S
    ) -> History[Ev]:
        """Return an aggregate's events, up to a version; none: it does not exist.

        `at_least`: a position, such as an accepted command's, that the history must have reached. Blocks for at most
        `timeout_s` until it has.

        Raises:
            DecodingError: an event cannot be read by today's classes.
            InvalidPosition: `at_least` speaks of another topic of the same name.
            ParkedHistory: an event of the aggregate could not be taken into the journal.
            Stale: the journal has not come to `at_least` in time.
        """
        partition = partition_of(aggregate_id.encode(), self._partitions)
        with self._pool.connection() as connection:
            if at_least is not None:
                self._wait(connection, self._share(at_least, partition), timeout_s)
            # Asked for before the events are: they are never older than the position says.
            position, parked = self._state(connection, aggregate_id, partition)
            last = journal.ALL if upto is None else upto
            entries = journal.load(connection, self._topic, aggregate_id, upto=last)
        if parked and (upto is None or len(entries) < upto):
            raise ParkedHistory(
                f"{self._aggregate.name} {aggregate_id}: an event after version {len(entries)} is parked in the "
                f"journal of {self._topic}; mend its cause and retry it, or ask for the versions up to {len(entries)}"
            )
        return History(aggregate_id, tuple(map(self._recorded, entries)), position)

    def append(
        self,
        aggregate_id: str,
        events: Sequence[Ev],
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Accepted[None] | Rejected[AppendProblem]:
        """Have the owner append events to an aggregate, all or none.

        Raises:
            CommandFailed: the aggregate's `evolve` cannot fold them.
            DefinitionError: the store was made without a command bus.
            EncodingError: a value does not fit its schema.
        """
        if self._commands is None:
            raise DefinitionError("this event store can only load: make it with a command bus, EventStore(commands=…)")
        bodies = tuple(self._codec.encode(event, _BLANK) for event in events)
        command = AppendEvents(aggregate=self._aggregate.name, target_id=aggregate_id, events=bodies)
        return self._commands.dispatch(command, command_id=command_id, expected_version=expected_version)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def __enter__(self) -> Self:
        """Return the store; it is closed at the end of the `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def _share(self, position: Position, partition: int) -> Position:
        """Return what a position says of the one partition that matters here."""
        offset = position.offsets.get((self._topic, partition))
        return Position({} if offset is None else {(self._topic, partition): offset}, position.topic_ids).only(
            [self._topic]
        )

    def _wait(self, connection: Connection, goal: Position, timeout_s: float) -> None:
        waited = wait_on(connection, self._application, JOURNAL.name, goal, timeout_s)
        if waited.reached is not Reached.YES:
            raise Stale(f"the journal of {self._topic}", waited.position.only([self._topic]), goal)

    def _state(self, connection: Connection, aggregate_id: str, partition: int) -> tuple[Position, bool]:
        """Return how far the journal is with the aggregate's partition, and whether the aggregate is parked there."""
        parameters = [aggregate_id.encode(), aggregate_id, self._application, *JOURNAL, self._topic, partition]
        found = connection.execute(_STATE, parameters).fetchone()
        if found is None:
            return Position(), False
        offset, topic_id, parked = found
        return Position({(self._topic, partition): offset}, {self._topic: topic_id}), parked

    def _recorded(self, entry: journal.Entry) -> Recorded[Ev]:
        try:
            event, metadata = self._codec.decode(entry.data)
        except DecodingError as error:
            place = f"{self._topic} {entry.partition}@{entry.offset} (version {entry.version})"
            raise type(error)(f"{place}: {error}") from error
        return Recorded(event, metadata, entry.offset)
