"""A run: records of one partition that are produced one after the other, and the offsets that they got.

To be told of each record costs as much as to produce it. An idempotent producer delivers a partition's records in
order, so the first and the last one say enough: if as many offsets lie between them as there are records, these are
theirs. If not, somebody else wrote into the topic meanwhile, and every record has to be reported.

Who knows where a partition ended, and is the only one who writes there, can say where a run will begin. What depends on
the offsets then need not wait for the reports, but the reports have to be compared before anything counts.

Promises: offsets are those of the run's records, in order, or none are given; those of a run that is not done are what
is expected, and `is_as_expected` says afterwards whether they were right.
"""

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError

Delivered = Callable[[KafkaError | None, Any], None]


class Run:
    """The run's reports, and what is expected of them."""

    def __init__(self, count: int, failures: list[KafkaError], *, each: bool = False, begin: int | None = None) -> None:
        """Expect the reports of so many records, at least one.

        Args:
            count: how many records.
            failures: what could not be delivered goes there.
            each: whether every record is reported, or the first and the last one only.
            begin: the offset where it is expected to begin; None: nobody knows.
        """
        self.count = count
        self.begin = begin
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
    def has_offsets(self) -> bool:
        """Whether the offsets are known, or at least expected."""
        return self.begin is not None or self.is_done

    @property
    def end(self) -> int:
        """The offset after the last record. Ask when it is done."""
        return self._reported[-1] + 1

    @property
    def expected_end(self) -> int | None:
        """The offset after the last record, as far as it is known or expected by now."""
        if self.is_done:
            return self.end
        return None if self.begin is None else self.begin + self.count

    @property
    def is_as_expected(self) -> bool:
        """Whether the reports are what was expected, if anything was. Ask when it is done."""
        return self.begin is None or (self._reported[0] == self.begin and self.end == self.begin + self.count)

    def offsets(self) -> Sequence[int] | None:
        """Return the records' offsets, expected ones where it is not done; None: somebody else's lie between them.

        Raises:
            RuntimeError: it is not done, and nothing is expected.
        """
        if self.begin is not None:
            return range(self.begin, self.begin + self.count)
        if not self.is_done:
            raise RuntimeError(f"{len(self._reported)} of {self._awaited} reports are there")
        if self._awaited == self.count:
            return self._reported
        first, end = self._reported[0], self.end
        return range(first, end) if end - first == self.count else None
