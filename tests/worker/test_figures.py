"""The workers' figures are the log's, minute by minute, whoever owns the partitions and who is stopped or killed."""

import random
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.engines.ports import LOOPBACK, free_port
from infra.figures import Figures, figures_of
from producers.client import Client
from schemas.outcomes import Status
from schemas.shop.accounts import OpenAccount, RecordPurchase
from streams.domain.shop.accounts import account
from streams.processor.processor import CommandProcessor
from streams.watching.figures import MINUTE_MS, MINUTE_S, Counted, Kind, Tally
from tests.fixtures.shop import running
from tests.log import events_of, read_committed
from tests.worker.world import PARTITIONS, Workers, World, check_exact


@pytest.fixture
def client(world: World, tmp_path: Path) -> Iterator[Client]:
    """A client of the world's commands, which a processor decides."""
    made = CommandProcessor(world.application, world.kafka, world.ids, PARTITIONS, tmp_path / "processor")
    with running(made), Client(world.application.contracts, world.kafka, world.ids) as client:
        yield client


def buy(client: Client, chance: random.Random, count: int) -> None:
    """Send commands of which some are refused: accounts that are open, and accounts that are not."""
    for number in range(count):
        name = f"acc-{chance.randrange(count)}"
        if chance.random() < 0.5:
            client.send(OpenAccount(account_id=name))
        else:
            client.send(
                RecordPurchase(
                    account_id=name, purchase_id=f"p{number}", day=date(2001, 5, 4), quantity=1, amount_cents=5
                )
            )
    client.flush()
    client.ask(OpenAccount(account_id=f"last-{chance.random()}"))


def log_figures(world: World) -> Tally:
    """Count what is in the log, with nothing of the worker's."""
    names, tally = world.application.topics(account), Counter[tuple[int, Counted]]()
    decode_event = world.application.event_codec(account, world.ids).decode
    decode_outcome = world.application.outcome_codec(account, world.ids).decode
    for record in read_committed(world.kafka, names.events):
        event, _ = decode_event(record.value())
        tally[minute_of(record), Counted(Kind.EVENTS, f"account.{type(event).__name__}")] += 1
    for record in read_committed(world.kafka, names.outcomes):
        outcome = decode_outcome(record.value() or b"")
        command = f"account.{outcome.command}"
        tally[minute_of(record), Counted(Kind.COMMANDS, command, outcome.status)] += 1
        if outcome.status == Status.REJECTED:
            problem = (outcome.problem or "").split('"')[1]
            tally[minute_of(record), Counted(Kind.REJECTIONS, command, problem)] += 1
    return tally


def minute_of(record: object) -> int:
    return int(record.timestamp()[1]) // MINUTE_MS * MINUTE_S  # type: ignore[attr-defined]


def of_kind(tally: Tally, *kinds: Kind) -> Tally:
    return {key: number for key, number in tally.items() if key[1].kind in kinds}


def address(workers: Workers, name: str) -> str:
    return f"http://{LOOPBACK}:{workers.ports[name]}"


def figures(workers: Workers) -> Figures:
    return figures_of([address(workers, name) for name in workers.running])


def start(workers: Workers, *names: str) -> None:
    for name in names:
        workers.ports[name] = free_port()
        workers.start(name)


def folded(world: World) -> bool:
    """Whether the projections have every event that is in the log now, which becomes the oracle's."""
    recorded = events_of(world.application, "account", world.kafka, world.ids)
    world.committed = list(recorded)
    for each in recorded:
        place = world.topic, each.partition
        world.ends[place] = max(world.ends.get(place, 0), each.offset + 1)
    return world.caught_up()


def counters(workers: Workers) -> Counter[tuple[str, ...]]:
    """The Prometheus counters of all workers, by name and labels."""
    found = Counter[tuple[str, ...]]()
    for name in workers.running:
        text = httpx.get(f"{address(workers, name)}/metrics").text
        for family in text_string_to_metric_families(text):
            for each in family.samples:
                if each.name.endswith(("_commands_total", "_rejections_total", "_events_total")):
                    found[each.name, *each.labels.values()] += int(each.value)
    return found


def test_the_sum_of_two_workers_is_the_log_and_stays_so_when_partitions_move(
    world: World, workers: Workers, client: Client
) -> None:
    chance = random.Random(1)
    buy(client, chance, 300)
    start(workers, "a", "b")
    buy(client, chance, 300)
    expected = log_figures(world)
    workers.until(lambda: figures(workers) == Figures(expected, []))
    counted = counters(workers)
    for kind, name in (
        (Kind.COMMANDS, "kafold_worker_commands_total"),
        (Kind.REJECTIONS, "kafold_worker_rejections_total"),
        (Kind.EVENTS, "kafold_worker_events_total"),
    ):
        of_name = sum(number for (metric, *_), number in counted.items() if metric == name)
        assert of_name == sum(of_kind(expected, kind).values())

    # One stops in order: the other has it all, and what is decided meanwhile.
    workers.running["b"].send_signal(signal.SIGTERM)
    buy(client, chance, 100)
    assert workers.running.pop("b").wait(30) == 0, workers.logs()
    expected = log_figures(world)
    workers.until(lambda: figures(workers) == Figures(expected, []))

    # Both stop: whoever comes next knows what they knew.
    workers.running["a"].send_signal(signal.SIGTERM)
    assert workers.running.pop("a").wait(30) == 0, workers.logs()
    start(workers, "c")
    workers.until(lambda: figures(workers) == Figures(expected, []))


def test_after_kills_rows_and_figures_are_exact(world: World, workers: Workers, client: Client) -> None:
    chance = random.Random(2)
    start(workers, "a", "b")
    for victim in "abab":
        buy(client, chance, 200)
        workers.until(lambda: folded(world))
        workers.kill(victim)
        buy(client, chance, 50)
    workers.until(lambda: folded(world))
    check_exact(world)
    expected = log_figures(world)
    workers.until(lambda: figures(workers) == Figures(expected, []))
