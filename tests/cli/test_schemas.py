"""`kafold schemas` as a person or CI runs it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli.main import app

APPLICATION = """
from pathlib import Path
from typing import Annotated

from schemas.history import read_history
from schemas.messages import AggregateId, Command, Event
from schemas.upcasting import Evolution
from streams.kernel.aggregate import Aggregate, State
from streams.kernel.application import Application


class Do(Command[None, str]):
    thing_id: Annotated[str, AggregateId]


class Done(Event):
    thing_id: Annotated[str, AggregateId]
    FIELD


class Nothing(State):
    pass


def decide(state: Nothing, command: Do) -> list[Done]:
    return []


def evolve(state: Nothing, event: Done) -> Nothing:
    return state


things = Application(
    "things",
    [Aggregate("thing", initial=Nothing(), decide=decide, evolve=evolve)],
    evolution=Evolution(read_history(Path(__file__).parent / "avsc")),
)
"""


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


def test_the_sample_application_passes_its_check(runner: CliRunner) -> None:
    result = runner.invoke(app, ["schemas", "check"])
    assert result.exit_code == 0, result.output
    assert "every version can be read" in result.output


def test_export_writes_the_folder(runner: CliRunner, tmp_path: Path) -> None:
    result = runner.invoke(app, ["schemas", "export", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"avsc", "asyncapi.json", "index.html", "index.md"}


def test_a_breaking_change_fails_the_check_with_the_fields_name(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)

    def run(module: str, field: str, command: str) -> tuple[int, str]:
        (tmp_path / f"{module}.py").write_text(APPLICATION.replace("FIELD", field))
        result = runner.invoke(app, ["-A", f"{module}:things", "schemas", command])
        return result.exit_code, result.output

    code, said = run("first_things", "number: int", "make")
    assert (code, "thing.Done version 1" in said) == (0, True)
    assert run("same_things", "number: int", "check")[0] == 0
    code, said = run("broken_things", "amount: int", "check")
    assert code == 1
    assert "thing.Done: cannot read version 1: amount: is new and has no default" in said
    code, said = run("more_things", "number: int; note: str = ''", "make")
    assert code == 0
    assert 'note: added, string, with the default ""' in said
    assert "compatible (BACKWARD_TRANSITIVE)" in said
