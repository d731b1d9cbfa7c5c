"""The fingerprint: whatever could change what the events fold into changes it, in every place where code can hide."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from schemas.metadata import EventMetadata
from schemas.shop.accounts import PurchaseRecorded
from schemas.shop.rows import CustomerSummary
from schemas.shop.users import CreateUser
from streams.domain.shop.app import shop
from streams.domain.shop.projections import Custom, customer_summary
from streams.kernel.bus import InProcessCommandBus
from streams.kernel.fingerprint import fingerprint, projection_fingerprint
from tests.schemas.ids import MemoryIds

Load = Callable[..., ModuleType]

RULES = """
import functools
import re
from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from schemas.history import History
from schemas.messages import AggregateId, Command, Event
from schemas.upcasting import Evolution, Upcaster
from schemas.values import Value
from streams.kernel.aggregate import Aggregate, State

from . import rates

LIMIT = 100
SINCE = date(1997, 1, 1)
PRICE = Decimal("1.50")
WORDS = re.compile("a+")
NAMES = {"b", "a", "c"}
TABLE = {"x": (1, {"deep": 2})}


def once(function):
    @functools.wraps(function)
    def wrapped(*args):
        return function(*args)

    return wrapped


def tripled(cents):
    return cents * 3


def doubled(cents):
    return tripled(cents) * 2


@once
def decorated(cents):
    return cents + 1


class Rounding:
    digits = 2

    def __init__(self, up):
        self.up = up

    def __call__(self, cents):
        return self.rounded(cents)

    def rounded(self, cents):
        return round(cents, self.digits)


ROUNDING = Rounding(up=True)
PARTIAL = functools.partial(max, 10)


class Line(Value):
    cents: int = 5

    @property
    def gross(self):
        return self.cents * 119


class Added(Event):
    box_id: Annotated[str, AggregateId]
    amount: int = 1
    line: Line = Line()


class Add(Command[None, None]):
    box_id: Annotated[str, AggregateId]


class Box(State):
    total: int = 0
    notes: list[str] = Field(default_factory=lambda: ["new"])
    even: Annotated[int, AfterValidator(lambda value: value * 2)] = 0

    @field_validator("total")
    @classmethod
    def check(cls, value):
        return value + 0


def evolve(box: Box, event: Added) -> Box:
    from .lazy import late

    total = doubled(event.amount) + decorated(1) + ROUNDING(1) + PARTIAL(1) + event.line.gross + rates.vat(1) + late(1)
    if SINCE and PRICE and WORDS and TABLE and event.box_id in NAMES and event.box_id in {"k", "j", "l"}:
        return box.but(total=total)
    return box.but(total=min(total, LIMIT))


def decide(box: Box, command: Add) -> list[Added]:
    return [Added(box_id=command.box_id)]


def upcast(fields):
    return {**fields, "amount": converted(fields["amount"])}


def converted(amount):
    return amount * 100


def unrelated():
    return 1


