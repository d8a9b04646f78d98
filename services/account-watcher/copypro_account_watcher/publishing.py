"""The account as it now is, for those who show it: bounded in how often, never in the way of a trade."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from copypro import topics
from copypro.messages import AccountSnapshot, EquityRecorded
from copypro.trading import Figures, OpenOrder

from copypro_account_watcher.turn import Turn

if TYPE_CHECKING:
    from copypro_account_watcher.agent import AccountAgent


class Publishing:
    """Snapshots: when changed at most one a second, else one each 30 s as proof of life. Equity: one
    a minute while it changes, with the highs and lows of the snapshots since the last one.
    """

    def __init__(self, agent: AccountAgent) -> None:
        self._agent = agent
        self._latest: tuple[tuple[OpenOrder, ...], Figures] | None = None
        self._published: tuple[tuple[OpenOrder, ...], Figures] | None = None
        self._seen_at_utc = agent.owner.clock()
        """When the account showed the latest."""
        self._published_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._is_due_soon = False
        self._equity_at = float("-inf")
        self._equity = _Range()

    def seen(self, orders: tuple[OpenOrder, ...], figures: Figures) -> None:
        """A look succeeded: this is also the proof of life."""
        self._latest, self._seen_at_utc = (orders, figures), self._agent.owner.clock()
        if self._timer is not None and self._is_due_soon:
            return
        limits, now = self._agent.owner.limits, self._agent.owner.monotonic()
        self._is_due_soon = self._latest != self._published
        if self._timer is not None:
            if not self._is_due_soon:
                return
            self._timer.cancel()
        every_s = limits.publish_every_s if self._is_due_soon else limits.alive_every_s
        wait_s = max(0.0, self._published_at + every_s - now)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._due)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._agent.owner.spawn(self._publish(), f"publish-{self._agent.id[:8]}")

    async def _publish(self) -> None:
        agent, owner = self._agent, self._agent.owner
        if self._latest is None or not agent.watching.is_current:
            return
        now = owner.monotonic()
        orders, figures = self._published = self._latest
        self._equity.see(orders, figures, agent)
        self._published_at = now
        turn = Turn(owner.clock())
        snapshot = AccountSnapshot(
            account=agent.id,
            seen_alive_at_utc=self._seen_at_utc,
            figures=figures,
            orders=orders,
        )
        turn.publish(topics.ACCOUNT_SNAPSHOTS, agent.id, snapshot, turn.now.isoformat())
        if now - self._equity_at >= owner.limits.equity_every_s and self._equity.changed:
            self._equity_at = now
            turn.fact(
                agent.id,
                self._equity.take(agent, self._seen_at_utc),
                "equity",
                turn.now.isoformat(),
            )
        await owner.commit(turn)


class _Range:
    """Highest and lowest equity, and profit of each root, of the snapshots since the last record."""

    def __init__(self) -> None:
        self.changed = False
        self._balance = Decimal(0)
        self._last = Decimal(0)
        self._high = self._low = Decimal(0)
        self._profit: dict[str, tuple[Decimal, Decimal]] = {}

    def see(self, orders: tuple[OpenOrder, ...], figures: Figures, agent: AccountAgent) -> None:
        equity = figures.equity
        if not self.changed:
            self.changed = (equity, figures.balance) != (self._last, self._balance)
            self._high = self._low = equity
        self._high, self._low = max(self._high, equity), min(self._low, equity)
        self._balance, self._last = figures.balance, equity
        for order in orders:
            if order.kind.is_pending:
                continue
            root = agent.book.root_of(order.ticket)
            if root is not None:
                high, low = self._profit.get(root, (order.profit, order.profit))
                self._profit[root] = (max(high, order.profit), min(low, order.profit))

    def take(self, agent: AccountAgent, at_utc: datetime) -> EquityRecorded:
        event = EquityRecorded(
            account=agent.id,
            time_utc=at_utc,
            balance=self._balance,
            equity=self._last,
            equity_high=self._high,
            equity_low=self._low,
            profit_high={root: high for root, (high, _) in self._profit.items()},
            profit_low={root: low for root, (_, low) in self._profit.items()},
            clock_offset_minutes=agent.known.clock_offset_minutes,
        )
        self.changed = False
        self._profit.clear()
        return event
