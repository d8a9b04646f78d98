"""What nobody expected: the partition starts over, later each time, and nothing is skipped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Never, cast

import pytest
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.sqlite_log import SqliteLog
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.errors import StoreRefused, StoreUnavailable
from copypro.ports import EventLog, Partition
from copypro.readiness import Readiness, while_owned
from copypro_account_watcher import service as watcher
from copypro_account_watcher.limits import WatcherLimits
from copypro_replicator import service as replicator
from copypro_stats import service as stats
from structlog.testing import capture_logs

from tests.unit.copying_builders import T0
from tests.unit.test_newer_records import NoVault, a_copier, an_alert, settle, until

pytestmark = pytest.mark.slow

Run = Callable[[Readiness], Awaitable[None]]
SOON_S = 0.01


@pytest.fixture(params=["memory", "sqlite"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    made = MemoryLog() if request.param == "memory" else await SqliteLog.open(tmp_path)
    yield made
    await made.close()


class Clock:
    """Stands for any code that breaks: it raises, as often as it is told to."""

    def __init__(self) -> None:
        self.breaks, self.asked = 0, 0

    def __call__(self) -> Any:
        self.asked += 1
        if self.breaks:
            self.breaks -= 1
            raise KeyError("s3cret")
        return T0


class Counted(Readiness):
    """Keeps what it was told."""

    def __init__(self, role: str) -> None:
        super().__init__(role, first_wait_s=SOON_S)
        self.told: list[str] = []

    def not_ready(self, partition: int, reason: str) -> None:
        self.told.append(reason)
        super().not_ready(partition, reason)


async def run_role(role: str, log: EventLog, clock: Clock, readiness: Readiness, at: Path) -> None:
    if role == "account-watcher":
        limits = WatcherLimits()
        await watcher.run(log, {}, NoVault(), clock, lambda: 0.0, limits, readiness)
    elif role == "replicator":
        await replicator.run(log, clock, readiness=readiness)
    else:
        models = await SqliteReadModels.open(at)
        try:
            await stats.run(log, models, clock, readiness=readiness)
        finally:
            await models.close()


ANSWERED = {
    "account-watcher": (settle, topics.ACCOUNT_WATCHER),
    "replicator": (a_copier, topics.REPLICATOR),
}


@pytest.mark.parametrize("role", ANSWERED)
async def test_a_record_whose_handling_breaks_is_tried_again_and_handled_once(
    role: str, log: EventLog, tmp_path: Path
) -> None:
    given, of = ANSWERED[role]
    clock, readiness = Clock(), Counted(role)
    clock.breaks = 3
    await log.append([given(0), given(1)])
    task = asyncio.ensure_future(run_role(role, log, clock, readiness, tmp_path / "models"))
    await until(lambda: clock.asked > 3)
    await until(lambda: log_end(log, of) == 2)
    assert [told.split(",")[0] for told in readiness.told] == [
        f"failed {times} times" for times in (1, 2, 3)
    ]
    assert "KeyError" in readiness.told[0]
    assert not any("s3cret" in told for told in readiness.told)
    assert readiness.reasons() == []
    assert not task.done()
    await log.close()
    await asyncio.wait_for(task, 60)
    assert log_end(log, of) == 2


def log_end(log: Any, role: topics.Role) -> int:
    """How many answers lie on the role's output."""
    topic = topics.ORDER_EVENTS if role is topics.ACCOUNT_WATCHER else topics.COPIER_EVENTS
    if isinstance(log, MemoryLog):
        return len(log.all(topic.name))
    return int(log.end_offset(topic.name))


async def test_read_models_that_fail_for_a_while_are_written_in_the_end(tmp_path: Path) -> None:
    """A database that is away is waited for; what was read meanwhile is read again."""
    log, readiness = MemoryLog(), Counted("stats")
    models = await SqliteReadModels.open(tmp_path)

    class Away:
        def __init__(self, times: int) -> None:
            self.times = times

        async def upsert(self, changes: Any) -> None:
            if self.times:
                self.times -= 1
                raise OSError("no route")
            await models.upsert(changes)

        def __getattr__(self, name: str) -> Any:
            return getattr(models, name)

    await log.append([an_alert(0)])
    task = asyncio.ensure_future(stats.run(log, Away(2), lambda: T0, readiness=readiness))
    await until(lambda: log.consumed.get(("stats", 0, "order-events")) == 1)
    assert len(await models.find("alerts", {"open": True})) == 1
    assert len(readiness.told) == 2
    await log.close()
    await asyncio.wait_for(task, 60)
    await models.close()


