"""An engine's folder: who holds it, and what its state file is worth."""

import fcntl
import os
from pathlib import Path

from infra.engines.home import EngineHome, EngineState


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = EngineHome(tmp_path), EngineHome(tmp_path)
    assert first.try_lock() is not None
    assert second.try_lock() is None
    first.unlock()
    assert second.try_lock() is not None
    second.unlock()


def test_an_engine_that_inherited_the_lock_holds_it_on(tmp_path: Path) -> None:
    home = EngineHome(tmp_path)
    descriptor = home.try_lock()
    assert descriptor is not None
    inherited = os.dup(descriptor)
    home.unlock()
    assert home.try_lock() is None
    os.close(inherited)
    assert home.try_lock() is not None
    home.unlock()


def test_the_lock_is_not_inherited_by_chance(tmp_path: Path) -> None:
    home = EngineHome(tmp_path)
    descriptor = home.try_lock()
    assert descriptor is not None
    assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    home.unlock()


def test_state_comes_back_as_written(tmp_path: Path) -> None:
    home = EngineHome(tmp_path)
    state = EngineState(owner_pid=1, ports=(2, 3), ready=True)
    home.write_state(state)
    assert home.read_state() == state


def test_a_broken_state_is_none(tmp_path: Path) -> None:
    home = EngineHome(tmp_path)
    assert home.read_state() is None
    for text in ("", "[]", "{", '{"owner_pid": 1, "ports": 5, "ready": true}'):
        (tmp_path / "engine.json").write_text(text)
        assert home.read_state() is None
