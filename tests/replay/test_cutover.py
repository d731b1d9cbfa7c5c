"""Readers see the old version or the new one, never neither, never an error, and never a step back."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from schemas.shop.accounts import PurchaseRecorded
from streams.postgres.checkpoints import Reader
from streams.postgres.views import ViewInUse
from streams.replay import cutover as cutting
from streams.replay.comparing import compare
from streams.replay.cutover import cutover, drop, rollback
from streams.replay.errors import CannotReplay, CutoverRefused
from tests.meanwhile import meanwhile
from tests.replay.apps import POISON, fearful, same, same_summary, spending, wider
from tests.replay.world import Rebuilding
from tests.waiting import wait_until
from tests.worker.child import FIXED, ONLY, TARGET
from tests.worker.world import Workers, World, purchases

NAME = "customer_summary"
V1, V2 = Reader(NAME, 1), Reader(NAME, 2)


@contextmanager
def writing(world: World, seed: int) -> Iterator[None]:
    """Write random events all the time."""
    chance, writer = random.Random(seed), world.writer()

    def write(stop: threading.Event) -> None:
        while not stop.wait(0.01):
            writer.burst(purchases(chance, 40, 200, world.versions))

    with meanwhile(write):
        yield


@dataclass
class Polls:
    """What readers saw, polling all the time, each on its own connection."""

    dsn: str
    view: sql.Identifier
    stop: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)
    ones: list[tuple[int, int]] = field(default_factory=list)
    columns: list[tuple[str, ...]] = field(default_factory=list)

    def sum_up(self, connection: psycopg.Connection) -> None:
        """Ask for the sum over all rows, by a prepared statement."""
        row = connection.execute(self._of("SELECT sum(purchases)::bigint FROM {}"), prepare=True).fetchone()
        assert row
        self.sums.append(row[0])

    def one(self, connection: psycopg.Connection) -> None:
        """Ask for some rows by their keys, by a prepared statement."""
        keys = [f"acc-{number:05d}" for number in range(0, 200, 7)]
        found = connection.execute(
            self._of("SELECT count(*), sum(purchases)::bigint FROM {} WHERE account_id = ANY(%s)"), [keys], prepare=True
        ).fetchone()
        assert found
        self.ones.append(found)

    def everything(self, connection: psycopg.Connection) -> None:
        """Ask for whatever columns there are."""
        cursor = connection.execute(self._of("SELECT * FROM {} LIMIT 3"), prepare=False)
        assert len(cursor.fetchall()) == 3
        self.columns.append(tuple(each.name for each in cursor.description or ()))

    def _of(self, statement: LiteralString) -> sql.Composed:
        return sql.SQL(statement).format(self.view)


@contextmanager
def polling(dsn: str, application: str) -> Iterator[Polls]:
    """Readers, for the block's duration."""
    polls = Polls(dsn, sql.Identifier(application, NAME))

    def read(method: str) -> None:
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                while not polls.stop.wait(0.002):
                    getattr(polls, method)(connection)
        except BaseException as error:  # noqa: BLE001 - judged by the test
            polls.errors.append(error)

    threads = [threading.Thread(target=read, args=[each]) for each in ("sum_up", "one", "everything")]
    for thread in threads:
        thread.start()
    try:
        yield polls
    finally:
        polls.stop.set()
        for thread in threads:
            thread.join()


def test_cutover_and_rollback_under_writes_and_readers(rebuilding: Rebuilding, workers: Workers) -> None:
    world, app = rebuilding.world, rebuilding.world.application.name
    world.writer().burst(purchases(random.Random(1), 3000, 200, world.versions))
    workers.environment[TARGET] = "tests.replay.apps:wider"
    workers.start("a")
    workers.until(rebuilding.reached(V1))
    with writing(world, 2), polling(world.dsn, app) as polls:

        def seen(width: int) -> None:
            polls.columns.clear()
            wait_until(
                lambda: any(len(each) == width for each in polls.columns) or bool(polls.errors), f"{width} columns"
            )

        seen(6)
        rebuilding.replay(wider)
        for _ in range(2):
            switched = cutover(world.dsn, app, NAME, None, 30)
            assert (switched.before, switched.now) == (V1, V2)
            seen(5)
            switched = rollback(world.dsn, app, NAME, 30)
            assert (switched.before, switched.now) == (V2, V1)
            seen(6)
        cutover(world.dsn, app, NAME, None, 30)
        assert drop(world.dsn, app, NAME, None) == V1
        seen(5)
        count = len(polls.sums)
        wait_until(lambda: len(polls.sums) > count + 20, "the readers go on")
    assert polls.errors == []
    assert polls.sums == sorted(polls.sums)
    assert polls.sums[0] < polls.sums[-1]
    assert [each[1] for each in polls.ones] == sorted(each[1] for each in polls.ones)
    assert all(count > 0 for count, _ in polls.ones)
    workers.until(rebuilding.reached(V2))
    assert rebuilding.checksum(V2) == rebuilding.checksum_expected(spending)
    assert workers.exits == [], workers.logs()


