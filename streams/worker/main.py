"""The worker's entry: keeps an application's projections and journal, and lets its process managers react.

Promises: SIGINT and SIGTERM end it cleanly, with exit code 0; on any failure it says why in one line and exits with
another code, for its supervisor to start it again. kill -9 at any moment loses nothing and counts nothing twice.
"""

import asyncio
import gc
import logging
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kafka.topics import topic_ids
from streams.kernel.application import Application
from streams.kernel.processing import DEDUPE_WINDOW_S
from streams.postgres.checkpoints import Reader
from streams.postgres.setup import prepare
from streams.watchdog import EXIT_FAILED, Watchdog
from streams.worker.app import WorkerApp, build
from streams.worker.applying import appliers, folding
from streams.worker.beginning import begin
from streams.worker.catching_up import CatchUp
from streams.worker.figures import Figures, countings
from streams.worker.options import WorkerOptions
from streams.worker.processes import CommandWriter, process_sources
from streams.worker.reacting import reacting
from streams.worker.reading import Reading
from streams.worker.sending import Sender
from streams.worker.source import sources
from streams.worker.watched import Watched
from streams.worker.web import serve

_LOG = logging.getLogger("kafold.worker")


def run(
    application: Application,
    kafka: Kafka,
    dsn: str,
    ids: SchemaIds,
    data_dir: Path,
    options: WorkerOptions | None = None,
    *,
    dedupe_window_s: int = DEDUPE_WINDOW_S,
    only: Reader | None = None,
) -> None:
    """Work until SIGINT or SIGTERM. Call it in the main thread of a process of its own.

    `dedupe_window_s`: for how long the command processors know a command's id. `only`: fold this version of a
    projection and do nothing else, beside workers of other code, who keep the journal.

    Raises:
        DefinitionError: a process manager's new version has to wait for processes of the one before.
        SystemExit: the worker failed; it has logged why.
    """
    options = options or WorkerOptions()
    prepare(dsn, application)
    if only is None:
        begin(kafka, dsn, application)
    reads = sources(application, ids, only)
    reacts = process_sources(application, ids) if only is None else {}
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Batches make objects by the hundred thousand, which end without the collector's help; looking through them, and
    # through the remembered rows, took a third of the time. `streams/worker/app.py` collects now and then.
    gc.disable()
    worker = _Worker(loop, options)
    duties = [folding(application.name, reads, dsn, options.lanes, worker.fail)]
    if reacts:
        commands = CommandWriter(application, ids)
        duties.append(
            reacting(application.name, reacts, commands, partial(Sender, kafka), dsn, dedupe_window_s, worker.fail)
        )
    passing = {topic for topic, source in reacts.items() if source.answers}
    counts = countings(application, ids) if only is None and options.watch is not None else {}
    known_ids = topic_ids(kafka, {*reads, *reacts, *counts})
    catch_up = CatchUp(kafka, appliers(reads, dsn), options, worker.fail)
    reading = Reading(dsn, application.name, duties, known_ids, catch_up, passing)
    watched = Watched(reading)
    figures = Figures(dsn, application.name, counts, known_ids, watched.metrics) if counts else None
    reading.duties = [replace(duty, applied=watched.applied) for duty in reading.duties]
    app = build(application.name, kafka, reading, data_dir, options, only, figures)
    serve(app, watched, dsn, application.name)
    worker.work(app, reading)


class _Worker:
    """One run of a worker, from start to exit."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: WorkerOptions) -> None:
        self._loop = loop
        self._options = options
        self._stop = asyncio.Event()
        self._watchdog: Watchdog | None = None
        self._error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Stop because of an error."""
        _LOG.error("the worker stops: %s: %s", type(error).__name__, error, exc_info=_LOG.isEnabledFor(logging.DEBUG))
        self._error = self._error or error
        self._stop.set()

    def work(self, app: WorkerApp, reading: Reading) -> None:
        """Run the Faust application until something stops it."""
        watchdog = Watchdog("worker", self._options, lambda: time.monotonic() - reading.turned_at, reading.busy_s)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._stop.set)
        watchdog.start()
        try:
            self._loop.run_until_complete(self._run(app, reading, watchdog))
        finally:
            watchdog.done()
        if self._error is not None:
            raise SystemExit(EXIT_FAILED)

    async def _run(self, app: WorkerApp, reading: Reading, watchdog: Watchdog) -> None:
        await app.start()
        ended = asyncio.ensure_future(app.wait_until_stopped())
        told = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        self._error = self._error or app.crash_reason
        if self._error is not None:
            watchdog.failed(self._error)
        watchdog.stopping()
        await reading.give_back()
        if app.figures is not None:
            await app.figures.give_back()
        await app.stop()
        reading.close()
