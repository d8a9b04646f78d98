"""The master's hand: replays the steps at a speed that a person can follow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from mt_simulator.client import Refused, SimulatorControl

from copypro_standalone import demo_world, replaying
from copypro_standalone.demo_world import Member
from copypro_standalone.replaying import Close, Open, Step

LEAST_LIFE_S = 0.8
"""Two months in a minute: a trade of seconds would be over before anybody could have copied it."""
FRESH_EVERY_S = 1.0
MOVES_AHEAD_S = 0.03
"""Days pass between two trades: the market is at the new price well before the hand moves."""


class Player:
    def __init__(self, control: SimulatorControl, master: Member) -> None:
        self._control, self._master = control, master
        self.opened: list[int] = []
        """The first ticket of each trade, in order."""
        self._tickets: dict[int, int] = {}
        self._opened_at: dict[int, float] = {}
        self._hand = asyncio.Lock()
        """One hand: nothing else moves the price between bringing it there and trading."""

    async def play(self, steps: Sequence[Step], seconds: float) -> None:
        """Evenly over the time. A close waits until its trade has lived a little."""
        pace = seconds / len(steps)
        began = time.monotonic()
        closes: list[asyncio.Task[None]] = []
        fresh = asyncio.create_task(self._keep_fresh())
        last: dict[int, asyncio.Task[None]] = {}
        try:
            for index, step in enumerate(steps):
                await asyncio.sleep(began + index * pace - time.monotonic())
                if isinstance(step, Open):
                    async with self._hand:
                        await self._open(step)
                else:
                    task = asyncio.create_task(self._close(step, last.get(step.number)))
                    last[step.number] = task
                    closes.append(task)
            await asyncio.gather(*closes)
        finally:
            for task in (fresh, *closes):
                task.cancel()
            await asyncio.wait([fresh, *closes])

    async def _open(self, step: Open) -> None:
        trade = step.trade
        buy = trade.side.sign > 0
        await self._control.quotes(demo_world.ticks(trade.symbol, trade.open_price, opens=buy))
        await asyncio.sleep(MOVES_AHEAD_S)
        stop, target = replaying.valid_levels(trade, demo_world.spread(trade.symbol))
        ticket = await self._control.open(
            self._master.dealer.name,
            self._master.login,
            trade.symbol,
            trade.side.value,
            f"{step.lots:f}",
            stop_loss=f"{stop or 0:f}",
            take_profit=f"{target or 0:f}",
        )
        self._tickets[trade.number] = ticket
        self._opened_at[trade.number] = time.monotonic()
        self.opened.append(ticket)

    async def _close(self, step: Close, former: asyncio.Task[None] | None) -> None:
        """Brings the price to where it was: a stop or target may close it before the hand does."""
        if former is not None:
            await former
        alive = time.monotonic() - self._opened_at[step.number]
        await asyncio.sleep(LEAST_LIFE_S - alive)
        async with self._hand:
            await self._end(step)

    async def _end(self, step: Close) -> None:
        buy = step.side.sign > 0
        # A buy closes at the bid, a sell at the ask.
        await self._control.quotes(demo_world.ticks(step.symbol, step.price, opens=not buy))
        ticket = self._tickets[step.number]
        lots = f"{step.lots:f}" if step.lots is not None else "0"
        try:
            rest = await self._control.close(
                self._master.dealer.name, self._master.login, ticket, lots
            )
        except Refused:
            book = await self._control.book(self._master.dealer.name, self._master.login)
            if any(order["ticket"] == ticket for order in book["open"]):
                raise
            return
        if rest:
            self._tickets[step.number] = rest
            self._opened_at[step.number] = time.monotonic()

    async def _keep_fresh(self) -> None:
        while True:
            await self._control.tick_again()
            await asyncio.sleep(FRESH_EVERY_S)
