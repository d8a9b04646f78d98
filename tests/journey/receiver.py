"""An operator's receiver of alerts: real HTTP, and as unreliable as a test wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.served import served


class Receiver:
    """`statuses` are the answers to the next posts, then 200; 0: it never answers."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.refused: set[str] = set()
        """Causes of alerts that are answered with 422, always."""
        self.tries: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.posts: list[tuple[dict[str, str], bytes]] = []
        """Headers and body, as they came."""
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        self.tries.append(body)
        self.posts.append((dict(request.headers), await request.read()))
        self.keys.append(request.headers["Idempotency-Key"])
        status = self.statuses.pop(0) if self.statuses else 200
        if body.get("cause") in self.refused:
            status = 422
        if status == 0:
            await asyncio.sleep(3600)
        if status == 200:
            self.taken.append(body)
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def a_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with served("/hook", receiver.handle) as address:
        receiver.url = f"{address}/hook?token=c4n4ry-t0ken"
        yield receiver
