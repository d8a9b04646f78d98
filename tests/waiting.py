"""Waiting for what comes when it comes: a condition, asked again until it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

WITHIN_S = 60.0
EVERY_S = 0.005


async def until(condition: Callable[[], bool]) -> None:
    async def now() -> bool:
        return condition()

    await eventually(now)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {WITHIN_S:.0f} s"
        await asyncio.sleep(EVERY_S)
