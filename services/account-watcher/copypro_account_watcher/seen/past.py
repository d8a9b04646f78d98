"""What is told as an account's past, for those who count money alone: never copied. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from copypro.messages import (
    BalanceChanged,
    Deal,
    OrderEvent,
    PositionClosed,
    PositionOpened,
    PositionReduced,
    Seen,
)
from copypro.trading import ClosedOrder, History
from copypro.values import AccountId, RootId, Ticket
from msgspec.structs import replace


def imported_operations(
    account: AccountId, history: History, now: datetime
) -> Iterable[tuple[tuple[object, ...], OrderEvent]]:
    for operation in history.operations:
        message = BalanceChanged(
            account=account,
            ticket=operation.ticket,
            kind=operation.kind,
            amount=operation.amount,
            time_broker=operation.time_broker,
            seen=Seen.IMPORTED,
            seen_at_utc=now,
            comment=operation.comment,
        )
        yield ("balance", operation.ticket), message


def imported_positions(
    account: AccountId,
    closed: Iterable[ClosedOrder],
    now: datetime,
    opened: Container[Ticket] = (),
) -> Iterable[tuple[tuple[object, ...], OrderEvent]]:
    """Each ticket's pieces as one root: opened with their sum, reduced piece by piece, closed.
    `opened`: tickets whose opening is told otherwise, with what it cost; these are parts of them.
    """
    pieces = sorted(
        (piece for piece in closed if not piece.cancelled and not piece.kind.is_pending),
        key=lambda piece: (piece.ticket, piece.closed_at_broker, piece.deal),
    )
    for ticket, group in groupby(pieces, key=lambda piece: piece.ticket):
        parts = list(group)
        if ticket in opened:
            parts = [replace(part, entry_cost=Decimal(0)) for part in parts]
        yield from imported_root(account, RootId(f"imported:{ticket}"), parts, now)


def imported_root(
    account: AccountId, root: RootId, parts: list[ClosedOrder], now: datetime
) -> Iterable[tuple[tuple[object, ...], OrderEvent]]:
    first = parts[0]
    ever = sum((part.lots for part in parts), start=first.lots * 0)
    opened = PositionOpened(
        account=account,
        root=root,
        ticket=first.ticket,
        symbol=first.symbol,
        side=first.kind.side,
        lots=ever,
        open_price=first.open_price,
        opened_at_broker=first.opened_at_broker,
        opened_at_utc=first.opened_at_utc,
        seen=Seen.IMPORTED,
        seen_at_utc=now,
        deal=Deal(
            ticket=first.ticket,
            sequence=0,
            lots=ever,
            price=first.open_price,
            entry_cost=sum((part.entry_cost for part in parts), Decimal(0)),
            time_broker=first.opened_at_broker,
            time_utc=first.opened_at_utc,
        ),
        stop_loss=first.stop_loss,
        take_profit=first.take_profit,
        magic=first.magic,
        comment=first.comment,
    )
    yield ("opened", root, ever), opened
    rest = ever
    for sequence, part in enumerate(parts, start=1):
        rest -= part.lots
        deal = Deal(
            ticket=part.deal,
            sequence=sequence,
            lots=part.lots,
            price=part.close_price,
            profit=part.profit,
            swap=part.swap,
            commission=part.commission,
            fee=part.fee,
            time_broker=part.closed_at_broker,
            time_utc=part.closed_at_utc,
        )
        if sequence < len(parts):
            reduced = PositionReduced(
                account=account,
                root=root,
                ticket=part.ticket,
                open_lots=rest,
                ever_lots=ever,
                seen_at_utc=now,
                deal=deal,
                reason=part.reason,
            )
            yield ("reduced", root, part.deal), reduced
            continue
        closed = PositionClosed(
            account=account,
            root=root,
            ticket=part.ticket,
            symbol=part.symbol,
            side=part.kind.side,
            seen=Seen.IMPORTED,
            seen_at_utc=now,
            deal=deal,
            reason=part.reason,
        )
        yield ("closed", root, part.deal), closed
