"""Two machines whose clocks are apart: accounts of one copy those of the other, both ways.

Each machine is an account-watcher with a clock of its own; the log, the brokers and the rest of the
program are shared. Nothing is copied twice, late or without a reason, and closes ask no clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from copypro.adapters.kafka_writer import partition_of
from copypro.envelope import utc_now
from copypro.settings import Settings
from copypro.values import Platform, account_id
from copypro_standalone.ring import Ring
from cryptography.fernet import Fernet

from tests.journey.world import FAST, FAST_CALLS, Account, Stack, World, a_world
from tests.servers import database_on, topics_on

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PARTITIONS = 2
AHEAD_S = 90.0
"""More than an open may be old."""
SERVERS = ("Alpha-MT5", "Beta-MT5")


class Machine:
    """An account-watcher with a clock of its own."""

    def __init__(self, settings: Settings) -> None:
        self.ahead = timedelta()
        self.ring = Ring(
            settings, FAST, FAST_CALLS, services=("account-watcher",), clock=self._clock
        )

    def _clock(self) -> datetime:
        return utc_now() + self.ahead

    @property
    def has_one(self) -> bool:
        return self.ring.partitions() == {"account-watcher": 1} and not self.ring.not_ready()


def a_login(server: str, partition: int) -> int:
    return next(
        login
        for login in range(1000, 1100)
        if partition_of(account_id(Platform.MT5, server, login), PARTITIONS) == partition
    )


class Pair:
    """A master and its slave in different partitions, hence on different machines."""

    def __init__(self, master: Account, slave: Account, copier: str) -> None:
        self.master, self.slave, self.copier = master, slave, copier

    async def codes(self) -> list[str]:
        rows: list[dict[str, Any]] = await self.master.world.logs(self.copier)
        return [row["exceptionCode"] for row in rows if row["exceptionCode"]]

    async def has(self, copies: int) -> bool:
        return len(await self.slave.positions()) == copies


async def a_pair(world: World, partition: int) -> Pair:
    """Its master in this partition; the two are on two servers."""
    logins = a_login(SERVERS[0], partition), a_login(SERVERS[1], 1 - partition)
    master, slave = [
        await world.account(server, login) for server, login in zip(SERVERS, logins, strict=True)
    ]
    return Pair(master, slave, await world.copier(master, slave))


@asynccontextmanager
async def two_machines(stack: Stack, folder: Path) -> AsyncIterator[tuple[World, list[Machine]]]:
    rest = ("gateway", "replicator", "stats")
    async with a_world(folder, stack=stack, services=rest) as world, AsyncExitStack() as running:
        settings = world.settings().model_copy(update={"service_port": 0})
        machines = [Machine(settings), Machine(settings)]
        for machine in machines:
            await running.enter_async_context(machine.ring)

        async def shared() -> bool:
            return all(machine.has_one for machine in machines)

        await world.eventually(shared)
        yield world, machines


@asynccontextmanager
async def on_servers(kafka: str, mongo: str) -> AsyncIterator[Stack]:
    async with topics_on(kafka, PARTITIONS) as topics, database_on(mongo) as database:
        yield {
            "kafka": kafka,
            "topic_prefix": topics.prefix,
            "mongo": database,
            "secret_keys": Fernet.generate_key().decode(),
        }


async def test_clocks_apart_by_more_than_an_open_may_be_old(
    tmp_path: Path, kafka_address: str, mongo_url: str
) -> None:
    async with (
        on_servers(kafka_address, mongo_url) as stack,
        two_machines(stack, tmp_path) as (world, machines),
    ):
        pairs = [await a_pair(world, number) for number in range(PARTITIONS)]
        for pair in pairs:
            await pair.master.open("EURUSD", "Buy", "0.10")
            await world.eventually(lambda pair=pair: pair.has(1))

        machines[0].ahead = timedelta(seconds=AHEAD_S)
        for pair in pairs:
            await pair.master.open("GBPUSD", "Sell", "0.10")

        async def one_way_only() -> bool:
            """Seen by the clock that is ahead: copied at once. Seen by the other: too old, or the
            slave's own machine was found wrong.
            """
            await world.control.tick_again()
            copied = [pair for pair in pairs if await pair.has(2)]
            denied = [pair for pair in pairs if await pair.codes()]
            return len(copied) == len(denied) == 1 and copied != denied

        await world.eventually(one_way_only)
        (denied,) = [pair for pair in pairs if await pair.codes()]
        assert set(await denied.codes()) <= {"EXPIRED", "CLOCK_OFF"}
        assert len(await denied.codes()) == 1, "one reason for one trade"

        async def told() -> bool:
            alerts = await world.call("Alerts")
            return "CLOCK_OFF" in {alert["code"] for alert in alerts}

        await world.eventually(told)

        for pair in pairs:
            for order in await pair.master.positions():
                await pair.master.close(order["ticket"])
            await world.eventually(lambda pair=pair: pair.has(0))

        machines[0].ahead = timedelta()

        async def right_again() -> bool:
            await world.control.tick_again()
            said = [alert["text"] for alert in await world.call("Alerts")]
            return not any(text.startswith("this machine's clock") for text in said)

        await world.eventually(right_again)
        for pair in pairs:
            await pair.master.open("USDJPY", "Buy", "0.10")
            await world.eventually(lambda pair=pair: pair.has(1))
            trades = [trade["order"] for trade in await pair.slave.trades()]
            tags = [order["comment"][:14] for order in [*trades, *await pair.slave.positions()]]
            assert len(tags) == len(set(tags)) >= 2, "never twice"

        async def all_over() -> bool:
            return bool(await world.call("Alerts") == [])

        await world.eventually(all_over)
