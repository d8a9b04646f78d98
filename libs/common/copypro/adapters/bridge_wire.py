"""How often a bridge is asked: the budget of background reads, and pauses between tries."""

from __future__ import annotations

import asyncio
from time import monotonic

_QUIET_S = 60.0
_WAIT_FIRST_S, _WAIT_CAP_S = 0.1, 2.0
_LEAST_SHARE = 1 / 64


class Budget:
    """So many background reads a second for one address, in order of asking. "Too many requests"
    halves it; a quiet minute doubles it back.
    """

    def __init__(self, per_s: float) -> None:
        self._full = self.per_s = per_s
        self._next_at = float("-inf")
        self._throttled_at = float("-inf")

    async def take(self, *, urgent: bool = False) -> None:
        """Urgent reads are counted but never wait."""
        now = monotonic()
        if self.per_s < self._full and now - self._throttled_at > _QUIET_S:
            self.per_s, self._throttled_at = min(self._full, self.per_s * 2), now
        burst_s = max(1.0, 1 / self.per_s)
        self._next_at = max(self._next_at, now - burst_s) + 1 / self.per_s
        wait_s = self._next_at - now
        if wait_s > 0 and not urgent:
            await asyncio.sleep(wait_s)

    def throttle(self) -> None:
        self.per_s = max(self._full * _LEAST_SHARE, self.per_s / 2)
        self._throttled_at = monotonic()


class Waiting:
    """Ever longer pauses until a limit."""

    def __init__(self, limit_s: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._until, self._pause_s = self._clock() + limit_s, _WAIT_FIRST_S

    @property
    def is_over(self) -> bool:
        return self._clock() >= self._until

    async def a_little(self) -> None:
        await asyncio.sleep(min(self._pause_s, max(0.0, self._until - self._clock())))
        self._pause_s = min(_WAIT_CAP_S, self._pause_s * 2)
