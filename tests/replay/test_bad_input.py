"""What cannot be replayed is refused in one clear line, and the old version is as it was."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.errors import DefinitionError, InvalidPosition
from schemas.shop.accounts import PurchaseRecorded
from streams.domain.shop.projections import customer_summary
from streams.kernel.errors import TopicProblem
from streams.postgres.checkpoints import Reader
from streams.replay.errors import CannotReplay, Unfoldable, Unwritable
from tests.fixtures.up import KAFOLD
from tests.replay.apps import POISON, fearful, same, shop_with, unwritable, wider
from tests.replay.test_resuming import killed, write
from tests.replay.world import Rebuilding
from tests.worker.world import Workers, World, purchases

V1, V2 = Reader("customer_summary", 1), Reader("customer_summary", 2)


@contextmanager
def untouched(rebuilding: Rebuilding, workers: Workers) -> Iterator[None]:
    """The old version, folded by a worker, is the same before and after the block."""
    workers.start("old")
    workers.until(rebuilding.reached(V1))
    before = (rebuilding.checksum(V1), rebuilding.checkpoints(V1))
    yield
    assert (rebuilding.checksum(V1), rebuilding.checkpoints(V1)) == before
    assert workers.exits == []


def poison(world: World) -> tuple[PurchaseRecorded, int, int]:
    """Write an event that a fearful projection does not take, among others; return it, its partition and offset."""
    chance = random.Random(1)
    world.writer().burst(purchases(chance, 500, 40, world.versions))
    account_id = max(world.versions)
    event = PurchaseRecorded(account_id=account_id, purchase_id=POISON, day="1997-01-01", quantity=1, amount_cents=7)
    before = dict(world.ends)
    world.writer().burst([event])
    [((_, partition), end)] = world.ends.items() - before.items()
    world.writer().burst(purchases(chance, 500, 40, world.versions))
    return event, partition, end - 1


def test_names_and_versions_that_there_are_not(rebuilding: Rebuilding) -> None:
    with pytest.raises(
        DefinitionError, match="no projection 'nonsense'; there are: users, customer_summary, daily_sales"
    ):
        rebuilding.replay(same, "nonsense")
    with pytest.raises(DefinitionError, match="customer_summary has no version 7 in this code; there are: v1, v2"):
        rebuilding.replay(same, version=7)
    with pytest.raises(CannotReplay, match=r"v1 is what readers see now.*version=2"):
        rebuilding.replay(shop_with())


def test_what_is_folded_already_is_built_anew_only_when_asked(rebuilding: Rebuilding) -> None:
    write(rebuilding.world, 1, 2000)
    rebuilding.replay(same)
    with pytest.raises(CannotReplay, match=r"v2 was replayed and is folded live, beside v1.*--restart builds it anew"):
        rebuilding.replay(same)
    before = rebuilding.checksum(V2)
    assert rebuilding.replay(same, restart=True).handed_over
    assert rebuilding.checksum(V2) == before


def test_an_event_that_cannot_be_folded_is_shown_with_its_row(rebuilding: Rebuilding, workers: Workers) -> None:
    event, partition, offset = poison(rebuilding.world)
    with untouched(rebuilding, workers):
        for _ in range(2):  # it goes on from there, and meets it again
            with pytest.raises(Unfoldable) as raised:
                rebuilding.replay(fearful)
            text = str(raised.value)
            assert f"{rebuilding.world.topic}[{partition}] offset {offset} (key {event.account_id})" in text
            assert repr(event) in text
            assert "ValueError: poison is not a purchase" in text
            row = rebuilding.world.expected(customer_summary)[event.account_id]
            assert f"It met the row {type(row).__name__}(" in text
            assert "--restart, or go on with --park" in text
        assert rebuilding.checkpoints(V2)[rebuilding.world.topic, partition] == offset
        rebuilding.replay(wider, restart=True)  # mended


def test_parked_as_the_worker_parks(rebuilding: Rebuilding, workers: Workers) -> None:
    """The worker's version 1 in these tests is as fearful as the version that is replayed."""
    poison(rebuilding.world)
    key = max(rebuilding.world.versions)
    rebuilding.world.writer().anything(key.encode(), b"\0\0\0\0\1rubbish")
    rebuilding.world.writer().burst(purchases(random.Random(2), 300, 40, rebuilding.world.versions))
    with untouched(rebuilding, workers):
        with pytest.raises(Unfoldable):
            rebuilding.replay(fearful)
        built = rebuilding.replay(fearful, park=True)
        assert (built.handed_over, built.parked) == (True, 2)
        statement = (
            'SELECT topic, partition, "offset", key, by_message, message_key, data, error_type, error '
            "FROM kafold.parked WHERE projection = %s AND version = %s ORDER BY 2, 3"
        )
        one, two = (rebuilding.ask(statement, *reader) for reader in (V1, V2))
        assert len(two) > 3
        assert one == two
        assert rebuilding.checksum(V2) == rebuilding.checksum(V1)


