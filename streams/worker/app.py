"""The Faust application of a worker: one agent a duty, which hands each batch to its lane.

Faust gives membership, partition ownership, the agent and its buffers, supervision and the web server. Its offsets are
not used (`acks=False`): the truth is the checkpoint that is written with the rows.
"""

import gc
from pathlib import Path
from typing import Any, cast

import faust

from streams.kafka.config import Kafka
from streams.postgres.checkpoints import Reader
from streams.worker.credentials import credentials
from streams.worker.duty import Duty
from streams.worker.options import WorkerOptions
from streams.worker.reading import Reading

GROUP_SUFFIX = "worker"
REQUESTS_S = 1.0
LOOK_S = 0.2
GARBAGE_S = 300.0


async def collect_garbage() -> None:
    """Collect what only refers to itself: rare, and not worth looking for after every 700 objects."""
    gc.collect()


class BatchTopic(faust.Topic):
    """A Faust topic whose messages are whole batches, so that there is nothing to decode here."""

    async def decode(self, message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG002  (Faust passes it)
        """Return the batch as an event."""
        return self._create_event(None, message.value, headers=None, message=message)


class WorkerApp(faust.App):
    """A Faust application that knows what it reads."""

    reading: Reading


def build(
    application: str, kafka: Kafka, reading: Reading, data_dir: Path, options: WorkerOptions, only: Reader | None = None
) -> WorkerApp:
    """Return the Faust application of a worker, not started. One that folds `only` a version has a group of its own.

    Raises:
        DefinitionError: the worker cannot use one of the cluster's TLS or SASL properties.
    """
    app = WorkerApp(
        f"{application}-{GROUP_SUFFIX}" + (f"-{only.name}-v{only.version}" if only else ""),
        broker=";".join(f"kafold://{each.strip()}" for each in kafka.bootstrap_servers.split(",")),
        broker_credentials=credentials(kafka.properties),
        Topic=BatchTopic,
        store="memory://",
        datadir=str(data_dir),
        **_web(options),
        web_tables_enabled=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=options.fetch_bytes_max,
        broker_session_timeout=options.session_timeout_s,
        broker_heartbeat_interval=options.session_timeout_s / 4,
        broker_request_timeout=max(30.0, options.session_timeout_s + 5),
        stream_buffer_maxsize=options.batches_buffered_max,
        # Ours: on_partitions_revoked below waits for what is being written.
        stream_wait_empty=False,
    )
    app.reading = reading
    reading.fetching = lambda places: cast("Any", app.consumer).fetched(places)
    for duty in reading.duties:
        _agent(app, reading, duty)

    async def give_back(*_arguments: Any, **_named: Any) -> None:
        await reading.give_back()

    app.timer(REQUESTS_S)(reading.settle)
    app.timer(LOOK_S)(reading.look)
    app.timer(GARBAGE_S)(collect_garbage)
    app.on_partitions_revoked.connect(give_back)
    return app


def _web(options: WorkerOptions) -> dict[str, Any]:
    if options.watch is None:
        return {"web_enabled": False}
    host, port = options.watch
    return {"web_enabled": True, "web_bind": host, "web_host": host, "web_port": port}


def _agent(app: WorkerApp, reading: Reading, duty: Duty) -> None:
    """Let an agent do a duty."""

    async def agent(stream: Any) -> None:
        async for event in stream.events():
            await reading.hand(duty, event.value)

    topic = app.topic(*duty.readers, key_serializer="raw", value_serializer="raw", acks=False)
    app.agent(topic, name=duty.name, concurrency=1)(agent)
