"""The server's own TLS, what it says of files that are no certificate, and idle connections."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
from copypro.adapters.http_server import HttpServer
from copypro.errors import SettingsError
from copypro.health import Edge, Receive, Scope, Send
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


async def scheme(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


def certificate(folder: Path) -> tuple[Path, Path]:
    """Of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(host, critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


async def test_it_speaks_tls_with_the_certificate_it_was_given(tmp_path: Path) -> None:
    cert_file, key_file = certificate(tmp_path)
    server = HttpServer(scheme, tls=(str(cert_file), str(key_file)))
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    trusting = ssl.create_default_context(cafile=cert_file)
    async with aiohttp.ClientSession() as http:
        async with http.get(f"https://127.0.0.1:{port}/", ssl=trusting) as response:
            assert await response.text() == "https"
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"http://127.0.0.1:{port}/")
    server.should_exit = True
    await serving


def test_files_that_are_no_certificate_are_named(tmp_path: Path) -> None:
    cert_file, key_file = certificate(tmp_path)
    wrong = ((tmp_path / "none", key_file), (cert_file, cert_file), (key_file, key_file))
    for pair in wrong:
        with pytest.raises(SettingsError, match="COPYPRO_TLS_CERT"):
            HttpServer(scheme, tls=(str(pair[0]), str(pair[1])))


class Well:
    def live(self) -> bool:
        return True

    def not_ready(self) -> list[str]:
        return []

    def partitions(self) -> dict[str, int]:
        return {}


async def test_monitors_that_ask_for_the_head_alone_are_told_the_state() -> None:
    server = HttpServer(Edge(Well(), lambda: b"metrics"))
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with aiohttp.ClientSession() as http:
        for path in ("/health/live", "/health/ready", "/metrics"):
            async with http.head(url + path) as response:
                assert response.status == 200
                assert await response.read() == b""
    server.should_exit = True
    await serving


@pytest.mark.slow
async def test_a_connection_is_kept_while_a_client_that_asks_now_and_then_keeps_it() -> None:
    """A server that closes idle ones after a few seconds resets the next call on its way."""
    server = HttpServer(scheme)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    for idle_s in (0.0, 7.0):
        await asyncio.sleep(idle_s)  # time itself is what is tested
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        async with asyncio.timeout(60):
            assert b"200" in await reader.readuntil(b"\r\n\r\n")
            assert b"http" in await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.close()
    server.should_exit = True
    await serving
