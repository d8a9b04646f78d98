"""Which position an MT5 deal closed: a report lists deals without saying so.

A netting account has one position per symbol. On a hedging one the closed positions that a report
lists say when and at what price each ended; what they leave open is taken oldest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from copypro.statements.rows import ClosedRow, DealRow, Statement
from copypro.values import Mode, Side


class Matched(Struct, frozen=True):
    """`position`: the ticket of the position, 0 if it was opened before the report began."""

    position: int
    opened_at: datetime
    open_price: Decimal


class _Open(Struct):
    position: int
    side: Side
    lots: Decimal
    price: Decimal
    at: datetime


def matches(statement: Statement) -> Mapping[int, Matched]:
    """By the ticket of the closing deal; without those that opened before the report began."""
    return _matched(statement)[0]


def is_certain(statement: Statement) -> bool:
    """No deal could have closed one position as well as another."""
    return not _matched(statement)[1].guessed


def _matched(statement: Statement) -> tuple[Mapping[int, Matched], _Book]:
    deals = sorted(statement.deals, key=lambda deal: (deal.time, deal.ticket))
    is_netting = statement.header.mode is Mode.NETTING or any(
        deal.direction == "in/out" for deal in deals
    )
    book = _Book(_ends(statement.closed), is_netting=is_netting)
    found: dict[int, Matched] = {}
    for deal in deals:
        match = book.take(deal)
        if match is not None:
            found[deal.ticket] = match
    return found, book


def _ends(rows: Sequence[ClosedRow]) -> Mapping[tuple[str, datetime], list[ClosedRow]]:
    ends: dict[tuple[str, datetime], list[ClosedRow]] = defaultdict(list)
    for row in rows:
        ends[row.symbol, row.closed_at].append(row)
    return ends


class _Book:
    def __init__(
        self, ends: Mapping[tuple[str, datetime], list[ClosedRow]], *, is_netting: bool
    ) -> None:
        self._ends, self._is_netting = ends, is_netting
        self.guessed = False
        self._open: dict[str, list[_Open]] = defaultdict(list)

    def take(self, deal: DealRow) -> Matched | None:
        if deal.kind not in ("buy", "sell"):
            return None
        side = Side.BUY if deal.kind == "buy" else Side.SELL
        if deal.direction == "in":
            self._enter(deal, side, deal.lots)
            return None
        closed, left = self._leave(deal, side.opposite)
        if deal.direction == "in/out" and left > 0:
            self._enter(deal, side, left)
        return closed

    def _enter(self, deal: DealRow, side: Side, lots: Decimal) -> None:
        positions = self._open[deal.symbol]
        if self._is_netting and positions:
            one = positions[0]
            total = one.lots + lots
            one.price = (one.price * one.lots + deal.price * lots) / total if total else deal.price
            one.lots = total
            return
        positions.append(_Open(deal.order or deal.ticket, side, lots, deal.price, deal.time))

    def _leave(self, deal: DealRow, side: Side) -> tuple[Matched | None, Decimal]:
        """What it closed, and how much of the deal is left to open the other side."""
        positions = self._open[deal.symbol]
        first = self._chosen(deal, [one for one in positions if one.side is side])
        if first is None:
            return None, Decimal(0)
        match = Matched(first.position, first.at, first.price)
        left = deal.lots
        for one in (first, *(one for one in list(positions) if one.side is side)):
            taken = min(one.lots, left)
            one.lots, left = one.lots - taken, left - taken
            if not left:
                break
        positions[:] = [one for one in positions if one.lots > 0]
        return match, left

    def _chosen(self, deal: DealRow, candidates: Sequence[_Open]) -> _Open | None:
        ending = {
            row.ticket for row in self._ends.get((deal.symbol, deal.time), ())
            if row.close_price == deal.price
        }  # fmt: skip
        exact = [one for one in candidates if one.position in ending]
        same_lots = [one for one in (exact or candidates) if one.lots == deal.lots]
        self.guessed = self.guessed or len(same_lots or exact or candidates) > 1
        return next(iter(same_lots or exact or candidates), None)
