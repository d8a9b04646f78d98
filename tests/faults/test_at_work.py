"""Real processes at work: a watcher is killed with orders on the wire, then all are upgraded.

The next version is this program's own source with a higher schema version: what it writes, today's
must not guess at. COPYPRO_TEST_FORMER names the source tree of a former version, to be rolled from and
back to by hand.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from copypro.upcasting import SCHEMA

from tests.faults.cluster import Cluster
from tests.faults.program import Program
from tests.faults.takeovers import Stage, a_stage, tag_of
from tests.servers import database_on, topics_on

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
READERS_FIRST = ("stats", "replicator", "account-watcher", "gateway")
ONE_OF_EACH = dict.fromkeys(READERS_FIRST, 1)
TWO_WATCHERS = ONE_OF_EACH | {"account-watcher": 2}
TRADE_EVERY_S = 2.0
"""Copied by four slaves: enough, and little work."""
FORMER = os.environ.get("COPYPRO_TEST_FORMER", "")


def paths_of(tree: Path) -> dict[str, str]:
    """The environment in which a process runs this source."""
    packages = [tree / "libs" / "common", *sorted((tree / "services").iterdir())]
    return {"PYTHONPATH": os.pathsep.join(map(str, packages))}


def next_version(folder: Path) -> dict[str, str]:
    tree = folder / "next"
    for part in ("libs", "services"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    upcasting = tree / "libs" / "common" / "copypro" / "upcasting.py"
    source = upcasting.read_text()
    today = f"SCHEMA = Schema(version={SCHEMA.version})"
    assert today in source
    upcasting.write_text(source.replace(today, f"SCHEMA = Schema(version={SCHEMA.version + 1})"))
    return paths_of(tree)


async def replaced(cluster: Cluster, kind: str, version: dict[str, str]) -> None:
    """One of another version starts beside the former, is ready, and the former stops."""
    (former,) = cluster.programs[kind]
    await cluster.make(kind, **version).start(wait=kind != "account-watcher")
    cluster.programs[kind].remove(former)
    assert await former.terminate() == 0
    await cluster.programs[kind][0].until_ready()


async def reasons(program: Program) -> list[str]:
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{program.url}/health/ready") as response,
        ):
            return list((await response.json())["reasons"]) if response.status == 503 else []
    except aiohttp.ClientError:
        return []


async def says_that_it_is_too_old(program: Program) -> None:
    async def says() -> bool:
        return any("newer version: upgrade" in reason for reason in await reasons(program))

    await program.until(says)


async def each_trade_has_one_copy_or_one_reason(stage: Stage) -> Counter[str]:
    trades = len((await stage.control.book("Alpha-MT5", 1001))["open"])
    trades += stage.closed_trades
    found: Counter[str] = Counter()
    for login, copier in zip(stage.slaves.values(), stage.copiers, strict=True):
        rows: list[dict[str, Any]] = []

        async def all_decided(copier: str = copier, rows: list[dict[str, Any]] = rows) -> bool:
            every = await stage.cluster.gateway.call(
                "TradeLogs", stage.key, id=copier, limit=10_000
            )
            rows[:] = [row for row in every if row["id"].endswith(".open")]
            decided = [row for row in rows if row["success"] or row["exceptionCode"]]
            return len(decided) == len(rows) == trades

        await stage.cluster.gateway.until(all_decided)
        filled = Counter(
            tag_of(entry) for entry in await stage.sends(login) if entry.get("executed")
        )
        assert all(count == 1 for count in filled.values()), "never twice"
        assert len(filled) == sum(bool(row["success"]) for row in rows)
        found.update(row["exceptionCode"] or "copied" for row in rows)
    return found


async def test_after_kill_9_others_go_on_and_newer_records_wait_for_newer_processes(
    tmp_path: Path, kafka_address: str, mongo_url: str
) -> None:
    newer = next_version(tmp_path)
    async with topics_on(kafka_address, 4) as topics, database_on(mongo_url) as database:
        prefix = {"COPYPRO_TOPIC_PREFIX": topics.prefix}
        async with a_stage(
            tmp_path, kafka_address, database, counts=TWO_WATCHERS, **prefix
        ) as stage:
            await killed_with_orders_on_the_wire(stage)
            trading = asyncio.create_task(stage.trades(TRADE_EVERY_S))
            await upgraded(stage.cluster, newer)
            await too_old_to_come_back(stage.cluster)
            trading.cancel()
            await asyncio.wait([trading])
            found = await each_trade_has_one_copy_or_one_reason(stage)
            assert found["copied"], found
            await stage.flat()


async def killed_with_orders_on_the_wire(stage: Stage) -> None:
    """Other copies are sent at once; those in doubt are not sent again."""
    victim, takeovers = await stage.kill_watcher()
    stage.cluster.programs["account-watcher"].remove(victim)
    assert takeovers, "it owned something"
    for one in takeovers:
        assert one.called_s is not None
        assert one.assigned_s <= one.fenced_s <= one.restored_s <= one.called_s < one.sent_s


async def upgraded(cluster: Cluster, newer: dict[str, str]) -> None:
    for kind in READERS_FIRST:
        if kind == "account-watcher":
            # The new replicator's orders are not for the old watcher: it waits and says why.
            await says_that_it_is_too_old(cluster.programs[kind][0])
        await replaced(cluster, kind, newer)


async def too_old_to_come_back(cluster: Cluster) -> None:
    old = cluster.make("account-watcher")
    await old.start(wait=False)
    await says_that_it_is_too_old(old)
    assert await old.terminate() == 0
    cluster.programs["account-watcher"].remove(old)
    await cluster.until_ready()


if FORMER:  # by hand

    async def test_from_a_former_version_and_back(
        tmp_path: Path, kafka_address: str, mongo_url: str
    ) -> None:
        former = paths_of(Path(FORMER))
        async with topics_on(kafka_address, 4) as topics, database_on(mongo_url) as database:
            environment = {"COPYPRO_TOPIC_PREFIX": topics.prefix} | former
            async with a_stage(
                tmp_path, kafka_address, database, counts=ONE_OF_EACH, **environment
            ) as stage:
                trading = asyncio.create_task(stage.trades(TRADE_EVERY_S))
                for kind in READERS_FIRST:
                    await replaced(stage.cluster, kind, {"PYTHONPATH": ""})
                for kind in reversed(READERS_FIRST):
                    await replaced(stage.cluster, kind, former)
                trading.cancel()
                await asyncio.wait([trading])
                found = await each_trade_has_one_copy_or_one_reason(stage)
                assert found["copied"], found
                await stage.flat()
