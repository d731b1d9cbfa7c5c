"""The books: the tables of the schema `kafold`, which say how far everything is, what is parked, sent and counted.

Promises: to prepare them again changes nothing and **locks nothing**, so a worker that starts stands in nobody's way;
only the first process of a new kafold changes them, and it takes its locks in the order of those who read.
"""

import hashlib

from streams.postgres import figures, outbox
from streams.postgres.connection import Cursor

_BOOKS = """
CREATE SCHEMA IF NOT EXISTS kafold;
COMMENT ON SCHEMA kafold IS 'The books of kafold: how far everything is, the journal of events, and what is parked.';

CREATE TABLE IF NOT EXISTS kafold.structure (fingerprint text NOT NULL);
COMMENT ON TABLE kafold.structure IS 'Fingerprint of the statements that last made the books.';

CREATE TABLE IF NOT EXISTS kafold.projections (
    application text NOT NULL,
    projection text NOT NULL,
    version int NOT NULL,
    live boolean NOT NULL DEFAULT false,
    prepared_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (application, projection, version)
);
ALTER TABLE kafold.projections ADD COLUMN IF NOT EXISTS state text NOT NULL DEFAULT 'folded'
    CHECK (state IN ('declared', 'replaying', 'folded', 'dropped'));
ALTER TABLE kafold.projections ADD COLUMN IF NOT EXISTS code text;
ALTER TABLE kafold.projections ADD COLUMN IF NOT EXISTS compared_at timestamptz;
ALTER TABLE kafold.projections ADD COLUMN IF NOT EXISTS differing bigint;
CREATE UNIQUE INDEX IF NOT EXISTS one_live_version ON kafold.projections (application, projection) WHERE live;
COMMENT ON TABLE kafold.projections IS 'The versions of projections; the views show the live ones.';
COMMENT ON COLUMN kafold.projections.state IS 'Workers fold what is folded; a declared version waits for its replay.';
COMMENT ON COLUMN kafold.projections.code IS 'Fingerprint of the code that replayed it.';
COMMENT ON COLUMN kafold.projections.differing IS 'How many rows differed from the live version, when last compared.';

CREATE TABLE IF NOT EXISTS kafold.checkpoints (
    application text COLLATE "C" NOT NULL,
    projection text COLLATE "C" NOT NULL,
    version int NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition int NOT NULL,
    topic_id text NOT NULL,
    next bigint NOT NULL DEFAULT 0,
    stop_at bigint,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (application, projection, version, topic, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE kafold.checkpoints IS 'The next offset that each reader folds; written with what it folded.';
ALTER TABLE kafold.checkpoints ADD COLUMN IF NOT EXISTS stop_until timestamptz;
COMMENT ON COLUMN kafold.checkpoints.stop_at IS 'Where the reader stops, so that two versions can be compared.';
COMMENT ON COLUMN kafold.checkpoints.stop_until IS 'When stop_at ends to hold, should nobody clear it.';

CREATE TABLE IF NOT EXISTS kafold.parked (
    application text COLLATE "C" NOT NULL,
    projection text COLLATE "C" NOT NULL,
    version int NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    by_message boolean NOT NULL,
    message_key bytea NOT NULL,
    data bytea NOT NULL,
    error_type text,
    error text,
    code text NOT NULL,
    request text CHECK (request IN ('retry', 'discard')),
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (application, projection, version, topic, partition, "offset")
);
CREATE INDEX IF NOT EXISTS parked_by_key ON kafold.parked (application, projection, version, key);
CREATE INDEX IF NOT EXISTS parked_requests ON kafold.parked (application, topic, partition) WHERE request IS NOT NULL;
COMMENT ON TABLE kafold.parked IS 'Events that a projection could not take, and those that wait behind them.';
COMMENT ON COLUMN kafold.parked.by_message IS 'The key is the message''s, because the row''s could not be computed.';
COMMENT ON COLUMN kafold.parked.error_type IS 'Null: the event only waits behind another of its key.';
COMMENT ON COLUMN kafold.parked.code IS 'Fingerprint of the projection''s code that met the event.';

CREATE OR REPLACE VIEW kafold.positions AS
SELECT c.application, c.projection, c.version, coalesce(p.live, true) AS live,
    c.topic, c.partition, c.topic_id, c.next, c.updated_at
FROM kafold.checkpoints c LEFT JOIN kafold.projections p USING (application, projection, version);
COMMENT ON VIEW kafold.positions IS 'How far each projection and the journal are.';

CREATE OR REPLACE VIEW kafold.parked_keys AS
SELECT application, projection, version, key, by_message, count(*) AS events, min(parked_at) AS since,
    (array_agg(error ORDER BY parked_at) FILTER (WHERE error IS NOT NULL))[1] AS error
FROM kafold.parked GROUP BY application, projection, version, key, by_message;
COMMENT ON VIEW kafold.parked_keys IS 'The keys whose events wait, with the first error.';
"""

_ALL = _BOOKS + outbox.TABLE + figures.TABLE
_FINGERPRINT = hashlib.sha256(_ALL.encode()).hexdigest()

_FOUND = "SELECT to_regclass('kafold.structure') IS NOT NULL, to_regclass('kafold.positions') IS NOT NULL"
# A reader of a view locks the view and then, in their order, the tables under it. LOCK TABLE of a view does the same.
_AS_READERS_LOCK = "LOCK TABLE kafold.positions IN ACCESS EXCLUSIVE MODE"
_NOTE = "INSERT INTO kafold.structure (fingerprint) VALUES (%s)"


def prepare_books(cursor: Cursor) -> None:
    """Make what is missing of the books, in the caller's transaction, which must hold the lock for it."""
    noted, shown = cursor.execute(_FOUND).fetchone() or (False, False)
    if noted and cursor.execute("SELECT fingerprint FROM kafold.structure").fetchone() == (_FINGERPRINT,):
        return
    if shown:
        cursor.execute(_AS_READERS_LOCK)
    cursor.execute(_ALL)
    cursor.execute("DELETE FROM kafold.structure")
    cursor.execute(_NOTE, [_FINGERPRINT])
