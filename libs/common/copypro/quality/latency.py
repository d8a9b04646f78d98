"""How long things took, in memory that does not grow with their number."""

from __future__ import annotations

from collections import Counter

DIGITS = 3
"""Of each time that are kept for percentiles: they are right to half a percent."""


class Latencies:
    """Microseconds. Mean, least and most are exact; percentiles are of times with three digits."""

    def __init__(self) -> None:
        self.count, self.total_us = 0, 0
        self._counts: Counter[int] = Counter()
        self.least_us: int | None = None
        self.most_us: int | None = None

    def add(self, us: int) -> None:
        self.count += 1
        self.total_us += us
        self._counts[_rounded(us)] += 1
        self.least_us = us if self.least_us is None else min(self.least_us, us)
        self.most_us = us if self.most_us is None else max(self.most_us, us)

    def percentile(self, percent: int) -> int:
        """The least time that so many percent of all did not exceed (nearest rank)."""
        rank, seen = -(-self.count * percent // 100), 0
        for us in sorted(self._counts):
            seen += self._counts[us]
            if seen >= rank:
                return us
        raise ValueError("no times were added")


def _rounded(us: int) -> int:
    """To three digits, halves up; a clock that was set back in between counts as no time."""
    us = max(us, 0)
    step: int = 10 ** max(0, len(str(us)) - DIGITS)
    return (us + step // 2) // step * step
