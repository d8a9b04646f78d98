"""The whole ring in one process: log, gateway, account watcher, replicator and stats on SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
from copypro import wiring
from copypro.envelope import utc_now
from copypro.errors import SettingsError
from copypro.ports import TerminalLimits
from copypro.settings import BRIDGE_VARIABLES, Settings
from copypro.wiring import Adapters
from copypro_account_watcher import service as watcher
from copypro_account_watcher.limits import WatcherLimits
from copypro_replicator import service as replicator
from copypro_stats import service as stats
from copypro_stats.notifier import Notifier
from msgspec import Struct

from copypro_standalone import edge
from copypro_standalone.supervising import RestartLimits, Supervisor

logger = structlog.get_logger("ring")


class RingLimits(Struct, frozen=True, kw_only=True):
    """Everything that bounds the ring; tests scale it."""

    # A stop gives calls in flight this long, and ends within `stop_s` whatever happens.
    watcher: WatcherLimits = WatcherLimits(drain_s=6.0)
    terminal: TerminalLimits = TerminalLimits()
    restarts: RestartLimits = RestartLimits()
    stop_s: float = 9.5


COMPRESSED = RingLimits(watcher=WatcherLimits(drain_s=6.0, spec_age_s=2.0))
"""For the demo, in which two months pass in a minute: what a tick is worth is old after seconds."""


class Ring(Struct, frozen=True):
    """A ring that runs."""

    url: str
    adapters: Adapters
    supervisor: Supervisor

    async def failed(self) -> None:
        """Waits for what cannot be repaired in place. Raises ServiceFailed."""
        await self.supervisor.failed()


@asynccontextmanager
async def running(
    settings: Settings, limits: RingLimits, *, simulated: bool = False
) -> AsyncIterator[Ring]:
    """From open data to answering REST, and back: the edge closes first, then the watcher lets its
    calls in flight be answered, then the rest.

    Errors: SettingsError (the port is taken), LogBusy, LogCorrupt, SecretsError.
    """
    async with AsyncExitStack() as stack:
        adapters = await stack.enter_async_context(wiring.adapters(settings, limits.terminal))
        listener = listen(settings.host, settings.gateway_port)
        stack.callback(listener.close)
        supervisor = Supervisor(limits.restarts, time.monotonic)
        alert = Notifier(settings.alert_url.get_secret_value()) if settings.alert_url else None
        host, port = listener.getsockname()[:2]
        url = f"http://{host}:{port}"
        app = edge.make_app(settings, adapters, supervisor, url, simulated=simulated)
        services = {
            "stats": partial(stats.run, adapters.log, adapters.read_models, utc_now, alert),
            "replicator": partial(replicator.run, adapters.log, utc_now),
            "account-watcher": partial(
                watcher.run,
                adapters.log,
                adapters.terminals,
                adapters.vault,
                utc_now,
                time.monotonic,
                limits.watcher,
            ),
            "gateway": partial(edge.serve, app, listener),
        }
        for name, start in services.items():
            supervisor.start(name, start)
            stack.push_async_callback(supervisor.stop, name)
        yield Ring(url, adapters, supervisor)


def listen(host: str, port: int) -> socket.socket:
    """Errors: SettingsError when the address is taken or not this machine's."""
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        raise SettingsError(
            f"{host}:{port} cannot be listened on ({error.strerror}):"
            " set COPYPRO_GATEWAY_PORT or COPYPRO_HOST"
        ) from None


async def up(
    settings: Settings, limits: RingLimits, say: Callable[[str], None], *, simulated: bool = False
) -> None:
    """Until SIGTERM or SIGINT, then stops within its limit. Errors: as `running`, ServiceFailed."""
    if not settings.bridges():
        raise SettingsError(
            f"no bridge: set {' or '.join(BRIDGE_VARIABLES.values())} to the address of a MetaTrader"
            " REST bridge, such as ApiMT5=http://127.0.0.1:5005 (try `copypro demo` without one)"
        )
    # Messages hold no cycles: looking for some often only costs time between a frame and its copy.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        ring = await stack.enter_async_context(running(settings, limits, simulated=simulated))
        for platform, variable in BRIDGE_VARIABLES.items():
            if platform not in settings.bridges():
                say(f"{platform.value} is off: {variable} is not set")
        say(
            f"{'SIMULATED ' if simulated else ''}CopyPro answers at {ring.url}, data in {settings.data}"
        )
        failed = asyncio.create_task(ring.failed())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((failed, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            failed.cancel()
        logger.info("stopping")
        # What is not answered within the limit is as after a crash: unresolved, settled at the next start.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.stop_s):
                await stack.aclose()
        if failed.done() and not failed.cancelled():
            failed.result()
