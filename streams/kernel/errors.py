"""Errors of the platform, as a tree under schemas.errors.KafoldError. Each says how to handle it.

::

    KafoldError
    ├── TopicProblem      a topic is missing, or set so that it could lose events: mend the topic, then start again
    ├── Fenced            another process has taken over: exit, its supervisor may start a new one
    ├── Indefinite        nobody knows whether a transaction committed: forget all state, read the log again, go on
    ├── TransactionAborted  a transaction was given up and nothing of it happened: rewind and do it again
    ├── WrongKey          (a DecodingError) a command's Kafka key is not where or what it must be: dead-letter it
    ├── LocalStateUnreadable  a cache on disk is damaged: exit; the next start rebuilds it from the log
    ├── BeyondLog         (an InvalidPosition) the log does not go so far: nobody was given this position
    ├── StateNotExact     a state is not the same after it was JSON: its aggregate type does without snapshots
    ├── Stale             a copy of the log has not come to a position in time: ask again, or without the position
    ├── BeyondDedupeWindow  a process manager's fact is too old to send commands for: look whether they were, discard it
    ├── SendFailed        Kafka did not take a process manager's commands: exit, they are sent again after a restart
    ├── ParkedHistory     an aggregate's copy is incomplete, an event is parked: mend its cause and retry it
    └── LogBroken         the log contradicts itself (a version is missing or twice): stop and look
"""

from schemas.errors import DecodingError, InvalidPosition, KafoldError
from schemas.position import Position


class TopicProblem(KafoldError):
    """A topic is missing, or set so that it could lose events. The text says which setting to change."""


class Fenced(KafoldError):
    """Another process has taken over this one's work. Exit; do not retry."""


class Indefinite(KafoldError):
    """Nobody knows whether a transaction committed. Forget all state and read the log again before answering."""


class TransactionAborted(KafoldError):
    """A transaction was given up, and nothing of it happened. Rewind to the committed offset and do it again."""


class WrongKey(DecodingError):
    """A command's Kafka key is not its aggregate's id, or was placed by another partitioner than murmur2."""


class LogBroken(KafoldError):
    """The log contradicts itself: an aggregate's version is missing, or there twice. Stop, and look at the log."""


class LocalStateUnreadable(KafoldError):
    """A processor's cache on its disk is damaged. Exit; the next start throws it away and reads the log instead."""


class BeyondLog(InvalidPosition):
    """A position lies beyond the log's end, so nobody was given it. To wait for it would be in vain."""

    def __init__(self, end: Position, goal: Position) -> None:
        """`end`: where the log ends, in the goal's topics."""
        super().__init__(f"the log ends at {end}: the position {goal} is beyond it, and was never given to anybody")
        self.end = end
        self.goal = goal


class StateNotExact(KafoldError):
    """A state would not be the same after it was written as JSON. Go on without snapshots of its aggregate type."""


class Stale(KafoldError):
    """A copy of the log has not come to a position in time. It may later: ask again, or ask without the position."""

    def __init__(self, what: str, at: Position, goal: Position | str) -> None:
        """`what`: the copy. `at`: how far it is. `goal`: what it should have, a position or in words."""
        super().__init__(f"{what} is stale: it is at {str(at) or 'its beginning'}, not yet at {goal}")
        self.at = at
        self.goal = goal


class BeyondDedupeWindow(KafoldError):
    """A fact is so old that its commands' ids are forgotten: to send them might act twice. The text says what to do."""


class SendFailed(KafoldError):
    """Kafka did not take a process manager's commands. They are kept: exit, and they are sent after a restart."""


class ParkedHistory(KafoldError):
    """One aggregate's events are not all in the journal, because one of them is parked. Mend its cause and retry it."""
