"""A baseline of `replay`: quixstreams with state, as its guide shows, decoding and folding with the same functions.

Its state is in RocksDB with a changelog on Kafka. It commits every five seconds.
"""

import sys
import threading
import time
from typing import Any

from quixstreams import Application

from schemas.shop.rows import CustomerSummary
from streams.domain.shop.accounts import account
from streams.domain.shop.projections import customer_summary
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from tests.benchmarks.projections import application


def main() -> None:
    """Fold for some seconds, and print the events per second."""
    name, bootstrap_servers, topic_name, seconds, folder, of = sys.argv[1:]
    decode = application(of).event_codec(account, TopicRegistry(Kafka(bootstrap_servers))).decode
    app = Application(
        bootstrap_servers, consumer_group=name, auto_offset_reset="earliest", state_dir=folder, loglevel="ERROR",
        auto_create_topics=True,
    )  # fmt: skip
    counted = [0, 0.0]

    def fold(data: bytes, state: Any) -> None:
        counted[1] = counted[1] or time.perf_counter()
        event, meta = decode(data)
        stored = state.get("row")
        key = customer_summary.key_of(event)
        row = customer_summary.new_row(key) if stored is None else CustomerSummary.model_validate_json(stored)
        after = customer_summary.project(row, event, meta)
        state.set("row", after.model_dump_json() if after is not None else None)
        counted[0] += 1

    topic = app.topic(topic_name, key_deserializer="str", value_deserializer="bytes")
    app.dataframe(topic).update(fold, stateful=True)
    threading.Thread(target=_stop, args=(app, counted, float(seconds)), daemon=True).start()
    app.run()
    print("events a second:", counted[0] / (time.perf_counter() - counted[1]))  # noqa: T201


def _stop(app: Application, counted: list[float], seconds: float) -> None:
    while not counted[1]:
        time.sleep(0.01)
    time.sleep(seconds)
    app.stop()


if __name__ == "__main__":
    main()
