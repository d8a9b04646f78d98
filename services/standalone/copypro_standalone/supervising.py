"""Keeps the services of one process alive together, or ends them together: never half dead.

Every service is crash-only: what it must remember is in the log. One that breaks is started again
after a pause; one that breaks too often in a window ends the whole process, with its name.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from copypro.errors import CopyProError
from copypro.ports import Monotonic
from msgspec import Struct

logger = structlog.get_logger("ring")

Start = Callable[[], Coroutine[Any, Any, None]]


class RestartLimits(Struct, frozen=True, kw_only=True):
    pause_s: float = 1.0
    most: int = 5
    """Starts again within the window; one more ends the process."""
    window_s: float = 60.0


class ServiceFailed(CopyProError):
    """A service broke more often than its limit, or ended although nobody asked it to."""


class Supervisor:
    def __init__(self, limits: RestartLimits, monotonic: Monotonic) -> None:
        self._limits, self._monotonic = limits, monotonic
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._not_ready: dict[str, str] = {}
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def not_ready(self) -> dict[str, str]:
        """By service: why it does not serve now. Empty: everything runs."""
        return dict(self._not_ready)

    def live(self) -> bool:
        """False once a service cannot be kept alive: the process is about to end."""
        return not self._failed.done()

    def ready(self) -> list[str]:
        """Why not; empty: ready."""
        return [f"{name}: {why}" for name, why in self._not_ready.items()]

    def start(self, name: str, start: Start) -> None:
        self._tasks[name] = asyncio.create_task(self._keep(name, start), name=name)

    async def failed(self) -> None:
        """Waits for a service that cannot be kept alive. Raises ServiceFailed."""
        await asyncio.shield(self._failed)

    async def stop(self, name: str) -> None:
        """Cancels one service and waits until it has ended; what it raises on the way is logged."""
        task = self._tasks.pop(name)
        self._not_ready[name] = "stopping"
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a service ended badly", service=name, exc_info=error)

    async def _keep(self, name: str, start: Start) -> None:
        breaks: deque[float] = deque()
        while True:
            self._not_ready.pop(name, None)
            error = await self._once(start)
            if error is None:
                self._give_up(f"{name} ended although nobody asked it to")
                return
            self._not_ready[name] = "restarting after a failure"
            now = self._monotonic()
            breaks.append(now)
            while breaks and now - breaks[0] > self._limits.window_s:
                breaks.popleft()
            logger.error("a service broke and starts over", service=name, exc_info=error)
            if len(breaks) > self._limits.most:
                self._give_up(
                    f"{name} broke {len(breaks)} times in {self._limits.window_s:g} s:"
                    f" {type(error).__name__}: {error}"
                )
                return
            await asyncio.sleep(self._limits.pause_s)

    async def _once(self, start: Start) -> BaseException | None:
        """Runs it to its end. Cancelled, it hands the cancelling on and waits for the service."""
        task = asyncio.create_task(start())
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        if task.cancelled():
            return asyncio.CancelledError("cancelled from inside")
        return task.exception()

    def _give_up(self, why: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(ServiceFailed(why))
