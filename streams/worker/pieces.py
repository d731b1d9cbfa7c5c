"""Pieces: applying a batch that the database may refuse a value of.

Promises: what lost a race for locks is done again; an event whose value is refused is found by halving the batch, and
is then alone in its piece, which is applied with the **refusals**: whose value was refused, and why.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from streams.kernel.folding import Envelope
from streams.postgres.checkpoints import Reader
from streams.postgres.connection import Connection, repeated


class Refused(Exception):
    """The database refused a value of one reader's: park the event that made it. Handled here, by halving."""

    def __init__(self, reader: Reader, cause: Exception) -> None:
        """Remember whose value it was."""
        super().__init__(str(cause).partition("\n")[0])
        self.reader = reader


Refusals: TypeAlias = Mapping[Reader, Refused]
Transact: TypeAlias = Callable[[Sequence[Envelope], Refusals], None]


def apply_in_pieces(connection: Connection, transact: Transact, batch: Sequence[Envelope]) -> None:
    """Apply a batch, whole if it can be. `transact` applies a piece in one transaction, and may raise Refused."""

    def repeat(piece: Sequence[Envelope], refusals: Refusals) -> None:
        repeated(connection, lambda: transact(piece, refusals))

    _apply(repeat, batch)


def _apply(transact: Transact, batch: Sequence[Envelope]) -> None:
    try:
        transact(batch, {})
    except Refused as refused:
        if len(batch) == 1:
            _single(transact, batch, refused)
            return
        middle = len(batch) // 2
        _apply(transact, batch[:middle])
        _apply(transact, batch[middle:])


def _single(transact: Transact, batch: Sequence[Envelope], refused: Refused) -> None:
    """Apply a piece of one event, for each reader whose value the database refuses with its refusal."""
    refusals = {refused.reader: refused}
    while True:
        try:
            transact(batch, refusals)
        except Refused as another:
            if another.reader in refusals:
                raise
            refusals[another.reader] = another
        else:
            return
