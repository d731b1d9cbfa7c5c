"""Asking for an outcome: the platform's own record `kafold.AskOutcome`, on the commands topic of every aggregate type.

A client that lost its connection before the answer came asks the owner of the aggregate, on the way that the command
went, and so behind it: if the owner does not know the command then, it had not arrived.

The owner answers with what it remembers, the very bytes of the outcome, under the command's id; whoever waits for that
id gets it. What it does not remember it answers under the question's own id, with a failed outcome of `AskOutcome`:
nobody who waits for the command can take that for its answer, and nothing of the question is remembered.

Promises: pure data; to ask changes nothing.
"""

from typing import Annotated, ClassVar

from schemas.messages import PLATFORM, AggregateId, Message
from schemas.outcomes import Outcome, Status


class AskOutcome(Message):
    """Which outcome: of the command `asked_id`, which was sent to one aggregate. Its own id is in its metadata."""

    avro_namespace: ClassVar[str | None] = PLATFORM

    aggregate: str
    target_id: Annotated[str, AggregateId]
    asked_id: str


def not_remembered(question_id: str, asked_id: str, now_ms: int) -> Outcome:
    """Return the answer to a question about a command that has no final outcome."""
    reason = f"{asked_id} has no final outcome: it never arrived, it failed, or it is longer ago than the dedupe window"
    return Outcome(
        question_id, AskOutcome.__name__, Status.FAILED, 0, None, [], None, None, reason, question_id, now_ms
    )
