"""CDNOW: every purchase of 23,570 customers of an online music shop, 1997-01-01 to 1998-06-30, as commands.

The file is `customer_id,date,quantity,amount_usd` with a heading, gzipped. Customers had no names in it: they get an
invented address, which says so.

Promises: pure generators; a broken line is an error with its number; a command's id follows from its line, so that the
same file asked twice has its effect once.
"""

import csv
import gzip
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from typing import Any, NamedTuple

from schemas.errors import KafoldError
from schemas.messages import Command
from schemas.shop.accounts import OpenAccount, RecordPurchase
from schemas.shop.users import CreateUser

HEADING = ["customer_id", "date", "quantity", "amount_usd"]


class BrokenLine(KafoldError):
    """A line is not a purchase. The text says which line and why: mend the file."""


class Purchase(NamedTuple):
    """One line of the file."""

    line: int
    customer_id: str
    day: date
    quantity: int
    amount_cents: int


class Identified(NamedTuple):
    """A command and its id."""

    command_id: str
    command: Command[Any, Any]


class Totals(NamedTuple):
    """What the file adds up to, and so must the projections."""

    purchases: int
    customers: int
    discs: int
    cents: int


CDNOW_TOTALS = Totals(purchases=69_659, customers=23_570, discs=167_881, cents=250_031_563)


def packaged() -> list[Purchase]:
    """Return the purchases of the file that comes with kafold."""
    data = (files("infra.data") / "cdnow.csv.gz").read_bytes()
    return list(purchases(gzip.decompress(data).decode("ascii").splitlines()))


def purchases(lines: Iterable[str]) -> Iterator[Purchase]:
    """Read the lines of the file.

    Raises:
        BrokenLine: with the line's number.
    """
    rows = csv.reader(lines)
    heading = next(rows, None)
    if heading != HEADING:
        raise BrokenLine(f"line 1: the heading must be {','.join(HEADING)}, it is {','.join(heading or [])!r}")
    for row in rows:
        yield _purchase(rows.line_num, row)


def totals(bought: Iterable[Purchase]) -> Totals:
    """Add purchases up."""
    every = list(bought)
    return Totals(
        len(every),
        len({each.customer_id for each in every}),
        sum(each.quantity for each in every),
        sum(each.amount_cents for each in every),
    )


def commands(bought: Iterable[Purchase]) -> Iterator[Identified]:
    """Make the commands: a customer's user and account before the first purchase, then each purchase."""
    seen: set[str] = set()
    for each in bought:
        if each.customer_id not in seen:
            seen.add(each.customer_id)
            yield from _customer(each.customer_id)
        yield Identified(
            f"cdnow-purchase-{each.line}",
            RecordPurchase(
                account_id=each.customer_id,
                purchase_id=f"cdnow-{each.line}",
                day=each.day,
                quantity=each.quantity,
                amount_cents=each.amount_cents,
            ),
        )


def _customer(customer_id: str) -> Iterator[Identified]:
    email, name = f"customer-{customer_id}@cdnow.invalid", f"Customer {customer_id}"
    yield Identified(f"cdnow-user-{customer_id}", CreateUser(user_id=customer_id, email=email, name=name))
    yield Identified(f"cdnow-account-{customer_id}", OpenAccount(account_id=customer_id))


def _purchase(line: int, row: list[str]) -> Purchase:
    if len(row) != len(HEADING):
        raise BrokenLine(f"line {line}: {len(row)} fields instead of {len(HEADING)}")
    customer_id, day, quantity, amount = row
    if not customer_id.strip():
        raise BrokenLine(f"line {line}: customer_id is empty")
    try:
        return Purchase(line, customer_id, date.fromisoformat(day), int(quantity), _cents(amount))
    except InvalidOperation:
        raise BrokenLine(f"line {line}: {','.join(row)}: {amount!r} is no amount of money") from None
    except ValueError as error:
        raise BrokenLine(f"line {line}: {','.join(row)}: {error}") from None


def _cents(amount: str) -> int:
    cents = Decimal(amount) * 100
    if not cents.is_finite() or cents != int(cents):
        raise ValueError(f"{amount} is no whole number of cents")
    return int(cents)
