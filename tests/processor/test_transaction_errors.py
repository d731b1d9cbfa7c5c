"""What each error of a transaction means: a table from librdkafka's codes to what the processor does."""

import pytest
from confluent_kafka import KafkaError

from schemas.errors import KafoldError
from streams.kernel.errors import Fenced, Indefinite, TransactionAborted
from streams.processor.transactions import _sorted

FATAL = {"fatal": True}
ABORTABLE = {"txn_requires_abort": True}
RETRIABLE = {"retriable": True}
TABLE: list[tuple[int, dict[str, bool], type[KafoldError]]] = [
    # Another processor has the slot, however librdkafka marks it.
    (KafkaError._FENCED, FATAL, Fenced),
    (KafkaError.PRODUCER_FENCED, FATAL, Fenced),
    (KafkaError.INVALID_PRODUCER_EPOCH, FATAL, Fenced),
    (KafkaError.FENCED_INSTANCE_ID, ABORTABLE, Fenced),
    # Nothing happened yet, and an abort makes sure of it.
    (KafkaError.ILLEGAL_GENERATION, ABORTABLE, TransactionAborted),
    (KafkaError.UNKNOWN_MEMBER_ID, ABORTABLE, TransactionAborted),
    (KafkaError.INVALID_PRODUCER_ID_MAPPING, ABORTABLE, TransactionAborted),
    # Somebody or something else ended the transaction, or it is not known whether it did.
    (KafkaError.INVALID_TXN_STATE, FATAL, Indefinite),
    (KafkaError.INVALID_TXN_STATE, {}, Indefinite),
    (KafkaError._STATE, {}, Indefinite),
    (KafkaError.UNKNOWN_PRODUCER_ID, FATAL, Indefinite),
    (KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, FATAL, Indefinite),
    (KafkaError.CONCURRENT_TRANSACTIONS, RETRIABLE, Indefinite),
    (KafkaError._TIMED_OUT, RETRIABLE, Indefinite),
    (KafkaError._TRANSPORT, RETRIABLE, Indefinite),
    # Nothing happened, but this producer may never deliver anything to that partition again.
    (KafkaError._MSG_TIMED_OUT, ABORTABLE, Indefinite),
    # Lasting refusals: the new producer is refused in the same way, and the processor ends with these words.
    (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, FATAL, Indefinite),
    (KafkaError._FATAL, FATAL, Indefinite),
]


@pytest.mark.parametrize(("code", "marks", "meaning"), TABLE)
def test_an_error_means(code: int, marks: dict[str, bool], meaning: type[KafoldError]) -> None:
    error = _sorted(KafkaError(code, "the broker's words", **marks))
    assert type(error) is meaning
    assert "the broker's words" in str(error)
