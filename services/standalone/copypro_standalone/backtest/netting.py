"""A netting account's deals as what happened to its positions: one per symbol. Pure.

A report's rows of such an account say what each close closed, at an average price; its deals say each
increase at its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from copypro.statements.rows import DealRow, Statement
from copypro.values import Mode, Side
from msgspec import Struct

from copypro_standalone.backtest.history import (
    CREDITS,
    Closed,
    Happening,
    Increased,
    Opened,
    Paid,
    utc,
)

APART = timedelta(milliseconds=10)
"""Deals of one second keep their order."""


class _Position(Struct):
    name: str
    side: Side
    lots: Decimal


def is_netting(statement: Statement) -> bool:
    return statement.header.mode is Mode.NETTING or any(
        deal.direction == "in/out" for deal in statement.deals
    )


def happenings(deals: Sequence[DealRow]) -> Iterator[Happening]:
    """What was opened before the report began is no trade of it: its close is money that came or went,
    and what a reversal of it opened has a volume that nobody knows, so that is none either.
    """
    positions: dict[str, _Position] = {}
    at: datetime | None = None
    for deal in sorted(deals, key=lambda deal: (deal.time, deal.ticket)):
        at = deal.time if at is None else max(deal.time, at + APART)
        if not deal.direction:
            is_credit = deal.kind in CREDITS
            yield Paid(at=utc(at), amount=deal.amount, is_credit=is_credit)
            continue
        position = positions.get(deal.symbol)
        left = deal.lots
        if deal.direction != "in" and position is not None:
            closed = min(left, position.lots)
            yield _closed(deal, at, position, closed)
            position.lots -= closed
            left -= closed
            if not position.lots:
                del positions[deal.symbol]
        elif deal.direction != "in" and deal.amount:
            yield Paid(at=utc(at), amount=deal.amount)
        is_reversal = deal.direction == "in/out" and position is not None and left > 0
        if deal.direction == "in" or is_reversal:
            at += APART if is_reversal else timedelta()
            yield from _entered(deal, at, left, positions)


def _closed(deal: DealRow, at: datetime, position: _Position, lots: Decimal) -> Closed:
    return Closed(
        at=utc(at),
        position=position.name,
        lots=lots,
        price=deal.price,
        profit=deal.profit,
        costs=deal.swap + deal.commission + deal.fee,
    )


def _entered(
    deal: DealRow, at: datetime, lots: Decimal, positions: dict[str, _Position]
) -> Iterator[Happening]:
    cost = deal.amount if deal.direction == "in" else Decimal(0)
    position = positions.get(deal.symbol)
    if position is not None:
        position.lots += lots
        yield Increased(at=utc(at), position=position.name, lots=lots, price=deal.price, cost=cost)
        return
    name = f"{deal.ticket}"
    side = Side.BUY if deal.kind == "buy" else Side.SELL
    positions[deal.symbol] = _Position(name, side, lots)
    yield Opened(
        at=utc(at),
        position=name,
        ticket=deal.order or deal.ticket,
        symbol=deal.symbol,
        side=side,
        lots=lots,
        price=deal.price,
        comment=deal.comment,
        cost=cost,
    )
