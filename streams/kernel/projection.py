"""A projection: a named, versioned fold of events into rows by key.

`project(row, event, meta)` returns the row after the event, or None to delete it. A row that does not exist yet is
given as the row model's defaults with its key filled in. The key is the aggregate's id, unless `key` says otherwise.

Promises: which aggregates feed a projection is read off `project`'s annotation; `on_aggregate_key` says whether each
row has one source partition and so one owner, or is shared by several and must be locked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, cast, get_type_hints

from pydantic_core import PydanticUndefined

from schemas.errors import DefinitionError
from schemas.messages import Event
from schemas.metadata import EventMetadata
from schemas.rows import Row as Row
from schemas.values import construct
from streams.kernel.aggregate import Aggregate, flatten

Ev = TypeVar("Ev", bound=Event)
RowT = TypeVar("RowT", bound=Row)


class Kept(Protocol):
    """What has a table of its own with one row a key: a projection, or a process manager with its states."""

    @property
    def name(self) -> str:
        """The name of its view."""
        ...

    @property
    def version(self) -> int:
        """The version of its table."""
        ...

    @property
    def row(self) -> type[Any]:
        """The row model."""
        ...

    def new_row(self, key: Any) -> Any:
        """Return the row of a key before its first event."""
        ...


@dataclass(frozen=True)
class Projection(Generic[RowT, Ev]):
    """`of`: the aggregates whose events it folds. `key`: event → row key (default: the aggregate's id)."""

    name: str
    version: int
    row: type[RowT]
    of: Sequence[Aggregate[Any, Any, Any]]
    project: Callable[[RowT, Ev, EventMetadata], RowT | None]
    key: Callable[[Ev], Any] | None = None
    event_types: frozenset[type[Event]] = field(init=False)
    _make: Callable[[Any], RowT] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the event types off `project`, and check the row model and the sources."""
        check_name("projection", self.name, self.version)
        hints = list(get_type_hints(self.project).values())
        events = frozenset(flatten(hints[1]))
        unsourced = events - {each for aggregate in self.of for each in aggregate.event_types}
        if unsourced:
            names = ", ".join(sorted(each.__name__ for each in unsourced))
            raise DefinitionError(f"projection {self.name} folds {names}, which none of its aggregates has")
        object.__setattr__(self, "event_types", events)
        check_row(f"projection {self.name}", self.row)
        object.__setattr__(self, "_make", row_maker(self.row))

    @property
    def on_aggregate_key(self) -> bool:
        """Whether its rows are keyed by their aggregate, so that each has one source partition and one owner."""
        return self.key is None

    @property
    def folds_apart(self) -> bool:
        """Whether its partitions may be folded apart from each other, by processes that do not know of each other."""
        return self.on_aggregate_key

    @cached_property
    def key_field(self) -> str:
        """The name of the row's key field."""
        return next(iter(self.row.model_fields))

    def key_of(self, event: Ev) -> Any:
        """Return the key of the row that the event acts on."""
        return event.aggregate_id if self.key is None else self.key(event)

    def new_row(self, key: Any) -> RowT:
        """Return the row before its first event."""
        return self._make(key)


def row_maker(row: type[RowT]) -> Callable[[Any], RowT]:
    """Return the quickest function from a key to its row before the first event.

    It shares the defaults among rows, unless pydantic has to make some anew for each.
    """
    (key_field, _), *fields = row.model_fields.items()
    shared = {name: field.default for name, field in fields if field.default_factory is None}
    if len(shared) < len(fields) or any(type(each).__hash__ is None for each in shared.values()):
        return lambda key: row(**{key_field: key})
    return lambda key: cast("RowT", construct(row, {key_field: key, **shared}))


def check_name(kind: str, name: str, version: int) -> None:
    """Check what is to be the name and version of a table."""
    if version < 1 or not name.isidentifier() or not name.islower():
        raise DefinitionError(f"{kind} {name!r} v{version}: a lower-case name and a version from 1")


def check_row(what: str, row: type[Row]) -> None:
    """Check that a row model has a key, and a default for everything else."""
    fields = row.model_fields
    if not fields:
        raise DefinitionError(f"{what}: {row.__name__} has no fields; the first one is the key")
    without = [
        field_name
        for field_name, field in list(fields.items())[1:]
        if field.default is PydanticUndefined and field.default_factory is None
    ]
    if without:
        raise DefinitionError(f"{what}: {row.__name__}.{without[0]} needs a default, for a row before its first event")
