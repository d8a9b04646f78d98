"""`kill -9` of the whole program at random moments of a replay: nothing twice, nothing unexplained, no
stop lost. The master opens at the market and by pending orders, moves stops, closes in parts; one
slave is on netting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import random
from collections import Counter
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import pytest
from copypro.values import AccountId, Platform, RootId, account_id, copy_id, leg_tag
from copypro_standalone.demo_rings import simulator_process
from mt_simulator.client import Refused, SimulatorControl

from infra.local.servers import free_port
from tests.faults.program import Program

KILLS = 25
ACTS_A_KILL = 30
SEED = 20
MASTER = ("Alpha-MT4", 1001)
MIRROR = {"copyPendingOrders": True, "slMode": "Price"}
SLAVES = (("Beta-MT4", 2001, "MT4", "Hedging", {"riskType": "FixedLot", "riskValue": "0.10"} | MIRROR),
          ("Beta-MT5", 3001, "MT5", "Hedging", {"riskValue": "2"} | MIRROR),
          ("Beta-MT5", 3002, "MT5", "Hedging", {"riskType": "EquityMultiplier", "riskValue": "0.5",
                                                "slMode": "Price"}),
          ("Beta-MT5", 3003, "MT5", "Netting", {"riskValue": "1"} | MIRROR))  # fmt: skip
MASTER_LOTS = Decimal("0.40")
UNDISTURBED = {2001: Decimal("0.10"), 3001: Decimal("0.80"), 3003: Decimal("0.40")}
"""What a run without kills copies, where the volume depends on nothing that kills can change."""
REAL_LIMITS = os.environ.get("COPYPRO_REAL_LIMITS") == "1"
"""By hand: an attempt that a kill cut short then takes minutes to be settled."""
SETTLED_WITHIN_S = 600 if REAL_LIMITS else 120
SYMBOLS = ("EURUSD", "GBPUSD", "AUDUSD")
PRICES = (("1.10000", "1.10010"), ("1.10060", "1.10070"), ("1.09940", "1.09950"))
"""As usual, and where pending orders of either side are filled."""
STOPS = {"Buy": ("1.05", "1.06", "1.07"), "Sell": ("1.13", "1.14", "1.15")}


async def build(control: SimulatorControl) -> None:
    for server, platform in (("Alpha-MT4", "MT4"), ("Beta-MT4", "MT4"), ("Beta-MT5", "MT5")):
        await control.add_server(name=server, platform=platform)
        for name in SYMBOLS:
            await control.add_symbol(server, name=name, margin_currency=name[:3])
            await control.quote(server, name, *PRICES[0])
    await control.add_account(
        server=MASTER[0], platform="MT4", login=MASTER[1], password="p", balance="1000000"
    )
    for server, login, platform, mode, _ in SLAVES:
        await control.add_account(
            server=server,
            platform=platform,
            login=login,
            password="p",
            balance="1000000",
            mode=mode,
        )


async def register(program: Program) -> tuple[str, list[str]]:
    key = (await program.call("SignUp", email="a@example.com", passwordHash="0" * 64))["userKey"]
    ids = []
    for server, login, platform in ((*MASTER, "MT4"), *((s[0], s[1], s[2]) for s in SLAVES)):
        answer = await program.call(
            "AddAccount", key, type=platform, user=login, password="p", server=server
        )
        ids.append(answer["accountId"])
    while True:
        if all(account["connected"] for account in await program.call("Accounts", key)):
            break
        await asyncio.sleep(0.05)
    copiers = []
    for slave, (*_, options) in zip(ids[1:], SLAVES, strict=True):
        started = await program.call(
            "Start", key, masterAccountId=ids[0], slaveAccountId=slave, **options
        )
        copiers.append(started["copierId"])
    return key, copiers


class Hand:
    """The master's hand: opens, partly closes and closes without a pause."""

    def __init__(
        self,
        control: SimulatorControl,
        draw: random.Random,
        pause_s: tuple[float, float] = (0.005, 0.06),
    ) -> None:
        self.control, self.draw, self._pause_s = control, draw, pause_s
        self.roots: list[int] = []
        self.chains: dict[int, list[int]] = {}
        """MT4 gives the rest of a partial close another ticket: what was opened and partly closed
        while nobody watched is known by a later one.
        """
        self.open: dict[int, int] = {}
        self.sides: dict[int, str] = {}
        self.pending: dict[int, tuple[str, str]] = {}
        """Ticket: symbol and kind."""
        self.placed: list[int] = []
        self.stop = asyncio.Event()
        self.acts_left = math.inf

    async def trade(self) -> None:
        """So many acts between two kills, however long the program takes to come back."""
        while not self.stop.is_set():
            if self.acts_left > 0:
                self.acts_left -= 1
                await self._one()
            await asyncio.sleep(self.draw.uniform(*self._pause_s))

    async def is_done(self) -> bool:
        return self.acts_left <= 0

    async def _one(self) -> None:
        act = self.draw.random()
        if act < 0.4 or not self.open:
            if len(self.open) <= 12:
                await self.open_one()
            return
        if act < 0.52:
            await self._with_pending()
            return
        root = self.draw.choice(list(self.open))
        if act < 0.62:
            stop = self.draw.choice(STOPS[self.sides[root]])
            with contextlib.suppress(Refused):  # the same stop once more
                await self.control.modify(*MASTER, self.open[root], stop)
        elif act < 0.72:
            rest = await self.control.close(*MASTER, self.open[root], "0.10")
            if rest:
                self.open[root] = rest
                self.chains[root].append(rest)
            else:
                del self.open[root]
        else:
            await self.control.close(*MASTER, self.open.pop(root))

    async def open_one(self) -> None:
        symbol, side = self.draw.choice(SYMBOLS), self.draw.choice(("Buy", "Sell"))
        await self.control.tick_again()
        stop = self.draw.choice((*STOPS[side], "0"))
        root = await self.control.open(*MASTER, symbol, side, str(MASTER_LOTS), stop_loss=stop)
        self._stands(root, side)

    def _stands(self, root: int, side: str) -> None:
        self.roots.append(root)
        self.chains[root] = [root]
        self.open[root], self.sides[root] = root, side

    async def _with_pending(self) -> None:
        """Placed, or deleted, or the market comes and fills all of one symbol and side."""
        act = self.draw.random()
        if act < 0.5 or not self.pending:
            symbol, side = self.draw.choice(SYMBOLS), self.draw.choice(("Buy", "Sell"))
            price = {"Buy": "1.10050", "Sell": "1.09960"}[side]
            ticket = await self.control.open(
                *MASTER, symbol, f"{side}Stop", str(MASTER_LOTS), price=price,
                stop_loss=STOPS[side][0],
            )  # fmt: skip
            self.pending[ticket] = symbol, side
            self.placed.append(ticket)
        elif act < 0.7:
            ticket = self.draw.choice(list(self.pending))
            del self.pending[ticket]
            await self.control.close(*MASTER, ticket)
        else:
            await self._fill(*self.draw.choice(list(self.pending.values())))

    async def _fill(self, symbol: str, side: str) -> None:
        servers = [MASTER[0], "Beta-MT4", "Beta-MT5"]
        self.draw.shuffle(servers)
        for bid, ask in (PRICES[1 if side == "Buy" else 2], PRICES[0]):
            for server in servers:
                await self.control.quote(server, symbol, bid, ask)
            await asyncio.sleep(self.draw.uniform(0, 0.05))
        for ticket in [t for t, known in self.pending.items() if known == (symbol, side)]:
            del self.pending[ticket]
            self._stands(ticket, side)

    async def finish(self) -> None:
        self.stop.set()
        for ticket in self.pending:
            await self.control.close(*MASTER, ticket)
        self.pending.clear()
        for ticket in self.open.values():
            await self.control.close(*MASTER, ticket)
        self.open.clear()


