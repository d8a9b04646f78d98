"""`kill -9` of the whole program at random moments of a replay: nothing twice, nothing unexplained."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections import Counter
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import pytest
from copypro.values import AccountId, Platform, RootId, account_id, copy_id, leg_tag
from copypro_standalone.demo_rings import simulator_process
from mt_simulator.client import SimulatorControl

from tests.faults.program import Program

KILLS = 25
SEED = 20
MASTER = ("Alpha-MT4", 1001)
SLAVES = (("Beta-MT4", 2001, "MT4", "Hedging", {"riskType": "FixedLot", "riskValue": "0.10"}),
          ("Beta-MT5", 3001, "MT5", "Hedging", {"riskType": "LotMultiplier", "riskValue": "2"}),
          ("Beta-MT5", 3002, "MT5", "Hedging", {"riskType": "EquityMultiplier", "riskValue": "0.5"}))  # fmt: skip
MASTER_LOTS = Decimal("0.40")
UNDISTURBED = {2001: Decimal("0.10"), 3001: Decimal("0.80")}
"""What a run without kills copies, where the volume depends on nothing that kills can change."""
REAL_LIMITS = os.environ.get("COPYPRO_REAL_LIMITS") == "1"
"""By hand: an attempt that a kill cut short then takes minutes to be settled."""
SETTLED_WITHIN_S = 600 if REAL_LIMITS else 40
SYMBOLS = ("EURUSD", "GBPUSD", "AUDUSD")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def build(control: SimulatorControl) -> None:
    for server, platform in (("Alpha-MT4", "MT4"), ("Beta-MT4", "MT4"), ("Beta-MT5", "MT5")):
        await control.add_server(name=server, platform=platform)
        for name in SYMBOLS:
            await control.add_symbol(server, name=name, margin_currency=name[:3])
            await control.quote(server, name, "1.10000", "1.10010")
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

    def __init__(self, control: SimulatorControl, draw: random.Random) -> None:
        self.control, self.draw = control, draw
        self.roots: list[int] = []
        self.chains: dict[int, list[int]] = {}
        """MT4 gives the rest of a partial close another ticket: what was opened and partly closed
        while nobody watched is known by a later one.
        """
        self.open: dict[int, int] = {}
        self.stop = asyncio.Event()

    async def trade(self) -> None:
        while not self.stop.is_set():
            await self._one()
            await asyncio.sleep(self.draw.uniform(0.005, 0.06))

    async def _one(self) -> None:
        act = self.draw.random()
        if act < 0.5 or not self.open:
            if len(self.open) > 12:
                return
            symbol, side = self.draw.choice(SYMBOLS), self.draw.choice(("Buy", "Sell"))
            await self.control.tick_again()
            root = await self.control.open(*MASTER, symbol, side, str(MASTER_LOTS))
            self.roots.append(root)
            self.chains[root] = [root]
            self.open[root] = root
            return
        root = self.draw.choice(list(self.open))
        if act < 0.65:
            rest = await self.control.close(*MASTER, self.open[root], "0.10")
            if rest:
                self.open[root] = rest
                self.chains[root].append(rest)
            else:
                del self.open[root]
        else:
            await self.control.close(*MASTER, self.open.pop(root))

    async def finish(self) -> None:
        self.stop.set()
        for ticket in self.open.values():
            await self.control.close(*MASTER, ticket)
        self.open.clear()


def tags_in(book: dict[str, Any]) -> Counter[str]:
    """Positions ever opened by tag. On MT4 the rests of a partial close carry no tag."""
    tickets: dict[str, set[int]] = {}
    for order in [*book["open"], *(piece["order"] for piece in book["history"])]:
        if order["comment"].startswith("T"):
            tickets.setdefault(order["comment"][:14], set()).add(order["ticket"])
    return Counter({tag: len(found) for tag, found in tickets.items()})


@pytest.mark.slow
@pytest.mark.timeout(1200 if REAL_LIMITS else 300)
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
            await asyncio.sleep(draw.uniform(0.05, 1.2))
            await program.kill()
            await program.start(wait=draw.random() < 0.7)
        await program.until_ready()
        await asyncio.sleep(1.0)
        hand.stop.set()
        await trading
        await hand.finish()
        outcomes = await settled(program, key, copiers, control, len(hand.roots))
        await check(control, hand, outcomes, copiers)
        assert await program.terminate() == 0


async def settled(
    program: Program, key: str, copiers: list[str], control: SimulatorControl, roots: int
) -> dict[str, dict[str, Any]]:
    """Rows of all opens by id, once each is decided and nothing is left open at the slaves."""
    deadline = asyncio.get_running_loop().time() + SETTLED_WITHIN_S
    rows: dict[str, dict[str, Any]] = {}
    while True:
        rows = {}
        for copier in copiers:
            for row in await program.call("TradeLogs", key, id=copier, limit=10_000):
                if row["id"].endswith(".open"):
                    rows[row["id"]] = row
        final = [row for row in rows.values() if row["success"] or row["exceptionCode"]]
        undecided = len(rows) - len(final)
        books = [await control.book(slave[0], slave[1]) for slave in SLAVES]
        standing = sum(len(book["open"]) for book in books)
        if len(final) >= roots * len(copiers) and not undecided and standing == 0:
            return rows
        if asyncio.get_running_loop().time() > deadline:
            pending = Counter(row["outcome"] for row in rows.values())
            log = program.log.read_text()[-4000:]
            raise AssertionError(
                f"{len(final)} of {roots * len(copiers)} decided, {standing} open, {pending}\n{log}"
            )
        await asyncio.sleep(0.3)


def numbers_of(row: dict[str, Any]) -> dict[str, str]:
    texts = [message["message"] for message in row["messages"]]
    return dict(text.split(" = ", 1) for text in texts if " = " in text)


def check_volume(login: int, lots: Decimal, numbers: dict[str, str]) -> None:
    """The volume of an undisturbed run, or what the recorded numbers say."""
    assert lots == Decimal(numbers["lots"])
    assert lots <= Decimal(numbers["raw_lots"])
    assert lots == Decimal(numbers["raw_lots"]).quantize(Decimal("0.01"), ROUND_DOWN)
    is_whole = Decimal(numbers["master_lots"]) == MASTER_LOTS
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
        }
        ours: set[str] = set()
        for root in hand.roots:
            names = [
                copy_id(master, AccountId(slave), RootId(str(ticket)))
                for ticket in hand.chains[root]
            ]
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
                check_volume(login, first[there[0]], numbers_of(opened[0]))
            else:
                codes = [row["exceptionCode"] for row in found]
                assert all(codes), (root, server, brief(found))
                reasons[codes[0]] += 1
        assert set(tags) <= ours, "a position that no master's trade explains"
    summary = (
        f"{KILLS} kills, {len(hand.roots)} trades: {copies} copies, not copied {dict(reasons)}"
    )
    logging.getLogger(__name__).warning(summary)
    assert copies > len(hand.roots) // 4, reasons
