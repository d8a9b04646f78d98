"""An account's events as what happened on it: live ones as they were seen, imported ones row by row. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any

from copypro import messages as m
from copypro.values import Mode, Platform, RootId, Ticket
from copypro_account_watcher.seen.book import CLOCKS_APART
from copypro_account_watcher.seen.evidence import from_ticket, to_ticket
from msgspec import Struct

from copypro_standalone.backtest.history import (
    CREDITS,
    ZERO,
    Closed,
    Happening,
    History,
    Increased,
    Modified,
    Opened,
    Paid,
    booked,
    in_order,
    utc,
)

ENTRY_COST = "EntryCost"
"""As imported statements call it."""
UNNAMED = "UNNAMED"
"""The symbol of a test whose report does not say it."""


class Told(Struct, frozen=True, kw_only=True):
    """What an account's events say of it, besides what happened on it."""

    name: str
    platform: Platform
    mode: Mode = Mode.HEDGING
    currency: str = ""
    balance: Decimal | None = None
    """After all of them, or at a moment before one."""


def of_events(account_events: Iterable[Any], told: Told, balance: Decimal | None) -> History:
    """`balance`: where it begins, if somebody says so; else it follows from the last one known."""
    known = list(account_events)
    openings = (one for one in known if isinstance(one, m.PositionOpened))
    positions = _Positions(openings, _entry_costs(known))
    happenings = in_order([*positions.opened(), *_later(known, positions)])
    return History(
        name=told.name,
        platform=told.platform,
        mode=told.mode,
        currency=told.currency,
        balance=start_of(told, happenings) if balance is None else balance,
        happenings=happenings,
        unopened=[
            f"{one.ticket}"
            for one in known
            if isinstance(one, m.PositionClosed) and one.root not in positions.by_root
        ],
        knows_stops=any(
            isinstance(one, m.PositionOpened) and one.seen is not m.Seen.IMPORTED for one in known
        ),
    )


def live_start(account_events: Iterable[Any]) -> Decimal | None:
    """The balance before all of them, from what the account had at the first look that tells it, by the
    watcher's own clock: a broker's has whole seconds. None: no look tells it.
    """
    known = list(account_events)
    looks = (one for one in known if isinstance(one, m.PositionOpened | m.PositionIncreased))
    first = next((one for one in looks if one.context is not None), None)
    if first is None or first.context is None:
        return None
    until = first.seen_at_utc
    costs = _entry_costs(known)
    past = {one.root for one in known if isinstance(one, m.PositionOpened) and _is_imported(one)}
    moved = (
        _moved(one, costs) for one in known if isinstance(one, _MOVES) and _is_by(one, until, past)
    )
    return first.context.figures.balance - sum(moved, ZERO)


_MOVES = (m.PositionOpened, m.PositionReduced, m.PositionClosed, m.BalanceChanged)


def _entry_costs(events: Iterable[Any]) -> dict[RootId, Decimal]:
    """A broker tells it when the position opens, when it closes, or both times: it is one, and moves
    the balance at the opening.
    """
    return {
        event.root: event.deal.entry_cost
        for event in events
        if isinstance(event, m.PositionOpened | m.PositionReduced | m.PositionClosed)
        and event.deal.entry_cost
    }


def _is_by(event: Any, until: datetime, past: Container[RootId]) -> bool:
    """What was imported happened before the account was followed, unless its deal says another time: a
    part that nobody saw is told so as well. `past`: its roots.
    """
    is_past = event.root in past if isinstance(event, m.PositionReduced) else _is_imported(event)
    deal_at = None if isinstance(event, m.BalanceChanged) else event.deal.time_utc
    is_later = deal_at is not None and deal_at > until + CLOCKS_APART
    return event.seen_at_utc <= until or (is_past and not is_later)


def _is_imported(event: m.PositionOpened | m.PositionClosed | m.BalanceChanged) -> bool:
    return event.seen is m.Seen.IMPORTED


def _moved(event: Any, costs: Mapping[RootId, Decimal]) -> Decimal:
    if isinstance(event, m.PositionOpened):
        return costs.get(event.root, ZERO)
    if isinstance(event, m.BalanceChanged):
        return booked([_paid(event)])
    return booked([_closed(event, "", timedelta())])


def start_of(told: Told, happenings: Iterable[Happening]) -> Decimal:
    """What the last known balance was before all of them; 0 where nobody knows it."""
    return ZERO if told.balance is None else told.balance - booked(happenings)


