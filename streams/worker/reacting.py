"""Reacting: one batch of a partition, told to the process managers, and the commands that follow, sent.

Three steps, each safe to repeat. **Decide**: states, commands (in the outbox) and `decided` are one transaction.
**Send**: Kafka acknowledges the commands. **Note**: the process managers' own checkpoints move up to `decided`. Whoever
takes the partition over begins with what is in the outbox.

Promises: a fact is decided once, whoever is killed, so a command always is what was committed; nothing is sent that
follows from what lies before the own checkpoint; locks are never held while Kafka is waited for.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from schemas.errors import DecodingError
from schemas.outcomes import Outcome, Status
from schemas.position import Place
from streams.kernel.errors import Fenced
from streams.kernel.folding import Envelope, Step, envelopes, plan
from streams.kernel.process_manager import Answered
from streams.kernel.reacting import Reactions
from streams.postgres import outbox
from streams.postgres.checkpoints import Move, Reader, move
from streams.postgres.connection import REACTING, REFUSALS, Connection, Cursor, connect_to_fold, repeated
from streams.postgres.outbox import Outgoing
from streams.postgres.parking import ParkedKey, Request, requested_keys, take_out, withdraw
from streams.worker.duty import Duty, Hand
from streams.worker.lanes import Lanes, OnError
from streams.worker.partition import Partition
from streams.worker.pieces import Refusals, Refused, apply_in_pieces
from streams.worker.processes import CommandWriter, ProcessReader, ProcessSource, answer
from streams.worker.sending import Send
from streams.worker.settling import Record, settle_steps
from streams.worker.shares import fold_shared, share_of, write_share

_LOG = logging.getLogger("kafold.worker")


def reacting(
    application: str,
    sources: Mapping[str, ProcessSource],
    writer: CommandWriter,
    make_send: Callable[[], Send],
    dsn: str,
    dedupe_window_s: int,
    on_error: OnError,
) -> Duty:
    """Return the duty of telling process managers what happened, in one lane."""

    def make() -> Hand:
        connection = connect_to_fold(dsn, REACTING)
        return Reactor(application, connection, sources, writer, make_send(), dedupe_window_s * 1000)

    readers = {
        topic: [name for each in source.readers for name in (each.reader, each.decided)]
        for topic, source in sources.items()
    }
    # What is parked is read under the locks, so a new owner need not know it.
    return Duty("react", readers, Lanes("react", 1, make, on_error), lambda _cursor, _topic: {})


class Reactor:
    """Reacts on one connection, to one batch at a time."""

    def __init__(
        self,
        application: str,
        connection: Connection,
        sources: Mapping[str, ProcessSource],
        writer: CommandWriter,
        send: Send,
        dedupe_window_ms: int,
    ) -> None:
        """Make the connection's staging tables."""
        self._application = application
        self._connection = connection
        self._sources = sources
        self._writer = writer
        self._send = send
        self._window_ms = dedupe_window_ms
        with connection.cursor() as cursor:
            for reader in {each.reader: each for source in sources.values() for each in source.readers}.values():
                reader.table.stage(cursor)

    def apply(self, partition: Partition, records: Sequence[Any]) -> None:
        """React to the records, which must be the next of the partition.

        Raises:
            Fenced: another worker owns the partition: exit.
            SendFailed: Kafka did not take the commands: exit; they are in the outbox.
            psycopg.Error: the database cannot be used: exit; the supervisor starts a new worker.
        """
        source = self._sources[partition.topic]
        if _behind(source, partition):
            self._finish(source, partition)
        batch = envelopes(source.decode, records)
        for part in _parts(source, partition, batch):
            apply_in_pieces(self._connection, partial(self._decide, source, partition), part)
        if _behind(source, partition):
            self._finish(source, partition)

    def settle(self, partition: Partition) -> None:
        """Carry out what was requested of the partition's parked facts, and send what is in the outbox.

        Raises:
            Fenced: another worker owns the partition: exit.
            SendFailed: Kafka did not take the commands: exit; they are in the outbox.
        """
        source = self._sources[partition.topic]
        readers = {each.reader: each for each in source.readers}
        place = (partition.topic, partition.number)
        repeated(self._connection, lambda: self._carry_out(readers, partition, place))
        self._finish(source, partition)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _decide(
        self, source: ProcessSource, partition: Partition, batch: Sequence[Envelope], refusals: Refusals
    ) -> None:
        end = batch[-1].offset + 1
        at = partition.next
        wanting = [each for each in source.readers if at[each.decided] < end]
        moves = [Move(each.decided, at[each.decided], end) for each in wanting]
        with self._connection.transaction(), self._connection.cursor() as cursor:
            self._fence(cursor, partition, moves)
            for each in wanting:
                share = share_of(partition, each.decided, batch, end)
                reactions = self._reactions(each, silent=end <= at[each.reader])
                steps = self._steps(cursor, source, partition.number, each, reactions, share)
                folded = fold_shared(cursor, self._application, each, reactions, steps, refusals.get(each.reader))
                write_share(cursor, self._application, (partition.topic, partition.number), each, folded)
                self._keep(cursor, partition, each, reactions, silent=end <= at[each.reader])
                if not reactions.decided and at[each.reader] == at[each.decided]:
                    own = Move(each.reader, at[each.reader], end)
                    self._fence(cursor, partition, [own])
                    moves.append(own)
        _remember(partition, moves)

    def _finish(self, source: ProcessSource, partition: Partition) -> None:
        """Send what is in the outbox, and note that it was sent."""
        place = (partition.topic, partition.number)
        with self._connection.cursor() as cursor:
            waiting = outbox.unsent(cursor, self._application, place)
        oldest_ms = _now_ms() - self._window_ms
        fresh = [each for each in waiting if each.fact_ms >= oldest_ms]
        late = [each for each in waiting if each.fact_ms < oldest_ms]
        if fresh:
            self._send(fresh)
        at = partition.next
        moves = [
            Move(each.reader, at[each.reader], at[each.decided])
            for each in source.readers
            if at[each.reader] < at[each.decided]
        ]
        if not (waiting or moves):
            return
        with self._connection.transaction(), self._connection.cursor() as cursor:
            self._fence(cursor, partition, moves)
            outbox.sent(cursor, self._application, [each.command_id for each in fresh])
            outbox.refuse(cursor, self._application, [each.command_id for each in late])
        _remember(partition, moves)
        for each in late:
            _LOG.error(
                "process manager %s, process %s: command %s to %s was decided longer ago than the dedupe window, and "
                "nobody knows whether it was sent: look for its id among the events of %s, and if it is not there send "
                "it yourself; it stays in kafold.outbox as refused",
                each.process_manager, each.key, each.command_id, each.send_to,
                each.message_key.decode(errors="replace"),
            )  # fmt: skip

    def _carry_out(self, readers: Mapping[Reader, ProcessReader], partition: Partition, place: Place) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            self._fence(cursor, partition, [Move(reader, at, at) for reader, at in partition.next.items()])
            for key in requested_keys(cursor, self._application, *place):
                if key.reader in readers:
                    try:
                        with self._connection.transaction():
                            self._settle(cursor, partition, readers[key.reader], key)
                    except (*REFUSALS, Refused) as error:
                        withdraw(cursor, self._application, key, error)

    def _settle(self, cursor: Cursor, partition: Partition, each: ProcessReader, key: ParkedKey) -> None:
        reactions = self._reactions(each, silent=False)
        steps: list[Step] = []
        places: dict[int, Place] = {}
        for taken in take_out(cursor, self._application, key):
            source = self._sources.get(taken.topic)
            if taken.request == Request.DISCARD.value or source is None:
                continue  # given up, or of a topic that no process manager reads any more
            batch = envelopes(source.decode, [Record(taken.offset, taken.message_key, taken.data)])
            for step in self._steps(cursor, source, taken.partition, each, reactions, batch):
                steps.append(step)
                places[id(step[1])] = (taken.topic, taken.partition)
        settle_steps(cursor, self._application, each, reactions, key, steps, places)
        self._keep(cursor, partition, each, reactions, silent=False)

    def _steps(
        self,
        cursor: Cursor,
        source: ProcessSource,
        number: int,
        each: ProcessReader,
        reactions: Reactions,
        share: Sequence[Envelope],
    ) -> list[Step]:
        if not source.answers:
            return plan(reactions, share)
        outcomes: list[Any] = [envelope.event for envelope in share]
        ids = [outcome.command_id for outcome in outcomes if _may_be_of(each, outcome)]
        name = each.manager.name
        awaited = outbox.awaited(cursor, self._application, name, ids) if ids else {}
        steps: list[Step] = []
        for envelope, outcome in zip(share, outcomes, strict=True):
            if outcome is None:
                steps.append((None, envelope, envelope.error))
            elif _may_be_of(each, outcome) and outcome.command_id in awaited:
                # An answer that is given again, because its command was sent again, finds nobody who waits.
                steps.append(self._answered(awaited.pop(outcome.command_id), outcome, number, each, envelope))
        return steps

    def _answered(self, sent: Outgoing, outcome: Outcome, number: int, each: ProcessReader, envelope: Envelope) -> Step:
        events = f"{sent.send_to.removesuffix('.commands')}.events"
        try:
            command = self._writer.decode(sent.send_to, sent.data)
            fact: Any = Answered(command, answer(command, outcome, events, number))
        except (DecodingError, ValueError) as error:  # the application's types have changed since
            return None, envelope, error
        return each.table.shape.key_of_text(sent.key), envelope._replace(event=fact), None

    def _reactions(self, each: ProcessReader, *, silent: bool) -> Reactions:
        window_ms = None if silent else self._window_ms
        return Reactions(each.manager, self._writer.encode, _now_ms(), window_ms)

    def _keep(
        self, cursor: Cursor, partition: Partition, each: ProcessReader, reactions: Reactions, *, silent: bool
    ) -> None:
        name, text = each.manager.name, each.table.shape.key_text
        commands = [
            (Outgoing(one.command_id, name, text(one.key), *one.encoded, one.fact_ms), one.answer_wanted)
            for one in reactions.decided
        ]
        if reactions.answered:
            outbox.answered(cursor, self._application, reactions.answered)
        if commands:
            outbox.keep(cursor, self._application, (partition.topic, partition.number), commands, silent=silent)

    def _fence(self, cursor: Cursor, partition: Partition, moves: Sequence[Move]) -> None:
        place = (partition.topic, partition.number)
        if not move(cursor, self._application, *place, partition.topic_id, moves):
            raise Fenced(f"another worker owns partition {partition.number} of {partition.topic} now")


def _may_be_of(each: ProcessReader, outcome: Any) -> bool:
    # A failed command is decided anew when it is sent again, so it is not answered yet.
    return outcome is not None and each.manager.is_own(outcome.command_id) and outcome.status != Status.FAILED


def _behind(source: ProcessSource, partition: Partition) -> bool:
    """Return whether something was decided of which is not noted that it was sent."""
    return any(partition.next[each.reader] < partition.next[each.decided] for each in source.readers)


def _parts(source: ProcessSource, partition: Partition, batch: Sequence[Envelope]) -> Iterator[Sequence[Envelope]]:
    """Cut the batch at each process manager's own checkpoint: before it nothing is sent, after it everything."""
    begin = 0
    for border in sorted({partition.next[each.reader] for each in source.readers}):
        end = next((n for n, each in enumerate(batch) if each.offset >= border), len(batch))
        if end > begin:
            yield batch[begin:end]
            begin = end
    if begin < len(batch):
        yield batch[begin:]


def _remember(partition: Partition, moves: Sequence[Move]) -> None:
    for step in moves:
        partition.next[step.reader] = step.next


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
