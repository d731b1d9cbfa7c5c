"""A run: records of one partition that are produced one after the other, and the offsets that they got.

To be told of each record costs as much as to produce it. An idempotent producer delivers a partition's records in
order, so the first and the last one say enough: if as many offsets lie between them as there are records, these are
theirs. If not, somebody else wrote into the topic meanwhile, and every record has to be reported.

Promises: offsets are those of the run's records, in order, or none are given.
"""

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError

Delivered = Callable[[KafkaError | None, Any], None]


class Run:
    """The run's reports. `each`: whether every record is reported, or the first and the last one only."""

    def __init__(self, count: int, failures: list[KafkaError], *, each: bool = False) -> None:
        """Expect the reports of so many records, at least one; what could not be delivered goes to `failures`."""
        self.count = count
        self._failures = failures
        self._awaited = count if each else min(count, 2)
        self._reported: list[int] = []

    def delivered(self, error: KafkaError | None, message: Any) -> None:
        """Take the next report."""
        if error is None:
            self._reported.append(message.offset())
        else:
            self._failures.append(error)

    @property
    def is_done(self) -> bool:
        """Whether all reports are there."""
        return len(self._reported) == self._awaited

    @property
    def end(self) -> int:
        """The offset after the last record. Ask when it is done."""
        return self._reported[-1] + 1

    def offsets(self) -> Sequence[int] | None:
        """Return the records' offsets; None: somebody else's lie between them.

        Raises:
            RuntimeError: it is not done.
        """
        if not self.is_done:
            raise RuntimeError(f"{len(self._reported)} of {self._awaited} reports are there")
        if self._awaited == self.count:
            return self._reported
        first, end = self._reported[0], self.end
        return range(first, end) if end - first == self.count else None
