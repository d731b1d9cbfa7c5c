"""Versions: the versions of a projection that there are, what each is at, and so who folds it.

=========  ==========================================================================================
state      meaning
=========  ==========================================================================================
declared   code defines it while the view shows another one: nobody folds it until it is replayed
replaying  a replay builds it, or was cut off and will go on; only a replay moves its checkpoints
folded     each worker whose code defines it folds it, from its checkpoints
dropped    its table and checkpoints are gone
=========  ==========================================================================================

A worker folds those versions that its own code defines and that are `folded`, and hears of changes within a second.
Process managers' versions are in the same book, and always `folded`.

Promises: a state changes in one transaction with the checkpoints that it speaks of; exactly one version is **live**,
the one that the view shows, and it is `folded`.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from streams.postgres.checkpoints import Reader
from streams.postgres.connection import Connection, Cursor

_UNFOLDED = "SELECT projection, version FROM kafold.projections WHERE application = %s AND state <> 'folded'"

_READ = """
SELECT projection, version, state, live, code, compared_at, differing FROM kafold.projections
WHERE application = %s AND projection = %s ORDER BY version
"""

_DECLARE = """
INSERT INTO kafold.projections (application, projection, version, state) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING
"""

_SET = """
UPDATE kafold.projections SET state = %s, code = coalesce(%s, code)
WHERE application = %s AND projection = %s AND version = %s
"""

_COMPARED = """
UPDATE kafold.projections SET compared_at = clock_timestamp(), differing = %s
WHERE application = %s AND projection = %s AND version = %s
"""


class State(Enum):
    """What a version is at."""

    DECLARED = "declared"
    REPLAYING = "replaying"
    FOLDED = "folded"
    DROPPED = "dropped"


class Version(NamedTuple):
    """One version of a projection in the books. `code`: the fingerprint of the code that is replaying it."""

    reader: Reader
    state: State
    live: bool
    code: str | None
    compared_at: object | None
    differing: int | None


def unfolded(connection: Connection | Cursor, application: str) -> frozenset[Reader]:
    """Return the versions that workers leave alone."""
    return frozenset(Reader(*row) for row in connection.execute(_UNFOLDED, [application]).fetchall())


def versions(connection: Connection | Cursor, application: str, projection: str) -> list[Version]:
    """Return the versions of a projection, the lowest first."""
    rows = connection.execute(_READ, [application, projection]).fetchall()
    return [Version(Reader(row[0], row[1]), State(row[2]), *row[3:]) for row in rows]


def live(found: Iterable[Version]) -> Version | None:
    """Return the one that the view shows."""
    return next((each for each in found if each.live), None)


def declare(cursor: Cursor, application: str, reader: Reader, state: State) -> None:
    """Note a version that the books do not have yet."""
    cursor.execute(_DECLARE, [application, *reader, state.value])


def set_state(cursor: Cursor, application: str, reader: Reader, state: State, code: str | None = None) -> None:
    """Change what a version is at."""
    cursor.execute(_SET, [state.value, code, application, *reader])


def note_comparison(connection: Connection, application: str, reader: Reader, differing: int) -> None:
    """Keep in how many rows a version differed from the live one."""
    connection.execute(_COMPARED, [differing, application, *reader])
