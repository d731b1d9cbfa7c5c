"""A row per event, replayed: what the worker folds and plain Python folds, whatever splits it and cuts it off."""

import random
from typing import Any

import pytest

from schemas.shop.accounts import PurchaseRecorded
from streams.postgres.checkpoints import Reader
from streams.postgres.setup import prepare
from streams.replay.errors import Unfoldable, Unwritable
from tests.replay.apps import NAME, before_per_purchase, per_purchase_v2, with_per_purchase
from tests.replay.test_resuming import killed
from tests.replay.world import Rebuilding
from tests.worker.child import TARGET
from tests.worker.world import Workers, World, purchases

V1, V2 = Reader("per_purchase", 1), Reader("per_purchase", 2)
TARGET_V2 = "tests.replay.apps:with_per_purchase"
WITHIN = "{event.account_id}/{number}"  # ids that come again within an account, and so within a partition


@pytest.fixture(autouse=True)
def books(rebuilding: Rebuilding, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers see version 1."""
    monkeypatch.setenv(NAME, rebuilding.world.application.name)
    prepare(rebuilding.world.dsn, rebuilding.named(before_per_purchase))


def write(world: World, seed: int, count: int, ids: str = WITHIN) -> None:
    """Write purchases and other events; `ids`: what the purchases' are, of 40 numbers."""
    events = [
        event.but(purchase_id=ids.format(event=event, number=number % 40))
        if isinstance(event, PurchaseRecorded)
        else event
        for number, event in enumerate(purchases(random.Random(seed), count, 60, world.versions))
    ]
    world.writer().burst(events)


def replayed(rebuilding: Rebuilding, **wishes: Any) -> Any:
    return rebuilding.replay(with_per_purchase, V2.name, target=TARGET_V2, **wishes)


@pytest.mark.parametrize("wishes", [{}, {"processes": 2}, {"rows_max": 50}, {"processes": 2, "rows_max": 50}])
def test_bulk_live_and_a_plain_fold_make_the_same_bytes(
    rebuilding: Rebuilding, workers: Workers, wishes: dict[str, Any]
) -> None:
    for seed in range(3):
        write(rebuilding.world, seed, 2000)
    workers.environment[TARGET] = "tests.replay.apps:before_per_purchase"
    workers.start("a")
    assert replayed(rebuilding, **wishes).handed_over
    assert rebuilding.checksum(V2) == rebuilding.checksum_expected(per_purchase_v2)
    workers.until(rebuilding.reached(V1))
    assert rebuilding.checksum(V2) == rebuilding.checksum(V1)


def test_a_key_of_two_partitions_has_one_of_the_two_rows(rebuilding: Rebuilding) -> None:
    write(rebuilding.world, 1, 4000, ids="{number}")
    assert replayed(rebuilding, processes=2).handed_over
    found = rebuilding.ask("SELECT purchase_id, account_id, quantity, amount_cents FROM APP.per_purchase_v2")
    events = [each.event for each in rebuilding.world.committed]
    could_be = {
        (each.purchase_id, each.account_id, each.quantity, each.amount_cents)
        for each in events
        if isinstance(each, PurchaseRecorded)
    }
    assert len(found) == 40
    assert could_be >= set(found)


@pytest.mark.parametrize("die_at", ["progress:0.5", "saving:3", "saved:2", "handover"])
def test_killed_it_goes_on_from_its_last_save(rebuilding: Rebuilding, die_at: str) -> None:
    for seed in range(6):
        write(rebuilding.world, seed, 2000)
    killed(rebuilding, die_at, TARGET_V2, V2.name)
    saved = sum(rebuilding.checkpoints(V2).values())
    assert saved > 0
    built = replayed(rebuilding)
    assert built.events == sum(built.position.offsets.values()) - saved
    assert rebuilding.checksum(V2) == rebuilding.checksum_expected(per_purchase_v2)


def test_a_value_that_the_database_refuses_is_shown_with_its_row(rebuilding: Rebuilding) -> None:
    write(rebuilding.world, 1, 500)
    write(rebuilding.world, 2, 500, ids="a\0{number}")
    with pytest.raises(Unwritable, match=r"does not take PurchaseRow\(purchase_id='a\\x00\d+', account_id='acc-\d+'"):
        replayed(rebuilding)


def test_what_is_no_event_is_shown_or_parked(rebuilding: Rebuilding) -> None:
    write(rebuilding.world, 1, 500)
    key = max(rebuilding.world.versions).encode()
    rebuilding.world.writer().anything(key, b"rubbish")
    with pytest.raises(Unfoldable, match=rf"\(key {key.decode()}\): cannot be folded: WrongMagicByte"):
        replayed(rebuilding)
    write(rebuilding.world, 2, 500)
    built = replayed(rebuilding, park=True)
    assert (built.handed_over, built.parked) == (True, 1)
    expected = {
        each.event.purchase_id
        for number, each in enumerate(rebuilding.world.committed)
        if isinstance(each.event, PurchaseRecorded) and (number < 500 or each.event.account_id != key.decode())
    }
    assert {found for (found,) in rebuilding.ask("SELECT purchase_id FROM APP.per_purchase_v2")} == expected