def test_old_and_new_code_in_two_processes_stand_still_at_one_position(
    rebuilding: Rebuilding, workers: Workers
) -> None:
    world, app = rebuilding.world, rebuilding.world.application.name
    workers.start("old")
    workers.environment |= {TARGET: "tests.replay.apps:same", ONLY: "customer_summary@2"}
    workers.start("new")
    world.writer().burst(purchases(random.Random(3), 2000, 200, world.versions))
    workers.until(rebuilding.reached(V1))
    rebuilding.replay(same)
    with writing(world, 4):
        for _ in range(3):
            compared = compare(world.dsn, app, V1, V2, 30, 5)
            assert (compared.differing, compared.old_rows) == (0, compared.new_rows)
    assert cutover(world.dsn, app, NAME, None, 30).now == V2
    wait_until(rebuilding.reached(V1, V2), "both go on", 30)
    assert rebuilding.checksum(V1) == rebuilding.checksum(V2) == rebuilding.checksum_expected(same_summary)


def test_no_cutover_while_the_new_version_is_behind(rebuilding: Rebuilding, workers: Workers) -> None:
    world, app = rebuilding.world, rebuilding.world.application.name
    world.writer().burst(purchases(random.Random(5), 500, 50, world.versions))
    rebuilding.replay(same)
    workers.start("old")  # nobody folds version 2
    world.writer().burst(purchases(random.Random(6), 500, 50, world.versions))
    workers.until(rebuilding.reached(V1))
    with pytest.raises(
        CutoverRefused, match=r"customer_summary v2 stays at .* for 1 s.*kafold worker --only customer_summary@2"
    ):
        cutover(world.dsn, app, NAME, None, 1)
    assert shown(rebuilding) == 1
    world.writer().burst(purchases(random.Random(7), 500, 50, world.versions))
    workers.until(rebuilding.reached(V1))  # it was told to go on


def test_a_stop_that_nobody_clears_runs_out(rebuilding: Rebuilding, workers: Workers) -> None:
    world = rebuilding.world
    workers.start("a")
    world.writer().burst(purchases(random.Random(8), 500, 50, world.versions))
    workers.until(rebuilding.reached(V1))
    with psycopg.connect(world.dsn) as connection:
        connection.execute(
            "UPDATE kafold.checkpoints SET stop_at = next + 3, stop_until = clock_timestamp() + interval '4 s' "
            "WHERE projection = %s",
            [NAME],
        )
    stops = {place: at + 3 for place, at in rebuilding.checkpoints(V1).items()}
    world.writer().burst(purchases(random.Random(9), 500, 50, world.versions))
    others = Reader("daily_sales", 1)
    workers.until(rebuilding.reached(others))
    assert rebuilding.checkpoints(V1) == stops
    workers.until(rebuilding.reached(V1))
    assert rebuilding.checksum(V1) == rebuilding.checksum_expected(same_summary)


def test_no_cutover_to_parked_keys_unless_told(rebuilding: Rebuilding, workers: Workers) -> None:
    world, app = rebuilding.world, rebuilding.world.application.name
    workers.start("a")
    events = purchases(random.Random(11), 300, 30, world.versions)
    last = next(each for each in reversed(events) if isinstance(each, PurchaseRecorded))
    world.writer().burst([*events, last.model_copy(update={"purchase_id": POISON})])
    (workers.folder / FIXED).touch()  # the child's version 1 takes it
    workers.until(rebuilding.reached(V1))
    rebuilding.replay(fearful, park=True)
    with pytest.raises(CutoverRefused, match=r"customer_summary v2 has 1 parked keys.*--with-parked"):
        cutover(world.dsn, app, NAME, None, 5)
    assert cutover(world.dsn, app, NAME, None, 5, with_parked=True).parked == 1
    assert shown(rebuilding) == 2


