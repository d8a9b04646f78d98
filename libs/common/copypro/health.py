"""What a process answers from its first moment: is it alive, is it ready, and its metrics.

Plain ASGI, before whatever else the process serves: the gateway's calls are behind it once there is
something for them to work on, the other services have nothing else. Needs no key, so what it says
names no user, no account and no address.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

import msgspec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
JSON = "application/json"
PAGE = "text/plain; version=0.0.4; charset=utf-8"


class Health(Protocol):
    def live(self) -> bool:
        """False: only a new start helps."""

    def not_ready(self) -> list[str]:
        """Why not; empty: ready."""

    def partitions(self) -> Mapping[str, int]:
        """How many this process owns now, by role."""


class Edge:
    """The ASGI application of a process; `app`, once set, answers everything else."""

    def __init__(self, health: Health, page: Callable[[], bytes]) -> None:
        self.app: App | None = None
        self._health, self._page = health, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        match scope["path"]:
            case "/health/live":
                live = self._health.live()
                await _answer(send, 200 if live else 503, {"live": live})
            case "/health/ready":
                reasons = self._health.not_ready()
                body = {"ready": not reasons, "reasons": reasons}
                owned = dict(self._health.partitions())
                await _answer(send, 503 if reasons else 200, body | {"partitions": owned})
            case "/metrics":
                await _send(send, 200, self._page(), PAGE)
            case _ if self.app is not None:
                await self.app(scope, receive, send)
            case _:
                await self._nothing_there(send)

    async def _nothing_there(self, send: Send) -> None:
        reasons = self._health.not_ready()
        if reasons:
            text = f"not yet: {reasons[0]}"
            await _answer(send, 503, {"code": "STARTING", "message": text})
        else:
            text = "this process answers /health/live, /health/ready and /metrics"
            await _answer(send, 404, {"code": "UNKNOWN_CALL", "message": text})


async def _answer(send: Send, status: int, body: Mapping[str, object]) -> None:
    await _send(send, status, msgspec.json.encode(body), JSON)


async def _send(send: Send, status: int, body: bytes, kind: str) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
