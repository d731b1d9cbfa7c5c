"""Worlds of the replay tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replay.world import Rebuilding, rebuilding_of
from tests.worker.world import World


@pytest.fixture
def rebuilding(world: World, tmp_path: Path) -> Iterator[Rebuilding]:
    """A world whose projections are replayed."""
    with rebuilding_of(world, tmp_path / "home") as made:
        yield made
