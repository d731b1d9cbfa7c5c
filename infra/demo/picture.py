"""The demo's pictures: the best customers, sales by month, the four totals.

Promises: money is shown to the cent, from integers.
"""

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table

from infra.demo.cdnow import Totals

BAR_CHARS = 40


def dollars(cents: int) -> str:
    """Return an amount of cents as dollars."""
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${whole:,}.{rest:02}"


def best_customers(best: Sequence[tuple[str, int, int]]) -> RenderableType:
    """Return the best customers as a table."""
    table = _table("Ten best customers", "", "customer", "purchases", "total")
    for rank, (name, purchases, cents) in enumerate(best, 1):
        table.add_row(str(rank), name, f"{purchases:,}", dollars(cents))
    return table


def sales_by_month(cents_by_month: Mapping[str, int]) -> RenderableType:
    """Return sales by month as a bar chart."""
    table = _table("Sales by month", "", "month", "sales", "")
    table.columns[3].justify = "left"
    most = max(cents_by_month.values(), default=1) or 1
    for month, cents in cents_by_month.items():
        table.add_row("", month, dollars(cents), f"[cyan]{_bar(cents / most)}[/cyan]")
    return table


def totals(found: Totals, expected: Totals) -> RenderableType:
    """Return the totals beside what they must be."""
    table = _table("Totals", "", "", "projections", "file")
    for name, each, wanted in zip(Totals._fields, found, expected, strict=True):
        show = dollars if name == "cents" else "{:,}".format
        mark = "[green]✓[/green]" if each == wanted else "[red]✗[/red]"
        table.add_row(mark, "sales" if name == "cents" else name, show(each), show(wanted))
    return table


def _bar(share: float) -> str:
    eighths = round(share * BAR_CHARS * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _table(title: str, *headings: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), header_style="dim"
    )
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number >= 2 else "left")
    return table
