"""Routes of a projection: one row by its key, and pages of its rows.

Promises: each projection has routes of its own, so that OpenAPI tells the type of its keys and rows; an
answer with rows of parked keys says so in a header; a row as of a moment says in another how far the journal was.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from read_api.bus import QueryBus
from read_api.parameters import Freshness, freshness_of, invalid, key_type, moment_of, only
from read_api.problems import NotThere, NotThereThen, responses
from read_api.queries import PAGE_ROWS_MAX, PageOfRows, RowByKey
from read_api.rows_then import RowsThen
from schemas.errors import InvalidPosition
from streams.event_store.moment import Moment
from streams.kernel.application import AnyProjection, Application
from streams.kernel.row_then import Was
from streams.postgres.columns import row_shape

PAGE_ROWS_DEFAULT = 100
FRESHNESS = ("after", "timeout_ms")
# A JSON list of the answer's parked keys, in ASCII, or `true` where it would be too long for a header; left out
# where there is none.
HEADER_CHARS_MAX = 4_096
PARKED_HEADER = "Kafold-Parked"
POSITION_HEADER = "Kafold-Position"
Parked = Callable[[str, Sequence[str]], Awaitable[frozenset[str]]]
RowT = TypeVar("RowT")
KeyT = TypeVar("KeyT")


class Page(BaseModel, Generic[RowT, KeyT]):
    """Some rows, in the order of their keys."""

    rows: list[RowT] = Field(description="the rows of this page")
    next_after_key: KeyT | None = Field(None, description="`after_key` of the next page; null: this is the last one")


def projection_routes(
    application: Application, bus: QueryBus, parked: Parked, rows_then: RowsThen | None = None
) -> APIRouter:
    """Return the routes of all projections. `parked` tells which of some keys (as texts) are parked.

    `rows_then`: where rows as of a moment come from; None: they are not to be had.
    """
    router = APIRouter(tags=["projections"])
    for projection in application.newest_projections:
        _add_row_route(router, application, bus, projection, parked, rows_then)
        _add_page_route(router, application, bus, projection, parked)
    return router


async def _tell_parked(response: Response, projection: AnyProjection, parked: Parked, keys: list[Any]) -> None:
    """Say in a header which keys of the answer are parked: these rows are older than the position says."""
    shape = row_shape(projection)
    found = await parked(projection.name, [shape.key_text(key) for key in keys]) if keys else frozenset()
    if found:
        response.headers[PARKED_HEADER] = _listed(found)


async def _row_then(
    response: Response, rows_then: RowsThen | None, projection: AnyProjection, key: Any, moment: Moment,
    freshness: Freshness,
) -> Any:  # fmt: skip
    """Return the row as of a moment, and say in headers how far the journal was and whether events wait."""
    if rows_then is None:
        raise invalid("query.as_of", "this API is served without the journal")
    try:
        rows_then.check(projection, key, moment)
    except InvalidPosition as error:
        raise invalid("query.as_of", str(error)) from None
    found = await rows_then.row(projection, key, moment, freshness.after, freshness.timeout_s)
    if found.was is Was.NEVER:
        raise NotThere(f"{projection.name} has no row {key}, and never had")
    if found.row is None:
        raise NotThereThen(f"{projection.name} had no row {key} then: it was {found.was.value}")
    response.headers[POSITION_HEADER] = str(found.position)
    if found.waiting:
        response.headers[PARKED_HEADER] = _listed([key])
    return found.row


def _listed(keys: Iterable[str]) -> str:
    listed = json.dumps(sorted(keys))
    return listed if len(listed) <= HEADER_CHARS_MAX else "true"


def _add_row_route(
    router: APIRouter, application: Application, bus: QueryBus, projection: AnyProjection, parked: Parked,
    rows_then: RowsThen | None,
) -> None:  # fmt: skip
    fresh, then = Depends(freshness_of(application)), Depends(moment_of(application, projection))

    async def row(key: Any, response: Response, freshness: Freshness = fresh, moment: Moment | None = then) -> Any:
        if moment is not None:
            return await _row_then(response, rows_then, projection, key, moment, freshness)
        found = await bus.ask(
            RowByKey(projection=projection.name, key=key), after=freshness.after, timeout_s=freshness.timeout_s
        )
        if found is None:
            raise NotThere(f"{projection.name} has no row {key}")
        await _tell_parked(response, projection, parked, [key])
        return found

    # The key's type is known only now; FastAPI reads it off the annotation.
    row.__annotations__["key"] = Annotated[key_type(projection), Path(description=_key_description(projection))]
    router.get(
        f"/{projection.name}/{{key:path}}",
        summary=f"One row of {projection.name}",
        description=projection.row.__doc__ or "",
        operation_id=f"{projection.name}_row",
        response_model=projection.row,
        responses=responses(404, 409, 412, 422, 500, 503),
        dependencies=[only(("as_of", *FRESHNESS))],
    )(row)


def _add_page_route(
    router: APIRouter, application: Application, bus: QueryBus, projection: AnyProjection, parked: Parked
) -> None:
    fresh = Depends(freshness_of(application))

    async def page(
        response: Response,
        after_key: Any = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_ROWS_MAX, description="how many rows")] = PAGE_ROWS_DEFAULT,
        freshness: Freshness = fresh,
    ) -> dict[str, Any]:
        # One more than asked for tells whether there is another page.
        query = PageOfRows(projection=projection.name, after_key=after_key, limit=limit + 1)
        rows = await bus.ask(query, after=freshness.after, timeout_s=freshness.timeout_s)
        more = len(rows) > limit
        keys = [getattr(row, projection.key_field) for row in rows[:limit]]
        await _tell_parked(response, projection, parked, keys)
        return {
            "rows": rows[:limit],
            "next_after_key": getattr(rows[limit - 1], projection.key_field) if more else None,
        }

    keys = key_type(projection)
    page.__annotations__["after_key"] = Annotated[
        keys | None, Query(description="only rows with a greater key; left out: from the first row")
    ]
    router.get(
        f"/{projection.name}",
        summary=f"A page of {projection.name}",
        description=projection.row.__doc__ or "",
        operation_id=f"{projection.name}_page",
        response_model=Page.__class_getitem__((projection.row, keys)),
        responses=responses(409, 412, 422, 503),
        dependencies=[only(("after_key", "limit", *FRESHNESS))],
    )(page)


def _key_description(projection: AnyProjection) -> str:
    return projection.row.model_fields[projection.key_field].description or projection.key_field
