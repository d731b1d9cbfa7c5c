"""The registry is a fold of the `_schemas` topic, in the format of Confluent's registry."""

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import UnknownSchemaId
from schemas.registry import Registry, UnregisteredSchema, canonical

A, B, C = '{"type":"string"}', '{"type":"long"}', '"int"'

# As Confluent's registry writes them.
CONFLUENT = [
    (b'{"keytype":"NOOP","magic":0}', None),
    (
        b'{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}',
        b'{"subject":"s","version":1,"id":1,"schema":"{\\"type\\": \\"string\\"}","deleted":false}',
    ),
    (
        b'{"keytype":"CONFIG","subject":null,"magic":0}',
        b'{"compatibilityLevel":"FULL"}',
    ),
    (
        b'{"keytype":"SCHEMA","subject":"s","version":2,"magic":1}',
        b'{"subject":"s","version":2,"id":2,"md5":"x","schema":"{\\"type\\":\\"long\\"}","deleted":false,"offset":3}',
    ),
    (b'{"keytype":"MODE","subject":null,"magic":0}', b'{"mode":"READWRITE"}'),
]


def fold(*records: tuple[bytes | None, bytes | None]) -> Registry:
    registry = Registry()
    for key, value in records:
        registry.apply(key, value)
    return registry


def register(registry: Registry, subject: str, schema: str) -> tuple[bytes, bytes]:
    record = registry.registration(subject, schema)
    assert record is not None
    registry.apply(*record)
    return record


def test_confluents_records_are_understood() -> None:
    registry = fold(*CONFLUENT)
    assert registry.id_of("s", A) == 1
    assert registry.id_of("s", B) == 2
    assert json.loads(registry.schema_of(1)) == {"type": "string"}
    assert registry.compatibility == {None: "FULL"}
    assert [each.version for each in registry.versions("s")] == [1, 2]


def test_ours_are_of_the_same_form() -> None:
    key, value = register(fold(*CONFLUENT), "s", C)
    assert key == b'{"keytype":"SCHEMA","subject":"s","version":3,"magic":1}'
    assert json.loads(value) == {"subject": "s", "version": 3, "id": 3, "schema": C, "deleted": False}


def test_a_schema_has_one_id_whichever_subjects_it_is_under() -> None:
    registry = Registry()
    register(registry, "s", A)
    register(registry, "t", B)
    register(registry, "t", A)
    assert registry.id_of("s", A) == registry.id_of("t", A) == 1
    assert registry.registration("t", A) is None


def test_what_is_not_registered_says_what_to_do() -> None:
    with pytest.raises(UnregisteredSchema, match="kafold up"):
        fold(*CONFLUENT).id_of("other", A)
    with pytest.raises(UnknownSchemaId, match="9"):
        Registry().schema_of(9)


def test_a_deleted_version_keeps_its_id_and_its_number() -> None:
    registry = fold(*CONFLUENT)
    registry.apply(CONFLUENT[3][0], (CONFLUENT[3][1] or b"").replace(b'"deleted":false', b'"deleted":true'))
    assert [each.version for each in registry.versions("s")] == [1]
    assert registry.schema_of(2) == B
    key, value = register(registry, "s", B)
    assert json.loads(key)["version"] == 3
    assert json.loads(value)["id"] == 2


def test_a_deleted_subject_is_hidden() -> None:
    registry = fold(*CONFLUENT)
    registry.apply(b'{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}', b'{"subject":"s","version":2}')
    assert not registry.versions("s")
    assert registry.schema_of(1) == A


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
)
GARBAGE = st.one_of(
    st.none(),
    st.binary(max_size=30),
    st.just(b"[" * 100_000),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"keytype": st.sampled_from(["SCHEMA", "CONFIG", "MODE", "DELETE_SUBJECT", "CLEAR_SUBJECT", 1])},
        optional={
            "subject": st.sampled_from(["s", None, 3, []]),
            "version": st.sampled_from([0, 1, -1, 2.5, "1", None]),
            "id": st.sampled_from([0, 1, 2, "1", None]),
            "schema": st.sampled_from([A, "{", 5, None, "[" * 100_000]),
            "deleted": st.sampled_from([True, False, "no"]),
            "compatibilityLevel": st.sampled_from(["FULL", 5, None]),
        },
    ).map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


