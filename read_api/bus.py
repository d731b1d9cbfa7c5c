"""The query bus: gives a typed query to its handler and runs the handler's select on the read model.

Promises: a query answers what its type says; one without a handler is refused (`HandlerNotFound`); with `after` the
answer shows everything before that position (**read your writes**), or the asker is told how far the read model is
instead (`Stale`); nothing is ever written.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from schemas.errors import KafoldError
from schemas.handlers import Handlers
from schemas.messages import Query
from schemas.position import Position
from streams.kernel.query import QueryHandler, Record, Select, query_type

R = TypeVar("R")
WAIT_S = 5.0


class Stale(KafoldError):
    """A projection has not reached a position in time. It may later: ask again, or ask without `after`."""

    def __init__(self, projection: str, at: Position, after: Position) -> None:
        super().__init__(f"projection {projection} is stale: it is at {str(at) or 'its beginning'}, not yet at {after}")
        self.projection = projection
        self.at = at
        self.after = after


class ReadModel(Protocol):
    """The port to the database of projections."""

    async def records(self, select: Select[Any]) -> Sequence[Record]:
        """Run a select."""

    async def reach(self, projection: str, after: Position, timeout_s: float) -> None:
        """Wait until a projection has reached a position, or raise Stale."""


class QueryBus:
    """The query bus of one application."""

    def __init__(self, handlers: Iterable[QueryHandler], read_model: ReadModel) -> None:
        self._read_model = read_model
        self._handlers: Handlers[QueryHandler] = Handlers("query")
        for handler in handlers:
            self._handlers.add(query_type(handler), handler)

    async def ask(self, query: Query[R], *, after: Position | None = None, timeout_s: float = WAIT_S) -> R:
        """Answer a query.

        Raises:
            BeyondLog: `after` is beyond the log's end.
            HandlerNotFound: nobody handles its type.
            InvalidPosition: `after` speaks of another topic of the same name.
            Stale: the read model has not reached `after` within `timeout_s`.
        """
        select: Select[R] = self._handlers.of(query)(query)
        if after is not None:
            for projection in select.reads:
                await self._read_model.reach(projection, after, timeout_s)
        return select.read(await self._read_model.records(select))
