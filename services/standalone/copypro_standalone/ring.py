"""All services in one process on one data folder: started, watched, and stopped together."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import uuid
from types import TracebackType

import copypro_account_watcher.service as watcher
import copypro_replicator.service as replicator
import copypro_stats.service as stats
import structlog
from copypro.envelope import utc_now
from copypro.errors import SettingsError
from copypro.ports import TerminalLimits
from copypro.readiness import Readiness
from copypro.settings import Settings
from copypro.topics import ROLES
from copypro.wiring import Bridges, Stores, read_log
from copypro_account_watcher.limits import WatcherLimits
from copypro_gateway.api import create_app, make_server
from copypro_gateway.auth import hash_of
from copypro_gateway.gateway import GatewaySettings
from copypro_stats.notifier import Notifier

logger = structlog.get_logger("copypro")
STOP_WITHIN_S = 9.0


class Ring:
    """`async with Ring(settings) as ring: await ring.failed()`.

    A service that ends although nobody stopped it ends the ring: a half-dead copier is worse than
    one that a supervisor starts again, and what was acknowledged is on disk.
    """

    def __init__(
        self,
        settings: Settings,
        watcher_limits: WatcherLimits | None = None,
        terminal_limits: TerminalLimits | None = None,
        *,
        simulated: bool = False,
    ) -> None:
        if not settings.api_mt4 and not settings.api_mt5:
            raise SettingsError(
                "no bridge: set ApiMT4 and/or ApiMT5 to the addresses of your mt4rest and mt5rest"
                " bridges, such as ApiMT5=http://127.0.0.1:5005 (`copypro demo` needs none)"
            )
        self._settings = settings
        self._watcher_limits = watcher_limits or WatcherLimits()
        self._terminal_limits = terminal_limits or TerminalLimits()
        self._simulated = simulated
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._readiness = {role.name: Readiness(role.name) for role in ROLES}
        self.port = settings.gateway_port

    @property
    def url(self) -> str:
        return f"http://{self._settings.host}:{self.port}"

    @property
    def stores(self) -> Stores:
        return self._stores

    async def __aenter__(self) -> Ring:
        # Messages hold no cycles: collecting them often only costs time between a frame and its copy.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        settings = self._settings
        listening = _listening_socket(settings.host, settings.gateway_port)
        self.port = listening.getsockname()[1]
        try:
            self._stores = await Stores.open(settings)
        except BaseException:
            listening.close()
            raise
        self._bridges = Bridges(settings, self._terminal_limits)
        stores = self._stores
        app = create_app(
            log=stores.log,
            reader=read_log(settings.data),
            read_models=stores.models,
            users=stores.users,
            vault=stores.vault,
            clock=utc_now,
            new_id=lambda: uuid.uuid4().hex,
            settings=GatewaySettings(
                platforms=frozenset(self._bridges.factories),
                require_key=settings.require_key,
                sign_up_open=settings.sign_up_open,
                operator_key_hash=hash_of(settings.manager_key) if settings.manager_key else "",
            ),
            health=self,
            banner="SIMULATED" if self._simulated else "",
        )
        self._server = make_server(app, settings.host, settings.gateway_port)
        ready = self._readiness
        notify = Notifier(settings.alert_url) if settings.alert_url else None
        self._start("gateway", self._server.serve(sockets=[listening]))
        self._start("stats", stats.run(stores.log, stores.models, utc_now, notify, ready["stats"]))
        self._start(
            "replicator", replicator.run(stores.log, utc_now, readiness=ready["replicator"])
        )
        self._start(
            "account-watcher",
            watcher.run(
                stores.log,
                self._bridges.factories,
                stores.vault,
                utc_now,
                time.monotonic,
                self._watcher_limits,
                ready["account-watcher"],
            ),
        )
        await self._listening()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Opens stop at once; what is on the wire is answered and recorded; then everything closes."""
        self._server.should_exit = True
        for name in ("account-watcher", "replicator", "stats"):
            await self._stop(name)
        await self._stop("gateway", cancel=False)
        await self._bridges.close()
        await self._stores.close()

    async def failed(self) -> None:
        """Returns never, or raises when a service ended by itself."""
        done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = None if task.cancelled() else task.exception()
            logger.critical("a service ended", service=task.get_name(), exc_info=error)
            raise RuntimeError(f"the {task.get_name()} ended: {error!r}")

    # --- health -------------------------------------------------------------------------------

    def live(self) -> bool:
        return all(not task.done() for task in self._tasks.values())

    def ready(self) -> list[str]:
        ended = [f"{name} has ended" for name, task in self._tasks.items() if task.done()]
        return ended + [why for each in self._readiness.values() for why in each.reasons()]

    # --- inside -------------------------------------------------------------------------------

    def _start(self, name: str, work) -> None:  # type: ignore[no-untyped-def]
        self._tasks[name] = asyncio.create_task(work, name=name)

    async def _stop(self, name: str, *, cancel: bool = True) -> None:
        task = self._tasks[name]
        if cancel:
            task.cancel()
        await asyncio.wait([task], timeout=STOP_WITHIN_S)

    async def _listening(self) -> None:
        while not self._server.started:
            if self._tasks["gateway"].done():
                self._tasks["gateway"].result()
            await asyncio.sleep(0.005)


def _listening_socket(host: str, port: int) -> socket.socket:
    """Errors: SettingsError when the port is taken or the address is not this machine's."""
    try:
        return socket.create_server((host, port), backlog=128, reuse_port=False)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port} ({error.strerror}): set COPYPRO_HOST and"
            " COPYPRO_GATEWAY_PORT"
        ) from None
