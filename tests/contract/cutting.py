"""A server that hangs up wherever it is told to, and counts what reached it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

GOOD = b'{"ticket": 7, "lots": 0.1, "openPrice": 1.1, "orderType": "Buy", "type": "Buy", "state": "Filled"}'


class Cutting:
    """`points` are used one per connection or request: where to hang up; None answers."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.points: list[str | None] = []
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        point = self.points[0] if self.points else None
        if point == "accepted":
            self.points.pop(0)
            return False
        first = await reader.readexactly(1)
        point = self.points[0] if self.points else None
        if point == "first byte":
            self.points.pop(0)
            self.requests.append("partly")
            return False
        head = first + await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        self.requests.append(path)
        if self.points:
            self.points.pop(0)
        match point:
            case "request read":
                return False
            case "headers sent":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
                await writer.drain()
                return False
            case "half the body":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + GOOD[:20])
                await writer.drain()
                return False
            case "silent":
                await reader.read()
                return False
        body = {"500": b"oops", "unreadable": b"<html>", "no ticket": b'{"lots": 1}'}.get(
            str(point), GOOD
        )
        status = b"500 No" if point == "500" else b"200 OK"
        head_out = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        writer.write(head_out % (status, len(body)) + body)
        await writer.drain()
        return True

    def hang_up_idle(self) -> None:
        """Close every kept-alive connection, as a server does after its time-out."""
        for writer in list(self._open):
            writer.transport.abort()


@asynccontextmanager
async def cutting_server() -> AsyncIterator[Cutting]:
    cutting = Cutting()
    server = await asyncio.start_server(cutting.serve, "127.0.0.1", 0)
    cutting.port = server.sockets[0].getsockname()[1]
    try:
        yield cutting
    finally:
        server.close()
        cutting.hang_up_idle()
