"""Who speaks TLS where a certificate is given: the gateway, and the health check that asks it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from pathlib import Path

import aiohttp
import pytest
from copypro.adapters.http_server import HttpServer
from copypro.settings import Settings
from copypro_standalone.ring import Ring
from cryptography.fernet import Fernet

from tests.contract.test_http_server import certificate, scheme
from tests.image import ROOT
from tests.waiting import until


@pytest.mark.parametrize("is_tls", [True, False])
async def test_the_health_check_asks_the_gateway_as_the_gateway_speaks(
    tmp_path: Path, is_tls: bool
) -> None:
    cert_file, key_file = certificate(tmp_path)
    server = HttpServer(scheme, tls=(str(cert_file), str(key_file)) if is_tls else None)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        check = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "infra" / "healthcheck.py"),
            "ready",
            env={
                **os.environ,
                "COPYPRO_GATEWAY_PORT": str(listening.getsockname()[1]),
                "COPYPRO_SERVICE_PORT": "1",
                "COPYPRO_TLS_CERT": str(cert_file) if is_tls else "",
            },
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await check.communicate()
        assert check.returncode == 0, said
        assert said.startswith(b"https " if is_tls else b"http ")
    finally:
        server.should_exit = True
        await serving


@pytest.mark.parametrize(("service", "speaks"), [("gateway", "https"), ("stats", "http")])
async def test_only_the_gateway_speaks_tls(tmp_path: Path, service: str, speaks: str) -> None:
    """It answers for its health while it waits for servers, of which there are none here."""
    cert_file, key_file = certificate(tmp_path)
    settings = Settings.model_validate(
        {
            "api_mt5": "http://127.0.0.1:5005",
            "data": tmp_path / "data",
            "kafka": "127.0.0.1:1",
            "mongo": "mongodb://127.0.0.1:1/copypro",
            "secret_keys": Fernet.generate_key().decode(),
            "gateway_port": 0,
            "service_port": 0,
            "tls_cert": str(cert_file),
            "tls_key": str(key_file),
        }
    )
    ring = Ring(settings, services=(service,))
    entering = asyncio.create_task(ring.__aenter__())
    try:
        await until(lambda: ring.port != 0)
        trusting = ssl.create_default_context(cafile=cert_file)
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{ring.url}/health/live", ssl=trusting) as answer,
        ):
            assert (answer.status, answer.url.scheme) == (200, speaks)
    finally:
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
