"""A row as of a moment is a plain fold of the log up to it, whatever its key; what says nothing of it is refused.

The **reference** folds every record of the topic one by one, in memory, with nothing of kafold's folding.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, NamedTuple

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.errors import DecodingError, InvalidPosition, KafoldError
from schemas.metadata import EventMetadata
from schemas.position import Position
from schemas.shop.accounts import PurchaseRefunded
from schemas.shop.rows import CustomerSummary, DailySales
from streams.domain.shop.accounts import account
from streams.domain.shop.projections import Custom, Sale, customer_summary, daily_sales, project_customer, project_day
from streams.event_store.moment import Moment, parse_moment_or_version
from streams.event_store.rows import AggregateRows
from streams.kernel.application import AnyProjection
from streams.kernel.errors import Stale, TopicProblem
from streams.kernel.partitioner import partition_of
from streams.kernel.row_then import RowThen, Was
from streams.replay.one_row import row_as_of
from tests.log import read_committed
from tests.worker.world import PARTITIONS, Workers, World, purchases

KEYS = 40
CENTS_NEVER = 4_000  # what the picky projections do not take is more than most purchases are
AGES_S = (4_000, 3_000, 2_000, 1_000)


def project_picky(row: CustomerSummary, event: Custom, meta: EventMetadata) -> CustomerSummary | None:
    """Delete a customer at some refunds, and raise at some purchases."""
    if isinstance(event, PurchaseRefunded) and event.amount_cents % 2:
        return None
    if getattr(event, "amount_cents", 0) > CENTS_NEVER:
        raise ValueError("too much")
    return project_customer(row, event, meta)


def project_picky_day(row: DailySales, event: Sale, meta: EventMetadata) -> DailySales | None:
    """Delete a day at some refunds, and raise at some."""
    if isinstance(event, PurchaseRefunded) and event.amount_cents < 50:
        return None
    if isinstance(event, PurchaseRefunded) and event.amount_cents > 95:
        raise ValueError("too much")
    return project_day(row, event, meta)


picky_summary = replace(customer_summary, project=project_picky)
picky_days = replace(daily_sales, project=project_picky_day)


class Written(NamedTuple):
    """One record. `event` None: it is none."""

    partition: int
    offset: int
    key: bytes
    time_ms: int
    event: Any
    meta: EventMetadata | None


@dataclass
class Reference:
    """The plain fold of what counts."""

    projection: AnyProjection
    rows: dict[Any, Any] = field(default_factory=dict)
    folded: dict[Any, int] = field(default_factory=dict)
    waiting: dict[Any, int] = field(default_factory=dict)
    parked: set[Any] = field(default_factory=set)
    messages: set[bytes] = field(default_factory=set)

    def take(self, each: Written) -> None:
        if each.event is None:
            self.messages.add(each.key)
        if type(each.event) not in self.projection.event_types:
            return
        key = self.projection.key_of(each.event)
        if key in self.parked or each.key in self.messages:
            self.waiting[key] = self.waiting.get(key, 0) + 1
            return
        try:
            row = self.projection.project(
                self.rows.get(key) or self.projection.new_row(key),
                each.event,
                each.meta,  # type: ignore[arg-type]
            )
        except ValueError:
            self.parked.add(key)
            self.waiting[key] = self.waiting.get(key, 0) + 1
            return
        self.rows[key], self.folded[key] = row, self.folded.get(key, 0) + 1

    def was(self, key: Any, ever: set[Any]) -> Was:
        if self.rows.get(key) is not None:
            return Was.THERE
        if key in self.folded:
            return Was.DELETED
        return Was.NOT_YET if key in ever else Was.NEVER


def written(world: World) -> list[Written]:
    """Everything in the topic, in order."""
    decode, found = world.application.event_codec(account, world.ids).decode, []
    for each in read_committed(world.kafka, world.topic):
        try:
            event, meta = decode(each.value() or b"")
        except DecodingError:
            event, meta = None, None
        time_ms = each.timestamp()[1] if meta is None else meta.time_ms
        found.append(Written(each.partition(), each.offset(), each.key() or b"", time_ms, event, meta))
    return found


def up_to(log: list[Written], moment: Moment, topic: str) -> list[Written]:
    """What counts at a moment: of each aggregate, up to the first event that does not."""
    ended, counted = set[bytes](), []
    for each in log:
        counts = (
            each.offset < moment.position.offsets[topic, each.partition]
            if moment.position is not None
            else each.meta is not None and each.meta.version <= moment.version
            if moment.version is not None
            else each.time_ms <= (moment.time_ms or 0)
        )
        if not counts:
            ended.add(each.key)
        if each.key not in ended:
            counted.append(each)
    return counted


@pytest.fixture
def log(world: World, workers: Workers) -> list[Written]:
    """Four bursts of purchases, an hour apart and a record that is no event among them; the journal has them all."""
    chance, writer = random.Random(5), world.writer()
    for number, age_s in enumerate(AGES_S):
        # Each burst brings customers that the ones before did not have.
        writer.burst(purchases(chance, 600, KEYS * (number + 1), world.versions), age_s=age_s)
        writer.burst(purchases(chance, 50, KEYS, world.versions), abort=True)
        if number == 1:
            writer.anything(b"acc-00007", b"\0\0\0\0\1rubbish")
    workers.start("a")
    workers.until(world.caught_up)
    return written(world)


def moments(log: list[Written], world: World, chance: random.Random, count: int) -> list[Moment]:
    """Positions that some reader could have been at, and times between events and of events."""
    found = []
    for _ in range(count):
        ends = {place: chance.randrange(end + 1) for place, end in world.ends.items()}
        found.append(Moment(position=Position(ends, world.position.topic_ids)))
        found.append(Moment(time_ms=chance.choice(log).time_ms + chance.randrange(-1, 2)))
    return found


def check(log: list[Written], world: World, projection: AnyProjection, key: Any, moment: Moment, then: RowThen) -> Was:
    """Compare a row with the reference's; return how it was."""
    expected = Reference(projection)
    for each in up_to(log, moment, world.topic):
        expected.take(each)
    ever = {projection.key_of(each.event) for each in log if type(each.event) in projection.event_types}
    assert then.row == expected.rows.get(key), (key, moment)
    assert then.was is expected.was(key, ever), (key, moment)
    assert then.events == expected.folded.get(key, 0)
    if key in expected.parked:
        assert then.waiting >= 1
    return then.was


