"""Reaching: what a function, class or value of the application is made of, for `fingerprint`.

A **look** at a thing says what it is in one text, and which things it reaches: a function its constants and the
globals that it names, a class its methods, fields and bases, a container its items. What belongs to Python or to
pydantic is told by its name, and not looked into.

Promises: the text holds no address and no order that differs between processes (sets are sorted); whatever it is given,
it looks and does not raise.
"""

import dataclasses
import dis
import enum
import functools
import importlib.util
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_FOREIGN = sys.stdlib_module_names | {"annotated_types", "pydantic", "pydantic_core", "typing_extensions"}
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_ATOMS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented))
# What the class statement and pydantic put into a class: it follows from the rest.
_DERIVED = re.compile(
    r"__(?:module|dict|weakref|doc|annotations|abstractmethods|parameters|orig_bases|match_args|signature|static_attri"
    r"butes|firstlineno|class_vars|private_attributes|pydantic_\w+)__|_abc_impl|model_config|_member_\w+_"
)


class Look(NamedTuple):
    """What a thing is, and what it reaches. `once`: it has an identity, so that a second sight of it says nothing."""

    text: str
    parts: list[Any]
    once: bool = False


def look(thing: Any) -> Look:
    """Look at anything."""
    if isinstance(thing, _ATOMS) and type(thing).__module__ == "builtins":
        return Look(f"{type(thing).__name__} {thing!r}", [])
    if isinstance(thing, list | tuple | set | frozenset | deque | Mapping):
        return _container(thing)
    if isinstance(thing, CodeType):
        return Look(f"code {thing.co_code.hex()} {thing.co_names}", list(thing.co_consts))
    if get_origin(thing) is not None:
        return Look(f"type {_name(get_origin(thing))}", list(get_args(thing)))
    if isinstance(thing, ModuleType):
        return Look(f"module {thing.__name__}", [])
    return _wrapper(thing) or _definition(thing) or _instance(thing)


def _container(thing: Any) -> Look:
    name = _name(type(thing))
    if isinstance(thing, Mapping):
        return Look(name, [part for item in thing.items() for part in item], once=True)
    if isinstance(thing, set | frozenset):
        return Look(name, sorted(thing, key=_text), once=isinstance(thing, set))
    return Look(name, list(thing), once=not isinstance(thing, tuple))


def _wrapper(thing: Any) -> Look | None:
    """Look through what stands around a function."""
    if isinstance(thing, MethodType):
        return Look("method", [thing.__func__, thing.__self__])
    if isinstance(thing, staticmethod | classmethod):
        return Look(type(thing).__name__, [thing.__func__])
    if isinstance(thing, property):
        return Look("property", [thing.fget])
    if isinstance(thing, functools.cached_property):
        return Look("cached_property", [thing.func])
    if isinstance(thing, functools.partial):
        return Look("partial", [thing.func, thing.args, thing.keywords])
    if isinstance(thing, FieldInfo):
        return Look("field", [thing.annotation, thing.default, thing.default_factory, thing.alias, thing.metadata])
    registry = getattr(thing, "registry", None)
    wrapped = getattr(thing, "__wrapped__", None)
    if callable(wrapped) and not isinstance(thing, type):
        # functools.singledispatch keeps its cases in `registry`.
        cases = dict(registry) if isinstance(registry, Mapping) else {}
        own = [thing.__code__, *_reached(thing)] if isinstance(thing, FunctionType) and not _is_foreign(thing) else []
        return Look("wrapper", [wrapped, cases, *own], once=True)
    return None


def _definition(thing: Any) -> Look | None:
    """Look at a function or a class."""
    if isinstance(thing, FunctionType):
        if _is_foreign(thing):
            return Look(f"function {_name(thing)}", [])
        return Look("function", [thing.__code__, thing.__defaults__, thing.__kwdefaults__, *_reached(thing)], once=True)
    if isinstance(thing, type):
        if _is_foreign(thing):
            return Look(f"class {_name(thing)}", [])
        return Look(f"class {thing.__qualname__}", list(_class_parts(thing)), once=True)
    return None


def _instance(thing: Any) -> Look:
    cls = type(thing)
    if isinstance(thing, enum.Enum):
        return Look(f"member {thing.name}", [cls])
    if isinstance(thing, re.Pattern):
        return Look(f"pattern {thing.pattern!r} {thing.flags}", [])
    has_words = vars(object)["__repr__"] is not cls.__repr__
    if _is_foreign(cls) and has_words and not dataclasses.is_dataclass(cls):
        # `repr` of a date or a decimal is its value; of a function in C its name.
        return Look(f"{_name(cls)} {_text(thing)}", [])
    slots = [name for base in cls.__mro__ for name in _slots(base) if name not in ("__dict__", "__weakref__")]
    values = {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
    return Look(f"instance {_name(cls)}", [cls, {**values, **getattr(thing, "__dict__", {})}], once=True)


def _slots(cls: type) -> list[str]:
    slots = vars(cls).get("__slots__", ())
    return [slots] if isinstance(slots, str) else list(slots)


def _class_parts(cls: type) -> Iterator[Any]:
    yield from cls.__bases__
    if issubclass(cls, BaseModel):
        yield dict(cls.model_fields)
        yield dict(cls.model_config)
    yield from dict(getattr(cls, "__annotations__", {})).values()
    for name, member in vars(cls).items():
        if not _DERIVED.fullmatch(name):
            yield name
            yield member


def _reached(function: FunctionType) -> Iterator[Any]:
    """Yield the globals, the modules' members, the local imports and the closed-over values that a function names."""
    codes = list(_codes(function.__code__))
    names = sorted({name for code in codes for name in code.co_names})
    values = function.__globals__
    yield from _named(values, names)
    modules = [values[name] for name in names if isinstance(values.get(name), ModuleType)]
    for code in codes:
        modules += _imported(code, values.get("__package__"))
    yield from _members(modules, names)
    for cell in function.__closure__ or ():
        yield from _content(cell)


def _named(values: Mapping[str, Any], names: list[str]) -> Iterator[Any]:
    for name in names:
        if name in values:
            yield name
            yield values[name]


def _members(modules: list[ModuleType], names: list[str]) -> Iterator[Any]:
    """Yield what is named in modules, and in those that are named in them."""
    seen = set[str]()
    while modules:
        module = modules.pop()
        if module.__name__ not in seen and not _is_foreign(module):
            seen.add(module.__name__)
            yield module.__name__
            yield from _named(vars(module), names)
            modules += [each for name in names if isinstance(each := vars(module).get(name), ModuleType)]


def _content(cell: CellType) -> Iterator[Any]:
    try:
        yield cell.cell_contents
    except ValueError:  # not bound yet
        yield "empty"


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _imported(code: CodeType, package: Any) -> Iterator[ModuleType]:
    """Yield the modules that a function imports when it runs. They are imported now: it would do so itself."""
    instructions = list(dis.get_instructions(code))
    for number, each in enumerate(instructions):
        if each.opname == "IMPORT_NAME" and number >= 2:
            level = instructions[number - 2].argval
            name = "." * (level if isinstance(level, int) else 0) + str(each.argval)
            if name.partition(".")[0] in _FOREIGN:
                continue
            try:
                yield importlib.import_module(importlib.util.resolve_name(name, package))
            except ImportError:
                continue  # it would fail in the function too, or is guarded there


def _is_foreign(thing: Any) -> bool:
    module = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] in _FOREIGN | {"builtins"}


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', _text(thing))}"


def _text(thing: Any) -> str:
    return _ADDRESS.sub("", repr(thing))
