"""The beginning of history, where a commands topic has lost its first records.

Commands are kept for ever unless somebody removes them. The events of the removed ones are still there, and come first
in their topic: up to the last event of a command that is gone, the events are what history began with. Their outcomes
may be there too, and come first as well: an id does not tell them, since a removed command may have been sent again.

Promises: memory does not grow with the topics; where a removed command was sent again later, history begins no earlier
than after its events; an outcome counts as the first that is of a command in the log only if those that follow are of
the commands that follow.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Message

from schemas.asking import AskOutcome
from schemas.errors import DecodingError
from streams.processor.lane import Lane, Unreadable, id_of
from streams.processor.local_state import LocalState
from streams.processor.memory import PartitionMemory

# How many of the first commands have to be answered in their order: ids repeat, but not so many in the same order.
ALIKE = 200


def first_own_event(lane: Lane, folder: Path, commands: Iterable[Message], events: Iterable[Message]) -> int:
    """Return the offset from which on all events are of commands that are still in the log. `folder`: for scratch."""
    offsets = _offsets(lane, folder, commands)
    begin, before = 0, -1
    for event in events:
        asked = _asked(lane, offsets, event)
        later = next((offset for offset in asked if offset >= before), None)
        if later is not None:
            before = later
        elif asked:
            # It is decided before commands which came before it: theirs were removed, and what is there are repeats.
            begin, before = int(event.offset() or 0), asked[0]
        else:
            begin, before = int(event.offset() or 0) + 1, -1
    offsets.close()
    return begin


def first_own_outcome(lane: Lane, commands: Iterable[Message], outcomes: Iterable[Message]) -> int:
    """Return the offset of the first outcome that is of a command still in the log; 0: that cannot be told.

    `commands`: those that are decided, each of which so has been answered.
    """
    due = list(islice(_due(lane, commands), ALIKE))
    found = ((int(each.offset() or 0), _answered_id(lane, each)) for each in outcomes)
    following = deque(islice(found, ALIKE))
    while due and following:
        if _answered(due, following):
            return following[0][0]
        following.popleft()
        following.extend(islice(found, 1))
    return 0


class _Due(NamedTuple):
    """An answer to a command: which ids it may have, and whether there is one at all."""

    ids: Sequence[str]
    certain: bool


def _due(lane: Lane, commands: Iterable[Message]) -> Iterator[_Due]:
    for record in commands:
        asked = lane.read(record)
        if isinstance(asked, Unreadable):
            if asked.command_id is not None:
                yield _Due([asked.command_id], certain=True)
        elif isinstance(asked.command, AskOutcome):
            yield _Due([asked.command.asked_id, asked.command_id], certain=True)
        else:
            # On a wrong partition, a command is answered only if it has an id of its own.
            yield _Due([asked.command_id], certain=asked.metadata.command_id is not None)


def _answered(due: Iterable[_Due], answers: Iterable[tuple[int, str]]) -> bool:
    """Return whether these are the answers that are due, from the first one on."""
    ids = [command_id for _, command_id in answers]
    at = 0
    for each in due:
        if at < len(ids) and ids[at] in each.ids:
            at += 1
        elif each.certain:
            return False
    return at > 0


def _answered_id(lane: Lane, outcome: Message) -> str:
    try:
        return lane.outcomes.decode(outcome.value() or b"").command_id
    except DecodingError:
        return ""  # the walk stops at it, and says where it is


def _offsets(lane: Lane, folder: Path, commands: Iterable[Message]) -> PartitionMemory:
    """Return where each command id is; kept as a partition's memory keeps outcomes, on disk.

    An id that is there several times may have failed first, and so have been decided at any of them.
    """
    offsets = PartitionMemory(LocalState(folder, {}), 0)
    for record in commands:
        place, offset = (str(record.topic()), int(record.partition() or 0)), int(record.offset() or 0)
        try:
            told = lane.commands.decode_metadata(record.value() or b"").command_id
        except DecodingError:
            told = None
        command_id = told or id_of(record)
        known = offsets.outcome(command_id)
        offsets.learn_outcome(command_id, 0, b"%d" % offset if known is None else b"%b %d" % (known, offset))
        offsets.position[place] = offset + 1
        if offsets.is_full:
            offsets.write()
    return offsets


def _asked(lane: Lane, offsets: PartitionMemory, event: Message) -> list[int]:
    """Return where the event's command is, in order."""
    try:
        found = offsets.outcome(lane.events.decode_metadata(event.value() or b"").command_id)
    except DecodingError:
        return []
    return [int(each) for each in (found or b"").split()]
