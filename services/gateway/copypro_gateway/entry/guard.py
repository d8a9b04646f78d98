"""Before any call: how much one address may ask, how long a question may be, and headers for browsers.

Plain ASGI. What it refuses has cost next to nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections.abc import MutableMapping
from typing import Any

import msgspec
from copypro.health import App, Receive, Scope, Send
from starlette.exceptions import HTTPException

from copypro_gateway.entry.buckets import Buckets
from copypro_gateway.entry.safety import Safety

OWN_LIMIT = frozenset(("/ImportStatement",))
"""Their bodies are files, bounded where they are read."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Each unless the answer has its own."""
TLS_ONLY = (b"strict-transport-security", b"max-age=31536000")


class Guard:
    def __init__(self, app: App, safety: Safety) -> None:
        self._app, self._safety = app, safety
        per_s = safety.address_requests_per_s
        self._addresses = Buckets(per_s, per_s * safety.burst_s)
        self._headers = (*HEADERS, TLS_ONLY) if safety.tls else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._added(list(message.get("headers", ())))
            await send(message)

        wait_s = self._addresses.take(address_of(scope), asyncio.get_running_loop().time())
        if wait_s > 0:
            await refuse(with_headers, *too_many(wait_s))
        elif len(scope.get("query_string", b"")) > self._safety.query_bytes:
            text = "the query is too long: send a POST with a JSON body of the same names"
            await refuse(with_headers, 414, "QUERY_TOO_LONG", text)
        elif scope["path"] in OWN_LIMIT:
            await self._app(scope, receive, with_headers)
        elif _announced(scope) > self._safety.body_bytes:
            await refuse(with_headers, 413, "BODY_TOO_LARGE", self._too_large())
        else:
            await self._app(scope, self._bounded(receive), with_headers)

    def _bounded(self, receive: Receive) -> Receive:
        """Never more than may be read, whatever was announced."""
        size = 0

        async def bounded() -> MutableMapping[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._safety.body_bytes:
                raise HTTPException(413, self._too_large())
            return message

        return bounded

    def _too_large(self) -> str:
        return f"the body has more than {self._safety.body_bytes:,} bytes: no call needs as many"

    def _added(self, own: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        names = {name.lower() for name, _ in own}
        return own + [header for header in self._headers if header[0] not in names]


def address_of(scope: Scope) -> str:
    """The client's; of IPv6 its network, since one client has 2^64 addresses."""
    client = scope.get("client")
    host: str = client[0] if client else ""
    if ":" not in host:
        return host
    try:
        return str(ipaddress.ip_network((host, 64), strict=False))
    except ValueError:
        return host


def too_many(wait_s: float) -> tuple[int, str, str, int]:
    seconds = math.ceil(wait_s)
    return 429, "RATE_LIMITED", f"too many requests: try again in {seconds} s", seconds


async def refuse(
    send: Send, status: int, code: str, message: str, retry_after_s: int | None = None
) -> None:
    body = msgspec.json.encode({"code": code, "message": message})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _announced(scope: Scope) -> int:
    for name, value in scope.get("headers", ()):
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
