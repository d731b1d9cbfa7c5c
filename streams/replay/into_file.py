"""Into a file: the rows of a one-off read model as CSV, Arrow, Parquet or a DuckDB database.

CSV is PostgreSQL's (`COPY … FROM … (FORMAT csv, HEADER)` reads it back): no value is an empty field, an
empty text `""`.
The others need pyarrow, and DuckDB itself: `pip install 'kafold[files]'`.

Promises: there is the whole file under its name or none, as it is written beside it under another; no file that is
there already is touched.
"""

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb
from pydantic_core import to_json

from streams.postgres.columns import RowShape
from streams.postgres.connection import Connection
from streams.replay.errors import CannotReplay, unwritable

NEEDS: Mapping[str, tuple[str, ...]] = {
    "csv": (), "arrow": ("pyarrow",), "parquet": ("pyarrow",), "duckdb": ("pyarrow", "duckdb"),
}  # fmt: skip


class NewFile:
    """A file that is not there yet."""

    def __init__(self, into: str, kind: str, table: str) -> None:
        """`kind`: one of NEEDS; `table`: what it is called within a DuckDB file.

        Raises:
            CannotReplay: there is no such format, or a library is missing; the text says what to do.
        """
        if kind not in NEEDS:
            raise CannotReplay(f"--format {kind}: it is one of {', '.join(NEEDS)}")
        missing = [name for name in NEEDS[kind] if importlib.util.find_spec(name) is None]
        if missing:
            raise CannotReplay(f"--format {kind} needs {' and '.join(missing)}: pip install 'kafold[files]'")
        self._path, self._kind, self._table = Path(into), kind, table
        self._part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")

    def check(self, _connection: Connection) -> None:
        """See whether it can be made, before there is work to lose.

        Raises:
            CannotReplay: the text says what to do first.
        """
        folder = self._path.parent
        if self._path.is_symlink() or self._path.exists():
            raise CannotReplay(f"{self._path} is there already, and stays as it is: name another file, or remove it")
        if not folder.is_dir():
            raise CannotReplay(f"there is no folder {folder}: make it first")
        if not os.access(folder, os.W_OK):
            raise CannotReplay(f"nothing may be written into {folder}: name another one")

    def write(self, connection: Connection, shape: RowShape, rows: Iterable[Any], _about: str) -> int:
        """Write it; return how many rows it has.

        Raises:
            CannotReplay: somebody made it meanwhile, or the disk does not take it.
            Unwritable: the format does not take a row.
        """
        try:
            count = self._writer()(self._part, shape, rows)
            self.check(connection)
            self._part.rename(self._path)
        except OSError as error:
            raise CannotReplay(f"{self._path} cannot be written: {error}") from error
        except (ValueError, OverflowError, TypeError) as error:
            raise unwritable(self._table, error) from error
        finally:
            self._part.unlink(missing_ok=True)
            self._part.with_name(f"{self._part.name}.wal").unlink(
                missing_ok=True
            )  # DuckDB's, where it did not end well
        return count

    def _writer(self) -> Callable[[Path, RowShape, Iterable[Any]], int]:
        if self._kind == "csv":
            return write_csv
        from streams.replay.arrow import write_arrow, write_duckdb, write_parquet

        if self._kind == "duckdb":
            return lambda path, shape, rows: write_duckdb(path, shape, rows, self._table)
        return write_arrow if self._kind == "arrow" else write_parquet


def write_csv(path: Path, shape: RowShape, rows: Iterable[Any]) -> int:
    """Write rows as PostgreSQL's CSV; return how many."""
    count = 0
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(",".join(_quoted(each.name) for each in shape.columns) + "\n")
        for count, row in enumerate(rows, 1):  # noqa: B007  (the last number is how many there are)
            file.write(",".join(_cell(value) for value in shape.to_columns(row)) + "\n")
    return count


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, Jsonb):
        return _quoted(to_json(value.obj).decode())
    if isinstance(value, date | datetime):
        return value.isoformat()
    return _quoted(str(value))


def _quoted(text: str) -> str:
    if text and not any(each in text for each in ',"\n\r') and text == text.strip() and text != "\\.":
        return text
    return '"' + text.replace('"', '""') + '"'
