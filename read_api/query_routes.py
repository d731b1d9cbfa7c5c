"""Routes of the application's own queries: `GET /queries/<query-name>`, the query's fields as parameters.

Promises: whoever declares a query handler gets its route, with the query's rules checked and its answer's type in
OpenAPI. A query that answers nothing is 404.
"""

import inspect
import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi import Query as QueryParameter
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from read_api.bus import QueryBus
from read_api.parameters import Freshness, freshness_of, invalid, only
from read_api.problems import NotThere, responses
from read_api.projection_routes import FRESHNESS
from schemas.messages import Query
from streams.kernel.application import Application
from streams.kernel.query import query_type


def query_routes(application: Application, bus: QueryBus) -> APIRouter:
    """Return the routes of all queries that the application handles."""
    router = APIRouter(prefix="/queries", tags=["queries"])
    for handler in application.queries:
        _add_route(router, application, bus, query_type(handler))
    return router


def path_of(query: type[Query[Any]]) -> str:
    """Return a query's name as it stands in its path: GetUserById is get-user-by-id."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", query.__name__).lower()


def _add_route(router: APIRouter, application: Application, bus: QueryBus, query: type[Query[Any]]) -> None:
    async def ask(freshness: Freshness, **fields: Any) -> Any:
        answer = await bus.ask(_validated(query, fields), after=freshness.after, timeout_s=freshness.timeout_s)
        if answer is None:
            raise NotThere(f"{query.__name__} finds nothing")
        return answer

    # The parameters are the query's fields; FastAPI reads them off the signature.
    fresh = inspect.Parameter(
        "freshness",
        inspect.Parameter.KEYWORD_ONLY,
        default=Depends(freshness_of(application)),
        annotation=Freshness,
    )
    parameters = [_parameter(name, field) for name, field in query.model_fields.items()]
    ask.__signature__ = inspect.Signature([*parameters, fresh])  # type: ignore[attr-defined]
    router.get(
        f"/{path_of(query)}",
        summary=query.__name__,
        description=query.__doc__ or "",
        operation_id=query.__name__,
        response_model=query.answer_type(),
        responses=responses(404, 409, 412, 422, 503),
        dependencies=[only((*query.model_fields, *FRESHNESS))],
    )(ask)


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    about = QueryParameter(description=field.description)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True),
        annotation=Annotated[(field.annotation, *field.metadata, about)],
    )


def _validated(query: type[Query[Any]], fields: dict[str, Any]) -> Query[Any]:
    """The single fields are checked already; rules between fields are the query's own."""
    try:
        return query.model_validate(fields)
    except ValidationError as error:
        raise invalid("query", "; ".join(each["msg"] for each in error.errors())) from None
