"""Errors of a replay, as a tree. Each leaves the live version as it was.

::

    KafoldError
    └── ReplayError
        ├── CannotReplay    what was asked cannot be done as things stand: the text says what to do instead
        ├── Unfoldable      an event cannot be folded: mend the code and begin anew, or `--park` its key
        ├── Unwritable      the database does not take a row: mend the code and begin anew
        ├── Interrupted     somebody stopped it: nothing is left of it
        ├── NotFolded       a version does not come along: start a worker whose code defines it
        └── CutoverRefused  the switch would show readers less than they have seen: the text says what is missing
"""

from schemas.errors import KafoldError


class ReplayError(KafoldError):
    """A replay, a comparison or a cutover did not come to its end."""


class CannotReplay(ReplayError):
    """What was asked cannot be done as things stand. The text says what to do instead."""


class Unfoldable(ReplayError):
    """An event cannot be folded. The text has the event, its place and the row before it."""


class Unwritable(ReplayError):
    """The database does not take a row. The text has the row; what came before the last save is kept."""


class Interrupted(ReplayError):
    """Somebody stopped it. Nothing is left of it."""


class NotFolded(ReplayError):
    """A version does not come along, because nobody folds it. Start a worker whose code defines it."""


class CutoverRefused(ReplayError):
    """The switch would show readers less than they have seen."""


def unwritable(name: str, error: Exception) -> Unwritable:
    """Return what to say of a row of `name` that something does not take, with the line and column where it tells."""
    why = " ".join(line.strip() for line in str(error).splitlines()) or type(error).__name__
    return Unwritable(f"a row of {name} cannot be written: {why}. Mend the projection, and begin anew")
