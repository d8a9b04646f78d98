"""What the service says of itself and of the request in hand."""

from __future__ import annotations

import re
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
from copypro_gateway.wording.describing import NO_KEY, REFUSED
from copypro_gateway.wording.parameters import Parameters

SECRET_HEADERS = frozenset(
    ("authorization", "cookie", "proxy-authorization", "idempotency-key", "x-api-key")
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;"
    "margin:2rem auto;padding:0 1rem}th,td{padding:.2rem 1rem .2rem 0;vertical-align:top;"
    "text-align:left;font-weight:inherit;overflow-wrap:anywhere}th{width:14rem}"
    "@media(max-width:40rem){th,td{display:block}}"
)


class ServerNames(Parameters):
    mt5: bool | None = Field(None, description="true: MT5, false: MT4; left out: both")


class About:
    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, calls: Calls, app: FastAPI) -> None:
        calls.by_id("ServerNames", ServerNames, self.server_names, tag="about")

        async def readme() -> HTMLResponse:
            """What this is, and a list of the calls."""
            return HTMLResponse(_page(app), headers={"Content-Security-Policy": _POLICY})

        for method in ("GET", "POST"):
            app.add_api_route(
                "/Headers", headers, methods=[method], tags=["about"],
                operation_id=f"Headers_{method.lower()}", responses=REFUSED, openapi_extra=NO_KEY,
            )  # fmt: skip
            app.add_api_route(
                "/ReadMe", readme, methods=[method], tags=["about"],
                operation_id=f"ReadMe_{method.lower()}", responses=REFUSED, openapi_extra=NO_KEY,
                response_class=HTMLResponse,
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
    """By subject, in the order in which they were registered."""
    subjects: dict[str, dict[str, APIRoute]] = {}
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            subjects.setdefault(str(route.tags[0]), {}).setdefault(route.path, route)
    tables = "".join(
        f"<h2>{escape(subject)}</h2><table>{''.join(map(_row, calls.values()))}</table>"
        for subject, calls in subjects.items()
    )
    told = "".join(f"<p>{_marked(text)}</p>" for text in app.description.split("\n\n"))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>CopyPro</title><meta name=viewport"
        f' content="width=device-width"><style>{_STYLE}</style><h1>CopyPro</h1>{told}'
        '<p><a href="docs">Try the calls</a>; <a href="openapi.json">openapi.json</a> has every'
        f" parameter.</p>{tables}</html>"
    )


def _row(route: APIRoute) -> str:
    """Its name leads to where it can be tried."""
    subject, name = escape(str(route.tags[0])), escape(route.path.lstrip("/"))
    link = f'<a href="docs#/{subject}/{escape(route.unique_id)}">{name}</a>'
    return f"<tr><th>{link}<td>{_marked(route.description)}"


def _marked(described: str) -> str:
    """What stands before the first empty line: sentences go on over the ends of lines."""
    text = " ".join(described.partition("\n\n")[0].split())
    return re.sub("`(.+?)`", r"<code>\1</code>", escape(text))
