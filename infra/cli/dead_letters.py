"""`kafold dead-letters`: the messages that could not be understood, why, and to send them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.dead_letters import Letter

app = typer.Typer(help="Messages that could not be understood: list, show, send again.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
LINE_BYTES = 16
HEXDUMP_BYTES_MAX = 4_096
LIMIT = 50


@app.command("list")
def list_letters(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the latest of each partition.")] = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List the dead letters: where each lies, where it came from, why, and when it was sent again."""
    from infra.cli.console import OUT, print_json
    from infra.dead_letters import letters
    from infra.preparing import kafka_at
    from infra.reaching import reaching

    told = invocation(ctx)
    with reaching(told.settings()) as endpoints:
        latest = letters(told.application(), kafka_at(endpoints), limit)
    if as_json:
        print_json([_facts(each) for each in latest])
    elif latest:
        OUT.print(_table(latest))
    else:
        OUT.print("[green]No dead letters.[/green]")


@app.command()
def show(
    ctx: typer.Context,
    place: Annotated[str, typer.Argument(metavar="PARTITION@OFFSET", help="Where it lies, as `list` says.")],
    as_json: AsJson = False,
) -> None:
    """Show one dead letter: its headers, its bytes, and what they mean where that can be told."""
    from infra.cli.console import OUT, print_json
    from infra.dead_letters import decoded, letter_at
    from infra.preparing import kafka_at
    from infra.reaching import reaching
    from infra.registries import schema_ids

    told = invocation(ctx)
    application, settings = told.application(), told.settings()
    with reaching(settings) as endpoints:
        kafka = kafka_at(endpoints)
        found = letter_at(application, kafka, place)
        with schema_ids(settings, kafka) as ids:
            message, why_not = (None, None) if found.letter is None else decoded(application, ids, found.letter)
    value = (found.letter and found.letter.value) or b""
    facts = _facts(found) | {"headers": _headers(found), "message": message, "undecodable": why_not}
    if as_json:
        print_json({**facts, "value_hex": value.hex()})
        return
    for name, fact in (facts | {"sent_again_ms": None, "sent again": _times(found.sent_again_ms)}).items():
        if fact not in (None, {}, ""):
            OUT.print(f"{name:<12}", style="dim", end="")
            OUT.print(str(fact), markup=False)
    OUT.print("\n".join(hexdump(value[:HEXDUMP_BYTES_MAX])), markup=False)
    if len(value) > HEXDUMP_BYTES_MAX:
        OUT.print(f"… {len(value) - HEXDUMP_BYTES_MAX:,} more bytes: --json shows them all", style="dim")


@app.command()
def retry(
    ctx: typer.Context,
    places: Annotated[list[str], typer.Argument(metavar="PARTITION@OFFSET ...", help="Where they lie.")],
    as_json: AsJson = False,
) -> None:
    """Send dead letters again: the original bytes, key and headers, to the original topic and partition.

    A command keeps the id that it had, so it acts once, however often it is sent.
    """
    from infra.cli.console import OUT, print_json
    from infra.dead_letters import letter_at, send_again
    from infra.preparing import kafka_at
    from infra.reaching import reaching

    told = invocation(ctx)
    application = told.application()
    with reaching(told.settings()) as endpoints:
        kafka = kafka_at(endpoints)
        # Each once, and all of them looked up before any is sent.
        count = send_again(
            application, kafka, [letter_at(application, kafka, place) for place in dict.fromkeys(places)]
        )
    if as_json:
        print_json({"sent": count})
    else:
        OUT.print(f"[green]{count} sent again.[/green] What still cannot be understood becomes a new dead letter.")


def hexdump(data: bytes) -> list[str]:
    """Return bytes as lines: offset, hexadecimal, and the printable characters."""
    lines = []
    for start in range(0, len(data), LINE_BYTES):
        line = data[start : start + LINE_BYTES]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
        lines.append(f"{start:08x}  {line.hex(' '):<{LINE_BYTES * 3 - 1}}  {text}")
    return lines


def _facts(found: Letter) -> dict[str, Any]:
    letter = found.letter
    if letter is None:
        return {"place": found.place, "error": "NoDeadLetter", "reason": found.problem}
    return {
        "place": found.place,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp_ms": letter.timestamp_ms,
        "key": _text(letter.key),
        "bytes": len(letter.value or b""),
        "error": letter.error,
        "reason": letter.reason,
        "sent_again_ms": list(found.sent_again_ms),
    }


def _times(times_ms: Sequence[int]) -> str:
    """Return how often something was done, and when the last time."""
    from datetime import UTC, datetime

    if not times_ms:
        return ""
    last = datetime.fromtimestamp(max(times_ms) / 1000, UTC).isoformat(" ", "seconds")
    return last if len(times_ms) == 1 else f"{len(times_ms)} times, last {last}"


def _headers(found: Letter) -> dict[str, str | None]:
    return {} if found.letter is None else {name: _text(value) for name, value in found.letter.headers}


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode(errors="backslashreplace")


def _table(found: list[Letter]) -> object:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("place", "topic", "position", "key", "error", "reason", "sent again"):
        table.add_column(heading, overflow="fold")
    for each in found:
        facts = {name: "" if fact is None else escape(str(fact)) for name, fact in _facts(each).items()}
        position = f"{facts['partition']}@{facts['offset']}" if each.letter else ""
        cells = [
            facts.get("topic", ""),
            position,
            facts.get("key", ""),
            f"[red]{facts['error']}[/red]",
            facts["reason"],
            _times(each.sent_again_ms),
        ]
        table.add_row(facts["place"], *cells)
    return table
