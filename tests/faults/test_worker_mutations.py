"""Mutations of the read side: with a protection switched off, the oracle goes red. So it would see if one failed."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from psycopg import sql

from streams.domain.shop.projections import daily_sales
from streams.kernel.errors import Fenced, LogBroken
from streams.postgres import checkpoints
from streams.postgres.checkpoints import Reader
from streams.postgres.connection import Cursor, connect
from streams.postgres.tables import Table
from streams.worker import applying
from streams.worker.fence import pass_fence
from tests.faults.test_shared_rows import WAIT_S, race, sale
from tests.worker.apps import diary, strict
from tests.worker.owner import owner_of, recorded, world_without_kafka
from tests.worker.world import World, check_exact

DIARY = Reader(diary.name, diary.version)
FENCE = " AND c.next = m.expected"


@pytest.fixture
def world(database: str) -> World:
    return world_without_kafka(strict, database)


@pytest.fixture
def unfenced(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FENCE in checkpoints._ADVANCE
    monkeypatch.setattr(checkpoints, "_ADVANCE", checkpoints._ADVANCE.replace(FENCE, ""))


def overtaken(world: World, only: Reader | None) -> None:
    """One owner is overtaken by another with its batch in hand, and writes it all the same."""
    batches = [recorded(world, 0, [sale(0, 1, refund=False)]) for _ in range(2)]
    with owner_of(world, 0, only) as late, owner_of(world, 0, only) as owner:
        for batch in batches:
            owner.apply(batch)
        late.apply(batches[0])


def test_an_owner_that_is_overtaken_is_fenced(world: World) -> None:
    with pytest.raises(Fenced):
        overtaken(world, None)
    check_exact(world)


@pytest.mark.usefixtures("unfenced")
def test_without_the_fence_the_oracle_goes_red(world: World) -> None:
    overtaken(world, DIARY)
    with pytest.raises(AssertionError, match="diary is no fold"):
        check_exact(world)


@pytest.mark.usefixtures("unfenced")
def test_without_the_fence_the_journal_is_a_second_net(world: World) -> None:
    with pytest.raises(LogBroken):
        overtaken(world, None)
    check_exact(world)


def lock_nothing(table: Table, cursor: Cursor, keys: Iterable[Any]) -> tuple[dict[Any, Any], set[Any]]:
    return table.load(cursor, keys), set()


def lock_what_is_there(table: Table, cursor: Cursor, keys: Iterable[Any]) -> tuple[dict[Any, Any], set[Any]]:
    return table._select(cursor, keys, sql.SQL("FOR UPDATE")), set()


@pytest.mark.parametrize("lock", [lock_nothing, lock_what_is_there])
def test_without_locks_on_shared_rows_or_on_missing_ones_the_oracle_goes_red(
    world: World, monkeypatch: pytest.MonkeyPatch, lock: Callable[..., tuple[dict[Any, Any], set[Any]]]
) -> None:
    both_have_read = threading.Barrier(2, timeout=WAIT_S)

    def reading(table: Table, *arguments: Any) -> tuple[dict[Any, Any], set[Any]]:
        found = lock(table, *arguments)
        if table.projection.name == daily_sales.name:
            both_have_read.wait()
        return found

    monkeypatch.setattr(Table, "lock", reading)
    with owner_of(world, 0) as one, owner_of(world, 1) as other:
        race([one, other], [[recorded(world, number, [sale(number, 1, refund=False)]) for number in (0, 1)]])
    with pytest.raises(AssertionError, match="daily_sales is no fold"):
        check_exact(world)


def test_with_checkpoints_in_a_transaction_of_their_own_the_oracle_goes_red(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apart(_cursor: Cursor, *arguments: Any) -> Any:
        with connect(world.dsn, "test") as connection, connection.cursor() as cursor:
            return pass_fence(cursor, *arguments)

    def die(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(applying, "pass_fence", apart)
    monkeypatch.setattr(applying, "write_share", die)
    with pytest.raises(KeyboardInterrupt), owner_of(world, 0) as owner:
        owner.apply(recorded(world, 0, [sale(0, 1, refund=False)]))
    with pytest.raises(AssertionError, match="is no fold"):
        check_exact(world)
