"""The memory of one partition: what its owner knows from the committed log.

Promises: it changes only by what was committed, either read back from the log or just committed by this owner.
"""

from streams.kernel.processing import Known, Work


class PartitionMemory:
    """Aggregates' states and versions, and the encoded final outcomes by command id. It implements the kernel's Memory."""

    def __init__(self) -> None:
        """Know nothing."""
        self._known: dict[str, Known] = {}
        self._outcomes: dict[str, bytes] = {}

    def known(self, aggregate_id: str) -> Known | None:
        """Return what is known of an aggregate; None: it has no events."""
        return self._known.get(aggregate_id)

    def outcome(self, command_id: str) -> bytes | None:
        """Return the encoded final outcome of a command; None: it was never decided, or failed."""
        return self._outcomes.get(command_id)

    def learn(self, aggregate_id: str, known: Known) -> None:
        """Take over what an event in the log says."""
        self._known[aggregate_id] = known

    def learn_outcome(self, command_id: str, encoded: bytes) -> None:
        """Take over an outcome in the log."""
        self._outcomes[command_id] = encoded

    def commit(self, work: Work, encoded: dict[str, bytes]) -> None:
        """Take over a work whose transaction has committed; `encoded`: its final outcomes by command id."""
        self._known.update(work.known)
        self._outcomes.update(encoded)
