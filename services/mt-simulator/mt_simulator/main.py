"""Starts the simulated bridges on real ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from aiohttp import web

from mt_simulator.broker import Brokers
from mt_simulator.control import Clock, Control
from mt_simulator.face import Face
from mt_simulator.knobs import Ledger
from mt_simulator.model import Platform
from mt_simulator.mt4_api import Mt4Face
from mt_simulator.mt5_api import Mt5Face
from mt_simulator.world import build_default_world, move_prices


class CannotListen(Exception):
    """A bridge's port is taken, or the address is not this machine's."""

    def __init__(self, platform: Platform, host: str, port: int, error: OSError) -> None:
        # The loop's own text says the address once more.
        is_name = isinstance(error, socket.gaierror)
        why = error.strerror if is_name else os.strerror(error.errno or 0)
        super().__init__(f"cannot listen on {host}:{port} ({why})")
        self.platform = platform


class Simulator:
    """Both bridges, running; `control` does to the brokers what a test or a demo wants."""

    def __init__(
        self,
        runners: list[web.AppRunner],
        control: Control,
        brokers: Brokers,
        faces: Mapping[Platform, Face],
        addresses: tuple[str, str],
    ) -> None:
        self._runners = runners
        self.control, self.brokers, self.faces = control, brokers, faces
        self.mt4_url, self.mt5_url = addresses

    async def close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()


async def start(mt4_port: int = 0, mt5_port: int = 0, host: str = "127.0.0.1") -> Simulator:
    """An empty world on these ports (0: any free one). Errors: CannotListen."""
    brokers, ledger = Brokers(), Ledger()
    clock = Clock(lambda: datetime.now(UTC))
    faces: dict[Platform, Face] = {
        Platform.MT4: Mt4Face(brokers, clock, ledger),
        Platform.MT5: Mt5Face(brokers, clock, ledger),
    }
    control = Control(brokers, faces, ledger, clock)
    runners: list[web.AppRunner] = []
    addresses: list[str] = []
    for platform, port in ((Platform.MT4, mt4_port), (Platform.MT5, mt5_port)):
        app = web.Application()
        app.router.add_post("/control", control.handle)
        app.router.add_route("*", "/{path:.*}", faces[platform].handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, host, port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            for begun in runners:
                await begun.cleanup()
            raise CannotListen(platform, host, port, error) from None
        addresses.append(_address(*runner.addresses[0][:2]))
    mt4, mt5 = addresses
    return Simulator(runners, control, brokers, faces, (mt4, mt5))


def _address(host: str, port: int) -> str:
    """As this machine reaches it; one that listens everywhere is reached here too."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"


async def run(mt4_port: int, mt5_port: int, host: str, *, empty: bool, say: object) -> None:
    """Until SIGINT or SIGTERM. Not empty: a small world whose prices move gently."""
    simulator = await start(mt4_port, mt5_port, host)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    assert callable(say)
    say(f"SIMULATED bridges: MT4 {simulator.mt4_url}  MT5 {simulator.mt5_url}")
    moving: asyncio.Task[None] | None = None
    if not empty:
        for line in build_default_world(simulator.control):
            say(line)
        moving = asyncio.create_task(move_prices(simulator.control, Decimal("0.00005")))
    await stop.wait()
    if moving is not None:
        moving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await moving
    await simulator.close()
