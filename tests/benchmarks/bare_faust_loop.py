"""The baseline of `projections`: a plain Faust agent that folds each event into a Faust table, as Faust's guide shows.

It decodes and folds with the same functions; its table is in memory with its changelog on Kafka. It reads uncommitted
data and counts twice when it is killed, which the worker does not.
"""

import logging
import sys
import threading
import time
from typing import Any

import faust

from schemas.values import construct
from streams.domain.shop.accounts import account
from streams.domain.shop.projections import customer_summary
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry


def main() -> None:
    """Fold for some seconds, and print the events per second."""
    from tests.benchmarks.projections import application

    logging.basicConfig(level=logging.ERROR)
    name, bootstrap_servers, topic_name, seconds, folder = sys.argv[1:]
    ids = TopicRegistry(Kafka(bootstrap_servers))
    decode = application("bench").event_codec(account, ids).decode
    app = faust.App(
        name, broker=f"kafka://{bootstrap_servers}", store="memory://", topic_partitions=4, web_enabled=False,
        topic_replication_factor=1, consumer_auto_offset_reset="earliest", datadir=folder, key_serializer="raw",
        value_serializer="raw",
    )  # fmt: skip
    topic = app.topic(topic_name, key_serializer="raw", value_serializer="raw")
    table: Any = app.Table("summary", partitions=4, key_type=str)
    counted = [0, 0.0]

    async def fold(stream: Any) -> None:
        async for data in stream:
            counted[1] = counted[1] or time.perf_counter()
            event, meta = decode(data)
            key = customer_summary.key_of(event)
            stored = table.get(key)
            row: Any = (
                customer_summary.new_row(key) if stored is None else construct(customer_summary.row, dict(stored))
            )
            table[key] = dict(customer_summary.project(row, event, meta).__dict__)
            counted[0] += 1

    app.agent(topic)(fold)
    threading.Thread(target=_stop, args=(app, counted, float(seconds)), daemon=True).start()
    faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False).execute_from_commandline()


def _stop(_app: Any, counted: list[float], seconds: float) -> None:
    import os

    while not counted[1]:
        time.sleep(0.01)
    began, before = time.perf_counter(), counted[0]
    time.sleep(seconds)
    print("\nevents a second:", (counted[0] - before) / (time.perf_counter() - began), "", flush=True)  # noqa: T201
    os._exit(0)


if __name__ == "__main__":
    main()
