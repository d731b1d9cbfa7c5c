"""`kafold processor`, `worker`, `api`: the single parts of a group. Each runs until SIGINT or SIGTERM.

They prepare nothing: `kafold up` has done so, or does it once on the cluster that the settings name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from streams.kernel.application import Application
    from streams.postgres.checkpoints import Reader

Slot = Annotated[int, typer.Option(min=0, help="Its number among its like; two of one number fence each other.")]

WatchPort = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Port of its metrics and health.", show_default="the settings', or none"),
]


def processor(ctx: typer.Context, slot: Slot = 0, port: WatchPort = None) -> None:
    """Run one command processor."""
    from infra.preparing import kafka_at
    from infra.reaching import starting
    from infra.registries import schema_ids
    from streams.processor.main import run

    told = invocation(ctx)
    told.log_to_console()
    settings = told.settings()
    with starting(settings) as endpoints:
        kafka = kafka_at(endpoints)
        with schema_ids(settings, kafka) as ids:
            run(
                told.application(),
                kafka,
                ids,
                settings.partitions,
                settings.home / "processors" / str(slot),
                slot=slot,
                dedupe_window_s=settings.dedupe_window_s,
                snapshot_events=settings.snapshot_events,
                watch=_watch(settings.watch.host, port, settings.watch.processor_port, slot),
            )


Only = Annotated[
    str | None,
    typer.Option(metavar="NAME@VERSION", help="Fold this version of a projection only, beside workers of other code."),
]


def worker(ctx: typer.Context, slot: Slot = 0, port: WatchPort = None, only: Only = None) -> None:
    """Run one worker, which keeps the projections and lets the process managers react."""
    from infra.preparing import kafka_at
    from infra.reaching import starting
    from infra.registries import schema_ids
    from streams.worker.main import run
    from streams.worker.options import WorkerOptions

    told = invocation(ctx)
    told.log_to_console()
    settings = told.settings()
    with starting(settings) as endpoints:
        kafka = kafka_at(endpoints)
        application = told.application()
        reader = None if only is None else _version(application, only)
        data = settings.home / "workers" / (str(slot) if only is None else f"{only}-{slot}")
        data.mkdir(parents=True, exist_ok=True)
        with schema_ids(settings, kafka) as ids:
            # Its port is asked for: the settings' is that of the worker with this slot.
            base = settings.watch.worker_port if only is None else None
            watch = _watch(settings.watch.host, port, base, slot)
            run(
                application,
                kafka,
                endpoints.dsn,
                ids,
                data,
                WorkerOptions(watch=watch),
                dedupe_window_s=settings.dedupe_window_s,
                only=reader,
            )


def _version(application: Application, only: str) -> Reader:
    from schemas.errors import DefinitionError
    from streams.postgres.checkpoints import Reader

    name, _, version = only.partition("@")
    if not (version.isascii() and version.isdecimal()):
        raise DefinitionError(f"--only {only}: write it as NAME@VERSION, such as customer_summary@2")
    found = application.projection(name, int(version))
    return Reader(found.name, found.version)


def api(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="the settings'")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="the settings', or 8000")] = None,
) -> None:
    """Run the read API."""
    from infra.engines import engines
    from infra.preparing import kafka_at
    from infra.registries import embedded_contents, schema_ids_when_asked
    from read_api.main import run
    from read_api.rows_then import RowsThen
    from streams.kafka.log_end import LogEnd

    told = invocation(ctx)
    told.log_to_console()
    settings = told.settings()
    with engines(settings) as endpoints:
        application, kafka, dsn = told.application(), kafka_at(endpoints), endpoints.dsn
        registry = embedded_contents(settings, kafka)
        address = host or settings.api.host, port or settings.api.port or 8000
        with schema_ids_when_asked(settings, kafka) as ids, LogEnd(kafka) as log_end:
            rows_then = RowsThen(application, dsn, settings.partitions, ids)
            run(application, dsn, *address, registry, rows_then, log_end)


def _watch(host: str, told: int | None, base: int | None, slot: int) -> tuple[str, int] | None:
    """Where a part is watched: where it was told, or at the settings' port for its slot."""
    port = told if told is not None else None if base is None else base + slot
    return None if port is None else (host, port)
