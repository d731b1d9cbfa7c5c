"""Appending: a command that carries events, for importing a history that was decided elsewhere.

It is the platform's own command, `kafold.AppendEvents`, on the commands topic of every aggregate type, so that it goes
through the aggregate's one owner: dedupe, expected versions and order hold for it as for any command. An aggregate type
takes it only if it is declared with `append="allowed"`.

Promises: the events' metadata (ids, version, time) is given by the owner, whatever the sender wrote there; events that
are not the aggregate's own, or that break their own rules, are refused, all or none.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from schemas.messages import PLATFORM, AggregateId, Command


class AppendProblem(StrEnum):
    """Why appended events may be refused."""

    FORBIDDEN = "append-forbidden"
    NOT_AN_EVENT = "not-an-event"
    OTHER_AGGREGATE = "other-aggregate"


class AppendEvents(Command[None, AppendProblem]):
    """Append events to one aggregate as they are; no rule of the application's is asked."""

    avro_namespace: ClassVar[str | None] = PLATFORM

    aggregate: str
    target_id: Annotated[str, AggregateId]
    events: tuple[bytes, ...]
