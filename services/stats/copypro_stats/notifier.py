"""Posts alerts to an operator's address: bounded, with back-off, never in the way of projections."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec
import structlog
from copypro.messages import AlertRaised

logger = structlog.get_logger("stats")


class Notifier:
    """`await notifier(alert)` returns when it was taken or all tries failed; failures are logged
    without the address, which may hold a token.
    """

    def __init__(
        self, url: str, tries: int = 5, first_wait_s: float = 1.0, within_s: float = 10.0
    ) -> None:
        self._url, self._tries = url, tries
        self._first_wait_s, self._within_s = first_wait_s, within_s

    async def __call__(self, alert: AlertRaised) -> None:
        body = msgspec.json.encode(alert)
        timeout = aiohttp.ClientTimeout(total=self._within_s)
        headers = {"Content-Type": "application/json"}
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
            for attempt in range(self._tries):
                try:
                    async with session.post(self._url, data=body) as response:
                        if response.status < 400:
                            return
                        reason = f"status {response.status}"
                except (aiohttp.ClientError, TimeoutError) as error:
                    reason = type(error).__name__
                if attempt + 1 < self._tries:
                    await asyncio.sleep(self._first_wait_s * 2**attempt)
        logger.error("alert not delivered", code=alert.code, cause=alert.cause, reason=reason)
