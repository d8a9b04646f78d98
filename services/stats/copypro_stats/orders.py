"""Open and closed orders. A root, which nobody is shown, is what its closings will tell. Pure."""

from __future__ import annotations

from copypro import collections as c
from copypro import messages as m
from copypro.account_history import ADDED
from copypro.trading import OpenOrder

from copypro_stats.patch import Fields, Patch, broker_time, iso, number

Positioned = (
    m.PositionOpened
    | m.PositionIncreased
    | m.PositionModified
    | m.PositionReduced
    | m.PositionClosed
)
_ENTRY_COST = "EntryCost"
"""As imported statements call it, too."""


def listed(event: m.AccountSnapshot) -> Patch:
    orders = [_open_order(order) for order in event.orders]
    return Patch(c.OPEN_ORDERS, event.account, {"account": event.account, "orders": orders})


def _open_order(order: OpenOrder) -> Fields:
    return {
        "ticket": order.ticket,
        "open_time": broker_time(order.opened_at_broker),
        "type": order.kind.value,
        "lots": str(order.lots),
        "symbol": order.symbol,
        "open_price": str(order.open_price),
        "stop_loss": number(order.stop_loss),
        "take_profit": number(order.take_profit),
        "close_price": number(order.market_price),
        "magic": order.magic,
        "swap": str(order.swap),
        "commission": str(order.commission),
        "comment": order.comment,
        "profit": str(order.profit),
        "digits": order.digits or 0,
        "expiration": broker_time(order.expires_at_broker) if order.expires_at_broker else None,
    }


# --- positions --------------------------------------------------------------------------------------


def opened(event: m.PositionOpened) -> list[Patch]:
    opened_at = broker_time(event.opened_at_broker)
    fields = {
        "account": event.account,
        "root": event.root,
        "ticket": event.deal.ticket,
        "opened_as": event.ticket,
        "type": event.side.value,
        "symbol": event.symbol,
        "open_time": opened_at,
        "time": opened_at,
        "open_price": str(event.open_price),
        "magic": event.magic,
        "comment": event.comment,
        "stop_loss": number(event.stop_loss),
        "take_profit": number(event.take_profit),
        # What stands when its account is added again shows the average of what it grew by.
        f"{ADDED}1": None,
    }
    fields |= _cost(event)
    if event.seen is m.Seen.BASELINE:
        # Its account may have been removed while it stood: what was known of it then is over.
        root = Patch(*_root(event), fields, builds_on=_root(event), anew=True)
    else:
        root = Patch(*_root(event), fields)
    return [root, *_paid_to_open(event)]


def increased(event: m.PositionIncreased) -> Patch:
    grown = {
        "lots": str(event.lots),
        "open_lots": str(event.open_lots),
        "price": str(event.deal.price),
    }
    return _learned(event, {f"{ADDED}{event.leg}": grown})


def modified(event: m.PositionModified) -> Patch:
    stops = {"stop_loss": number(event.stop_loss), "take_profit": number(event.take_profit)}
    return _learned(event, stops)


def reduced(event: m.PositionReduced) -> list[Patch]:
    """What opening it cost is told with the piece that ends it."""
    cost = _cost(event)
    learned = [_learned(event, cost)] if cost else []
    return [*learned, *_paid_to_open(event), _closed_order(event, {"entry_cost": None})]


def closed(event: m.PositionClosed) -> list[Patch]:
    told = {"symbol": event.symbol, "type": event.side.value} | _cost(event)
    ended = Patch(*_root(event), None)
    return [*_paid_to_open(event), _closed_order(event, told), ended]


def _root(event: Positioned) -> tuple[str, str]:
    return c.ROOTS, f"{event.account}/{event.root}"


def _learned(event: Positioned, fields: Fields) -> Patch:
    """Besides the opening, for its closings."""
    return Patch(*_root(event), fields, builds_on=_root(event))


def _cost(event: m.PositionOpened | m.PositionReduced | m.PositionClosed) -> Fields:
    cost = event.deal.entry_cost
    return {"entry_cost": str(cost)} if cost else {}


def _paid_to_open(event: m.PositionOpened | m.PositionReduced | m.PositionClosed) -> list[Patch]:
    """What opening cost moves the balance when the position opens, and belongs to no trade. A broker
    may tell it then, when it closes, or both times: it is one operation, at the time of the opening.
    """
    deal = event.deal
    if not deal.entry_cost:
        return []
    paid: Fields = {
        "account": event.account,
        "kind": _ENTRY_COST,
        "amount": str(deal.entry_cost),
        "comment": "",
    }
    if isinstance(event, m.PositionOpened):
        paid |= {"ticket": deal.ticket, "time": broker_time(event.opened_at_broker)}
    place = f"{event.account}/{_ENTRY_COST}/{event.root}"
    return [Patch(c.OPERATIONS, place, paid, builds_on=_root(event))]


def _closed_order(event: m.PositionReduced | m.PositionClosed, told: Fields) -> Patch:
    deal = event.deal
    at = broker_time(deal.time_broker) if deal.time_broker else iso(event.seen_at_utc)[:23]
    fields = {
        "account": event.account,
        "root": event.root,
        "ticket": event.ticket,
        "flat": isinstance(event, m.PositionClosed),
        "deal": deal.ticket,
        "lots": str(deal.lots),
        "close_price": str(deal.price),
        "closed_at": at,
        "profit": str(deal.profit),
        "swap": str(deal.swap),
        "commission": str(deal.commission),
        "fee": str(deal.fee),
        "reason": event.reason.value,
    }
    # Not by its sequence, which begins anew when the account is removed and added again.
    row = f"{event.account}/{event.root}/{deal.ticket}/{at}"
    return Patch(c.CLOSED_ORDERS, row, fields | told, builds_on=_root(event))
