"""Declarations that do not fit together are refused when they are made, with what to change."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from schemas.errors import DefinitionError
from schemas.messages import Event
from schemas.metadata import EventMetadata
from schemas.rows import Row
from streams.domain.shop.app import shop
from streams.domain.shop.projections import customer_summary, users
from streams.domain.shop.users import user
from streams.kernel.aggregate import Aggregate, State
from streams.kernel.application import Application
from streams.kernel.projection import Projection
from tests.kernel.counters import COUNTER, COUNTERS, Add, Added, Counter, Split, decide, evolve


class Total(Row):
    counter_id: str
    total: int = 0


class Nothing(Row):
    """No key."""


class NoDefault(Row):
    counter_id: str
    total: int


def project(row: Total, _event: Added, _meta: EventMetadata) -> Total:
    return row


def test_the_message_types_are_read_off_the_annotations() -> None:
    assert COUNTER.command_types == (Add, Split)
    assert COUNTER.event_types == (Added,)
    assert COUNTER.fold([Added(counter_id="c", amount=2)] * 3) == Counter(total=6)


@pytest.mark.parametrize("name", ["", "Counter", "my-counter", "a.b", "a b", "zähler!"])
def test_an_aggregate_is_named_so_that_topics_and_records_can_be(name: str) -> None:
    with pytest.raises(DefinitionError, match="lower-case letters, digits and underscores"):
        replace_name(name)


def replace_name(name: str) -> Aggregate[Any, Any, Any]:
    return Aggregate(name, initial=Counter(), decide=decide, evolve=evolve)


def untyped(_state: Any, _command) -> Any:  # type: ignore[no-untyped-def] # noqa: ANN001
    raise NotImplementedError


def one_parameter(_state: Counter) -> Sequence[Added]:
    raise NotImplementedError


def of_events(_state: Counter, _command: Added) -> Sequence[Added]:
    raise NotImplementedError


def of_texts(_state: Counter, _command: Add | str) -> Sequence[Added]:
    raise NotImplementedError


def of_what_there_is_not(_state: Counter, _command: "Missing") -> Sequence[Added]:  # type: ignore[name-defined] # noqa: F821
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (untyped, "untyped needs two annotated parameters, the second a Command"),
        (one_parameter, "one_parameter needs two annotated parameters"),
        (of_events, "of_events: .*Added.* is not a Command"),
        (of_texts, "of_texts: .*str.* is not a Command"),
        (of_what_there_is_not, "of_what_there_is_not needs two annotated parameters.*Missing"),
    ],
)
def test_a_decide_that_does_not_say_its_commands_is_refused(function: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(DefinitionError, match=complaint):
        Aggregate("counter", initial=Counter(), decide=function, evolve=evolve)


def test_an_evolve_that_does_not_say_its_events_is_refused() -> None:
    def evolves(_state: Counter, _event: Event | Add) -> Counter:
        raise NotImplementedError

    with pytest.raises(DefinitionError, match=r"evolves: .*Add.* is not a Event"):
        Aggregate("counter", initial=Counter(), decide=decide, evolve=evolves)


@pytest.mark.parametrize("name", ["", "Shop", "my shop", "shop.eu"])
def test_an_application_is_named_so_that_topics_can_be(name: str) -> None:
    with pytest.raises(DefinitionError, match="use lower-case letters, digits"):
        Application(name, aggregates=[COUNTER])


def test_names_are_unique_within_an_application() -> None:
    with pytest.raises(DefinitionError, match="two aggregates are called counter"):
        Application("twice", aggregates=[COUNTER, COUNTER])
    with pytest.raises(DefinitionError, match="two projections are called users"):
        replace(shop, projections=[users, users])
    with pytest.raises(DefinitionError, match="two query handlers are called GetUserById"):
        replace(shop, queries=[*shop.queries, shop.queries[0]])


def test_a_projection_s_sources_are_in_the_application() -> None:
    with pytest.raises(DefinitionError, match="customer_summary takes events of account, which is not in half"):
        Application("half", aggregates=[user], projections=[customer_summary])


def test_what_there_is_not_is_answered_with_what_there_is() -> None:
    assert COUNTERS.aggregate("counter") is COUNTER
    with pytest.raises(DefinitionError, match="no aggregate 'order'; there are: user, account"):
        shop.aggregate("order")
    with pytest.raises(DefinitionError, match="no projection 'orders'; there are: users, customer_summary, daily_sal"):
        shop.projection("orders")


@pytest.mark.parametrize(("name", "version"), [("Totals", 1), ("my-totals", 1), ("1st", 1), ("totals", 0)])
def test_a_projection_has_a_name_that_a_table_can_have_and_a_version(name: str, version: int) -> None:
    with pytest.raises(DefinitionError, match="a lower-case name and a version from 1"):
        Projection(name, version=version, row=Total, of=[COUNTER], project=project)


def test_a_projection_folds_only_what_its_aggregates_have() -> None:
    with pytest.raises(DefinitionError, match="totals folds Added, which none of its aggregates has"):
        Projection("totals", version=1, row=Total, of=[user], project=project)


@pytest.mark.parametrize(
    ("row", "complaint"), [(Nothing, "Nothing has no fields"), (NoDefault, "NoDefault.total needs a default")]
)
def test_a_row_has_a_key_and_defaults_for_the_rest(row: type[Row], complaint: str) -> None:
    with pytest.raises(DefinitionError, match=complaint):
        Projection("totals", version=1, row=row, of=[COUNTER], project=project)  # type: ignore[arg-type]


def test_a_state_refuses_fields_that_it_does_not_have() -> None:
    with pytest.raises(TypeError, match="Counter has no field toal"):
        Counter().but(toal=1)
    assert isinstance(Counter(), State)
