"""Ranks: an event's number in its partition, from 0, which is its offset in a restored cluster.

Offsets have gaps, where transactions ended or were aborted; a restored partition has none. Outcomes name their events
by offset, so in a backup they name them by rank.

Promises: pure; memory is 16 bytes a gap.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from schemas.outcomes import OutcomeCodec
from streams.kernel.errors import LogBroken


class Ranks:
    """The ranks of one partition's events."""

    def __init__(self, offsets: Iterable[int]) -> None:
        """Take the events' offsets, in order."""
        self._first, self._ranks = array("q"), array("q")  # of each run without a gap: its first offset, and its rank
        self.count, before = 0, -2
        for offset in offsets:
            if offset != before + 1:
                self._first.append(offset)
                self._ranks.append(self.count)
            self.count, before = self.count + 1, offset
        self._end = before + 1

    def of(self, offset: int) -> int | None:
        """Return an event's rank; None: it is not among these events."""
        run = bisect_right(self._first, offset) - 1
        if run < 0 or offset >= self._end:
            return None
        rank = self._ranks[run] + offset - self._first[run]
        following = self._ranks[run + 1] if run + 1 < len(self._ranks) else self.count
        return rank if rank < following else None

    def is_beyond(self, offsets: Sequence[int]) -> bool:
        """Return whether all of them are after the last of these events."""
        return all(offset >= self._end for offset in offsets)


def ranked(codec: OutcomeCodec, ranks: Ranks, value: bytes) -> bytes | None:
    """Return an outcome that names its events by rank; None: they are beyond the ranks.

    Raises:
        LogBroken: its events are not there, though later ones are.
    """
    outcome = codec.decode(value)
    found = [ranks.of(offset) for offset in outcome.offsets]
    if found == outcome.offsets:
        return value
    known = [rank for rank in found if rank is not None]
    if len(known) < len(found):
        if ranks.is_beyond(outcome.offsets):
            return None
        raise LogBroken(f"the outcome of {outcome.command_id} names events that are not there: {outcome.offsets}")
    return codec.encode(outcome._replace(offsets=known))
