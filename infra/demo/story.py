"""The demo's story: load, wait, ask, show, check, and say how to go on.

Promises: it is right when the four totals of the file are the projections', to the cent.
"""

import shutil
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from infra.demo import cdnow, picture
from infra.demo.asking import Figures, ReadApi
from infra.demo.loading import Loaded, load
from infra.running import Running
from schemas.errors import KafoldError
from streams.kernel.application import AnyProjection, Application

RESTARTS_MAX = 4


class KeepsEnding(KafoldError):
    """A part of the group ends again and again."""


@dataclass(frozen=True)
class Story:
    """The demo on an application that runs. What it finds goes to `out`, its progress to `err`."""

    application: Application
    everything: Running
    out: Console
    err: Console

    def tell(self) -> bool:
        """Do the demo; return whether the totals are right."""
        with ReadApi(self.everything.api_url) as api:
            with self._progress() as progress:
                loaded = self._load(progress)
                lags = {
                    each.name: self._await(progress, api, each, loaded) for each in self.application.newest_projections
                }
            figures = api.figures()
        self._show(figures)
        self._speed(loaded, lags)
        right = figures.totals == cdnow.CDNOW_TOTALS
        self._verdict(right)
        self._how_to_go_on()
        return right

    def _load(self, progress: Progress) -> Loaded:
        identified = list(cdnow.commands(cdnow.packaged()))
        sent = progress.add_task("commands sent", total=len(identified))
        decided = progress.add_task("commands decided", total=len(identified))
        return load(
            self.application,
            self.everything.kafka,
            self.everything.ids,
            identified,
            lambda count: progress.advance(sent, count),
            lambda count: progress.advance(decided, count),
        )

    def _await(self, progress: Progress, api: ReadApi, projection: AnyProjection, loaded: Loaded) -> float:
        goal = loaded.position.only({self.application.topics(each).events for each in projection.of})
        total = sum(goal.offsets.values())
        task = progress.add_task(f"{projection.name} folded", total=total)

        def show(behind: int) -> None:
            progress.update(task, completed=total - behind)
            self._check_parts()

        waited_s = api.await_position(projection.name, goal, show)
        progress.update(task, completed=total)
        return waited_s

    def _check_parts(self) -> None:
        for part in self.everything.group.status():
            if part.restarts >= RESTARTS_MAX:
                raise KeepsEnding(
                    f"{part.name} keeps ending (exit code {part.exit_code}): its log {part.log} says why."
                )

    def _progress(self) -> AbstractContextManager[Progress]:
        return Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.err,
        )

    def _show(self, figures: Figures) -> None:
        for part in (
            picture.best_customers(figures.best),
            picture.sales_by_month(figures.cents_by_month),
            picture.totals(figures.totals, cdnow.CDNOW_TOTALS),
        ):
            self.out.print()
            self.out.print(part)

    def _speed(self, loaded: Loaded, lags: dict[str, float]) -> None:
        rate = loaded.commands / loaded.seconds
        ended = ", ".join(f"{count:,} {status}" for status, count in sorted(loaded.statuses.items()))
        self.out.print(
            f"\n{loaded.commands:,} commands in {loaded.seconds:.1f} s: [bold]{rate:,.0f} commands/s[/bold] ({ended})."
        )
        if loaded.repeated:
            self.out.print(f"{loaded.repeated:,} of them had been answered before: sent again, they changed nothing.")
        self.out.print(f"Projections had folded the last event {sum(lags.values()):.2f} s after that.")

    def _verdict(self, right: bool) -> None:
        if right:
            self.out.print("[green]The four totals are exact, to the cent.[/green]")
        else:
            self.out.print(
                "[red]The totals are off.[/red] If you sent commands of your own to this shop, that is why: "
                "KAFOLD_HOME=/tmp/another kafold demo begins anew."
            )

    def _how_to_go_on(self) -> None:
        self.out.print(
            "\n[bold]Go on[/bold]\n"
            f"  {_kafold()} up                [dim]runs it all again, on the same data; then:[/dim]\n"
            f"  {self.everything.api_url}/docs         [dim]the read API[/dim]\n"
            f"  {self.everything.psql}\n"
            "                                      [dim]SQL; begin with: TABLE shop.customer_summary LIMIT 5;[/dim]\n"
        )


def _kafold() -> str:
    """How to call kafold from here."""
    if shutil.which("kafold"):
        return "kafold"
    script = Path(sys.executable).with_name("kafold")
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)
