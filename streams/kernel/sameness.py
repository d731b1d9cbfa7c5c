"""Sameness: whether two values are the same down to their types, so that no fold could tell them apart.

`==` is less than that: 1 == True, 0.0 == -0.0, a set equals a frozenset, a Counter equals a dict.

Promises: True only for what is known to be the same; of a type that it does not know, it says False.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import TzInfo

# Of these, two that are equal are the same.
_PLAIN = frozenset({str, int, bool, bytes, NoneType, date, timedelta, UUID})


def same(one: Any, other: Any) -> bool:
    """Return whether two values are the same."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in _PLAIN:
        return bool(one == other)
    compare = _COMPARE.get(kind)
    if compare is not None:
        return compare(one, other)
    if isinstance(one, BaseModel):
        return _same_models(one, other)
    return isinstance(one, Enum) and one is other


def _same_items(one: Any, other: Any) -> bool:
    kinds = list(map(type, one))
    if kinds != list(map(type, other)):
        return False
    # Nearly always; four times as fast.
    return bool(one == other) if _PLAIN.issuperset(kinds) else all(map(same, one, other))


def _same_entries(one: Any, other: Any) -> bool:
    """Compare dictionaries: a fold may see their order."""
    return _same_items(list(one), list(other)) and _same_items(list(one.values()), list(other.values()))


def _same_members(one: Any, other: Any) -> bool:
    return bool(one == other) and all(map(same, sorted(one, key=repr), sorted(other, key=repr)))


def _same_words(one: Any, other: Any) -> bool:
    """Compare numbers that may be equal and not the same: signed zeros, decimals with trailing zeros."""
    return repr(one) == repr(other)


def _same_times(one: Any, other: Any) -> bool:
    """Compare times of day, with or without a date. A zone with rules is not the same as an offset."""
    offsets = one.utcoffset(), other.utcoffset()
    fixed = _is_fixed(one.tzinfo) and _is_fixed(other.tzinfo)
    return fixed and offsets[0] == offsets[1] and one.fold == other.fold and bool(one == other)


def _is_fixed(zone: tzinfo | None) -> bool:
    return zone is None or isinstance(zone, timezone | TzInfo)


def _same_models(one: BaseModel, other: BaseModel) -> bool:
    if one.__pydantic_private__ or other.__pydantic_private__ or one.__pydantic_extra__ or other.__pydantic_extra__:
        return False
    names = type(one).model_fields
    return _same_items([one.__dict__[name] for name in names], [other.__dict__[name] for name in names])


_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    tuple: _same_items,
    list: _same_items,
    dict: _same_entries,
    set: _same_members,
    frozenset: _same_members,
    float: _same_words,
    Decimal: _same_words,
    datetime: _same_times,
    time: _same_times,
}
