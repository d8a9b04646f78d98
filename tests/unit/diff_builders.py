"""Looks at an account, as short as a test can say them. 10:00:00 at the broker is 08:00:00 UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from copypro.messages import Context, OrderEvent, Seen
from copypro.trading import BalanceOperation, ClosedOrder, CloseReason, Figures, OpenOrder
from copypro.values import AccountId, Mode, OrderKind, Platform, Ticket
from copypro_account_watcher.seen.book import Book, Closed, Root
from copypro_account_watcher.seen.diff import diff
from copypro_account_watcher.seen.looks import Look, Result
from msgspec import json

D = Decimal
UTC_0 = datetime(2026, 9, 14, 8, 0, 0, tzinfo=UTC)
BROKER_0 = datetime(2026, 9, 14, 10, 0, 0)
OFFSET = 120
CONTEXT = Context(figures=Figures(balance=D(1000), equity=D(1000)), currency="USD")


def broker(seconds: float) -> datetime:
    return BROKER_0 + timedelta(seconds=seconds)


def order(
    ticket: int,
    lots: str = "0.10",
    kind: OrderKind = OrderKind.BUY,
    *,
    symbol: str = "EURUSD",
    price: str = "1.1000",
    opened: float = 0,
    sl: str | None = None,
    tp: str | None = None,
    **more: Any,
) -> OpenOrder:
    return OpenOrder(
        ticket=Ticket(ticket),
        symbol=symbol,
        kind=kind,
        lots=D(lots),
        open_price=D(price),
        opened_at_broker=broker(opened),
        stop_loss=None if sl is None else D(sl),
        take_profit=None if tp is None else D(tp),
        **more,
    )


def row(
    ticket: int,
    lots: str = "0.10",
    kind: OrderKind = OrderKind.BUY,
    *,
    deal: int | None = None,
    symbol: str = "EURUSD",
    price: str = "1.1000",
    at_price: str = "1.2000",
    opened: float = 0,
    closed: float = 60,
    reason: CloseReason = CloseReason.UNKNOWN,
    **more: Any,
) -> ClosedOrder:
    return ClosedOrder(
        ticket=Ticket(ticket),
        deal=deal if deal is not None else ticket,
        symbol=symbol,
        kind=kind,
        lots=D(lots),
        open_price=D(price),
        close_price=D(at_price),
        opened_at_broker=broker(opened),
        closed_at_broker=broker(closed),
        reason=reason,
        **more,
    )


def deposit(ticket: int, amount: str, at: float = 0) -> BalanceOperation:
    return BalanceOperation(
        ticket=Ticket(ticket), kind="Balance", amount=D(amount), time_broker=broker(at)
    )


class Watch:
    """A book and its looks, one after another; `seconds` go by between two of them."""

    def __init__(
        self, platform: Platform = Platform.MT5, mode: Mode = Mode.HEDGING, *, seconds: float = 0.01
    ) -> None:
        self.book = Book(AccountId("a" * 32), platform, mode)
        self.at, self.seconds = 0.0, seconds
        self.history_at: float | None = None
        self.all: list[OrderEvent] = []
        self.late: list[OrderEvent] = []
        """What the last look told of what was told before."""
        self.all_late: list[OrderEvent] = []
        self.identities: list[tuple[str, tuple[str | int, ...]]] = []
        self.result: Result

    def later(self, seconds: float) -> Watch:
        self.at += seconds
        return self

    def sees(self, *orders: OpenOrder, seen: Seen = Seen.LIVE, **more: Any) -> list[OrderEvent]:
        """A frame, unless `seen` says otherwise: what it leads to."""
        self.at += self.seconds
        more.setdefault("clock_offset_minutes", OFFSET)
        look = Look(
            orders=orders,
            seen=seen,
            at_utc=UTC_0 + timedelta(seconds=self.at),
            history_asked_at_utc=None
            if self.history_at is None
            else UTC_0 + timedelta(seconds=self.history_at),
            contexts={each.symbol: CONTEXT for each in orders},
            **more,
        )
        self.result = diff(self.book, look)
        self.late = [fact.message for fact in self.result.late]
        told = [fact.message for fact in self.result.facts]
        self.all += told
        self.all_late += self.late
        facts = (*self.result.late, *self.result.facts)
        self.identities += [(type(fact.message).__name__, fact.identity) for fact in facts]
        return told

    def starts(self, *orders: OpenOrder) -> list[OrderEvent]:
        return self.sees(*orders, seen=Seen.BASELINE)

    def snapshot(self, *orders: OpenOrder, **more: Any) -> list[OrderEvent]:
        return self.sees(*orders, seen=Seen.MISSED, **more)

    def reads_history(self, *orders: OpenOrder, **more: Any) -> list[OrderEvent]:
        """`closed` is all that it holds."""
        self.history_at = self.at + self.seconds
        return self.snapshot(*orders, has_history=True, **more)

    def reopened(self) -> Watch:
        """As another owner restores it."""
        former = self.book
        self.book = Book(former.account, former.platform, former.mode, former.limits)
        self.book.restore_rest(json.encode(former.rest()))
        for closed in former.closed.values():
            self.book.restore_closed(json.decode(json.encode(closed), type=Closed))
        for root in former.roots.values():
            self.book.restore_root(json.decode(json.encode(root), type=Root))
        self.book.follow(former.platform, former.mode)
        return self


def mt4() -> Watch:
    watch = Watch(Platform.MT4)
    watch.starts()
    return watch


def hedging() -> Watch:
    watch = Watch()
    watch.starts()
    return watch


def netting() -> Watch:
    watch = Watch(mode=Mode.NETTING)
    watch.starts()
    return watch


def names(events: list[OrderEvent]) -> list[str]:
    return [type(event).__name__ for event in events]
