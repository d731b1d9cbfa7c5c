"""Damage: what may happen to a processor's local state while no process has it open.

Each kind of damage takes the state's keeper and a source of chance. A state that is there again as it was some time ago
is damage of the treacherous kind: nothing is wrong with it but its age.
"""

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path


class Keeper:
    """Knows one slot's local state, and how it was."""

    def __init__(self, state: Path) -> None:
        """`state`: the folder, with a RocksDB for each partition in it."""
        self.state = state
        self.kept = state.with_name(f"{state.name}-kept")

    def files(self) -> Sequence[Path]:
        """Return the state's files, but the locks."""
        return sorted(path for path in self.state.rglob("*") if path.is_file() and path.name != "LOCK")


def cut_short(keeper: Keeper, chance: random.Random) -> None:
    """Every third file loses its end."""
    for path in _some(keeper, chance):
        with path.open("r+b") as file:
            file.truncate(chance.randrange(path.stat().st_size + 1))


def flip_bits(keeper: Keeper, chance: random.Random) -> None:
    """Every third file has eight bits flipped."""
    for path in _some(keeper, chance):
        data = bytearray(path.read_bytes())
        for _ in range(8 if data else 0):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)


def delete_files(keeper: Keeper, chance: random.Random) -> None:
    """Every third file is gone."""
    for path in _some(keeper, chance):
        path.unlink()


def delete_everything(keeper: Keeper, chance: random.Random) -> None:
    """Nothing is left."""
    shutil.rmtree(keeper.state, ignore_errors=True)


def keep(keeper: Keeper, chance: random.Random) -> None:
    """Nothing happens yet, but the state is kept for later."""
    shutil.rmtree(keeper.kept, ignore_errors=True)
    if keeper.state.exists():
        shutil.copytree(keeper.state, keeper.kept)


def bring_back(keeper: Keeper, chance: random.Random) -> None:
    """The state is that of an earlier time."""
    if keeper.kept.exists():
        delete_everything(keeper, chance)
        shutil.copytree(keeper.kept, keeper.state)


DAMAGES: Sequence[Callable[[Keeper, random.Random], None]] = (
    keep,
    cut_short,
    flip_bits,
    bring_back,
    delete_files,
    delete_everything,
)


def _some(keeper: Keeper, chance: random.Random) -> Sequence[Path]:
    return [path for path in keeper.files() if chance.random() < 1 / 3]
