"""Runs of wins and of losses, with MetaTrader's own rule for which of two equal ones is shown."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from decimal import Decimal

from copypro.statistics.facts import ZERO


class Longest:
    """Of the runs of one kind: the longest, the most valuable, and how many trades in how many.

    A later run replaces the longest one if it is longer, or as long and worth more than the most
    valuable run so far of any length (MetaQuotes' SummaryReport, mql5.com article 1403).
    """

    def __init__(self) -> None:
        self.length, self.money = 0, ZERO
        self.best_money, self.best_length = ZERO, 0
        self.trades, self.count = 0, 0

    def add(self, length: int, money: Decimal) -> None:
        worth = abs(money)
        self.trades += length
        self.count += 1
        if length > self.length or (length == self.length and worth > abs(self.best_money)):
            self.length, self.money = length, money
        if worth > abs(self.best_money):
            self.best_money, self.best_length = money, length
        elif worth == abs(self.best_money) and length > self.best_length:
            self.best_length = length

    @property
    def average(self) -> int:
        """MetaTrader adds a half and cuts."""
        return (2 * self.trades + self.count) // (2 * self.count) if self.count else 0


class Runs:
    """Fed with results in order, in blocks of any size."""

    def __init__(self) -> None:
        self._wins, self._losses = Longest(), Longest()
        self._winning, self._length, self._money = True, 0, ZERO

    def feed(self, results: Sequence[Decimal], won: Sequence[bool]) -> None:
        winning, length, money = self._winning, self._length, self._money
        for result, win in zip(results, won, strict=True):
            if win is winning:
                length += 1
                money += result
                continue
            if length:
                (self._wins if winning else self._losses).add(length, money)
            winning, length, money = win, 1, result
        self._winning, self._length, self._money = winning, length, money

    def so_far(self) -> tuple[Longest, Longest]:
        """Wins and losses, the run that has not ended included."""
        wins, losses = copy(self._wins), copy(self._losses)
        if self._length:
            (wins if self._winning else losses).add(self._length, self._money)
        return wins, losses
