"""AsyncAPI: the topics as an AsyncAPI 3 document, for tools that know it.

Promises: a channel for each topic, an operation for what the application does there, a message for each record, whose
payload is its Avro schema; every reference points to something. A document that does not keep this is never returned.
The tests hold it to the official JSON schema of AsyncAPI.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas.avro_foreign import foreign_shape
from schemas.contract import Contract
from schemas.errors import DefinitionError
from schemas.outcomes import OUTCOME_SCHEMA

VERSION = "3.0.0"
_AVRO = "application/vnd.apache.avro+json;version=1.9.0"
_BINDING = "0.5.0"
_NAME = re.compile(r"[\w.\-]+", re.ASCII)


def asyncapi(title: str, version: str, contracts: Sequence[Contract]) -> dict[str, Any]:
    """Return the document.

    Raises:
        DefinitionError: a name is none that AsyncAPI takes, so that nothing could be found by it.
        UnsupportedType: a schema is no Avro schema.
    """
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for contract in contracts:
        _describe(contract, channels, operations, messages)
    document = {
        "asyncapi": VERSION,
        "info": {"title": title, "version": version, "description": f"Commands, events and outcomes of {title}."},
        "defaultContentType": "avro/binary",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }
    _check(document)
    return document


def _check(document: Mapping[str, Any]) -> None:
    components = document["components"]["messages"]
    for name in (*document["channels"], *document["operations"], *components):
        if not _NAME.fullmatch(name):
            raise DefinitionError(f"{name!r} is no name in AsyncAPI: use letters, digits, . - and _")
    for reference in _references(document):
        found: Any = document
        for key in reference.removeprefix("#/").split("/"):
            if key not in found:
                raise DefinitionError(f"the AsyncAPI document has no {reference}, which it speaks of")
            found = found[key]
    for message in components.values():
        foreign_shape(message["payload"]["schema"])


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        yield from ([part["$ref"]] if "$ref" in part else [])
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _references(each)


def _describe(
    contract: Contract, channels: dict[str, Any], operations: dict[str, Any], messages: dict[str, Any]
) -> None:
    topics, records = contract.topics, contract.records()
    outcome = {f"{topics.aggregate}.Outcome": OUTCOME_SCHEMA}
    commands = {each: records[each].schema for each in _names(contract, contract.commands)}
    events = {each: records[each].schema for each in _names(contract, contract.events)}
    for name, topic, action, words, schemas in (
        ("commands", topics.commands, "receive", "Commands are asked here.", commands),
        ("events", topics.events, "send", "Events, kept for ever.", events),
        ("outcomes", topics.outcomes, "send", "The answer to each command.", outcome),
    ):
        channel = f"{topics.aggregate}-{name}"
        channels[channel] = _channel(topic, words, schemas)
        operations[f"{action}-{channel}"] = _operation(action, channel, schemas)
        messages.update({record: _message(record, schema) for record, schema in schemas.items()})


def _names(contract: Contract, classes: Sequence[type[Any]]) -> list[str]:
    return [f"{contract.topics.aggregate}.{cls.__name__}" for cls in classes]


def _channel(topic: str, words: str, schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "address": topic,
        "description": words,
        "messages": {record: {"$ref": f"#/components/messages/{record}"} for record in schemas},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": _BINDING}},
    }


def _operation(action: str, channel: str, schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{record}"} for record in schemas],
    }


def _message(record: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": record,
        "title": record.rpartition(".")[2],
        "summary": schema.get("doc", record),
        "contentType": "avro/binary",
        "payload": {"schemaFormat": _AVRO, "schema": schema},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "The aggregate's id."},
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "bindingVersion": _BINDING,
            }
        },
    }
