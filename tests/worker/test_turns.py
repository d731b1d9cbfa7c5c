"""Threads take quick turns while batches are small, and Python's own while they are large."""

import sys
from collections.abc import Iterator

import pytest

from streams.worker.lanes import LARGE_RECORDS, SWITCH_LARGE_S, SWITCH_S, share_python


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize(
    ("records", "expected_s"), [(1, SWITCH_S), (LARGE_RECORDS - 1, SWITCH_S), (LARGE_RECORDS, SWITCH_LARGE_S)]
)
def test_turns_follow_the_last_batch(records: int, expected_s: float) -> None:
    share_python(records)
    assert sys.getswitchinterval() == pytest.approx(expected_s)
