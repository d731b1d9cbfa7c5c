"""The bulk runner: a source of events up to a position, a fold, and a sink for its rows.

It reads in **passes**: each goes through its partitions up to where they ended when it began. Passes follow until one
was short, and what was written meanwhile is a moment's work for whoever goes on from there.

Promises: what the sink was given last is one position with its rows, whenever the runner is stopped or killed; the sink
is served at least every `SAVE_S`, and with every twenty-fourth part of the work; what a kill repeats is at most two
such parts (one that is being saved, one that was folded meanwhile) and a batch; no more rows stay in memory than it was
told and one batch touches, and what has to go is saved first.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import Any, NamedTuple, Protocol

from schemas.position import Place
from streams.garbage import collected_by_hand
from streams.kernel.bulk import BulkFold, Refusal
from streams.kernel.folding import Problem
from streams.replay.errors import Unfoldable
from streams.replay.source import BulkSource

SAVE_S = 3.0
SAVES = 24
SHORT_PASS_RECORDS = 5_000
ROWS_MAX = 2_000_000  # a row takes about 1 kB


class Share(NamedTuple):
    """What changed since the last save. `added`: keys of rows that are believed to be new; `problems`: what to park."""

    rows: Mapping[Any, Any]
    added: set[Any]
    positions: Mapping[Place, int]
    problems: Sequence[tuple[Place, Problem]]


class Sink(Protocol):
    """Where rows go. Called from one thread at a time; `save` from another one than `load`."""

    def load(self, keys: Iterable[Any]) -> Mapping[Any, Any]:
        """Return the rows that there are of these keys."""

    def wants_all(self) -> bool:
        """Return whether the next save should be given all rows, for the sink to put itself in order."""

    def save(self, share: Share, rows: Mapping[Any, Any] | None) -> None:
        """Keep the rows with their positions, all or nothing. `rows`: all in memory, when they are given up."""


class Progress(NamedTuple):
    """How far a run is, in offsets."""

    done: int
    total: int
    positions: Mapping[Place, int]


@dataclass
class Limits:
    """`rows_max`: rows in memory."""

    rows_max: int = ROWS_MAX
    save_s: float = SAVE_S
    saves: int = SAVES


OnRefusal = Callable[[Place, Refusal], None]
OnProgress = Callable[[Progress], None]


def refuse(place: Place, refusal: Refusal, advice: str) -> None:
    """Stop at the first event that cannot be folded. `advice`: what to do then.

    Raises:
        Unfoldable: always.
    """
    problem, row = refusal
    key = problem.envelope.key.decode(errors="replace")
    what = "" if problem.envelope.event is None else f"{problem.envelope.event!r} "
    met = "" if problem.by_message else f" It met the row {row!r}." if row is not None else " It met no row."
    raise Unfoldable(
        f"{place[0]}[{place[1]}] offset {problem.envelope.offset} (key {key}): "
        f"{what}cannot be folded: {type(problem.error).__name__}: {problem.error}.{met} {advice}"
    )


@dataclass
class Runner:
    """One run over some partitions. `positions`: where it is; `complete`: whether all rows there are are in memory."""

    source: BulkSource
    fold: BulkFold
    sink: Sink
    positions: dict[Place, int]
    complete: bool
    park: bool = False
    limits: Limits = field(default_factory=Limits)
    on_progress: OnProgress = lambda _progress: None
    stopped: Callable[[], bool] = lambda: False
    advice: str = "Mend the code and begin anew with --restart, or go on with --park"

    def __post_init__(self) -> None:
        """Begin with nothing to save."""
        self._problems: list[tuple[Place, Problem]] = []
        self._saving: Future[None] | None = None
        self._saved_at = time.monotonic()
        self._since_save = 0
        self._done = 0
        self._total = 0

    def run(self, until: Mapping[Place, int] | None = None) -> bool:
        """Fold up to a position, or up to the log's end; return False if it was stopped before. Rows are saved then.

        Raises:
            Unfoldable: an event cannot be folded, and nothing is parked. What came before it is saved.
            Unwritable: the sink does not take a row. What came before the last save is kept.
        """
        # Rows have no cycles, and the collector would look through all of them again and again.
        with ThreadPoolExecutor(1, thread_name_prefix="save") as thread, collected_by_hand() as garbage:
            self._thread, self._garbage = thread, garbage
            try:
                ended = self._passes(until)
            except Unfoldable:
                self._finish()
                raise
            self._finish()
            return ended

    def _passes(self, until: Mapping[Place, int] | None) -> bool:
        while True:
            ends = until or {place: end for place, (_, end) in self.source.bounds(self.positions).items()}
            length = sum(max(0, end - self.positions[place]) for place, end in ends.items())
            self._total = self._done + length
            work = [(place, self.positions[place], end) for place, end in ends.items() if self.positions[place] < end]
            for (place, _, end), following in zip_longest(work, work[1:]):
                if not self._through(place, end, following):
                    return False
            if until is not None or length <= SHORT_PASS_RECORDS:
                return True

    def _through(self, place: Place, end: int, following: tuple[Place, int, int] | None) -> bool:
        """Fold one partition up to an offset, while the beginning of the `following` one is fetched."""
        for records in self.source.batches(place, self.positions[place], end, following and following[:2]):
            self._batch(place, records)
            self._garbage.maybe_collect(idle=False)
            self.on_progress(Progress(self._done, self._total, self.positions))
            if self.stopped():
                return False
            if self._save_is_due():
                self._save()
        return True

    def _batch(self, place: Place, records: Sequence[Any]) -> None:
        refused = partial(self._refused, place)
        if self.complete or not self.fold.needs_rows:
            self.fold.take(place[0], records, refused)
        else:
            steps = self.fold.decode(place[0], records)
            missing = self.fold.missing(steps)
            found = self.sink.load(missing) if missing else {}
            self.fold.rows.update({key: found.get(key) for key in missing})
            self.fold.fold(steps, refused)
        self._reached(place, records[-1].offset() + 1)

    def _refused(self, place: Place, refusal: Refusal) -> None:
        if not self.park:
            self._reached(place, refusal.problem.envelope.offset)
            refuse(place, refusal, self.advice)
        self._problems.append((place, refusal.problem))

    def _reached(self, place: Place, offset: int) -> None:
        done = offset - self.positions[place]
        self.positions[place] = offset
        self._done += done
        self._since_save += done

    def _save_is_due(self) -> bool:
        share = self._since_save >= max(1, self._total // self.limits.saves)
        if share or len(self.fold.rows) > self.limits.rows_max:
            return True  # also during a save: to wait for it is what bounds the work that a kill repeats, and memory
        saving = self._saving is not None and not self._saving.done()
        return not saving and time.monotonic() - self._saved_at >= self.limits.save_s

    def _save(self) -> None:
        """Hand the changed rows to the sink, and go on meanwhile; rows that are too many go out of memory."""
        self._await_save()
        share, full = self._share(), len(self.fold.rows) > self.limits.rows_max
        # Before rows are forgotten they have to be where they can be loaded from.
        rows = dict(self.fold.rows) if full or self.sink.wants_all() else None
        self._saving = self._thread.submit(self.sink.save, share, rows)
        self._saved_at, self._since_save = time.monotonic(), 0
        if full:
            self._await_save()
            self.complete = False
            self.fold.forget(self.limits.rows_max // 2, share.rows)

    def _finish(self) -> None:
        self._await_save()
        self.sink.save(self._share(), self.fold.rows)

    def _share(self) -> Share:
        problems, self._problems = self._problems, []
        rows, added = self.fold.take_changed()
        return Share(rows, added, dict(self.positions), problems)

    def _await_save(self) -> None:
        if self._saving is not None:
            self._saving.result()
            self._saving = None
