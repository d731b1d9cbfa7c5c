"""The embedded registry on real Kafka and PostgreSQL: registrars race, one is stopped between reading and writing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.errors import UnknownSchemaId
from schemas.registry import UnregisteredSchema, canonical
from streams.kafka.config import Kafka
from streams.kafka.registry import Registrar, RegistryUnavailable, TopicRegistry, register
from streams.kernel.application import Application


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
