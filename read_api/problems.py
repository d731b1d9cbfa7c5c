"""Problems: how the API says that something cannot be had, as RFC 9457's `application/problem+json`.

======  ==============================  ===================================================================
status  type (urn:kafold:problem:…)     what it means, and what to do
======  ==============================  ===================================================================
404     no-such-row, no-such-page       not there (with `after`: not there at that position either)
404     no-row-then                     with `as_of`: it came later, or was deleted by then; `detail` says which
409     other-log                       `after` or `as_of` is of a log that no longer exists: it will never be reached
409     beyond-log                      `after` is beyond the log's end, `end`: nobody was given this position
412     stale                           `after` or `as_of` is not reached yet: ask again; `at` says how far it is
422     invalid-request                 the request cannot be understood; `errors` says where
500     unreadable-event                with `as_of`: today's classes cannot read an event of the row
503     unavailable                     the database, or with `as_of` the registry, does not answer: ask again later
======  ==============================  ===================================================================

412 for stale, because `after` is the asker's precondition on the read model, and it failed; 503 would tell a load
balancer that the server is ill, which it is not.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from read_api.bus import Stale
from schemas.errors import DecodingError, InvalidPosition
from streams.kernel.errors import BeyondLog
from streams.kernel.errors import Stale as JournalStale

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:kafold:problem:"
RETRY_AFTER = {"Retry-After": "1"}


class InvalidField(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="the part of the request, as query.limit")
    problem: str = Field(description="what is wrong with it")


class Problem(BaseModel):
    """Why there is no answer (RFC 9457)."""

    type: str = Field(description="a URN that names the kind of problem")
    title: str = Field(description="the kind of problem in words")
    status: int = Field(description="the HTTP status")
    detail: str | None = Field(None, description="what is wrong this time")
    errors: list[InvalidField] | None = Field(None, description="with invalid-request: each thing that is wrong")
    end: str | None = Field(None, description="with beyond-log: the position of the log's end")
    at: str | None = Field(None, description="with stale: the position that the projection has reached")


class NotThere(Exception):
    """There is no such row."""


class NotThereThen(Exception):
    """There was no such row at a moment, but there was or is one at others."""


class Unavailable(Exception):
    """Something that the answer needs does not answer."""


def problem(status: HTTPStatus, kind: str, detail: str, headers: Mapping[str, str] = {}, **more: Any) -> JSONResponse:
    """Return a problem as a response."""
    title = kind.replace("-", " ").capitalize()
    body = Problem(type=TYPE_PREFIX + kind, title=title, status=status, detail=detail, **more)
    return JSONResponse(
        body.model_dump(mode="json", exclude_none=True), status, headers=dict(headers), media_type=MEDIA_TYPE
    )


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what FastAPI wants to know to document these problems."""
    return {status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses}


def install(app: FastAPI) -> None:
    """Make the app answer with problems, and only with them, when something cannot be had."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(NotThere, _not_there)
    app.add_exception_handler(NotThereThen, _not_there_then)
    for stale in (Stale, JournalStale):
        app.add_exception_handler(stale, _stale)
    app.add_exception_handler(BeyondLog, _beyond_log)
    app.add_exception_handler(DecodingError, _unreadable)
    app.add_exception_handler(Unavailable, _registry_unavailable)
    app.add_exception_handler(InvalidPosition, _other_log)
    app.add_exception_handler(psycopg.DataError, _data)
    for unavailable in (psycopg.OperationalError, PoolTimeout):
        app.add_exception_handler(unavailable, _unavailable)
    app.add_exception_handler(Exception, _bug)


def document(openapi: dict[str, Any]) -> dict[str, Any]:
    """Say in an OpenAPI document that what is no success is a problem, also where FastAPI says otherwise by itself."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for path in openapi["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= HTTPStatus.BAD_REQUEST:
                    response["content"] = {MEDIA_TYPE: schema}
    for unused in ("HTTPValidationError", "ValidationError"):
        openapi["components"]["schemas"].pop(unused, None)
    return openapi


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert_error = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [InvalidField(where=".".join(map(str, each["loc"])), problem=each["msg"]) for each in assert_error]
    detail = "; ".join(f"{each.where}: {each.problem}" for each in errors)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail, errors=errors)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    kind = "no-such-page" if status is HTTPStatus.NOT_FOUND else status.phrase.lower().replace(" ", "-")
    headers = getattr(error, "headers", None) or {}
    return problem(status, kind, str(getattr(error, "detail", status.phrase)), headers)


async def _not_there(_request: Request, error: Exception) -> JSONResponse:
    return problem(HTTPStatus.NOT_FOUND, "no-such-row", str(error))


async def _not_there_then(_request: Request, error: Exception) -> JSONResponse:
    return problem(HTTPStatus.NOT_FOUND, "no-row-then", str(error))


async def _unreadable(_request: Request, error: Exception) -> JSONResponse:
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "unreadable-event", str(error))


async def _registry_unavailable(_request: Request, error: Exception) -> JSONResponse:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", str(error), RETRY_AFTER)


async def _stale(_request: Request, error: Exception) -> JSONResponse:
    at = str(error.at) if isinstance(error, Stale | JournalStale) else ""
    return problem(HTTPStatus.PRECONDITION_FAILED, "stale", str(error), RETRY_AFTER, at=at)


async def _beyond_log(_request: Request, error: Exception) -> JSONResponse:
    end = str(error.end) if isinstance(error, BeyondLog) else ""
    return problem(HTTPStatus.CONFLICT, "beyond-log", str(error), end=end)


async def _other_log(_request: Request, error: Exception) -> JSONResponse:
    return problem(HTTPStatus.CONFLICT, "other-log", str(error))


async def _data(_request: Request, error: Exception) -> JSONResponse:
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", f"the database refuses a value: {error}")


async def _unavailable(_request: Request, _error: Exception) -> JSONResponse:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "the database does not answer", RETRY_AFTER)


async def _bug(_request: Request, _error: Exception) -> JSONResponse:
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "an error of the server's; its log says more")
