"""A small HTTP server for a part that has none: `/metrics`, `/ready`, `/live`.

Promises: it answers from a thread of its own, to GET and HEAD only, and never stops its part; it is gone with it.
"""

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from streams.watching.lag import Health
from streams.watching.metrics import CONTENT_TYPE, Metrics

JSON = "application/json"


class Page(NamedTuple):
    """What is answered."""

    status: int
    content_type: str
    body: bytes


def pages(metrics: Metrics, health: Callable[[], Health]) -> dict[str, Callable[[], Page]]:
    """Return what every part answers, by path."""

    def ready() -> Page:
        found = health()
        status = HTTPStatus.OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Page(status, JSON, json.dumps(found._asdict()).encode())

    return {
        "/metrics": lambda: Page(HTTPStatus.OK, CONTENT_TYPE, metrics.text()),
        "/ready": ready,
        "/live": lambda: Page(HTTPStatus.OK, JSON, b'{"live": true}'),
    }


class WatchServer:
    """Serves pages; a context manager."""

    def __init__(self, host: str, port: int, answers: dict[str, Callable[[], Page]]) -> None:
        """Take the address; 0 is any free port. Raises OSError if it is taken."""
        self._server = ThreadingHTTPServer((host, port), _handler(answers))
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    def __enter__(self) -> Self:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, name="watch", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def _handler(answers: dict[str, Callable[[], Page]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds for a request to arrive

        def do_GET(self) -> None:
            page = self._page()
            self.send_response(page.status)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page.body)

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def _page(self) -> Page:
            answer = answers.get(self.path.partition("?")[0])
            if answer is None:
                return Page(HTTPStatus.NOT_FOUND, JSON, json.dumps({"there_are": sorted(answers)}).encode())
            try:
                return answer()
            except Exception as error:  # noqa: BLE001 - whatever is wrong, the part goes on
                return Page(HTTPStatus.INTERNAL_SERVER_ERROR, JSON, json.dumps({"error": str(error)}).encode())

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - http.server's name
            """Say nothing: being watched is no news."""

    return Handler
