"""A query handler: how one typed query is answered from read models.

`handler(query)` is a pure function that returns a **select**: SQL over projections by their names, its parameters, and
how the answer is read off the records that it finds. It runs nothing; whoever does chooses the connection, whose role
cannot write.

Promises: which query a handler answers is read off its annotations, and one that would answer something else than the
query says is refused when it is declared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar, get_args, get_type_hints

from schemas.errors import DefinitionError
from schemas.messages import Query
from schemas.rows import Row
from streams.kernel.projection import Projection

R_co = TypeVar("R_co", covariant=True)
RowT = TypeVar("RowT", bound=Row)
Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Select(Generic[R_co]):
    """`reads`: the names of the projections that `sql` speaks of. Values go into `parameters`, never into `sql`."""

    sql: str
    parameters: Mapping[str, Any]
    reads: tuple[str, ...]
    read: Callable[[Sequence[Record]], R_co]


QueryHandler: TypeAlias = Callable[[Any], Select[Any]]


def one(projection: Projection[RowT, Any], rest: str, **parameters: Any) -> Select[RowT | None]:
    """Select one row of a projection, or nothing; `rest` is the SQL after its name."""
    row = projection.row

    def read(records: Sequence[Record]) -> RowT | None:
        return row.model_validate(records[0]) if records else None

    return Select(_sql(projection, rest), parameters, (projection.name,), read)


def many(projection: Projection[RowT, Any], rest: str, **parameters: Any) -> Select[tuple[RowT, ...]]:
    """Select rows of a projection, in the order that `rest`, the SQL after its name, says."""
    row = projection.row

    def read(records: Sequence[Record]) -> tuple[RowT, ...]:
        return tuple(row.model_validate(record) for record in records)

    return Select(_sql(projection, rest), parameters, (projection.name,), read)


def query_type(handler: QueryHandler) -> type[Query[Any]]:
    """Return the type of query that a handler answers.

    Raises:
        DefinitionError: its annotations say none, or another answer than the query's.
    """
    name = getattr(handler, "__name__", repr(handler))
    hints = get_type_hints(handler)
    answer = get_args(hints.pop("return", None))
    asked = next(iter(hints.values()), None)
    if not (isinstance(asked, type) and issubclass(asked, Query)):
        raise DefinitionError(f"{name} must take one query: def {name}(query: …) -> Select[…]")
    if answer != (asked.answer_type(),):
        raise DefinitionError(
            f"{name} must return Select[{asked.answer_type()}], which is what {asked.__name__} answers"
        )
    return asked


def _sql(projection: Projection[Any, Any], rest: str) -> str:
    columns = ", ".join(f'"{field}"' for field in projection.row.model_fields)
    return f'SELECT {columns} FROM "{projection.name}" {rest}'  # noqa: S608 - names from the declaration, no values
