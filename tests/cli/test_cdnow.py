"""The demo's file: every line is a command or an error with its number."""

import pytest

from infra.demo.cdnow import CDNOW_TOTALS, BrokenLine, commands, packaged, purchases, totals
from schemas.shop.accounts import OpenAccount, RecordPurchase
from schemas.shop.users import CreateUser

HEADING = "customer_id,date,quantity,amount_usd"


def test_the_packaged_file_adds_up() -> None:
    assert totals(packaged()) == CDNOW_TOTALS


def test_a_customer_is_made_before_the_first_purchase_and_once() -> None:
    lines = [HEADING, "00001,1997-01-01,1,11.77", "00001,1997-01-02,2,0.00"]
    made = list(commands(purchases(lines)))
    assert [type(each.command) for each in made] == [CreateUser, OpenAccount, RecordPurchase, RecordPurchase]
    assert len({each.command_id for each in made}) == 4
    assert [each.command_id for each in made] == [each.command_id for each in commands(purchases(lines))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("00001,1997-01-01,1", "line 3: 3 fields instead of 4"),
        ("00001,1997-13-01,1,1.00", "line 3: .*month"),
        ("00001,1997-01-01,one,1.00", "line 3: .*'one'"),
        ("00001,1997-01-01,1,1.005", "line 3: .*whole number of cents"),
        ("00001,1997-01-01,1,much", "line 3: .*no amount of money"),
        ("00001,1997-01-01,1,Infinity", "line 3"),
        ("00001,1997-01-01,1,NaN", "line 3"),
        (",1997-01-01,1,1.00", "line 3: customer_id is empty"),
        ("", "line 3: 0 fields"),
    ],
)
def test_a_broken_line_is_told_with_its_number(line: str, reason: str) -> None:
    with pytest.raises(BrokenLine, match=reason):
        list(purchases([HEADING, "00001,1997-01-01,1,1.00", line]))


@pytest.mark.parametrize("lines", [[], [""], ["id,day,count,price"]])
def test_another_heading_is_refused(lines: list[str]) -> None:
    with pytest.raises(BrokenLine, match="line 1: the heading must be customer_id"):
        list(purchases(lines))
