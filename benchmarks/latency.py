"""From the master's frame to the slave's request on the wire, and what that costs at the least.

The floor is what nobody can do without: parse one frame, make durable in SQLite what the ring made
durable for a trade, and bare aiohttp GETs, which with ten slaves leave together. It commits three
times, one after another: event, plans, attempts, each with the very records (keys, values, headers,
state) that the ring wrote for one trade of this run. Between the floor and the ring stands the floor
with our rules: the same, and before it what the ring compared, decoded, planned and encoded for that
trade, in a straight line with nothing around it (no tasks, queues, locks or readers). No ring with
these rules can be faster. All are taken by turns in one process and in one rhythm: trades of a person or a
robot, not a burst.
"""

from __future__ import annotations

import asyncio
import copy
import copyreg
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from copypro import topics
from copypro.adapters.bridge_json import decoded, envelope
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.envelope import Consequences, decode
from copypro.messages import PositionOpened
from copypro.ports import Outgoing, Record
from copypro.values import MessageId
from copypro_account_watcher import looking
from copypro_account_watcher.planned import opening, steps
from copypro_account_watcher.seen import diff
from copypro_replicator.replicating import Replicating

from benchmarks.world import Commits, Wire, World, spread, world

REST_S = 0.03
OTHERS = 200
"""Positions of a grid."""

# What a rule is asked with is copied whole; a begun hash knows only how to copy itself.
copyreg.pickle(blake2b, lambda begun: (begun.copy, ()))


class Asked:
    """With what our rules were asked for one trade: the diff of the master's look, the replicator's step
    and the plan of each slave's open, as it was then.
    """

    def __init__(self) -> None:
        self.diff: list[tuple[Any, ...]] = []
        self.step: list[tuple[Any, ...]] = []
        self.plans: list[tuple[Any, ...]] = []
        self._patched: list[tuple[Any, str, Any]] = [
            (looking, "diff", self._kept(diff.diff, self.diff, _sees_an_open)),
            (Replicating, "step", self._kept(Replicating.step, self.step, _plans)),
            (steps, "plan_open", self._kept(opening.plan_open, self.plans, _is_opening)),
        ]
        self._former = [getattr(owner, name) for owner, name, _ in self._patched]

    def __enter__(self) -> Asked:
        for owner, name, kept in self._patched:
            setattr(owner, name, kept)
        return self

    def __exit__(self, *_: object) -> None:
        for (owner, name, _kept), former in zip(self._patched, self._former, strict=True):
            setattr(owner, name, former)

    @staticmethod
    def _kept(
        rule: Callable[..., Any], asked: list[tuple[Any, ...]], is_of_trade: Callable[[Any], bool]
    ) -> Callable[..., Any]:
        def kept(*given: Any) -> Any:
            before = copy.deepcopy(given)
            made = rule(*given)
            if is_of_trade(made):
                asked.append(before)
            return made

        return kept


def _sees_an_open(result: Any) -> bool:
    return any(isinstance(f.message, PositionOpened) and not f.message.copy for f in result.facts)


def _plans(outputs: Any) -> bool:
    return any(out.headers.get("type") == "OpenCopy" for out in outputs)


def _is_opening(planned: Any) -> bool:
    return isinstance(planned, opening.Opening)


class Rules:
    """One trade by our rules, from the look to the attempts, again and again."""

    def __init__(self, commits: Sequence[Sequence[Outgoing]], asked: Asked) -> None:
        event, plans, attempts = commits
        written = [*event, *attempts]
        self._asked = asked
        self._orders = [_record(out) for out in plans if out.topic == topics.SLAVE_ORDERS.name]
        self._told = [
            (topics.BY_NAME[out.topic], out.key, decode(_record(out)).message)
            for out in written
            if "type" in out.headers
        ]
        self._states = [
            msgspec.json.decode(out.value)
            for out in written
            if out.value and "type" not in out.headers
        ]
        self._encode = msgspec.json.Encoder().encode

    def ready(self) -> Callable[[], None]:
        """Rules change what they are asked with: each time has its own."""
        looks, reads, plans = copy.deepcopy((self._asked.diff, self._asked.step, self._asked.plans))

        def follow() -> None:
            for asked in looks:
                diff.diff(*asked)
            for asked in reads:
                Replicating.step(*asked)
            for record in self._orders:
                decode(record)
            for asked in plans:
                opening.plan_open(*asked)
            cause = Consequences(MessageId("f"), MessageId("f"), datetime.now(UTC).isoformat())
            for topic, key, message in self._told:
                cause.encode(topic, key, "", message)
            for state in self._states:
                self._encode(state)

        return follow


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
        follow = self._rules.ready() if by_rules else None
        begun = time.time()
        if follow is not None:
            follow()
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
            with Commits() as commits, Asked() as asked:
                await one_trade(made)
            written = commits.of_trade()
            assert (len(asked.diff), len(asked.step), len(asked.plans)) == (1, 1, slaves)
            floor = Floor(Path(folder), made.bridge, http, written, Rules(written, asked))
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


async def crowded(positions: int, trades: int) -> tuple[list[float], list[float]]:
    """Own milliseconds of one slave, with nothing else open and with so many positions on each account."""
    async with world(1) as made:
        found: list[list[float]] = []
        for others in (0, positions):
            sends = await made.sends()
            for _ in range(others):
                await made.open()
            await made.until("ordersend", sends + others)
            made.leave()
            with Wire() as wire:
                for _ in range(trades):
                    await one_trade(made)
                found.append(await made.own_ms(wire))
    alone, among = found
    return alone, among


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
    (alone, _), (among, p99) = map(spread, uvloop.run(crowded(OTHERS, trades)))
    print(
        f"    1 slave with {OTHERS} positions open on each account: own p50 {among:.2f} p99 {p99:.2f}"
        f"   {among / alone:.2f} times that with none"
    )


if __name__ == "__main__":
    main()
