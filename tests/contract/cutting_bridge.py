"""A bridge made of a bare socket server, which cuts connections where it is told to.

It counts what really arrives on the wire: connections, and requests that got at least one byte
across. Reads that a session needs are answered; trade calls meet the armed `Cut`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from enum import Enum
from urllib.parse import parse_qs, urlsplit

from copypro.values import Platform

TOKEN = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
LOGIN = 1001


class Cut(Enum):
    NOWHERE = "answers"
    ON_ACCEPT = "hangs up as soon as it has accepted"
    ON_FIRST_BYTE = "hangs up at the request's first byte"
    ON_REQUEST = "hangs up when it has the whole request"
    AFTER_STATUS = "hangs up after the status line"
    AFTER_HEADERS = "hangs up after the headers"
    MID_BODY = "hangs up in the middle of the body"
    SILENT = "never answers"


class CuttingBridge:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.cut, self.abort = Cut.NOWHERE, False
        self.status, self.body = 200, b""
        self.headers: Mapping[str, str] = {}
        self.reads: dict[str, bytes] = {}
        """What these reads are answered with, under the headers."""
        self.connections = 0
        self.trades: list[dict[str, str]] = []
        """Each trade call of which anything arrived: its parameters, and `call`."""
        self.arrived = asyncio.Event()
        self.lacks: set[str] = set()
        self.last_head = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> CuttingBridge:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_listening()
        self.hang_up()

    async def stop_listening(self) -> None:
        assert self._server is not None
        self._server.close()
        # Not wait_closed: that waits for the open connections too, from Python 3.12 on.
        await asyncio.sleep(0)

    def hang_up(self) -> None:
        """On every connection that is open now."""
        for writer in list(self._writers):
            writer.transport.abort()

    def arm(self, cut: Cut, *, abort: bool = False) -> None:
        """From now on; the counts start again."""
        self.cut, self.abort = cut, abort
        self.connections, self.trades = 0, []
        self.arrived.clear()

    # --- inside -------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            if self.cut is not Cut.ON_ACCEPT:
                while await self._answer(reader, writer):
                    pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            if self.abort:
                writer.transport.abort()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first = await reader.readexactly(1)
        if self.cut is Cut.ON_FIRST_BYTE:
            self._note({"call": "unread"})
            return False
        head = first + await reader.readuntil(b"\r\n\r\n")
        self.last_head = head.decode()
        target = urlsplit(head.split(b" ", 2)[1].decode())
        call = target.path.strip("/")
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        if call in self.reads:
            writer.write(_response(200, self.reads[call], self.headers))
            return True
        if not call.startswith("Order"):
            writer.write(_response(200, self._read(call, query)))
            return True
        self._note({"call": call, **query})
        if call in self.lacks:
            writer.write(_response(404, b""))
            return True
        return await self._meet(writer, self.body or self._order(call, query))

    async def _meet(self, writer: asyncio.StreamWriter, body: bytes) -> bool:
        whole = _response(self.status, body, self.headers)
        headers_end = whole.index(b"\r\n\r\n") + 4
        match self.cut:
            case Cut.ON_REQUEST:
                return False
            case Cut.AFTER_STATUS:
                writer.write(whole[: whole.index(b"\r\n") + 2])
            case Cut.AFTER_HEADERS:
                writer.write(whole[:headers_end])
            case Cut.MID_BODY:
                writer.write(whole[: headers_end + len(body) // 2])
            case Cut.SILENT:
                await asyncio.Event().wait()
            case _:
                writer.write(whole)
                return True
        await writer.drain()
        return False

    def _note(self, trade: dict[str, str]) -> None:
        self.trades.append(trade)
        self.arrived.set()

    def _read(self, call: str, query: Mapping[str, str]) -> bytes:
        answers: dict[str, object] = {
            "ConnectEx": TOKEN,
            "ConnectByToken": TOKEN,
            "CheckConnect": "OK",
            "ConnectionStatus": {"id": TOKEN, "isConnected": True},
            "AccountSummary": {"balance": 1000, "equity": 1000, "currency": "USD",
                               "method": "Hedging", "synced": True, "isInvestor": False},
            "AccountDetails": {"user": LOGIN, "serverName": "Any", "password": "hidden"},
            "OpenedOrders": [],
        }  # fmt: skip
        return json.dumps(answers[call]).encode()

    def _order(self, call: str, query: Mapping[str, str]) -> bytes:
        if call == "OrderDelete":
            return b'"OK"'
        kind = query.get("operation", "BuyLimit")
        lots = float(query.get("volume", query.get("lots", "0.1")))
        row: dict[str, object] = {
            "ticket": int(query.get("ticket", "77")), "lots": lots, "openPrice": 1.1,
            "closePrice": 1.2, "profit": 5, "openTime": "2026-09-14T07:54:39",
        }  # fmt: skip
        if self._platform is Platform.MT5:
            state = "Filled" if "operation" in query else "Cancelled"
            row |= {"orderType": kind, "state": state, "closeLots": lots}
        else:
            row |= {"type": kind}
        return json.dumps(row).encode()


def _response(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    lines = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines |= headers or {}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body
