"""The command client: sends commands and waits for their answers.

`send` gives a command to Kafka and goes on; `ask` waits for its outcome; `outcome` asks for the outcome of a command
that was sent before, by whomever. A command id is made unless one is given; with the same id a command may be sent as
often as one likes, it has one effect and one answer.

Promises: a refusal is a value, a timeout is an error that says the command may still be decided, and no outcome is
guessed.
"""

import time
import uuid
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicCollection
from confluent_kafka.admin import AdminClient

from producers.asked import Answer, Asked, Question, Unknown
from producers.outcome_reader import OutcomeReader
from producers.ports import Cluster
from schemas.asking import AskOutcome
from schemas.closing import Closing
from schemas.codec import MessageCodec
from schemas.command_routes import CommandRoutes
from schemas.contract import Contract
from schemas.errors import KafoldError
from schemas.messages import Command
from schemas.metadata import CommandMetadata
from schemas.outcomes import Accepted, Rejected
from schemas.position import Position
from schemas.registry import SchemaIds
from schemas.topics import AggregateTopics, topic_id_text

if TYPE_CHECKING:
    from concurrent.futures import Future

R = TypeVar("R")
E = TypeVar("E")
TIMEOUT_S = 30.0
TRACEPARENT = "traceparent"


class AskTimeout(KafoldError):
    """No outcome came in time. The command may still be decided: ask again with the same command id."""


class SendFailed(KafoldError):
    """Kafka did not take a command. It was not decided: send it again."""


class _Route(NamedTuple):
    topics: AggregateTopics
    codec: MessageCodec[Any, CommandMetadata]


