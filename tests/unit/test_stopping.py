"""How the one process ends: in order, and within ten seconds whatever hangs."""

from __future__ import annotations

import asyncio
import queue
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from copypro.settings import Settings
from copypro_standalone.backtest.virtual_time import run
from copypro_standalone.ring import HTTP, Ring
from copypro_standalone.serving import Stop
from copypro_standalone.stopping import CLOSED_AFTER_S, CUT_OFF_S, ENDED_AFTER_S

PARTS = ("account-watcher", HTTP, "replicator", "stats", "probes")


class Stubborn(Ring):
    """Whose parts end only when the test lets them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Settings.model_validate({"api_mt5": "http://127.0.0.1:1", "data": folder}))
        self.let_go = asyncio.Event()

    async def hang(self) -> None:
        while not self.let_go.is_set():
            with suppress(asyncio.CancelledError):
                await self.let_go.wait()

    async def _close_stores(self) -> None:
        await self.hang()


def test_all_that_hangs_together_is_cut_off_within_ten_seconds(tmp_path: Path) -> None:
    async def took_s() -> float:
        ring, clock = Stubborn(tmp_path), asyncio.get_running_loop().time
        for name in PARTS:
            ring._start(name, ring.hang())
        begun = clock()
        await ring._close()
        ring.let_go.set()
        return clock() - begun

    assert run(took_s()) <= CLOSED_AFTER_S + CUT_OFF_S < ENDED_AFTER_S < 10


def test_one_part_that_hangs_takes_all_time_of_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def stop() -> None:
        ring = Stubborn(tmp_path)

        async def commit_at_the_end() -> None:
            try:
                await ring.let_go.wait()
            finally:
                await asyncio.sleep(0.1)

        ring._start("account-watcher", ring.hang())
        ring._start("stats", commit_at_the_end())
        await asyncio.sleep(0)
        await ring._close()
        ring.let_go.set()

    run(stop())
    said = capsys.readouterr().out
    assert "part=account-watcher" in said
    assert "part=stats" not in said


async def test_a_process_that_does_not_end_is_ended() -> None:
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()
    over = asyncio.Event()

    async def hang() -> None:
        with suppress(asyncio.CancelledError):
            await over.wait()
        await over.wait()

    running = asyncio.create_task(hang())
    await asyncio.sleep(0)
    Stop(running, ended.put, after_s=0.0).asked(signal.SIGTERM)
    await asyncio.sleep(0)
    assert await asyncio.to_thread(ended.get, timeout=30) == 128 + signal.SIGTERM
    over.set()
    await running


async def test_a_call_in_a_thread_does_not_hold_up_the_end_of_what_is_closed() -> None:
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()
    running = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    Stop(running, ended.put, after_s=0.05).asked(signal.SIGTERM)
    await asyncio.wait([running])
    assert await asyncio.to_thread(ended.get, timeout=30) == 0


async def test_a_closed_terminal_ends_nothing_at_once_however_often_it_says_so() -> None:
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()
    running = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    stop = Stop(running, ended.put)
    for _ in range(3):
        stop.asked(signal.SIGHUP)
    await asyncio.wait([running])
    assert ended.empty()
    stop.asked(signal.SIGINT)
    assert ended.get_nowait() == 128 + signal.SIGINT
