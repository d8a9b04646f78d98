"""Posts alerts to an operator's address: one try, answered by why it was not taken."""

from __future__ import annotations

import aiohttp

from copypro_stats.posting import Posted


class Notifier:
    """`await notifier(posted)` is empty when the receiver took it (a status of 200 to 299), else the
    reason, without the address, which may hold a token.
    """

    def __init__(self, url: str, within_s: float = 10.0) -> None:
        self._url, self._within_s = url, within_s

    async def __call__(self, posted: Posted) -> str:
        headers = {"Content-Type": "application/json", "Idempotency-Key": posted.id}
        timeout = aiohttp.ClientTimeout(total=self._within_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
                session.post(self._url, data=posted.body, allow_redirects=False) as response,
            ):
                taken = 200 <= response.status < 300
                return "" if taken else f"status {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__
