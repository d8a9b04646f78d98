"""Calls are named in any case and with a slash at the end, as the original's."""

from __future__ import annotations

from collections.abc import Iterable

from copypro.health import App, Receive, Scope, Send


class AnyCase:
    """ASGI. What comes behind sees a call's own name: its limits and its counts go by that. `pages` lead on
    from where they are: a slash at their end is none of theirs.
    """

    def __init__(self, app: App, calls: Iterable[str], pages: Iterable[str]) -> None:
        self._app = app
        self._own = {path.lower(): path for path in pages}
        for path in calls:
            self._own |= {path.lower(): path, f"{path.lower()}/": path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            scope = {**scope, "path": self._own.get(path.lower(), path)}
        await self._app(scope, receive, send)
