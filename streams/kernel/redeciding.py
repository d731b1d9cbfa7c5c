"""Redeciding: how a recorded command ended, how it would end today, and whether that is the same.

An **ending** is what a command came to: its status, its events, and its answer. History's is made from the events that
the log has and from the outcome, where that is still kept; today's from a decision of today's code.

Promises: pure; two endings are the same if whoever asked could not tell them apart: the same status, the same events
(as today's classes read them), the same result or problem. Texts for people (a rejection's detail, the reason of a
failure) are not compared.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from schemas.codec import MessageCodec
from schemas.errors import DecodingError
from schemas.messages import Event
from schemas.metadata import EventMetadata
from schemas.outcomes import Outcome, Status
from streams.kernel.processing import ACCEPTED, FAILED, REJECTED, Decision

NOT_KEPT = "no events"


class Ending(NamedTuple):
    """How a command ended.

    `status`: None, if it left no events and its outcome is not kept any more. `events`: one that cannot be decoded
    today is the reason why. `answer`: the result or the problem as JSON, or why it failed; None: not kept.
    """

    status: Status | None
    events: tuple[Event | str, ...] = ()
    answer: str | None = None

    @property
    def kind(self) -> str:
        """What endings are counted by: the status, and which problem."""
        if self.status is None:
            return NOT_KEPT
        return f"{self.status} {self._problem()}" if self.status == REJECTED else str(self.status)

    def __str__(self) -> str:
        """Return it in a line."""
        if self.status == ACCEPTED:
            return f"accepted: {', '.join(map(_told, self.events)) or 'nothing'}"
        return f"{self.kind}: {self.answer}" if self.status == FAILED else self.kind

    def facts(self) -> dict[str, Any]:
        """Return it as plain data."""
        events = [
            {"undecodable": each}
            if isinstance(each, str)
            else {"type": type(each).__name__, **each.model_dump(mode="json")}
            for each in self.events
        ]
        return {"status": self.status, "events": events, "answer": self.answer}

    def _problem(self) -> str:
        problem = _problem_in(self.answer)
        return problem if isinstance(problem, str) else json.dumps(problem, ensure_ascii=False)


def recorded(outcome: Outcome | None, events: Iterable[Event | str]) -> Ending:
    """Return how a command ended in history. `outcome`: None, if it is not kept any more."""
    made = tuple(events)
    if outcome is None:
        return Ending(ACCEPTED, made) if made else Ending(None)
    return Ending(Status(outcome.status), made, outcome.result or outcome.problem or outcome.reason)


def decided(decision: Decision, codec: MessageCodec[Any, EventMetadata]) -> Ending:
    """Return the ending that a decision is."""
    return recorded(decision.outcome, read(codec, decision.events))


def read(codec: MessageCodec[Any, EventMetadata], events: Iterable[bytes]) -> Iterable[Event | str]:
    """Yield encoded events as today's classes; of one that cannot be decoded, why."""
    for data in events:
        try:
            yield codec.decode(data)[0]
        except DecodingError as error:
            yield f"{type(error).__name__}: {error}"


def differs(then: Ending, now: Ending) -> bool:
    """Return whether a command would end otherwise than it did, as far as it is known how it did."""
    if then.status is None:
        return bool(now.events)
    if then.status != now.status or then.events != now.events:
        return True
    if then.status == REJECTED:
        return bool(_problem_in(then.answer) != _problem_in(now.answer))
    if then.status == ACCEPTED and then.answer is not None:
        return bool(json.loads(then.answer) != json.loads(now.answer or "null"))
    return any(isinstance(each, str) for each in then.events)


def _problem_in(answer: str | None) -> Any:
    return json.loads(answer or "[null]")[0]


def _told(event: Event | str) -> str:
    return event if isinstance(event, str) else type(event).__name__
