"""A load on a world: bursts of events, some of them aborted, on few accounts and few days.

Half of the sales are refunds, so that days are even, and their rows gone, again and again.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.shop.accounts import AccountEvent
from tests.meanwhile import meanwhile
from tests.worker.world import World, purchases

BURST_EVENTS_MAX = 100
PAUSE_S = 0.1


def sales(world: World, chance: random.Random, count: int) -> list[AccountEvent]:
    """Return events for one burst."""
    return purchases(chance, count, 60, world.versions, days=20, refunds=0.5)


@contextmanager
def steady_load(world: World, seed: int) -> Iterator[None]:
    """Write bursts for as long as the block runs."""
    chance, writer = random.Random(seed), world.writer()

    def write(stop: threading.Event) -> None:
        while not stop.wait(PAUSE_S):
            writer.burst(sales(world, chance, chance.randrange(1, BURST_EVENTS_MAX)), abort=chance.random() < 0.1)

    with meanwhile(write):
        yield
