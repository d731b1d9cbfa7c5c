"""Saving: a replay's rows in PostgreSQL, with the positions that they come from, in one transaction.

New rows go by COPY straight into the version's table. Changed rows go by COPY into a table of **changes**, behind those
that were changed before; it has no index and costs a fifth of an update. They are merged into the table when memory is
given up, at the end, and when a replay that was cut off goes on. Nobody reads the table before its handover.

Promises: table and changes together are the rows of the checkpoints, after every transaction; checkpoints move only
from where this replay left them, so that of two replays of one version one is refused.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from psycopg import sql
from psycopg.errors import UniqueViolation

from schemas.position import Place
from schemas.values import construct
from streams.kernel.errors import Fenced
from streams.postgres.checkpoints import Move, Reader, move
from streams.postgres.columns import RowShape
from streams.postgres.connection import REFUSALS, Connection, Cursor
from streams.postgres.parking import park
from streams.postgres.tables import Table
from streams.replay.errors import Unwritable
from streams.replay.running import Share

_MAKE = "CREATE TABLE IF NOT EXISTS {changes} (save int NOT NULL, gone boolean NOT NULL, {columns})"
_MERGE = """
WITH last AS (SELECT DISTINCT ON ({key}) * FROM {changes} ORDER BY {key}, save DESC),
gone AS (DELETE FROM {table} USING last WHERE last.gone AND {table}.{key} = last.{key})
INSERT INTO {table} SELECT {columns} FROM last WHERE NOT gone ON CONFLICT ({key}) DO {action}
"""
_UPDATE = "UPDATE {table} SET {sets} FROM {staging} AS new WHERE {table}.{key} = new.{key}"
_LAST_SAVE = "SELECT coalesce(max(save), 0) FROM {}"
CHANGES_MIN = 1_000_000
CHANGES_PER_ROW = 10


class Changes:
    """The table of the changes of one part of a replay (parts have different keys)."""

    def __init__(self, application: str, table: Table, part: int) -> None:
        """`part`: the number of the process."""
        projection = table.projection
        self.name = sql.Identifier("kafold", f"{application}.{projection.name}_v{projection.version}.changes_{part}")
        self._table = table

    def make(self, cursor: Cursor) -> int:
        """Make it if it is missing; return the number of the last save in it."""
        columns = [sql.SQL(f"{{}} {each.type} {each.modifier}").format(sql.Identifier(each.name))
                   for each in self._table.shape.columns]  # fmt: skip
        cursor.execute(sql.SQL(_MAKE).format(changes=self.name, columns=sql.SQL(", ").join(columns)))
        (save,) = cursor.execute(sql.SQL(_LAST_SAVE).format(self.name)).fetchone() or (0,)
        return int(save)

    def append(self, cursor: Cursor, save: int, rows: Iterable[tuple[Any, tuple[Any, ...] | None]]) -> None:
        """Add rows (key in the database's form, and values or None)."""
        shape = self._table.shape
        empty = (None,) * (len(shape.columns) - 1)
        with cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(self.name)) as copy:
            copy.set_types(["integer", "boolean", *(each.type for each in shape.columns)])
            for key, values in rows:
                copy.write_row((save, True, key, *empty) if values is None else (save, False, *values))

    def merge(self, cursor: Cursor) -> None:
        """Bring the table up to the changes, and drop them."""
        self.make(cursor)
        names = [sql.Identifier(each.name) for each in self._table.shape.columns]
        sets = [sql.SQL("{0} = excluded.{0}").format(each) for each in names[1:]]
        cursor.execute(
            sql.SQL(_MERGE).format(
                key=names[0], changes=self.name, table=self._table.name, columns=sql.SQL(", ").join(names),
                action=sql.SQL("UPDATE SET ") + sql.SQL(", ").join(sets) if sets else sql.SQL("NOTHING"),
            )
        )  # fmt: skip
        cursor.execute(sql.SQL("DROP TABLE {}").format(self.name))


