"""The ring's edge: the gateway's REST on a socket that is already listening, and its health."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from copypro_standalone.supervising import Supervisor

CLOSE_WITHIN_S = 2
"""Answers in flight get this long at a stop."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process has one owner of signals, and it is not this server."""
        yield


async def serve(app: FastAPI, listener: socket.socket) -> None:
    """Until cancelled; then answers what is in flight. `listener` stays open for the next one."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=CLOSE_WITHIN_S,
        server_header=False,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener.dup()]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise


def add_health(app: FastAPI, supervisor: Supervisor) -> None:
    """live: this process answers. ready: every service runs; else 503 and why not."""

    @app.get("/health/live", include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready", include_in_schema=False)
    async def ready() -> JSONResponse:
        reasons = supervisor.not_ready
        status = "not ready" if reasons else "ready"
        return JSONResponse({"status": status, "reasons": reasons}, 503 if reasons else 200)
