"""The rules of users: to each command the right events, the right refusal, the right silence."""

import pytest

from schemas.shop.users import (
    ChangeEmail,
    CreateUser,
    DeactivateUser,
    EmailChanged,
    UserCreated,
    UserDeactivated,
    UserProblem,
)
from streams.domain.shop.users import user
from streams.kernel.testing import given

CREATED = UserCreated(user_id="ada", email="ada@example.org", name="Ada")
DEACTIVATED = UserDeactivated(user_id="ada")


def create(email: str = "ada@example.org") -> CreateUser:
    return CreateUser(user_id="ada", email=email, name="Ada")


def change(email: str) -> ChangeEmail:
    return ChangeEmail(user_id="ada", email=email)


def test_a_user_is_created_and_its_id_is_the_answer() -> None:
    given(user).when(create()).then(CREATED).answering("ada")


def test_an_id_is_taken_once() -> None:
    given(user, CREATED).when(create("other@example.org")).then_rejected(UserProblem.ALREADY_EXISTS)


def test_the_id_of_a_deactivated_user_stays_taken() -> None:
    given(user, CREATED, DEACTIVATED).when(create()).then_rejected(UserProblem.ALREADY_EXISTS)


@pytest.mark.parametrize(
    "email", ["", "ada", "@example.org", "ada@", "ada@home@example.org", "ada lovelace@example.org"]
)
def test_an_address_has_a_name_and_a_host(email: str) -> None:
    given(user).when(create(email)).then_rejected(UserProblem.INVALID_EMAIL, f"{email!r} is not of the form name@host")
    given(user, CREATED).when(change(email)).then_rejected(UserProblem.INVALID_EMAIL)


def test_an_address_can_be_changed() -> None:
    changed = EmailChanged(user_id="ada", email="ada@new.org")
    given(user, CREATED).when(change("ada@new.org")).then(changed).answering(None)


def test_a_changed_address_is_the_one_to_compare_with() -> None:
    changed = EmailChanged(user_id="ada", email="ada@new.org")
    given(user, CREATED, changed).when(change("ada@new.org")).then_nothing()
    back = EmailChanged(user_id="ada", email="ada@example.org")
    given(user, CREATED, changed).when(change("ada@example.org")).then(back)


def test_the_same_address_changes_nothing() -> None:
    given(user, CREATED).when(change("ada@example.org")).then_nothing()


def test_nobody_changes_a_user_that_there_is_not() -> None:
    given(user).when(change("ada@new.org")).then_rejected(UserProblem.NOT_FOUND)
    given(user).when(DeactivateUser(user_id="ada")).then_rejected(UserProblem.NOT_FOUND)


def test_a_user_is_deactivated() -> None:
    given(user, CREATED).when(DeactivateUser(user_id="ada")).then(DEACTIVATED)


def test_a_deactivated_user_stays_as_it_is() -> None:
    given(user, CREATED, DEACTIVATED).when(change("ada@new.org")).then_rejected(UserProblem.DEACTIVATED)


def test_to_deactivate_again_changes_nothing() -> None:
    given(user, CREATED, DEACTIVATED).when(DeactivateUser(user_id="ada")).then_nothing()