def test_a_row_keyed_by_its_aggregate_is_the_fold_up_to_any_moment(world: World, log: list[Written]) -> None:
    chance, seen = random.Random(1), set[tuple[Was, bool]]()
    keys = [*sorted(world.versions), *["acc-00007", "nobody"] * 10]
    with AggregateRows(world.application, picky_summary, dsn=world.dsn, ids=world.ids, partitions=PARTITIONS) as rows:
        for moment in moments(log, world, chance, 150):
            key = chance.choice(keys)
            then = rows.row(key, moment, timeout_s=0)
            seen.add((check(log, world, picky_summary, key, moment, then), then.waiting > 0))
        for _ in range(150):
            key, last = chance.choice(sorted(world.versions.items()))
            moment = Moment(version=chance.randrange(last + 1))
            then = rows.row(key, moment, timeout_s=0)
            seen.add((check(log, world, picky_summary, key, moment, then), then.waiting > 0))
    assert {was for was, _ in seen} == set(Was)
    assert (Was.THERE, True) in seen


def test_a_row_that_partitions_share_is_the_fold_up_to_any_moment(world: World, log: list[Written]) -> None:
    chance, seen, told = random.Random(2), set[tuple[Was, bool]](), list[tuple[int, int]]()
    days = [*(date(1997, 1 + number // 28, 1 + number % 28) for number in range(336)), *[date(1999, 1, 1)] * 30]
    for number, moment in enumerate(moments(log, world, chance, 200)):
        if number >= 80 and {was for was, _ in seen} == set(Was) and (Was.THERE, True) in seen:
            break
        key = chance.choice(days)
        then = as_of(world, picky_days, key, moment, lambda done, total: told.append((done, total)))
        seen.add((check(log, world, picky_days, key, moment, then), then.waiting > 0))
    assert {was for was, _ in seen} == set(Was)
    assert (Was.THERE, True) in seen
    assert all(0 < done <= total for done, total in told)
    assert told


def as_of(
    world: World, projection: AnyProjection, key: Any, moment: Moment | str,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None, timeout_s: float = 0,
) -> RowThen:  # fmt: skip
    then = parse_moment_or_version(moment) if isinstance(moment, str) else moment
    return row_as_of(
        world.application, projection, key, then, kafka=world.kafka, dsn=world.dsn, ids=world.ids,
        partitions=PARTITIONS, timeout_s=timeout_s, on_progress=on_progress,
    )  # fmt: skip


def test_a_version_and_a_position_are_waited_for(world: World, workers: Workers) -> None:
    chance, writer = random.Random(3), world.writer()
    writer.burst(purchases(chance, 200, 10, world.versions))
    workers.start("a")
    key, version = max(world.versions.items())
    for moment in (str(version), str(world.position)):
        assert as_of(world, customer_summary, key, moment, timeout_s=60).row == world.expected(customer_summary)[key]
    with pytest.raises(Stale, match=rf"not yet at version {version + 1} of '{key}', whose last there is {version}"):
        as_of(world, customer_summary, key, str(version + 1), timeout_s=0.05)
    later = Position({place: end + 10**6 for place, end in world.ends.items()}, world.position.topic_ids)
    with pytest.raises(Stale, match="the journal of"):
        as_of(world, customer_summary, key, str(later), timeout_s=0.05)


def test_moments_that_say_nothing_of_the_row(world: World, workers: Workers) -> None:
    world.writer().burst(purchases(random.Random(4), 2000, 40, world.versions))
    workers.start("a")
    workers.until(world.caught_up)
    key, day = max(world.versions), date(1997, 1, 1)
    ends, uuids = world.position.offsets, world.position.topic_ids
    other = replace(world.position, topic_ids={world.topic: "another"})
    silent = Position({place: end for place, end in ends.items() if place[1] == 0}, uuids)
    two = replace(customer_summary, of=world.application.aggregates)
    bad: list[tuple[AnyProjection, Any, str, type[KafoldError], str]] = [
        (customer_summary, key, "yesterday", InvalidPosition, "neither a position"),
        (customer_summary, key, "", InvalidPosition, "neither a position"),
        (customer_summary, key, "-1", InvalidPosition, "neither a position"),
        (customer_summary, key, "9" * 5_000, InvalidPosition, "neither a position"),
        (customer_summary, key, f"{world.topic}@x:0=" + "9" * 5_000, InvalidPosition, "is not of the form"),
        (customer_summary, key, str(other), InvalidPosition, "another topic"),
        (daily_sales, day, str(other), InvalidPosition, "another topic"),
        (daily_sales, day, "7", InvalidPosition, "7 is a version, but rows of daily_sales are not keyed by their agg"),
        (two, key, "7", InvalidPosition, "7 is a version, but customer_summary folds user and account, which have one"),
        (two, key, str(world.position), InvalidPosition, "says nothing of partition . of .*user.events"),
        (daily_sales, day, str(silent), InvalidPosition, r"says nothing of partition 1.*projections list --json"),
        (daily_sales, day, str(Position({**ends, (world.topic, 9): 1}, uuids)), InvalidPosition, "no such partition"),
        (daily_sales, day, str(Position({**ends, (world.topic, 0): 10**9}, uuids)), InvalidPosition, "which ends at"),
    ]
    for projection, of, moment, kind, text in bad:
        with pytest.raises(kind, match=text):
            as_of(world, projection, of, moment)
    there = next(each for each in world.versions if partition_of(each.encode(), PARTITIONS) != 0)
    with pytest.raises(InvalidPosition, match=r"says nothing of partition .*where the aggregate is"):
        as_of(world, customer_summary, there, str(silent))


def test_a_log_that_has_lost_its_beginning_is_refused_where_it_has_to_be_read(world: World, workers: Workers) -> None:
    world.writer().burst(purchases(random.Random(6), 500, 40, world.versions))
    workers.start("a")
    workers.until(world.caught_up)
    key, moment = max(world.versions), str(world.position)
    before = as_of(world, customer_summary, key, moment)
    ends = [TopicPartition(*place, end) for place, end in world.ends.items()]
    admin = AdminClient(world.kafka.admin())
    for future in admin.delete_records(ends).values():
        future.result(60)
    with pytest.raises(TopicProblem, match=r"begins at offset \d+: the events before are lost"):
        as_of(world, daily_sales, date(1997, 1, 1), moment)
    assert as_of(world, customer_summary, key, moment) == before  # the journal has them
