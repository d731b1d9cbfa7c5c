"""The event store: the two verbs of the field, on Kafka.

`load` reads one aggregate's events from the journal in PostgreSQL, in milliseconds and from any process; `append` asks
the owner of the aggregate's partition to write some. The topic stays the truth: the journal is a copy of it, written
with its checkpoint by the stream worker, and `verify` (`streams/event_store/verifying.py`) compares the two.

Promises: a history is complete up to the position that it carries; where the journal is not yet at the position that
was asked for, `Stale` says how far it is, and where an event had to be parked, `ParkedHistory` does; two writers never
both win, since there is one owner.
"""

import time
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from schemas.appending import AppendEvents, AppendProblem
from schemas.closing import Closing
from schemas.command_bus import CommandBus
from schemas.errors import DefinitionError
from schemas.messages import Command, Event
from schemas.metadata import EventMetadata
from schemas.outcomes import Accepted, Rejected
from schemas.position import Place, Position
from schemas.registry import SchemaIds
from streams.event_store.history import History, history_of
from streams.event_store.moment import Moment, as_of
from streams.event_store.reading import ALL, CONNECT_S, Found, JournalReader
from streams.kafka.log_end import LogEnd
from streams.kernel.aggregate import Aggregate, State
from streams.kernel.application import Application
from streams.kernel.errors import Stale
from streams.kernel.partitioner import partition_of
from streams.postgres.checkpoints import POLL_S_MAX, POLL_S_MIN

S = TypeVar("S", bound=State)
C = TypeVar("C", bound=Command[Any, Any])
Ev = TypeVar("Ev", bound=Event)
WAIT_S = 5.0

# What a sender writes where the owner gives the metadata.
_BLANK = EventMetadata("", "", "", "", 0, 0)


class EventStore(Closing, Generic[S, C, Ev]):
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
        log_end: LogEnd | None = None,
        connect_s: float = CONNECT_S,
    ) -> None:
        """Open the connections.

        `partitions`: of the application's topics. `commands`: the way to the owners, which `append` needs. `log_end`:
        what refuses a position that nobody was given; without it, `load` waits for it like for any other. `connect_s`:
        how long to wait for the database.
        """
        self._aggregate = aggregate
        self._topic = application.topics(aggregate).events
        self._codec = application.event_codec(aggregate, ids)
        self._partitions = partitions
        self._commands = commands
        self._journal = JournalReader(dsn, application.name, self._topic, log_end, connect_s)

    def load(
        self, aggregate_id: str, upto: int | None = None, at_least: Position | None = None, timeout_s: float = WAIT_S
    ) -> History[Ev]:
        """Return an aggregate's events, up to a version; none: it does not exist.

        `at_least`: a position, such as an accepted command's, that the history must have reached. Blocks for at most
        `timeout_s` until it has.

        Raises:
            BeyondLog: `at_least` is beyond the log's end.
            DecodingError: an event cannot be read by today's classes.
            InvalidPosition: `at_least` speaks of another topic of the same name.
            ParkedHistory: an event of the aggregate could not be taken into the journal.
            Stale: the journal has not come to `at_least` in time.
        """
        return self._history(aggregate_id, ALL if upto is None else upto, at_least, timeout_s).whole()

    def as_of(
        self, aggregate_id: str, moment: Moment, at_least: Position | None = None, timeout_s: float = WAIT_S
    ) -> History[Ev]:
        """Return an aggregate's events as of a moment, as far as the journal could take them (`parked_from`).

        A position and a version are waited for, as is `at_least`; of a time there is what the journal has.

        Raises:
            DecodingError: an event cannot be read by today's classes.
            InvalidPosition: a position says nothing of the aggregate's partition, or is of another topic of this name.
            Stale: the journal has not come so far in time.
        """
        if moment.version is not None:
            return self._at_version(aggregate_id, moment.version, at_least, timeout_s)
        goal = at_least if moment.position is None else moment.position.merge(at_least or Position())
        return as_of(self._history(aggregate_id, ALL, goal, timeout_s), moment, self.place_of(aggregate_id))

    def place_of(self, aggregate_id: str) -> Place:
        """Return the partition of an aggregate's events."""
        return self._topic, partition_of(aggregate_id.encode(), self._partitions)

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
        self._journal.close()

    def _at_version(self, aggregate_id: str, version: int, at_least: Position | None, timeout_s: float) -> History[Ev]:
        deadline, pause_s = time.monotonic() + timeout_s, POLL_S_MIN
        while True:
            history = self._history(aggregate_id, version, at_least, max(0.0, deadline - time.monotonic()))
            if history.version == version or history.parked_from is not None:
                return history
            if time.monotonic() >= deadline:
                goal = f"version {version} of {aggregate_id!r}, whose last there is {history.version}"
                raise Stale(f"the journal of {self._topic}", history.position, goal)
            time.sleep(min(pause_s, max(0.0, deadline - time.monotonic())))
            pause_s = min(pause_s * 1.5, POLL_S_MAX)

    def _history(self, aggregate_id: str, upto: int, at_least: Position | None, timeout_s: float) -> History[Ev]:
        found = self._found(aggregate_id, upto, at_least, timeout_s)
        return history_of(aggregate_id, found, self._topic, self._codec.decode, upto)

    def _found(self, aggregate_id: str, upto: int, at_least: Position | None, timeout_s: float) -> Found:
        place = _, partition = self.place_of(aggregate_id)
        # Of the whole position only the aggregate's own partition matters.
        offset = None if at_least is None else at_least.offsets.get(place)
        if at_least is None or offset is None:
            return self._journal.read(aggregate_id, partition, upto)
        topic_id = at_least.topic_ids.get(self._topic)
        return self._journal.read_at_least(aggregate_id, partition, upto, offset, topic_id, timeout_s)
