"""Real processes on a real Kafka and a real MongoDB, and every way in which they can die.

Faults are drawn from a seed: services killed, frozen past their session, added and taken away; the
broker, mongod or everything at once killed and started again. A master trades all the while. At the
end each of its trades has, for each copier, one copy or one recorded reason; the brokers' books are
explained by what was recorded; no request left without its committed attempt; and the read models
equal a rebuild of them. `make chaos` draws 500; with COPYPRO_REAL_LIMITS=1 nothing is scaled down.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from copypro import topics
from copypro.wiring import open_history, open_models
from copypro_standalone.demo_rings import simulator_process
from copypro_stats.rebuilding import canonical, rebuild
from mt_simulator.client import SimulatorControl

from infra.local.servers import Kafka, Mongo, Server, ServersUnavailable
from tests.faults.cluster import SESSION_S, Cluster
from tests.faults.program import Program
from tests.faults.test_kill_9 import (
    REAL_LIMITS,
    SLAVES,
    Hand,
    build,
    check,
    register,
    settled,
    stops_follow,
)

FAULTS = int(os.environ.get("COPYPRO_CHAOS_FAULTS", "50"))
SEED = int(os.environ.get("COPYPRO_CHAOS_SEED", "5"))
ACTS_A_FAULT = 8
"""Of the master, between two faults."""
SETTLED_WITHIN_S = 900.0 if REAL_LIMITS else 120.0
LIMIT_S = (3600 if REAL_LIMITS else 600) + 10 * FAULTS


class Faults:
    """What is done to a cluster, drawn from a seed; `table` counts it and how long recovery took."""

    def __init__(self, cluster: Cluster, kafka: Server, mongo: Server, draw: random.Random) -> None:
        self.cluster, self.kafka, self.mongo, self.draw = cluster, kafka, mongo, draw
        self.table: dict[str, list[float]] = {}
        one = self._one_of
        self._kinds: list[tuple[int, str, Callable[[], Awaitable[None]]]] = [
            (10, "kill -9 of a watcher", lambda: self._kill(one("account-watcher"))),
            (8, "kill -9 of a replicator", lambda: self._kill(one("replicator"))),
            (4, "kill -9 of stats", lambda: self._kill(one("stats"))),
            (4, "kill -9 of the gateway", lambda: self._kill(one("gateway"))),
            (5, "a watcher frozen past its session", lambda: self._freeze(one("account-watcher"))),
            (3, "a replicator frozen past its session", lambda: self._freeze(one("replicator"))),
            (4, "a watcher more", lambda: self._more("account-watcher")),
            (4, "a watcher less", lambda: self._less("account-watcher")),
            (3, "a replicator more", lambda: self._more("replicator")),
            (3, "a replicator less", lambda: self._less("replicator")),
            (2, "kill -9 of the broker", lambda: self._server(self.kafka)),
            (2, "kill -9 of mongod", lambda: self._server(self.mongo)),
            (1, "kill -9 of everything", self._everything),
        ]

    def plan(self, count: int) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """Each kind at least once where there is room, the rest by weight, in any order."""
        every = [(name, work) for _, name, work in self._kinds]
        weights = [weight for weight, _, _ in self._kinds]
        drawn = self.draw.choices(every, weights, k=max(0, count - len(every)))
        plan = (every + drawn)[:count]
        self.draw.shuffle(plan)
        return plan

    async def do(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        begun = time.monotonic()
        await work()
        self.table.setdefault(name, []).append(time.monotonic() - begun)

    def _one_of(self, kind: str) -> Program:
        return self.draw.choice(self.cluster.programs[kind])

    async def _kill(self, program: Program) -> None:
        await program.kill()
        await program.start(wait=self.draw.random() < 0.7)

    async def _freeze(self, program: Program) -> None:
        """It wakes long after others took over: what it then commits or sends would be a defect."""
        assert program.process is not None
        program.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(SESSION_S * self.draw.uniform(1.2, 2.5))
        program.process.send_signal(signal.SIGCONT)

    async def _more(self, kind: str) -> None:
        if len(self.cluster.programs[kind]) < 3:
            await self.cluster.make(kind).start()

    async def _less(self, kind: str) -> None:
        if len(self.cluster.programs[kind]) > 1:
            program = self._one_of(kind)
            self.cluster.programs[kind].remove(program)
            await program.until_ready()  # before, it does not yet take the signal as its own
            assert await program.terminate() == 0

    async def _server(self, server: Server) -> None:
        server.kill()
        await asyncio.sleep(self.draw.uniform(0.0, 2.0))
        await asyncio.to_thread(server.start)

    async def _everything(self) -> None:
        for program in self.cluster.all():
            await program.kill()
        self.kafka.kill()
        self.mongo.kill()
        await asyncio.to_thread(self.mongo.start)
        await asyncio.to_thread(self.kafka.start)
        for program in self.cluster.all():
            await program.start(wait=False)


@asynccontextmanager
async def a_cluster(
    tmp_path: Path, kafka: Kafka, mongo: Mongo
) -> AsyncIterator[tuple[Cluster, SimulatorControl]]:
    try:
        kafka.start()
        mongo.start()
    except ServersUnavailable as error:
        if os.environ.get("COPYPRO_TEST_SERVERS") == "required":
            pytest.fail(f"real servers are required here: {error}")
        pytest.skip(f"no real server on this machine: {error}")
    try:
        async with simulator_process(0, 0) as (mt4, mt5), SimulatorControl(mt5) as control:
            await build(control)
            place = mongo.url.replace("/?", "/chaos?")
            real = {"COPYPRO_TEST_LIMITS": ""} if REAL_LIMITS else {}
            cluster = Cluster(tmp_path, kafka.address, place, (mt4, mt5), **real)
            try:
                await cluster.start()
                yield cluster, control
            finally:
                await cluster.end()
    finally:
        kafka.stop()
        mongo.stop()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(LIMIT_S)
async def test_whatever_dies_each_trade_has_one_copy_or_one_reason(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    kafka, mongo = Kafka(tmp_path / "kafka"), Mongo(tmp_path / "mongod")
    async with a_cluster(tmp_path, kafka, mongo) as (cluster, control):
        key, copiers = await register(cluster.gateway)
        hand, faults = Hand(control, draw), Faults(cluster, kafka, mongo, draw)
        trading = asyncio.create_task(hand.trade())
        for name, work in faults.plan(FAULTS):
            hand.acts_left = ACTS_A_FAULT
            await asyncio.sleep(draw.uniform(0.1, 1.0))
            await faults.do(name, work)
        await cluster.until_ready()
        hand.acts_left = ACTS_A_FAULT
        await cluster.gateway.until(hand.is_done)
        hand.stop.set()
        await trading
        await stops_follow(control, hand)
        await hand.finish()
        rows = await settled(cluster.gateway, key, copiers, control, hand, SETTLED_WITHIN_S)
        await check(control, hand, rows, copiers)
        await check_requests(cluster, control)
        await check_read_models(cluster)
        report(faults, len(hand.roots), Counter(row["outcome"] for row in rows.values()))
        for program in cluster.all():
            assert await program.terminate() == 0


async def check_requests(cluster: Cluster, control: SimulatorControl) -> None:
    """No order left without a committed attempt of its own, and none was executed twice: neither a
    pending order placed nor a market order filled. A refused one (the session was taken over, say)
    may be followed by another attempt, and a pending order that was deleted by one at the market.
    """
    attempts: Counter[str] = Counter()
    for record in await cluster.records(topics.EXECUTIONS, "AttemptStarted"):
        event = msgspec.json.decode(record.value or b"")
        attempts[event["tag"]] += event["request"]["type"] == "open"
    for server, login, *_ in SLAVES:
        calls = [
            entry
            for entry in await control.ledger("", login)
            if entry["endpoint"] in ("ordersend", "ordersendsafe")
        ]
        sent = Counter(entry["parameters"]["comment"][:14] for entry in calls)
        assert all(count <= attempts[tag] for tag, count in sent.items()), (server, sent - attempts)
        executed: dict[tuple[str, bool], list[Any]] = {}
        for entry in calls:
            if entry.get("executed"):
                order = entry["parameters"]
                kind = order["comment"][:14], order["operation"] in ("Buy", "Sell")
                executed.setdefault(kind, []).append(entry)
        assert [entries for entries in executed.values() if len(entries) > 1] == []


async def check_read_models(cluster: Cluster) -> None:
    """Stopped, so that both have read the same: then every document is the same byte for byte."""
    await cluster.stop()
    async with open_models(cluster.settings) as models:
        live = await canonical(models)
        await rebuild(open_history(cluster.settings), models)
        anew = await canonical(models)
    assert {name: (live.get(name), anew.get(name)) for name in live.keys() ^ anew.keys()} == {}
    assert {name: (live[name], anew[name]) for name in live if live[name] != anew[name]} == {}
    for program in cluster.all():
        await program.start()


def report(faults: Faults, trades: int, outcomes: Counter[str]) -> None:
    lines = [f"{sum(len(took) for took in faults.table.values())} faults, {trades} trades"]
    for name, took in sorted(faults.table.items(), key=lambda row: -len(row[1])):
        lines.append(f"  {len(took):4} {name}, at most {max(took):.1f} s until it was over")
    lines.extend(f"  {count:4} {outcome}" for outcome, count in outcomes.most_common())
    logging.getLogger(__name__).warning("\n".join(lines))
