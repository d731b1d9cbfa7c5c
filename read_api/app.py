"""The read API: an application's projections and queries over HTTP.

Theory of operation. Each route makes a typed query and gives it to the query bus; the bus runs the handler's select on
PostgreSQL as a role that cannot write. What goes wrong is an `application/problem+json` (`read_api/problems.py`).

Promises: it starts while the database is away and answers 503 until it is there; its OpenAPI document is complete.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from read_api import problems
from read_api.bus import QueryBus
from read_api.health import health_routes
from read_api.projection_routes import projection_routes
from read_api.queries import TableQueries
from read_api.query_routes import query_routes
from read_api.read_model import PostgresReadModel
from read_api.registry_routes import Contents, registry_routes
from read_api.rows_then import RowsThen
from read_api.watching import watch
from schemas.errors import DefinitionError
from streams.kafka.log_end import LogEnd
from streams.kernel.application import Application

RESERVED = frozenset({"commands", "docs", "health", "live", "metrics", "queries", "ready", "redoc", "registry"})


def create_app(
    application: Application,
    dsn: str,
    registry: Contents | None = None,
    rows_then: RowsThen | None = None,
    log_end: LogEnd | None = None,
) -> FastAPI:
    """Return the application's read API. It connects to `dsn` as the application's reader.

    With `registry`, its contents are served under `/registry` as Confluent's registry would. With `rows_then`, which it
    closes in the end, rows are served as of a moment too. With `log_end`, positions beyond the log are refused instead
    of waited for.

    Raises:
        DefinitionError: a projection has the name of a route of the API's own.
    """
    for projection in application.newest_projections:
        if projection.name in RESERVED:
            raise DefinitionError(f"projection {projection.name}: the read API has a route of this name, rename it")
    read_model = PostgresReadModel(application, dsn, log_end)
    app = FastAPI(
        title=f"{application.name}: read API",
        summary="Projections of the event log, and queries over them.",
        lifespan=_open(read_model, rows_then),
    )
    tables = TableQueries(application)
    bus = QueryBus([tables.row_by_key, tables.page_of_rows, *application.queries], read_model)
    health = health_routes(application, read_model)
    app.include_router(health, prefix="/health")
    app.include_router(health, include_in_schema=False)  # /ready and /live, as every part has them
    watch(app)
    app.include_router(query_routes(application, bus))
    if registry is not None:
        app.include_router(registry_routes(registry), prefix="/registry")
    app.include_router(projection_routes(application, bus, read_model.parked, rows_then))
    problems.install(app)
    _document_problems(app)
    return app


def _open(read_model: PostgresReadModel, rows_then: RowsThen | None) -> Any:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with read_model:
            yield
        if rows_then is not None:
            rows_then.close()

    return lifespan


def _document_problems(app: FastAPI) -> None:
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        return app.openapi_schema or problems.document(plain())

    app.openapi = openapi  # type: ignore[method-assign]