class _Positions:
    """Which openings are one position: a report has a row for each piece that was closed."""

    def __init__(
        self, openings: Iterable[m.PositionOpened], costs: Mapping[RootId, Decimal]
    ) -> None:
        self._costs = costs
        self._pieces: dict[str, list[m.PositionOpened]] = {}
        self.by_root: dict[str, str] = {}
        rows = list(openings)
        former = _chains([row for row in rows if _is_row(row)])
        for row in sorted(rows, key=attrgetter("ticket")):
            position = row.root
            if _is_row(row):
                first = _first(row.ticket, former)
                position = RootId(f"{first}/{row.side}/{row.symbol}/{row.opened_at_broker}")
            pieces = self._pieces.setdefault(position, [])
            # Seen live once more, its account was added again: it stood already.
            if _is_imported(row) or not pieces:
                pieces.append(row)
            self.by_root[row.root] = position

    def opened(self) -> Iterator[Opened]:
        for position, pieces in self._pieces.items():
            first = pieces[0]
            yield Opened(
                at=utc(first.opened_at_broker),
                position=position,
                ticket=first.ticket,
                symbol=first.symbol or UNNAMED,
                side=first.side,
                lots=sum((piece.lots for piece in pieces), ZERO),
                price=first.open_price,
                stop_loss=pieces[-1].stop_loss,
                take_profit=pieces[-1].take_profit,
                magic=first.magic,
                comment=""
                if from_ticket(first.comment) or to_ticket(first.comment)
                else first.comment,
                cost=sum((self._costs.get(piece.root, ZERO) for piece in pieces), ZERO),
            )


def _is_row(event: m.PositionOpened) -> bool:
    return event.root.startswith("statement:")


def _chains(rows: Iterable[m.PositionOpened]) -> dict[int, int]:
    """MT4: the ticket before each that carried on after a partial close, where its comment says so."""
    known = {row.ticket: row for row in rows}
    former: dict[int, int] = {}
    for row in known.values():
        for one, two in (
            (from_ticket(row.comment), row.ticket),
            (row.ticket, to_ticket(row.comment)),
        ):
            before, after = known.get(Ticket(one or 0)), known.get(Ticket(two or 0))
            if before and after and before is not after and _shape(before) == _shape(after):
                former[after.ticket] = before.ticket
    return former


def _shape(row: m.PositionOpened) -> tuple[object, ...]:
    return row.symbol, row.side, row.open_price, row.opened_at_broker


def _first(ticket: int, former: dict[int, int]) -> int:
    seen = {ticket}
    while (before := former.get(ticket)) is not None and before not in seen:
        seen.add(before)
        ticket = before
    return ticket


def _later(known: Iterable[Any], positions: _Positions) -> Iterator[Happening]:
    offset: timedelta = timedelta()
    for event in known:
        if isinstance(event, m.AccountConnected) and event.clock_offset_minutes is not None:
            offset = timedelta(minutes=event.clock_offset_minutes)
        if isinstance(event, m.BalanceChanged):
            yield _paid(event)
        position = positions.by_root.get(getattr(event, "root", ""))
        if isinstance(event, m.PositionReduced | m.PositionClosed):
            closed = _closed(event, position or "", offset)
            # What opened before the history began is no trade of it, but moved its balance.
            yield Paid(at=closed.at, amount=booked([closed])) if position is None else closed
        elif position is None:
            continue
        elif isinstance(event, m.PositionIncreased):
            deal = event.deal
            at = _moment(deal, event.seen_at_utc, offset)
            yield Increased(at=at, position=position, lots=deal.lots, price=deal.price)
        elif isinstance(event, m.PositionModified):
            yield Modified(
                at=utc((event.seen_at_utc + offset).replace(tzinfo=None)),
                position=position,
                stop_loss=event.stop_loss,
                take_profit=event.take_profit,
            )


def _closed(
    event: m.PositionReduced | m.PositionClosed, position: str, offset: timedelta
) -> Closed:
    deal = event.deal
    return Closed(
        at=_moment(deal, event.seen_at_utc, offset),
        position=position,
        lots=deal.lots,
        price=deal.price,
        profit=deal.profit,
        costs=deal.swap + deal.commission + deal.fee,
    )


def _paid(event: m.BalanceChanged) -> Paid:
    is_credit = event.kind.casefold() in CREDITS
    return Paid(
        at=utc(event.time_broker),
        amount=event.amount,
        is_credit=is_credit,
        is_cost=event.kind == ENTRY_COST,
    )


def _moment(deal: m.Deal, seen_at_utc: datetime, offset: timedelta) -> datetime:
    if deal.time_broker is not None:
        return utc(deal.time_broker)
    return utc(((deal.time_utc or seen_at_utc) + offset).replace(tzinfo=None))
