"""A ring in this process, simulated bridges in another, and when each order's request left.

"On the wire" is the moment at which a request's first bytes are handed to the socket: by the ring's
own client for trade calls, or by aiohttp for what it is compared with.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import aiohttp
import aiohttp.http_writer
import msgspec
from copypro.adapters.sqlite_log import SqliteLogReader
from copypro.adapters.trade_wire import Connection
from copypro.ports import Record
from copypro.settings import Settings
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.demo_rings import simulator_process
from copypro_standalone.logs import configure
from copypro_standalone.ring import Ring
from mt_simulator.client import SimulatorControl

SERVER, SYMBOL, PASSWORD = "Bench-MT5", "EURUSD", "bench"
_COMMENT = re.compile(rb"^GET /OrderSend\?\S*?comment=([^&\s]+)")


class Wire:
    """`sent[comment]`: seconds since 1970 at which the OrderSend with this comment left."""

    def __init__(self) -> None:
        self.sent: dict[str, float] = {}
        aiohttps: Any = aiohttp.http_writer.StreamWriter
        ours: Any = Connection
        self._writers = ((aiohttps, "_write"), (ours, "write"))
        self._former = [getattr(writer, name) for writer, name in self._writers]

    def __enter__(self) -> Wire:
        for (writer, name), write in zip(self._writers, self._former, strict=True):
            setattr(writer, name, self._stamped(write))
        return self

    def __exit__(self, *_: object) -> None:
        for (writer, name), write in zip(self._writers, self._former, strict=True):
            setattr(writer, name, write)

    def _stamped(self, write: Any) -> Any:
        sent = self.sent

        def stamped(writer: Any, chunk: bytes) -> None:
            found = _COMMENT.match(chunk)
            if found is not None:
                sent[found[1].decode()] = time.time()
            write(writer, chunk)

        return stamped


class World:
    """One master (login 1) and its slaves on one MT5 server, linked and warm."""

    def __init__(self, control: SimulatorControl, bridge: str, data: Path, slaves: int) -> None:
        self.control, self.bridge, self.data, self.slaves = control, bridge, data, slaves
        self._tickets: list[int] = []

    async def open(self) -> None:
        self._tickets.append(await self.control.open(SERVER, 1, SYMBOL, "Buy", "0.10"))

    async def close_all(self) -> None:
        closed = (await self.control.ledger_counts()).get("orderclose", 0)
        wanted = closed + len(self._tickets) * self.slaves
        for ticket in self._tickets:
            await self.control.close(SERVER, 1, ticket)
        self._tickets.clear()
        await self.until("orderclose", wanted)

    async def sends(self) -> int:
        return int((await self.control.ledger_counts()).get("ordersend", 0))

    async def until(self, call: str, wanted: int) -> None:
        """Until the bridge has seen so many of a call; asks seldom, to disturb little."""
        async with asyncio.timeout(120):
            while True:
                if (await self.control.ledger_counts()).get(call, 0) >= wanted:
                    return
                await asyncio.sleep(0.03)

    def records(self, topic: str, kind: str) -> list[Record]:
        return [r for r in SqliteLogReader(self.data).records(topic) if r.headers["type"] == kind]

    def seen(self) -> dict[str, float]:
        """By tag: when the frame with the master's trade came in."""
        found: dict[str, float] = {}
        for record in self.records("executions", "AttemptStarted"):
            event = msgspec.json.decode(record.value or b"")
            if event.get("seen_at_utc"):
                found[event["tag"]] = datetime.fromisoformat(event["seen_at_utc"]).timestamp()
        return found


@asynccontextmanager
async def world(slaves: int) -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        async with simulator_process(0, 0) as (_, mt5), SimulatorControl(mt5) as control:
            await _build(control, slaves)
            async with running(mt5, data) as ring:
                await _link(ring.url, slaves)
                ticking = asyncio.create_task(_tick(control))
                made = World(control, mt5, data, slaves)
                for _ in range(5):  # symbols and margins are read once, code and caches get warm
                    sends = await made.sends()
                    await made.open()
                    await made.until("ordersend", sends + slaves)
                    await made.close_all()
                yield made
                ticking.cancel()


@asynccontextmanager
async def running(mt5: str, data: Path) -> AsyncIterator[Ring]:
    settings = Settings.model_validate(
        {"api_mt5": mt5, "data": data, "gateway_port": 0, "sign_up": "open", "reads_per_s": 1000}
    )
    with contextlib.redirect_stderr(_nobody()):
        configure(as_json=True)  # the lines of the real program are written, and read by nobody
        async with Ring(settings, WatcherLimits(snapshot_every_s=30)) as ring:
            yield ring


@cache
def _nobody() -> TextIO:
    return open(os.devnull, "w")


async def _tick(control: SimulatorControl) -> None:
    while True:
        await control.quote(SERVER, SYMBOL, "1.10000", "1.10010")
        await asyncio.sleep(0.5)


async def _build(control: SimulatorControl, slaves: int) -> None:
    await control.add_server(name=SERVER, platform="MT5")
    await control.add_symbol(SERVER, name=SYMBOL)
    await control.quote(SERVER, SYMBOL, "1.10000", "1.10010")
    for login in range(1, slaves + 2):
        await control.add_account(
            server=SERVER, platform="MT5", login=login, password=PASSWORD, balance="100000000"
        )


async def _link(url: str, slaves: int) -> None:
    ids = await register(url, range(1, slaves + 2))
    async with aiohttp.ClientSession(base_url=url) as http:
        for slave in ids.slaves:
            body = {"masterAccountId": ids.master, "slaveAccountId": slave, "riskValue": "0.5"}
            await call(http, "Start", ids.headers, body)


class Registered(msgspec.Struct):
    headers: dict[str, str]
    master: str
    slaves: list[str]


async def register(url: str, logins: Sequence[int]) -> Registered:
    """One user with these accounts, all of them connected."""
    async with aiohttp.ClientSession(base_url=url) as http:
        signed = await call(
            http, "SignUp", {}, {"email": f"{logins[0]}@example.com", "passwordHash": "0" * 64}
        )
        headers = {"Authorization": f"Bearer {signed['userKey']}"}
        ids = []
        for login in logins:
            body = {"type": "MT5", "user": login, "password": PASSWORD, "server": SERVER}
            ids.append((await call(http, "AddAccount", headers, body))["accountId"])
        async with asyncio.timeout(300):
            while True:
                if all(a["connected"] for a in await call(http, "Accounts", headers, {})):
                    break
                await asyncio.sleep(0.1)
    return Registered(headers, ids[0], ids[1:])


async def call(
    http: aiohttp.ClientSession, name: str, headers: dict[str, str], body: dict[str, Any]
) -> Any:
    async with http.post(f"/{name}", json=body, headers=headers) as response:
        answer = await response.json()
        assert response.status == 200, answer
        return answer


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[int((len(ordered) - 1) * 0.99)]


def rate(moments: Sequence[float]) -> float:
    """Events per second, from the first to the last."""
    took = max(moments) - min(moments)
    return (len(moments) - 1) / took if took else float("nan")
