"""Pages: the published language for people who use it from other languages, as Markdown and as HTML.

Promises: every command, event and query with its fields, words, topic and key, and an example to copy for kcat and for
Java; both forms say the same, because both are made from one list of blocks.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from schemas.avro_foreign import full_name
from schemas.changes import told
from schemas.contract import Contract
from schemas.outcomes import OUTCOME_SCHEMA
from schemas.page_examples import jars, java_reads, java_sends, kcat_reads, kcat_sends
from schemas.topics import subject_of

LINES_OPEN_MAX = 12
"""Longer examples are shown when somebody asks for them."""


class Block(NamedTuple):
    """A part of a page. `kind`: h1, h2, h3, p, code (`label`: what it is), or table (its first row is the head)."""

    kind: str
    text: str = ""
    rows: Sequence[Sequence[str]] = ()
    label: str = ""


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
    yield from _preparation()
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


def _preparation() -> Iterator[Block]:
    yield Block("h2", "Before the examples")
    yield Block(
        "p",
        "They ask for two variables. `kafold up` prints Kafka's address and the read API's; the registry is at the "
        "read API's /registry, or it is yours, if registry.url is set.",
    )
    yield Block("code", "BROKER=127.0.0.1:9092\nREGISTRY=http://127.0.0.1:8000/registry", label="shell")
    yield Block(
        "p",
        "kcat reads Avro if it was built with it: `kcat -V` lists Avro then (Debian's package does not; it sends, and "
        "reads all but the values). Records of aborted transactions are left out. Java's examples are single files "
        "for a JDK of 17 or newer, which runs them from source, and need these archives:",
    )
    yield Block("code", jars(), label="shell")
    yield Block(
        "p",
        "With Confluent's serializers instead: value.subject.name.strategy is TopicRecordNameStrategy, "
        "auto.register.schemas is false, use.latest.version is true.",
    )


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
            yield from _examples(topic, schema, cls.aggregate_id_field, sends=kind == "Command")


def _examples(topic: str, schema: Mapping[str, Any], key: str, *, sends: bool) -> Iterator[Block]:
    if sends:
        yield Block("code", f"{kcat_sends(topic, schema, key)}\n{kcat_reads(topic)}", label="kcat")
        yield Block("code", java_sends(topic, schema, key), label=f"Java: Send{schema['name']}.java")
    else:
        yield Block("code", kcat_reads(topic), label="kcat")
        yield Block("code", java_reads(topic, schema), label=f"Java: Read{schema['name']}.java")


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


def markdown(blocks: Sequence[Block]) -> str:
    """Return a page as Markdown."""
    return "\n\n".join(_markdown(block) for block in blocks if block.text or block.rows) + "\n"


def _markdown(block: Block) -> str:
    match block.kind:
        case "h1" | "h2" | "h3":
            return f"{'#' * int(block.kind[1])} {block.text}"
        case "code":
            return f"{block.label}:\n\n```\n{block.text}\n```"
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
        is_open = " open" if len(block.text.splitlines()) <= LINES_OPEN_MAX else ""
        return (
            f"<details{is_open}><summary>{escape(block.label)}</summary>"
            f"<pre><code>{escape(block.text)}</code></pre></details>"
        )
    if block.kind != "table":
        return f"<{block.kind}>{escape(block.text)}</{block.kind}>"
    head, *rows = block.rows
    lines = [_cells("th", head), *(_cells("td", row) for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _cells(tag: str, row: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"
