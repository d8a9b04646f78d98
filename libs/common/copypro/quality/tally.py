"""Sums over copies: order does not matter, parts merge, and the groups' sums are the total's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from copypro.quality.facts import Copy, Outcome
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

    def merge(self, other: Sum) -> None:
        self.total += other.total
        self.count += other.count
        self.without.update(other.without)
        if other.worst is not None:
            self.worst = other.worst if self.worst is None else max(self.worst, other.worst)

    @property
    def state(self) -> object:
        return self.total, self.count, self.worst, dict(self.without)


class Money:
    """Sums by currency: money of two currencies is never added."""

    def __init__(self) -> None:
        self.sums: dict[str, Sum] = {}

    def add(self, currency: str, figure: Figure) -> None:
        self.sums.setdefault(currency, Sum()).add(figure)

    def merge(self, other: Money) -> None:
        for currency, theirs in other.sums.items():
            self.sums.setdefault(currency, Sum()).merge(theirs)

    @property
    def state(self) -> object:
        return {currency: found.state for currency, found in self.sums.items()}


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

    def merge(self, other: Tally) -> None:
        self.outcomes.update(other.outcomes)
        self.refused.update(other.refused)
        for code, money in other.missed.items():
            self.missed.setdefault(code, Money()).merge(money)
        for leg, times in other.legs.items():
            self.legs.setdefault(leg, Latencies()).merge(times)
        self.slippage_points.merge(other.slippage_points)
        for name, money in other.costs.items():
            self.costs[name].merge(money)
        self.profit.merge(other.profit)

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

    @property
    def state(self) -> object:
        """All of it, to be compared."""
        return (
            dict(self.outcomes),
            dict(self.refused),
            {code: money.state for code, money in self.missed.items()},
            {leg: times.state for leg, times in self.legs.items()},
            self.slippage_points.state,
            {name: money.state for name, money in self.costs.items()},
            self.profit.state,
        )


def tallied(copies: Iterable[Copy]) -> Tally:
    tally = Tally()
    for copy in copies:
        tally.add(copy)
    return tally


def merged(tallies: Iterable[Tally]) -> Tally:
    whole = Tally()
    for tally in tallies:
        whole.merge(tally)
    return whole
