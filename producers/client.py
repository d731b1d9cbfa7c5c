"""The command client: sends commands and waits for their answers.

`send` gives a command to Kafka and goes on; `ask` waits for its outcome. A command id is made unless one is given; with
the same id a command may be sent as often as one likes, it has one effect and one answer.

Promises: a refusal is a value, a timeout is an error that says the command may still be decided, and no outcome is
guessed.
"""

import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicCollection
from confluent_kafka.admin import AdminClient

from producers.outcome_reader import Answer, OutcomeReader
from producers.ports import Cluster
from schemas.codec import MessageCodec
from schemas.command_routes import CommandRoutes
from schemas.contract import Contract
from schemas.errors import KafoldError
from schemas.messages import Command
from schemas.metadata import CommandMetadata
from schemas.outcomes import Accepted, Outcome, Rejected, answer_of
from schemas.position import Position
from schemas.registry import SchemaIds
from schemas.topics import AggregateTopics, topic_id_text

if TYPE_CHECKING:
    from concurrent.futures import Future

R = TypeVar("R")
E = TypeVar("E")
TIMEOUT_S = 30.0


class AskTimeout(KafoldError):
    """No outcome came in time. The command may still be decided: ask again with the same command id."""


class SendFailed(KafoldError):
    """Kafka did not take a command. It was not decided: send it again."""


class _Route(NamedTuple):
    topics: AggregateTopics
    codec: MessageCodec[Any, CommandMetadata]


class Client:
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
    ) -> str:
        """Give a command to Kafka and return its id. `flush` says when Kafka has it.

        Raises:
            EncodingError: a value does not fit its schema.
            HandlerNotFound: no contract has commands of this type.
        """
        about = _metadata(command_id, expected_version, correlation_id, causation_id)
        self._produce(command, about, self._note_undelivered)
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
    ) -> Accepted[R] | Rejected[E]:
        """Send a command and wait for its answer.

        Raises:
            AskTimeout: no outcome came in time; the command may still be decided.
            CommandFailed: it could not be understood, or its decider raised.
            HandlerNotFound: no contract has commands of this type.
            SendFailed: Kafka did not take it.
        """
        about = _metadata(command_id, expected_version, correlation_id, causation_id)
        topics = self._routes.of(command).topics
        self._outcomes.follow()
        answer = self._outcomes.expect(str(about.command_id))
        try:
            self._produce(command, about, _failing(answer))
            outcome, partition = self._wait(answer, str(about.command_id), timeout_s)
        finally:
            self._outcomes.forget(str(about.command_id))
        return answer_of(outcome, type(command), self._position(topics, outcome, partition))

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

    def __enter__(self) -> Self:
        """Return the client; it is closed at the end of the `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what was sent, and leave the cluster."""
        self.close()

    def _produce(self, command: Command[Any, Any], about: CommandMetadata, delivered: Any) -> None:
        route = self._routes.of(command)
        value, key = route.codec.encode(command, about), command.aggregate_id.encode()
        while True:
            try:
                self._producer.produce(route.topics.commands, value, key, on_delivery=delivered)
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

    def _position(self, topics: AggregateTopics, outcome: Outcome, partition: int) -> Position:
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
    return CommandMetadata(made, correlation_id, causation_id, expected_version, time.time_ns() // 1_000_000)


def _failing(answer: "Future[Answer]") -> Any:
    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None and not answer.done():
            answer.set_exception(SendFailed(KafkaException(error).args[0].str()))

    return delivered
