"""The helper `given(...).when(...).then(...)` itself: it must fail where a rule is broken, and say how."""

import pytest

from schemas.shop.users import ChangeEmail, CreateUser, EmailChanged, UserCreated, UserProblem
from streams.domain.shop.users import user
from streams.kernel.testing import given
from tests.kernel.counters import BROKEN_EVOLVE, Add, Added, misfiled

CREATE = CreateUser(user_id="ada", email="ada@example.org", name="Ada")
CREATED = UserCreated(user_id="ada", email="ada@example.org", name="Ada")


def test_other_events_than_expected_are_shown_beside_them() -> None:
    decided = given(user).when(CREATE)
    with pytest.raises(AssertionError, match=r"(?s)expected .*EmailChanged.*but got .*UserCreated"):
        decided.then(EmailChanged(user_id="ada", email="b@c"))
    with pytest.raises(AssertionError, match=r"(?s)expected nothing.*UserCreated"):
        decided.then_nothing()
    with pytest.raises(AssertionError, match=r"(?s)NOT_FOUND.*but got .*UserCreated"):
        decided.then_rejected(UserProblem.NOT_FOUND)


def test_another_refusal_than_expected_fails() -> None:
    decided = given(user).when(ChangeEmail(user_id="ada", email="b@c"))
    with pytest.raises(AssertionError, match=r"(?s)DEACTIVATED.*NOT_FOUND"):
        decided.then_rejected(UserProblem.DEACTIVATED)
    with pytest.raises(AssertionError, match="gone"):
        decided.then_rejected(UserProblem.NOT_FOUND, "gone")
    with pytest.raises(AssertionError, match=r"but got .*NOT_FOUND"):
        decided.then_nothing()


def test_another_answer_than_expected_fails() -> None:
    with pytest.raises(AssertionError, match=r"(?s)'bob'.*'ada'"):
        given(user).when(CREATE).then(CREATED).answering("bob")


def test_an_event_that_evolve_cannot_fold_is_found_here() -> None:
    with pytest.raises(ZeroDivisionError):
        given(BROKEN_EVOLVE).when(Add(counter_id="c", amount=13))


def test_an_event_of_another_aggregate_is_found_here() -> None:
    astray = misfiled("d")
    with pytest.raises(AssertionError, match="the command is for 'c', but this event is not"):
        given(astray).when(Add(counter_id="c", amount=1)).then(Added(counter_id="d", amount=1))