@given(st.lists(st.tuples(GARBAGE, GARBAGE), max_size=8))
def test_garbage_breaks_nothing(records: list[tuple[bytes | None, bytes | None]]) -> None:
    registry = fold(*records)
    register(registry, "mine", canonical({"type": "enum", "name": "E", "symbols": ["A"]}))
    for subject in registry.subjects:
        registry.versions(subject)


# Two registrars race: both read the same end, both write.


def test_of_two_at_once_the_first_record_is_in_force_and_the_other_tries_again() -> None:
    registry = Registry()
    first, second = Registry().registration("s", A), Registry().registration("s", B)
    assert first is not None
    assert second is not None
    registry.apply(*first)
    registry.apply(*second)
    assert registry.schema_of(1) == A
    with pytest.raises(UnregisteredSchema):
        registry.id_of("s", B)
    register(registry, "s", B)
    assert registry.id_of("s", B) == 2
    assert registry.repairs() == [first]


def test_the_same_schema_twice_is_registered_once() -> None:
    record = Registry().registration("s", A)
    assert record is not None
    registry = fold(record, record)
    assert registry.id_of("s", A) == 1
    assert not registry.repairs()


@given(st.lists(st.tuples(st.sampled_from("st"), st.sampled_from([A, B, C]), st.booleans()), max_size=8))
def test_after_repairs_compaction_changes_nothing(asked: list[tuple[str, str, bool]]) -> None:
    registry, log = Registry(), []
    stale = Registry()
    for subject, schema, late in asked:
        # `late`: a registrar that was stopped between its reading and its writing.
        record = (stale if late else registry).registration(subject, schema)
        if record:
            log.append(record)
            registry.apply(*record)
        stale = stale if late else fold(*log)
    for repair in registry.repairs():
        log.append(repair)  # type: ignore[arg-type]
        registry.apply(*repair)
    assert not registry.repairs()
    last = {key: at for at, (key, _) in enumerate(log)}
    for compacted in ([log[at] for at in sorted(last.values())], log):
        again = fold(*compacted)
        assert again.by_id == registry.by_id
        assert {key: value for key, value in again.subjects.items() if value} == registry.subjects
        assert not [each for each in again.repairs() if compacted is not log]


def test_every_order_of_three_writers_gives_one_id_a_schema() -> None:
    records = [Registry().registration(subject, schema) for subject, schema in (("s", A), ("s", B), ("t", C))]
    for order in permutations(records):
        registry = fold(*(each for each in order if each))
        assert len(set(registry.by_id.values())) == len(registry.by_id)
        for subject in "st":
            for each in registry.versions(subject):
                assert registry.any_id_of(each.schema) == each.schema_id


def test_a_schema_that_another_registry_wrote_with_its_keys_in_order_is_the_same() -> None:
    ours = canonical({"type": "record", "name": "R", "fields": [{"name": "x", "type": "long", "default": 0}]})
    theirs = json.dumps(json.loads(ours), sort_keys=True)
    assert theirs != ours
    value = json.dumps({"subject": "s", "version": 1, "id": 7, "schema": theirs, "deleted": False})
    registry = fold((CONFLUENT[1][0], value.encode()))
    assert registry.id_of("s", ours) == 7
    assert registry.registration("s", ours) is None
    assert register(registry, "t", ours)[1].startswith(b'{"subject":"t","version":1,"id":7,')
    assert not registry.repairs()


def test_a_mode_is_written_once() -> None:
    registry = fold(*CONFLUENT)
    record = registry.configuration("s", "FULL")
    assert record == (b'{"keytype":"CONFIG","subject":"s","magic":0}', b'{"compatibilityLevel":"FULL"}')
    registry.apply(*record)
    assert registry.configuration("s", "FULL") is None
    assert registry.configuration("s", "NONE") is not None
