"""Routes of a projection: one row by its key, and pages of its rows.

Promises: each projection has routes of its own, so that OpenAPI tells the type of its keys and rows; an
answer with rows of parked keys says so in a header.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from read_api.bus import QueryBus
from read_api.parameters import Freshness, freshness_of, key_type, only
from read_api.problems import NotThere, responses
from read_api.queries import PAGE_ROWS_MAX, PageOfRows, RowByKey
from schemas.rows import Row
from streams.kernel.application import AnyProjection, Application
from streams.postgres.columns import row_shape

PAGE_ROWS_DEFAULT = 100
FRESHNESS = ("after", "timeout_ms")
# A JSON list of the answer's parked keys, in ASCII, or `true` where it would be too long for a header; left out
# where there is none.
HEADER_CHARS_MAX = 4_096
PARKED_HEADER = "Kafold-Parked"
Parked = Callable[[str, Sequence[str]], Awaitable[frozenset[str]]]
RowT = TypeVar("RowT")
KeyT = TypeVar("KeyT")


class Page(BaseModel, Generic[RowT, KeyT]):
    """Some rows, in the order of their keys."""

    rows: list[RowT] = Field(description="the rows of this page")
    next_after_key: KeyT | None = Field(None, description="`after_key` of the next page; null: this is the last one")


def projection_routes(application: Application, bus: QueryBus, parked: Parked) -> APIRouter:
    """Return the routes of all projections. `parked` tells which of some keys (as texts) are parked."""
    router = APIRouter(tags=["projections"])
    for projection in application.newest_projections:
        _add_row_route(router, application, bus, projection, parked)
        _add_page_route(router, application, bus, projection, parked)
    return router


async def _tell_parked(response: Response, projection: AnyProjection, parked: Parked, keys: list[Any]) -> None:
    """Say in a header which keys of the answer are parked: these rows are older than the position says."""
    shape = row_shape(projection)
    found = await parked(projection.name, [shape.key_text(key) for key in keys]) if keys else frozenset()
    if found:
        listed = json.dumps(sorted(found))
        response.headers[PARKED_HEADER] = listed if len(listed) <= HEADER_CHARS_MAX else "true"


def _add_row_route(
    router: APIRouter, application: Application, bus: QueryBus, projection: AnyProjection, parked: Parked
) -> None:
    fresh = Depends(freshness_of(application))

    async def row(key: Any, response: Response, freshness: Freshness = fresh) -> Row:
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
        responses=responses(404, 409, 412, 422, 503),
        dependencies=[only(FRESHNESS)],
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
