"""Pages: the published language for people who use it from other languages, as Markdown and as HTML.

Promises: every command, event and query with its fields, words, topic and key, and an example to copy for kcat and for
Java; both forms say the same, because both are made from one list of blocks.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from schemas.avro_foreign import foreign_record, full_name
from schemas.changes import told
from schemas.contract import Contract
from schemas.metadata import METADATA_FIELD
from schemas.outcomes import OUTCOME_SCHEMA
from schemas.shape import ArrayShape, EnumShape, MapShape, RecordShape, Shape, UnionShape
from schemas.topics import subject_of


class Block(NamedTuple):
    """A part of a page. `kind`: h1, h2, h3, p, code, or table (its first row is the head)."""

    kind: str
    text: str = ""
    rows: Sequence[Sequence[str]] = ()


class Question(NamedTuple):
    """A query: its name, its words, its fields and its answer."""

    name: str
    words: str
    fields: Sequence[Sequence[str]]
    answer: str


def page(title: str, contracts: Sequence[Contract], questions: Sequence[Question]) -> Sequence[Block]:
    """Return the page of an application's published language."""
    return list(_page(title, contracts, questions))


def _page(title: str, contracts: Sequence[Contract], questions: Sequence[Question]) -> Iterator[Block]:
    yield Block("h1", f"{title}: the published language")
    yield Block(
        "p",
        "Messages are Avro in Confluent's wire format: a zero byte, the schema's id in four bytes (big endian), the "
        "body. The key is the aggregate's id as UTF-8, placed by Java's default partitioner (murmur2). Every command "
        "is answered on the aggregate's outcomes topic.",
    )
    for contract in contracts:
        yield from _aggregate(contract)
    if questions:
        yield Block("h2", "Queries")
    for question in questions:
        yield Block("h3", question.name)
        yield Block("p", question.words)
        yield Block("table", rows=[("field", "type", "words"), *question.fields])
        yield Block("p", f"Answers {question.answer}.")
    yield Block("h2", "Outcomes")
    yield Block("p", OUTCOME_SCHEMA["doc"])
    yield Block("table", rows=_rows(OUTCOME_SCHEMA))


def _aggregate(contract: Contract) -> Iterator[Block]:
    topics, records = contract.topics, contract.records()
    yield Block("h2", f"Aggregate {topics.aggregate}")
    for kind, topic, classes in (
        ("Command", topics.commands, contract.commands),
        ("Event", topics.events, contract.events),
    ):
        for cls in classes:
            schema = records[f"{topics.aggregate}.{cls.__name__}"].schema
            yield Block("h3", f"{kind} {cls.__name__}")
            yield Block("p", schema.get("doc", ""))
            subject = subject_of(topic, full_name(schema))
            yield Block("p", f"Topic {topic}, key {cls.aggregate_id_field}, subject {subject}.")
            yield Block("table", rows=_rows(schema))
            yield Block("code", kcat(topic) if kind == "Event" else produce(topic, schema, cls.aggregate_id_field))
            yield Block("code", java(topic, schema, cls.aggregate_id_field, sends=kind == "Command"))


def _rows(schema: Mapping[str, Any]) -> list[Sequence[str]]:
    rows = [
        (
            field["name"],
            told(field["type"]),
            json.dumps(field["default"]) if "default" in field else "",
            field.get("doc", ""),
        )
        for field in schema["fields"]
    ]
    return [("field", "type", "default", "words"), *rows]


def kcat(topic: str) -> str:
    """Return how to read a topic with kcat."""
    return f"kcat -b $BROKER -t {topic} -C -e -s value=avro -r $REGISTRY -f '%k %s\\n'"


def produce(topic: str, schema: Mapping[str, Any], key: str) -> str:
    """Return how to send an example with Confluent's console producer, and how to read what was sent with kcat."""
    value = example(schema)
    return (
        f"echo '{value[key]}|{json.dumps(_typed(schema, value))}' | kafka-avro-console-producer \\\n"
        f"  --bootstrap-server $BROKER --topic {topic} \\\n"
        "  --property schema.registry.url=$REGISTRY \\\n"
        "  --property auto.register=false --property use.latest.version=true \\\n"
        "  --property value.subject.name.strategy=io.confluent.kafka.serializers.subject.TopicRecordNameStrategy \\\n"
        "  --property key.serializer=org.apache.kafka.common.serialization.StringSerializer \\\n"
        f"  --property parse.key=true --property key.separator='|' \\\n"
        f'  --property value.schema="$(curl -s $REGISTRY/subjects/{subject_of(topic, full_name(schema))}'
        '/versions/latest/schema)"\n'
        f"{kcat(topic)}"
    )


