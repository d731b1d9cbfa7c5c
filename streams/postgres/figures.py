"""Kept figures: what the owner of a partition has counted of it, and up to where, for whoever owns it next.

Promises: numbers and offset change together; only who took a partition last keeps anything of it, so that a worker that
lost it without noticing keeps nothing; what was counted of another topic of the same name is forgotten.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from psycopg.types.json import Jsonb

from schemas.position import Place
from streams.postgres.connection import Connection

TABLE = """
CREATE TABLE IF NOT EXISTS kafold.figures (
    application text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition int NOT NULL,
    topic_id text NOT NULL,
    owner uuid NOT NULL,
    next bigint NOT NULL DEFAULT 0,
    counted jsonb NOT NULL DEFAULT '[]',
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (application, topic, partition)
);
COMMENT ON TABLE kafold.figures IS 'Commands, rejections and events by minute, as of seconds ago. Ask the workers.';
COMMENT ON COLUMN kafold.figures.owner IS 'The assignment that counts; who had the partition before keeps no more.';
COMMENT ON COLUMN kafold.figures.counted IS 'Rows of: minute (seconds since 1970), kind, type, detail, number.';
"""

_TAKE = """
INSERT INTO kafold.figures AS known (application, topic, partition, topic_id, owner)
SELECT %s::text, place.topic, place.partition, place.topic_id, %s::uuid
FROM unnest(%s::text[], %s::int[], %s::text[]) AS place (topic, partition, topic_id)
ORDER BY place.topic, place.partition
ON CONFLICT (application, topic, partition) DO UPDATE SET owner = excluded.owner, topic_id = excluded.topic_id,
    next = CASE known.topic_id WHEN excluded.topic_id THEN known.next ELSE 0 END,
    counted = CASE known.topic_id WHEN excluded.topic_id THEN known.counted ELSE '[]' END
RETURNING topic, partition, next, counted
"""

_KEEP = """
UPDATE kafold.figures SET next = %s, counted = %s, kept_at = clock_timestamp()
WHERE application = %s AND topic = %s AND partition = %s AND owner = %s
"""

Numbers = Sequence[tuple[int, str, str, str, int]]
"""Minute, kind, type, detail, number."""


class Kept(NamedTuple):
    """What was counted of a partition, and the next offset to count."""

    next: int
    counted: Numbers


def take(connection: Connection, application: str, owner: str, places: Mapping[Place, str]) -> dict[Place, Kept]:
    """Become the owner of the figures of partitions, given with their topics' UUIDs; return what is there."""
    topics = [topic for topic, _ in places]
    partitions = [partition for _, partition in places]
    found = connection.execute(_TAKE, [application, owner, topics, partitions, list(places.values())])
    return {(topic, partition): Kept(at, counted) for topic, partition, at, counted in found}


def keep(connection: Connection, application: str, owner: str, kept: Mapping[Place, Kept]) -> None:
    """Keep what was counted, of those partitions that are still this owner's."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            _KEEP,
            [(each.next, Jsonb(each.counted), application, *place, owner) for place, each in sorted(kept.items())],
        )
