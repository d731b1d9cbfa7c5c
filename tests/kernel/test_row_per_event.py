"""A row per event: what may be one, and what it is."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from schemas.errors import DefinitionError
from schemas.metadata import EventMetadata
from schemas.shop.accounts import AccountOpened, CreditGranted, PurchaseRecorded
from streams.domain.shop.accounts import account
from streams.domain.shop.users import user
from streams.kernel.fingerprint import projection_fingerprint
from streams.kernel.ignoring import ignores_metadata
from streams.kernel.projection import Row
from streams.kernel.row_per_event import RowPerEvent

META = EventMetadata("1-1", "1", "", "", 1, 0)
EVENT = PurchaseRecorded(account_id="a", purchase_id="p", day=date(1997, 1, 2), quantity=3, amount_cents=450)


class PurchaseRow(Row):
    purchase_id: str
    account_id: str = ""
    day: date | None = None


class WiderRow(PurchaseRow):
    amount_cents: int = 0


class OpenedRow(Row):
    account_id: str


def per_event(row: type[Row] = PurchaseRow, event: type[Any] = PurchaseRecorded, of: Any = account) -> Any:
    return RowPerEvent("purchases", version=1, row=row, of=[of], event=event)


def test_it_folds_like_any_projection() -> None:
    made = per_event()
    assert made.event_types == {PurchaseRecorded}
    assert made.key_of(EVENT) == "p"
    row = made.project(made.new_row("p"), EVENT, META)
    assert row == PurchaseRow(purchase_id="p", account_id="a", day=date(1997, 1, 2))
    assert ignores_metadata(made.project)


def test_its_partitions_fold_apart_whatever_the_key() -> None:
    assert (per_event().on_aggregate_key, per_event().folds_apart) == (False, True)
    opened = per_event(OpenedRow, AccountOpened)
    assert (opened.on_aggregate_key, opened.folds_apart) == (True, True)


def test_another_version_can_be_made_of_it() -> None:
    again = replace(per_event(), version=2)
    assert (again.version, again.event, again.key_of(EVENT)) == (2, PurchaseRecorded, "p")


def test_its_fingerprint_changes_with_what_it_keeps_of_what() -> None:
    found = {
        projection_fingerprint(each) for each in (per_event(), per_event(WiderRow), per_event(OpenedRow, AccountOpened))
    }
    assert len(found) == 3
    assert projection_fingerprint(per_event()) == projection_fingerprint(replace(per_event(), version=2))


class NoSuchField(PurchaseRow):
    colour: str = ""


class OtherType(PurchaseRow):
    quantity: str = ""


class NoDefault(PurchaseRow):
    amount_cents: int


@pytest.mark.parametrize(
    ("row", "event", "of", "complaint"),
    [
        (NoSuchField, PurchaseRecorded, account, r"NoSuchField\.colour is no field of PurchaseRecorded, which has acc"),
        (OtherType, PurchaseRecorded, account, r"OtherType\.quantity is declared as .*str.*, and in .* as .*int"),
        (NoDefault, PurchaseRecorded, account, r"NoDefault\.amount_cents needs a default"),
        (PurchaseRow, CreditGranted, account, r"PurchaseRow\.purchase_id is no field of CreditGranted"),
        (PurchaseRow, PurchaseRecorded, user, "folds PurchaseRecorded, which none of its aggregates has"),
        (Row, PurchaseRecorded, account, "Row has no fields; the first one is the key"),
    ],
)
def test_what_cannot_be_one_is_refused_by_name(row: Any, event: Any, of: Any, complaint: str) -> None:
    with pytest.raises(DefinitionError, match=complaint):
        per_event(row, event, of)
