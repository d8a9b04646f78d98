"""The account as it now is, for those who show it: bounded in how often, never in the way of a trade."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal

from copypro import topics
from copypro.messages import AccountSnapshot, EquityRecorded
from copypro.trading import Figures, OpenOrder

from copypro_account_watcher.host import Host
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.session import Session
from copypro_account_watcher.turn import Turn


class Publishing:
    """Snapshots: when changed at most one a second, else one each 30 s as proof of life. Equity: one
    a minute while it changes, with the highs and lows of the snapshots since the last one.
    """

    def __init__(self, memory: Memory, host: Host, session: Session) -> None:
        self._memory, self._host, self._session = memory, host, session
        self._latest: tuple[tuple[OpenOrder, ...], Figures] | None = None
        self._published: tuple[tuple[OpenOrder, ...], Figures] | None = None
        self._seen_at_utc = host.clock()
        """When the account showed the latest."""
        self._published_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._is_due_soon = False
        self._equity_at = float("-inf")
        self._equity = _Range()

    def seen(self, orders: tuple[OpenOrder, ...], figures: Figures) -> None:
        """A look succeeded: this is also the proof of life."""
        self._latest, self._seen_at_utc = (orders, figures), self._host.clock()
        if self._timer is not None and self._is_due_soon:
            return
        limits, now = self._host.limits, self._host.monotonic()
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
        self._host.spawn(self._publish(), f"publish-{self._memory.id[:8]}")

    async def _publish(self) -> None:
        memory, host = self._memory, self._host
        if self._latest is None or not self._session.is_current:
            return
        now = host.monotonic()
        orders, figures = self._published = self._latest
        self._equity.see(orders, figures, memory)
        self._published_at = now
        turn = Turn(host.clock())
        snapshot = AccountSnapshot(
            account=memory.id,
            seen_alive_at_utc=self._seen_at_utc,
            figures=figures,
            orders=orders,
        )
        turn.publish(topics.ACCOUNT_SNAPSHOTS, memory.id, snapshot, turn.now.isoformat())
        if now - self._equity_at >= host.limits.equity_every_s and self._equity.changed:
            self._equity_at = now
            turn.fact(
                memory.id,
                self._equity.take(memory, self._seen_at_utc),
                "equity",
                turn.now.isoformat(),
            )
        await host.commit(turn)


class _Range:
    """Highest and lowest equity, and profit of each root, of the snapshots since the last record."""

    def __init__(self) -> None:
        self.changed = False
        self._balance = Decimal(0)
        self._last = Decimal(0)
        self._high = self._low = Decimal(0)
        self._profit: dict[str, tuple[Decimal, Decimal]] = {}

    def see(self, orders: tuple[OpenOrder, ...], figures: Figures, memory: Memory) -> None:
        equity = figures.equity
        if not self.changed:
            self.changed = (equity, figures.balance) != (self._last, self._balance)
            self._high = self._low = equity
        self._high, self._low = max(self._high, equity), min(self._low, equity)
        self._balance, self._last = figures.balance, equity
        for order in orders:
            if order.kind.is_pending:
                continue
            root = memory.book.root_of(order.ticket)
            if root is not None:
                high, low = self._profit.get(root, (order.profit, order.profit))
                self._profit[root] = (max(high, order.profit), min(low, order.profit))

    def take(self, memory: Memory, at_utc: datetime) -> EquityRecorded:
        event = EquityRecorded(
            account=memory.id,
            time_utc=at_utc,
            balance=self._balance,
            equity=self._last,
            equity_high=self._high,
            equity_low=self._low,
            profit_high={root: high for root, (high, _) in self._profit.items()},
            profit_low={root: low for root, (_, low) in self._profit.items()},
            clock_offset_minutes=memory.known.clock_offset_minutes,
        )
        self.changed = False
        self._profit.clear()
        return event
