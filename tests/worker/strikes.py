"""Strikes: a worker sends itself a signal at a given step, so that a test chooses the moment.

A strike is written STEP:NUMBER:SIGNAL, such as `rows:3:SIGKILL`: the third time that the worker leaves the step. Steps
of an assignment, of folding a batch, and of reacting to one, in their order:

=========  ==================================================================
own        one reader's checkpoint on a partition was read
read       a batch is decoded, and its transaction not begun
fence      the checkpoints have moved, in the transaction
journal    the events are in the journal, in the transaction
lock       shared rows are made, locked and folded, in the transaction
copy       a row of a COPY is under way, in the transaction
rows       one projection's rows are written, in the transaction
commit     COMMIT is sent, and its answer not awaited (SIGKILL only)
committed  the transaction is over, and nothing else begun
bulk       a step of catching up is over, and the next one not begun
decide     commands are in the outbox, in the transaction
decided    commands are in the outbox, and not sent
send       commands are acknowledged, and not noted
note       commands are noted as sent, in the transaction
=========  ==================================================================
"""

import os
import signal
from collections.abc import Callable
from functools import partial, wraps
from itertools import count
from typing import Any

from psycopg import Copy, Transaction
from psycopg.pq.abc import PGconn

from streams.postgres import outbox
from streams.worker import applying, reading
from streams.worker.catching_up import CatchUpLane
from streams.worker.sending import Sender

STRIKE = "KAFOLD_TEST_STRIKE"  # the variable that holds it
FOLDING = ("own", "read", "fence", "journal", "lock", "copy", "rows", "commit", "committed")
FOLDER = "kafold worker"  # the name of the connections that fold
_PLACES: dict[str, tuple[Any, str]] = {
    "own": (reading, "take"),
    "read": (applying, "envelopes"),
    "fence": (applying, "pass_fence"),
    "journal": (applying, "journal_share"),
    "lock": (applying, "fold_shared"),
    "copy": (Copy, "write_row"),
    "rows": (applying, "write_share"),
    "committed": (applying, "_remember"),
    "bulk": (CatchUpLane, "apply"),
    "decide": (outbox, "keep"),
    "decided": (outbox, "unsent"),
    "send": (Sender, "__call__"),
    "note": (outbox, "sent"),
}


def strike(told: str) -> None:
    """Prepare this process for a strike; an empty one never comes."""
    if not told:
        return
    step, number, name = told.split(":")
    due, left = int(number), count(1)

    def hit(before: Callable[[], object] = lambda: None) -> None:
        if next(left) == due:
            before()
            os.kill(os.getpid(), signal.Signals[name])

    if step == "commit":
        _while_committing(hit)
    else:
        where, attribute = _PLACES[step]
        setattr(where, attribute, _afterwards(getattr(where, attribute), hit))


def _afterwards(function: Any, hit: Callable[[], None]) -> Any:
    @wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        hit()
        return result

    return called


def _while_committing(hit: Callable[[Callable[[], object]], None]) -> None:
    original = Transaction.__exit__

    def leave(transaction: Transaction, kind: Any, error: Any, trace: Any) -> bool:
        connection = transaction.connection
        if error is None and connection.info.parameter_status("application_name") == FOLDER:
            hit(partial(_send_commit, connection.pgconn))
        return original(transaction, kind, error, trace)

    setattr(Transaction, "__exit__", leave)  # noqa: B010 - mypy knows no other way to replace a method


def _send_commit(pgconn: PGconn) -> None:
    pgconn.send_query(b"COMMIT")
    pgconn.flush()
