"""Answering: whether a cluster lets us in, and if not, why.

librdkafka tries again whatever went wrong, and a call that runs into its time limit says only that. What a connection
failed of it tells apart, to whoever polls.

Promises: an answer within the time limit, and sooner where to try again is of no use: credentials, certificates, names.
"""

import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import KafoldError
from streams.kafka.config import Kafka

ANSWER_S_MAX = 5.0
_LOOK_S = 0.25
_OF_NO_USE = (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE)  # noqa: SLF001
_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001


class ClusterUnreachable(KafoldError):
    """No broker answers, or none lets us in: see that kafka.bootstrap_servers and kafka.properties are right."""


def brokers(kafka: Kafka, timeout_s: float = ANSWER_S_MAX) -> int:
    """Return how many brokers a cluster has.

    Raises:
        ClusterUnreachable: it does not answer; the text says why.
    """
    told: list[KafkaError] = []
    admin = AdminClient({**kafka.admin(), "error_cb": told.append})
    ends_s = time.monotonic() + timeout_s
    while True:
        try:
            return len(admin.list_topics(timeout=_LOOK_S).brokers)
        except KafkaException as error:
            while admin.poll(0):
                pass
            if _is_in_vain({each.code() for each in told}) or time.monotonic() >= ends_s:
                raise ClusterUnreachable(_why(kafka, told, error.args[0])) from None


def _is_in_vain(codes: set[int]) -> bool:
    """Whether no broker is left to hope for: of several, one that has a wrong name is no trouble."""
    return _ALL_DOWN in codes and not codes.isdisjoint(_OF_NO_USE)


def _why(kafka: Kafka, told: list[KafkaError], last: KafkaError) -> str:
    telling = [each for each in told if each.code() != _ALL_DOWN] or [last]
    reason = next((each for each in telling if each.code() in _OF_NO_USE), telling[0])
    return (
        f"no answer from Kafka at {kafka.bootstrap_servers}: {reason.str()}; "
        "see that kafka.bootstrap_servers and kafka.properties (security.protocol and what it wants) are right"
    )
