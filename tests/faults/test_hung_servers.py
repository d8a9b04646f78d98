"""Servers that are there and do not answer, and what is shown by several at once, on real processes.

A dead server refuses at once; a frozen one takes what it is sent and says nothing. Two processes of
each kind; a master trades all the while. At the end each of its trades has, for each copier, one copy
or one reason, and what is shown is what a rebuild makes of the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from copypro.wiring import open_history, open_models
from copypro_stats.rebuilding import rebuild
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from infra.local.servers import Kafka, Mongo, Server
from tests.conftest import own_server
from tests.faults.cluster import Cluster
from tests.faults.takeovers import Stage, a_stage
from tests.faults.test_at_work import each_trade_has_one_copy_or_one_reason, reasons
from tests.faults.test_chaos import check_read_models
from tests.servers import database_of_its_own

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]
TWO_OF_EACH = {"account-watcher": 2, "replicator": 2, "stats": 2, "gateway": 2}


@asynccontextmanager
async def trading(stage: Stage) -> AsyncIterator[None]:
    hand = asyncio.create_task(stage.trades(1.0))
    try:
        yield
    finally:
        hand.cancel()
        await asyncio.wait([hand])


async def all_say(cluster: Cluster, kinds: tuple[str, ...], reason: str) -> None:
    for kind in kinds:
        for program in cluster.programs[kind]:

            async def says(program=program) -> bool:
                return any(each.startswith(reason) for each in await reasons(program))

            await program.until(says)


async def copied(stage: Stage) -> None:
    """Each slave has as many positions as its master."""
    wanted = len((await stage.control.book("Alpha-MT5", 1001))["open"])

    async def has() -> bool:
        await stage.control.tick_again()
        books = [await stage.control.book("Alpha-MT5", one) for one in stage.slaves.values()]
        return all(len(book["open"]) == wanted for book in books)

    await stage.cluster.gateway.until(has)


@asynccontextmanager
async def frozen(server: Server) -> AsyncIterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


def step_down(mongo: Mongo) -> None:
    """Of a set of one: nobody is primary until it elects itself again."""
    with MongoClient[dict[str, object]](mongo.address, directConnection=True) as client:
        try:
            client.admin.command({"replSetStepDown": 3, "force": True})
        except PyMongoError:
            return  # it may close the connection on which it was asked


async def test_servers_that_hang_stop_what_needs_them_and_nothing_else(tmp_path: Path) -> None:
    kafka, mongo = Kafka(tmp_path / "kafka"), Mongo(tmp_path / "mongod")
    with own_server(kafka), own_server(mongo):
        place = database_of_its_own(mongo.url)
        async with a_stage(tmp_path, kafka.address, place, counts=TWO_OF_EACH) as stage:
            cluster = stage.cluster
            async with frozen(mongo):
                await stage.open()
                await copied(stage)
                await all_say(cluster, ("gateway", "stats", "account-watcher"), "database: ")
                status, answer = await cluster.gateway.ask("Accounts", stage.key)
                assert (status, answer["code"]) == (503, "STORE_UNAVAILABLE")
                assert all([await reasons(one) == [] for one in cluster.programs["replicator"]])
            await cluster.until_ready()
            async with trading(stage):
                await asyncio.to_thread(step_down, mongo)
                await rebuild_beside(cluster)
            async with frozen(kafka):
                await all_say(cluster, tuple(TWO_OF_EACH), "log: ")
                await stage.open()
            await cluster.until_ready()
            await each_trade_has_one_copy_or_one_reason(stage)
            await stage.flat()
            async with trading(stage):
                third = cluster.make("stats")
                await third.start()
                for program in cluster.programs["stats"][:2]:
                    assert await program.terminate() == 0
                    cluster.programs["stats"].remove(program)
                    await cluster.until_ready()
            found = await each_trade_has_one_copy_or_one_reason(stage)
            assert found["copied"], found
            await stage.flat()
            await check_read_models(cluster)


async def rebuild_beside(cluster: Cluster) -> None:
    """While two processes write what is shown."""
    async with open_models(cluster.settings) as models:
        await rebuild(open_history(cluster.settings), models)
