"""From the master's frame to the slave's request on the wire, and what that costs at the least.

The floor is what nobody can do without: parse one frame, make durable in SQLite what the ring made
durable for a trade, and bare aiohttp GETs, which with ten slaves leave together. It commits three
times, one after another: event, plans, attempts, each with the very records (keys, values, headers,
state) that the ring wrote for one trade of this run. Both are taken by turns in one process and in
one rhythm: trades of a person or a robot, not a burst.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec
from copypro.adapters.bridge_json import decoded, envelope
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.ports import Outgoing

from benchmarks.world import Commits, Wire, World, spread, world

REST_S = 0.03


class Floor:
    def __init__(
        self,
        folder: Path,
        bridge: str,
        http: aiohttp.ClientSession,
        commits: Sequence[Sequence[Outgoing]],
    ) -> None:
        self._dialect, self._bridge, self._http = Mt5Dialect(), bridge, http
        self._commits, self._encode = commits, msgspec.json.Encoder().encode
        self._frame = _a_frame()
        self._connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE records (number INTEGER PRIMARY KEY, topic, key, value, headers)"
        )

    async def once(self, number: int, slaves: int) -> float:
        """When it began: its requests leave with the comments F{number}x{slave}."""
        begun = time.time()
        self._dialect.frame(bytes(decoded(envelope, self._frame).data))
        for records in self._commits:
            rows = [(r.topic, r.key, r.value, self._encode(r.headers)) for r in records]
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT INTO records (topic, key, value, headers) VALUES (?, ?, ?, ?)", rows
            )
            self._connection.execute("COMMIT")
        await asyncio.gather(*(self._get(f"F{number}x{slave}") for slave in range(slaves)))
        return begun

    async def _get(self, comment: str) -> None:
        query = f"comment={comment}&symbol=EURUSD&operation=Buy&volume=0.1&id=none"
        async with self._http.get(f"{self._bridge}/OrderSend?{query}") as response:
            await response.read()

    def close(self) -> None:
        self._connection.close()


def _a_frame() -> bytes:
    order = {
        "ticket": 5,
        "symbol": "EURUSD",
        "orderType": "Buy",
        "state": "Filled",
        "lots": 0.1,
        "openPrice": 1.1001,
        "openTime": "2026-01-01T00:00:00.000",
        "openTimestampUTC": 1767225600000,
        "expertId": 0,
        "comment": "",
    }
    figures = {"balance": 1, "equity": 1, "margin": 0, "freeMargin": 1, "profit": 0}
    data = {
        "update": {"type": "MarketOpen", "order": order},
        "openedOrders": [order],
        **figures,
    }
    return msgspec.json.encode({"type": "OrderUpdate", "data": data})


async def measure(slaves: int, trades: int) -> tuple[list[float], list[float]]:
    """Milliseconds, one per request: the ring's own, and the floor's."""
    bare: list[float] = []
    async with world(slaves) as made, aiohttp.ClientSession() as http:
        with Wire() as wire, tempfile.TemporaryDirectory() as name:
            with Commits() as commits:
                await one_trade(made)
            floor = Floor(Path(name), made.bridge, http, commits.of_trade())
            for number in range(trades):
                await one_trade(made)
                await asyncio.sleep(REST_S)
                begun = await floor.once(number, slaves)
                sent = [wire.sent[f"F{number}x{slave}"] for slave in range(slaves)]
                bare.extend((at - begun) * 1000 for at in sent)
                await asyncio.sleep(REST_S)
            floor.close()
        own = await made.own_ms(wire)
    own = own[slaves:]  # the first one showed what is written
    assert len(own) == len(bare) == trades * slaves, (len(own), len(bare))
    return own, bare


async def one_trade(made: World) -> None:
    closed = (await made.control.ledger_counts()).get("ordersend", 0)
    await asyncio.sleep(REST_S)
    await made.open()
    await asyncio.sleep(REST_S)  # the first look at the ledger comes when the orders are out
    await made.until("ordersend", closed + made.slaves)
    await made.close_all()


def main(trades: int = 150) -> None:
    import uvloop

    print("own latency, frame received → request on the wire, ms (wanted: p50 ≤ 1.5×, p99 ≤ 2×)")
    for slaves in (1, 10):
        own, bare = uvloop.run(measure(slaves, trades))
        (own50, own99), (bare50, bare99) = spread(own), spread(bare)
        print(
            f"  {slaves:3} slaves: own p50 {own50:.2f} p99 {own99:.2f}"
            f"   floor p50 {bare50:.2f} p99 {bare99:.2f}"
            f"   ratio p50 {own50 / bare50:.2f} p99 {own99 / bare99:.2f}"
        )


if __name__ == "__main__":
    main()
