"""The journal: every event's raw bytes by aggregate and version, so that an aggregate is loaded without a scan.

One table a topic, `kafold."<events topic>"`, keyed (id, version): an aggregate's history is one range of one index.

Promises: each event is there exactly once, written with the journal's checkpoint, which tells whether a history is the
newest; versions are 1..n without a gap, or the writer stops.
"""

from collections.abc import Iterable, Sequence
from operator import itemgetter

from psycopg import sql

from streams.kernel.folding import Envelope
from streams.postgres.columns import unnested
from streams.postgres.connection import Cursor
from streams.postgres.tables import FEW_ROWS_MAX

_CREATE = """
CREATE TABLE IF NOT EXISTS {} (
    id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (id, version)
)
"""
_COMMENT = "Every event of the topic as it was written, by aggregate id and version."

_COPY = 'COPY {} (id, version, partition, "offset", data) FROM STDIN (FORMAT binary)'
_INSERT = 'INSERT INTO {} (id, version, partition, "offset", data) SELECT * FROM {}'
_TYPES = ["text", "bigint", "integer", "bigint", "bytea"]

# A lateral query asks the index once for each id; a GROUP BY would read each aggregate's whole range.
_HEADS = """
SELECT wanted.id, head.version FROM unnest(%s::text[]) AS wanted (id),
    LATERAL (SELECT version FROM {} WHERE id = wanted.id ORDER BY version DESC LIMIT 1) AS head
"""


def table(topic: str) -> sql.Identifier:
    """Return the journal's table of an events topic."""
    return sql.Identifier("kafold", topic)


def create(cursor: Cursor, topic: str) -> None:
    """Make the table of a topic if there is none."""
    cursor.execute(sql.SQL(_CREATE).format(table(topic)))
    cursor.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table(topic), sql.Literal(_COMMENT)))


def append(cursor: Cursor, topic: str, partition: int, batch: Iterable[Envelope]) -> None:
    """Write a partition's events. Envelopes that could not be decoded have no version and are parked instead."""
    # In the index's order, so that neighbours go into the same pages; an aggregate's events come to lie together.
    rows = [
        (key.decode(), meta.version, partition, offset, data)
        for offset, key, data, _, meta, _ in sorted(batch, key=itemgetter(1))
        if meta is not None
    ]
    if len(rows) <= FEW_ROWS_MAX:
        if rows:
            arrays = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(sql.SQL(_INSERT).format(table(topic), unnested(_TYPES)), arrays)
        return
    with cursor.copy(sql.SQL(_COPY).format(table(topic))) as copy:
        copy.set_types(_TYPES)
        for row in rows:
            copy.write_row(row)


def heads(cursor: Cursor, topic: str, keys: Sequence[bytes]) -> dict[bytes, int]:
    """Return the versions of those aggregates that the journal knows, by message key."""
    found = cursor.execute(sql.SQL(_HEADS).format(table(topic)), [[key.decode() for key in keys]])
    return {key.encode(): version for key, version in found}
