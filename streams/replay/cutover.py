"""Cutover: a projection's view switched to another version, and back (**rollback**); the old version dropped.

Both versions are brought to the same position first, so that no reader takes a step back, and held there for the moment
that the switch takes.

Promises: readers see the old version or the new one, never neither and never an error; the switch waits for readers
`LOCK_S` at a time and lets others pass in between; what is not shown any more is folded on until it is dropped.
"""

import time
from typing import NamedTuple

import psycopg

from schemas.position import Position
from streams.postgres.checkpoints import Reader
from streams.postgres.connection import Connection, connect
from streams.postgres.versions import State, live, set_state, versions
from streams.postgres.views import show, table_of_version
from streams.replay.comparing import pair, parked
from streams.replay.errors import CannotReplay, CutoverRefused, NotFolded
from streams.replay.meeting import Meeting, meeting
from streams.replay.planning import forget

LOCK_S = 0.5
PAUSE_S = 0.2


class Switched(NamedTuple):
    """A switch that was made. `parked`: keys of the version that is shown now."""

    before: Reader
    now: Reader
    position: Position
    parked: int


def cutover(
    dsn: str, application: str, projection: str, version: int | None, timeout_s: float, *, with_parked: bool = False
) -> Switched:
    """Let readers see the newest folded version, or `version`.

    Raises:
        CutoverRefused: it is behind, or has parked keys.
        ViewInUse: other views depend on columns that change.
    """
    with connect(dsn, "cutover") as connection:
        shown, wanted = pair(connection, application, projection, version)
        if version is None and wanted.version < shown.version:
            raise CannotReplay(
                f"{projection} shows v{shown.version}, the newest that is folded: `kafold projections rollback "
                f"{projection}` goes back to v{wanted.version}"
            )
        count = parked(connection, application, wanted)
        if count > parked(connection, application, shown) and not with_parked:
            raise CutoverRefused(
                f"{wanted.name} v{wanted.version} has {count} parked keys, whose rows lack events: mend and retry "
                "them, or switch --with-parked"
            )
        try:
            with meeting(connection, application, shown, wanted, timeout_s) as met:
                _switch(dsn, met, time.monotonic() + timeout_s)
        except NotFolded as error:
            raise CutoverRefused(f"no cutover: {error}") from error
        return Switched(shown, wanted, met.position, count)


def rollback(dsn: str, application: str, projection: str, timeout_s: float, *, with_parked: bool = False) -> Switched:
    """Let readers see the version before the one that they see now.

    Raises:
        CannotReplay: there is none any more.
    """
    with connect(dsn, "rollback") as connection:
        found = versions(connection, application, projection)
    shown = live(found)
    older = [
        each.reader.version
        for each in found
        if shown and each.reader.version < shown.reader.version and each.state is State.FOLDED
    ]
    if not older:
        at = f"v{shown.reader.version}" if shown else "none"
        raise CannotReplay(
            f"{projection} shows {at}, and no version before it is folded any more: nothing to go back to"
        )
    return cutover(dsn, application, projection, older[-1], timeout_s, with_parked=with_parked)


def drop(dsn: str, application: str, projection: str, version: int | None) -> Reader:
    """Take away a version that readers do not see: its table, its checkpoints, what it parked. Workers let go of it.

    Raises:
        CannotReplay: it is what readers see, or there is none.
    """
    with connect(dsn, "drop") as connection, connection.transaction(), connection.cursor() as cursor:
        found = versions(cursor, application, projection)
        shown = live(found)
        there = [each.reader for each in found if each.state in (State.FOLDED, State.REPLAYING)]
        wanted = [each for each in there if shown and each != shown.reader and version in (None, each.version)]
        if shown is not None and version == shown.reader.version:
            raise CannotReplay(f"{projection} v{version} is what readers see: cut over to another version first")
        if len(wanted) != 1:
            others = ", ".join(f"v{each.version}" for each in there if shown and each != shown.reader) or "none"
            raise CannotReplay(
                f"say which version of {projection} to drop; beside what readers see there are: {others}"
            )
        [reader] = wanted
        set_state(cursor, application, reader, State.DROPPED)
        forget(cursor, application, reader, table_of_version(application, reader))
    return reader


def _switch(dsn: str, met: Meeting, deadline: float) -> None:
    """Switch the view as soon as nobody is reading it; both versions stay where they met meanwhile."""
    with connect(dsn, "cutover") as connection:
        while True:
            met.renew()
            try:
                with connection.transaction():
                    _switch_now(connection, met)
            except psycopg.errors.LockNotAvailable:
                if time.monotonic() > deadline:
                    raise CutoverRefused(
                        f"somebody reads {met.two.name} without a pause: end long queries and open transactions on it "
                        "(pg_stat_activity shows them), or give it more --timeout-s"
                    ) from None
                time.sleep(PAUSE_S)
            else:
                return


def _switch_now(connection: Connection, met: Meeting) -> None:
    # Readers that come meanwhile queue behind this lock, so it must not be waited for long.
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_S * 1000:.0f}ms"])
    with connection.cursor() as cursor:
        show(cursor, met.application, met.two)
    if not met.still_holds(connection):
        raise CutoverRefused(f"{met.one.name} could not be held at one position: try again")