async def test_read_models_that_cannot_be_written_are_said_once_and_make_it_not_ready(
    tmp_path: Path,
) -> None:
    log, readiness = MemoryLog(), Counted("stats")
    models = await SqliteReadModels.open(tmp_path)
    is_full, tries = True, 0

    class Full:
        async def upsert(self, changes: Any) -> None:
            nonlocal tries
            tries += 1
            if is_full:
                raise StoreUnavailable("/data/models.db cannot grow: make room on the disk")
            await models.upsert(changes)

        def __getattr__(self, name: str) -> Any:
            return getattr(models, name)

    await log.append([an_alert(0)])
    with capture_logs() as lines:
        task = asyncio.ensure_future(stats.run(log, Full(), lambda: T0, readiness=readiness))
        await until(lambda: tries > 1)
    assert readiness.reasons() == [
        "stats partition 0: nothing is projected until the database answers: see the log"
    ]
    assert [line["reason"] for line in lines if "projected" in line["event"]] == [
        "/data/models.db cannot grow: make room on the disk"
    ]
    is_full = False
    await until(lambda: log.consumed.get(("stats", 0, "order-events")) == 1)
    assert readiness.reasons() == []
    await log.close()
    await asyncio.wait_for(task, 60)
    await models.close()


async def test_an_agent_that_breaks_is_followed_by_a_new_owner(log: EventLog) -> None:
    """It does not leave the partition alone for ever."""
    readiness = Counted("account-watcher")
    given: list[watcher.Owner] = []
    async for partition in log.partitions(topics.ACCOUNT_WATCHER):
        owner = watcher.Owner(
            partition, {}, NoVault(), lambda: T0, lambda: 0.0, WatcherLimits(), readiness
        )
        given.append(owner)
        running = asyncio.ensure_future(owner.run())
        if len(given) == 2:
            break
        await asyncio.sleep(0)
        owner.spawn(_break(), "an agent")
        await asyncio.wait_for(running, 60)
    assert readiness.told == ["failed 1 times, last with ZeroDivisionError: see the log"]
    running.cancel()
    await asyncio.wait([running])


async def _break() -> None:
    raise ZeroDivisionError


async def test_it_waits_twice_as_long_each_time() -> None:
    waited: list[float] = []

    class Deaf:
        """Nothing comes in, and it notes how long it was kept."""

        number = 0

        async def read(self) -> None:
            self.begun = asyncio.get_running_loop().time()
            await asyncio.get_running_loop().create_future()

        def give_up(self, reason: str) -> None:
            waited.append(asyncio.get_running_loop().time() - self.begun)

    readiness = Counted("stats")
    for _ in range(4):
        await readiness.start_over(Deaf(), KeyError())  # type: ignore[arg-type]
    assert len(waited) == 4
    for times, seconds in enumerate(waited):
        assert seconds >= SOON_S * 2**times * 0.9


async def test_what_a_person_must_set_right_is_said_by_its_own_words_alone() -> None:
    """Such as a file that is damaged: a traceback with each try would hide what to do."""

    async def refused() -> None:
        raise StoreRefused("read-models.db is damaged: move it away")

    log, readiness = MemoryLog(), Counted("stats")
    partition = await anext(aiter(log.partitions(topics.STATS)))
    with capture_logs() as lines:
        await while_owned(refused(), partition, readiness, SOON_S)
    await log.close()
    (said,) = (line for line in lines if line["event"] == "the partition broke")
    assert said["reason"] == "read-models.db is damaged: move it away"
    assert "exc_info" not in said
    assert readiness.told == ["failed 1 times, last with StoreRefused: see the log"]


async def test_a_partition_that_cannot_even_be_read_is_given_up_as_any_that_breaks() -> None:
    """A disk's error, an offset that is none: the process and its other partitions go on."""

    class Unreadable:
        number = 0

        def __init__(self) -> None:
            self.given_up: list[str] = []

        async def read(self) -> Never:
            raise StoreUnavailable("log.db cannot be read or written: check the disk")

        def give_up(self, reason: str) -> None:
            self.given_up.append(reason)

    partition, readiness = Unreadable(), Counted("stats")
    await while_owned(partition.read(), cast(Partition, partition), readiness, SOON_S)
    assert partition.given_up == ["it broke: StoreUnavailable"]
    assert readiness.told == ["failed 1 times, last with StoreUnavailable: see the log"]
