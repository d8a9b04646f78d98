"""Token buckets: how much of something each caller may do, whoever and however many they are. Pure."""

from __future__ import annotations

from collections import OrderedDict

MOST_KEPT = 100_000
"""Buckets at a time, about 20 MB: the one that was longest not asked for is forgotten, and full then."""


class Buckets:
    """A bucket for each name, full at first. `per_s` 0: nothing is limited."""

    def __init__(self, per_s: float, burst: float, most: int = MOST_KEPT) -> None:
        self._per_s, self._burst, self._most = per_s, burst, most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now: float) -> float:
        """0.0: one was taken. Else nothing was, and so many seconds pass until there is one."""
        if self._per_s <= 0:
            return 0.0
        level = self.level(name, now)
        if level < 1:
            return (1 - level) / self._per_s
        self._keep(name, level - 1, now)
        return 0.0

    def give_back(self, name: str, now: float) -> None:
        self._keep(name, min(self._burst, self.level(name, now) + 1), now)

    def level(self, name: str, now: float) -> float:
        kept = self._levels.get(name)
        if kept is None:
            return self._burst
        level, at = kept
        return min(self._burst, level + (now - at) * self._per_s)

    def _keep(self, name: str, level: float, now: float) -> None:
        self._levels[name] = (level, now)
        self._levels.move_to_end(name)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
