"""`schemas export`: what other languages need, complete and true."""

import json
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest

from infra.exporting import exported
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
            "KafkaAvroSerializer",
            "Outcomes",
        ):
            assert part in text


def test_html_escapes_what_it_shows() -> None:
    assert "<null" not in FILES["index.html"]
    assert "ProducerRecord&lt;&gt;" in FILES["index.html"]


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


def test_the_asyncapi_document_keeps_to_the_specification() -> None:
    # Objects of the specification and the fields that they may have; what else there is would be refused by tools.
    allowed = {
        "channels": {"address", "description", "messages", "bindings"},
        "operations": {"action", "channel", "messages"},
    }
    for kind, names in allowed.items():
        for described in DOCUMENT[kind].values():
            assert described.keys() <= names
    for message in DOCUMENT["components"]["messages"].values():
        assert message.keys() <= {"name", "title", "summary", "contentType", "payload", "bindings"}
        assert message["payload"].keys() == {"schemaFormat", "schema"}
        assert message["bindings"]["kafka"].keys() <= {
            "key",
            "schemaIdLocation",
            "schemaIdPayloadEncoding",
            "bindingVersion",
        }


@pytest.mark.parametrize("form", sorted(FILES))
def test_exporting_again_gives_the_same(form: str) -> None:
    assert exported(shop)[form] == FILES[form]
