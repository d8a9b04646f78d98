"""`copypro explain`: reads a data folder while the program runs, and shows a ticket's story."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from copypro import topics, wiring
from copypro.envelope import decode
from copypro.errors import BadRecord, CopyProError
from copypro.values import Ticket
from rich.console import Console
from rich.table import Table
from rich.text import Text

from copypro_standalone import story
from copypro_standalone.story import Fact, Story

TOLD = (topics.ORDER_EVENTS, topics.COPIER_EVENTS, topics.SLAVE_ORDERS, topics.EXECUTIONS)


class NotFound(CopyProError):
    """No such account, or no such ticket."""


def facts(folder: Path) -> Iterator[Fact]:
    """Everything that was recorded of trades, in the order of the way. Errors: LogCorrupt.

    What this version cannot read is left out: it is on the log all the same.
    """
    reader = wiring.open_log_reader(folder)
    for topic in TOLD:
        for record in reader.records(topic.name):
            try:
                envelope = decode(record)
            except BadRecord:
                continue
            yield Fact(envelope, datetime.fromtimestamp(record.recorded_at, UTC))


def find(folder: Path, account: str, ticket: int) -> Story:
    """Errors: LogCorrupt, NotFound."""
    told = list(facts(folder))
    known = story.accounts(told)
    candidates = story.named(account, known)
    if not candidates:
        raise NotFound(f"no account is known by {account}: give a login or a registration's id")
    stories = [
        found
        for candidate in candidates
        if (found := story.tell(candidate, Ticket(ticket), known, told))
    ]
    if not stories:
        labels = ", ".join(candidate.label for candidate in candidates)
        raise NotFound(f"nobody here has seen ticket {ticket} on {labels}")
    if len(stories) > 1:
        ids = ", ".join(f"{c.id} ({c.label})" for c in candidates)
        raise NotFound(f"login {account} and ticket {ticket} are in several accounts: {ids}")
    return stories[0]


def explain(folder: Path, account: str, ticket: int, *, as_json: bool) -> int:
    found = find(folder, account, ticket)
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        show(found, Console())
    return 0


def show(told: Story, console: Console) -> None:
    console.print(
        f"[bold]Ticket {told.ticket}[/] on {told.account} ({told.role}), root {told.root}"
    )
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1)
    last: datetime | None = None
    for entry in told.entries:
        when = (
            entry.at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            if last is None
            else _since(last, entry.at)
        )
        last = last or entry.at
        what = Text.assemble((entry.who, "cyan"), "  " if entry.who else "", entry.what)
        if entry.numbers:
            numbers = ", ".join(f"{name} {value}" for name, value in entry.numbers.items())
            what.append(f"\n{numbers}", style="dim")
        if entry.remedy:
            what.append(f"\nwould pass with: {entry.remedy}", style="yellow")
        table.add_row(when, what)
    console.print(table)
    for copy in told.copies:
        line = f"\n[bold]{copy.slave}[/]: {copy.outcome}"
        if copy.tickets:
            line += f" as {', '.join(f'#{ticket}' for ticket in copy.tickets)}"
        console.print(line, highlight=False)
        if copy.legs_ms:
            legs = ", ".join(f"{name} {ms:.1f} ms" for name, ms in copy.legs_ms.items())
            console.print(f"  from seen to {legs}", style="dim")


def _since(first: datetime, moment: datetime) -> str:
    return f"+{(moment - first).total_seconds():.3f} s"
