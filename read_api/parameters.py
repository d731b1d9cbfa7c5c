"""Parameters that several routes take: keys, and how fresh an answer has to be.

Promises: whatever text arrives, it becomes a value that the database can compare with, or a problem of status 422.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, StringConstraints

from schemas.errors import InvalidPosition
from schemas.position import Position
from streams.event_store.moment import Moment, parse_moment_or_version
from streams.event_store.rows import check_moment
from streams.kernel.application import AnyProjection, Application

KEY_CHARS_MAX = 1_024
POSITION_CHARS_MAX = 32_768
WAIT_MS_DEFAULT = 5_000
WAIT_MS_MAX = 30_000
LONG_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Freshness:
    """`after`: the position that the answer must show at least. None: whatever there is."""

    after: Position | None
    timeout_s: float


def key_type(projection: AnyProjection) -> Any:
    """Return the type of a projection's keys, bounded to what can be a key at all."""
    annotation = projection.row.model_fields[projection.key_field].annotation
    if annotation is str:
        return Annotated[str, StringConstraints(max_length=KEY_CHARS_MAX), AfterValidator(_storable)]
    if annotation is int:
        return Annotated[int, AfterValidator(_within_64_bits)]
    return annotation


def freshness_of(application: Application) -> Callable[..., Freshness]:
    """Return the dependency that reads `after` and `timeout_ms`."""
    events = {application.topics(aggregate).events for aggregate in application.aggregates}

    def freshness(
        after: Annotated[
            str | None,
            Query(
                max_length=POSITION_CHARS_MAX,
                description="read your writes: a position, as an accepted command answers it, that must be shown",
            ),
        ] = None,
        timeout_ms: Annotated[
            int, Query(ge=0, le=WAIT_MS_MAX, description="how long to wait for `after` before the answer is 412")
        ] = WAIT_MS_DEFAULT,
    ) -> Freshness:
        return Freshness(None if after is None else _position(after, events), timeout_ms / 1000)

    return freshness


def moment_of(application: Application, projection: AnyProjection) -> Callable[..., Moment | None]:
    """Return the dependency that reads `as_of` for a projection's rows."""
    events = {application.topics(aggregate).events for aggregate in application.aggregates}

    def moment(
        as_of: Annotated[
            str | None,
            Query(
                max_length=POSITION_CHARS_MAX,
                description="the row as it was: at a position, a time (ISO 8601) or a version of its aggregate",
                include_in_schema=projection.on_aggregate_key,
            ),
        ] = None,
    ) -> Moment | None:
        if as_of is None:
            return None
        if not projection.on_aggregate_key:
            raise invalid(
                "query.as_of",
                f"the events of a row of {projection.name} may lie anywhere in the log: ask on the command line, "
                f"`kafold projections row {projection.name} KEY --as-of …`",
            )
        try:
            then = parse_moment_or_version(as_of)
            check_moment(projection, then)
        except InvalidPosition as error:
            raise invalid("query.as_of", str(error)) from None
        if then.position is not None:
            _check_topics("query.as_of", then.position, events)
        return then

    return moment


def only(known: Sequence[str]) -> Any:
    """Return a dependency that refuses parameters that nobody reads: a slip of the pen would change nothing."""

    async def refuse_unknown(request: Request) -> None:
        unknown = sorted(set(request.query_params) - set(known))
        if unknown:
            raise invalid(f"query.{unknown[0]}", f"there is no such parameter; there are: {', '.join(known)}")

    checked: Callable[[Request], Awaitable[None]] = refuse_unknown
    return Depends(checked)


def invalid(where: str, reason: str) -> RequestValidationError:
    """Return the error for a parameter whose value cannot be understood."""
    return RequestValidationError([{"loc": where.split("."), "msg": reason}])


def _position(text: str, events: set[str]) -> Position:
    try:
        position = Position.parse(text)
    except InvalidPosition as error:
        raise invalid("query.after", str(error)) from None
    _check_topics("query.after", position, events)
    return position


def _check_topics(where: str, position: Position, events: set[str]) -> None:
    for topic, _ in position.offsets:
        if topic not in events:
            raise invalid(where, f"{topic} is no events topic here; there are: {', '.join(sorted(events))}")


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a text with a NUL character cannot be a key")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("it is not valid Unicode")
    return text


def _within_64_bits(number: int) -> int:
    if not -LONG_MAX <= number <= LONG_MAX:
        raise ValueError("it is beyond 64 bits")
    return number