def tags_in(book: dict[str, Any]) -> Counter[str]:
    """Positions ever opened by tag. On MT4 the rests of a partial close carry no tag; a pending order
    that was deleted before the market took its place has the same one.
    """
    tickets: dict[str, set[int]] = {}
    for order in [*book["open"], *(piece["order"] for piece in book["history"])]:
        if order["comment"].startswith("T") and order["kind"] in ("Buy", "Sell"):
            tickets.setdefault(order["comment"][:14], set()).add(order["ticket"])
    return Counter({tag: len(found) for tag, found in tickets.items()})


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1200 if REAL_LIMITS else 600)
async def test_kill_9_at_25_moments_leaves_each_trade_one_copy_or_one_reason(
    tmp_path: Path,
) -> None:
    draw = random.Random(SEED)
    data = tmp_path / "data"
    async with simulator_process(0, 0) as (mt4, mt5), SimulatorControl(mt5) as control:
        await build(control)
        real = {"COPYPRO_TEST_LIMITS": ""} if REAL_LIMITS else {}
        program = Program(data, mt4, mt5, free_port(), **real)
        await program.start()
        key, copiers = await register(program)
        hand = Hand(control, draw)
        trading = asyncio.create_task(hand.trade())
        for _ in range(KILLS):
            hand.acts_left = ACTS_A_KILL
            await asyncio.sleep(draw.uniform(0.05, 1.2))
            await program.kill()
            await program.start(wait=draw.random() < 0.7)
        await program.until_ready()

        async def is_calm() -> bool:
            """Opens that were paused after unclear answers go on: the last acts are copied."""
            return await program.call("Alerts", key) == []

        await program.until(is_calm, SETTLED_WITHIN_S)
        hand.acts_left = ACTS_A_KILL
        await program.until(hand.is_done)
        hand.stop.set()
        await trading
        await hand.open_one()  # of those that stand perhaps none was copied
        await stops_follow(control, hand)
        await hand.finish()
        outcomes = await settled(program, key, copiers, control, hand)
        await check(control, hand, outcomes, copiers)
        assert await program.terminate() == 0


