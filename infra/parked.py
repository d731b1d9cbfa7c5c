"""Parked events, for `kafold parked`: what they say, and having them retried or discarded.

Promises: nothing is done here but to ask; the owning workers do it, and how it ended is read from the database.
"""

import time
from typing import Any, NamedTuple

from schemas.errors import DecodingError, KafoldError
from schemas.registry import SchemaIds
from streams.kernel.application import Application
from streams.postgres.checkpoints import JOURNAL
from streams.postgres.connection import connect
from streams.postgres.parking import Parked, Request, request, still

POLL_S = 0.1


class NothingParked(KafoldError):
    """Nothing that is parked is meant; the text says what to look at."""


class Asked(NamedTuple):
    """How many events were asked for; how many of these wait for their worker; how many are parked as before."""

    asked: int
    waiting: int
    parked: int


def ask(
    dsn: str, application: str, what: Request, projection: str | None, key: str | None, error: str | None, wait_s: float
) -> Asked:
    """Ask for parked events to be retried or discarded, and wait until the workers have done it.

    Raises:
        NothingParked: nothing matches, or the journal is to give something up.
    """
    if what is Request.DISCARD and projection == JOURNAL.name:
        raise NothingParked("the journal gives nothing up, its versions have no gaps: mend the cause and retry")
    with connect(dsn, "parked") as connection:
        asked = request(connection, application, projection, what, key, error)
        if not asked:
            raise NothingParked("nothing that is parked matches: `kafold parked list` shows what there is")
        deadline = time.monotonic() + wait_s
        while True:
            # What is settled and parked again is no longer requested.
            left = Asked(len(asked), *still(connection, application, asked))
            if not left.waiting or time.monotonic() >= deadline:
                return left
            time.sleep(POLL_S)


def decoded(application: Application, ids: SchemaIds, found: Parked) -> dict[str, Any] | None:
    """Return a parked event as plain data, with its type; None: it cannot be decoded."""
    for aggregate in application.aggregates:
        if application.topics(aggregate).events == found.topic:
            try:
                event, meta = application.event_codec(aggregate, ids).decode(found.data)
            except DecodingError:
                return None
            return {"type": type(event).__name__, **meta._asdict(), **event.model_dump(mode="json")}
    return None
