"""Where a demo may run: on a ring of its own in this process, or on processes that run already."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
from copypro.errors import SettingsError
from copypro.settings import Settings
from msgspec import Struct
from rich.console import Console

from copypro_standalone.ring import Ring

STARTED_WITHIN_S = 60.0
ASK_EVERY_S = 1.0


class Target(Struct, frozen=True):
    """A ring to talk to by REST, and a hand on the simulated brokers behind it."""

    url: str
    control: str
    """The simulated mt5rest, which also takes what a demo or a test wants of the brokers."""
    failed: Callable[[], Awaitable[None]]
    """Returns never, or raises when the ring ended."""


Rings = Callable[[Console], contextlib.AbstractAsyncContextManager[Target]]


def in_process(ports: tuple[int, int, int], data: Path | None) -> Rings:
    """A ring on SQLite with bridges on the first two ports and the gateway on the third, or on any
    free ones where these are taken; `data` is kept, else the data is gone with the demo.
    """

    @contextlib.asynccontextmanager
    async def ring(console: Console) -> AsyncIterator[Target]:
        """Errors: SettingsError for a folder that holds something."""
        if data is not None:
            _check_empty(data)
        mt4_port, mt5_port, gateway_port = ports
        with tempfile.TemporaryDirectory(prefix="copypro-demo-") as temporary:
            bridges = simulator_process(_free_or(mt4_port, console), _free_or(mt5_port, console))
            async with bridges as (mt4, mt5):
                settings = Settings.model_validate(
                    {
                        "api_mt4": mt4,
                        "api_mt5": mt5,
                        "data": data or Path(temporary),
                        "gateway_port": _free_or(gateway_port, console),
                        "sign_up": "open",
                        "simulated": True,
                        "mail": "file",
                    }
                )
                async with Ring(settings) as made:
                    yield Target(made.url, mt5, made.failed)

    return ring


def _check_empty(data: Path) -> None:
    """Real accounts in it would be asked for at the simulated brokers, which refuse their passwords."""
    if data.is_dir() and any(data.iterdir()):
        raise SettingsError(f"--data {data} is not empty: a demo has a folder of its own")


def running(url: str, control: str) -> Rings:
    """Processes that somebody else started, such as `make up-distributed`, on simulated bridges."""

    @contextlib.asynccontextmanager
    async def ring(_: Console) -> AsyncIterator[Target]:
        """Errors: SettingsError when nothing answers, or what answers is not simulated or not ready."""
        await _check(url)
        yield Target(url, control, lambda: _gone(url))

    return ring


async def _check(url: str) -> None:
    try:
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{url}/openapi.json") as response:
                about = await response.json()
            banner, _, _ = about["info"].get("description", "").partition("\n\n")
            if banner != "SIMULATED":
                raise SettingsError(f"{url} is not SIMULATED: a demo never trades on real accounts")
            async with http.get(f"{url}/health/ready") as response:
                state = await response.json()
            if response.status != 200:
                raise SettingsError(f"{url} is not ready: {state['reasons'][0]}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise SettingsError(
            f"no gateway at {url} ({type(error).__name__}): start one by `make up-distributed`,"
            " or say where by COPYPRO_URL"
        ) from None


async def _gone(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        while True:
            async with http.get(f"{url}/health/live") as response:
                response.raise_for_status()
            await asyncio.sleep(ASK_EVERY_S)


@contextlib.asynccontextmanager
async def simulator_process(mt4_port: int, mt5_port: int) -> AsyncIterator[tuple[str, str]]:
    """The bridges in a process of their own, so that latencies are honest; their addresses. It ends with
    this one, also where that is killed.

    Errors: SettingsError when they do not start.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mt_simulator", str(mt4_port), str(mt5_port), "--until-eof",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        addresses = await _addresses(process)
        if addresses is None:
            raise SettingsError(f"the simulated bridges did not start on {mt4_port} and {mt5_port}")
        yield addresses["mt4"], addresses["mt5"]
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _addresses(process: asyncio.subprocess.Process) -> dict[str, str] | None:
    """What the bridges say once they listen; None: they ended, or said nothing in time."""
    assert process.stdout is not None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STARTED_WITHIN_S):
            if line := await process.stdout.readline():
                addresses: dict[str, str] = json.loads(line)
                return addresses
    return None


def _free_or(port: int, console: Console) -> int:
    """The port, or 0 (any free one) where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            console.print(f"port {port} is taken: using a free one")
            return 0
    return port
