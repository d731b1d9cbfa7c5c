"""`kafold schemas prove` as CI runs it: on real topics that hold an old version, and on ones that hold rubbish."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from infra.cli.context import Invocation
from infra.cli.main import app
from infra.version_files import make_versions
from schemas.metadata import EventMetadata
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry, register
from streams.kafka.topics import prepare_topics
from streams.kernel.application import Application
from streams.postgres.setup import prepare as prepare_database
from tests.cli.test_schemas import APPLICATION

UPCASTER = 'Upcaster("thing.Done", 1, lambda fields: {"thing_id": fields["thing_id"], "cents": fields["number"] * 100})'
PARK = """
INSERT INTO kafold.parked (application, projection, version, topic, partition, "offset", key, by_message, message_key,
    data, error_type, error, code)
VALUES (%s, 'p', 1, %s, 2, %s, 'k', false, 'k', %s, 'ValueError', 'no', 'c')
"""


@dataclass
class Things:
    """An application whose class has changed since its topic was written."""

    run: Callable[..., tuple[int, str]]
    first: Application
    topic: str
    cluster: Kafka
    dsn: str

    def event(self, number: int) -> bytes:
        """Return an event as the first version of the class wrote it."""
        return self.events([number])[0]

    def events(self, numbers: Iterable[int]) -> list[bytes]:
        """Return several."""
        aggregate = self.first.aggregate("thing")
        [done] = aggregate.event_types
        with TopicRegistry(self.cluster) as ids:
            codec = self.first.event_codec(aggregate, ids)
            metadata = EventMetadata("e", "c", "k", "k", 1, 1)
            return [codec.encode(done(thing_id="t", number=number), metadata) for number in numbers]

    def write(self, *values: bytes) -> None:
        """Write events to partition 1."""
        producer = Producer(self.cluster.producer())
        for value in values:
            producer.produce(self.topic, value, b"t", partition=1)
        assert producer.flush(10) == 0

    def park(self, offset: int, data: bytes) -> None:
        """Park an event, as a worker does."""
        with psycopg.connect(self.dsn) as connection:
            connection.execute(PARK, [self.first.name, self.topic, offset, data])


@pytest.fixture
def things(
    kafka: str, database: str, unique_name: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Things:
    monkeypatch.syspath_prepend(tmp_path)
    for variable, value in (("KAFKA__BOOTSTRAP_SERVERS", kafka), ("POSTGRES__DSN", database), ("HOME", str(tmp_path))):
        monkeypatch.setenv(f"KAFOLD_{variable}", value)
    name, cluster = unique_name("things"), Kafka(kafka)

    def module(called: str, field: str, upcaster: str) -> str:
        text = APPLICATION.replace('"things",', f'"{name}",').replace("FIELD", field)
        text = text.replace("import Evolution", "import Evolution, Upcaster")
        text = text.replace('/ "avsc")', f'/ "avsc"), [{upcaster}]')
        (tmp_path / f"{called}.py").write_text(text)
        return f"{called}:things"

    def run(*arguments: str, upcaster: str = UPCASTER) -> tuple[int, str]:
        target = module(unique_name("today"), "cents: int", upcaster)
        result = CliRunner().invoke(app, ["-A", target, "schemas", "prove", *arguments])
        return result.exit_code, result.stdout + (str(result.exception) if result.exit_code == 1 else "")

    first = Invocation(module(unique_name("first"), "number: int", ""), False).application()
    make_versions(first)
    prepare_topics(cluster, first, 4, 1, 3600)
    prepare_database(database, first)
    register(cluster, database, first.subjects())
    make_versions(Invocation(module(unique_name("second"), "cents: int", ""), False).application())
    return Things(run, first, first.topics(first.aggregate("thing")).events, cluster, database)


def test_old_events_are_proven_through_their_upcaster_wherever_they_are_kept(things: Things) -> None:
    things.write(*things.events(range(300)))
    things.park(7, things.event(7))
    code, said = things.run("--json")
    assert code == 0, said
    document = json.loads(said)
    assert (document["records"], document["failures"], document["excused"]) == (301, [], 0)
    assert 100 <= document["decoded"] < 301
    schemas: dict[str, Any] = {each["kept"]: each for each in document["schemas"]}
    assert schemas["topic"]["record"] == f"{things.first.name}.thing.Done"
    assert (schemas["topic"]["count"], schemas["topic"]["first"]) == (300, {"partition": 1, "offset": 0})
    assert schemas["topic"]["last"] == {"partition": 1, "offset": 299}
    assert (schemas["parked"]["count"], schemas["parked"]["first"]) == (1, {"partition": 2, "offset": 7})
    code, said = things.run("--all", "--json")
    assert (code, json.loads(said)["decoded"]) == (0, 301)


def test_the_first_position_that_would_fail_is_named(things: Things) -> None:
    good = things.event(1)
    things.write(*[good] * 150, good[:9], *[good] * 100, good[:9], good + b"!")
    assert things.run()[0] == 0  # a sample may miss what --all finds
    code, said = things.run("--all")
    assert code == 1
    assert f"{things.topic} partition 1 offset 150: {things.first.name}.thing.Done: TruncatedMessage: " in said
    assert "offset 251" not in said
    things.park(9, good[:9])
    code, said = things.run("--json")
    assert code == 1
    [failure] = [each for each in json.loads(said.rpartition("}")[0] + "}")["failures"] if each["kept"] == "parked"]
    assert (failure["partition"], failure["offset"], failure["error"]) == (2, 9, "TruncatedMessage")


def test_an_upcaster_that_fails_on_what_is_really_there_fails_the_proof(things: Things) -> None:
    things.write(things.event(5), things.event(0))
    fails_at_zero = UPCASTER.replace('fields["number"] * 100', '100 // fields["number"]')
    code, said = things.run("--all", upcaster=fails_at_zero)
    assert code == 1
    assert "partition 1 offset 1" in said
    assert "UpcasterFailed: " in said
    assert "raised ZeroDivisionError" in said


def test_without_topics_it_says_what_starts_them(
    kafka: str, database: str, unique_name: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KAFOLD_KAFKA__BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("KAFOLD_POSTGRES__DSN", database)
    name = unique_name("nowhere")
    (tmp_path / f"{name}.py").write_text(APPLICATION.replace('"things",', f'"{name}",').replace("FIELD", "x: int"))
    result = CliRunner().invoke(app, ["-A", f"{name}:things", "schemas", "prove"])
    assert result.exit_code != 0
    assert f"there is no topic {name}.thing.commands: start `kafold up` once" in str(result.exception)
