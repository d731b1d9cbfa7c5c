"""Ignoring: whether a function looks at the metadata that it is given.

Most projections fold what an event says, not who said it and when. Metadata makes up a third of decoding, so a replay
leaves it out for a `project` that cannot see it.

Promises: pure; whoever might look is believed to look.
"""

import dis
from collections.abc import Callable
from types import FunctionType
from typing import Any

_META = 2  # project(row, event, meta)
# Names with which a function may see its own variables, or run text that does.
_SEEING = frozenset({"locals", "vars", "dir", "eval", "exec", "_getframe", "currentframe", "stack", "settrace"})


def ignores_metadata(project: Callable[..., Any]) -> bool:
    """Return whether nothing in the function's own code names its third parameter."""
    if not isinstance(project, FunctionType) or project.__code__.co_argcount != _META + 1:
        return False
    code = project.__code__
    meta = code.co_varnames[_META]
    if meta in code.co_cellvars or not _SEEING.isdisjoint(code.co_names):
        return False
    # Later Pythons load two variables with one instruction.
    return not any(each.argval == meta or (isinstance(each.argval, tuple) and meta in each.argval)
                   for each in dis.get_instructions(code) if "FAST" in each.opname)  # fmt: skip
