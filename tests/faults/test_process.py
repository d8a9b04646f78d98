"""The real program: starting, refusing, stopping."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest
from copypro_standalone.demo_rings import simulator_process

from tests.faults.program import Program
from tests.faults.test_kill_9 import free_port

pytestmark = pytest.mark.slow


async def test_health_answers_sigterm_ends_cleanly_and_a_second_process_is_refused(
    tmp_path: Path,
) -> None:
    async with simulator_process(0, 0) as (mt4, mt5):
        first = Program(tmp_path / "data", mt4, mt5, free_port())
        await first.start()
        async with aiohttp.ClientSession() as session:
            for name in ("live", "ready"):
                async with session.get(f"{first.url}/health/{name}") as response:
                    assert response.status == 200
        second = Program(tmp_path / "data", mt4, mt5, free_port())
        second.log = tmp_path / "second.log"
        await second.start(wait=False)
        assert second.process is not None
        assert await asyncio.wait_for(second.process.wait(), 10) == 2
        said = second.log.read_text().strip()
        assert said.startswith("copypro: another CopyPro process already uses"), said
        assert "\n" not in said
        begun = time.monotonic()
        assert await first.terminate() == 0
        assert time.monotonic() - begun < 10
        await first.start()
        assert await first.terminate() == 0


async def test_a_taken_port_is_said_and_ends(tmp_path: Path) -> None:
    async with simulator_process(0, 0) as (mt4, mt5):
        first = Program(tmp_path / "one", mt4, mt5, port := free_port())
        await first.start()
        second = Program(tmp_path / "two" / "data", mt4, mt5, port)
        (tmp_path / "two").mkdir()
        await second.start(wait=False)
        assert second.process is not None
        assert await asyncio.wait_for(second.process.wait(), 15) != 0
        assert "COPYPRO_GATEWAY_PORT" in second.log.read_text()
        assert await first.terminate() == 0


async def test_a_foreign_data_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "log.db").write_bytes(b"somebody's notes " * 200)
    program = Program(data, "http://127.0.0.1:1", "http://127.0.0.1:1", free_port())
    await program.start(wait=False)
    assert program.process is not None
    assert await asyncio.wait_for(program.process.wait(), 10) == 2
    assert "log.db" in program.log.read_text()
    assert (data / "log.db").read_bytes().startswith(b"somebody")