class Client(Closing):
    """Sends commands of the aggregates whose contracts it is given. It may be shared between threads."""

    def __init__(self, contracts: Sequence[Contract], cluster: Cluster, ids: SchemaIds, linger_ms: int = 0) -> None:
        """`linger_ms`: how long to wait for company before a record is sent; 0 for `ask`, 5 to 20 for bulk loading."""
        self._routes: CommandRoutes[_Route] = CommandRoutes()
        for contract in contracts:
            route = _Route(contract.topics, contract.command_codec(ids))
            self._routes.add(contract.topics.aggregate, contract.commands, route)
        self._cluster = cluster
        self._producer = Producer(cluster.producer(linger_ms=linger_ms, queue_buffering_max_messages=200_000))
        self._outcomes = OutcomeReader(
            cluster, {contract.topics.outcomes: contract.outcome_codec(ids) for contract in contracts}
        )
        self._topic_ids: dict[str, str] = {}
        self._undelivered: list[str] = []

    def send(
        self,
        command: Command[Any, Any],
        *,
        command_id: str | None = None,
        expected_version: int | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
    ) -> str:
        """Give a command to Kafka and return its id. `flush` says when Kafka has it.

        `traceparent`: the W3C trace context that the command belongs to; it goes along as a header.

        Raises:
            EncodingError: a value does not fit its schema.
            HandlerNotFound: no contract has commands of this type.
        """
        about = _metadata(command_id, expected_version, correlation_id, causation_id)
        self._produce(command, about, traceparent, self._note_undelivered)
        return str(about.command_id)

    def ask(
        self,
        command: Command[R, E],
        *,
        timeout_s: float = TIMEOUT_S,
        command_id: str | None = None,
        expected_version: int | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        traceparent: str | None = None,
    ) -> Accepted[R] | Rejected[E]:
        """Send a command and wait for its answer.

        Raises:
            AskTimeout: no outcome came in time; the command may still be decided.
            CommandFailed: it could not be understood, or its decider raised.
            HandlerNotFound: no contract has commands of this type.
            SendFailed: Kafka did not take it.
        """
        about = _metadata(command_id, expected_version, correlation_id, causation_id)
        asked = self.start(command, about, traceparent)
        try:
            return asked.answer(self._wait(asked.future, asked.command_id, timeout_s))
        finally:
            self.forget(asked)

    def start(self, command: Command[R, E], about: CommandMetadata, traceparent: str | None = None) -> Asked[R, E]:
        """Send a command and return what its answer will come to; `forget` it in the end. `about` has the command's id.

        Blocks only the first time, to find the ends of the outcomes topics.

        Raises:
            EncodingError: a value does not fit its schema.
            HandlerNotFound: no contract has commands of this type.
        """
        route, command_id = self._routes.of(command), str(about.command_id)
        self._outcomes.follow()
        future = self._outcomes.expect(command_id)
        asked = Asked(type(command), command_id, future, partial(self._position, route.topics))
        try:
            self._produce(command, about, traceparent, _delivered(asked))
        except BaseException:
            self.forget(asked)
            raise
        return asked

    def outcome(
        self, command: type[Command[R, E]], aggregate_id: str, command_id: str, *, timeout_s: float = TIMEOUT_S
    ) -> Accepted[R] | Rejected[E] | Unknown:
        """Ask the owner of an aggregate for the outcome of a command that was sent to it before.

        The question goes the command's way and so arrives behind it.

        Raises:
            AskTimeout: no answer came in time.
            CommandFailed: the command was sent again meanwhile, and failed.
            HandlerNotFound: no contract has commands of this type.
            OtherCommand: the command of this id was of another type.
            SendFailed: Kafka did not take the question.
        """
        question = self.start_question(command, aggregate_id, command_id)
        try:
            return question.outcome(self._wait(question.future, command_id, timeout_s))
        finally:
            self.forget(question)

    def start_question(self, command: type[Command[R, E]], aggregate_id: str, command_id: str) -> Question[R, E]:
        """Send the question for an outcome, as `start` sends a command; `forget` it in the end."""
        route, question_id = self._routes.of_type(command), str(uuid.uuid4())
        self._outcomes.follow()
        future = self._outcomes.expect(command_id, question_id)
        question = Question(command, command_id, future, partial(self._position, route.topics), False, question_id)
        record = AskOutcome(aggregate=route.topics.aggregate, target_id=aggregate_id, asked_id=command_id)
        try:
            data = route.codec.encode(record, CommandMetadata(question_id, time_ms=_now_ms()))
            self._put(route.topics.commands, data, aggregate_id, None, _delivered(question))
        except BaseException:
            self.forget(question)
            raise
        return question

    def is_taken(self, asked: Asked[Any, Any]) -> bool:
        """Return whether Kafka has confirmed by now that it has a command."""
        self._producer.poll(0)
        return asked.is_taken

    def forget(self, asked: Asked[Any, Any]) -> None:
        """Stop waiting for an answer."""
        self._outcomes.forget(asked.future, *asked.ids)

    def flush(self, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until Kafka has every command that was sent.

        Raises:
            SendFailed: it has not taken them all.
        """
        left = self._producer.flush(timeout_s)
        undelivered, self._undelivered = self._undelivered, []
        if left or undelivered:
            reason = undelivered[0] if undelivered else "no answer in time"
            raise SendFailed(f"{left + len(undelivered)} commands were not taken: {reason}")

    def close(self) -> None:
        """Wait for what was sent, and leave the cluster."""
        self._producer.flush(TIMEOUT_S)
        self._outcomes.close()

    def _produce(
        self, command: Command[Any, Any], about: CommandMetadata, traceparent: str | None, delivered: Any
    ) -> None:
        route = self._routes.of(command)
        data = route.codec.encode(command, about)
        self._put(route.topics.commands, data, command.aggregate_id, traceparent, delivered)

    def _put(self, topic: str, data: bytes, key: str, traceparent: str | None, delivered: Any) -> None:
        headers = [(TRACEPARENT, traceparent.encode())] if traceparent else None
        while True:
            try:
                self._producer.produce(topic, data, key.encode(), headers=headers, on_delivery=delivered)
                break
            except BufferError:
                self._producer.poll(0.1)  # the queue is full: deliveries make room
        self._producer.poll(0)

    def _wait(self, answer: "Future[Answer]", command_id: str, timeout_s: float) -> Answer:
        try:
            return answer.result(timeout_s)
        except TimeoutError:
            self._producer.poll(0)  # a delivery report may say why
            if answer.done():
                return answer.result()
            raise AskTimeout(
                f"no outcome of {command_id} within {timeout_s:g} s: it may still be decided; ask again with this id"
            ) from None

    def _position(self, topics: AggregateTopics, answer: Answer) -> Position:
        outcome, partition = answer
        if not outcome.offsets:
            return Position()
        return Position(
            {(topics.events, partition): outcome.offsets[-1] + 1}, {topics.events: self._topic_id(topics.events)}
        )

    def _topic_id(self, topic: str) -> str:
        if topic not in self._topic_ids:
            admin = AdminClient(self._cluster.admin())  # kept: its futures die with it
            found = admin.describe_topics(TopicCollection([topic]))
            self._topic_ids[topic] = topic_id_text(found[topic].result(TIMEOUT_S).topic_id)
        return self._topic_ids[topic]

    def _note_undelivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._undelivered.append(error.str())


def _metadata(
    command_id: str | None, expected_version: int | None, correlation_id: str | None, causation_id: str | None
) -> CommandMetadata:
    made = command_id or str(uuid.uuid4())
    return CommandMetadata(made, correlation_id, causation_id, expected_version, _now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _delivered(asked: Asked[Any, Any]) -> Any:
    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is None:
            asked.is_taken = True
        elif not asked.future.done():
            asked.future.set_exception(SendFailed(KafkaException(error).args[0].str()))

    return delivered
