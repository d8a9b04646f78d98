"""How a process ends: its parts one after another, each by a moment that is fixed when the end begins.

A part that is late takes time from those behind it, never from the ten seconds of the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import structlog
from copypro_account_watcher.limits import WatcherLimits

logger = structlog.get_logger("copypro")
RECORD_WITHIN_S = 1.0
ANSWERED_AFTER_S = WatcherLimits().drain_s + RECORD_WITHIN_S
"""By then calls in flight are answered and recorded, REST's too."""
READ_AFTER_S = 8.6
"""By then what reads the log has committed what it read."""
CLOSED_AFTER_S = 9.4
"""By then bridges and stores are closed."""
CUT_OFF_S = 0.2
"""For a part that did not end by then to let go."""
ENDED_AFTER_S = 9.8
"""By then the process is gone, whatever waits: a disk, a thread with a silent mail server."""


class Stopping:
    """A stop that begins now."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._begun = self._clock()

    async def ended(self, parts: Collection[asyncio.Task[None]], after_s: float) -> None:
        """Waits for all of them; those that are still there `after_s` of the beginning are cut off."""
        late = await _late(parts, self._begun + after_s - self._clock())
        for task in late:
            logger.warning("cut off: it did not end in time", part=task.get_name())
            task.cancel()
        await _late(late, CUT_OFF_S)


async def _late(
    parts: Collection[asyncio.Task[None]], within_s: float
) -> Collection[asyncio.Task[None]]:
    if not parts:
        return ()
    _, late = await asyncio.wait(parts, timeout=max(0.0, within_s))
    return late
