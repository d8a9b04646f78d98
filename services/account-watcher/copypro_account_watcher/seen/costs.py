"""What trades cost on the account itself, by the lot: the latest that its broker told. Pure.

No bridge tells what a trade will cost. Some brokers charge when a position opens, some when it closes,
some both; MT4 writes it all on the order, MT5 on each deal. Parts are left out: how brokers divide the
cost of an order among them is not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from copypro.messages import Deal, OrderEvent, PositionClosed, PositionIncreased, PositionOpened
from copypro.trading import CloseReason, OpenOrder
from copypro.values import LARGEST
from msgspec import Struct
from msgspec.structs import replace

from copypro_account_watcher.seen.book import NEVER, Book, Cost
from copypro_account_watcher.seen.evidence import is_part

_EIGHT_PLACES = Decimal("1e-8")
_NOTHING = Decimal(0)
_CENT = Decimal("0.01")


class Known(Struct, frozen=True):
    """Of one lot, opened and closed, as far as it was seen; in the account's currency."""

    per_lot: Decimal = _NOTHING
    by: str = "none"
    """closed; open, where a closing may cost more; or none, where nothing was ever seen."""


def note_all(book: Book, events: Iterable[OrderEvent]) -> None:
    """What they tell, in the order of their times. A charge that is as before keeps its time: the book is
    not written for it.
    """
    told = [event for event in events if isinstance(event, PositionOpened | PositionClosed)]
    for event in sorted(told, key=lambda event: event.deal.time_broker or NEVER):
        note(book, event)


def note(book: Book, event: OrderEvent) -> None:
    """What it tells, unless something newer has."""
    if not isinstance(event, PositionOpened | PositionClosed):
        return
    deal, known = event.deal, book.costs.get(event.symbol, Cost())
    at = deal.time_broker or NEVER
    found = known
    if isinstance(event, PositionClosed):
        if deal.sequence > 1 or event.reason is CloseReason.CLOSE_BY:
            return
        charged = deal.commission + deal.fee
        is_told = deal.ticket > 0 or charged != 0
        found = _with_exit(found, _per_lot(charged, deal), at) if is_told else found
    if deal.entry_cost:
        found = _with_entry(found, _per_lot(deal.entry_cost, deal), at)
    if found != known:
        book.learn_cost(event.symbol, found)


def cost_of(symbol: str, costs: Mapping[str, Cost], standing: Iterable[OpenOrder]) -> Known:
    """Where no closing and no MT5 opening was seen: by the newest position that stands there."""
    known = costs.get(symbol)
    if known is not None:
        is_closed = known.exit is not None
        return Known(known.entry + (known.exit or _NOTHING), "closed" if is_closed else "open")
    charged = [
        order
        for order in standing
        if order.symbol == symbol
        and order.commission
        and order.lots > 0
        and not is_part(order.comment)
    ]
    newest = max(charged, key=lambda order: order.opened_at_broker, default=None)
    return Known() if newest is None else Known(-newest.commission / newest.lots, "open")


def is_usual(charged: Decimal, told: Iterable[OrderEvent], costs: Mapping[str, Cost]) -> bool:
    """Beside what these deals say: nothing, or what such openings were last charged, rounded, where the
    bridge tells it with their close alone.
    """
    added = (event for event in told if isinstance(event, PositionOpened | PositionIncreased))
    untold = (event for event in added if not event.deal.entry_cost)
    per_lot = ((costs.get(event.symbol, Cost()).entry, event.deal.lots) for event in untold)
    usual = -sum((entry * lots for entry, lots in per_lot), _NOTHING)
    return charged == 0 or abs(charged - usual) < _CENT <= abs(usual)


def _with_entry(known: Cost, per_lot: Decimal | None, at: datetime) -> Cost:
    if per_lot is None or per_lot == known.entry or at < known.entry_at:
        return known
    return replace(known, entry=per_lot, entry_at=at)


def _with_exit(known: Cost, per_lot: Decimal | None, at: datetime) -> Cost:
    if per_lot is None or per_lot == known.exit or at < known.exit_at:
        return known
    return replace(known, exit=per_lot, exit_at=at)


def _per_lot(charged: Decimal, deal: Deal) -> Decimal | None:
    """Above zero: it costs."""
    if deal.lots <= 0 or not abs(charged) <= LARGEST * deal.lots:
        return None
    return (-charged / deal.lots).quantize(_EIGHT_PLACES).normalize()
