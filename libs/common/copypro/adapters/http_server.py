"""The HTTP server of a process, on a socket that is already bound; signals are not its business."""

from __future__ import annotations

import contextlib
from typing import Any

import uvicorn

from copypro.health import App


class HttpServer(uvicorn.Server):
    """`serve(sockets=[...])` runs until `should_exit`, then answers what it has begun.

    Access logs are off: query strings carry keys and passwords.
    """

    def __init__(self, app: App) -> None:
        super().__init__(uvicorn.Config(app, access_log=False, log_config=None, lifespan="off"))

    def capture_signals(self) -> Any:
        return contextlib.nullcontext()
