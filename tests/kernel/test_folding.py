"""Folding, pure: pieces and wholes, parked keys, contiguity."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import TruncatedMessage
from schemas.metadata import EventMetadata
from schemas.shop.accounts import AccountEvent, AccountOpened, PurchaseRecorded
from streams.domain.shop.projections import customer_summary, daily_sales
from streams.kernel.errors import LogBroken
from streams.kernel.folding import Envelope, ParkedKeys, fold, next_versions, plan

KEYS = ["a", "b", "c"]


def history(choices: list[int]) -> list[Envelope]:
    versions: dict[str, int] = {}
    made = []
    for offset, choice in enumerate(choices):
        key = KEYS[choice % len(KEYS)]
        version = versions[key] = versions.get(key, 0) + 1
        day = date(1997, 1, 1 + choice % 5)
        event: AccountEvent = (
            AccountOpened(account_id=key)
            if version == 1
            else PurchaseRecorded(account_id=key, purchase_id=str(offset), day=day, quantity=1, amount_cents=choice)
        )
        meta = EventMetadata(f"{offset}-1", str(offset), "", "", version, 0)
        made.append(Envelope(offset, key.encode(), b"", event, meta))
    return made


def folded(projection: Any, pieces: list[list[Envelope]]) -> dict[Any, Any]:
    rows: dict[Any, Any] = {}
    parked = ParkedKeys()
    for piece in pieces:
        rows |= fold(projection, plan(projection, piece), rows.get, parked).rows
    return rows


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 40))
def test_a_batch_in_pieces_gives_the_rows_of_the_whole(choices: list[int], cut: int) -> None:
    whole = history(choices)
    for projection in (customer_summary, daily_sales):
        assert folded(projection, [whole[:cut], whole[cut:]]) == folded(projection, [whole])


def test_an_event_that_cannot_be_decoded_parks_its_message_and_what_comes_behind_it() -> None:
    batch = history([0, 0, 1, 0, 1])
    batch[1] = batch[1]._replace(event=None, meta=None, error=TruncatedMessage("cut"))
    result = fold(customer_summary, plan(customer_summary, batch), {}.get, ParkedKeys())
    assert [(each.key, each.by_message, each.envelope.offset) for each in result.problems] == [
        (b"a", True, 1),
        (b"a", True, 3),
    ]
    assert [each.error is None for each in result.problems] == [False, True]
    assert result.rows["a"].purchases == 0
    assert result.rows["b"].purchases == 1


def test_versions_go_on_from_where_they_were() -> None:
    batch = history([0, 1, 0, 1, 1])
    assert next_versions({}, batch) == {b"a": 2, b"b": 3}
    assert next_versions({b"a": 1, b"b": 2}, batch[2:3]) == {b"a": 2}


@pytest.mark.parametrize("before", [{}, {b"a": 2}])
def test_a_missing_or_doubled_version_is_refused(before: dict[bytes, int]) -> None:
    with pytest.raises(LogBroken, match="aggregate a is at version"):
        next_versions(before, history([0, 0])[1:])
