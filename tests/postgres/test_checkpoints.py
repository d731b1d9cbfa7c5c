"""Whoever begins to own a partition waits for nobody who is about to move its checkpoints, and may be frozen."""

from streams.domain.shop.app import shop
from streams.postgres.checkpoints import Move, Reader, advance, take
from streams.postgres.connection import connect
from streams.postgres.setup import prepare

READER, PLACE, UUID = Reader("users", 1), ("shop.user.events", 0), "an-id"
FILLS_A_PAGE = 200  # versions of a checkpoint: the last are not where the first is, and have their own index entries


def test_checkpoints_are_taken_while_another_session_moves_them(database: str) -> None:
    prepare(database, shop)
    with connect(database, "old owner") as old, connect(database, "new owner") as new:
        with old.transaction():
            assert take(old.cursor(), shop.name, *PLACE, UUID, [READER]) == {READER: 0}
        new.execute("SET lock_timeout = '100ms'")
        with old.transaction():
            for number in range(FILLS_A_PAGE):
                move = Move(READER, number, number + 1)
                assert advance(old.cursor(), shop.name, *PLACE, UUID, [move]) == {READER: number + 1}
            with new.transaction():
                assert take(new.cursor(), shop.name, *PLACE, UUID, [READER]) == {READER: 0}
        with new.transaction():
            assert take(new.cursor(), shop.name, *PLACE, UUID, [READER]) == {READER: FILLS_A_PAGE}
