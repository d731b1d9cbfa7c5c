"""Beginning: where a process manager's checkpoints are when it is run for the first time.

It begins at the log's end: what happened before it was written is not its business, and commands that follow from it
are not sent. A new version goes on where the one before it has come, on the states that this one left.

Promises: done once for each partition; to begin again changes nothing; a version whose predecessor has processes under
way is not begun before somebody has seen to them.
"""

from collections.abc import Iterable
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from psycopg import sql

from schemas.errors import DefinitionError
from schemas.position import Place
from streams.kafka.config import Kafka
from streams.kafka.topics import TIMEOUT_S, topic_ids
from streams.kernel.application import AnyProcessManager, Application
from streams.postgres.connection import Cursor, connect
from streams.postgres.setup import LOCK
from streams.postgres.tables import table_of
from streams.worker.processes import process_topics, readers_of

_BEGUN = """
SELECT topic, partition FROM kafold.checkpoints WHERE application = %s AND projection = %s AND version = %s
"""
_BEFORE = """
SELECT max(version) FROM kafold.checkpoints WHERE application = %s AND projection = %s AND version < %s
"""
_TAKE_OVER = """
INSERT INTO kafold.checkpoints (application, projection, version, topic, partition, topic_id, next)
SELECT application, projection, %s, topic, partition, topic_id, next FROM kafold.checkpoints
WHERE application = %s AND projection = %s AND version = %s ON CONFLICT DO NOTHING
"""
_BEGIN = """
INSERT INTO kafold.checkpoints (application, projection, version, topic, partition, topic_id, next)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


def begin(kafka: Kafka, dsn: str, application: Application) -> None:
    """Make the checkpoints that are missing. The application's topics and tables must be there.

    Raises:
        DefinitionError: a new version has to wait for the processes of the one before it; the text says what to do.
    """
    topics = process_topics(application)
    if not topics:
        return
    with connect(dsn, "beginning") as connection, connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        for manager in application.process_managers:
            _take_over(cursor, application.name, manager)
        missing = {
            (manager.name, place): manager
            for topic, managers in topics.items()
            for manager in managers
            for place in _missing(cursor, application.name, manager, topic, kafka)
        }
        if missing:
            ends = _ends(kafka, {place for _, place in missing})
            known = topic_ids(kafka, topics)
            for (_, place), manager in missing.items():
                for reader in readers_of(manager):
                    cursor.execute(_BEGIN, [application.name, *reader, *place, known[place[0]], ends[place]])


def _take_over(cursor: Cursor, application: str, manager: AnyProcessManager) -> None:
    """Let a new version go on where the one before it has come."""
    own, decided = readers_of(manager)
    (before,) = cursor.execute(_BEFORE, [application, *own]).fetchone() or (None,)
    if before is None or cursor.execute(_BEGUN, [application, *own]).fetchone() is not None:
        return
    if not _any(cursor, table_of(application, manager).name):
        old = sql.Identifier(application, f"{manager.name}_v{before}")
        if _any(cursor, old):
            raise DefinitionError(
                f"process manager {manager.name} v{before} has processes under way: let it run until "
                f"{application}.{manager.name}_v{before} is empty, or write their states into "
                f"{application}.{manager.name}_v{manager.version}, then start v{manager.version} again"
            )
    for reader in (own, decided):
        cursor.execute(_TAKE_OVER, [manager.version, application, reader.name, before])


def _any(cursor: Cursor, table: sql.Identifier) -> bool:
    return bool((cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table)).fetchone() or [False])[0])


def _missing(cursor: Cursor, application: str, manager: AnyProcessManager, topic: str, kafka: Kafka) -> Iterable[Place]:
    begun = set(cursor.execute(_BEGUN, [application, *readers_of(manager)[0]]).fetchall())
    found: Any = AdminClient(kafka.admin()).list_topics(topic, timeout=TIMEOUT_S)
    return [(topic, number) for number in found.topics[topic].partitions if (topic, number) not in begun]


def _ends(kafka: Kafka, places: Iterable[Place]) -> dict[Place, int]:
    admin = AdminClient(kafka.admin())  # kept: its futures die with it
    wanted = {TopicPartition(*place): OffsetSpec.latest() for place in places}
    found = admin.list_offsets(wanted, request_timeout=TIMEOUT_S)
    return {(place.topic, place.partition): future.result().offset for place, future in found.items()}
