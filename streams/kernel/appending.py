"""Appending: what the owner does with a command that carries events.

Promises: pure; refusals are values and name the event by its number; what is accepted are events of this very
aggregate, decoded into today's classes and valid by their own rules. That they can be folded is seen afterwards, as
with any decision.
"""

from collections.abc import Sequence
from typing import Any

from schemas.appending import AppendEvents, AppendProblem
from schemas.codec import MessageCodec
from schemas.errors import DecodingError
from schemas.messages import Event
from schemas.metadata import EventMetadata
from schemas.outcomes import Rejected
from streams.kernel.aggregate import Aggregate


class Appending:
    """Decides `AppendEvents` for one aggregate type."""

    def __init__(self, aggregate: Aggregate[Any, Any, Any], codec: MessageCodec[Any, EventMetadata]) -> None:
        """Take the aggregate, whose policy it keeps, and the codec of its events."""
        self._aggregate = aggregate
        self._codec = codec.validating()

    def decide(self, command: AppendEvents) -> Sequence[Event] | Rejected[AppendProblem]:
        """Return the events that the command carries, or why they are refused."""
        name = self._aggregate.name
        if command.aggregate != name:
            return Rejected(AppendProblem.OTHER_AGGREGATE, f"the events are for {command.aggregate}, this is {name}")
        if self._aggregate.append != "allowed":
            return Rejected(AppendProblem.FORBIDDEN, f'{name} is not declared with append="allowed"')
        events = []
        for number, data in enumerate(command.events, 1):
            try:
                event, _ = self._codec.decode(data)
            except DecodingError as error:
                return Rejected(AppendProblem.NOT_AN_EVENT, f"event {number}: {type(error).__name__}: {error}")
            if event.aggregate_id != command.target_id:
                told = f"event {number} is of {event.aggregate_id!r}, not of {command.target_id!r}"
                return Rejected(AppendProblem.OTHER_AGGREGATE, told)
            events.append(event)
        return events
