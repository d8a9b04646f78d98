"""The demo's screen: progress, a live table of copiers, and the report at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from copypro.values import AccountId
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from copypro_standalone.auditing import Finding
from copypro_standalone.demo_world import Member
from copypro_standalone.tally import SlaveTally, Tally

TELLING = frozenset({"raw_lots", "lot_min", "failed", "side"})
"""Numbers that say most in little space."""
TITLE = "CopyPro · SIMULATED accounts, real trades"


class Screen:
    """Draws; knows nothing of how things come about. Shown on standard error if `quiet`."""

    def __init__(
        self, members: Mapping[AccountId, Member], trades: int, *, to_stderr: bool
    ) -> None:
        self.console = Console(stderr=to_stderr, record=True)
        self._members = members
        self._progress = Progress(
            TextColumn("master's trades"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        )
        self._task = self._progress.add_task("trades", total=trades)
        self._live = Live(
            console=self.console, refresh_per_second=5, transient=True, auto_refresh=False
        )

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    def update(self, tally: Tally) -> None:
        self._progress.update(self._task, completed=len(tally.opened))
        body = Group(self._progress, "", self._table(tally))
        self._live.update(Panel(body, title=TITLE, border_style="cyan"), refresh=True)

    def report(
        self, tally: Tally, finding: Finding, legs: Mapping[str, Mapping[str, float]]
    ) -> None:
        body = Group(self._table(tally), "", latency(legs), "", verdict(finding))
        self.console.print(
            Panel(body, title=TITLE, border_style="green" if finding.is_clean else "red")
        )

    def save(self, path: Path) -> None:
        self.console.save_svg(str(path), title="copypro demo", clear=False)

    def _table(self, tally: Tally) -> Table:
        table = Table(box=None, expand=True, padding=(0, 2, 0, 0))
        table.add_column("copier", no_wrap=True)
        for name in ("copied", "ended", "refused"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("last copy", justify="right", no_wrap=True)
        table.add_column("last refusal", ratio=1)
        for account, member in self._members.items():
            table.add_row(*_row(member, tally.slaves.get(account) or SlaveTally()))
        return table


def _row(member: Member, slave: SlaveTally) -> Sequence[str]:
    refused = sum(slave.refused.values())
    telling = sorted(slave.last_numbers.items(), key=lambda number: number[0] not in TELLING)
    numbers = " ".join(f"{name}={value}" for name, value in telling[:2])
    last = f"{slave.last_total_ms:.1f} ms" if slave.last_total_ms is not None else ""
    return (
        f"[bold]{member.name}[/]\n[dim]{member.note}[/]",
        f"[green]{slave.copied}[/]" if slave.copied else "0",
        str(slave.ended),
        f"[yellow]{refused}[/]" if refused else "0",
        last,
        f"[yellow]{slave.last_code}[/]\n[dim]{numbers}[/]" if slave.last_code else "",
    )


def latency(legs: Mapping[str, Mapping[str, float]]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("milliseconds", style="bold")
    for name in ("p50", "p95", "p99", "max"):
        table.add_column(name, justify="right")
    former = "seen"
    for name, figures in legs.items():
        label = "seen → recorded" if name == "total" else f"{former} → {name}"
        table.add_row(label, *(f"{figures[column]:.1f}" for column in ("p50", "p95", "p99", "max")))
        former = name
    return table


def verdict(finding: Finding) -> RenderableType:
    reasons = sum(finding.reasons.values())
    line = (
        f"{finding.trades} trades × {finding.pairs // max(1, finding.trades)} copiers ="
        f" {finding.pairs}: {finding.copies} copied exactly once, {reasons} refused with a reason"
    )
    if finding.is_clean:
        return f"[bold green]✓[/] {line}, none twice, none unexplained — by the brokers' own books"
    shown = "\n".join(f"  {problem}" for problem in finding.problems[:10])
    return f"[bold red]✗[/] {line}; {len(finding.problems)} problems:\n{shown}"
