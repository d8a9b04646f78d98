"""The interactive documentation, every part of it from here: it works without any other network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import JSONResponse, RedirectResponse, Response

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>CopyPro</title>
<link rel="stylesheet" href="docs/swagger-ui.css"><div id="calls"></div>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#calls", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout",
})
"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:;"
    " connect-src 'self'; frame-ancestors 'none'"
)
_READ = ["GET", "HEAD"]
_SCRIPT, _STYLE = "text/javascript", "text/css"


def add_documentation(app: FastAPI) -> None:
    """`/docs`, over `/openapi.json`, whose first making no copy waits for."""
    bundle = files("fastapi_offline") / "static"
    script, style = "swagger-ui-bundle.js", "swagger-ui.css"
    parts = {
        "/docs": (_PAGE.encode(), "text/html"),
        "/docs/start.js": (_START.encode(), _SCRIPT),
        f"/docs/{script}": ((bundle / script).read_bytes(), _SCRIPT),
        f"/docs/{style}": ((bundle / style).read_bytes(), _STYLE),
    }
    for path, (content, kind) in parts.items():
        app.add_api_route(path, _serving(content, kind), methods=_READ, include_in_schema=False)

    async def entrance() -> Response:
        """Of the address alone; relative, since a proxy may serve it under a path of its own."""
        return RedirectResponse("docs")

    app.add_api_route("/", entrance, include_in_schema=False)

    async def document() -> Response:
        return await asyncio.to_thread(lambda: JSONResponse(app.openapi()))

    app.add_api_route("/openapi.json", document, methods=_READ, include_in_schema=False)


def _serving(content: bytes, kind: str) -> Callable[[], Awaitable[Response]]:
    async def serve() -> Response:
        return Response(content, media_type=kind, headers={"Content-Security-Policy": _POLICY})

    return serve