def test_views_and_grants_of_other_people(rebuilding: Rebuilding, workers: Workers) -> None:
    world, app = rebuilding.world, rebuilding.world.application.name
    build(rebuilding, workers)
    view, analyst = sql.Identifier(app, NAME), sql.Identifier(f"analyst_{app}")
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(analyst))
        connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(view, analyst))
        connection.execute(sql.SQL("CREATE VIEW theirs AS SELECT account_id, quantity FROM {}").format(view))
        with pytest.raises(ViewInUse, match="theirs"):
            cutover(world.dsn, app, NAME, None, 5)
        assert shown(rebuilding) == 1
        connection.execute("DROP VIEW theirs")
        cutover(world.dsn, app, NAME, None, 5)
        ask = sql.SQL("SELECT has_table_privilege({}, {}, 'SELECT')")
        granted = connection.execute(
            ask.format(sql.Literal(f"analyst_{app}"), sql.Literal(view.as_string()))
        ).fetchone()
        assert granted == (True,)
        connection.execute(sql.SQL("DROP OWNED BY {}").format(analyst))
        connection.execute(sql.SQL("DROP ROLE {}").format(analyst))


def test_a_reader_without_a_pause_delays_a_cutover_and_no_other_reader(
    rebuilding: Rebuilding, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "LOCK_S", 0.2)
    world, app = rebuilding.world, rebuilding.world.application.name
    build(rebuilding, workers)
    with psycopg.connect(world.dsn) as long, polling(world.dsn, app) as polls:
        long.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(app, NAME)))  # and leaves it open
        wait_until(lambda: len(polls.sums) > 2, "the readers read")
        with pytest.raises(CutoverRefused, match="somebody reads customer_summary without a pause"):
            cutover(world.dsn, app, NAME, None, 2)
        before = len(polls.sums)
        wait_until(lambda: len(polls.sums) > before + 5, "the readers go on")
        long.rollback()
        cutover(world.dsn, app, NAME, None, 5)
        assert shown(rebuilding) == 2
    assert polls.errors == []


def test_what_readers_see_is_not_dropped_and_what_is_gone_is_no_way_back(
    rebuilding: Rebuilding, workers: Workers
) -> None:
    world, app = rebuilding.world, rebuilding.world.application.name
    build(rebuilding, workers)
    with pytest.raises(CannotReplay, match="v1 is what readers see: cut over to another version first"):
        drop(world.dsn, app, NAME, 1)
    with pytest.raises(CannotReplay, match="customer_summary shows v1, and no version before it"):
        rollback(world.dsn, app, NAME, 5)
    cutover(world.dsn, app, NAME, None, 5)
    with pytest.raises(CannotReplay, match="kafold projections rollback"):
        cutover(world.dsn, app, NAME, None, 5)
    assert drop(world.dsn, app, NAME, 1) == V1
    assert rebuilding.checkpoints(V1) == {}
    assert rebuilding.ask("SELECT to_regclass(%s)", f'"{app}".customer_summary_v1') == [(None,)]
    with pytest.raises(CannotReplay, match="no version before it is folded any more"):
        rollback(world.dsn, app, NAME, 5)
    with pytest.raises(CannotReplay, match="beside what readers see there are: none"):
        drop(world.dsn, app, NAME, None)


def build(rebuilding: Rebuilding, workers: Workers) -> None:
    """Have both versions at one position; nobody folds version 2, and nothing is written."""
    world = rebuilding.world
    workers.start("a")
    world.writer().burst(purchases(random.Random(10), 500, 50, world.versions))
    workers.until(rebuilding.reached(V1))
    rebuilding.replay(wider)


def shown(rebuilding: Rebuilding) -> int:
    """Return the version that the view shows, by the books and by its columns."""
    [(version,)] = rebuilding.ask("SELECT version FROM kafold.projections WHERE projection = %s AND live", NAME)
    return int(version)
