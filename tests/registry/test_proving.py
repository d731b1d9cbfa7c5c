"""`schemas prove` on real topics: every schema counted, and the first record that cannot be read named."""

import pytest
from confluent_kafka import Producer

from producers.client import Client
from schemas.shop.users import ChangeEmail, CreateUser
from streams.kafka.config import Kafka
from streams.kafka.proving import prove_topics
from streams.kernel.application import Application


@pytest.mark.usefixtures("processor")
def test_every_schema_is_counted_and_the_first_bad_record_is_named(
    client: Client, application: Application, cluster: Kafka
) -> None:
    for number in range(3):
        client.ask(CreateUser(user_id=f"u{number}", email="a@b", name="N"))
    client.ask(ChangeEmail(user_id="u0", email="c@d"))
    steps: list[tuple[int, int]] = []
    proof = prove_topics(application, cluster, everything=True, advance=lambda *step: steps.append(step))
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
    assert steps[-1][0] == steps[-1][1]
    _spoil(application, cluster)
    proof = prove_topics(application, cluster)
    [unknown, cut] = sorted(proof.failures, key=lambda failure: failure.place.offset)
    assert f"{application.name}.user.events partition 3 offset" in str(unknown)
    assert "UnknownSchemaId" in str(unknown)
    assert "UserCreated: TruncatedMessage" in str(cut)


def _spoil(application: Application, cluster: Kafka) -> None:
    """Write to the events what no processor writes: an unknown id, and a body that ends too soon (twice)."""
    topic = f"{application.name}.user.events"
    proof = prove_topics(application, cluster)
    created = next(line for line in proof.lines if line.record.endswith("UserCreated"))
    producer = Producer(cluster.producer())
    producer.produce(topic, b"\0\x7f\0\0\0rest", b"k", partition=3)
    for _ in range(2):
        producer.produce(topic, b"\0" + created.schema_id.to_bytes(4, "big") + b"\x02", b"k", partition=3)
    assert producer.flush(10) == 0
