"""What the client of trade calls makes of answers: of every form that HTTP/1.1 allows, and of none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from copypro.adapters.trade_wire import Broken, NotWritten, TradeWire
from yarl import URL

BODY = b'{"ticket": 77}'
ANSWERS = {
    "of a length": b"HTTP/1.1 201 X\r\nContent-Length: 14\r\n\r\n" + BODY,
    "in chunks": b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n"
    + BODY[:8] + b"\r\n6\r\n" + BODY[8:] + b"\r\n0\r\n\r\n",
    "announced": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 X\r\ncontent-length: 14\r\n\r\n" + BODY,
    "that ends with its connection": b"HTTP/1.1 201 X\r\n\r\n" + BODY,
    "of HTTP/1.0": b"HTTP/1.0 201 X\r\nContent-Length: 14\r\n\r\n" + BODY,
}  # fmt: skip
KEPT = frozenset({"of a length", "in chunks", "announced"})
BROKEN = {
    "nothing": b"",
    "an announcement alone": b"HTTP/1.1 100 Continue\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "a part of its length": b"HTTP/1.1 200 X\r\nContent-Length: 15\r\n\r\n" + BODY,
    "a part of its chunks": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n" + BODY[:8],
    "more than the limit": b"HTTP/1.1 200 X\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
    "more headers than the limit": b"HTTP/1.1 200 X\r\nContent-Length: 14\r\nX: "
    + b"x" * 20_000 + b"\r\n\r\n" + BODY,
}  # fmt: skip


class Server:
    """Gives each request the same answer; `hangs_up` after it."""

    def __init__(self) -> None:
        self.answer, self.hangs_up, self.piece = b"", False, 1_000_000
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                for at in range(0, len(self.answer), self.piece):
                    writer.write(self.answer[at : at + self.piece])
                    await asyncio.sleep(0)
                if self.hangs_up:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def wire(server: Server) -> AsyncIterator[TradeWire]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    wire = TradeWire(URL(f"http://{host}:{port}/a/b/"), {"Accept": "x"}, idle_s=10, most=1000)
    yield wire
    wire.close()
    listening.close()


async def get(wire: TradeWire) -> tuple[int, bytes]:
    return await wire.get("OrderSend?id=1", connect_s=5, within_s=5)


@pytest.mark.parametrize("piece", [1, 1000], ids=["byte by byte", "whole"])
@pytest.mark.parametrize("form", ANSWERS)
async def test_an_answer_is_read(server: Server, wire: TradeWire, form: str, piece: int) -> None:
    server.answer, server.hangs_up, server.piece = ANSWERS[form], form not in KEPT, piece
    assert [await get(wire), await get(wire)] == [(201, BODY)] * 2
    assert server.connections == (1 if form in KEPT else 2)
    assert server.requests[0].startswith(b"GET /a/b/OrderSend?id=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nAccept: x\r\n" in server.requests[0]


@pytest.mark.parametrize("form", BROKEN)
async def test_what_is_no_whole_answer_is_broken_and_asked_once(
    server: Server, wire: TradeWire, form: str
) -> None:
    server.answer, server.hangs_up = BROKEN[form], True
    with pytest.raises(Broken):
        await get(wire)
    assert len(server.requests) == 1
    assert not wire.has_fresh()


async def test_a_connection_that_told_more_than_its_answer_is_not_used_again(
    server: Server, wire: TradeWire
) -> None:
    server.answer = ANSWERS["of a length"] + b"HTTP/1.1 200 X\r\nContent-Length: 1\r\n\r\n?"
    assert await get(wire) == (201, BODY)
    assert not wire.has_fresh()
    assert await get(wire) == (201, BODY)
    assert server.connections == 2


async def test_a_cancelled_call_takes_its_connection_with_it(
    server: Server, wire: TradeWire
) -> None:
    asked = asyncio.ensure_future(get(wire))
    while not server.requests:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.001)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not wire.has_fresh()


async def test_calls_at_one_time_have_connections_of_their_own(
    server: Server, wire: TradeWire
) -> None:
    server.answer = ANSWERS["of a length"]
    assert await asyncio.gather(*(get(wire) for _ in range(5))) == [(201, BODY)] * 5
    assert server.connections == 5
    assert await asyncio.gather(*(get(wire) for _ in range(5))) == [(201, BODY)] * 5
    assert server.connections == 5


async def test_closing_breaks_what_is_in_flight(server: Server, wire: TradeWire) -> None:
    asked = asyncio.ensure_future(get(wire))
    while not server.requests:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.001)
    wire.close()
    with pytest.raises(Broken):
        await asked


async def test_an_address_without_a_server_was_not_written_to() -> None:
    wire = TradeWire(URL("http://127.0.0.1:1"), {}, idle_s=10, most=1000)
    with pytest.raises(NotWritten):
        await get(wire)
