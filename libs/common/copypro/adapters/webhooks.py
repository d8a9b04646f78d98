"""Posts JSON over HTTP: one try, answered by why it was not taken. The one way of posting there is."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from copypro.callbacks import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Receiver,
    is_not_public_host,
    is_public,
    signature,
)
from copypro.ports import Clock, NotTaken

MOST_BYTES = 262_144
NOT_PUBLIC = "its address is private, loopback or reserved"
_LATER = (408, 425, 429)
"""It may take the same one later, and the next one no sooner."""


class NotPublic(OSError):
    """Every address of the host is one that must not be posted to."""


class Webhooks:
    """Redirects are not followed, no proxy is asked, and of the answer only its status is read."""

    def __init__(
        self, clock: Clock, within_s: float = 10.0, *, private_allowed: bool = False
    ) -> None:
        self._clock, self._within_s, self._private_allowed = clock, within_s, private_allowed

    async def __call__(self, receiver: Receiver, id: str, body: bytes) -> NotTaken | None:
        """Taken is a status of 200 to 299. No reason shows the address, which may hold a token."""
        if len(body) > MOST_BYTES:
            return NotTaken(f"{len(body)} bytes are more than {MOST_BYTES}", refused=True)
        anywhere = receiver.trusted or self._private_allowed
        connector = aiohttp.TCPConnector(
            resolver=Resolver(anywhere=anywhere), use_dns_cache=False, limit=1, force_close=True
        )
        timeout = aiohttp.ClientTimeout(total=self._within_s)
        try:
            url = URL(receiver.url)
            # As it will be connected to: other scripts' digits and dots are read as ours, and the
            # resolver is asked about names alone.
            if not anywhere and is_not_public_host(url.raw_host or ""):
                return NotTaken(NOT_PUBLIC)
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.post(
                    url,
                    data=body,
                    headers=self._headers(receiver, id, body),
                    allow_redirects=False,
                ) as response,
            ):
                return _said(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            cause = error.__cause__ or error.__context__
            return NotTaken(NOT_PUBLIC if isinstance(cause, NotPublic) else type(error).__name__)

    def _headers(self, receiver: Receiver, id: str, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "CopyPro",
            "Idempotency-Key": id,
        }
        if receiver.secret:
            timestamp = str(int(self._clock().timestamp()))
            headers[TIMESTAMP_HEADER] = timestamp
            headers[SIGNATURE_HEADER] = signature(receiver.secret, timestamp, body)
        return headers


def _said(status: int) -> NotTaken | None:
    if 200 <= status < 300:
        return None
    refused = 400 <= status < 500 and status not in _LATER
    return NotTaken(f"status {status}", refused)


class Resolver(AbstractResolver):
    """Gives the connector only addresses that it may connect to: what was checked is what is used, so
    a name that changes its mind in between (DNS rebinding) gains nothing.
    """

    def __init__(self, *, anywhere: bool) -> None:
        self._anywhere = anywhere

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        found = [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, address in infos
            if self._anywhere or is_public(str(address[0]))
        ]
        if not found:
            raise NotPublic(NOT_PUBLIC)
        return found

    async def close(self) -> None:
        """Nothing is kept open."""
