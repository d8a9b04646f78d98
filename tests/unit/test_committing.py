"""Commits under way: bounded, and ended by the failure that came first."""

from __future__ import annotations

import asyncio

import pytest
from copypro.committing import Committing
from copypro.errors import LogFull, PartitionLost


async def commit(gate: asyncio.Event, failure: Exception | None = None) -> None:
    await gate.wait()
    if failure is not None:
        raise failure


async def test_the_next_one_begins_when_there_is_room() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    async with Committing(most=2) as committing:
        await committing.begun(asyncio.create_task(commit(first)))
        begun = asyncio.create_task(committing.begun(asyncio.create_task(commit(second))))
        done, _ = await asyncio.wait([begun], timeout=0.01)
        assert not done, "two are under way"
        first.set()
        await asyncio.wait_for(begun, 60)
        second.set()


async def test_it_is_left_when_all_have_ended() -> None:
    gate, ended = asyncio.Event(), []

    async def last() -> None:
        await commit(gate)
        ended.append("last")

    asyncio.get_running_loop().call_soon(gate.set)
    async with Committing(most=2) as committing:
        await committing.begun(asyncio.create_task(last()))
    assert ended == ["last"]


async def test_the_first_failure_counts_not_what_followed_from_it() -> None:
    async def read_and_commit() -> None:
        gate = asyncio.Event()
        async with Committing(most=3) as committing:
            await committing.begun(asyncio.create_task(commit(gate, LogFull("no room"))))
            await committing.begun(asyncio.create_task(commit(gate, PartitionLost("earlier"))))
            gate.set()
            raise PartitionLost("what the reader hears")

    with pytest.raises(LogFull):
        await read_and_commit()


async def cancelled_with(under_way: asyncio.Task[None]) -> asyncio.Task[None]:
    """Who waited inside while that was under way, once it has ended by being cancelled."""
    reading = asyncio.Event()

    async def read_and_commit() -> None:
        async with Committing(most=2) as committing:
            await committing.begun(under_way)
            reading.set()
            await asyncio.Event().wait()

    reader = asyncio.create_task(read_and_commit())
    await reading.wait()
    reader.cancel()
    await asyncio.wait([reader])
    return reader


async def test_who_is_cancelled_cancels_what_is_under_way() -> None:
    task = asyncio.create_task(commit(asyncio.Event()))
    await cancelled_with(task)
    assert task.cancelled()


async def test_who_is_cancelled_stays_so_though_a_commit_has_failed() -> None:
    """Whoever cancelled waits for that: a failure in its place looks like news of its own."""
    failed = asyncio.Event()
    failed.set()
    reader = await cancelled_with(asyncio.create_task(commit(failed, LogFull("no room"))))
    assert reader.cancelled()
