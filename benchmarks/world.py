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
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import aiohttp
import aiohttp.http_writer
import msgspec
from copypro.adapters.bridge_streams import Streams
from copypro.adapters.sqlite_log import SqliteLog
from copypro.adapters.trade_wire import Connection
from copypro.ports import Outgoing, Record
from copypro.settings import Settings
from copypro.topics import EXECUTIONS, Topic
from copypro.wiring import open_history
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.demo_rings import simulator_process
from copypro_standalone.logs import configure
from copypro_standalone.ring import Ring
from mt_simulator.client import SimulatorControl

SERVER, SYMBOL, PASSWORD = "Bench-MT5", "EURUSD", "bench"
_TICKET = re.compile(rb'"ticketNumber":(\d+)')
_COMMENT = re.compile(rb"^GET /OrderSend\?\S*?comment=([^&\s]+)")


class Wire:
    """`sent[comment]`: seconds since 1970 at which the OrderSend with this comment left;
    `came[ticket]`: at which the first frame that tells of this ticket was read from its socket.
    """

    def __init__(self) -> None:
        self.sent: dict[str, float] = {}
        self.came: dict[str, float] = {}
        aiohttps: Any = aiohttp.http_writer.StreamWriter
        ours, streams = Connection, Streams
        self._patched: list[tuple[Any, str, Any]] = [
            (aiohttps, "_write", self._leaves(aiohttps._write)),
            (ours, "write", self._leaves(ours.write)),
            (streams, "_read", self._comes(streams._read)),
        ]
        self._former = [getattr(owner, name) for owner, name, _ in self._patched]

    def __enter__(self) -> Wire:
        for owner, name, stamped in self._patched:
            setattr(owner, name, stamped)
        return self

    def __exit__(self, *_: object) -> None:
        for (owner, name, _stamped), former in zip(self._patched, self._former, strict=True):
            setattr(owner, name, former)

    def _leaves(self, write: Any) -> Any:
        def stamped(writer: Any, chunk: bytes) -> None:
            found = _COMMENT.match(chunk)
            if found is not None:
                self.sent[found[1].decode()] = time.time()
            write(writer, chunk)

        return stamped

    def _comes(self, read: Any) -> Any:
        def stamped(streams: Any, path: str, frame: bytes) -> None:
            found = _TICKET.search(frame)
            if found is not None:
                self.came.setdefault(found[1].decode(), time.time())
            read(streams, path, frame)

        return stamped


class Commits:
    """What the ring's log was given to make durable meanwhile, commit by commit."""

    def __init__(self) -> None:
        self._commits: list[list[Outgoing]] = []
        self._submit = SqliteLog._submit

    def __enter__(self) -> Commits:
        submit, commits = self._submit, self._commits

        def kept(log: SqliteLog, outputs: Sequence[Outgoing], *rest: Any) -> Any:
            commits.append(list(outputs))
            return submit(log, outputs, *rest)

        setattr(SqliteLog, "_submit", kept)  # noqa: B010 - as the wire is watched
        return self

    def __exit__(self, *_: object) -> None:
        setattr(SqliteLog, "_submit", self._submit)  # noqa: B010

    def of_trade(self) -> list[list[Outgoing]]:
        """Of one trade of the master's: the event's records, the plans', the attempts'."""
        return [
            [
                record
                for records in self._commits
                if any(leads(record) for record in records)
                for record in records
            ]
            for leads in (_is_masters_open, _is_plan, _is_attempt_to_open)
        ]


def _is_masters_open(record: Outgoing) -> bool:
    is_open = record.headers.get("type") == "PositionOpened"
    return is_open and b'"copy":"' not in (record.value or b"")


def _is_plan(record: Outgoing) -> bool:
    return record.headers.get("type") == "CopyPlanned"


def _is_attempt_to_open(record: Outgoing) -> bool:
    is_attempt = record.headers.get("type") == "AttemptStarted"
    return is_attempt and b'"request":{"type":"open"' in (record.value or b"")


