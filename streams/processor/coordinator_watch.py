"""The coordinator watch: whether an end of an earlier transaction may still be under way.

librdkafka repeats an EndTxn by itself when the connection breaks or the answer takes too long, and reports only the
repeat's success. The first one may still lie in a network, and would end the next transaction in the middle. The one
trace of it that is there in time is librdkafka's log of transactions: one line for each EndTxn, answered or not, which
is in the queue before `commit_transaction` returns. So the watch is the producer's logger.

Promises: pure, but for passing on to Python's logging what is worth it (above debug); once an EndTxn was left without
an answer, it is disturbed for good.
"""

import logging

CONTEXT = "eos"  # librdkafka's debug context for transactions: some twenty lines for each, and none for a record
_ENDED = "ENDTXN"
_UNANSWERED = "EndTxn returned _"  # the broker's own errors, which are answers, begin with a letter


class CoordinatorWatch:
    """Listens to one producer's log. It is shaped as confluent-kafka wants a logger: it has `log`."""

    def __init__(self, logger: logging.Logger) -> None:
        """Begin undisturbed. `logger`: who is told what librdkafka says above debug."""
        self._logger = logger
        self.disturbance: str | None = None

    def log(self, level: int, form: str, facility: str, client: str, text: str) -> None:
        """Take a line of librdkafka's."""
        if facility == _ENDED and _UNANSWERED in text:
            self.disturbance = text
        if level > logging.DEBUG:
            self._logger.log(level, form, facility, client, text)
