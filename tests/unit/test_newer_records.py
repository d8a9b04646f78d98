"""A process that is too old for a record waits for its upgrade: nothing skipped, nothing put aside.

Today's code stands for both: told that it knows version 0 only, it is the old process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.envelope import SCHEMA_VERSION, STATE_HEADERS, encode, fact
from copypro.errors import SecretsError
from copypro.ports import Outgoing, Record
from copypro.readiness import Readiness
from copypro.topics import Role
from copypro_account_watcher import service as watcher
from copypro_account_watcher.limits import WatcherLimits
from copypro_replicator import service as replicator
from copypro_stats import service as stats
from msgspec.structs import replace

from tests.unit.copying_builders import MASTER, T0, outgoing, start
from tests.unit.slave_builders import opens

OLD = 0
Run = Callable[[MemoryLog, Readiness, int], Awaitable[None]]


class Counted(Readiness):
    times = 0

    def not_ready(self, partition: int, reason: str) -> None:
        self.times += 1
        super().not_ready(partition, reason)


class NoVault:
    """No secret is needed here."""

    async def seal(self, registration: Any, secret: str) -> str:
        raise SecretsError("none here")

    unseal = seal

    async def destroy(self, registration: Any) -> None:
        raise SecretsError("none here")


class Case:
    """How a role is run, what it is given and what shows that it took something in."""

    def __init__(self, role: Role, run: Run, given: Callable[[int], Outgoing]) -> None:
        self.role, self.run, self.given = role, run, given

    def consumed(self, log: MemoryLog) -> int:
        return log.consumed.get((self.role.name, 0, self.given(0).topic), 0)


def settle(number: int) -> Outgoing:
    wish = m.SettleOtherCopier(account=MASTER, ticket=number, by="user")  # type: ignore[arg-type]
    return encode(topics.ACCOUNT_COMMANDS, MASTER, fact(wish, T0, number))


def an_order() -> Outgoing:
    order = opens()
    return encode(topics.SLAVE_ORDERS, order.slave, fact(order, T0, 0))


def a_copier(number: int) -> Outgoing:
    return replace(outgoing(start(), number), key=MASTER)


def an_alert(number: int) -> Outgoing:
    alert = m.AlertRaised(account=MASTER, code="SLOW_CLOSE", cause=f"{number}", text="slow")
    return encode(topics.ORDER_EVENTS, MASTER, fact(alert, T0, number))


@pytest.fixture(params=["account-watcher", "replicator", "stats"])
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    models = await SqliteReadModels.open(tmp_path)

    async def watch(log: MemoryLog, readiness: Readiness, version: int) -> None:
        await watcher.run(
            log, {}, NoVault(), lambda: T0, lambda: 0.0, WatcherLimits(), readiness, version
        )

    async def replicate(log: MemoryLog, readiness: Readiness, version: int) -> None:
        await replicator.run(log, lambda: T0, readiness=readiness, schema_version=version)

    async def project(log: MemoryLog, readiness: Readiness, version: int) -> None:
        await stats.run(log, models, lambda: T0, readiness=readiness, schema_version=version)

    yield {
        "account-watcher": Case(topics.ACCOUNT_WATCHER, watch, settle),
        "replicator": Case(topics.REPLICATOR, replicate, a_copier),
        "stats": Case(topics.STATS, project, an_alert),
    }[request.param]
    await models.close()


def written_by(version: int, out: Outgoing) -> Outgoing:
    return replace(out, headers={**out.headers, "version": str(version)})


@asynccontextmanager
async def a_process(case: Case, log: MemoryLog, version: int) -> AsyncIterator[Readiness]:
    """Killed at the end; what it does not expect fails the test."""
    readiness = Readiness(case.role.name)
    task = asyncio.ensure_future(case.run(log, readiness, version))
    yield readiness
    assert not task.done(), "it ended by itself"
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def until(condition: Callable[[], object]) -> None:
    now = asyncio.get_running_loop().time
    deadline = now() + 30
    while not condition():
        assert now() < deadline, "not within 30 s"
        await asyncio.sleep(0.005)


async def test_an_old_process_takes_in_what_it_can_and_the_upgraded_one_goes_on(case: Case) -> None:
    log = MemoryLog()
    given = [written_by(version, case.given(n)) for n, version in enumerate((OLD, 1, OLD))]
    await log.append(given)
    async with a_process(case, log, OLD) as readiness:
        await until(readiness.reasons)
        (reason,) = readiness.reasons()
        assert f"{case.role.name} partition 0" in reason
        assert f"{given[0].topic}/0 at 1" in reason
        assert "upgrade this process" in reason
        assert case.consumed(log) == 1
        await log.append([written_by(OLD, case.given(3))])
        assert readiness.reasons(), "what comes later waits behind it"
    assert case.consumed(log) == 1
    async with a_process(case, log, SCHEMA_VERSION) as readiness:
        await until(lambda: case.consumed(log) == 4)
        assert readiness.reasons() == []
    assert log.all(topics.DEAD_LETTERS.name) == []


async def test_it_lets_go_when_the_partition_is_lost_or_the_log_closes(case: Case) -> None:
    log = MemoryLog()
    await log.append([written_by(1, case.given(0))])
    readiness = Counted(case.role.name)
    task = asyncio.ensure_future(case.run(log, readiness, OLD))
    await until(lambda: readiness.times == 1)
    log.lose(case.role, 0)
    await until(lambda: readiness.times == 2)  # its next owner here is as old
    await log.close()
    async with asyncio.timeout(60):
        await task
    assert readiness.reasons() == []


async def test_other_partitions_go_on(case: Case) -> None:
    log = MemoryLog(partitions=2)
    keys = [next(k for k in map(str, range(99)) if log.partition_of(k) == n) for n in (0, 1)]
    stuck, free = (replace(case.given(n), key=key) for n, key in enumerate(keys))
    await log.append([written_by(1, stuck), written_by(OLD, free)])
    async with a_process(case, log, OLD) as readiness:
        await until(readiness.reasons)
        await until(lambda: log.consumed.get((case.role.name, 1, free.topic)) == 1)
        assert len(readiness.reasons()) == 1


@pytest.mark.parametrize("case", ["account-watcher", "replicator"], indirect=True)
async def test_a_process_rolled_back_leaves_newer_memory_alone(case: Case) -> None:
    """Back to the old version and up again: it goes on where the newer one was. (Stats keeps nothing
    in the log: what it read is in the read models.)
    """
    log = MemoryLog()
    remembered = an_order() if case.role is topics.ACCOUNT_WATCHER else case.given(0)
    await log.append([remembered])
    place = (case.role.name, 0, remembered.topic)
    async with a_process(case, log, SCHEMA_VERSION):
        await until(lambda: log.consumed.get(place) == 1)
    kept = dict(log.state(case.role.state.name)[0])
    assert kept
    async with a_process(case, log, OLD) as readiness:
        await log.append([written_by(OLD, remembered)])
        await until(readiness.reasons)
        assert f"{case.role.state.name}/0" in readiness.reasons()[0]
    assert log.state(case.role.state.name)[0] == kept
    async with a_process(case, log, SCHEMA_VERSION):
        await until(lambda: log.consumed.get(place) == 2)


@pytest.mark.parametrize("case", ["account-watcher", "replicator"], indirect=True)
async def test_memory_of_a_kind_that_nobody_here_knows_is_a_newer_version_s(case: Case) -> None:
    """Not damage, of which the partition would break again and again."""
    log = MemoryLog()
    state, key = case.role.state.name, f"later/{MASTER}/1"
    log.state(state)[0][key] = Record(state, 0, 7, key, b"{}", STATE_HEADERS)
    await log.append([case.given(0)])
    async with a_process(case, log, SCHEMA_VERSION) as readiness:
        await until(readiness.reasons)
        (reason,) = readiness.reasons()
        assert f"{state}/0 at 7" in reason
        assert "upgrade this process" in reason
    assert case.consumed(log) == 0
