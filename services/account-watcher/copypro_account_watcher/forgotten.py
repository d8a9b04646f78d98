"""Copies that are over, by tag: a late frame may still show them, and a second fill of one must go. Pure."""

from __future__ import annotations

from copypro_account_watcher.state import Copy, Leg

KEPT_S = 3600.0
"""At least, and until another one is over: far longer than a frame or an answer is late. Each takes 4 kB."""
MOST = 1000


class Forgotten:
    def __init__(self) -> None:
        self._legs: dict[str, tuple[Copy, Leg, float]] = {}
        """With since when; the latest last."""

    def add(self, copy: Copy, now: float) -> None:
        """`now` on the monotonic clock."""
        for leg in copy.legs:
            if not leg.is_extra:
                self._legs.pop(leg.tag, None)
                self._legs[leg.tag] = (copy, leg, now)
        while (oldest := next(iter(self._legs), None)) is not None:
            if len(self._legs) <= MOST and now - self._legs[oldest][2] <= KEPT_S:
                break
            del self._legs[oldest]

    def get(self, tag: str) -> tuple[Copy, Leg] | None:
        found = self._legs.get(tag)
        return None if found is None else found[:2]

    def __contains__(self, tag: str) -> bool:
        return tag in self._legs
