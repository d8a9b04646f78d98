"""Posts alerts to the operator's address; the address is a secret and never logged."""

from __future__ import annotations

from typing import Any

import aiohttp
import structlog

logger = structlog.get_logger("webhook")
TIMEOUT_S = 10.0


class Webhook:
    """`url` None: nothing is posted anywhere."""

    def __init__(self, url: str | None, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, alert: dict[str, Any]) -> bool:
        """True: the address took it with a 2xx, or there is none. Once per call, never repeated."""
        if self._url is None:
            return True
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.post(self._url, json=alert) as answer:
                if answer.status < 300:
                    return True
                logger.error("the alert address refused", status=answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.error("the alert address does not answer", reason=type(error).__name__)
        return False

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
