"""What is looked at: a list of an account's open orders, from a frame, a snapshot or beside history.

Pure.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from copypro.messages import Seen
from copypro.trading import BalanceOperation, ClosedOrder, Figures, OpenOrder, OrdersSeen
from copypro.values import TAG_LENGTH, Ticket
from msgspec import Struct


class Shown(Struct, frozen=True, kw_only=True):
    orders: tuple[OpenOrder, ...]
    figures: Figures
    seen: Seen
    """As what an entry counts that this shows first."""
    closed: tuple[ClosedOrder, ...] = ()
    operations: tuple[BalanceOperation, ...] = ()
    history_asked_at: float | None = None
    """On the monotonic clock; None: it was not read."""
    asked_at: float | None = None
    """On the monotonic clock; None: a frame, which may be of any time."""

    @property
    def has_history(self) -> bool:
        return self.history_asked_at is not None

    @property
    def is_whole(self) -> bool:
        """A list that was asked for."""
        return self.asked_at is not None

    @property
    def history(self) -> tuple[ClosedOrder, ...] | None:
        """What closed by the account's history; None: that was not read."""
        return self.closed if self.has_history else None


def by_frame(frame: OrdersSeen) -> Shown:
    return Shown(
        orders=frame.orders,
        figures=frame.figures,
        seen=Seen.LIVE,
        closed=() if frame.closed is None else (frame.closed,),
        operations=() if frame.operation is None else (frame.operation,),
    )


def shows_only(ours: Container[str], frame: OrdersSeen, known: Mapping[Ticket, OpenOrder]) -> bool:
    """All that changed since the list before is that positions with these tags opened."""
    if frame.closed is not None or frame.operation is not None:
        return False
    shown = 0
    for order in frame.orders:
        former = known.get(order.ticket)
        if former is None:
            if order.kind.is_pending or order.comment[:TAG_LENGTH] not in ours:
                return False
        elif order is former or _standing(order) == _standing(former):
            shown += 1
        else:
            return False
    return shown == len(known) < len(frame.orders)


def are_the_same_trades(some: Sequence[OpenOrder], others: Sequence[OpenOrder]) -> bool:
    """Whatever their levels are."""
    return {(o.ticket, o.kind, o.lots) for o in some} == {
        (o.ticket, o.kind, o.lots) for o in others
    }


def _standing(order: OpenOrder) -> tuple[object, ...]:
    """What only a change at the broker moves, unlike the market's price and profit."""
    return (
        order.kind,
        order.lots,
        order.open_price,
        order.stop_loss,
        order.take_profit,
        order.stop_limit_price,
        order.expires_at_broker,
    )
