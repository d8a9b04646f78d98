"""A bridge to which there is no connection: what is said of it, to whoever set its address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from copypro.adapters.bridge import Bridge
from copypro.adapters.http_server import HttpServer
from copypro.adapters.trade_wire import why
from copypro.errors import NotSent, Unavailable
from copypro.ports import TerminalLimits
from copypro.retcodes import CallKind
from copypro.values import Platform

from tests.contract.test_http_server import certificate, scheme


@pytest.fixture
async def https(tmp_path: Path) -> AsyncIterator[str]:
    """Its certificate is known to nobody here."""
    cert_file, key_file = certificate(tmp_path)
    server = HttpServer(scheme, tls=(str(cert_file), str(key_file)))
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"https://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
async def http() -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def said_of(address: str) -> str:
    """By a read, and by a trade call alike."""
    bridge = Bridge(Platform.MT5, address, TerminalLimits(), reads_per_s=1000)
    try:
        with pytest.raises(Unavailable) as read:
            await bridge.read("Ping", {})
        with pytest.raises(NotSent) as sent:
            await bridge.change("OrderSend", {}, CallKind.OPEN)
        assert sent.value.message == read.value.message
    finally:
        await bridge.aclose()
    return read.value.message


async def test_a_wrong_port() -> None:
    said = await said_of("http://127.0.0.1:1")
    assert said == "no connection to the MT5 bridge (Connection refused)"


async def test_a_name_that_nobody_knows() -> None:
    said = await said_of("http://bridge.invalid:5005")
    assert said == "no connection to the MT5 bridge (its name cannot be resolved)"


async def test_https_where_http_is_spoken(http: str) -> None:
    said = await said_of(f"https://{http}")
    assert said == "no connection to the MT5 bridge (no TLS was agreed on)"


async def test_a_certificate_that_is_not_trusted(https: str) -> None:
    said = await said_of(https)
    assert said == "no connection to the MT5 bridge (its certificate is not trusted)"


def test_several_addresses_of_a_name() -> None:
    """As asyncio says it, with the addresses, where each was refused in its own words."""
    error = OSError("Multiple exceptions: [Errno 111] ('::1', 1), [Errno 111] ('127.0.0.1', 1)")
    assert why(error) == "none of its addresses answers"
    assert why(ConnectionResetError("Connection lost")) == "ConnectionResetError"
