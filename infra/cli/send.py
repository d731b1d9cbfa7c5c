"""`kafold send`: one command, from the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.context import invocation
from schemas.errors import KafoldError

if TYPE_CHECKING:
    from schemas.messages import Command
    from schemas.outcomes import Accepted, Rejected
    from streams.kernel.application import Application


class NoSuchCommand(KafoldError):
    """The application has no command of this name, or its fields do not fit."""


def send(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="COMMAND", help="The command's name, as CreateUser.")],
    fields: Annotated[list[str] | None, typer.Argument(metavar="[JSON | FIELD=VALUE ...]", help="Its fields.")] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Wait for the outcome and show it.")] = False,
    command_id: Annotated[str | None, typer.Option(help="Its id; one id has one effect.")] = None,
    expected_version: Annotated[
        int | None, typer.Option(min=0, help="The aggregate's version; 0: must not exist.")
    ] = None,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="How long to wait for the outcome.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Send a command, from JSON or from field=value pairs."""
    from infra.preparing import kafka_at
    from infra.reaching import reaching
    from infra.registries import schema_ids
    from producers.client import Client

    told = invocation(ctx)
    application = told.application()
    command = command_of(application, name, fields or [])
    settings = told.settings()
    with reaching(settings) as endpoints:
        kafka = kafka_at(endpoints)
        with schema_ids(settings, kafka) as ids, Client(application.contracts, kafka, ids) as client:
            if not ask:
                sent = client.send(command, command_id=command_id, expected_version=expected_version)
                client.flush()
                _show_sent(sent, as_json)
                return
            answer = client.ask(command, timeout_s=timeout_s, command_id=command_id, expected_version=expected_version)
    raise typer.Exit(_show_answer(answer, as_json))


def command_of(application: Application, name: str, fields: list[str]) -> Command[Any, Any]:
    """Return a command from its name and its fields, one JSON object or field=value pairs.

    Raises:
        NoSuchCommand: the text says what there is, or what is wrong with a field.
    """
    from pydantic import ValidationError

    known = {each.__name__: each for aggregate in application.aggregates for each in aggregate.command_types}
    if name not in known:
        raise NoSuchCommand(f"no command {name!r}; there are: {', '.join(known)}")
    kind: type[Command[Any, Any]] = known[name]
    try:
        if len(fields) == 1 and fields[0].lstrip().startswith("{"):
            return kind.model_validate_json(fields[0])
        return kind.model_validate_strings(dict(_pair(each) for each in fields))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'JSON'}: {each['msg']}" for each in error.errors())
        fields_text = " ".join(f"{field}=…" for field in kind.model_fields)
        raise NoSuchCommand(f"{name}: {problems}. Write: kafold send {name} {fields_text}") from None


def _pair(text: str) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    if not equals:
        raise NoSuchCommand(f"{text!r} is not of the form field=value, and not a JSON object")
    return field, value


def _show_sent(command_id: str, as_json: bool) -> None:
    from infra.cli.console import OUT, print_json

    if as_json:
        print_json({"command_id": command_id})
    else:
        OUT.print(f"[green]sent[/green]  command id {command_id}")


def _show_answer(answer: Accepted[Any] | Rejected[Any], as_json: bool) -> int:
    from infra.cli.console import OUT, print_json
    from infra.cli.failures import NO
    from schemas.outcomes import Accepted

    facts = _facts(answer)
    if as_json:
        print_json(facts)
    else:
        style = "green" if isinstance(answer, Accepted) else "yellow"
        OUT.print(f"[{style}]{facts.pop('status')}[/{style}]")
        for key, value in facts.items():
            OUT.print(f"  [dim]{key:<9}[/dim]", ", ".join(value) if isinstance(value, list) else str(value))
    return 0 if isinstance(answer, Accepted) else NO


def _facts(answer: Accepted[Any] | Rejected[Any]) -> dict[str, Any]:
    from schemas.outcomes import Accepted, VersionConflict

    if isinstance(answer, Accepted):
        return {
            "status": "accepted", "result": answer.result, "version": answer.version,
            "position": str(answer.position), "events": list(answer.event_ids),
        }  # fmt: skip
    if isinstance(answer.problem, VersionConflict):
        conflict = {"problem": "version-conflict", "expected": answer.problem.expected, "actual": answer.problem.actual}
        return {"status": "rejected", **conflict}
    problem = getattr(answer.problem, "value", answer.problem)
    return {"status": "rejected", "problem": problem} | ({"detail": answer.detail} if answer.detail else {})
