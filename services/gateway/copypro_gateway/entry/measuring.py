"""How long each call took and how it ended, counted by the gateway's own names of calls."""

from __future__ import annotations

from collections.abc import MutableMapping
from time import perf_counter
from typing import Any

from copypro.health import App, Receive, Scope, Send
from copypro.ports import Meter

OTHER = "other"
"""What is no call of ours: a path that a stranger made up must not become a label."""


class Measured:
    """ASGI. A call whose client went away before the answer counts with status 499."""

    def __init__(self, app: App, meter: Meter) -> None:
        self._app, self._meter = app, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, status = perf_counter(), 499

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            status = 500
            raise
        finally:
            self._meter.call_answered(_call(scope), status, perf_counter() - begun)


def _call(scope: Scope) -> str:
    path: str = getattr(scope.get("route"), "path", OTHER)
    return path.strip("/").partition("/")[0]
