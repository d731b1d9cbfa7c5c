"""What other languages are told is true: the exported page's examples, run as they stand against a real `kafold up`.

kcat and a JDK are run where they are installed. Without them the same bytes and the same REST routes are used by
fastavro alone and by Confluent's own serializers, which are always there.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest
from confluent_kafka import Producer

from infra.engines.jars import Jar, class_path, default_cache, read_pinned
from infra.exporting import exported
from schemas.page_examples import JARS
from streams.domain.shop.app import shop
from streams.kafka.config import Kafka
from tests.fixtures.up import Up
from tests.log import read_committed
from tests.waiting import wait_until

PAGE = exported(shop)["index.md"]
AVRO = "org.apache.avro:avro:1.12.1"
AVRO_SHA256 = "72600f057bfbe2efe35fa55433e7756d45667dc938934be38a6e2be368aca237"
PROGRAM_S_MAX = 60
OPENED = "account_id-1"  # the aggregate of the examples


def block(message: str, label: str) -> str:
    """Return an example as one copies it from the page."""
    [section] = [each for each in PAGE.split("\n### ") if each.split("\n")[0].endswith(f" {message}")]
    found = re.search(rf"\n{re.escape(label)}:\n\n```\n(.*?)\n```", section, re.DOTALL)
    assert found, f"{message} has no example for {label}"
    return found[1]


@pytest.fixture(scope="module")
def where(up: Up, up_kafka: Kafka) -> Mapping[str, str]:
    """The two variables that the page asks for."""
    return {"BROKER": up_kafka.bootstrap_servers, "REGISTRY": f"{up.api_url}/registry"}


def answered(up_kafka: Kafka, where: Mapping[str, str], command: str) -> list[Any]:
    """Return the answers to a kind of command, read by fastavro with nothing but the REST routes."""
    outcomes = [rest_decoded(each.value(), where) for each in read_committed(up_kafka, "shop.account.outcomes")]
    return [
        each["status"] for each in outcomes if each["command"] == command and each["command_id"].startswith("shop.")
    ]


def rest_decoded(data: bytes, where: Mapping[str, str]) -> Any:
    schema = rest_schema(where["REGISTRY"], int.from_bytes(data[1:5], "big"))
    return fastavro.schemaless_reader(BytesIO(data[5:]), schema, None)


@lru_cache
def rest_schema(registry: str, schema_id: int) -> Any:
    """Ask for a schema once: other tests have filled these topics with tens of thousands of records."""
    return fastavro.parse_schema(json.loads(httpx.get(f"{registry}/schemas/ids/{schema_id}").json()["schema"]))


def sent_by_hand(where: Mapping[str, str], command: str) -> None:
    """Do what the page has kcat do, with its very bytes."""
    text = block(command, "kcat")
    subject = re.search(r"subjects/(\S+)/versions/latest", text)
    octal = re.search(r"printf '((?:\\\d{3})+)'; }", text)
    key = re.search(r" -k '(.*?)' ", text)
    assert subject
    assert octal
    assert key
    body = bytes(int(each, 8) for each in octal[1].split("\\")[1:])
    schema_id = httpx.get(f"{where['REGISTRY']}/subjects/{subject[1]}/versions/latest").json()["id"]
    producer = Producer({"bootstrap.servers": where["BROKER"], "partitioner": "murmur2_random"})
    producer.produce("shop.account.commands", b"\0" + schema_id.to_bytes(4, "big") + body, key[1])
    assert producer.flush(10) == 0


def test_the_examples_bytes_are_commands_and_fastavro_reads_the_topics_with_the_rest_routes_alone(
    where: Mapping[str, str], up_kafka: Kafka
) -> None:
    sent_by_hand(where, "OpenAccount")
    wait_until(lambda: bool(answered(up_kafka, where, "OpenAccount")), "the command is answered")
    events = [rest_decoded(each.value(), where) for each in read_committed(up_kafka, "shop.account.events")]
    assert OPENED in [each["account_id"] for each in events]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_confluents_serializers_write_our_commands_and_read_our_events(
    where: Mapping[str, str], up_kafka: Kafka
) -> None:
    """With the settings that the page names."""
    from confluent_kafka.schema_registry import SchemaRegistryClient, topic_record_subject_name_strategy
    from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    client = SchemaRegistryClient({"url": where["REGISTRY"]})
    subject = "shop.account.commands-shop.account.OpenAccount"
    settings = {
        "auto.register.schemas": False,
        "use.latest.version": True,
        "subject.name.strategy": topic_record_subject_name_strategy,
    }
    serialize = AvroSerializer(client, client.get_latest_version(subject).schema.schema_str, conf=settings)
    context = SerializationContext("shop.account.commands", MessageField.VALUE)
    command_id = f"confluent-{time.time_ns()}"
    value = {"metadata": {"command_id": command_id}, "account_id": command_id}
    producer = Producer({"bootstrap.servers": where["BROKER"], "partitioner": "murmur2_random"})
    producer.produce("shop.account.commands", serialize(value, context), command_id)
    assert producer.flush(10) == 0
    deserialize = AvroDeserializer(client)

    def opened() -> list[str]:
        found = [deserialize(each.value(), None) for each in read_committed(up_kafka, "shop.account.events")]
        return [each["metadata"]["command_id"] for each in found if each["account_id"] == command_id]

    wait_until(lambda: opened() == [command_id], "the command has its event")
    client.__exit__()


def kcat_has(what: str) -> bool:
    kcat = shutil.which("kcat")
    if kcat is None:
        return False
    told = subprocess.run([kcat, "-V"], capture_output=True, text=True, check=False)
    return what in told.stdout + told.stderr


def shell(script: str, where: Mapping[str, str], folder: Path) -> str:
    """Run what one has copied, in a folder of its own."""
    shell = ["/bin/sh", "-ec", script]
    environment = {**os.environ, **where}
    done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not kcat_has("Version") or shutil.which("curl") is None, reason="kcat and curl are not installed")
def test_kcat_sends_the_example(where: Mapping[str, str], up_kafka: Kafka, tmp_path: Path) -> None:
    sends = [line for line in block("OpenAccount", "kcat").splitlines() if "-s value=avro" not in line]
    before = len(answered(up_kafka, where, "OpenAccount"))
    shell("\n".join(sends), where, tmp_path)
    wait_until(lambda: len(answered(up_kafka, where, "OpenAccount")) > before, "the command is answered")


@pytest.mark.skipif(not kcat_has("Avro"), reason="no kcat that was built with Avro is installed")
def test_kcat_reads_our_events(where: Mapping[str, str], up_kafka: Kafka, tmp_path: Path) -> None:
    sent_by_hand(where, "OpenAccount")
    wait_until(lambda: bool(answered(up_kafka, where, "OpenAccount")), "the command is answered")
    lines = shell(block("AccountOpened", "kcat"), where, tmp_path).splitlines()
    [found] = [line for line in lines if line.startswith(f"{OPENED} ") and '"version": 1,' in line]
    assert json.loads(found.partition(" ")[2])["account_id"] == OPENED


def java_compiles() -> bool:
    java = shutil.which("java")
    if java is None:
        return False
    return (
        "jdk.compiler@" in subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=False).stdout
    )


def test_the_archives_that_java_is_told_to_fetch_are_those_of_the_engines() -> None:
    pinned = {f"{each.group}:{each.artifact}:{each.version}" for each in read_pinned()}
    assert set(JARS) - pinned == {AVRO}


@pytest.fixture(scope="module")
def jars() -> str:
    """The examples' class path; the archives are those of the engines, and Avro's, by its hash."""
    own = [each for each in read_pinned() if f"{each.group}:{each.artifact}:{each.version}" in JARS]
    group, artifact, version = AVRO.split(":")
    return class_path([*own, Jar(group, artifact, version, AVRO_SHA256)], default_cache(), lambda _: None)


@pytest.fixture
def java(where: Mapping[str, str], jars: str, tmp_path: Path) -> Iterator[Any]:
    """`java(message, does)` runs the example as the page says, and returns its process."""
    started: list[subprocess.Popen[str]] = []

    def run(message: str, does: str) -> "subprocess.Popen[str]":
        name = f"{does}{message}.java"
        (tmp_path / name).write_text(block(message, f"Java: {name}"))
        command = [str(shutil.which("java")), "-cp", jars, name, where["BROKER"], where["REGISTRY"]]
        started.append(
            subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.skipif(not java_compiles(), reason="no JDK is installed (the JRE of the engines has no compiler)")
def test_java_sends_and_reads(java: Any, where: Mapping[str, str], up_kafka: Kafka) -> None:
    before = len(answered(up_kafka, where, "OpenAccount"))
    sends = java("OpenAccount", "Send")
    said, _ = sends.communicate(timeout=PROGRAM_S_MAX)
    assert sends.returncode == 0, said
    assert "shop.account.commands-" in said
    wait_until(lambda: len(answered(up_kafka, where, "OpenAccount")) > before, "the command is answered")
    reads = java("AccountOpened", "Read")
    found = next(line for line in reads.stdout if line.startswith(f"{OPENED} "))
    assert json.loads(found.partition(" ")[2])["account_id"] == OPENED
