"""Two versions compared at one position, and the event at which they part."""

import random

import pytest

from infra.replaying import compare_versions
from schemas.shop.accounts import PurchaseRefunded
from streams.postgres.checkpoints import Reader
from streams.replay.errors import CannotReplay, NotFolded
from tests.replay.apps import same, wider, wrong
from tests.replay.world import Rebuilding
from tests.worker.child import TARGET
from tests.worker.world import Workers, purchases

NAME = "customer_summary"
V1, V2 = Reader(NAME, 1), Reader(NAME, 2)


def test_a_bug_shows_with_the_first_event(rebuilding: Rebuilding, workers: Workers) -> None:
    world = rebuilding.world
    world.writer().burst(purchases(random.Random(1), 2000, 100, world.versions))
    workers.environment[TARGET] = "tests.replay.apps:wrong"
    workers.start("a")
    rebuilding.replay(wrong)
    world.writer().burst(purchases(random.Random(2), 500, 100, world.versions))
    workers.until(rebuilding.reached(V1, V2))
    application = rebuilding.named(wrong)
    compared, partings = compare_versions(application, rebuilding.settings, rebuilding.endpoints, NAME, None, 30, 3)
    refunds = [(each.event, each.metadata) for each in world.committed if isinstance(each.event, PurchaseRefunded)]
    wronged = sorted({event.account_id for event, _ in refunds if event.amount_cents})
    assert compared.differing == len(wronged)
    assert (compared.only_old, compared.only_new, compared.left_out) == (0, 0, [])
    assert [each.key for each in compared.first] == wronged[:3]
    for each in compared.first:
        parting = partings[each.key]
        first, meta = next(pair for pair in refunds if pair[0].account_id == each.key and pair[0].amount_cents)
        assert each.fields == ["total_cents"]
        assert parting is not None
        assert (parting.recorded.event, parting.recorded.meta) == (first, meta)
        assert parting.new["total_cents"] - parting.old["total_cents"] == 2 * first.amount_cents
    noted = rebuilding.ask("SELECT differing FROM kafold.projections WHERE projection = %s AND version = 2", NAME)
    assert noted == [(len(wronged),)]


def test_only_what_both_have_is_compared(rebuilding: Rebuilding, workers: Workers) -> None:
    world = rebuilding.world
    world.writer().burst(purchases(random.Random(3), 3000, 100, world.versions))
    workers.environment[TARGET] = "tests.replay.apps:wider"
    workers.start("a")
    rebuilding.replay(wider)
    workers.until(rebuilding.reached(V1, V2))
    application = rebuilding.named(wider)
    compared, _ = compare_versions(application, rebuilding.settings, rebuilding.endpoints, NAME, None, 30, 3)
    assert compared.differing == 0
    assert compared.compared == ["account_id", "total_cents", "purchases"]
    assert compared.left_out == ["first_purchase", "last_purchase", "quantity", "refunds", "largest_cents"]


def test_there_must_be_two_versions_that_are_folded(rebuilding: Rebuilding, workers: Workers) -> None:
    world = rebuilding.world

    def ask() -> None:
        compare_versions(rebuilding.named(same), rebuilding.settings, rebuilding.endpoints, NAME, None, 1, 3)

    with pytest.raises(CannotReplay, match="has one version, v1: give it the next one in the code"):
        ask()
    world.writer().burst(purchases(random.Random(4), 100, 10, world.versions))
    rebuilding.replay(same)
    with pytest.raises(NotFolded, match=r"only v2 has begun .*: start a worker whose code defines the other"):
        ask()
    workers.start("old")
    workers.until(rebuilding.reached(V1))
    world.writer().burst(purchases(random.Random(5), 100, 10, world.versions))
    workers.until(rebuilding.reached(V1))
    with pytest.raises(NotFolded, match=r"customer_summary v2 stays at .*nobody folds it, or not fast enough"):
        ask()
