"""The shop's read API over a database with a few rows; no Kafka is needed to read."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg
import pytest
import uvicorn

from infra.engines.ports import LOOPBACK
from infra.waiting import wait_until
from read_api.app import create_app
from read_api.rows_then import RowsThen
from streams.domain.shop.app import shop
from streams.kafka.log_end import LogEnd
from streams.kernel.application import Application
from streams.postgres.setup import prepare

EVENTS_ID = "AAAAAAAAAAAAAAAAAAAAAA"
ROWS = """
INSERT INTO shop.users_v1 VALUES ('a', 'a@x', 'Ann', true), ('b', 'b@x', 'Bob', false), ('c/d ü', 'c@x', 'Cem', true);
INSERT INTO shop.customer_summary_v1 VALUES
    ('a', '1997-01-01', '1997-02-01', 2, 3, 1234), ('b', '1997-01-01', '1997-01-01', 1, 1, 9999);
INSERT INTO shop.daily_sales_v1 VALUES ('1997-01-01', 2, 3, 11000), ('1997-01-02', 1, 1, 0), ('1997-02-01', 1, 1, 233);
"""
CHECKPOINTS = """
INSERT INTO kafold.checkpoints (application, projection, version, topic, partition, topic_id, next)
VALUES ('shop', 'users', 1, 'shop.user.events', 0, %s, 10), ('shop', 'daily_sales', 1, 'shop.account.events', 1, %s, 5)
"""


@pytest.fixture
def read_database(database: str) -> str:
    """A database with the shop's tables and some rows and checkpoints."""
    prepare(database, shop)
    with psycopg.connect(database) as connection:
        connection.execute(ROWS)
        connection.execute(CHECKPOINTS, [EVENTS_ID, EVENTS_ID])
    return database


@contextmanager
def serving(
    dsn: str, application: Application = shop, log_end: LogEnd | None = None, rows_then: RowsThen | None = None
) -> Iterator[httpx.Client]:
    """The shop's API on a free port, and a client that asks it over HTTP."""
    app = create_app(application, dsn, rows_then=rows_then, log_end=log_end)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    with socket.create_server((LOOPBACK, 0)) as listener:
        # asyncio does so by itself where it makes the socket; else an answer in two pieces takes 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            assert wait_until(lambda: server.started, 10)
            with httpx.Client(base_url=f"http://{LOOPBACK}:{listener.getsockname()[1]}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def api(read_database: str) -> Iterator[httpx.Client]:
    """The API over the rows above."""
    with serving(read_database) as client:
        yield client
