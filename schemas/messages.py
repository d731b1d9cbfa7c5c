"""Messages: the commands, events and queries that an application publishes.

A **command** asks one aggregate for something; `Command[R, E]` says what an accepted one answers (`R`) and why it may
be refused (`E`). An **event** is a fact that an aggregate decided. A **query** asks a read model; `Query[R]` says the
answer.

Promises: a message is immutable, its Avro schema is derived when its class is made (a field that Avro cannot express is
refused there), and exactly one field of a command or event, annotated `AggregateId`, is the aggregate's id and Kafka
key.
"""

from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeVar

from schemas.avro import record_shape
from schemas.errors import DefinitionError
from schemas.metadata import METADATA_FIELD
from schemas.shape import RecordShape
from schemas.values import Value

PLATFORM = "kafold"  # the Avro namespace of the platform's own records

R_co = TypeVar("R_co", covariant=True)
E_co = TypeVar("E_co", covariant=True)


class AggregateId:
    """Marks the field that is the aggregate's id: `AccountId = Annotated[str, AggregateId]`."""


class Message(Value):
    """What travels on a topic. Do not subclass it directly: use Command or Event."""

    avro_namespace: ClassVar[str | None] = None
    """The namespace of the platform's own messages; None, for every application's: its aggregate's."""

    aggregate_id_field: ClassVar[str]
    shape: ClassVar[RecordShape]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Derive the Avro shape, and find the aggregate's id, as soon as the class exists."""
        super().__pydantic_init_subclass__(**kwargs)
        if cls.__module__ == __name__ or cls.__pydantic_generic_metadata__["origin"] is not None:
            return
        cls.aggregate_id_field = _aggregate_id_field(cls)
        if cls.aggregate_id_field != "aggregate_id":
            # The same in C: half of the time, for what is asked three times a command.
            type.__setattr__(cls, "aggregate_id", property(attrgetter(cls.aggregate_id_field)))
        cls.shape = record_shape(cls)

    @property
    def aggregate_id(self) -> str:
        """The id of the aggregate that this message is for, which is its Kafka key."""
        found: str = self.__dict__[self.aggregate_id_field]
        return found


class Event(Message):
    """A fact that an aggregate decided."""


class Command(Message, Generic[R_co, E_co]):
    """A request to one aggregate. `R`: what it answers when accepted; `E`: the problems it may be rejected with."""

    @classmethod
    def answer_types(cls) -> tuple[Any, Any]:
        """Return (R, E) as they were written in `class X(Command[R, E])`."""
        result, problem = _arguments(cls, Command)
        return result, problem


class Query(Value, Generic[R_co]):
    """A question to a read model. `R`: what it answers."""

    @classmethod
    def answer_type(cls) -> Any:
        """Return R as it was written in `class X(Query[R])`."""
        return _arguments(cls, Query)[0]


def _aggregate_id_field(cls: type[Message]) -> str:
    if METADATA_FIELD in cls.model_fields:
        raise DefinitionError(
            f"{cls.__name__}.{METADATA_FIELD}: the platform has a field of this name: use another one"
        )
    marked = [name for name, field in cls.model_fields.items() if AggregateId in field.metadata]
    if len(marked) != 1:
        raise DefinitionError(
            f"{cls.__name__} must have exactly one field of the type Annotated[str, AggregateId], it has {len(marked)}"
        )
    return marked[0]


def _arguments(cls: type[Any], origin: type[Any]) -> tuple[Any, ...]:
    for base in cls.__mro__:
        generic = base.__dict__.get("__pydantic_generic_metadata__")
        if generic and generic["origin"] is origin:
            return tuple(generic["args"])
    raise DefinitionError(f"{cls.__name__} must say its types: class {cls.__name__}({origin.__name__}[...])")
