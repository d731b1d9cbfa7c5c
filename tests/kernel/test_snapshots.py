"""Snapshots as bytes: exact, or refused; and nothing that somebody else wrote is taken for one."""

from collections import Counter as Tally
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, Field, computed_field, field_validator

from streams.domain.shop.accounts import Account
from streams.domain.shop.app import shop
from streams.kernel.aggregate import Aggregate, State
from streams.kernel.errors import StateNotExact
from streams.kernel.processing import Known
from streams.kernel.sameness import same
from streams.kernel.snapshots import BYTES_MAX, MARKER_KEY, Marker, SnapshotCodec
from tests.kernel.counters import Add, Added

ACCOUNT = SnapshotCodec(shop.aggregate("account"), "f", "t")
IDS = st.text(st.characters(exclude_categories=["Cs"]))
CENTS = st.integers()
ACCOUNTS = st.builds(
    Account,
    account_id=st.none() | IDS,
    closed=st.booleans(),
    left_cents=st.dictionaries(IDS, CENTS),
    credit_cents=CENTS,
    sent_cents=st.dictionaries(IDS, st.none() | CENTS),
)
VERSIONS = st.integers(0, 2**63)
KNOWN = st.builds(Known, ACCOUNTS, VERSIONS, st.none() | IDS.filter(bool))


class Kind(StrEnum):
    A = "a"


class Inner(State):
    kind: Kind = Kind.A


class Wide(State):
    """A state with something of everything."""

    when: AwareDatetime = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    day: date = date(2026, 1, 2)
    at: time = time(1, 2)
    length: timedelta = timedelta(seconds=1.5)
    amount: Decimal = Decimal("1.10")
    ratio: float = -0.0
    key: UUID = UUID(int=7)
    data: bytes = b"x"
    names: frozenset[str] = frozenset({"a", "b", "c"})
    pairs: tuple[tuple[int, str], ...] = ((1, "a"),)
    inner: Inner = Inner()
    counts: dict[str, int] = Field(default_factory=dict)
    kind: str = "k"
    either: int | str | None = None


class Narrow(State):
    """A second kind of state with the fields of another one."""

    kind: Kind = Kind.A


class Derived(State):
    total: int = 0

    @computed_field
    def double(self) -> int:
        return 2 * self.total


class Strict(State):
    total: int = 0

    @field_validator("total")
    @classmethod
    def never_negative(cls, total: int) -> int:
        if total < 0:
            raise RuntimeError("negative")
        return total


AnyState = Wide | Inner | Narrow | Derived | Strict


def decide(state: AnyState, command: Add) -> list[Added]:
    return []


def evolve(state: AnyState, event: Added) -> AnyState:
    return state


ANY = SnapshotCodec(Aggregate(name="any", initial=Wide(), decide=decide, evolve=evolve), "f", "t")


@given(IDS, KNOWN, VERSIONS)
def test_a_snapshot_is_what_it_was(aggregate_id: str, known: Known, before: int) -> None:
    key = aggregate_id.encode()
    snapshot = ACCOUNT.decode(key, ACCOUNT.encode(key, known, before))
    assert snapshot is not None
    assert snapshot == (known, before)
    assert same(snapshot.known.state, known.state)
    assert type(snapshot.known) is Known


@pytest.mark.parametrize(
    "state",
    [Wide(), Wide(either="1"), Wide(either=1), Inner(), Narrow(), Derived(total=3)],
    ids=lambda state: repr(state)[:20],
)
def test_every_kind_of_state_is_the_same_afterwards(state: AnyState) -> None:
    snapshot = ANY.decode(b"k", ANY.encode(b"k", Known(state, 1), 5))
    assert snapshot is not None
    assert same(snapshot.known.state, state)


class Other(State):
    """A state that evolve does not say it returns."""


@pytest.mark.parametrize(
    "state",
    [
        Wide().but(counts=Tally("aab")),
        Wide().but(kind=Kind.A),
        Wide().but(names={"a"}),
        Wide().but(pairs=[]),
        Wide().but(amount=1),
        Wide().but(ratio=float("nan")),
        Wide().but(ratio=float("inf")),
        Wide().but(inner=Narrow()),
        Wide().but(data=b"\xff"),
        Wide().but(kind="\ud800"),
        Wide().but(when=datetime(2026, 1, 2, tzinfo=ZoneInfo("Europe/Berlin"))),
        Wide().but(when=datetime(2026, 1, 2)),  # noqa: DTZ001 - without a zone, on purpose
        Wide(kind="x" * BYTES_MAX),
        Strict().but(total=-1),
        Other(),
    ],
    ids=lambda state: f"{type(state).__name__}-{len(repr(state))}",
)
def test_a_state_that_would_be_another_one_is_refused(state: State) -> None:
    with pytest.raises(StateNotExact, match="any has no snapshots"):
        ANY.encode(b"k", Known(state, 1), 5)


@given(KNOWN, st.data())
def test_a_changed_byte_makes_it_nothing(known: Known, data: st.DataObject) -> None:
    value = bytearray(ACCOUNT.encode(b"k", known, 5))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert ACCOUNT.decode(b"k", bytes(value)) is None


@given(st.binary())
def test_rubbish_is_nothing(value: bytes) -> None:
    assert ACCOUNT.decode(b"k", value) is None
    assert ACCOUNT.decode_marker(value) is None


def test_it_is_of_no_use_under_another_key_or_stamp() -> None:
    value, marker = ACCOUNT.encode(b"k", Known(Account(), 1), 5), ACCOUNT.encode_marker(Marker(5, 7))
    assert ACCOUNT.decode(b"l", value) is None
    assert ACCOUNT.decode_marker(marker) == Marker(5, 7)
    assert ACCOUNT.decode_marker(marker[:-1]) is None
    for other in (("g", "t"), ("f", "u")):
        codec = SnapshotCodec(shop.aggregate("account"), *other)
        assert codec.decode(b"k", value) is None
        assert codec.decode_marker(marker) is None


@given(IDS)
def test_no_aggregate_has_the_markers_key(aggregate_id: str) -> None:
    assert aggregate_id.encode() != MARKER_KEY
    with pytest.raises(UnicodeDecodeError):
        MARKER_KEY.decode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        (Decimal("1.0"), Decimal("1.00")),
        ({1}, frozenset({1})),
        ({1}, {True}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, {"a": True}),
        ((1, 2), [1, 2]),
        ((1, 2), (1, 2, 3)),
        ("a", Kind.A),
        (datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1)))),
        (Inner(), Narrow()),
        (object, object),
    ],
    ids=repr,
)
def test_equal_is_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert not same([one], [other])


SAME: list[Callable[[], Any]] = [
    lambda: {"a": [1, (2.5, None)], "b": {Decimal("1.10")}},
    lambda: (datetime(2026, 1, 1, tzinfo=UTC), time(1, 2), Kind.A, frozenset({"x", "y"})),
    lambda: Wide(counts={"a": 1}),
]


@pytest.mark.parametrize("make", SAME)
def test_what_is_made_alike_is_the_same(make: Callable[[], Any]) -> None:
    assert same(make(), make())
