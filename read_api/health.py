"""Health: whether the API lives, and whether it can answer.

Promises: live asks nobody (a restart would help if it failed); ready asks the database for every projection (a load
balancer sends requests elsewhere while it fails).
"""

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from read_api.problems import RETRY_AFTER, problem, responses
from read_api.read_model import PostgresReadModel
from streams.kernel.application import Application


class Health(BaseModel):
    """How a server is."""

    status: str = Field(description="live or ready")


def health_routes(application: Application, read_model: PostgresReadModel) -> APIRouter:
    """Return both health routes."""
    router = APIRouter(tags=["health"])

    @router.get("/live", summary="Whether the server lives", response_model=Health)
    async def live() -> Health:
        return Health(status="live")

    @router.get("/ready", summary="Whether the server can answer", response_model=Health, responses=responses(503))
    async def ready() -> Health | JSONResponse:
        names = [projection.name for projection in application.newest_projections]
        obstacle = await read_model.obstacle(names)
        if obstacle is not None:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", obstacle, RETRY_AFTER)
        return Health(status="ready")

    return router
