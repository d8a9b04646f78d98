"""The demo: simulated bridges, the whole ring, real trades, and a check of the brokers' own books.

Everything goes the way a stranger's would: REST calls to the gateway, trades by the master's hand
at a simulated broker in a process of its own. At the end the brokers' books, not our records, say
whether every trade has its one copy, and our records must say why for every one that has none.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import re
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from copypro.errors import CopyProError, SettingsError
from copypro.values import AccountId, Platform, RootId, account_id, copy_id, leg_tag
from mt_simulator.client import Refused, SimulatorControl
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from copypro_standalone import demo_world as world
from copypro_standalone.demo_rings import Rings, Target
from copypro_standalone.operating import refusal
from copypro_standalone.replay import Event, Trade, events, read_trades
from copypro_standalone.story import STEPS, between

TRADES = Path(__file__).parents[3] / "examples" / "trades.csv"
SETTLE_WITHIN_S = 30.0
TICK_AHEAD_S = 0.03
REASONS_FROM_COLUMNS = 110
"""A narrower terminal has no room for them; the line below the table counts them all."""


class Demo:
    connect_within_s = 20.0

    def __init__(self, console: Console, *, trades: Path, speed: float) -> None:
        self.console, self.speed = console, speed
        self.trades = read_trades(trades)
        self.tickets: dict[int, int] = {}
        self.copiers: dict[str, world.Slave] = {}
        self.rows: list[dict[str, Any]] = []
        self.refused: list[Trade] = []
        self.first_copy_s: float | None = None
        self.key = ""
        self.accounts: dict[str, str] = {}
        self._started = time.monotonic()

    async def run(self, control: SimulatorControl, url: str) -> dict[str, Any]:
        """On whatever ring answers at `url` and copies between the brokers of `control`."""
        self.control = control
        async with aiohttp.ClientSession(base_url=url) as self.http:
            await world.build(control, self.trades)
            await self._sign_up()
            await self._replay()
            return await self._check()

    # --- REST ---------------------------------------------------------------------------------

    async def _call(self, call: str, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        async with self.http.post(f"/{call}", json=body, headers=headers) as response:
            answer = await response.json()
            refused = refusal(response.status, answer)
            if refused is not None and refused.get("code") == "EMAIL_TAKEN":
                raise SettingsError(
                    "this installation has had its demo, and a simulated world is new only once:"
                    " `make down-distributed up-distributed` gives another"
                )
            if response.status != 200:
                raise RuntimeError(f"{call}: {answer}")
            return answer

    async def _sign_up(self) -> None:
        hashed = hashlib.sha256(b"demo").hexdigest()
        answer = await self._call("SignUp", email="demo@example.com", passwordHash=hashed)
        self.key = answer["userKey"]
        master = await self._add("MT4", world.MASTER_SERVER, 1001, "master")
        added = [await self._add(s.platform, s.server, s.login, s.name) for s in world.SLAVES]
        await self._connected()
        for slave, id_ in zip(world.SLAVES, added, strict=True):
            started = await self._call(
                "Start", masterAccountId=master, slaveAccountId=id_, **slave.options
            )
            self.copiers[started["copierId"]] = slave
        self.accounts["master"] = master

    async def _add(self, platform: str, server: str, login: int, name: str) -> str:
        answer = await self._call(
            "AddAccount",
            type=platform,
            user=login,
            password=world.PASSWORD,
            server=server,
            name=name,
        )
        return str(answer["accountId"])

    async def _connected(self) -> None:
        """Until every account's login has succeeded. Errors: CopyProError when that takes too long."""
        deadline = time.monotonic() + self.connect_within_s
        while not all(account["connected"] for account in await self._call("Accounts")):
            if time.monotonic() > deadline:
                raise CopyProError(
                    f"not every account was connected within {self.connect_within_s:g} s:"
                    " this machine is too busy for the demo; try again"
                )
            await asyncio.sleep(0.02)

    # --- the master's hand ------------------------------------------------------------------------

    async def _replay(self) -> None:
        played = events(self.trades)
        progress = Progress(
            TextColumn("[bold yellow]SIMULATED[/] replaying real trades"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        )
        task = progress.add_task("replay", total=len(played))
        view = Live(
            Group(progress, self._table(self.console.width)),
            console=self.console,
            refresh_per_second=4,
        )
        watching = asyncio.create_task(self._watch(view, progress))
        with view:
            begun = time.monotonic()
            for number, event in enumerate(played):
                await self._play(event)
                progress.advance(task)
                ahead = begun + (number + 1) / self.speed - time.monotonic()
                if ahead > 0:
                    await asyncio.sleep(ahead)
            await self._settled()
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            await self._refresh(view, progress)

    async def _play(self, event: Event) -> None:
        trade = event.trade
        buys = (trade.side == "Buy") == event.opens
        price = trade.open_price if event.opens else trade.close_price
        bid, ask = world.bid_ask(trade.symbol, price, buys=buys)
        ticks = [[s, name, str(bid), str(ask)] for s, name in world.markets(trade.symbol)]
        await self.control.quotes(ticks)
        # Months pass in seconds here: the new price must be on every stream before anybody trades at it.
        await asyncio.sleep(TICK_AHEAD_S)
        if event.opens:
            try:
                self.tickets[trade.number] = await self.control.open(
                    world.MASTER_SERVER, 1001, trade.symbol, trade.side, str(trade.lots)
                )
            except Refused:
                self.refused.append(trade)
        elif trade.number in self.tickets:
            ticket = self.tickets[trade.number]
            await self.control.close(world.MASTER_SERVER, 1001, ticket)

    # --- what a person sees -------------------------------------------------------------------------

    async def _watch(self, view: Live, progress: Progress) -> None:
        while True:
            await self._refresh(view, progress)
            await asyncio.sleep(1.0 if self.first_copy_s is not None else 0.05)

    async def _refresh(self, view: Live, progress: Progress) -> None:
        self.rows = await self._call("TradeLogsAll", limit=10_000)
        if self.first_copy_s is None and any(row["outcome"] == "opened" for row in self.rows):
            self.first_copy_s = time.monotonic() - self._started
        view.update(Group(progress, self._table(self.console.width)))

    def _opens(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["id"].endswith(".open")]

    def _table(self, columns: int) -> Table:
        has_reasons = columns >= REASONS_FROM_COLUMNS
        table = Table(title="SIMULATED brokers, real trades", expand=True)
        table.add_column("copier", min_width=24)
        for name in ("copied", "refused", "closed"):
            table.add_column(name, justify="right")
        if has_reasons:
            table.add_column("refusals, with the latest numbers", ratio=1)
        table.add_column("p50", justify="right")
        for id_, slave in self.copiers.items():
            mine = [row for row in self._opens() if row["copierId"] == id_]
            done = [row for row in mine if row["success"]]
            refused = [row for row in mine if row["exceptionCode"]]
            closed = [r for r in self.rows if r["copierId"] == id_ and r["outcome"] == "closed"]
            took = sorted(total for row in done if (total := _total_ms(row)) is not None)
            table.add_row(
                f"{slave.name}\n[dim]{slave.about}[/]",
                str(len(done)),
                str(len(refused)),
                str(len(closed)),
                *([_refusals(refused)] if has_reasons else []),
                f"{took[len(took) // 2]:.1f} ms" if took else "",
            )
        return table

    def draw(self, path: Path, summary: dict[str, Any]) -> None:
        """The final screen as a picture."""
        paper = Console(record=True, file=io.StringIO(), width=118)
        paper.print(self._table(paper.width))
        _report(paper, summary)
        drawn = paper.export_svg(title="make demo")
        # The picture asks for fonts of somebody else's server; a page must not.
        path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.S))

    # --- the check -----------------------------------------------------------------------------------

    async def _settled(self) -> None:
        """Until each pair has its outcome and every copy is closed, or the time is up."""
        expected = len(self.tickets) * len(self.copiers)
        deadline = time.monotonic() + SETTLE_WITHIN_S
        while time.monotonic() < deadline:
            self.rows = await self._call("TradeLogsAll", limit=10_000)
            opens = self._opens()
            decided = [r for r in opens if r["outcome"] not in ("planned", None)]
            books = [await self._slave_book(slave) for slave in world.SLAVES]
            if len(decided) >= expected and not any(book["open"] for book in books):
                return
            await asyncio.sleep(0.2)

    async def _slave_book(self, slave: world.Slave) -> Any:
        return await self.control.book(slave.server, slave.login)

    async def _check(self) -> dict[str, Any]:
        """The brokers' own books against the master's history, pair by pair."""
        master = account_id(Platform.MT4, world.MASTER_SERVER, 1001)
        problems: list[str] = []
        copies, reasons = 0, Counter[str]()
        rows = {row["id"]: row for row in self._opens()}
        for copier, slave in self.copiers.items():
            book = await self._slave_book(slave)
            tags = _tags_in(book)
            problems += [f"{slave.name}: {o['symbol']} is still open" for o in book["open"]]
            ours = account_id(Platform(slave.platform), slave.server, slave.login)
            for ticket in self.tickets.values():
                copy = copy_id(master, AccountId(ours), RootId(str(ticket)))
                row = rows.get(f"{copy}.0.open")
                found = tags[leg_tag(copy, 0)]
                code = row["exceptionCode"] if row else None
                if found == 1 and row is not None and row["success"]:
                    copies += 1
                elif found == 0 and code:
                    reasons[code] += 1
                else:
                    seen = row["outcome"] if row else "no record"
                    problems.append(
                        f"{slave.name}, ticket {ticket}: {found} copies, {seen}, {code}"
                    )
            unknown = sum(tags.values()) - sum(
                tags[leg_tag(copy_id(master, AccountId(ours), RootId(str(t))), 0)]
                for t in self.tickets.values()
            )
            if unknown:
                problems.append(f"{slave.name}: {unknown} positions nobody asked for")
            del copier
        return {
            "simulated": True,
            "ok": not problems and copies > 0,
            "master_trades": len(self.tickets),
            "master_refused": len(self.refused),
            "copiers": len(self.copiers),
            "copies": copies,
            "not_copied": dict(reasons),
            "problems": problems[:20],
            "first_copy_s": round(self.first_copy_s or 0, 2),
            "latency_ms": self._latency(),
        }

    def _latency(self) -> dict[str, dict[str, float]]:
        spans: dict[str, list[float]] = {}
        for row in self._opens():
            if row["success"]:
                for name, span in between(_times(row)).items():
                    spans.setdefault(name, []).append(span)
                total = _total_ms(row)
                if total is not None:
                    spans.setdefault("seen → filled", []).append(total)
        return {name: percentiles(values) for name, values in spans.items()}


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    last = len(ordered) - 1
    at = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[int(last * share)], 2) for name, share in at.items()}


