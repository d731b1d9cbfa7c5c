"""The read API as a process: serves until it is told to stop, and finishes the requests that it has.

Promises: SIGINT and SIGTERM end it within `GRACE_S`.
"""

import uvicorn

from read_api.app import create_app
from read_api.registry_routes import Contents
from read_api.rows_then import RowsThen
from streams.kafka.log_end import LogEnd
from streams.kernel.application import Application

GRACE_S = 5


def run(
    application: Application,
    dsn: str,
    host: str,
    port: int,
    registry: Contents | None = None,
    rows_then: RowsThen | None = None,
    log_end: LogEnd | None = None,
) -> None:
    """Serve the application's read API, the registry that is given, and rows as of a moment.

    `log_end` refuses positions beyond it.
    """
    app = create_app(application, dsn, registry, rows_then, log_end)
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=GRACE_S)
