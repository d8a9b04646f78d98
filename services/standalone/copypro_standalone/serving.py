"""From start to stop: the first signal ends a ring in order, the second one or ten seconds at once.

A demo has nothing to lose but time: its further signals change nothing, so that it leaves nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from copypro_standalone.ring import Ring
from copypro_standalone.stopping import ENDED_AFTER_S

logger = structlog.get_logger("copypro")


async def run(ring: Ring) -> None:
    """Until a signal. Errors: ServiceEnded, and what the ring's start may raise."""
    running = asyncio.create_task(_run(ring))
    _hear(Stop(running).asked)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()
    logger.info("stopped")


async def exit_code_of(demo: Coroutine[Any, Any, int]) -> int:
    """Its own; where a signal ended it before it had one, that signal's, as of a process."""
    running = asyncio.create_task(demo)
    first: list[int] = []

    def asked(number: int) -> None:
        if not first:
            first.append(number)
            running.cancel()

    _hear(asked)
    await asyncio.wait([running])
    return 128 + first[0] if running.cancelled() else running.result()


def _hear(asked: Callable[[int], None]) -> None:
    """Of each Ctrl-C, SIGTERM and closed terminal; not of the last under `nohup`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, asked, number)


async def _run(ring: Ring) -> None:
    async with ring:
        saying = asyncio.create_task(ring.say_readiness())
        try:
            await ring.failed()
        finally:
            saying.cancel()


class Stop:
    """What a signal does. `end` ends the process with an exit code, without waiting for anything."""

    def __init__(
        self,
        running: asyncio.Task[None],
        end: Callable[[int], object] = os._exit,
        after_s: float = ENDED_AFTER_S,
    ) -> None:
        self._running, self._end, self._after_s = running, end, after_s
        self._asked = False

    def asked(self, number: int) -> None:
        """`kill -9` loses nothing that was acknowledged; a second signal is no worse. A terminal that is
        closed sends several, which are one.
        """
        if self._asked and number == signal.SIGHUP:
            return
        if self._asked:
            logger.warning("a second signal: ended at once, nothing acknowledged is lost")
            self._end(128 + number)
            return
        self._asked = True
        logger.info("stopping: no new opens; calls in flight are answered and recorded")
        # A thread, since what holds up the end may be the loop. It holds up no end that is in time.
        late = threading.Timer(self._after_s, self._late, [number])
        late.daemon = True
        late.start()
        self._running.cancel()

    def _late(self, number: int) -> None:
        if self._running.cancelled():  # all is closed; what is left is a call in a thread
            self._end(0)
        else:
            logger.warning("not stopped in time: ended at once, nothing acknowledged is lost")
            self._end(128 + number)
