"""The Faust application of a worker: one agent a duty, which hands each batch to its lane, and one that counts.

Faust gives membership, partition ownership, the agent and its buffers, supervision and the web server. Its offsets are
not used (`acks=False`): the truth is the checkpoint that is written with the rows.
"""

import gc
import logging
from pathlib import Path
from typing import Any, cast

import faust

from streams.kafka.config import Kafka
from streams.postgres.checkpoints import Reader
from streams.worker.credentials import credentials
from streams.worker.duty import Duty
from streams.worker.figures import KEEP_S, Figures
from streams.worker.options import WorkerOptions
from streams.worker.reading import Reading

_LOG = logging.getLogger("kafold.worker")
GROUP_SUFFIX = "worker"
REQUESTS_S = 1.0
LOOK_S = 0.2
GARBAGE_S = 300.0
# While the broker restarts, a group can be formed by somebody who does not know the topics yet: all get no partition at
# all, until they are asked for again. Faust asks after five minutes.
METADATA_AGE_S = 5.0


async def collect_garbage() -> None:
    """Collect what only refers to itself: rare, and not worth looking for after every 700 objects."""
    gc.collect()


class BatchTopic(faust.Topic):
    """A Faust topic whose messages are whole batches, so that there is nothing to decode here."""

    async def decode(self, message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG002  (Faust passes it)
        """Return the batch as an event."""
        return self._create_event(None, message.value, headers=None, message=message)


class WorkerApp(faust.App):
    """A Faust application that knows what it reads, and what it counts, if it does."""

    reading: Reading
    figures: Figures | None


def build(
    application: str,
    kafka: Kafka,
    reading: Reading,
    data_dir: Path,
    options: WorkerOptions,
    only: Reader | None = None,
    figures: Figures | None = None,
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
        consumer_metadata_max_age_ms=int(METADATA_AGE_S * 1000),
        consumer_max_fetch_size=options.fetch_bytes_max,
        broker_max_poll_records=options.batch_events_max,
        broker_session_timeout=options.session_timeout_s,
        broker_heartbeat_interval=options.session_timeout_s / 4,
        broker_request_timeout=max(30.0, options.session_timeout_s + 5),
        stream_buffer_maxsize=options.batches_buffered_max,
        # Ours: on_partitions_revoked below waits for what is being written.
        stream_wait_empty=False,
    )
    app.reading = reading
    app.figures = figures
    reading.fetching = lambda places: cast("Any", app.consumer).fetched(places)
    for duty in reading.duties:
        _agent(app, reading, duty)
    if figures is not None:
        _count(app, figures)

    async def give_back(*_arguments: Any, **_named: Any) -> None:
        await reading.give_back()
        if figures is not None:
            await figures.give_back()

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


def _count(app: WorkerApp, figures: Figures) -> None:
    """Let an agent keep the figures, which never stop the worker."""

    async def agent(stream: Any) -> None:
        async for event in stream.events():
            try:
                await figures.count((event.message.topic, event.message.partition), event.value.records)
            except Exception:  # noqa: BLE001 - they are figures, not the truth
                _LOG.exception("a batch of %s is not in the figures", event.message.topic)

    async def keep() -> None:
        try:
            await figures.keep()
        except Exception as error:  # noqa: BLE001 - it is tried again
            _LOG.warning("the figures are not kept: %s: %s", type(error).__name__, error)

    figures.attach(app)
    topic = app.topic(*figures.topics, key_serializer="raw", value_serializer="raw", acks=False)
    app.agent(topic, name="figures", concurrency=1)(agent)
    app.timer(KEEP_S)(keep)
