"""Comparing: two versions of a projection at the same position, row by row, in SQL.

Only columns that both have are compared; those whose types differ, as text.

Promises: nothing is changed; neither version waits for longer than it takes to open a snapshot, and the comparison runs
in that snapshot while both go on; it needs the code of neither.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import sql

from schemas.position import Position
from streams.postgres.checkpoints import Reader
from streams.postgres.connection import Connection, connect
from streams.postgres.versions import State, Version, live, note_comparison, versions
from streams.postgres.views import table_of_version
from streams.replay.errors import CannotReplay
from streams.replay.meeting import Meeting, meeting

TRIES_MAX = 5

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_COUNT = """
SELECT count(*), count(*) FILTER (WHERE new.{new_key} IS NULL), count(*) FILTER (WHERE old.{old_key} IS NULL)
FROM {old} AS old FULL JOIN {new} AS new ON {same_key} WHERE {differ}
"""
_FIRST = """
SELECT coalesce(old.{old_key}::text, new.{new_key}::text), to_jsonb(old), to_jsonb(new)
FROM {old} AS old FULL JOIN {new} AS new ON {same_key} WHERE {differ} ORDER BY 1 LIMIT %s
"""
_ROWS = "SELECT count(*) FROM {}"
_PARKED = """
SELECT count(*) FROM kafold.parked_keys WHERE application = %s AND projection = %s AND version = %s
"""


class Difference(NamedTuple):
    """One row that differs. None: the version has no such row. `fields`: those that differ, of the shared ones."""

    key: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None
    fields: Sequence[str]


class Compared(NamedTuple):
    """What a comparison found. `compared`: columns; `left_out`: those that only one version has. `parked`: keys."""

    old: Reader
    new: Reader
    position: Position
    old_rows: int
    new_rows: int
    differing: int
    only_old: int
    only_new: int
    compared: Sequence[str]
    left_out: Sequence[str]
    old_parked: int
    new_parked: int
    first: Sequence[Difference]


def pair(
    connection: Connection, application: str, projection: str, version: int | None = None
) -> tuple[Reader, Reader]:
    """Return the live version and the other one: `version`, or the newest that is folded.

    Raises:
        CannotReplay: there are not two that are folded.
    """
    found = versions(connection, application, projection)
    shown = live(found)
    others = [each for each in found if not each.live and version in (None, each.reader.version)]
    folded = [each for each in others if each.state is State.FOLDED]
    if shown is None or not folded:
        raise CannotReplay(_no_pair(projection, shown, others[-1] if others else None))
    return shown.reader, folded[-1].reader


def compare(dsn: str, application: str, old: Reader, new: Reader, timeout_s: float, first: int) -> Compared:
    """Compare two folded versions, and keep in the books how many rows differ. `first`: how many differences to show.

    Raises:
        NotFolded: one of them does not come along.
    """
    with connect(dsn, "compare") as meeting_point, connect(dsn, "compare") as reading:
        for _ in range(TRIES_MAX):
            with meeting(meeting_point, application, old, new, timeout_s) as met, reading.transaction():
                reading.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                # The first look at the database makes the snapshot. A lease that ran out shows here.
                if met.still_holds(reading):
                    met.end()
                    compared = _compare(reading, met, first)
                    break
        else:
            raise CannotReplay(f"{new.name} v{old.version} and v{new.version} could not be kept at one position")
        note_comparison(meeting_point, application, new, compared.differing)
    return compared


def parked(connection: Connection, application: str, reader: Reader) -> int:
    """Return how many keys of a version are parked."""
    (count,) = connection.execute(_PARKED, [application, *reader]).fetchone() or (0,)
    return int(count)


def _no_pair(projection: str, shown: Version | None, other: Version | None) -> str:
    if shown is None:
        return f"projection {projection} is not in the books: start `kafold up` once"
    if other is None:
        return (
            f"projection {projection} has one version, v{shown.reader.version}: give it the next one in the code, and "
            f"`kafold replay {projection}`"
        )
    about = {
        State.DECLARED: "was not replayed yet",
        State.REPLAYING: "is being replayed, or its replay was cut off",
        State.DROPPED: "was dropped",
    }[other.state]
    return f"{projection} v{other.reader.version} {about}: `kafold replay {projection}` builds it"


def _compare(connection: Connection, met: Meeting, first: int) -> Compared:
    names = [table_of_version(met.application, each) for each in (met.one, met.two)]
    old, new = _columns(connection, names[0]), _columns(connection, names[1])
    old_key, new_key = next(iter(old)), next(iter(new))
    shared = [name for name in new if name in old and name != new_key]
    parts = {
        "old": names[0], "new": names[1], "old_key": sql.Identifier(old_key), "new_key": sql.Identifier(new_key),
        "same_key": _same(old_key, new_key, alike=old[old_key] == new[new_key]),
        "differ": _differ(old_key, new_key, {name: old[name] == new[name] for name in shared}),
    }  # fmt: skip
    differing, only_old, only_new = connection.execute(sql.SQL(_COUNT).format(**parts)).fetchone() or (0, 0, 0)
    rows = connection.execute(sql.SQL(_FIRST).format(**parts), [first]).fetchall() if differing and first else []
    return Compared(
        old=met.one,
        new=met.two,
        position=met.position,
        old_rows=_count(connection, names[0]),
        new_rows=_count(connection, names[1]),
        differing=differing,
        only_old=only_old,
        only_new=only_new,
        compared=[new_key, *shared],
        left_out=[name for name in {**old, **new} if (name in old) != (name in new)],
        old_parked=parked(connection, met.application, met.one),
        new_parked=parked(connection, met.application, met.two),
        first=[
            Difference(key, a, b, [name for name in shared if a and b and a[name] != b[name]]) for key, a, b in rows
        ],
    )


def _columns(connection: Connection, table: sql.Identifier) -> dict[str, str]:
    """Return the columns' types by name, the key first."""
    return dict(connection.execute(_COLUMNS, [table.as_string(connection)]).fetchall())


def _count(connection: Connection, table: sql.Identifier) -> int:
    (count,) = connection.execute(sql.SQL(_ROWS).format(table)).fetchone() or (0,)
    return int(count)


def _same(old: str, new: str, *, alike: bool) -> sql.Composed:
    text = "old.{} = new.{}" if alike else "old.{}::text = new.{}::text"
    return sql.SQL(text).format(sql.Identifier(old), sql.Identifier(new))


def _differ(old_key: str, new_key: str, shared: Mapping[str, bool]) -> sql.Composed:
    wrong = [sql.SQL("old.{} IS NULL OR new.{} IS NULL").format(sql.Identifier(old_key), sql.Identifier(new_key))]
    for name, alike in shared.items():
        text = "old.{0} IS DISTINCT FROM new.{0}" if alike else "old.{0}::text IS DISTINCT FROM new.{0}::text"
        wrong.append(sql.SQL(text).format(sql.Identifier(name)))
    return sql.SQL(" OR ").join(wrong)
