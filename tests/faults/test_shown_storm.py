"""After a random run of a ring, all that a user is shown is what the brokers' own books have.

`COPYPRO_STORM_SEEDS=0:100 pytest tests/faults/test_shown_storm.py` hunts through many seeds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mt_simulator.client import Refused

from tests.faults.test_storm import LIMITS, PENDINGS, STEP, SYMBOLS, Storm, within
from tests.journey.books import books_differ, closed_rows, logs_differ, stories_astray
from tests.journey.shown import dated, require_as_rebuilt
from tests.journey.world import SERVERS, Account, World, a_world

pytestmark = pytest.mark.slow
_FIRST, _, _LAST = os.environ.get("COPYPRO_STORM_SEEDS", "0:1").partition(":")
SEEDS = range(int(_FIRST), int(_LAST or int(_FIRST) + 1))
CLOCKS = {"Alpha-MT4": 330, "Alpha-MT5": 180, "Beta-MT4": 120, "Beta-MT5": -270}
"""Minutes from UTC."""
CALM_S = 20.0
RUN_S = 2.0
MOST_STORIES = 8
"""Of each account: the whole log is read for each."""
LATE = timedelta(seconds=4)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path / "data", LIMITS) as made:
        for server, offset in CLOCKS.items():
            await made.control.set_server(
                server,
                offset_minutes=offset,
                eu_summer_time=server.endswith("MT5"),
                us_summer_time=server.endswith("MT4"),
            )
            for symbol in SYMBOLS:
                await made.control.set_symbol(
                    server, symbol, commission_per_lot="3.5", swap_long="-7.3", swap_short="2.9"
                )
        yield made


class Shown(Storm):
    """Nothing fails here: owners' hands, stops, nights, stop-outs and restarts are all the trouble."""

    hands: set[int]
    """Tickets at any slave of which their owner closed a part."""

    is_late = False
    """History lags, and frames are lost: every other seed."""

    async def set_up_as(self, server: str, mode: str) -> None:
        world, self.hands = self.world, set()
        self.master = await world.account(server, 1001, mode=mode)
        self.slaves = [
            await world.account("Beta-MT4", 2001),
            await world.account("Beta-MT5", 2002),
            await world.account("Beta-MT5", 2003, mode="Netting"),
        ]
        # What happens while the ring is away is dated by the broker's clock.
        for account in self.accounts:
            ticket = await account.open("EURUSD", "Buy", "0.01")
            await dated(world, account.server, account.login)
            await account.close(ticket)
        self.asked = {
            slave.login: {
                "riskValue": self.random.choice(["0.5", "1.0", "2.3"]),
                "copyPendingOrders": str(self.random.random() < 0.7),
            }
            for slave in self.slaves
        }
        self.copiers = {
            slave.login: await world.copier(self.master, slave, **self.asked[slave.login])
            for slave in self.slaves
        }

    @property
    def accounts(self) -> list[Account]:
        return [self.master, *self.slaves]

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        while loop.time() < self._began + RUN_S:
            await self.act()
            await asyncio.sleep(self.random.uniform(0, 0.1))
            await self.trouble()
            await self.world.control.tick_again()

    async def trouble(self) -> None:
        kinds = ("quote", "quote", "hand", "night", "ruin", "restart", "", "", "")
        what = self.random.choice((*kinds, "lag", "lag") if self.is_late else kinds)
        try:
            if what:
                await getattr(self, f"_{what}")()
        except Refused as error:
            self.note(f"refused: {error}")

    async def _hand(self) -> None:
        dice = self.random
        slave = dice.choice(self.slaves)
        if dice.random() < 0.4 and slave.login != 2003:
            ticket = await slave.open(dice.choice(SYMBOLS), dice.choice(("Buy", "Sell")), "0.20")
            self.note(f"{slave.login} owner opens {ticket}")
        elif orders := await slave.positions():
            order = dice.choice(orders)
            is_part = order["kind"] not in PENDINGS and Decimal(order["lots"]) > STEP * 2
            lots = str(STEP) if is_part and dice.random() < 0.5 else "0"
            self.note(f"{slave.login} owner closes {order['ticket']} {lots}")
            self.hands |= {order["ticket"], await slave.close(order["ticket"], lots)}

    async def _night(self) -> None:
        await self.world.control.roll_over(
            self.random.choice(sorted(CLOCKS)), f"2026-09-{self.random.randint(14, 20)}"
        )

    async def _ruin(self) -> None:
        """The broker closes what the money no longer covers."""
        control = self.world.control
        account = self.random.choice(self.accounts)
        figures = (await account.book())["figures"]
        left = Decimal(figures["margin"]) * 30 / 100
        amount = (Decimal(figures["balance"]) - left).quantize(STEP)
        if left and amount > 0 and self.random.random() < 0.5:
            self.note(f"{account.login} loses {amount}")
            await control.deposit(account.server, account.login, str(-amount))
            await control.tick_again()
            await control.deposit(account.server, account.login, str(amount))

    async def _lag(self) -> None:
        """Lists tell of closes before history does, or nothing tells but the next list."""
        control = self.world.control
        account = self.random.choice(self.accounts)
        platform = SERVERS[account.server]
        self.note(f"{account.login} lags")
        await control.bridge(platform, history_lag_reads=self.random.randint(1, 4))
        await control.stream(account.server, account.login, lose=self.random.randint(1, 3))

    async def _restart(self) -> None:
        if self.random.random() < 0.3:
            self.note("restart")
            await self.world.stop()
            await asyncio.sleep(self.random.uniform(0, 0.3))
            await self.world.start()

    async def shown_wrongly(self) -> list[str]:
        await self.world.control.tick_again()
        wrong = await books_differ(
            self.world, self.accounts, LATE if self.is_late else timedelta(0)
        )
        for slave in self.slaves:
            wrong += await logs_differ(self.world, slave, self.copiers[slave.login], self.hands)
        every = await self.world.call("TradeLogsAll", limit=10_000)
        each = [
            row
            for copier in self.copiers.values()
            for row in await self.world.call("TradeLogs", id=copier, limit=10_000)
        ]
        by_id = {row["id"]: row for row in each}
        if len(each) != len(every) or by_id != {row["id"]: row for row in every}:
            wrong.append("TradeLogsAll is not what each copier's TradeLogs are")
        return wrong

    async def copiers_shown_wrongly(self) -> list[str]:
        every = {row["id"]: row for row in await self.world.call("UserCopiers")}
        wrong = []
        for slave in self.slaves:
            copier = self.copiers[slave.login]
            shown = await self.world.call("GetCopier", id=copier)
            ends = (shown["masterUser"], shown["slaveUser"], shown["slaveServer"], shown["paused"])
            if ends != (self.master.login, slave.login, slave.server, False):
                wrong.append(f"GetCopier shows {ends}")
            asked = self.asked[slave.login]
            if {name: str(shown[name]) for name in asked} != asked:
                wrong.append(f"GetCopier shows other options than {asked}: {shown}")
            if every.get(copier) != shown:
                wrong.append(f"UserCopiers shows {every.get(copier)}, GetCopier {shown}")
        return wrong

    async def told_wrongly(self) -> list[str]:
        wrong = []
        for account in self.accounts:
            book = await account.book()
            seen = {row["ticket"] for row in await closed_rows(self.world, account)}
            tickets = seen | {order["ticket"] for order in book["open"]}
            some = self.random.sample(sorted(tickets), min(MOST_STORIES, len(tickets)))
            wrong += await stories_astray(self.world, account, some)
        return wrong

    async def all_shown(self) -> dict[str, Any]:
        world, answers = self.world, {}
        for account in self.accounts:
            for name in ("OpenOrders", "ClosedOrders"):
                answers[f"{name} {account.login}"] = await world.call(name, accountId=account.id)
        for copier in self.copiers.values():
            for name in ("TradeLogs", "Logs", "GetCopier"):
                answers[f"{name} {copier}"] = await world.call(name, id=copier)
        for name in ("TradeLogsAll", "UserCopiers", "Unresolved"):
            answers[name] = await world.call(name)
        return answers


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("server", "mode"),
    [("Alpha-MT4", "Hedging"), ("Alpha-MT5", "Hedging"), ("Alpha-MT5", "Netting")],
)
async def test_all_that_is_shown_is_in_the_brokers_books(
    world: World, server: str, mode: str, seed: int
) -> None:
    storm = Shown(world, seed)
    storm.is_late = seed % 2 == 1
    await storm.set_up_as(server, mode)
    await storm.run()
    storm.note("calm")
    await storm.calm()
    wrong = await within(CALM_S, storm.shown_wrongly)
    await storm.close_the_rest()
    wrong += await within(CALM_S, storm.shown_wrongly)
    wrong += await storm.told_wrongly()
    shown = await storm.all_shown()
    await world.stop()
    await require_as_rebuilt(world.settings())
    await world.start()
    again = await storm.all_shown()
    wrong += [f"{name} changed by a restart" for name in shown if shown[name] != again[name]]
    assert not wrong, "\n".join([*wrong, *storm.story])
