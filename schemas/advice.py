"""Advice: what to use instead of a type that Avro cannot express.

Promises: a sentence that names the type and the way out.
"""

import collections.abc
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any, ForwardRef, get_origin

_SET = "Avro has no set: use tuple[X, ...]"
_SEQUENCE = "use tuple[X, ...] or list[X], with the items' type"
_MAPPING = "use dict[str, X], with the values' type"
_ADVICE: dict[Any, str] = {
    datetime: "a datetime without a time zone is ambiguous: use pydantic's AwareDatetime",
    Decimal: "a Decimal here needs Annotated[Decimal, Field(max_digits=…, decimal_places=…)], or use int cents",
    time: "Avro's times of day are not supported: use an int of seconds or a str",
    timedelta: "Avro has no length of time: use an int, with the unit in the field's name",
    complex: "Avro has no complex number: use two floats",
    object: "object can be anything: say the type",
    Any: "Any has no Avro type: say the type",
    None: "None alone says nothing: use X | None",
    type(None): "None alone says nothing: use X | None",
    set: _SET,
    frozenset: _SET,
    list: f"a list needs its items' type: {_SEQUENCE}",
    tuple: f"a tuple needs its items' type: {_SEQUENCE}",
    dict: f"a dict needs its values' type: {_MAPPING}",
    collections.abc.Sequence: _SEQUENCE,
    collections.abc.Iterable: _SEQUENCE,
    collections.abc.Mapping: _MAPPING,
}


def instead(annotation: Any) -> str:
    """Return what to use instead of the annotation."""
    if isinstance(annotation, ForwardRef):
        return f"{annotation.__forward_arg__} is not defined yet: define it above"
    try:
        known = _ADVICE.get(annotation) or _ADVICE.get(get_origin(annotation) or annotation)
    except TypeError:  # not hashable, so not in the table
        known = None
    return known or f"{annotation!r} has no Avro type: use one of the types that schemas/avro.py lists"