VERSION = {"type": "record", "name": "Added", "namespace": "x.box", "fields": [{"name": "amount", "type": "long"}]}
EVOLUTION = Evolution(History({"box.Added": [VERSION, VERSION]}), [Upcaster("box.Added", 1, upcast)])
box = Aggregate("box", initial=Box(total=7), decide=decide, evolve=evolve)
"""
RATES = "RATE = 19\n\n\ndef vat(cents):\n    return cents * RATE\n"
LAZY = "def late(cents):\n    return cents + 1\n"

CHANGES = {
    "a helper two calls away": ("rules", "cents * 3", "cents * 4"),
    "a helper in between": ("rules", "tripled(cents) * 2", "tripled(cents) * 3"),
    "a function behind a decorator": ("rules", "return cents + 1", "return cents + 2"),
    "the decorator": ("rules", "return function(*args)", "return -function(*args)"),
    "an upcaster": ("rules", '{**fields, "amount"', '{**fields, "more": 1, "amount"'),
    "a helper of an upcaster": ("rules", "amount * 100", "amount * 1000"),
    "a version that an upcaster leads to": ("rules", "[VERSION, VERSION]", '[VERSION, {**VERSION, "doc": ""}]'),
    "an event's default": ("rules", "amount: int = 1", "amount: int = 2"),
    "an event's field": ("rules", "amount: int = 1", "amount: float = 1"),
    "a nested model's default": ("rules", "cents: int = 5", "cents: int = 6"),
    "a nested model's property": ("rules", "self.cents * 119", "self.cents * 116"),
    "a state's default": ("rules", "total: int = 0", "total: int = 1"),
    "a state's default factory": ("rules", '["new"]', '["old"]'),
    "a validator": ("rules", "return value + 0", "return value + 1"),
    "an annotated validator": ("rules", "value * 2", "value * 4"),
    "the initial state": ("rules", "Box(total=7)", "Box(total=8)"),
    "a module constant": ("rules", "LIMIT = 100", "LIMIT = 101"),
    "a date": ("rules", "date(1997, 1, 1)", "date(1997, 1, 2)"),
    "a decimal": ("rules", '"1.50"', '"1.51"'),
    "a pattern": ("rules", '"a+"', '"a*"'),
    "a set": ("rules", '"b", "a", "c"', '"b", "a", "d"'),
    "a set in the code": ("rules", '"k", "j", "l"', '"k", "j", "m"'),
    "something deep in a table": ("rules", '"deep": 2', '"deep": 3'),
    "an object's attribute": ("rules", "up=True", "up=False"),
    "a method of an object": ("rules", "self.digits)", "self.digits + 1)"),
    "a class attribute": ("rules", "digits = 2", "digits = 3"),
    "a partial's argument": ("rules", "(max, 10)", "(max, 11)"),
    "another module's function": ("rates", "cents * RATE", "cents + RATE"),
    "another module's constant": ("rates", "RATE = 19", "RATE = 16"),
    "a function that is imported when it is called": ("lazy", "cents + 1", "cents + 2"),
}


@pytest.fixture
def load(tmp_path: Path, unique_name: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load the application above, with one change: `load(module, before, after)`; each time as another package."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load_one(module: str = "rules", before: str = "", after: str = "") -> ModuleType:
        package = "boxes"
        for name in [each for each in sys.modules if each.partition(".")[0] == package]:
            del sys.modules[name]
        folder = tmp_path / package
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
        for name, source in (("rules", RULES), ("rates", RATES), ("lazy", LAZY)):
            if name == module and before:
                assert source.count(before) == 1, "the change must be one change"
                changed = source.replace(before, after)
            else:
                changed = source
            (folder / f"{name}.py").write_text(textwrap.dedent(changed))
        return __import__(f"{package}.rules").rules  # type: ignore[no-any-return]

    return load_one


def fingerprint_of(rules: ModuleType) -> str:
    return fingerprint(rules.box, rules.EVOLUTION)


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen(what: str, load: Load) -> None:
    before = fingerprint_of(load())
    assert fingerprint_of(load(*CHANGES[what])) != before


def test_the_same_code_has_the_same_fingerprint(load: Load) -> None:
    assert fingerprint_of(load()) == fingerprint_of(load())


def test_what_evolve_does_not_reach_does_not_count(load: Load) -> None:
    before = fingerprint_of(load())
    assert fingerprint_of(load("rules", "    return 1\n", "    return 2\n")) == before
    assert fingerprint_of(load("rules", "return [Added(", "return 2 * [Added(")) == before


@pytest.mark.parametrize("seed", ["1", "2"])
def test_every_process_has_the_same_one(seed: str, load: Load, tmp_path: Path) -> None:
    """Python orders sets of texts by a seed of the process."""
    program = "from boxes.rules import *\nfrom streams.kernel.fingerprint import *\nprint(fingerprint(box, EVOLUTION))"
    here = fingerprint_of(load())
    path = os.pathsep.join([str(tmp_path), *sys.path])
    there = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert there.stdout.strip() == here


def test_using_the_code_does_not_change_it() -> None:
    """What the models and functions have cached by then is no code."""
    [user, _] = shop.aggregates
    before = fingerprint(user, shop.evolution)
    InProcessCommandBus(shop).dispatch(CreateUser(user_id="ada", email="a@b", name="Ada"))
    assert fingerprint(user, shop.evolution) == before


def test_reading_events_does_not_change_it() -> None:
    """What the decoders remember, such as the days of the log, is no code."""
    [_, account], before = shop.aggregates, projection_fingerprint(customer_summary, shop.evolution)
    codec = shop.event_codec(account, MemoryIds())
    meta = EventMetadata("e", "c", "c", "c", 1, 0)
    for number in range(3):
        event = PurchaseRecorded(
            account_id="a", purchase_id="p", day=date(2001, 2, 3 + number), quantity=1, amount_cents=1
        )
        assert codec.decode(codec.encode(event, meta)) == (event, meta)
    assert projection_fingerprint(customer_summary, shop.evolution) == before


def test_a_projection_that_folds_otherwise_has_another_one() -> None:
    before = projection_fingerprint(customer_summary)
    assert projection_fingerprint(replace(customer_summary, version=2)) == before
    assert projection_fingerprint(replace(customer_summary, project=_untouched)) != before


def _untouched(row: CustomerSummary, event: Custom, meta: EventMetadata) -> CustomerSummary:
    return row
