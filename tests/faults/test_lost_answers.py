"""A commit whose answer is late or lost, by way of a proxy in front of the broker: the oracle holds all the same."""

import pytest

from streams.processor.processor import CommandProcessor
from streams.processor.transactions import Transactions
from tests.faults.judge import Judge
from tests.faults.proxy import ADD_OFFSETS_TO_TXN, END_TXN, PRODUCE, TXN_OFFSET_COMMIT, At, Proxy
from tests.waiting import wait_until

BURST = 100


@pytest.mark.parametrize("api_key", [END_TXN, TXN_OFFSET_COMMIT, ADD_OFFSETS_TO_TXN])
@pytest.mark.parametrize("at", At)
@pytest.mark.usefixtures("behind_proxy")
def test_a_request_that_is_cut_off(api_key: int, at: At, proxy: Proxy, judge: Judge) -> None:
    judge.send(300, BURST)
    judge.judge()
    fault = proxy.expect(api_key, at, cut=True)
    judge.send(301, BURST)
    wait_until(fault.caught.is_set, "the request is cut off")
    judge.judge()
    fault.release()
    judge.send(302, BURST)
    judge.judge()


@pytest.mark.parametrize("at", At)
def test_a_commit_that_is_delayed_beyond_the_timeout(
    at: At, producers: list[Transactions], behind_proxy: CommandProcessor, proxy: Proxy, judge: Judge
) -> None:
    fault = proxy.expect(END_TXN, at)
    judge.send(310, BURST)
    wait_until(fault.caught.is_set, "the commit is held")
    repeat = proxy.expect(END_TXN, At.REQUEST)
    repeat.release()
    wait_until(repeat.caught.is_set, "librdkafka has given up waiting and repeats it")
    judge.judge()
    fault.release()
    judge.send(311, BURST)
    judge.judge()
    assert len(producers) == 2, "the producer that had to repeat itself is replaced"


def test_records_that_are_not_delivered_in_time(
    producers: list[Transactions], behind_proxy: CommandProcessor, proxy: Proxy, judge: Judge
) -> None:
    fault = proxy.expect(PRODUCE, At.REQUEST)
    judge.send(320, BURST)
    wait_until(fault.caught.is_set, "the records are held")
    judge.judge()
    fault.release()
    judge.send(321, BURST)
    judge.judge()
    assert len(producers) == 2, "the producer that could not deliver is replaced"
