"""Commits under way: who plans the next turn while the former becomes durable, and how many at most."""

from __future__ import annotations

import asyncio
from collections import deque


class Committing:
    """In order, at most `most` at a time. Left when all have ended; by the failure of the first that
    failed, if one did. Cancelled, it cancels what is under way, and stays cancelled whatever failed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: deque[asyncio.Task[None]] = deque()

    async def begun(self, commit: asyncio.Task[None]) -> None:
        """Returns when there is room for one more. Errors: of the one that made room."""
        self._under_way.append(commit)
        while len(self._under_way) >= self._most:
            await self._under_way[0]
            self._under_way.popleft()

    async def __aenter__(self) -> Committing:
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        is_cancelled = isinstance(error, asyncio.CancelledError)
        if is_cancelled:
            for commit in self._under_way:
                commit.cancel()
        ended = await asyncio.gather(*self._under_way, return_exceptions=True)
        if is_cancelled:
            return
        failures = (end for end in ended if isinstance(end, Exception))
        if (failure := next(failures, None)) is not None:
            raise failure
