"""The embedded registry on real Kafka and PostgreSQL: registrars race, one is stopped between reading and writing."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.compatibility import Mode
from schemas.errors import IncompatibleSchema, UnknownSchemaId
from schemas.history import History
from schemas.registry import SCHEMAS_TOPIC, UnregisteredSchema, canonical
from schemas.upcasting import Evolution, Upcaster
from streams.kafka.config import Kafka
from streams.kafka.registry import Registrar, RegistryUnavailable, TopicRegistry, register
from streams.kernel.application import Application
from tests.log import read_committed


def schema(name: str) -> str:
    return canonical({"type": "record", "name": name, "fields": [{"name": "x", "type": "long"}]})


@pytest.fixture
def subject(application: Application, unique_name: Callable[[str], str]) -> str:
    """A subject of this test alone, on a cluster that has the topic."""
    return unique_name(application.name)


def test_what_is_registered_is_seen_by_those_who_read_before(
    cluster: Kafka, dsn: str, subject: str, unique_name: Callable[[str], str]
) -> None:
    text = schema(unique_name("R"))
    with TopicRegistry(cluster) as reader:
        with pytest.raises(UnregisteredSchema):
            reader.id_of(subject, text)
        assert register(cluster, dsn, {subject: text}) == 1
        assert register(cluster, dsn, {subject: text}) == 0
        schema_id = reader.id_of(subject, text)
        assert reader.schema_of(schema_id) == text
        with pytest.raises(UnknownSchemaId):
            reader.schema_of(2**31)


def test_registrars_that_race_come_to_one_id_a_schema(
    cluster: Kafka, dsn: str, subject: str, unique_name: Callable[[str], str]
) -> None:
    texts = [schema(unique_name("R")) for _ in range(3)]
    subjects = [{f"{subject}-{at}": text for at, text in enumerate(texts)} for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda asked: register(cluster, dsn, asked), subjects))
    assert sum(made) == 3
    with TopicRegistry(cluster) as reader:
        ids = [reader.id_of(f"{subject}-{at}", text) for at, text in enumerate(texts)]
        assert len(set(ids)) == 3


def test_a_registrar_that_was_stopped_between_reading_and_writing_takes_the_next_id(
    cluster: Kafka, dsn: str, subject: str, unique_name: Callable[[str], str]
) -> None:
    late, quick = schema(unique_name("Late")), schema(unique_name("Quick"))
    with TopicRegistry(cluster) as registry:
        asked: list[int] = []

        def stopped() -> None:
            # The lock was given away, and another registrar did its work meanwhile.
            if not asked:
                asked.append(register(cluster, dsn, {subject: quick}))

        assert Registrar(registry, cluster, stopped).register(subject, late)
        assert asked == [1]
    with TopicRegistry(cluster) as reader:
        reader.refresh()
        ids = {text: reader.id_of(subject, text) for text in (late, quick)}
        assert ids[late] != ids[quick]
        assert {text: reader.schema_of(each) for text, each in ids.items()} == {late: late, quick: quick}
        assert [each.schema for each in reader.contents.versions(subject)] == [quick, late]


def test_a_registrar_that_lost_its_lock_writes_nothing(
    cluster: Kafka, subject: str, unique_name: Callable[[str], str]
) -> None:
    def lost() -> None:
        raise RegistryUnavailable("the lock was lost")

    text = schema(unique_name("R"))
    with TopicRegistry(cluster) as registry:
        with pytest.raises(RegistryUnavailable):
            Registrar(registry, cluster, lost).register(subject, text)
        registry.refresh()
        with pytest.raises(UnregisteredSchema):
            registry.id_of(subject, text)


def version(name: str, field: str) -> str:
    return canonical({"type": "record", "name": name, "fields": [{"name": field, "type": "long"}]})


def test_a_schema_that_breaks_its_subjects_mode_is_refused_with_its_field(
    cluster: Kafka, dsn: str, subject: str, unique_name: Callable[[str], str]
) -> None:
    name = unique_name("R")
    old, new = version(name, "amount"), version(name, "cents")
    register(cluster, dsn, {subject: old})
    with pytest.raises(IncompatibleSchema) as refused:
        register(cluster, dsn, {subject: new})
    assert str(refused.value).startswith(
        f"{subject} does not take this schema, its mode is BACKWARD_TRANSITIVE: "
        "cannot read version 1: cents: is new and has no default. Mend the model, or write an upcaster"
    )
    with TopicRegistry(cluster) as reader, pytest.raises(UnregisteredSchema):
        reader.id_of(subject, new)

    schemas = [{**json.loads(each), "namespace": "x.thing"} for each in (old, new)]
    evolution = Evolution(History({f"thing.{name}": schemas}), [Upcaster(f"thing.{name}", 1, dict)])
    upcast = [canonical(each) for each in schemas]
    assert register(cluster, dsn, {f"{subject}-up": upcast[0]}, evolution) == 1
    assert register(cluster, dsn, {f"{subject}-up": upcast[1]}, evolution) == 1
    assert register(cluster, dsn, {subject: new}, Evolution(mode=Mode.NONE)) == 1


def test_the_modes_are_written_down_as_other_registries_do_and_followed_when_they_change(
    cluster: Kafka, dsn: str, subject: str, unique_name: Callable[[str], str]
) -> None:
    text = schema(unique_name("R"))

    def configured() -> list[tuple[bytes | None, bytes | None]]:
        key = canonical({"keytype": "CONFIG", "subject": subject, "magic": 0}).encode()
        return [(each.key(), each.value()) for each in read_committed(cluster, SCHEMAS_TOPIC) if each.key() == key]

    for mode in (Mode.BACKWARD_TRANSITIVE, Mode.BACKWARD_TRANSITIVE, Mode.FULL):
        register(cluster, dsn, {subject: text}, Evolution(mode=mode))
    assert [value for _, value in configured()] == [
        b'{"compatibilityLevel":"BACKWARD_TRANSITIVE"}',
        b'{"compatibilityLevel":"FULL"}',
    ]
    with TopicRegistry(cluster) as reader:
        assert reader.contents.compatibility[subject] == "FULL"
