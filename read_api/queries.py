"""The queries that every application has: one row of a projection by its key, and a page of its rows.

Promises: pages are by key (**keyset**), so a page costs the same however far in it is, and rows that come or go between
two pages never make another row appear twice or not at all.
"""

from typing import Any

from pydantic import Field

from schemas.messages import Query
from schemas.rows import Row
from streams.kernel.application import AnyProjection, Application
from streams.kernel.query import Select, many, one
from streams.postgres.columns import row_shape

PAGE_ROWS_MAX = 1_000


class RowByKey(Query[Row | None]):
    """One row of a projection, or nothing."""

    projection: str
    key: Any


class PageOfRows(Query[tuple[Row, ...]]):
    """The rows with the next greater keys, in order. Texts are in code-point order, as Python sorts them."""

    projection: str
    after_key: Any = None
    limit: int = Field(ge=1, le=PAGE_ROWS_MAX + 1)


class TableQueries:
    """Answers both for the projections of one application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def row_by_key(self, query: RowByKey) -> Select[Row | None]:
        """Look a row up."""
        projection = self._application.projection(query.projection)
        return one(projection, f'WHERE "{projection.key_field}" = %(key)s', key=_column_key(projection, query.key))

    def page_of_rows(self, query: PageOfRows) -> Select[tuple[Row, ...]]:
        """Read a page."""
        projection = self._application.projection(query.projection)
        key = projection.key_field
        beyond = f'WHERE "{key}" > %(after_key)s' if query.after_key is not None else ""
        rest = f'{beyond} ORDER BY "{key}" LIMIT %(limit)s'
        return many(projection, rest, after_key=_column_key(projection, query.after_key), limit=query.limit)


def _column_key(projection: AnyProjection, key: Any) -> Any:
    return None if key is None else row_shape(projection).key_to_column(key)
