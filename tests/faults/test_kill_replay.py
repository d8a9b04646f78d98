"""`kill -9` of the whole ring at random moments of a replay: at the end the brokers' own books hold
one copy of each trade, or none and one recorded reason, and every volume is the one it must be.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from copypro import wiring
from copypro.values import RootId, copy_id, leg_tag
from copypro_standalone import processes
from copypro_standalone.auditing import Books, audit
from copypro_standalone.demo import Watch
from copypro_standalone.processes import Child
from copypro_standalone.rest import RestError, Unreachable
from copypro_standalone.tally import Tally

from tests.journey.world import Account, World, world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
ROOT = Path(__file__).parents[2]
SEED = 20_260_504
KILLS = 26
TRADES = 90
READY_WITHIN_S = 20.0
SETTLED_WITHIN_S = 90.0


class Killed:
    """A ring process that is killed and started again over the same data and port."""

    def __init__(self, w: World, folder: Path) -> None:
        self._w, self._folder = w, folder
        self.port = processes.free_port()
        self.child: Child | None = None
        self.lives = 0

    async def start(self) -> None:
        settings = self._w.settings
        assert settings.api_mt4 is not None
        assert settings.api_mt5 is not None
        env = {
            "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))),
            "COPYPRO_DATA": str(settings.data),
            "COPYPRO_GATEWAY_PORT": str(self.port),
            "ApiMT4": settings.api_mt4.get_secret_value(),
            "ApiMT5": settings.api_mt5.get_secret_value(),
        }
        log = self._folder / f"life-{self.lives}.log"
        self.lives += 1
        self.child = await processes.start("the ring", [], env, log, "tests.faults.ring_process")

    async def kill(self) -> None:
        assert self.child is not None
        self.child.check()
        await self.child.kill()

    async def ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            assert self.child is not None
            self.child.check()
            try:
                await self._w.rest.get("/health/ready")
                return
            except (Unreachable, RestError):
                assert time.monotonic() < deadline, self.child.words()
                await asyncio.sleep(0.02)


@pytest.fixture
async def killed(tmp_path: Path) -> AsyncIterator[tuple[World, Killed]]:
    async with world(tmp_path, ring_runs=False) as w:
        ring = Killed(w, tmp_path)
        w.attach(f"http://127.0.0.1:{ring.port}")
        await ring.start()
        await ring.ready()
        yield w, ring
        if ring.child is not None and ring.child.returncode is None:
            await ring.child.kill()


class Made:
    """A trade by the master's hand. MT4 gives the rest of a partial close another ticket: what was
    opened and partly closed while nobody watched is known by the later one.
    """

    def __init__(self, ticket: int, lots: Decimal) -> None:
        self.chain = [(RootId(str(ticket)), lots)]

    def part(self, rest: int, closed: Decimal) -> None:
        self.chain.append((RootId(str(rest)), self.chain[-1][1] - closed))

    def known_as(self, known: set[RootId]) -> tuple[RootId, Decimal]:
        """Its root as it was first seen, and the lots it then had."""
        return next((link for link in self.chain if link[0] in known), self.chain[0])


async def trade(master: Account, dice: random.Random, opened: list[Made]) -> None:
    """One trade's life by the master's hand: some get a stop, some are closed in two pieces."""
    lots = Decimal(dice.randint(2, 9)) / 100
    kind = dice.choice(("Buy", "Sell"))
    life, change = dice.uniform(0.5, 4.0), dice.random()
    ticket = master.open(dice.choice(("EURUSD", "GBPUSD", "USDCHF")), kind, str(lots))
    made = Made(ticket, lots)
    opened.append(made)
    await asyncio.sleep(life / 2)
    if change < 0.3:
        level = "0.5" if kind == "Buy" else "2.0"
        master.modify(ticket, stop_loss=level)
    elif change < 0.6:
        ticket = master.close(ticket, "0.01")
        made.part(ticket, Decimal("0.01"))
    await asyncio.sleep(life / 2)
    master.close(ticket)


async def replay(master: Account, dice: random.Random, over_s: float) -> list[Made]:
    opened: list[Made] = []
    async with asyncio.TaskGroup() as hands:
        for _ in range(TRADES):
            hands.create_task(trade(master, dice, opened))
            await asyncio.sleep(dice.uniform(0.2, 1.8) * over_s / TRADES)
    return opened


async def kills(ring: Killed, dice: random.Random) -> None:
    for _ in range(KILLS):
        # Some moments fall into the start itself, most into the work after it.
        if dice.random() < 0.8:
            await ring.ready()
        await asyncio.sleep(dice.uniform(0.05, 1.0))
        await ring.kill()
        await ring.start()
    await ring.ready()


def executed(slave: Account) -> dict[str, list[Decimal]]:
    """By tag: the lots of each opening order that the broker executed."""
    found: dict[str, list[Decimal]] = {}
    for entry in slave.sent("ordersend"):
        if entry.executed:
            lots = entry.parameters.get("volume") or entry.parameters["lots"]
            found.setdefault(entry.parameters["comment"], []).append(Decimal(lots))
    return found


def audited(
    master: Account, slaves: Sequence[Account], roots: Sequence[RootId], tally: Tally
) -> tuple[str, ...]:
    books = [
        Books(
            slave.name,
            slave.key,
            {tag: len(orders) for tag, orders in executed(slave).items()},
            [f"#{order.ticket}" for order in slave.copies()],
        )
        for slave in slaves
    ]
    return audit(master.key, roots, books, tally.pairs.values()).problems


async def test_killed_at_random_moments_every_trade_has_one_copy_or_one_reason(
    killed: tuple[World, Killed],
) -> None:
    w, ring = killed
    dice = random.Random(SEED)
    master = await w.account("MT4")
    fixed = await w.account("MT5", suffix=".x", balance="100000")
    double = await w.account("MT4", balance="100000")
    await w.start_copier(master, fixed, riskType="FixedLot", riskValue="0.1")
    await w.start_copier(master, double, riskType="LotMultiplier", riskValue="2")

    killing = asyncio.create_task(kills(ring, dice))
    opened = await replay(master, random.Random(SEED + 1), over_s=45.0)
    await killing

    tally = Tally(master.key)
    watch = Watch(wiring.open_log_reader(w.settings.data), tally)

    def trades() -> dict[RootId, Decimal]:
        known = {pair.root for pair in tally.pairs.values()}
        return dict(made.known_as(known) for made in opened)

    def settled() -> bool:
        watch.look()
        return not audited(master, (fixed, double), list(trades()), tally)

    try:
        await w.eventually(settled, SETTLED_WITHIN_S)
    except AssertionError:
        problems = audited(master, (fixed, double), list(trades()), tally)
        raise AssertionError("\n".join(problems)) from None
    assert len(trades()) == TRADES
    for root, lots in trades().items():
        for slave, expected in ((fixed, Decimal("0.1")), (double, lots * 2)):
            tag = leg_tag(copy_id(master.key, slave.key, root), 0)
            assert executed(slave).get(tag, [expected]) == [expected]
    copies = sum(pair.copied for pair in tally.pairs.values())
    assert copies >= TRADES, "most trades were not copied at all: this shows little"
    assert ring.lives == KILLS + 1
