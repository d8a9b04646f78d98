"""From the master's frame to the slave's request on the wire, and what that costs at the least.

The floor is what nobody can do without: parse one frame, make durable in SQLite what the ring made
durable for a trade, and bare aiohttp GETs, which with ten slaves leave together. It commits three
times, one after another: event, plans, attempts, each with the very records (keys, values, headers,
state) that the ring wrote for one trade of this run. Between the floor and the ring stands the floor
with our rules: the same, and before it what the ring decoded, planned and encoded for that trade, in
a straight line with nothing around it (no tasks, queues, memory or reader). No ring with these rules
can be faster. All are taken by turns in one process and in one rhythm: trades of a person or a
robot, not a burst.
"""

from __future__ import annotations

import asyncio
import copy
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from copypro import topics
from copypro.adapters.bridge_json import decoded, envelope
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.envelope import Consequences, decode
from copypro.ports import Outgoing, Record
from copypro.values import MessageId
from copypro_account_watcher import opening, steps

from benchmarks.world import Commits, Wire, World, spread, world

REST_S = 0.03
_READ_BEFORE_THE_WIRE = (topics.ORDER_EVENTS.name, topics.SLAVE_ORDERS.name)


class Plans:
    """`asked[tag]`: with what `plan_open` was asked meanwhile, as it was then."""

    def __init__(self) -> None:
        self.asked: dict[str, tuple[Any, ...]] = {}

    def __enter__(self) -> Plans:
        def kept(*given: Any) -> Any:
            asked = copy.deepcopy(given)
            made = opening.plan_open(*given)
            if isinstance(made, opening.Opening):
                self.asked[made.request.comment] = asked
            return made

        setattr(steps, "plan_open", kept)  # noqa: B010 - as the wire is watched
        return self

    def __exit__(self, *_: object) -> None:
        setattr(steps, "plan_open", opening.plan_open)  # noqa: B010


class Rules:
    """What one trade of the ring's was decoded, planned and encoded from, to do it again."""

    def __init__(self, commits: Sequence[Sequence[Outgoing]], plans: Plans) -> None:
        written = [out for outputs in commits for out in outputs]
        told = [out for out in written if "type" in out.headers]
        self._plans = list(plans.asked.values())
        self._read = [_record(out) for out in told if out.topic in _READ_BEFORE_THE_WIRE]
        self._told = [(topics.BY_NAME[o.topic], o.key, decode(_record(o)).message) for o in told]
        self._states = [
            msgspec.json.decode(out.value) for out in written if out.value and out not in told
        ]
        self._encode = msgspec.json.Encoder().encode

    def follow(self) -> None:
        for record in self._read:
            decode(record)
        for asked in self._plans:
            opening.plan_open(*asked)
        cause = Consequences(MessageId("f"), MessageId("f"), datetime.now(UTC).isoformat())
        for topic, key, message in self._told:
            cause.encode(topic, key, "", message)
        for state in self._states:
            self._encode(state)


class Floor:
    def __init__(
        self,
        folder: Path,
        bridge: str,
        http: aiohttp.ClientSession,
        commits: Sequence[Sequence[Outgoing]],
        rules: Rules,
    ) -> None:
        self._rules = rules
        self._dialect, self._bridge, self._http = Mt5Dialect(), bridge, http
        self._commits, self._encode = commits, msgspec.json.Encoder().encode
        self._frame = _a_frame()
        self._connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE records (number INTEGER PRIMARY KEY, topic, key, value, headers)"
        )

    async def once(self, name: str, slaves: int, *, by_rules: bool) -> float:
        """When it began: its requests leave with the comments {name}x{slave}."""
        begun = time.time()
        if by_rules:
            self._rules.follow()
        self._dialect.frame(bytes(decoded(envelope, self._frame).data))
        for records in self._commits:
            rows = [(r.topic, r.key, r.value, self._encode(r.headers)) for r in records]
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT INTO records (topic, key, value, headers) VALUES (?, ?, ?, ?)", rows
            )
            self._connection.execute("COMMIT")
        await asyncio.gather(*(self._get(f"{name}x{slave}") for slave in range(slaves)))
        return begun

    async def _get(self, comment: str) -> None:
        query = f"comment={comment}&symbol=EURUSD&operation=Buy&volume=0.1&id=none"
        async with self._http.get(f"{self._bridge}/OrderSend?{query}") as response:
            await response.read()

    def close(self) -> None:
        self._connection.close()


def _record(out: Outgoing) -> Record:
    return Record(out.topic, 0, 0, out.key, out.value, out.headers, 0.0)


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


class Measured(msgspec.Struct):
    """Milliseconds, one per request: the ring's own, the floor's, the floor's with our rules."""

    own: list[float]
    bare: list[float]
    ruled: list[float]


async def measure(slaves: int, trades: int) -> Measured:
    bare: list[float] = []
    ruled: list[float] = []
    async with world(slaves) as made, aiohttp.ClientSession() as http:
        with Wire() as wire, tempfile.TemporaryDirectory() as folder:
            with Commits() as commits, Plans() as plans:
                await one_trade(made)
            written = commits.of_trade()
            floor = Floor(Path(folder), made.bridge, http, written, Rules(written, plans))
            for number in range(trades):
                await one_trade(made)
                for kind, found in (("F", bare), ("R", ruled)):
                    await asyncio.sleep(REST_S)
                    name = f"{kind}{number}"
                    begun = await floor.once(name, slaves, by_rules=found is ruled)
                    sent = [wire.sent[f"{name}x{slave}"] for slave in range(slaves)]
                    found.extend((at - begun) * 1000 for at in sent)
                await asyncio.sleep(REST_S)
            floor.close()
        own = await made.own_ms(wire)
    own = own[slaves:]  # the first one showed what is written
    assert len(own) == len(bare) == len(ruled) == trades * slaves, (len(own), len(bare), len(ruled))
    return Measured(own, bare, ruled)


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
        found = uvloop.run(measure(slaves, trades))
        (own50, own99), (bare50, bare99) = spread(found.own), spread(found.bare)
        ruled50, ruled99 = spread(found.ruled)
        print(
            f"  {slaves:3} slaves: own p50 {own50:.2f} p99 {own99:.2f}"
            f"   floor p50 {bare50:.2f} p99 {bare99:.2f}"
            f"   ratio p50 {own50 / bare50:.2f} p99 {own99 / bare99:.2f}"
        )
        print(
            f"      with our rules in a straight line the floor's p50 {ruled50:.2f} p99 {ruled99:.2f}"
            f"   ratio p50 {ruled50 / bare50:.2f}, the ring's to it {own50 / ruled50:.2f}"
        )


if __name__ == "__main__":
    main()
