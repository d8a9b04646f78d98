"""One broken service starts over; one that stays broken ends the process: never half dead."""

from __future__ import annotations

import asyncio

import pytest
from copypro_standalone.supervising import RestartLimits, ServiceFailed, Supervisor

QUICK = RestartLimits(pause_s=0.0, most=2, window_s=60.0)


def supervisor(clock: list[float] | None = None) -> Supervisor:
    now = clock if clock is not None else [0.0]
    return Supervisor(QUICK, lambda: now[0])


class Flaky:
    """Breaks so many times, then runs until cancelled."""

    def __init__(self, breaks: int) -> None:
        self.left, self.starts, self.stopped = breaks, 0, False
        self.stands = asyncio.Event()

    async def __call__(self) -> None:
        self.starts += 1
        if self.left:
            self.left -= 1
            raise ValueError("broken")
        self.stands.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped = True


async def test_a_service_that_breaks_starts_over() -> None:
    service, keeper = Flaky(breaks=2), supervisor()

    keeper.start("stats", service)
    await asyncio.wait_for(service.stands.wait(), 2)

    assert service.starts == 3
    assert keeper.not_ready == {}
    await keeper.stop("stats")


async def test_a_service_that_stays_broken_ends_the_process_and_says_which() -> None:
    keeper = supervisor()

    keeper.start("replicator", Flaky(breaks=99))

    with pytest.raises(ServiceFailed, match="replicator broke 3 times in 60 s: ValueError: broken"):
        await asyncio.wait_for(keeper.failed(), 2)
    assert "replicator" in keeper.not_ready


async def test_breaks_long_apart_do_not_add_up() -> None:
    now = [0.0]
    keeper = supervisor(now)
    service = Flaky(breaks=6)

    async def breaks_each_minute() -> None:
        now[0] += 61.0
        await service()

    keeper.start("stats", breaks_each_minute)
    await asyncio.wait_for(service.stands.wait(), 2)

    assert service.starts == 7
    await keeper.stop("stats")


async def test_a_service_that_ends_by_itself_is_a_failure() -> None:
    keeper = supervisor()

    async def ends() -> None:
        return

    keeper.start("gateway", ends)

    with pytest.raises(ServiceFailed, match="gateway ended although nobody asked it to"):
        await asyncio.wait_for(keeper.failed(), 2)


async def test_stopping_waits_until_the_service_has_ended() -> None:
    service, keeper = Flaky(breaks=0), supervisor()
    keeper.start("account-watcher", service)
    await service.stands.wait()

    await keeper.stop("account-watcher")

    assert service.stopped
    assert keeper.not_ready == {"account-watcher": "stopping"}
