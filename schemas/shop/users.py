"""The sample application's users: what may be asked of a user, and what may have happened to one."""

from enum import StrEnum
from typing import Annotated, TypeAlias

from pydantic import Field

from schemas.messages import AggregateId, Command, Event

UserId: TypeAlias = Annotated[str, AggregateId]


class UserProblem(StrEnum):
    """Why a user's command may be refused."""

    ALREADY_EXISTS = "already-exists"
    NOT_FOUND = "not-found"
    INVALID_EMAIL = "invalid-email"
    DEACTIVATED = "deactivated"


class CreateUser(Command[str, UserProblem]):
    """Register a user. Answers the user's id."""

    user_id: UserId = Field(min_length=1)
    email: str
    name: str


class ChangeEmail(Command[None, UserProblem]):
    """Give a user another address."""

    user_id: UserId
    email: str


class DeactivateUser(Command[None, UserProblem]):
    """Close a user's access for good. To repeat it changes nothing."""

    user_id: UserId


class UserCreated(Event):
    """A user was registered."""

    user_id: UserId
    email: str
    name: str


class EmailChanged(Event):
    """A user has another address."""

    user_id: UserId
    email: str


class UserDeactivated(Event):
    """A user's access was closed."""

    user_id: UserId


UserCommand: TypeAlias = CreateUser | ChangeEmail | DeactivateUser
UserEvent: TypeAlias = UserCreated | EmailChanged | UserDeactivated