def java(topic: str, schema: Mapping[str, Any], key: str, *, sends: bool) -> str:
    """Return the same in Java."""
    strategy = "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy"
    if not sends:
        return (
            'props.put("value.deserializer", "io.confluent.kafka.serializers.KafkaAvroDeserializer");\n'
            'props.put("schema.registry.url", registry);\n'
            'props.put("isolation.level", "read_committed");\n'
            f'consumer.subscribe(List.of("{topic}"));\n'
            f"// {full_name(schema)} records arrive as GenericRecord"
        )
    puts = "\n".join(
        f'value.put("{name}", {json.dumps(each, ensure_ascii=False)});' for name, each in example(schema).items()
    )
    return (
        'props.put("value.serializer", "io.confluent.kafka.serializers.KafkaAvroSerializer");\n'
        'props.put("schema.registry.url", registry);\n'
        'props.put("auto.register.schemas", "false");\n'
        'props.put("use.latest.version", "true");\n'
        f'props.put("value.subject.name.strategy", "{strategy}");\n'
        f"GenericRecord value = new GenericData.Record(schema); // {full_name(schema)}\n"
        f'value.put("{METADATA_FIELD}", new GenericData.Record(schema.getField("{METADATA_FIELD}").schema()));\n'
        f"{puts}\n"
        f'producer.send(new ProducerRecord<>("{topic}", value.get("{key}").toString(), value));'
    )


def example(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return an example of a record's own fields, as JSON has them."""
    record = foreign_record(schema)
    return {name: _example(name, shape) for name, shape in record.fields.items() if name != METADATA_FIELD}


def _example(name: str, shape: Shape) -> Any:
    match shape:
        case RecordShape():
            return {inner: _example(inner, each) for inner, each in shape.fields.items()}
        case UnionShape():
            return _example(name, next(each.shape for each in shape.branches))
        case ArrayShape():
            return [_example(name, shape.item)]
        case MapShape():
            return {"key": _example(name, shape.item)}
        case EnumShape():
            return next(iter(shape.values))
        case _:
            kind = shape.schema["type"] if isinstance(shape.schema, Mapping) else shape.schema
            return {"null": None, "boolean": True, "string": f"{name}-1", "bytes": ""}.get(kind, 1)


def _typed(schema: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the example as Avro's JSON encoding has it, with metadata that says nothing."""
    metadata = next(field for field in schema["fields"] if field["name"] == METADATA_FIELD)
    return {METADATA_FIELD: {field["name"]: None for field in metadata["type"]["fields"]}, **value}


def markdown(blocks: Sequence[Block]) -> str:
    """Return a page as Markdown."""
    return "\n\n".join(_markdown(block) for block in blocks if block.text or block.rows) + "\n"


def _markdown(block: Block) -> str:
    match block.kind:
        case "h1" | "h2" | "h3":
            return f"{'#' * int(block.kind[1])} {block.text}"
        case "code":
            return f"```\n{block.text}\n```"
        case "table":
            head, *rows = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in block.rows]
            line = " | ".join("---" for _ in block.rows[0])
            return "\n".join(f"| {row} |" for row in (head, line, *rows))
        case _:
            return block.text


def html(title: str, blocks: Sequence[Block]) -> str:
    """Return a page as HTML that needs nothing else."""
    body = "\n".join(_html(block) for block in blocks if block.text or block.rows)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n"
        f"{body}\n</html>\n"
    )


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{border-bottom:1px solid #ccc;padding:.2rem .8rem .2rem 0;text-align:left}"
    "pre{background:#f4f4f4;padding:.8rem;overflow-x:auto}"
)


def _html(block: Block) -> str:
    if block.kind == "code":
        return f"<pre><code>{escape(block.text)}</code></pre>"
    if block.kind != "table":
        return f"<{block.kind}>{escape(block.text)}</{block.kind}>"
    head, *rows = block.rows
    lines = [_cells("th", head), *(_cells("td", row) for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _cells(tag: str, row: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"
