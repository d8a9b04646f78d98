"""The virtual loop: a clock that stands still while anything is ready, then jumps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from copypro_standalone.backtest.virtual_time import Asleep, VirtualClock, run

START = datetime(2026, 1, 1, tzinfo=UTC)
YEARS_S = 3e9


def test_years_pass_at_once_and_exactly() -> None:
    async def work() -> list[float]:
        loop = asyncio.get_running_loop()
        seen = [loop.time()]
        for seconds in (YEARS_S, 0.25, 0.001):
            await asyncio.sleep(seconds)
            seen.append(loop.time())
        return seen

    begun, *later = run(work())
    assert begun == 0
    assert later == pytest.approx([YEARS_S, YEARS_S + 0.25, YEARS_S + 0.251], abs=1e-5)


def test_whatever_needs_no_time_is_over_before_the_clock_moves() -> None:
    async def work() -> list[str]:
        done: list[str] = []

        async def long_chain() -> None:
            for _ in range(1000):
                await asyncio.sleep(0)
            done.append("chain")

        async def timer() -> None:
            await asyncio.sleep(0.001)
            done.append("timer")

        await asyncio.gather(timer(), long_chain())
        return done

    assert run(work()) == ["chain", "timer"]


def test_timers_run_by_time_and_those_of_one_moment_in_their_order() -> None:
    async def work() -> list[int]:
        done: list[int] = []
        loop = asyncio.get_running_loop()
        for delay, number in ((2.0, 3), (1.0, 1), (1.0, 2)):
            loop.call_later(delay, done.append, number)
        await asyncio.sleep(3)
        return done

    assert run(work()) == [1, 2, 3]


def test_who_waits_for_nothing_is_told_instead_of_waiting_for_ever() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Asleep):
        run(work())


def test_a_timeout_is_of_the_same_clock() -> None:
    async def work() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3600)
        return asyncio.get_running_loop().time()

    assert run(work()) == 3600


def test_the_clock_reaches_a_moment_and_never_goes_back() -> None:
    async def work() -> list[datetime]:
        clock = VirtualClock(START)
        seen = [clock()]
        for hours in (1, 1, 0, 30):
            await clock.reach(START + timedelta(hours=hours))
            seen.append(clock())
        return seen

    assert [(at - START) / timedelta(hours=1) for at in run(work())] == [0, 1, 1, 1, 30]