class TableSink:
    """Saves into a version's table. `at`: where its checkpoints are, by partition."""

    def __init__(
        self, connections: tuple[Connection, Connection], application: str, table: Table, at: Mapping[Place, int],
        topic_ids: Mapping[str, str], code: str, part: int = 0, *, as_tuples: bool = False,
    ) -> None:  # fmt: skip
        """`connections`: to load and to save on, which happen at the same time. `as_tuples`: rows are their values."""
        self._loading, self._saving = connections
        self._application, self._table, self._at, self._topic_ids, self._code = (
            application, table, dict(at), topic_ids, code,
        )  # fmt: skip
        self._reader = Reader(table.projection.name, table.projection.version)
        self._to_values = of_tuples(table.shape) if as_tuples else to_values(table.shape)
        self._changes = Changes(application, table, part)
        self._changed: set[Any] = set()  # keys with changes that are not in the table
        self._size = 0  # of the changes, in rows
        with self._saving.cursor() as cursor:
            table.stage(cursor)
            self._save = self._changes.make(cursor)

    def load(self, keys: Iterable[Any]) -> Mapping[Any, Any]:
        """Return the rows that there are of these keys. They must not have changes: what is forgotten was merged."""
        return self._table.load(self._loading.cursor(), keys)

    def wants_all(self) -> bool:
        """Return whether the changes have become many times the rows, and should be merged."""
        return self._size > max(CHANGES_MIN, CHANGES_PER_ROW * len(self._changed))

    def save(self, share: Share, rows: Mapping[Any, Any] | None) -> None:
        """Keep the changed rows. With all `rows`, everything comes to stand in the table itself.

        Where there is a row per event, the table may have some of the rows that are said to be new, of earlier events
        or of another part's: then these replace them.

        Raises:
            Fenced: another replay moved the checkpoints.
            Unwritable: the database does not take a row.
        """
        try:
            try:
                self._transact(share, rows)
            except UniqueViolation:
                self._transact(share._replace(added=set()), rows)
        except REFUSALS as error:
            raise Unwritable(self._refusal(share.rows, error)) from error

    def _transact(self, share: Share, rows: Mapping[Any, Any] | None) -> None:
        added, changed = self._apart(share)
        with self._saving.transaction(), self._saving.cursor() as cursor:
            self._move(cursor, share.positions)
            for place, problem in share.problems:
                park(cursor, self._application, self._reader, place, [problem], self._table.shape, self._code)
            self._copy(cursor, self._table.name, added)
            if rows is None:
                self._append(cursor, changed)
            else:
                self._settle(cursor, changed, rows)
        self._at.update(share.positions)
        if rows is None:
            self._changed.update(changed)
            self._size += len(changed)
        else:
            self._changed, self._size = set(), 0

    def _apart(self, share: Share) -> tuple[list[Any], Mapping[Any, Any]]:
        """Return the rows that are new to the table, and those that are not, by key, None where one is to go."""
        # A row that was deleted, which is only noted so far, and has come again is still in the table.
        new = share.added - self._changed if self._changed else share.added
        if len(new) == len(share.rows):  # as with a row per event, whose replay would spend a third of itself below
            return [row for row in share.rows.values() if row is not None], {}
        added = [row for key in new if (row := share.rows[key]) is not None]
        return added, {key: row for key, row in share.rows.items() if key not in new}

    def _settle(self, cursor: Cursor, changed: Mapping[Any, Any], rows: Mapping[Any, Any]) -> None:
        """Bring the table up to everything that has changed. `rows`: those in memory, mostly all of these."""
        behind = self._changed | changed.keys()
        if behind <= rows.keys():
            self._apply(cursor, {key: rows[key] for key in behind})
        else:
            self._append(cursor, changed)
            self._changes.merge(cursor)
            self._save = self._changes.make(cursor)

    def _refusal(self, rows: Mapping[Any, Any], error: Exception) -> str:
        """Say which row the database does not take, found by halving."""
        name, kept = f"{self._reader.name} v{self._reader.version}", [row for row in rows.values() if row is not None]
        while len(kept) > 1:
            half = kept[: len(kept) // 2]
            kept = half if self._is_refused(half) else kept[len(half) :]
        why = str(error).partition("\n")[0]
        found = self._shown(kept[0]) if kept and self._is_refused(kept) else "a row"
        return f"the database does not take {found} of {name}: {why}. Mend the code and begin anew with --restart"

    def _shown(self, row: Any) -> str:
        names = self._table.shape.row.model_fields
        return repr(construct(self._table.shape.row, dict(zip(names, row, strict=True))) if type(row) is tuple else row)

    def _is_refused(self, rows: list[Any]) -> bool:
        try:
            with self._saving.transaction(force_rollback=True), self._saving.cursor() as cursor:
                self._copy(cursor, self._table.staging, rows)
        except REFUSALS:
            return True
        return False

    def _move(self, cursor: Cursor, positions: Mapping[Place, int]) -> None:
        # Partitions are read one after the other, so most stand still; who has moved none still passes the fence.
        moved = {place: at for place, at in positions.items() if at != self._at[place]} or positions
        for (topic, partition), at in sorted(moved.items()):
            step = Move(self._reader, self._at[topic, partition], at)
            if not move(cursor, self._application, topic, partition, self._topic_ids[topic], [step]):
                raise Fenced(f"another replay of {self._reader.name} v{self._reader.version} has begun: this one ends")

    def _append(self, cursor: Cursor, rows: Mapping[Any, Any]) -> None:
        if rows:
            self._save += 1
            write, values = self._table.shape.key_to_column, self._to_values
            told = ((write(key), None if row is None else values(row)) for key, row in rows.items())
            self._changes.append(cursor, self._save, told)

    def _apply(self, cursor: Cursor, rows: Mapping[Any, Any]) -> None:
        """Update and delete rows of the table, and empty the changes."""
        kept = [row for row in rows.values() if row is not None]
        self._copy(cursor, self._table.staging, kept)
        names = [sql.Identifier(each.name) for each in self._table.shape.columns]
        if kept and names[1:]:
            sets = sql.SQL(", ").join(sql.SQL("{0} = new.{0}").format(each) for each in names[1:])
            cursor.execute(
                sql.SQL(_UPDATE).format(table=self._table.name, sets=sets, staging=self._table.staging, key=names[0])
            )
        gone = [key for key, row in rows.items() if row is None]
        if gone:
            self._table.delete(cursor, gone)
        cursor.execute(sql.SQL("TRUNCATE {}").format(self._changes.name))

    def _copy(self, cursor: Cursor, into: sql.Identifier, rows: list[Any]) -> None:
        if not rows:
            return
        shape = self._table.shape
        with cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(into)) as copy:
            copy.set_types([each.type for each in shape.columns])
            write = copy.write_row
            # In key order, so that neighbours go into the same pages of table and index.
            for values in sorted(map(self._to_values, rows), key=itemgetter(0)):
                write(values)


def to_values(shape: RowShape) -> Callable[[Any], tuple[Any, ...]]:
    """Return the quickest function that gives what `shape.to_columns` gives."""
    if len(shape.columns) > 1 and all(each.write is None for each in shape.columns):
        pick = itemgetter(*(each.name for each in shape.columns))
        return lambda row: pick(row.__dict__)
    return shape.to_columns


def of_tuples(shape: RowShape) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return the same function for rows that are given as the tuple of their fields."""
    writes = [each.write for each in shape.columns]
    if not any(writes):
        return lambda row: row
    return lambda row: tuple(
        value if write is None or value is None else write(value) for write, value in zip(writes, row, strict=True)
    )