def _times(row: dict[str, Any]) -> dict[str, datetime]:
    times = row["times"]
    return {name: datetime.fromisoformat(times[name]) for name in STEPS if times.get(name)}


def _total_ms(row: dict[str, Any]) -> float | None:
    times = _times(row)
    if "seen" not in times or "filled" not in times:
        return None
    return (times["filled"] - times["seen"]).total_seconds() * 1000


def _refusals(rows: list[dict[str, Any]]) -> str:
    counted = Counter(row["exceptionCode"] for row in rows)
    shown = []
    for code, count in counted.most_common(3):
        latest = next(row for row in rows if row["exceptionCode"] == code)
        wanted = ("raw_lots", "lot_min", "adverse", "ticket", "free_margin", "required")
        numbers = [m["message"] for m in latest["messages"] if m["message"].split(" ")[0] in wanted]
        shown.append(f"{code} ×{count} {' '.join(numbers[:2])}".strip())
    return "; ".join(shown)


def _tags_in(book: dict[str, Any]) -> Counter[str]:
    """How many positions were ever opened with each tag, partial closes counted once."""
    tickets: dict[str, set[int]] = {}
    for order in [*book["open"], *(piece["order"] for piece in book["history"])]:
        comment = order["comment"]
        if comment.startswith("T"):
            tickets.setdefault(comment[:14], set()).add(order["ticket"])
    return Counter({tag: len(found) for tag, found in tickets.items()})


