"""The coordinator watch: from librdkafka's log to trust. `tests/faults/test_lost_answers.py` has real disturbances."""

import logging

import pytest

from streams.processor.coordinator_watch import CoordinatorWatch

FORM = "%s [%s] %s"


@pytest.fixture
def watch() -> CoordinatorWatch:
    return CoordinatorWatch(logging.getLogger("kafold.tests"))


def ended(watch: CoordinatorWatch, error: str) -> None:
    text = f"[thrd:main]: EndTxn returned {error} in state CommittingTransaction (may_retry=true)"
    watch.log(logging.DEBUG, FORM, "ENDTXN", "rdkafka#producer-3", text)


@pytest.mark.parametrize("answer", ["NO_ERROR", "CONCURRENT_TRANSACTIONS", "NOT_COORDINATOR", "PRODUCER_FENCED"])
def test_an_end_that_is_answered_disturbs_nothing(watch: CoordinatorWatch, answer: str) -> None:
    ended(watch, answer)
    assert watch.disturbance is None


@pytest.mark.parametrize("error", ["_TRANSPORT", "_TIMED_OUT", "_TIMED_OUT_QUEUE", "_DESTROY"])
def test_an_end_without_an_answer_disturbs_for_good(watch: CoordinatorWatch, error: str) -> None:
    ended(watch, error)
    ended(watch, "NO_ERROR")
    assert watch.disturbance is not None
    assert error in watch.disturbance


def test_only_what_is_above_debug_is_passed_on(watch: CoordinatorWatch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        watch.log(logging.DEBUG, FORM, "TXNAPI", "p", "called")
        watch.log(logging.INFO, FORM, "FAIL", "p", "Disconnected")
    assert caplog.messages == ["FAIL [p] Disconnected"]
    assert watch.disturbance is None