async def stops_follow(control: SimulatorControl, hand: Hand) -> None:
    """Every copy that carries its tag comes to have the stop that its master's trade has."""
    master = account_id(Platform.MT4, *MASTER)
    book = {order["ticket"]: order for order in (await control.book(*MASTER))["open"]}
    stops = {root: Decimal(book[ticket]["stop_loss"]) for root, ticket in hand.open.items()}
    deadline = asyncio.get_running_loop().time() + SETTLED_WITHIN_S
    while True:
        wrong, compared = [], 0
        for server, login, platform, _, _ in SLAVES:
            slave = AccountId(account_id(Platform(platform), server, login))
            tags = {
                leg_tag(copy_id(master, slave, RootId(str(ticket))), 0): stop
                for root, stop in stops.items()
                for ticket in hand.chains[root]
            }
            for order in (await control.book(server, login))["open"]:
                wanted = tags.get(order["comment"][:14])
                if wanted is not None and order["kind"] in ("Buy", "Sell"):
                    compared += 1
                    if Decimal(order["stop_loss"]) != wanted:
                        wrong.append((server, login, order["ticket"], wanted))
        if compared and not wrong:
            logging.getLogger(__name__).warning("the stops of %d copies compared", compared)
            return
        assert asyncio.get_running_loop().time() < deadline, (compared, wrong)
        await control.tick_again()
        await asyncio.sleep(0.3)


async def settled(
    program: Program,
    key: str,
    copiers: list[str],
    control: SimulatorControl,
    hand: Hand,
    within_s: float = SETTLED_WITHIN_S,
) -> dict[str, dict[str, Any]]:
    """Rows by id, once each of the master's trades is decided for each slave, no open is undecided
    and nothing is left open at the slaves.
    """
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        rows: dict[str, dict[str, Any]] = {}
        for copier in copiers:
            for row in await program.call("TradeLogs", key, id=copier, limit=10_000):
                rows[row["id"]] = row
        opens = [row for id_, row in rows.items() if id_.endswith(".open")]
        undecided = [row for row in opens if not (row["success"] or row["exceptionCode"])]
        missing = [
            (root, slave[0])
            for root in hand.roots
            for slave in SLAVES
            if not any(f"{name}.0.open" in rows for name in names_of(hand, root, slave))
        ]
        books = [await control.book(slave[0], slave[1]) for slave in SLAVES]
        standing = sum(len(book["open"]) for book in books)
        if not (missing or undecided or standing):
            return rows
        if asyncio.get_running_loop().time() > deadline:
            tickets = {t for root, _ in missing[:3] for t in hand.chains[root]}
            told = [await program.explain(str(MASTER[1]), ticket) for ticket in sorted(tickets)]
            outcomes = Counter(row["outcome"] for row in opens)
            raise AssertionError(
                f"missing {missing}, {len(undecided)} undecided, {standing} open, {outcomes}\n"
                + "\n".join([*told, program.log.read_text()[-4000:]])
            )
        await asyncio.sleep(0.3)


