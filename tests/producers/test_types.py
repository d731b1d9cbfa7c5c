"""What mypy says of the buses: the proof that commands and queries cannot be mixed up, and that answers are typed.

Each snippet is checked by mypy itself, in the project's strict mode.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NAMES = """
from producers.bus import KafkaCommandBus
from read_api.bus import QueryBus
from schemas.command_bus import CommandBus
from schemas.outcomes import Accepted, Rejected
from schemas.shop.accounts import RefundPurchase
from schemas.shop.queries import GetCustomerSummary, GetUserById, SalesByDay
from schemas.shop.users import ChangeEmail, CreateUser
from streams.kernel.bus import InProcessCommandBus
"""

WRONG = {
    "a query on the command bus": (
        "def f(bus: CommandBus, query: GetUserById) -> None:\n    bus.dispatch(query)\n",
        r'Argument 1 to "dispatch" of "CommandBus" has incompatible type "GetUserById"',
    ),
    "a query on the command bus over Kafka": (
        "def f(bus: KafkaCommandBus, query: SalesByDay) -> None:\n    bus.dispatch(query)\n",
        r'Argument 1 to "dispatch" of "KafkaCommandBus" has incompatible type "SalesByDay"',
    ),
    "a query on the command bus in this process": (
        "def f(bus: InProcessCommandBus, query: SalesByDay) -> None:\n    bus.dispatch(query)\n",
        r'Argument 1 to "dispatch" of "InProcessCommandBus" has incompatible type "SalesByDay"',
    ),
    "a command on the query bus": (
        "async def f(bus: QueryBus, command: CreateUser) -> None:\n    await bus.ask(command)\n",
        r'Argument 1 to "ask" of "QueryBus" has incompatible type "CreateUser"',
    ),
    "a result taken for another type": (
        "def f(bus: CommandBus, ask: CreateUser) -> Accepted[int] | Rejected[str]:\n    return bus.dispatch(ask)\n",
        r'"dispatch" .* type "CreateUser"; expected "Command\[int, str\]"',
    ),
    "an answer used before it was looked at": (
        "def f(bus: CommandBus, command: CreateUser) -> str:\n    return bus.dispatch(command).result\n",
        r'Item "Rejected\[UserProblem\]" of .* has no attribute "result"',
    ),
}

REVEALED = {
    "bus.dispatch(CreateUser(user_id='', email='', name=''))": "Accepted[str] | Rejected[UserProblem]",
    "bus.dispatch(ChangeEmail(user_id='', email=''))": "Accepted[None] | Rejected[UserProblem]",
    "bus.dispatch(refund)": "Accepted[int] | Rejected[AccountProblem]",
    "over_kafka.dispatch(refund)": "Accepted[int] | Rejected[AccountProblem]",
    "in_process.dispatch(refund)": "Accepted[int] | Rejected[AccountProblem]",
    "await queries.ask(GetUserById(user_id='a'))": "UserRow | None",
    "await queries.ask(days)": "tuple[DailySales, ...]",
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What mypy says of each wrong snippet, and of all the revealed types (under ""): one run for all of them."""
    folder = tmp_path_factory.mktemp("snippets")
    files = {"revealed.py": _revealing()}
    files |= {f"wrong_{number}.py": NAMES + code for number, (code, _) in enumerate(WRONG.values())}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    said = _mypy([folder / name for name in files])
    by_file = {name: "\n".join(line for line in said.splitlines() if f"{name}:" in line) for name in files}
    return {"": by_file["revealed.py"]} | {each: by_file[f"wrong_{number}.py"] for number, each in enumerate(WRONG)}


@pytest.mark.parametrize("mistake", WRONG)
def test_mypy_refuses(verdicts: dict[str, str], mistake: str) -> None:
    assert re.search(rf"error: .*{WRONG[mistake][1]}", verdicts[mistake]), verdicts[mistake]


def test_mypy_infers_the_answers_and_takes_both_buses_for_one(verdicts: dict[str, str]) -> None:
    said = verdicts[""]
    assert "error:" not in said
    # mypy tells full names.
    short = [re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", each) for each in re.findall(r'Revealed type is "(.*)"', said)]
    assert short == list(REVEALED.values())


def _revealing() -> str:
    arguments = (
        "bus: CommandBus, over_kafka: KafkaCommandBus, in_process: InProcessCommandBus, queries: QueryBus, "
        "refund: RefundPurchase, days: SalesByDay"
    )
    lines = [f"async def f({arguments}) -> None:", *(f"    reveal_type({each})" for each in REVEALED)]
    either = "def g(one: KafkaCommandBus, two: InProcessCommandBus) -> list[CommandBus]:\n    return [one, two]\n"
    return NAMES + "\n".join(lines) + "\n" + either


def _mypy(paths: list[Path]) -> str:
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", *map(str, paths)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout
