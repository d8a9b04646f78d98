"""An event loop whose clock stands still while anything is ready, and then jumps to the next timer.

Nothing outside is waited for: there are no sockets, no threads, no signals. So what happens depends
on what was scheduled alone, and years of timers run in the time that their work takes.
"""

from __future__ import annotations

import asyncio
from asyncio import base_events
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

Result = TypeVar("Result")
RESOLUTION_S = 1e-6
"""Above what a float loses at a century's seconds: else a timer may be due and never run."""


class Asleep(RuntimeError):
    """Everybody waits, and nothing is scheduled that would wake anybody."""


class VirtualLoop(base_events.BaseEventLoop):
    """Starts at 0 seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._clock_resolution = RESOLUTION_S
        self._selector = _Clock(self)

    def time(self) -> float:
        return self._now_s

    def advance(self, seconds: float | None) -> None:
        """By the base loop, when nothing is ready: until the next timer is due."""
        if seconds is None:
            raise Asleep("nothing is scheduled that would wake anybody")
        self._now_s += seconds

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """No other thread has to be woken."""


class _Clock:
    """In the place of a selector."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None or timeout > 0:
            self._loop.advance(timeout)
        return []


class VirtualClock:
    """UTC of the running virtual loop, which started at `start`."""

    def __init__(self, start: datetime) -> None:
        self._start = start

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=asyncio.get_running_loop().time())

    async def reach(self, moment: datetime) -> None:
        """Returns at once if it is past."""
        wait_s = (moment - self()).total_seconds()
        if wait_s > 0:
            await asyncio.sleep(wait_s)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run, in no time. Errors: Asleep, and those of the work."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
