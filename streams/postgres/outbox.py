"""The outbox: the commands that process managers decided, from the decision until nothing more is to be known of them.

A command is kept in the transaction that keeps its process's state, and only then sent. It is `unsent` until Kafka has
acknowledged it, then `sent` if its answer is awaited, and gone when it is answered, or at once if nobody waits. It is
`refused` if it was found unsent so late that its id is forgotten: whether it was sent then, a person has to find out.

Promises: what is sent was committed; what was committed is sent, by whoever owns the partition that it follows from.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas.position import Place
from streams.postgres.connection import Connection, Cursor

TABLE = """
CREATE TABLE IF NOT EXISTS kafold.outbox (
    application text COLLATE "C" NOT NULL,
    command_id text COLLATE "C" NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    process_manager text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition int NOT NULL,
    send_to text NOT NULL,
    message_key bytea NOT NULL,
    data bytea NOT NULL,
    fact_ms bigint NOT NULL,
    answer_wanted boolean NOT NULL,
    status text NOT NULL CHECK (status IN ('unsent', 'sent', 'refused')),
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (application, command_id)
);
CREATE INDEX IF NOT EXISTS outbox_unsent ON kafold.outbox (application, topic, partition) WHERE status = 'unsent';
COMMENT ON TABLE kafold.outbox IS 'Commands of process managers that are not sent, or not answered, yet.';
COMMENT ON COLUMN kafold.outbox.key IS 'Of the process that sends it.';
COMMENT ON COLUMN kafold.outbox.topic IS 'With partition: whose owner sends it.';
COMMENT ON COLUMN kafold.outbox.fact_ms IS 'When the fact came to be that it follows from, milliseconds since 1970.';
COMMENT ON COLUMN kafold.outbox.status IS 'refused: found unsent too late to know whether it was sent; see the log.';
"""

# Facts that are told again, after a rebuild, decide commands that may be here still.
_KEEP = """
INSERT INTO kafold.outbox (
    application, command_id, process_manager, key, topic, partition, send_to, message_key, data, fact_ms,
    answer_wanted, status
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""

_UNSENT = """
SELECT command_id, process_manager, key, send_to, message_key, data, fact_ms FROM kafold.outbox
WHERE application = %s AND topic = %s AND partition = %s AND status = 'unsent' ORDER BY number
"""

_AWAITED = """
SELECT command_id, process_manager, key, send_to, message_key, data, fact_ms FROM kafold.outbox
WHERE application = %s AND process_manager = %s AND command_id = ANY(%s) AND answer_wanted
"""

_SENT = "DELETE FROM kafold.outbox WHERE application = %s AND command_id = ANY(%s) AND NOT answer_wanted"
_WAITING = "UPDATE kafold.outbox SET status = 'sent' WHERE application = %s AND command_id = ANY(%s)"
_REFUSED = "UPDATE kafold.outbox SET status = 'refused' WHERE application = %s AND command_id = ANY(%s)"
_ANSWERED = "DELETE FROM kafold.outbox WHERE application = %s AND command_id = ANY(%s)"
_PLACES = "SELECT DISTINCT topic, partition FROM kafold.outbox WHERE application = %s AND status = 'unsent'"


class Outgoing(NamedTuple):
    """One command as it goes to Kafka. `key`: of its process, as text."""

    command_id: str
    process_manager: str
    key: str
    send_to: str
    message_key: bytes
    data: bytes
    fact_ms: int


def keep(
    cursor: Cursor, application: str, place: Place, commands: Iterable[tuple[Outgoing, bool]], *, silent: bool
) -> None:
    """Keep commands with whether their answers are awaited; when `silent`, as if they had been sent."""
    cursor.executemany(
        _KEEP,
        [
            (
                application, each.command_id, each.process_manager, each.key, *place, each.send_to, each.message_key,
                each.data, each.fact_ms, wanted, "sent" if silent else "unsent",
            )
            for each, wanted in commands
            if wanted or not silent
        ],
    )  # fmt: skip


def unsent(cursor: Cursor, application: str, place: Place) -> list[Outgoing]:
    """Return what the owner of a partition has to send, in order."""
    return [Outgoing(*row) for row in cursor.execute(_UNSENT, [application, *place])]


def unsent_places(connection: Connection, application: str) -> list[Place]:
    """Return the partitions whose owners have something to send."""
    return connection.execute(_PLACES, [application]).fetchall()


def sent(cursor: Cursor, application: str, command_ids: Sequence[str]) -> None:
    """Note that Kafka has acknowledged these."""
    cursor.execute(_SENT, [application, command_ids])
    cursor.execute(_WAITING, [application, command_ids])


def refuse(cursor: Cursor, application: str, command_ids: Sequence[str]) -> None:
    """Note that these must not be sent any more."""
    cursor.execute(_REFUSED, [application, command_ids])


def awaited(cursor: Cursor, application: str, process_manager: str, command_ids: Sequence[str]) -> dict[str, Outgoing]:
    """Return those of the commands whose answers are still awaited, by id."""
    rows = cursor.execute(_AWAITED, [application, process_manager, command_ids])
    return {row[0]: Outgoing(*row) for row in rows}


def answered(cursor: Cursor, application: str, command_ids: Sequence[str]) -> None:
    """Forget commands whose answers were taken."""
    cursor.execute(_ANSWERED, [application, command_ids])
