"""The HTTP server of a process, on a socket that is already bound; signals are not its business."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence
from typing import Any

import uvicorn

from copypro.errors import SettingsError
from copypro.health import App

KEEP_ALIVE_S = 75
"""How long an idle connection stays: longer than proxies (60 s) and clients keep theirs. Whoever closes
first may do so just as a call is on its way, and the caller could not know what became of it.
"""


class HttpServer(uvicorn.Server):
    """`serve(sockets=[...])` runs until `should_exit`, then answers what it has begun.

    Access logs are off: query strings carry keys and passwords. `proxies`: addresses and networks
    whose X-Forwarded-For and -Proto are believed, and nobody else's. `tls`: certificate and key file.
    """

    def __init__(
        self, app: App, proxies: Sequence[str] = (), tls: tuple[str, str] | None = None
    ) -> None:
        """Errors: SettingsError for files that are no certificate and key."""
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
        )
        super().__init__(config)
        if tls is not None:
            config.load()
            config.ssl = _context(*tls)

    def capture_signals(self) -> Any:
        return contextlib.nullcontext()


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"COPYPRO_TLS_CERT and COPYPRO_TLS_KEY: {error.strerror or error}: they are the files of a"
            " certificate (with its chain) and its key, in PEM"
        ) from None
    return context
