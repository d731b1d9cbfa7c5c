"""Proving what is parked: the raw bytes of parked events, for `kafold schemas prove`.

Promises: every event that was parked when it began is taken once, in batches, however many there are.
"""

from collections import defaultdict

import psycopg

from schemas.proof import Kept
from streams.kernel.application import Application
from streams.kernel.proving import Provers

BATCH = 10_000

# An event that several projections have parked is one event.
_PARKED = """
SELECT DISTINCT ON (topic, partition, "offset") topic, partition, "offset", data
FROM kafold.parked WHERE application = %s ORDER BY topic, partition, "offset"
"""


def prove_parked(dsn: str, application: Application, provers: Provers) -> None:
    """Read the application's parked events."""
    with psycopg.connect(dsn) as connection, connection.cursor("parked") as cursor:
        cursor.itersize = BATCH
        cursor.execute(_PARKED, [application.name])
        while rows := cursor.fetchmany(BATCH):
            by_topic = defaultdict(list)
            for topic, partition, offset, data in rows:
                by_topic[topic].append((partition, offset, data))
            for topic, records in by_topic.items():
                provers.of(Kept.PARKED, topic).take(records)
