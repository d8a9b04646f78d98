"""Calls are named in any case, as the original's."""

from __future__ import annotations

from collections.abc import Iterable

from copypro.health import App, Receive, Scope, Send


class AnyCase:
    """ASGI. What comes behind sees a call's own name: its limits and its counts go by that."""

    def __init__(self, app: App, paths: Iterable[str]) -> None:
        self._app = app
        self._own = {path.lower(): path for path in paths}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            scope = {**scope, "path": self._own.get(path.lower(), path)}
        await self._app(scope, receive, send)