def names_of(hand: Hand, root: int, slave: tuple[Any, ...]) -> list[str]:
    """The copies that one of the master's trades may have on that slave, by each of its tickets."""
    server, login, platform, *_ = slave
    master = account_id(Platform.MT4, *MASTER)
    to = AccountId(account_id(Platform(platform), server, login))
    return [copy_id(master, to, RootId(str(ticket))) for ticket in hand.chains[root]]


def numbers_of(row: dict[str, Any]) -> dict[str, str]:
    texts = [message["message"] for message in row["messages"]]
    return dict(text.split(" = ", 1) for text in texts if " = " in text)


def check_volume(login: int, lots: Decimal, numbers: dict[str, str]) -> None:
    """The volume of an undisturbed run, or what the recorded numbers say."""
    assert lots == Decimal(numbers["lots"])
    assert lots <= Decimal(numbers["raw_lots"])
    assert lots == Decimal(numbers["raw_lots"]).quantize(Decimal("0.01"), ROUND_DOWN)
    is_whole = Decimal(numbers["master_lots"]) == MASTER_LOTS and "share_left" not in numbers
    if login in UNDISTURBED and is_whole:
        assert lots == UNDISTURBED[login]


def brief(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("outcome", "success", "exceptionCode", "exceptionMessage", "slaveTicket", "times")
    return [tuple(row[name] for name in names) for row in rows]


async def check(
    control: SimulatorControl, hand: Hand, rows: dict[str, dict[str, Any]], copiers: list[str]
) -> None:
    master = account_id(Platform.MT4, *MASTER)
    copies, reasons = 0, Counter[str]()
    for server, login, platform, _, _ in SLAVES:
        book = await control.book(server, login)
        tags = tags_in(book)
        slave = account_id(Platform(platform), server, login)
        first = {
            piece["order"]["comment"][:14]: Decimal(piece["order"]["lots_asked"])
            for piece in book["history"]
            if piece["order"]["kind"] in ("Buy", "Sell")
        }
        ours: set[str] = set()
        for root in hand.roots:
            names = names_of(hand, root, (server, login, platform))
            found = [row for name in names if (row := rows.get(f"{name}.0.open"))]
            assert found, f"nothing is recorded for {root} on {server}"
            marks = [leg_tag(name, 0) for name in names]
            ours.update(marks)
            there = [tag for tag in marks for _ in range(tags[tag])]
            assert len(there) <= 1, f"{root} was copied twice on {server}"
            if there:
                copies += 1
                opened = [row for row in found if row["success"]]
                assert opened, (root, server, brief(found))
                mirrored = rows.get(opened[0]["id"].replace(".open", ".pending"), opened[0])
                numbers = numbers_of(opened[0])
                sent = numbers if "lots" in numbers else numbers_of(mirrored)
                check_volume(login, first[there[0]], sent)
            else:
                codes = [row["exceptionCode"] for row in found]
                assert all(codes), (root, server, brief(found))
                reasons[codes[0]] += 1
        unfilled = [ticket for ticket in hand.placed if ticket not in hand.chains]
        orphans = {
            leg_tag(copy_id(master, AccountId(slave), RootId(str(ticket))), 0)
            for ticket in unfilled
        }
        assert set(tags) <= ours | orphans, "a position that no master's trade explains"
        assert all(tags[tag] <= 1 for tag in orphans)
    summary = (
        f"{KILLS} kills, {len(hand.roots)} trades and {len(hand.placed)} pending orders:"
        f" {copies} copies, not copied {dict(reasons)}"
    )
    logging.getLogger(__name__).warning(summary)
    assert copies > len(hand.roots) // 8, reasons
