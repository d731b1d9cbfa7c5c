"""`schemas prove` on real topics: every schema counted, and the first record that cannot be read named."""

from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from producers.client import Client
from schemas.errors import UnknownSchemaId
from schemas.metadata import CommandMetadata
from schemas.proof import Kept, Proof
from schemas.shop.users import ChangeEmail, CreateUser
from streams.kafka.config import Kafka
from streams.kafka.proving import prove_topics
from streams.kafka.registry import TopicRegistry
from streams.kernel.application import Application
from streams.kernel.proving import Provers
from tests.log import read_committed
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("processor")


@pytest.fixture
def proven(application: Application, cluster: Kafka, ids: TopicRegistry) -> Callable[[bool], Proof]:
    """`proven(everything)` reads the application's topics; the last step of its progress is checked each time."""

    def prove(everything: bool) -> Proof:
        steps: list[tuple[int, int]] = []
        provers = Provers(application, ids, everything=everything)
        prove_topics(application, cluster, provers, lambda *step: steps.append(step))
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]
        provers.proof.sort()
        return provers.proof

    return prove


def write(cluster: Kafka, topic: str, *values: bytes) -> None:
    """Write what no client writes, to partition 3."""
    producer = Producer(cluster.producer())
    for value in values:
        producer.produce(topic, value, b"k", partition=3)
    assert producer.flush(10) == 0


def test_every_schema_is_counted_and_the_first_bad_record_is_named(
    client: Client, application: Application, cluster: Kafka, proven: Callable[[bool], Proof]
) -> None:
    for number in range(3):
        client.ask(CreateUser(user_id=f"u{number}", email="a@b", name="N"))
    client.ask(ChangeEmail(user_id="u0", email="c@d"))
    proof = proven(True)
    counted = {
        (line.topic.removeprefix(application.name), line.record.rpartition(".")[2]): line.count for line in proof.lines
    }
    assert counted == {
        (".user.commands", "CreateUser"): 3,
        (".user.commands", "ChangeEmail"): 1,
        (".user.events", "UserCreated"): 3,
        (".user.events", "EmailChanged"): 1,
        (".user.outcomes", "Outcome"): 4,
    }
    assert proof.decoded == proof.records == 12
    assert not proof.failures

    [created] = [line for line in proof.lines if line.record.endswith("UserCreated")]
    cut = b"\0" + created.schema_id.to_bytes(4, "big") + b"\x02"
    topic = f"{application.name}.user.events"
    write(cluster, topic, b"\0\x7f\0\0\0rest", cut, cut)
    proof = proven(False)
    unknown, truncated = proof.failures
    assert (unknown.topic, unknown.partition, unknown.error) == (topic, 3, "UnknownSchemaId")
    assert (truncated.record.rpartition(".")[2], truncated.error) == ("UserCreated", "TruncatedMessage")
    assert truncated.offset == unknown.offset + 1
    assert str(truncated).startswith(f"{topic} partition 3 offset {truncated.offset}: ")


def test_a_bad_command_is_accounted_for_by_its_dead_letter(
    application: Application, cluster: Kafka, proven: Callable[[bool], Proof]
) -> None:
    topic = f"{application.name}.user.commands"
    write(cluster, topic, b"{json}", b"")
    wait_until(lambda: len(read_committed(cluster, application.dead_letters)) == 2, "both are dead letters")
    write(cluster, application.dead_letters, b"not from here")
    proof = proven(True)
    assert not proof.failures
    assert (proof.decoded, proof.excused, proof.records) == (0, 4, 4)
    assert {(line.kept, line.topic, line.record, line.excused) for line in proof.lines} == {
        (kept, topic, error, 1)
        for kept in (Kept.TOPIC, Kept.DEAD_LETTER)
        for error in ("WrongMagicByte", "TruncatedMessage")
    }


def test_a_command_that_could_be_read_when_it_became_a_dead_letter_must_be_readable_for_ever(
    application: Application, cluster: Kafka, ids: TopicRegistry, proven: Callable[[bool], Proof]
) -> None:
    codec = application.command_codec(application.aggregate("user"), ids)
    good = codec.encode(CreateUser(user_id="u", email="a@b", name="N"), _metadata())
    topic = f"{application.name}.user.commands"
    write(cluster, topic, good)  # its key is another one: understood, and put away as WrongKey
    wait_until(lambda: len(read_committed(cluster, application.dead_letters)) == 1, "it is a dead letter")
    proof = proven(True)
    assert (proof.excused, proof.failures) == (0, [])
    assert {(line.kept, line.decoded) for line in proof.lines if line.topic == topic} == {
        (Kept.TOPIC, 1),
        (Kept.DEAD_LETTER, 1),
    }
    # A class that is gone: what is kept can be read no more, and nothing excuses that.
    provers = Provers(application, _Forgetful(ids), everything=True)
    prove_topics(application, cluster, provers)
    [failure] = [each for each in provers.proof.failures if each.kept is Kept.DEAD_LETTER]
    assert (failure.topic, failure.partition, failure.error) == (topic, 3, "UnknownSchemaId")
    assert "(dead letter)" in str(failure)


class _Forgetful:
    """A registry that has lost its schemas."""

    def __init__(self, ids: TopicRegistry) -> None:
        self.id_of = ids.id_of

    def schema_of(self, schema_id: int) -> str:
        raise UnknownSchemaId(f"no schema has the id {schema_id}")


def _metadata() -> CommandMetadata:
    return CommandMetadata("c", "k", None, None, 1)
