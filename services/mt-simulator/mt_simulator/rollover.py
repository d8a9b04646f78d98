"""Swap: what a position costs or earns for each night it is held. Pure.

A night is charged when the server's day ends, in points of the price for a lot; the one after the
triple day counts for the weekend, whose own nights are free.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal

from mt_simulator.model import Order, Symbol

FRIDAY = 4


def nights(since: date, until: date) -> Iterator[date]:
    """The days whose ends lie between: each is a night."""
    for number in range((until - since).days):
        yield since + timedelta(days=number)


def times(symbol: Symbol, night: date) -> int:
    """For how many nights that one is charged."""
    if night.weekday() == symbol.triple_swap_weekday:
        return 3
    return 1 if night.weekday() <= FRIDAY else 0


def swap_of(order: Order, symbol: Symbol, count: int, rate: Decimal) -> Decimal:
    """In the account's currency, which `rate` of the profit's is worth; rounded to cents."""
    points = symbol.swap_long if order.buy else symbol.swap_short
    raw = points * symbol.point * symbol.contract_size * order.lots * count * rate
    return raw.quantize(Decimal("0.01"))


def held_over(orders: Iterable[Order], night: date) -> list[Order]:
    """The positions that were open when that day ended."""
    return [order for order in orders if not order.pending and order.opened_at.date() <= night]
