"""Reads by REST against a bare route that returns the same bytes, and what they cost a copy.

The ring, both servers and the caller of the first part are one process, taken by turns, so what else
the machine does disturbs both alike. The readers of the second part are a process of their own.
`make bench-api`.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from copypro_standalone.demo_rings import simulator_process
from mt_simulator.client import SimulatorControl

from benchmarks.latency import REST_S
from benchmarks.statistics import bare_route
from benchmarks.world import (
    SERVER,
    SYMBOL,
    Registered,
    Wire,
    World,
    build,
    register,
    running,
    settings_of,
    spread,
    tick,
    world,
)

CALLERS = 4
UNLIMITED = {"requests_per_s": 0, "address_requests_per_s": 0}
READS = ("Accounts", "OpenOrdersAll")


# --- against a bare route -------------------------------------------------------------------------


async def against_bare(accounts: int, orders: int, calls: int) -> None:
    async with (
        _accounts(accounts, orders) as (url, ids),
        aiohttp.ClientSession(headers=ids.headers) as http,
    ):
        for name in ("Accounts", "OpenOrdersAll"):
            await _compared(http, f"{url}/{name}", calls)


async def _compared(http: aiohttp.ClientSession, url: str, calls: int) -> None:
    body = await _get(http, url)
    ours, theirs = [], []
    async with bare_route(body) as route:
        for _ in range(7):
            theirs.append(await _rate(http, route, calls))
            ours.append(await _rate(http, url, calls))
    ratio = statistics.median(o / t for o, t in zip(ours, theirs, strict=True))
    print(
        f"  {url.rpartition('/')[2]}, {len(body):,} bytes: {statistics.median(ours):,.0f}/s", end=""
    )
    print(f", bare {statistics.median(theirs):,.0f}/s: ratio {ratio:.2f}")


async def _rate(http: aiohttp.ClientSession, url: str, calls: int) -> float:
    """Requests a second of a few callers at once."""

    async def caller() -> None:
        for _ in range(calls // CALLERS):
            await _get(http, url)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return calls / (time.perf_counter() - started)


async def _get(http: aiohttp.ClientSession, url: str) -> bytes:
    async with http.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.read()


@asynccontextmanager
async def _accounts(count: int, orders: int) -> AsyncIterator[tuple[str, Registered]]:
    """A ring with so many connected accounts, each with so many open orders, and live prices."""
    with tempfile.TemporaryDirectory() as name:
        async with simulator_process(0, 0) as (_, mt5), SimulatorControl(mt5) as control:
            await build(control, count - 1)
            for login in range(1, count + 1):
                for _ in range(orders):
                    await control.open(SERVER, login, SYMBOL, "Buy", "0.10")
            settings = settings_of(mt5, Path(name), UNLIMITED)
            async with running(settings) as ring:
                ids = await register(ring.url, range(1, count + 1))
                ticking = asyncio.create_task(tick(control))
                yield ring.url, ids
                ticking.cancel()


# --- beside copies --------------------------------------------------------------------------------


async def beside_copies(slaves: int, trades: int, reads_per_s: int) -> None:
    async with world(slaves, UNLIMITED) as made:
        ratios = []
        with Wire() as wire:
            for number in range(5):
                quiet = await _p99(made, wire, trades)
                async with _readers(made, reads_per_s):
                    busy = await _p99(made, wire, trades)
                ratios.append(busy / quiet)
                print(f"  pair {number + 1}: p99 {quiet:.2f} ms alone, {busy:.2f} ms beside reads")
    print(f"  the median of the pairs' ratios: {statistics.median(ratios):.2f}")


async def _p99(made: World, wire: Wire, trades: int) -> float:
    """Of these trades' requests: from the master's frame to the wire, in ms."""
    wire.sent.clear()
    for _ in range(trades):
        sends = await made.sends()
        await asyncio.sleep(REST_S)
        await made.open()
        await asyncio.sleep(REST_S)
        await made.until("ordersend", sends + made.slaves)
        await made.close_all()
    return spread(await made.own_ms(wire))[1]


@asynccontextmanager
async def _readers(made: World, per_s: int) -> AsyncIterator[None]:
    """Another process that asks so often; it says how often it really did."""
    arguments = (made.url, json.dumps(made.headers), str(per_s))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.api",
        "read",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        process.stdin.close()
        print(f"  {(await process.stdout.readline()).decode().strip()}")
        await process.wait()


async def _read(url: str, headers: dict[str, str], per_s: int) -> None:
    """Until the standard input ends; each read at its own time, however long the last one took."""
    loop, reads, started = asyncio.get_running_loop(), 0, 0.0
    ended = loop.run_in_executor(None, sys.stdin.read)
    async with aiohttp.ClientSession(headers=headers) as http:
        await _get(http, f"{url}/{READS[0]}")
        print("reading", flush=True)
        started = loop.time()
        asking: set[asyncio.Task[Any]] = set()
        while not ended.done():
            await asyncio.sleep(max(0.0, started + reads / per_s - loop.time()))
            task = asyncio.create_task(_get(http, f"{url}/{READS[reads % len(READS)]}"))
            asking.add(task)
            task.add_done_callback(asking.discard)
            reads += 1
        await asyncio.gather(*asking)
    print(f"{reads / (loop.time() - started):.0f} reads/s, all answered")


def main() -> None:
    import uvloop

    print("Reads of 100 accounts against a bare route of the same bytes (wanted: ≥ 0.5)")
    uvloop.run(against_bare(accounts=100, orders=5, calls=400))
    print("Copies to 10 slaves beside 200 reads/s (wanted: p99 at most 1.25 times as long)")
    uvloop.run(beside_copies(slaves=10, trades=20, reads_per_s=200))


if __name__ == "__main__":
    if sys.argv[1:2] == ["read"]:
        asyncio.run(_read(sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])))
    else:
        main()
