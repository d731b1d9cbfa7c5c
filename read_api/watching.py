"""Watching: the read API's metrics, counted around every request, and served at `/metrics`.

Promises: a request is counted under its route, not its path, so that keys make no labels; what no route takes is
counted as `(none)`.
"""

import time
from typing import Any

from fastapi import FastAPI, Response

from streams.watching.metrics import CONTENT_TYPE, Metrics, Part

NO_ROUTE = "(none)"


def watch(app: FastAPI) -> None:
    """Count an app's requests, and serve the counts."""
    metrics = Metrics(Part.API)
    app.add_middleware(Counting, metrics=metrics)

    @app.get("/metrics", include_in_schema=False)
    def read() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)


class Counting:
    """ASGI middleware that counts requests and their time."""

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and count it once it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s, status = time.perf_counter(), 500

        async def observed(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            self._metrics.count("requests_total", 1, route, str(status))
            self._metrics.observe("request_seconds", time.perf_counter() - began_s, route)
