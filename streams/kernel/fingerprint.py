"""A fingerprint of an aggregate's folding: it changes when the same events could fold into another state.

It covers `evolve`, the initial state, the event and state models, and every function of the application that they
reach, through however many calls. Whatever was stored under another fingerprint is rebuilt from the log.

Promises: deterministic for the same code and interpreter; in doubt it changes (a rebuild costs time, a stale state
costs the truth).
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from pydantic import BaseModel

from streams.kernel.aggregate import Aggregate

# What these do does not change without a new version of theirs; the interpreter's version is part of the fingerprint.
_FOREIGN = sys.stdlib_module_names | {"annotated_types", "pydantic", "pydantic_core", "typing_extensions"}


def fingerprint(aggregate: Aggregate[Any, Any, Any]) -> str:
    """Return the fingerprint as 64 hexadecimal digits."""
    digest = hashlib.sha256(sys.version.encode())
    roots = [aggregate.evolve, type(aggregate.initial), *aggregate.event_types]
    for part in (repr(aggregate.initial), *_walk(roots)):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _walk(roots: list[Any]) -> Iterator[str]:
    """Yield what each reached function and class is, each once, in the order in which they are reached."""
    seen: set[int] = set()
    waiting = list(reversed(roots))
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, MethodType):
            thing = thing.__func__
        if id(thing) in seen or _is_foreign(thing):
            continue
        seen.add(id(thing))
        if isinstance(thing, type):
            yield from _class_text(thing)
            waiting.extend(reversed(list(_methods(thing))))
        elif isinstance(thing, FunctionType):
            yield from _code_text(thing.__code__)
            yield repr((thing.__defaults__, thing.__kwdefaults__))
            waiting.extend(reversed(list(_reached(thing))))
        elif not callable(thing):
            yield repr(thing)


def _is_foreign(thing: Any) -> bool:
    module = getattr(thing, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] in _FOREIGN


def _class_text(cls: type) -> Iterator[str]:
    yield cls.__qualname__
    if issubclass(cls, BaseModel):
        yield repr({name: (field.annotation, repr(field)) for name, field in cls.model_fields.items()})
    members = getattr(cls, "__members__", None)
    if members is not None:
        yield repr({name: member.value for name, member in members.items()})


def _methods(cls: type) -> Iterator[Callable[..., Any]]:
    for base in cls.__mro__:
        if not _is_foreign(base):
            yield from (each for each in vars(base).values() if isinstance(each, FunctionType))


def _code_text(code: CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_text(constant)
        else:
            yield repr(constant)


def _reached(function: FunctionType) -> Iterator[Any]:
    """Yield the globals, the modules' members and the closed-over values that a function names."""
    names = set(_names(function.__code__))
    found = {name: function.__globals__[name] for name in names if name in function.__globals__}
    for name in sorted(found):
        if isinstance(found[name], ModuleType):
            members = vars(found[name])
            yield from (members[member] for member in sorted(names) if member in members)
        else:
            yield found[name]
    yield from (cell.cell_contents for cell in function.__closure__ or ())


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
