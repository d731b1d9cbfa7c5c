"""A fingerprint of an aggregate's folding, or a projection's: it changes when the same events could fold otherwise.

It covers `evolve` (or `project`), the initial state, the models of events and states (or rows), the upcasters with the
versions that they lead between, and everything of the application that these reach: functions through however many
calls, classes, and the values of constants. Whatever was stored under another fingerprint is rebuilt from the log.

Promises: equal in every process that runs the same code with the same interpreter; in doubt it changes (a rebuild
costs time, a stale state costs the truth). What it cannot see is code that is found by a computed name (`getattr`).
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pydantic

from schemas.codec import NO_EVOLUTION
from schemas.upcasting import Evolution
from streams.kernel.aggregate import Aggregate
from streams.kernel.projection import Projection
from streams.kernel.reaching import Look, look


def fingerprint(aggregate: Aggregate[Any, Any, Any], evolution: Evolution = NO_EVOLUTION) -> str:
    """Return the fingerprint as 64 hexadecimal digits."""
    roots = [aggregate.evolve, aggregate.initial, *aggregate.event_types]
    return _digest([*roots, *_evolution([aggregate.name], evolution)])


def projection_fingerprint(projection: Projection[Any, Any], evolution: Evolution = NO_EVOLUTION) -> str:
    """Return the fingerprint of a projection as 64 hexadecimal digits."""
    types = sorted(projection.event_types, key=lambda each: each.__name__)
    names = [each.name for each in projection.of]
    return _digest([projection.project, projection.key, projection.row, *types, *_evolution(names, evolution)])


def _evolution(aggregates: Iterable[str], evolution: Evolution) -> list[Any]:
    """Return what leads from these aggregates' past messages to today's."""
    own = tuple(f"{name}." for name in aggregates)
    upcasters = [each for each in evolution.upcasters if each.record.startswith(own) or each.target[0].startswith(own)]
    versions = {name: list(each) for name, each in evolution.history.versions.items() if name.startswith(own)}
    return [*upcasters, versions]


def _digest(roots: list[Any]) -> str:
    # What stands in Python's and pydantic's own modules does not change without a new version of theirs.
    digest = hashlib.sha256(f"{sys.version} {pydantic.VERSION}".encode())
    for text in _walk(roots):
        digest.update(text.encode(errors="surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()


class _Seen(NamedTuple):
    number: int
    thing: Any  # kept alive: an id is that of one object only while it lives


def _walk(roots: list[Any]) -> Iterator[str]:
    """Yield what each reached thing is, in the order in which they are reached; those with an identity once."""
    seen: dict[int, _Seen] = {}
    waiting = list(reversed(roots))
    while waiting:
        thing = waiting.pop()
        found: Look = look(thing)
        if found.once:
            if id(thing) in seen:
                yield f"see {seen[id(thing)].number}"
                continue
            seen[id(thing)] = _Seen(len(seen), thing)
        yield f"{found.text} {len(found.parts)}"
        waiting.extend(reversed(found.parts))
