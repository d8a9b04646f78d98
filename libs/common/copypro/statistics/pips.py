"""Pips, symbol by symbol: no MetaTrader report prints them, and there is no standard beyond currencies.

Currencies: 5 and 4 digits 0.0001, 3 and 2 digits 0.01. Applied blindly to metals that gives what no
broker says, so a table of patterns goes first. Used in no other metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase

from msgspec import Struct

from copypro.statistics.curve import RATIO
from copypro.statistics.facts import ZERO, Absent, Figure, Trade
from copypro.values import Side

PIP_OF: Mapping[str, Decimal] = {
    "XAU*": Decimal("0.1"),
    "GOLD*": Decimal("0.1"),
    "XAG*": Decimal("0.01"),
    "SILVER*": Decimal("0.01"),
}
"""By pattern of the symbol in capitals, the first that fits: what brokers' calculators use."""


class PipTrade(Struct, frozen=True):
    ticket: int
    closed_at: datetime
    pips: Decimal


class Pips(Struct, frozen=True):
    total: Figure
    average: Figure
    average_win: Figure
    average_loss: Figure
    best: PipTrade | None
    worst: PipTrade | None
    sizes: Mapping[str, Decimal]


class _Symbol:
    """Moves of one symbol in price: the pip is known once all its digits were seen."""

    def __init__(self) -> None:
        self.won = self.lost = ZERO
        self.closes = ZERO
        """Of closing prices, which are deals' own: an opening price may be an average of several, with
        more digits than the symbol has. A sum has the digits of its longest part.
        """
        self.best: tuple[Decimal, Trade] | None = None
        self.worst: tuple[Decimal, Trade] | None = None


class PipTotals:
    def __init__(self) -> None:
        self._symbols: dict[str, _Symbol] = {}
        self._wins = self._losses = 0

    def feed(self, trades: Sequence[Trade], won: Sequence[bool]) -> None:
        """Trades without both prices have no pips and count in no average of them."""
        for trade, win in zip(trades, won, strict=True):
            opened, closed = trade.open_price, trade.close_price
            if opened is None or closed is None:
                continue
            symbol = self._symbols.get(trade.symbol)
            if symbol is None:
                symbol = self._symbols[trade.symbol] = _Symbol()
            symbol.closes += closed
            move = closed - opened if trade.side is Side.BUY else opened - closed
            if win:
                symbol.won += move
                self._wins += 1
            else:
                symbol.lost += move
                self._losses += 1
            if symbol.best is None or move > symbol.best[0]:
                symbol.best = (move, trade)
            if symbol.worst is None or move < symbol.worst[0]:
                symbol.worst = (move, trade)

    def so_far(self) -> Pips:
        sizes = {name: self._size(name, symbol) for name, symbol in self._symbols.items()}
        if not sizes:
            absent = Absent("no trade whose open and close price are known")
            return Pips(absent, absent, absent, absent, None, None, {})
        won = sum((s.won / sizes[name] for name, s in self._symbols.items()), ZERO)
        lost = sum((s.lost / sizes[name] for name, s in self._symbols.items()), ZERO)
        best = [_pips(s.best, sizes[name]) for name, s in self._symbols.items() if s.best]
        worst = [_pips(s.worst, sizes[name]) for name, s in self._symbols.items() if s.worst]
        return Pips(
            total=won + lost,
            average=RATIO.divide(won + lost, Decimal(self._wins + self._losses)),
            average_win=_average(won, self._wins, "no winning trade"),
            average_loss=_average(lost, self._losses, "no losing trade"),
            best=max(best, key=lambda found: found.pips),
            worst=min(worst, key=lambda found: found.pips),
            sizes=sizes,
        )

    def _size(self, name: str, symbol: _Symbol) -> Decimal:
        return pip_size(name, max(0, -_exponent(symbol.closes)))


def pip_size(symbol: str, digits: int) -> Decimal:
    name = symbol.upper()
    for pattern, size in PIP_OF.items():
        if fnmatchcase(name, pattern):
            return size
    return Decimal(1).scaleb(-(digits - 1 if digits in (3, 5) else digits))


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _pips(found: tuple[Decimal, Trade], size: Decimal) -> PipTrade:
    move, trade = found
    return PipTrade(trade.shown_ticket, trade.closed_at, RATIO.divide(move, size))


def _average(total: Decimal, count: int, why: str) -> Figure:
    return RATIO.divide(total, Decimal(count)) if count else Absent(why)