def test_bytes_that_are_no_event_are_shown_with_their_place(rebuilding: Rebuilding) -> None:
    rebuilding.world.writer().anything(b"some-key", b"rubbish")
    with pytest.raises(Unfoldable, match=r"offset 0 \(key some-key\): cannot be folded: WrongMagicByte: "):
        rebuilding.replay(same)


def test_a_value_that_the_database_refuses_is_shown_with_its_row(rebuilding: Rebuilding, workers: Workers) -> None:
    write(rebuilding.world, 3, 2000, keys=30)
    with (
        untouched(rebuilding, workers),
        pytest.raises(Unwritable, match=r"acc-00007.*total_cents=1180591620717411303424.*--restart"),
    ):
        rebuilding.replay(unwritable)


def test_a_log_that_begins_after_the_checkpoint(rebuilding: Rebuilding, workers: Workers) -> None:
    world = rebuilding.world
    write(world, 4)
    killed(rebuilding, "progress:0.3")
    with untouched(rebuilding, workers):
        admin = AdminClient(world.kafka.admin())
        ends = [TopicPartition(*place, end) for place, end in world.ends.items()]
        for future in admin.delete_records(ends).values():
            future.result()
        with pytest.raises(TopicProblem, match=r"begins at offset \d+, but the replay has to go on from \d+.*are lost"):
            rebuilding.replay(same)
        with pytest.raises(TopicProblem, match=r"but the replay has to go on from 0"):
            rebuilding.replay(same, restart=True)


def test_a_checkpoint_beyond_the_end_or_of_another_topic(rebuilding: Rebuilding, workers: Workers) -> None:
    write(rebuilding.world, 5)
    killed(rebuilding, "progress:0.5")
    change = "UPDATE kafold.checkpoints SET {} WHERE projection = 'customer_summary' AND version = 2 AND partition = 0"
    with untouched(rebuilding, workers):
        with psycopg.connect(rebuilding.world.dsn) as connection:
            connection.execute(change.format("next = next + 1000000").encode())
        with pytest.raises(
            TopicProblem, match="lost its newest events; restore the topic, or begin anew with --restart"
        ):
            rebuilding.replay(same)
        with psycopg.connect(rebuilding.world.dsn) as connection:
            connection.execute(change.format("topic_id = 'another'").encode())
        with pytest.raises(InvalidPosition, match="is of another topic named"):
            rebuilding.replay(same)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["replay", "nonsense"], 3, "no projection 'nonsense'"),
        (["replay", "customer_summary", "--version", "0"], 2, "--version"),
        (["replay", "customer_summary", "--processes", "none"], 2, "--processes"),
        (["replay", "customer_summary", "--compare"], 3, "has one version, v1"),
        (["replay", "customer_summary"], 3, "is what readers see now"),
        (["replay", "\x1b[31m"], 3, "no projection"),
        (["projections", "cutover", "nonsense"], 3, "no projection 'nonsense'"),
        (["projections", "rollback", "account_closing"], 3, "no projection 'account_closing'"),
        (["projections", "drop", "account_closing", "--version", "1"], 3, "no projection 'account_closing'"),
        (["projections", "drop", "customer_summary", "--version", "9"], 3, "say which version"),
        (["worker", "--only", "rubbish"], 3, "write it as NAME@VERSION"),
        (["worker", "--only", "customer_summary@²"], 3, "write it as NAME@VERSION"),
        (["worker", "--only", "customer_summary@9"], 3, "no version 9 in this code"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    rebuilding: Rebuilding, tmp_path: Path, arguments: list[str], status: int, text: str
) -> None:
    environment = {
        **os.environ,
        **rebuilding.endpoints.environment(),
        "KAFOLD_HOME": str(tmp_path),
        "REPLAY_TEST_NAME": rebuilding.world.application.name,
        "COLUMNS": "200",
    }
    command = [*KAFOLD, "-A", "tests.replay.apps:plain", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (done.returncode, text in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr
