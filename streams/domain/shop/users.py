"""The rules of users: an id is taken once, an address has an @, and a deactivated user stays as it is."""

from collections.abc import Sequence
from typing import assert_never

from schemas.outcomes import Rejected
from schemas.shop.users import (
    ChangeEmail,
    CreateUser,
    DeactivateUser,
    EmailChanged,
    UserCommand,
    UserCreated,
    UserDeactivated,
    UserEvent,
    UserProblem,
)
from streams.kernel.aggregate import Aggregate, State


class User(State):
    """What the rules need to know of a user."""

    user_id: str | None = None
    email: str = ""
    active: bool = False


def decide(user: User, command: UserCommand) -> Sequence[UserEvent] | Rejected[UserProblem]:
    """Apply the rules of users."""
    match command:
        case CreateUser() if user.user_id is not None:
            return Rejected(UserProblem.ALREADY_EXISTS)
        case ChangeEmail() | DeactivateUser() if user.user_id is None:
            return Rejected(UserProblem.NOT_FOUND)
        case CreateUser(email=email) | ChangeEmail(email=email) if not _is_address(email):
            return Rejected(UserProblem.INVALID_EMAIL, f"{email!r} is not of the form name@host")
        case CreateUser():
            return [UserCreated.of(command)]
        case ChangeEmail() if not user.active:
            return Rejected(UserProblem.DEACTIVATED)
        case ChangeEmail(email=email):
            return [] if email == user.email else [EmailChanged.of(command)]
        case DeactivateUser():
            return [UserDeactivated.of(command)] if user.active else []
        case _:
            assert_never(command)


def evolve(user: User, event: UserEvent) -> User:
    """Fold one event into a user."""
    match event:
        case UserCreated(user_id=user_id, email=email):
            return User(user_id=user_id, email=email, active=True)
        case EmailChanged(email=email):
            return user.but(email=email)
        case UserDeactivated():
            return user.but(active=False)
        case _:
            assert_never(event)


def result(user: User, events: Sequence[UserEvent]) -> str | None:
    """Answer a creation with the user's id."""
    return user.user_id if any(isinstance(event, UserCreated) for event in events) else None


def _is_address(email: str) -> bool:
    name, at, host = email.partition("@")
    return bool(name and at and host) and " " not in email and "@" not in host


user = Aggregate("user", initial=User(), decide=decide, evolve=evolve, result=result)
