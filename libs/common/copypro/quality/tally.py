"""Sums over copies: order does not matter, and the groups' sums are the total's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from copypro.quality.facts import GROUPS, Copy, Outcome
from copypro.quality.latency import Latencies
from copypro.statistics.facts import ZERO, Absent, Figure

COSTS = ("spread", "slippage", "commission", "swap")


class Sum:
    """A total, of how many it is, and why others are not in it."""

    def __init__(self) -> None:
        self.total, self.count = ZERO, 0
        self.worst: Decimal | None = None
        self.without: Counter[str] = Counter()

    def add(self, figure: Figure) -> None:
        if isinstance(figure, Absent):
            self.without[figure.why] += 1
            return
        self.total += figure
        self.count += 1
        self.worst = figure if self.worst is None else max(self.worst, figure)


class Money:
    """Sums by currency: money of two currencies is never added."""

    def __init__(self) -> None:
        self.sums: dict[str, Sum] = {}

    def add(self, currency: str, figure: Figure) -> None:
        self.sums.setdefault(currency, Sum()).add(figure)


class Tally:
    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.refused: Counter[str] = Counter()
        """By code."""
        self.missed: dict[str, Money] = {}
        """By code: what the master made of them."""
        self.legs: dict[str, Latencies] = {}
        self.slippage_points = Sum()
        self.costs = {name: Money() for name in COSTS}
        self.profit = Money()

    def add(self, copy: Copy) -> None:
        self.outcomes[copy.outcome] += 1
        if copy.outcome is Outcome.REFUSED:
            self.refused[copy.code] += 1
            self.missed.setdefault(copy.code, Money()).add(copy.master_currency, copy.missed)
        for leg, us in copy.legs_us.items():
            self.legs.setdefault(leg, Latencies()).add(us)
        if copy.outcome is Outcome.COPIED:
            self.slippage_points.add(copy.slippage_points)
            for name, money in self.costs.items():
                money.add(copy.currency, getattr(copy, name))
            self.profit.add(copy.currency, copy.profit)

    @property
    def decided(self) -> int:
        return sum(self.outcomes.values())

    @property
    def share_copied(self) -> Figure:
        """Of what was copied or refused; what still waits is neither."""
        copied, refused = self.outcomes[Outcome.COPIED], self.outcomes[Outcome.REFUSED]
        if not copied + refused:
            return Absent("nothing was copied or refused yet")
        return Decimal(100 * copied) / (copied + refused)


def grouped(copies: Iterable[Copy], by: str) -> dict[str, Tally]:
    """Each copy is in exactly one group. `by`: one of GROUPS."""
    found: dict[str, Tally] = {}
    for copy in copies:
        found.setdefault(GROUPS[by](copy), Tally()).add(copy)
    return found


def tallied(copies: Iterable[Copy]) -> Tally:
    tally = Tally()
    for copy in copies:
        tally.add(copy)
    return tally
