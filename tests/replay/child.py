"""A replay in a process of its own that dies.

`python -m tests.replay.child TARGET NAME BOOTSTRAP DSN HOME PROJECTION STEP` dies as kill -9 does, at the step
`progress:SHARE` of the work, `saving:N` (before the n-th save is committed), `saved:N` (after it), or `handover`;
`slow` only makes it slow.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any

from infra import replaying
from infra.cli.context import Invocation
from infra.engines import Endpoints
from infra.replay_parts import Wishes
from infra.settings import load_settings
from streams.replay import source
from streams.replay.running import Progress
from streams.replay.saving import TableSink

BATCH_RECORDS = 300  # small: a test's log has many of them


def end(*_arguments: Any, **_named: Any) -> None:
    """End as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(step: str, number: str) -> Callable[[Progress], None]:
    """Prepare to die; return what looks at the progress."""
    if step == "saving":
        TableSink._copy = _dying_after(TableSink._copy, int(number))  # type: ignore[method-assign]
    elif step == "saved":
        TableSink.save = _dying_after(TableSink.save, int(number))  # type: ignore[method-assign]
    elif step == "handover":
        replaying.hand_over = end  # type: ignore[attr-defined]

    def look(progress: Progress) -> None:
        if step == "slow":
            time.sleep(0.05)  # so that there is time to ask it to stop
        if step == "progress" and progress.done >= float(number) * progress.total:
            end()

    return look


def _dying_after(function: Any, times: int) -> Any:
    left = count(1)

    @wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        if next(left) == times:
            end()
        return result

    return called


def main() -> None:
    target, name, bootstrap_servers, dsn, home, projection, die = sys.argv[1:]
    step, _, number = die.partition(":")
    source.BATCH_RECORDS = BATCH_RECORDS
    settings = load_settings(home=Path(home), kafka={"bootstrap_servers": bootstrap_servers}, postgres={"dsn": dsn})
    application = replace(Invocation(target, debug=False).application(), name=name)
    endpoints = Endpoints(bootstrap_servers, dsn, {}, owned=False)
    replaying.replay_projection(target, application, settings, endpoints, projection, Wishes(), die_at(step, number))


if __name__ == "__main__":
    main()
