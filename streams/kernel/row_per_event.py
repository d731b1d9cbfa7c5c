"""A row per event: a projection that keeps each event of one type as a row, in the fields that both have.

It is what an analyst asks for first, the purchases as a table, and needs no `project`. Since nothing is folded, a
replay decodes rows straight from the events' bytes, and its processes share the partitions, whatever the key.

Promises: a row is what a `project` written by hand would have made of its event; a field that the event does not have,
or not of that type, is refused when the projection is defined. Of two events with one key in one partition the later
one stays.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Optional

from schemas.errors import DefinitionError
from schemas.messages import Event
from schemas.metadata import EventMetadata
from schemas.rows import Row
from schemas.values import pick
from streams.kernel.projection import Ev, Projection, RowT


@dataclass(frozen=True)
class RowPerEvent(Projection[RowT, Ev]):
    """`event`: the type. The row's first field, its key, is one of the event's too.

    Raises:
        DefinitionError: the row has a field that is none of the event's.
    """

    project: Callable[[RowT, Ev, EventMetadata], RowT | None] = field(init=False)
    key: Callable[[Ev], Any] | None = field(init=False)
    event: type[Ev] = field(kw_only=True)

    def __post_init__(self) -> None:
        """Make `project` and `key`."""
        _check_fields(f"projection {self.name}", self.row, self.event)
        object.__setattr__(self, "project", _picking(self.row, self.event))
        key = next(iter(self.row.model_fields), "")
        object.__setattr__(self, "key", None if key == self.event.aggregate_id_field else _getting(key))
        super().__post_init__()

    @property
    def folds_apart(self) -> bool:
        """Whether its partitions may be folded apart from each other."""
        return True


def _check_fields(what: str, row: type[Row], event: type[Event]) -> None:
    for name, each in row.model_fields.items():
        if name not in event.model_fields:
            raise DefinitionError(
                f"{what}: {row.__name__}.{name} is no field of {event.__name__}, which has "
                f"{', '.join(event.model_fields)}: name it so, or write a Projection with a project of its own"
            )
        theirs = event.model_fields[name].annotation
        if each.annotation not in (theirs, Optional[theirs]):  # noqa: UP045 - mypy cannot read a variable in `X | None`
            raise DefinitionError(
                f"{what}: {row.__name__}.{name} is declared as {each.annotation}, and in {event.__name__} as {theirs}: "
                "declare it so, or write a Projection with a project of its own"
            )


def _picking(row: type[Any], kind: type[Any]) -> Callable[[Any, Any, EventMetadata], Any]:
    def project(before: Any, event: Any, meta: EventMetadata) -> Any:  # noqa: ARG001 - the shape of any `project`
        return pick(row, event)

    project.__annotations__ = {"before": row, "event": kind, "meta": EventMetadata, "return": row}
    return project


def _getting(name: str) -> Callable[[Any], Any]:
    return lambda event: event.__dict__[name]
