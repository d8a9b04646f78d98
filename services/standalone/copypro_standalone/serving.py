"""From start to stop: the first signal ends a ring in order, the second one or ten seconds at once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import structlog

from copypro_standalone.ring import Ring
from copypro_standalone.stopping import ENDED_AFTER_S

logger = structlog.get_logger("copypro")


async def run(ring: Ring) -> None:
    """Until SIGTERM or SIGINT. Errors: ServiceEnded, and what the ring's start may raise."""
    running = asyncio.create_task(_run(ring))
    stop = Stop(running)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.asked, number)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()
    logger.info("stopped")


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
        """`kill -9` loses nothing that was acknowledged; a second signal is no worse."""
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
