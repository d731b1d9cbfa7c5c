"""The worker's web: `/metrics`, `/ready`, `/live` and `/figures` on Faust's own web server, beside what Faust serves.

Promises: it listens only where it was told to; Faust's views of tables stay off.
"""

from typing import Any

from streams.watching.server import Page, pages
from streams.worker.app import WorkerApp
from streams.worker.watched import PARKED_S, Watched


def serve(app: WorkerApp, watched: Watched, dsn: str, application: str) -> None:
    """Have a worker's web server answer what is seen of it."""

    async def count_parked() -> None:
        await watched.count_parked(dsn, application)

    app.timer(PARKED_S)(count_parked)
    answers = pages(watched.metrics, watched.health)
    if app.figures is not None:
        answers["/figures"] = app.figures.page
    for path, answer in answers.items():
        _serve(app, path, answer)


def _serve(app: WorkerApp, path: str, answer: Any) -> None:
    async def view(self: Any, _request: Any) -> Any:
        page: Page = answer()
        kind = page.content_type.partition(";")[0]
        return self.bytes(page.body, content_type=kind, status=page.status)

    app.page(path, name=f"kafold{path.replace('/', '_')}")(view)
