"""Figures: how many commands, rejections and events of each type there were in each minute of the last hour.

A **figure** is one number: of one kind, one type and one minute. Commands are counted by their answers, with their
status, and rejections also by their problem. The minute is that of the record's time in the log. An answer that is
given again counts again, in the minute in which it is: it is work.

Promises: pure, the clock is handed in; counting is for batches, and the same records give the same figures.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple

from schemas.errors import DecodingError
from schemas.outcomes import Outcome, Status, problem_name
from schemas.wire import HEADER_BYTES

MINUTE_S = 60
MINUTE_MS = 60_000
KEPT_S = 3600
UNREADABLE = "(unreadable)"
_TIMESTAMP = attrgetter("timestamp")


class Kind(StrEnum):
    """What is counted."""

    COMMANDS = "commands"
    REJECTIONS = "rejections"
    EVENTS = "events"


class Counted(NamedTuple):
    """`type`: aggregate and record name (account.OpenAccount). `detail`: a command's status, a rejection's problem."""

    kind: str
    type: str
    detail: str = ""


Tally = Mapping[tuple[int, Counted], int]
"""Numbers by minute (its first second, since 1970) and what was counted."""


def tally_events(aggregate: str, name_of: Callable[[bytes], str], records: Sequence[Any]) -> Tally:
    """Count events; `name_of` says which record a message is by its first bytes."""
    tally: Counter[tuple[int, Counted]] = Counter()
    for minute, of_minute in _by_minute(records):
        for header, number in Counter([(record.value or b"")[:HEADER_BYTES] for record in of_minute]).items():
            tally[minute * MINUTE_S, Counted(Kind.EVENTS, f"{aggregate}.{name_of(header)}")] += number
    return tally


def _by_minute(records: Sequence[Any]) -> Iterable[tuple[int, Sequence[Any]]]:
    """Return the records by minute: nearly always one, which is seen without a look at each."""
    times = list(map(_TIMESTAMP, records))
    first, last = min(times, default=0) // MINUTE_MS, max(times, default=0) // MINUTE_MS
    if first == last:
        return [(first, records)]
    minutes: dict[int, list[Any]] = {}
    for time_ms, record in zip(times, records, strict=True):
        minutes.setdefault(time_ms // MINUTE_MS, []).append(record)
    return minutes.items()


def tally_answers(aggregate: str, decode: Callable[[bytes], Outcome], records: Iterable[Any]) -> Tally:
    """Count commands and rejections by their outcomes."""
    commands: Counter[tuple[int, str, str]] = Counter()
    rejections: Counter[tuple[int, str, str]] = Counter()
    for record in records:
        minute = record.timestamp // MINUTE_MS
        try:
            outcome = decode(record.value)
        except DecodingError:
            commands[minute, UNREADABLE, UNREADABLE] += 1
            continue
        command = outcome.command or UNREADABLE
        commands[minute, command, outcome.status] += 1
        if outcome.status == Status.REJECTED and outcome.problem is not None:
            rejections[minute, command, problem_name(outcome.problem)] += 1
    return {
        (minute * MINUTE_S, Counted(kind, f"{aggregate}.{command}", detail)): number
        for kind, numbers in ((Kind.COMMANDS, commands), (Kind.REJECTIONS, rejections))
        for (minute, command, detail), number in numbers.items()
    }


def recent(tally: Tally, now_s: float) -> Tally:
    """Return what is not too old to be kept."""
    oldest = now_s - KEPT_S
    return {key: number for key, number in tally.items() if key[0] + MINUTE_S > oldest}


def facts(tally: Tally) -> list[dict[str, Any]]:
    """Return the figures as JSON has them, in order of time."""
    return [
        {"minute": _text(minute), **what._asdict(), "count": number} for (minute, what), number in sorted(tally.items())
    ]


def merged(parts: Iterable[Sequence[Mapping[str, Any]]]) -> Tally:
    """Return the sum of what several workers own, of figures as JSON has them."""
    tally: Counter[tuple[int, Counted]] = Counter()
    for part in parts:
        for each in part:
            minute = int(datetime.fromisoformat(each["minute"]).timestamp())
            tally[minute, Counted(each["kind"], each["type"], each["detail"])] += each["count"]
    return tally


def _text(minute: int) -> str:
    return datetime.fromtimestamp(minute, UTC).isoformat()
