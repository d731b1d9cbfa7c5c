"""A small aggregate for tests of the kernel: a counter, with switches for everything that may go wrong in a decider."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypeAlias

from schemas.messages import AggregateId, Command, Event
from schemas.outcomes import Rejected
from streams.kernel.aggregate import Aggregate, State
from streams.kernel.application import Application

CounterId: TypeAlias = Annotated[str, AggregateId]
LIMIT = 100


class CounterProblem(StrEnum):
    TOO_MUCH = "too-much"


class Add(Command[int, CounterProblem]):
    counter_id: CounterId
    amount: int


class Split(Command[int, CounterProblem]):
    """Add one at a time: as many events as the amount says, none for zero."""

    counter_id: CounterId
    amount: int


class Added(Event):
    counter_id: CounterId
    amount: int


CounterCommand: TypeAlias = Add | Split


class Counter(State):
    total: int = 0


@dataclass
class Weather:
    """What the application's functions do at present: an impurity that stands for a new release of them."""

    decide_fails: bool = False
    evolve_fails: bool = False


def decide(counter: Counter, command: CounterCommand) -> Sequence[Added] | Rejected[CounterProblem]:
    if counter.total + command.amount > LIMIT:
        return Rejected(CounterProblem.TOO_MUCH, f"{LIMIT - counter.total} are left")
    if isinstance(command, Add):
        return [Added(counter_id=command.counter_id, amount=command.amount)]
    return [Added(counter_id=command.counter_id, amount=1)] * command.amount


def evolve(counter: Counter, event: Added) -> Counter:
    return counter.but(total=counter.total + event.amount)


def result(counter: Counter, _events: Sequence[Added]) -> int:
    return counter.total


def counter_under(weather: Weather) -> Aggregate[Counter, CounterCommand, Added]:
    """The counter, whose functions fail when the weather says so."""

    def decides(counter: Counter, command: CounterCommand) -> Sequence[Added] | Rejected[CounterProblem]:
        if weather.decide_fails:
            raise ZeroDivisionError("decide")
        return decide(counter, command)

    def evolves(counter: Counter, event: Added) -> Counter:
        if weather.evolve_fails:
            raise ZeroDivisionError("evolve")
        return evolve(counter, event)

    return Aggregate("counter", initial=Counter(), decide=decides, evolve=evolves, result=result)


def misfiled(elsewhere: str) -> Aggregate[Counter, CounterCommand, Added]:
    """A counter whose events are another one's."""

    def decides(_counter: Counter, command: CounterCommand) -> Sequence[Added] | Rejected[CounterProblem]:
        return [Added(counter_id=elsewhere, amount=command.amount)]

    return Aggregate("counter", initial=Counter(), decide=decides, evolve=evolve, result=result)


COUNTER = Aggregate("counter", initial=Counter(), decide=decide, evolve=evolve, result=result)
BROKEN_EVOLVE = counter_under(Weather(evolve_fails=True))
COUNTERS = Application("counters", aggregates=[COUNTER])
