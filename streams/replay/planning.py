"""Planning: what a replay of a version reads, and whether it may begin.

Promises: the version that readers see is never touched; a version is replayed by one process group at a time; what was
begun by other code is not gone on with; a log that has lost events is refused.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg import sql

from schemas.position import Place, Position
from streams.kafka.config import Kafka
from streams.kafka.topics import topic_ids
from streams.kernel.application import AnyProjection, Application
from streams.kernel.errors import TopicProblem
from streams.kernel.fingerprint import projection_fingerprint
from streams.postgres.checkpoints import Reader, take
from streams.postgres.connection import Connection, Cursor
from streams.postgres.setup import make_table
from streams.postgres.tables import Table, table_of
from streams.postgres.versions import State, Version, live, set_state, versions
from streams.replay.errors import CannotReplay
from streams.replay.saving import Changes
from streams.replay.source import BulkSource

LOCK_S = 10.0
POLL_S = 0.1

_FORGET = (
    "DELETE FROM kafold.checkpoints WHERE application = %s AND projection = %s AND version = %s",
    "DELETE FROM kafold.parked WHERE application = %s AND projection = %s AND version = %s",
)
_CHANGES = "SELECT tablename FROM pg_tables WHERE schemaname = 'kafold' AND tablename LIKE %s"


@dataclass(frozen=True)
class Plan:
    """A replay that may begin, or go on. `starts`: by partition; `resumed`: some of it was done before."""

    application: Application
    projection: AnyProjection
    table: Table
    starts: Mapping[Place, int]
    topic_ids: Mapping[str, str]
    resumed: bool

    @property
    def reader(self) -> Reader:
        """The version, as the books call it."""
        return Reader(self.projection.name, self.projection.version)

    @property
    def position(self) -> Position:
        """Where it goes on."""
        return Position(dict(self.starts), dict(self.topic_ids))


def lock(connection: Connection, application: str, reader: Reader) -> None:
    """Keep others from replaying this version, for as long as the connection lives.

    Raises:
        CannotReplay: somebody is at it.
    """
    for part in ("whole", "saves"):
        _wait_for(connection, _number(application, reader, part), reader)
    # Free for this replay's own connections; nobody else gets past the first.
    connection.execute("SELECT pg_advisory_unlock(%s)", [_number(application, reader, "saves")])


def lock_saves(connection: Connection, application: str, reader: Reader) -> None:
    """Keep the next replay waiting until PostgreSQL has done with this connection, even if its process is killed."""
    connection.execute("SELECT pg_advisory_lock_shared(%s)", [_number(application, reader, "saves")])


def _number(application: str, reader: Reader, part: str) -> int:
    text = f"kafold replay {application} {reader.name} {reader.version} {part}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], signed=True)


def _wait_for(connection: Connection, number: int, reader: Reader) -> None:
    deadline = time.monotonic() + LOCK_S
    while True:
        (taken,) = connection.execute("SELECT pg_try_advisory_lock(%s)", [number]).fetchone() or (False,)
        if taken:
            return
        # One that was just killed holds it until PostgreSQL has noticed.
        if time.monotonic() > deadline:
            raise CannotReplay(f"another replay of {reader.name} v{reader.version} is running: wait for it, or end it")
        time.sleep(POLL_S)


def plan(
    connection: Connection, kafka: Kafka, source: BulkSource, application: Application, projection: AnyProjection,
    *, restart: bool,
) -> Plan:  # fmt: skip
    """Make a version ready to be replayed: from the log's beginning, or from where a replay of it was cut off.

    Raises:
        CannotReplay: it is what readers see, or is folded already, or other code began it.
        TopicProblem: the log begins after the place from where to read.
    """
    reader, table = Reader(projection.name, projection.version), table_of(application.name, projection)
    topics = [application.topics(each).events for each in projection.of]
    ids = topic_ids(kafka, topics)
    places = source.places(topics)
    code = projection_fingerprint(projection, application.evolution)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL client_min_messages = warning")
        anew = _check(versions(cursor, application.name, projection.name), reader, code, restart=restart)
        if anew:
            forget(cursor, application.name, reader, table.name)
            make_table(cursor, table)
            set_state(cursor, application.name, reader, State.REPLAYING, code)
        else:
            merge_changes(cursor, application.name, table)
        starts = {
            (topic, number): take(cursor, application.name, topic, number, ids[topic], [reader])[reader]
            for topic, number in places
        }
        _check_log(source, starts)
    return Plan(application, projection, table, starts, ids, not anew)


def forget(cursor: Cursor, application: str, reader: Reader, table: sql.Identifier) -> None:
    """Take away a version's table, its checkpoints, and what it parked."""
    # In the order of the worker's locks: the checkpoints, then the rows.
    for statement in _FORGET:
        cursor.execute(statement, [application, *reader])
    forget_changes(cursor, application, reader)
    cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))


def forget_changes(cursor: Cursor, application: str, reader: Reader) -> None:
    """Take away the tables of a version's changes."""
    for name in _changes(cursor, application, reader):
        cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("kafold", name)))


def merge_changes(cursor: Cursor, application: str, table: Table) -> None:
    """Bring a version's table up to the changes that a replay noted before it was cut off."""
    reader = Reader(table.projection.name, table.projection.version)
    for name in _changes(cursor, application, reader):
        Changes(application, table, int(name.rpartition("_")[2])).merge(cursor)


def _changes(cursor: Cursor, application: str, reader: Reader) -> list[str]:
    prefix = f"{application}.{reader.name}_v{reader.version}.changes_"
    like = prefix.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%") + "%"
    return [name for (name,) in cursor.execute(_CHANGES, [like]).fetchall()]


def _check(found: Iterable[Version], reader: Reader, code: str, *, restart: bool) -> bool:
    """Return whether to begin anew."""
    known = {each.reader: each for each in found}
    mine, shown = known.get(reader), live(known.values())
    name = f"{reader.name} v{reader.version}"
    if mine is None:
        raise CannotReplay(f"{name} is not in the books yet: start `kafold up` or a worker with this code once")
    if mine.live:
        raise CannotReplay(
            f"{name} is what readers see now: give the projection in the code the next version, "
            f"Projection({reader.name!r}, version={reader.version + 1}, …), and replay that"
        )
    if mine.state is State.FOLDED and not restart:
        raise CannotReplay(
            f"{name} was replayed and is folded live, beside v{shown.reader.version if shown else '?'}: `kafold replay "
            f"{reader.name} --compare`, then `kafold projections cutover {reader.name}`; --restart builds it anew"
        )
    if mine.state is State.REPLAYING and mine.code != code and not restart:
        raise CannotReplay(f"the code of {name} has changed since its replay began: --restart builds it anew")
    return restart or mine.state is not State.REPLAYING


def _check_log(source: BulkSource, starts: Mapping[Place, int]) -> None:
    for (topic, number), (first, end) in source.bounds(starts).items():
        start = starts[topic, number]
        if first > start:
            raise TopicProblem(
                f"{topic}[{number}] begins at offset {first}, but the replay has to go on from {start}: the events "
                "between are lost; restore the topic, and set its retention to for ever"
            )
        if end < start:
            raise TopicProblem(
                f"{topic}[{number}] ends at offset {end}, before the replay's checkpoint {start}: it lost its newest "
                "events; restore the topic, or begin anew with --restart"
            )
