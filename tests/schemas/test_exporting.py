"""`schemas export`: what other languages need, complete and true."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import pytest
from jsonschema import Draft7Validator

from infra.exporting import exported
from schemas.asyncapi import asyncapi
from schemas.errors import DefinitionError
from schemas.topics import AggregateTopics
from schemas.versioning import published
from streams.domain.shop.app import shop

FILES = exported(shop)
DOCUMENT = json.loads(FILES["asyncapi.json"])


def test_every_schema_is_there_and_any_avro_library_takes_it() -> None:
    names = {name for name in FILES if name.startswith("avsc/")}
    assert names == {f"avsc/{name}.avsc" for name in published(shop.contracts)}
    for name in names:
        fastavro.parse_schema(json.loads(FILES[name]))


def test_the_page_tells_every_message_and_query_with_topic_key_and_examples() -> None:
    for form in ("index.md", "index.html"):
        text = FILES[form]
        for aggregate in shop.aggregates:
            for cls in (*aggregate.command_types, *aggregate.event_types):
                assert cls.__name__ in text
                assert cls.aggregate_id_field in text
        for part in (
            "SalesByDay",
            "the first day",
            "shop.account.events",
            "kcat -b",
            "GenericDatumWriter",
            "TopicRecordNameStrategy",
            "Outcomes",
        ):
            assert part in text


def test_html_escapes_what_it_shows() -> None:
    assert "<null" not in FILES["index.html"]
    assert "GenericDatumReader&lt;GenericRecord&gt;" in FILES["index.html"]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for each in part.values():
            yield from references(each)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


def target(reference: str) -> Any:
    found: Any = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return found


def test_the_asyncapi_document_is_whole() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert addresses == {
        f"shop.{name}.{kind}" for name in ("user", "account") for kind in ("commands", "events", "outcomes")
    }
    found = list(references(DOCUMENT))
    assert found
    for reference in found:
        assert target(reference)
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        assert all(each["$ref"].startswith(f"{channel}/messages/") for each in operation["messages"])
    for message in DOCUMENT["components"]["messages"].values():
        fastavro.parse_schema(message["payload"]["schema"])


# The official JSON schema of AsyncAPI 3.0.0, as github.com/asyncapi/spec-json-schemas publishes it (Apache-2.0).
OFFICIAL = Draft7Validator(json.loads((Path(__file__).parent / "asyncapi-3.0.0.json").read_text("utf-8")))


def test_the_asyncapi_document_keeps_to_the_official_schema() -> None:
    assert [error.message for error in OFFICIAL.iter_errors(DOCUMENT)] == []


def _without_title(document: Any) -> None:
    del document["info"]["title"]


def _unknown_action(document: Any) -> None:
    document["operations"]["send-user-events"]["action"] = "shout"


def _odd_field(document: Any) -> None:
    document["channels"]["user-events"]["adress"] = "shop.user.events"


def _odd_avro(document: Any) -> None:
    document["components"]["messages"]["user.UserCreated"]["payload"]["schema"]["fields"] = "none"


def _odd_binding(document: Any) -> None:
    bindings = document["components"]["messages"]["user.UserCreated"]["bindings"]
    bindings["kafka"]["schemaIdLocation"] = 5


@pytest.mark.parametrize("spoil", [_without_title, _unknown_action, _odd_field, _odd_avro, _odd_binding])
def test_the_official_schema_would_refuse_a_wrong_document(spoil: Callable[[Any], None]) -> None:
    spoiled = json.loads(FILES["asyncapi.json"])
    spoil(spoiled)
    assert list(OFFICIAL.iter_errors(spoiled))


@pytest.mark.parametrize("form", sorted(FILES))
def test_exporting_again_gives_the_same(form: str) -> None:
    assert exported(shop)[form] == FILES[form]


def test_a_name_that_asyncapi_does_not_take_is_refused() -> None:
    odd = replace(shop.contracts[0], topics=AggregateTopics("shop", "us/er"))
    with pytest.raises(DefinitionError, match="'us/er-commands' is no name in AsyncAPI"):
        asyncapi("shop", "1.0.0", [odd])
