"""What an account's statistics are made of beside its closed orders: operations and equity. Pure."""

from __future__ import annotations

from copypro import collections as c
from copypro import messages as m

from copypro_stats.patch import Event, Patch, broker_time, iso


def history_of(event: Event) -> str | None:
    """The account whose statistics an event changes. Of recorded equity only the first minute of an
    hour counts: statistics are made from the whole history, and not every minute.
    """
    match event:
        case m.PositionReduced() | m.PositionClosed() | m.BalanceChanged():
            moves = True
        case m.PositionOpened(deal=deal):
            moves = bool(deal.entry_cost)
        case m.EquityRecorded(time_utc=at):
            moves = at.minute == 0
        case _:
            return None
    return event.account if moves else None


def operation(event: m.BalanceChanged) -> Patch:
    at = broker_time(event.time_broker)
    fields = {
        "account": event.account,
        "ticket": event.ticket,
        "kind": event.kind,
        "amount": str(event.amount),
        "time": at,
        "comment": event.comment,
    }
    place = f"{event.account}/{event.kind}/{event.ticket}/{'' if event.ticket else at}"
    return Patch(c.OPERATIONS, place, fields)


def equity(event: m.EquityRecorded) -> list[Patch]:
    at, offset = iso(event.time_utc), event.clock_offset_minutes
    fields = {
        "account": event.account,
        "time": at,
        "balance": str(event.balance),
        "equity": str(event.equity),
        "high": str(event.equity_high),
        "low": str(event.equity_low),
        "profit_high": {root: str(value) for root, value in event.profit_high.items()},
        "profit_low": {root: str(value) for root, value in event.profit_low.items()},
        "clock_offset_minutes": offset,
    }
    recorded = Patch(c.EQUITY, f"{event.account}/{at}", fields)
    if offset is None:
        return [recorded]
    # It is learned after the account connected, and moves twice a year while it stays so.
    return [recorded, Patch(c.ACCOUNTS, event.account, {"clock_offset_minutes": offset})]
