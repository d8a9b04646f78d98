"""What the service says of itself and of the request in hand."""

from __future__ import annotations

from html import escape
from typing import Any

from copypro import collections as c
from copypro.values import UserId
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from pydantic import Field

from copypro_gateway.calls import Calls
from copypro_gateway.core import Core
from copypro_gateway.wording.describing import REFUSED
from copypro_gateway.wording.parameters import Parameters

SECRET_HEADERS = frozenset(
    ("authorization", "cookie", "proxy-authorization", "idempotency-key", "x-api-key")
)


class ServerNames(Parameters):
    mt5: bool | None = Field(None, description="true: MT5, false: MT4; left out: both")


class About:
    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, calls: Calls, app: FastAPI) -> None:
        calls.by_id("ServerNames", ServerNames, self.server_names, tag="about")
        for method in ("GET", "POST"):
            app.add_api_route(
                "/Headers", headers, methods=[method], tags=["about"], summary="Headers",
                operation_id=f"Headers_{method.lower()}", responses=REFUSED,
            )  # fmt: skip

        async def readme() -> HTMLResponse:
            """What this is, and a list of the calls."""
            return HTMLResponse(_page(app))

        for method in ("GET", "POST"):
            app.add_api_route(
                "/ReadMe", readme, methods=[method], tags=["about"], summary="ReadMe",
                operation_id=f"ReadMe_{method.lower()}", responses=REFUSED, response_class=HTMLResponse,
            )  # fmt: skip

    async def server_names(self, _: UserId | None, given: ServerNames) -> list[str]:
        """The servers that accounts here have connected to."""
        wanted = None if given.mt5 is None else "MT5" if given.mt5 else "MT4"
        found: Any = await self._core.models.find(c.ACCOUNTS, limit=None)
        return sorted(
            {
                str(doc["server"])
                for doc in found
                if doc.get("company") is not None and wanted in (None, doc.get("platform"))
            }
        )


async def headers(request: Request) -> dict[str, str]:
    """The caller's own request headers, secrets masked."""
    return {
        name: "***" if name in SECRET_HEADERS else value for name, value in request.headers.items()
    }


def _page(app: FastAPI) -> str:
    documented = [r for r in app.routes if isinstance(r, APIRoute) and r.include_in_schema]
    calls = {route.path: route.description for route in documented}
    rows = "".join(
        f"<tr><td>{escape(path)}</td><td>{escape(_line(description))}</td></tr>"
        for path, description in sorted(calls.items())
    )
    note = f"<p><b>{escape(app.description)}</b></p>" if app.description else ""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>CopyPro</title><h1>CopyPro</h1>{note}"
        "<p>Each call is a GET with query parameters and a POST with a JSON body of the same names. "
        '<a href="docs">Try them</a>; <a href="openapi.json">openapi.json</a> has every parameter.</p>'
        f"<table>{rows}</table></html>"
    )


def _line(described: str) -> str:
    """What stands before the first empty line: sentences go on over the ends of lines."""
    return " ".join(described.partition("\n\n")[0].split())
