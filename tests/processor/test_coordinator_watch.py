"""The coordinator watch: from statistics to trust."""

import json

import pytest

from streams.processor.coordinator_watch import CoordinatorWatch, Counters, counters_of


def statistics(**counted: int) -> str:
    undisturbed = {"txretries": 0, "disconnects": 0, "req_timeouts": 0, "tx": 17}
    other = {**undisturbed, "disconnects": 9}
    return json.dumps({"brokers": {"127.0.0.1:9/1": other, "TxnCoordinator": {**undisturbed, **counted}}})


def test_an_undisturbed_coordinator_has_not_moved() -> None:
    watch = CoordinatorWatch()
    watch.take(statistics())
    assert not watch.moved


@pytest.mark.parametrize("counter", ["txretries", "disconnects", "req_timeouts"])
def test_each_counter_counts(counter: str) -> None:
    watch = CoordinatorWatch()
    watch.take(statistics(**{counter: 1}))
    assert watch.moved


def test_statistics_from_before_the_coordinator_is_known_say_nothing() -> None:
    assert counters_of('{"brokers": {}}') == Counters()
    assert counters_of("{}") == Counters()
