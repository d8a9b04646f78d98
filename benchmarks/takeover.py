"""From `kill -9` to the first send of another copy than the one in doubt, and where the time goes.

Real processes on a real Kafka and MongoDB: two account-watchers and two replicators with a slave's
order on the wire when its watcher dies, and the master trading on. Limits are the real ones but for how
long the attempt in doubt is waited for, which holds up nobody else and is not part of this.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.local.servers import Kafka, Mongo
from tests.faults.program import Program
from tests.faults.takeovers import Stage, Takeover, a_stage
from tests.servers import database_on, topics_on

ROUNDS = int(os.environ.get("COPYPRO_BENCH_ROUNDS", "10"))
SESSIONS_S = (6.0, 2.0)
"""The real time-out, and the scaled one of the fault suite."""
ALLOWED_S = 2.0
IN_DOUBT = {"longest_call_s": 2.0, "trade_call_s": 1.8, "breaker_unknowns": 1000}
STEPS = (
    ("kill → the group is told", "noticed_s"),
    ("→ partition assigned", "assigned_s"),
    ("→ former owner fenced", "fenced_s"),
    ("→ state restored", "restored_s"),
    ("→ first call of the bridge", "called_s"),
    ("→ first send", "sent_s"),
)
KINDS = {
    "a watcher": "account-watcher",
    "a watcher that is started again at once": "account-watcher",
    "a replicator": "replicator",
}


def steps(found: Takeover) -> list[tuple[str, float]]:
    """How long each took; a step that there was not is left out."""
    took, before = [], 0.0
    for name, field in STEPS:
        moment = getattr(found, field)
        if moment is not None:
            took.append((name, moment - before))
            before = moment
    return took


async def kill(stage: Stage, kind: str) -> list[Takeover]:
    victim: Program
    if kind == "a replicator":
        victim, one = await stage.kill_replicator()
        found = [one]
    else:
        victim, found = await stage.kill_watcher(again="again" in kind)
    if "again" in kind:
        await victim.until_ready()
    else:
        await victim.start()
    await stage.cluster.until_shared(KINDS[kind])
    await stage.flat()
    return found


async def measure(kafka: str, mongo: str, session_s: float) -> dict[str, list[Takeover]]:
    found: dict[str, list[Takeover]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        async with topics_on(kafka, 4) as topics, database_on(mongo) as database:
            environment = {
                "COPYPRO_SESSION_TIMEOUT_S": str(session_s),
                "COPYPRO_TOPIC_PREFIX": topics.prefix,
                "COPYPRO_BRIDGE_READS_PER_S": "200",
                "COPYPRO_TEST_LIMITS": json.dumps(IN_DOUBT),
            }
            async with a_stage(Path(name), kafka, database, **environment) as stage:
                for _ in range(ROUNDS):
                    for kind, all_of_it in found.items():
                        all_of_it.extend(await kill(stage, kind))
                        last = all_of_it[-1].sent_s
                        print(f"  {kind}: {last:.2f} s", file=sys.stderr, flush=True)
    return found


def report(session_s: float, found: dict[str, list[Takeover]]) -> None:
    for kind, takeovers in found.items():
        whole = [one.sent_s for one in takeovers]
        print(f"kill -9 of {kind}, session time-out {session_s:g} s: {len(whole)} partitions")
        rows: dict[str, list[float]] = {}
        for one in takeovers:
            for name, took in steps(one):
                rows.setdefault(name, []).append(took)
        for name, took in rows.items():
            print(f"  {name:32} median {_s(statistics.median(took))}   most {_s(max(took))}")
        wanted = session_s + ALLOWED_S
        print(
            f"  {'the whole':32} median {_s(statistics.median(whole))}   most {_s(max(whole))}"
            f"   (wanted ≤ {wanted:g} s: {_verdict(whole, wanted)})"
        )


def _s(seconds: float) -> str:
    return f"{seconds:6.2f} s"


def _verdict(whole: Sequence[float], wanted: float) -> str:
    return f"{sum(one <= wanted for one in whole)} of {len(whole)}"


@contextmanager
def servers() -> Iterator[tuple[str, str]]:
    """Those of the environment, or of its own."""
    kafka, mongo = os.environ.get("COPYPRO_TEST_KAFKA"), os.environ.get("COPYPRO_TEST_MONGODB")
    if kafka and mongo:
        yield kafka, mongo
        return
    with tempfile.TemporaryDirectory() as name:
        own_kafka, own_mongo = Kafka(Path(name) / "kafka"), Mongo(Path(name) / "mongod")
        try:
            own_kafka.start()
            own_mongo.start()
            yield own_kafka.address, own_mongo.url
        finally:
            own_mongo.stop()
            own_kafka.stop()


def main() -> None:
    with servers() as (kafka, mongo):
        for session_s in SESSIONS_S:
            report(session_s, asyncio.run(measure(kafka, mongo, session_s)))
