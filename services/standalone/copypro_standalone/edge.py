"""The ring's edge: the gateway's REST on a socket that is already listening."""

from __future__ import annotations

import asyncio
import secrets
import socket

from copypro.envelope import utc_now
from copypro.settings import Settings
from copypro.wiring import Adapters
from copypro_gateway.api import create_app, make_server
from copypro_gateway.gateway import GatewaySettings
from fastapi import FastAPI

from copypro_standalone import door
from copypro_standalone.supervising import Supervisor


def make_app(
    settings: Settings, adapters: Adapters, supervisor: Supervisor, url: str, *, simulated: bool
) -> FastAPI:
    """The gateway's REST with the health of this process, and the operator's door."""
    app = create_app(
        log=adapters.log,
        read_models=adapters.read_models,
        users=adapters.users,
        vault=adapters.vault,
        clock=utc_now,
        new_id=lambda: secrets.token_hex(16),
        settings=GatewaySettings(
            platforms=frozenset(adapters.terminals),
            require_key=settings.require_key,
            sign_up_open=settings.sign_up_open,
        ),
        health=supervisor,
        banner="SIMULATED" if simulated else "",
    )
    key = door.write_door(settings.data, url)
    door.add_door(app, key, adapters.log, adapters.read_models, utc_now)
    return app


async def serve(app: FastAPI, listener: socket.socket) -> None:
    """Until cancelled; then answers what is in flight. `listener` stays open for the next one."""
    host, port = listener.getsockname()[:2]
    server = make_server(app, host, port)
    serving = asyncio.create_task(server.serve(sockets=[listener.dup()]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
