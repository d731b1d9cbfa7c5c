"""Ends of partitions into which one producer writes alone: where its next records will be.

A transaction leaves a marker behind its records, which takes an offset as a record does. So the next transaction begins
two offsets after the last one's last record.

Promises: pure; an end is told only of partitions of which nothing has happened that was not noted here. It is what is
expected, not a fact: somebody else may write. Who builds on it compares the delivery reports with it before a commit.
"""

from schemas.position import Place
from streams.processor.run import Run

MARKER = 1


class Ends:
    """Ends by partition, and the runs of the transaction that is open."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._ends: dict[Place, int] = {}
        self._runs: dict[Place, list[Run]] = {}

    def of(self, place: Place) -> int | None:
        """Return where the partition's next record is expected; None: nobody knows."""
        runs = self._runs.get(place)
        return runs[-1].expected_end if runs else self._ends.get(place)

    def add(self, place: Place, run: Run) -> None:
        """Note a run of the open transaction."""
        self._runs.setdefault(place, []).append(run)

    def are_to_be_compared(self) -> bool:
        """Whether something was expected of the open transaction."""
        return any(run.begin is not None for runs in self._runs.values() for run in runs)

    def are_as_expected(self) -> bool:
        """Whether everything is where it was expected. Ask when all is delivered."""
        return all(run.is_as_expected for runs in self._runs.values() for run in runs)

    def committed(self) -> None:
        """Note that the open transaction has committed."""
        self._ends |= {place: runs[-1].end + MARKER for place, runs in self._runs.items()}
        self._runs.clear()

    def forget(self) -> None:
        """Note that something else has happened: an abort, or a partition had another owner."""
        self._ends.clear()
        self._runs.clear()