class World:
    """One master (login 1) and its slaves on one MT5 server, linked and warm."""

    def __init__(
        self, control: SimulatorControl, bridge: str, settings: Settings, slaves: int
    ) -> None:
        self.control, self.bridge, self.slaves = control, bridge, slaves
        self.url, self.headers = "", dict[str, str]()
        """Where the ring answers, and with what its one user calls."""
        self._settings = settings
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

    def leave(self) -> None:
        """What is open stays open."""
        self._tickets.clear()

    async def sends(self) -> int:
        return int((await self.control.ledger_counts()).get("ordersend", 0))

    async def until(self, call: str, wanted: int) -> None:
        """Until the bridge has seen so many of a call; asks seldom, to disturb little."""
        async with asyncio.timeout(120):
            while True:
                if (await self.control.ledger_counts()).get(call, 0) >= wanted:
                    return
                await asyncio.sleep(0.03)

    async def records(self, topic: Topic, kind: str) -> list[Record]:
        history = open_history(self._settings)
        found = history.records(topic, await history.spans(topic))
        return [r async for batch in found for r in batch if r.headers["type"] == kind]

    async def own_ms(self, wire: Wire) -> list[float]:
        """For each of the ring's requests: from the master's frame to the wire."""
        found: list[float] = []
        for record in await self.records(EXECUTIONS, "AttemptStarted"):
            event = msgspec.json.decode(record.value or b"")
            tag, root = event["tag"], event["root"]
            if event["request"]["type"] == "open" and tag in wire.sent and root in wire.came:
                found.append((wire.sent[tag] - wire.came[root]) * 1000)
        return found


@asynccontextmanager
async def world(slaves: int, stack: Mapping[str, Any] | None = None) -> AsyncIterator[World]:
    """`stack`: the settings of its servers; none: SQLite."""
    with tempfile.TemporaryDirectory() as name:
        async with brokers(slaves) as (mt5, control):
            settings = settings_of(mt5, Path(name), stack)
            async with running(settings) as ring:
                headers = await _link(ring.url, slaves)
                ticking = asyncio.create_task(tick(control))
                made = World(control, mt5, settings, slaves)
                made.url, made.headers = ring.url, headers
                for _ in range(5):  # symbols and margins are read once, code and caches get warm
                    sends = await made.sends()
                    await made.open()
                    await made.until("ordersend", sends + slaves)
                    await made.close_all()
                yield made
                ticking.cancel()


@asynccontextmanager
async def brokers(slaves: int) -> AsyncIterator[tuple[str, SimulatorControl]]:
    """The simulated bridge's address and control, with the master's account and its slaves'."""
    async with simulator_process(0, 0) as (_, mt5), SimulatorControl(mt5) as control:
        await build(control, slaves)
        yield mt5, control


def settings_of(mt5: str, data: Path, stack: Mapping[str, Any] | None = None) -> Settings:
    own = {"api_mt5": mt5, "data": data, "gateway_port": 0, "sign_up": "open", "reads_per_s": 1000}
    return Settings.model_validate({**own, **(stack or {})})


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Ring]:
    with contextlib.redirect_stderr(_nobody()):
        configure(as_json=True)  # the lines of the real program are written, and read by nobody
        async with Ring(settings, WatcherLimits(snapshot_every_s=30)) as ring:
            yield ring


@cache
def _nobody() -> TextIO:
    return open(os.devnull, "w")


async def tick(control: SimulatorControl) -> None:
    while True:
        await control.quote(SERVER, SYMBOL, "1.10000", "1.10010")
        await asyncio.sleep(0.5)


async def build(control: SimulatorControl, slaves: int) -> None:
    await control.add_server(name=SERVER, platform="MT5")
    await control.add_symbol(SERVER, name=SYMBOL)
    await control.quote(SERVER, SYMBOL, "1.10000", "1.10010")
    for login in range(1, slaves + 2):
        await control.add_account(
            server=SERVER, platform="MT5", login=login, password=PASSWORD, balance="100000000"
        )


async def _link(url: str, slaves: int) -> dict[str, str]:
    ids = await register(url, range(1, slaves + 2))
    async with aiohttp.ClientSession(base_url=url) as http:
        for slave in ids.slaves:
            body = {"masterAccountId": ids.master, "slaveAccountId": slave, "riskValue": "0.5"}
            await call(http, "Start", ids.headers, body)
    return ids.headers


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
