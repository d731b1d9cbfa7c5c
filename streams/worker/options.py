"""Options of a worker. Every limit has its unit last in its name.

What a worker has in memory of a backlog is ten batches or so, an event about 1 kB. A fetch's bytes say little of that,
since Kafka's records are compressed (4 MB were 100,000 events).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker may be told; the defaults suit two cores."""

    lanes: int = 2
    fetch_bytes_max: int = 4 * 1024 * 1024
    batch_events_max: int = 50_000
    batches_buffered_max: int = 2
    behind_records_max: int = 100_000  # in a partition; who is further behind catches up in bulk
    bulk_records_max: int = 50_000  # in one transaction of catching up
    session_timeout_s: float = 10.0
    stall_s_max: float = 60.0
    stop_s_max: float = 20.0
    watch: tuple[str, int] | None = None  # the host and the port of Faust's web server; None: there is none
