"""`kafold decisions replay` as a person and as CI run it, with rubbish too."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli.failures import CANNOT, explain
from infra.cli.main import app
from producers.client import Client
from schemas.shop.accounts import OpenAccount, RecordPurchase
from streams.kernel.application import Application

MODULE = """
from dataclasses import replace

from schemas.outcomes import Rejected
from schemas.shop.accounts import AccountCommand, AccountEvent, AccountProblem, RecordPurchase
from streams.domain.shop.accounts import Account, account
from streams.domain.shop.app import shop
from streams.domain.shop.users import user
from streams.kernel.application import Application


def thrifty(state: Account, command: AccountCommand) -> list[AccountEvent] | Rejected[AccountProblem]:
    if isinstance(command, RecordPurchase) and command.amount_cents > LIMIT:
        return Rejected(AccountProblem.NOT_ENOUGH_CREDIT)
    return account.decide(state, command)


app = Application("NAME", [user, replace(account, decide=thrifty)], evolution=shop.evolution)
"""

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(application: Application, kafka: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `kafold decisions replay` for an application whose purchases have a limit; return exit code and output."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KAFOLD_KAFKA__BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("KAFOLD_POSTGRES__DSN", database)
    monkeypatch.setenv("KAFOLD_HOME", str(tmp_path))

    def invoke(*arguments: str, limit: int = 10_000) -> tuple[int, str]:
        module = f"{application.name}_{limit}"
        (tmp_path / f"{module}.py").write_text(MODULE.replace("NAME", application.name).replace("LIMIT", str(limit)))
        result = CliRunner().invoke(app, ["-A", f"{module}:app", "decisions", "replay", *arguments])
        if isinstance(result.exception, Exception):
            said, code = explain(result.exception)
            return code, said
        return result.exit_code, result.output

    return invoke


@pytest.fixture
def bought(client: Client) -> None:
    """One purchase that is cheap, and one that is not."""
    client.ask(OpenAccount(account_id="ada"))
    for number, cents in ((1, 500), (2, 20_000)):
        purchase = RecordPurchase(
            account_id="ada", purchase_id=f"p{number}", day=date(1997, 1, 1), quantity=1, amount_cents=cents
        )
        client.ask(purchase, command_id=f"buy-{number}")


@pytest.mark.usefixtures("processor", "bought")
def test_what_would_end_otherwise_is_listed_and_counted(run: Run, application: Application) -> None:
    code, said = run()
    assert code == 0
    assert "RecordPurchase buy-2 (" in said
    assert f"{application.name}.account.commands" in said
    assert "accepted: PurchaseRecorded → rejected not-enough-credit" in said
    assert "buy-1" not in said
    assert "3 commands decided again, 1 would end otherwise. Nothing was written." in said

    code, said = run("--json", "--check")
    document = json.loads(said)
    assert (code, document["decided"], document["differing"]) == (1, 3, 1)
    assert document["summary"] == [{"then": "accepted", "now": "rejected not-enough-credit", "commands": 1}]
    [found] = document["commands"]
    assert (found["command"], found["command_id"], found["id"], found["offset"]) == (
        "RecordPurchase", "buy-2", "ada", 2,
    )  # fmt: skip
    assert found["then"]["events"][0]["amount_cents"] == 20_000
    assert found["now"]["status"] == "rejected"

    code, said = run("--check", limit=90_000)
    assert code == 0
    assert "3 commands decided again, all would end as they did. Nothing was written." in said
    assert run("--check", "--until", "1999-01-01")[0] == 0
    assert run("--check", "--aggregate", "user")[0] == CANNOT  # of users nothing was ever decided


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--aggregate", "order"], CANNOT, "no aggregate 'order'; there are: user, account"),
        (["--since", "yesterday"], CANNOT, "'yesterday' is neither a position"),
        (["--until", "a@b"], CANNOT, "is not of the form topic@uuid"),
        (["--until", "9" * 30], CANNOT, "neither a position"),
        (["--limit", "3"], 2, "No such option"),
        ([], CANNOT, "has decided no command: there is no history"),
    ],
)
def test_rubbish_is_one_line_and_an_exit_code(run: Run, arguments: list[str], code: int, said: str) -> None:
    found, told = run(*arguments)
    assert found == code, told
    assert said in told
