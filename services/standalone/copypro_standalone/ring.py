"""The services of one process: started, watched, and stopped together.

`copypro up` runs all of them on one data folder, `copypro gateway` and the others one each beside
other processes. It is the same code with another list of names.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import sys
import time
import uuid
from collections.abc import Collection, Coroutine
from types import TracebackType
from typing import Any

import copypro_account_watcher.service as watcher
import copypro_replicator.service as replicator
import copypro_stats.service as stats
import structlog
from copypro.envelope import utc_now
from copypro.errors import (
    LogCorrupt,
    LogUnavailable,
    ServiceEnded,
    SettingsError,
    StoreUnavailable,
)
from copypro.health import App, Edge
from copypro.journal import OperatorsJournal
from copypro.observing import ObservedLog, Ownership
from copypro.ports import Clock, TerminalLimits
from copypro.readiness import Readiness
from copypro.setting_aside import SettingAside
from copypro.settings import Settings
from copypro.topics import ROLES
from copypro.unhurried import Unhurried
from copypro.wiring import (
    ROOM_AGAIN_BYTES,
    Bridges,
    Stores,
    http_server,
    open_history,
    open_mail,
    operators_metrics,
    webhooks,
)
from copypro_account_watcher.limits import WatcherLimits
from copypro_stats import rebuilding
from copypro_stats.receivers import Receivers

from copypro_standalone.needs import ALL, check, needs_of
from copypro_standalone.stopping import (
    ANSWERED_AFTER_S,
    CLOSED_AFTER_S,
    READ_AFTER_S,
    Stopping,
)

logger = structlog.get_logger("copypro")
HTTP = "http"
SWITCH_S = 0.0005
ASK_AGAIN_S = 1.0
SAY_AGAIN_S = 30.0
READY_EVERY_S = 0.2
PROBE_EVERY_S = 3.0


class Ring:
    """`async with Ring(settings) as ring: await ring.failed()`.

    Answers for its health before anything else, waits for servers that are not there yet, and is
    entered once all services run. A service that ends although nobody stopped it ends the ring: a
    half-dead copier is worse than one that a supervisor starts again, and what was acknowledged is
    on disk.
    """

    def __init__(
        self,
        settings: Settings,
        watcher_limits: WatcherLimits | None = None,
        terminal_limits: TerminalLimits | None = None,
        *,
        services: Collection[str] = ALL,
        clock: Clock = utc_now,
    ) -> None:
        """Errors: SettingsError for settings with which these services cannot run."""
        check(settings, services)
        self._settings, self._services, self._clock = settings, services, clock
        self._watcher_limits = watcher_limits or WatcherLimits()
        self._terminal_limits = terminal_limits or TerminalLimits()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._waits_for = "starting"
        self._unreachable: list[str] = []
        self._metrics = operators_metrics()
        self._ownership = Ownership(self._metrics, time.monotonic)
        self._readiness = {role.name: Readiness(role.name) for role in ROLES}
        self._watched = watcher.Watched()
        self._unhurried = Unhurried()
        self._edge = Edge(self, self._metrics.page)
        self._stores: Stores | None = None
        self._bridges = Bridges(settings, self._terminal_limits)
        has_gateway = "gateway" in services
        # TLS and proxies are for who calls from outside: health and metrics of the others are asked
        # plainly, inside the network.
        self._server = http_server(self._edge, settings if has_gateway else None)
        self._scheme = "https" if has_gateway and settings.tls_cert else "http"
        self.port = settings.gateway_port if has_gateway else settings.service_port
        self._port_setting = "COPYPRO_GATEWAY_PORT" if has_gateway else "COPYPRO_SERVICE_PORT"

    @property
    def url(self) -> str:
        host = self._settings.host
        return f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def stores(self) -> Stores:
        assert self._stores is not None
        return self._stores

    async def __aenter__(self) -> Ring:
        # Messages hold no cycles: collecting them often only costs time between a frame and its copy.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        # A writing thread that has the interpreter gives it back this soon, and gets it as soon.
        sys.setswitchinterval(SWITCH_S)
        listening = _listening_socket(self._settings.host, self.port, self._port_setting)
        self.port = listening.getsockname()[1]
        try:
            self._start(HTTP, self._server.serve(sockets=[listening]))
            await self._answers()
            self._stores = await self._open_stores()
            self._watch()
            if self._settings.set_aside:
                logger.warning(
                    "records are set aside once they break",
                    COPYPRO_SET_ASIDE=self._settings.set_aside,
                )
            self._start("probes", self._probe(self._stores))
            for role in ROLES:
                if role.name in self._services:
                    self._ownership.join(role)
            for name in ALL:
                if name in self._services:
                    self._run(name, self.stores)
            self._waits_for = ""
        except BaseException:
            await self._close()
            listening.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def failed(self) -> None:
        """Never returns. Errors: ServiceEnded, when a service ended by itself; LogCorrupt, when that was
        because the log is damaged.
        """
        done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = None if task.cancelled() else task.exception()
            damage = _damage_in(error)
            if damage is not None:
                raise damage
            logger.critical("a service ended", ended=task.get_name(), exc_info=error)
            raise ServiceEnded(f"the {task.get_name()} ended: {type(error).__name__}")

    async def say_readiness(self) -> None:
        """A line whenever the process becomes ready, or is not any more; until cancelled."""
        said: bool | None = None
        while True:
            reasons = self.not_ready()
            if not reasons and not said:
                logger.info("ready", url=self.url, services=list(self._services))
            elif reasons and said:
                logger.warning("not ready", reasons=reasons)
            said = not reasons
            await asyncio.sleep(READY_EVERY_S)

    # --- health -------------------------------------------------------------------------------

    def live(self) -> bool:
        return not any(task.done() for task in self._tasks.values())

    def not_ready(self) -> list[str]:
        ended = [f"{name} has ended" for name, task in self._tasks.items() if task.done()]
        waits = [self._waits_for] if self._waits_for else []
        broken = [why for each in self._readiness.values() for why in each.reasons()]
        unreachable = [*self._unreachable, *self._short_of_room()]
        return [*ended, *waits, *unreachable, *self._ownership.not_ready(), *broken]

    def _short_of_room(self) -> list[str]:
        free_bytes = None if self._stores is None else self._stores.short_of_room()
        if free_bytes is None:
            return []
        left, enough = (f"{size >> 20} MB" for size in (free_bytes, ROOM_AGAIN_BYTES))
        return [
            f"the disk is nearly full ({left} left): nothing is opened until there are {enough}"
        ]

    def partitions(self) -> dict[str, int]:
        return self._ownership.counts()

    # --- starting -----------------------------------------------------------------------------

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.create_task(work, name=name)

    async def _answers(self) -> None:
        while not self._server.started:
            if self._tasks[HTTP].done():
                self._tasks[HTTP].result()
            await asyncio.sleep(0.005)

    async def _open_stores(self) -> Stores:
        """Servers that do not answer are waited for, and said once and then twice a minute."""
        needs = needs_of(self._services)
        begun, said_at = time.monotonic(), float("-inf")
        while True:
            try:
                return await Stores.open(self._settings, needs)
            except (LogUnavailable, StoreUnavailable) as error:
                self._waits_for, now = f"waiting: {error}", time.monotonic()
                if now - said_at >= SAY_AGAIN_S:
                    logger.warning("waiting", reason=str(error), waited_s=round(now - begun))
                    said_at = now
            await asyncio.sleep(ASK_AGAIN_S)

    async def _probe(self, stores: Stores) -> None:
        """Whether the servers still answer: for readiness alone, nothing else depends on it."""
        while True:
            self._unreachable = await stores.unreachable()
            await asyncio.sleep(PROBE_EVERY_S)

    def _watch(self) -> None:
        if "account-watcher" in self._services:
            watched = self._watched
            self._metrics.watch(
                self._ownership, self.not_ready, watched.sessions, watched.unresolved
            )
        else:
            self._metrics.watch(self._ownership, self.not_ready)

    def _run(self, name: str, stores: Stores) -> None:
        named = self._settings.places_set_aside
        broke = self._readiness[name].broke if name in self._readiness else frozenset()
        log = ObservedLog(SettingAside(stores.log, named, broke), self._ownership)
        lines = OperatorsJournal(name, self._metrics, time.monotonic)
        journal = self._unhurried.journal(lines)
        match name:
            case "stats":
                receivers = Receivers(
                    stores.models,
                    stores.vault.unseal,
                    webhooks(self._settings),
                    self._settings.alert_url,
                )
                self._start(name, self._project(log, stores, receivers))
            case "replicator":
                readiness = self._readiness[name]
                self._start(name, replicator.run(log, self._clock, journal, readiness=readiness))
            case "account-watcher":
                work = watcher.run(
                    log,
                    self._bridges.factories,
                    stores.vault,
                    self._clock,
                    time.monotonic,
                    self._watcher_limits,
                    self._readiness[name],
                    watched=self._watched,
                    journal=journal,
                    short_of_room=stores.short_of_room,
                )
                self._start(name, work)
            case "gateway":
                self._edge.app = self._gateway(log, stores)

    async def _project(self, log: ObservedLog, stores: Stores, receivers: Receivers) -> None:
        settings, readiness = self._settings, self._readiness["stats"]
        if not settings.kafka:
            history = open_history(settings)
            aside = settings.places_set_aside
            await rebuilding.follow_the_log(history, stores.models, readiness, aside)
        await stats.run(log, stores.models, self._clock, receivers, readiness=readiness)

    def _gateway(self, log: ObservedLog, stores: Stores) -> App:
        from copypro_gateway.api import create_app
        from copypro_gateway.core import GatewaySettings
        from copypro_gateway.entry.auth import hash_of

        from copypro_standalone.safe import safety_of

        settings = self._settings
        app: App = create_app(
            log=log,
            history=open_history(settings),
            read_models=stores.models,
            users=stores.users,
            vault=stores.vault,
            repeats=stores.repeats,
            clock=self._clock,
            new_id=lambda: uuid.uuid4().hex,
            settings=GatewaySettings(
                platforms=frozenset(self._bridges.factories),
                require_key=settings.require_key,
                most_accounts=settings.most_accounts,
                most_copiers=settings.most_copiers,
                visible_within_s=settings.visible_within_s,
                reset_url=settings.reset_url,
                errors_as_201=settings.errors_as_201,
                operator_key_hash=hash_of(settings.manager_key) if settings.manager_key else "",
                callback_private=settings.callback_private,
            ),
            meter=self._metrics,
            post=webhooks(settings),
            safety=safety_of(settings),
            mail=open_mail(settings),
            banner="SIMULATED" if settings.simulated else "",
        )
        return app

    # --- stopping -----------------------------------------------------------------------------

    async def _close(self) -> None:
        """Opens stop at once; what is on the wire is answered and recorded; then everything closes."""
        self._waits_for = "stopping"
        stopping = Stopping()
        self._server.should_exit = True
        watcher = self._cancelled("account-watcher")
        await stopping.ended([*watcher, *self._running(HTTP)], ANSWERED_AFTER_S)
        readers = self._cancelled("replicator", "stats", "probes")
        await stopping.ended(readers, READ_AFTER_S)
        self._start("stores", self._close_stores())
        await stopping.ended(self._running("stores"), CLOSED_AFTER_S)
        self._unhurried.flush()  # also of what became durable only now

    async def _close_stores(self) -> None:
        await self._bridges.close()
        if self._stores is not None:
            await self._stores.close()

    def _running(self, *names: str) -> list[asyncio.Task[None]]:
        return [self._tasks[name] for name in names if name in self._tasks]

    def _cancelled(self, *names: str) -> list[asyncio.Task[None]]:
        tasks = self._running(*names)
        for task in tasks:
            task.cancel()
        return tasks


def _damage_in(error: BaseException | None) -> LogCorrupt | None:
    """What a service ended with, which may be in the group of its tasks."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_damage_in, error.exceptions)), None)
    return error if isinstance(error, LogCorrupt) else None


def _listening_socket(host: str, port: int, setting: str) -> socket.socket:
    """Errors: SettingsError when the port is taken or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128, reuse_port=False)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # which says the address once more
        is_taken = error.errno == errno.EADDRINUSE
        first = "CopyPro may be running already; else " if is_taken else ""
        raise SettingsError(
            f"cannot listen on {host}:{port} ({why}): {first}set COPYPRO_HOST and {setting}"
        ) from None