# --- running it -----------------------------------------------------------------------------------------


async def run(
    *,
    once: bool,
    as_json: bool,
    speed: float,
    trades: Path,
    rings: Rings,
    svg: Path | None = None,
) -> int:
    """0: every pair has its one copy or its one reason; 1: not so."""
    console = Console(stderr=as_json)
    demo = Demo(console, trades=trades, speed=speed)
    async with rings(console) as ring, SimulatorControl(ring.control) as control:
        summary = await demo.run(control, ring.url)
        _report(console, summary)
        if svg is not None:
            demo.draw(svg, summary)
        if as_json:
            print(json.dumps(summary))
        if not once:
            with contextlib.suppress(asyncio.CancelledError):  # what was checked stands
                await _stay(console, ring, demo)
    return 0 if summary["ok"] else 1


def _report(console: Console, summary: dict[str, Any]) -> None:
    verdict = "[bold green]checked[/]" if summary["ok"] else "[bold red]FAILED[/]"
    console.print(
        f"\nSIMULATED {verdict}: {summary['master_trades']} master trades × {summary['copiers']}"
        f" copiers = {summary['copies']} copies at the brokers"
        f" + {sum(summary['not_copied'].values())} with one recorded reason"
        f" {summary['not_copied']}; the first copy stood after {summary['first_copy_s']} s"
    )
    for problem in summary["problems"]:
        console.print(f"  [red]{problem}[/]")
    table = Table(title="latency of copied opens, ms")
    table.add_column("leg")
    for name in ("p50", "p95", "p99", "max"):
        table.add_column(name, justify="right")
    for leg, values in summary["latency_ms"].items():
        table.add_row(leg, *(f"{values[n]:.2f}" for n in ("p50", "p95", "p99", "max")))
    console.print(table)


async def _stay(console: Console, ring: Target, demo: Demo) -> None:
    copier = next(iter(demo.copiers))
    bearer = f"-H 'Authorization: Bearer {demo.key}'"
    console.print("\nStill running (SIMULATED). Try REST; Ctrl-C ends it:")
    for line in (
        f"curl -s {bearer} {ring.url}/Accounts",
        f"curl -s {bearer} {ring.url}/UserCopiers",
        f"curl -s {bearer} '{ring.url}/TradeLogs?id={copier}&limit=3'",
    ):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    await ring.failed()
