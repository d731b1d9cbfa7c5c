"""The beginning of history, where a commands topic has lost its first records.

Commands are kept for ever unless somebody removes them. The events of the removed ones are still there, and come first
in their topic: up to the last event of a command that is gone, the events are what history began with.

Promises: memory does not grow with the topics; where a removed command was sent again later, history begins no earlier
than after its events.
"""

from collections.abc import Iterable
from pathlib import Path

from confluent_kafka import Message

from schemas.errors import DecodingError
from streams.processor.lane import Lane, id_of
from streams.processor.local_state import LocalState
from streams.processor.memory import PartitionMemory


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
