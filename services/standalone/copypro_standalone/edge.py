"""The ring's edge: the gateway's REST on a socket that is already listening, and its health."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from copypro.envelope import utc_now
from copypro.settings import Settings
from copypro.wiring import Adapters
from copypro_gateway.api import create_app
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from copypro_standalone import door
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


def make_app(
    settings: Settings, adapters: Adapters, supervisor: Supervisor, url: str, *, simulated: bool
) -> FastAPI:
    """The gateway's REST, the health of this process, and the operator's door."""
    app = create_app(adapters.log, adapters.read_models, adapters.users, adapters.vault)
    add_health(app, supervisor)
    key = door.write_door(settings.data, url)
    door.add_door(app, key, adapters.log, adapters.read_models, utc_now)
    return app


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
