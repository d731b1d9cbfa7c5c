"""The bar of a replay tells how much is done, how fast, how long it takes still, and where it is."""

import io
import re

import pytest
from rich.console import Console

from infra.cli import console, replay_bar
from streams.replay.running import Progress

PLACES = {("shop.account.events", 0): 400, ("shop.account.events", 1): 100}


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    """Return what is written of a replay that does half its work in twenty seconds."""
    text, now_s = io.StringIO(), [1000.0]
    monkeypatch.setattr(console, "ERR", Console(file=text, force_terminal=terminal, width=200, no_color=True))
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    with replay_bar.bar("customer_summary") as on_progress:
        for done in (250, 500):
            now_s[0] += 10
            on_progress(Progress(done, 1000, PLACES))
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue())


def test_where_nobody_looks_it_tells_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    *_, last = shown(monkeypatch, terminal=False).splitlines()
    assert last == "customer_summary: 500 of 1,000, 25/s, 20 s left, at 0=400 1=100"


def test_on_a_terminal_it_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, terminal=True)
    assert "customer_summary" in text
    assert "500/1000" in text
    assert "25/s" in text
    assert "0:00:20" in text  # the time left
    assert "0=400 1=100" in text


def test_before_anything_is_done_it_divides_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(console, "ERR", Console(file=text, force_terminal=False, width=200))
    monkeypatch.setattr(replay_bar, "LINE_S", -1.0)
    with replay_bar.bar("customer_summary") as on_progress:
        on_progress(Progress(0, 0, {}))
    assert "customer_summary: 0 of 0" in text.getvalue()
