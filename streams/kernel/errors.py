"""Errors of the platform, as a tree under schemas.errors.KafoldError. Each says how to handle it.

::

    KafoldError
    ├── TopicProblem      a topic is missing, or set so that it could lose events: mend the topic, then start again
    ├── Fenced            another process has taken over: exit, its supervisor may start a new one
    ├── Indefinite        nobody knows whether a transaction committed: forget all state, read the log again, go on
    ├── TransactionAborted  a transaction was given up and nothing of it happened: rewind and do it again
    ├── WrongKey          (a DecodingError) a command's Kafka key is not where or what it must be: dead-letter it
    └── LogBroken         the log contradicts itself (a version is missing or twice): stop and look
"""

from schemas.errors import DecodingError, KafoldError


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
