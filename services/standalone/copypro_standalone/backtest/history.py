"""What a master did, in order. Pure. `account_events`, `netting` and `of_trades` make it.

Times are the broker's own clock, taken as UTC: a replay needs the distances only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from copypro.values import Mode, Platform, Side
from msgspec import Struct

from copypro_standalone.replay import Trade, events

ZERO = Decimal(0)
CREDITS = ("credit", "bonus")


class Opened(Struct, frozen=True, kw_only=True):
    at: datetime
    position: str
    ticket: int
    symbol: str
    side: Side
    lots: Decimal
    price: Decimal
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    magic: int = 0
    comment: str = ""
    cost: Decimal = ZERO
    """What opening it moved the balance by: MT5's commission on entry, in no closing's costs."""


class Increased(Struct, frozen=True, kw_only=True):
    at: datetime
    position: str
    lots: Decimal
    price: Decimal
    cost: Decimal = ZERO


class Modified(Struct, frozen=True, kw_only=True):
    at: datetime
    position: str
    stop_loss: Decimal | None
    take_profit: Decimal | None


class Closed(Struct, frozen=True, kw_only=True):
    """All of a position, or a piece of it."""

    at: datetime
    position: str
    lots: Decimal
    price: Decimal
    profit: Decimal | None = None
    """By the price alone, as the broker booked it; None: not known."""
    costs: Decimal = ZERO


class Paid(Struct, frozen=True, kw_only=True):
    at: datetime
    amount: Decimal
    is_credit: bool = False
    is_cost: bool = False
    """Of an entry, told beside its trade, as an imported report does."""


Happening = Opened | Increased | Modified | Closed | Paid


class History(Struct, frozen=True, kw_only=True):
    name: str
    platform: Platform
    mode: Mode
    currency: str
    balance: Decimal
    """Before the first happening."""
    happenings: Sequence[Happening]
    unopened: Sequence[str] = ()
    """Positions whose closing is known and whose opening is not."""
    knows_stops: bool = False
    """Stops are as they were at each moment; else as a statement prints them, the last ones only."""

    def opened(self) -> Iterator[Opened]:
        return (one for one in self.happenings if isinstance(one, Opened))

    def closed(self) -> Iterator[Closed]:
        return (one for one in self.happenings if isinstance(one, Closed))


def in_order(happenings: Iterable[Happening]) -> list[Happening]:
    """Of one moment: what closes an older position, what opens, what changes and closes that. Of
    equals, as they were told.
    """
    known = list(happenings)
    opened = {one.position: one.at for one in known if isinstance(one, Opened)}
    return sorted(known, key=lambda one: (one.at, _rank(one, opened)))


def _rank(happening: Happening, opened: Mapping[str, datetime]) -> int:
    match happening:
        case Paid():
            return 3 if happening.is_cost else 0
        case Closed() if opened.get(happening.position) != happening.at:
            return 1
        case Opened():
            return 2
        case Increased() | Modified():
            return 3
        case _:
            return 4


def begun(history: History) -> History:
    """What was paid before the first trade is the balance that it starts with."""
    first = next((one.at for one in history.opened()), None)
    before = [
        one
        for one in history.happenings
        if isinstance(one, Paid)
        and not (one.is_credit or one.is_cost)
        and first is not None
        and one.at <= first
    ]
    return msgspec.structs.replace(
        history,
        balance=history.balance + booked(before),
        happenings=[one for one in history.happenings if one not in before],
    )


def booked(happenings: Iterable[Happening]) -> Decimal:
    """By how much they move a balance."""
    moved = ZERO
    for one in happenings:
        if isinstance(one, Closed):
            moved += (one.profit or ZERO) + one.costs
        elif isinstance(one, Opened | Increased):
            moved += one.cost
        elif isinstance(one, Paid) and not one.is_credit:
            moved += one.amount
    return moved


# --- a table of trades --------------------------------------------------------------------------


def of_trades(trades: Sequence[Trade], name: str, currency: str, balance: Decimal) -> History:
    """As `make demo` replays them: no costs, no stops, and profits that only the book will tell."""
    played: list[Happening] = []
    for event in events(trades):
        trade, at = event.trade, _time(event.at)
        if event.opens:
            played.append(
                Opened(
                    at=at,
                    position=f"{trade.number}",
                    ticket=trade.number,
                    symbol=trade.symbol,
                    side=Side(trade.side),
                    lots=trade.lots,
                    price=trade.open_price,
                )
            )
        else:
            position, price = f"{trade.number}", trade.close_price
            played.append(Closed(at=at, position=position, lots=trade.lots, price=price))
    return History(
        name=name,
        platform=Platform.MT4,
        mode=Mode.HEDGING,
        currency=currency,
        balance=balance,
        happenings=played,
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(".", "-")).replace(tzinfo=UTC)


def utc(broker: datetime) -> datetime:
    return broker.replace(tzinfo=UTC)


def with_stops(history: History, *, wanted: bool) -> History:
    """A statement's stops are those at the end of each trade: played only if somebody wants that, and
    only where they could have stood at the opening.
    """
    if history.knows_stops:
        return history
    happenings = [
        _restopped(one, wanted=wanted) if isinstance(one, Opened) else one
        for one in history.happenings
    ]
    return msgspec.structs.replace(history, happenings=happenings)


def _restopped(opened: Opened, *, wanted: bool) -> Opened:
    sign = 1 if opened.side is Side.BUY else -1

    def kept(level: Decimal | None, beyond: int) -> Decimal | None:
        if level is None or not wanted or (level - opened.price) * beyond <= 0:
            return None
        return level

    return msgspec.structs.replace(
        opened,
        stop_loss=kept(opened.stop_loss, -sign),
        take_profit=kept(opened.take_profit, sign),
    )
