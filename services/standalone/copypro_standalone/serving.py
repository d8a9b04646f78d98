"""From start to stop: the first signal ends a ring in order, the second one at once."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog

from copypro_standalone.ring import Ring

logger = structlog.get_logger("copypro")


async def run(ring: Ring) -> None:
    """Until SIGTERM or SIGINT. Errors: ServiceEnded, and what the ring's start may raise."""
    running = asyncio.create_task(_run(ring))
    stop = _Stop(running)
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


class _Stop:
    """What a signal does."""

    def __init__(self, running: asyncio.Task[None]) -> None:
        self._running, self._asked = running, False

    def asked(self, number: int) -> None:
        """`kill -9` loses nothing that was acknowledged; a second signal is no worse."""
        if self._asked:
            logger.warning("a second signal: ended at once, nothing acknowledged is lost")
            os._exit(128 + number)
        self._asked = True
        logger.info("stopping: no new opens; calls in flight are answered and recorded")
        self._running.cancel()
