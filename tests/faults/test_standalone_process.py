"""`copypro up` as a real process: it starts and refuses to start with clear lines, answers for its
health, stops in time, and loses nothing to `kill -9`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from copypro_standalone import processes
from copypro_standalone.processes import Child
from copypro_standalone.rest import Rest, RestError, Unreachable
from mt_simulator import main as simulator_main
from mt_simulator.main import Simulator

pytestmark = pytest.mark.slow
STARTS_WITHIN_S = 20.0
STOPS_WITHIN_S = 10.0


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    made = await simulator_main.start()
    yield made
    await made.close()


class Up:
    """A `copypro up` process over a folder, and a client of its REST."""

    def __init__(self, folder: Path, simulator: Simulator | None) -> None:
        self.folder, self.port = folder, processes.free_port()
        self.rest = Rest(f"http://127.0.0.1:{self.port}")
        self._env = {
            "COPYPRO_DATA": str(folder / "data"),
            "COPYPRO_GATEWAY_PORT": str(self.port),
            "ApiMT4": simulator.mt4_url if simulator else "",
            "ApiMT5": simulator.mt5_url if simulator else "",
        }
        self.started: list[Child] = []

    async def start(self, **env: str) -> Child:
        child = await processes.start(
            "copypro up", ["up"], self._env | env, self.folder / f"up-{len(self.started)}.log"
        )
        self.started.append(child)
        return child

    async def is_ready(self, child: Child) -> None:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            child.check()
            try:
                await self.rest.get("/health/ready")
                return
            except (Unreachable, RestError):
                assert time.monotonic() < deadline, child.words()
                await asyncio.sleep(0.05)


@pytest.fixture
async def up(tmp_path: Path, simulator: Simulator) -> AsyncIterator[Up]:
    made = Up(tmp_path, simulator)
    yield made
    for child in made.started:
        if child.returncode is None:
            await child.kill()
    await made.rest.__aexit__(None, None, None)


async def refused(up: Up, **env: str) -> str:
    """What a process says that does not start."""
    child = await up.start(**env)
    assert await asyncio.wait_for(child.ended(), STARTS_WITHIN_S) == 1
    return child.words()


async def test_it_answers_for_its_health_and_stops_at_sigterm(up: Up) -> None:
    child = await up.start()
    await up.is_ready(child)
    assert (await up.rest.get("/health/live"))["status"] == "live"

    began = time.monotonic()
    child.send(signal.SIGTERM)

    assert await asyncio.wait_for(child.ended(), STOPS_WITHIN_S) == 0
    assert time.monotonic() - began < STOPS_WITHIN_S
    assert "Traceback" not in child.words()


async def test_it_starts_again_over_the_data_it_left(up: Up) -> None:
    for _ in range(2):
        child = await up.start()
        await up.is_ready(child)
        child.send(signal.SIGINT)
        assert await asyncio.wait_for(child.ended(), STOPS_WITHIN_S) == 0


async def test_a_second_process_on_the_same_data_is_refused(up: Up) -> None:
    first = await up.start()
    await up.is_ready(first)

    words = await refused(up, COPYPRO_GATEWAY_PORT=str(processes.free_port()))

    assert "another CopyPro process already uses" in words
    assert "COPYPRO_DATA" in words
    assert "Traceback" not in words
    assert first.returncode is None


async def test_a_taken_port_is_named_with_its_setting(up: Up, tmp_path: Path) -> None:
    first = await up.start()
    await up.is_ready(first)

    words = await refused(up, COPYPRO_DATA=str(tmp_path / "elsewhere"))

    assert f"127.0.0.1:{up.port} cannot be listened on" in words
    assert "COPYPRO_GATEWAY_PORT" in words


async def test_without_any_bridge_it_refuses_and_names_both_settings(up: Up) -> None:
    words = await refused(up, ApiMT4="", ApiMT5="")

    assert "set ApiMT4 or ApiMT5" in words
    assert "copypro demo" in words


async def test_a_platform_without_a_bridge_is_off_and_says_so(up: Up) -> None:
    child = await up.start(ApiMT4="")
    await up.is_ready(child)

    assert "MT4 is off: ApiMT4 is not set" in child.words()


@pytest.mark.parametrize("left", ["log.db", "vault.db", "read-models.db", "users.db"])
async def test_a_damaged_file_is_named_and_left_as_it_is(up: Up, left: str) -> None:
    child = await up.start()
    await up.is_ready(child)
    child.send(signal.SIGTERM)
    await child.ended()
    damaged = up.folder / "data" / left
    for leftover in damaged.parent.glob(f"{left}-*"):
        leftover.unlink()
    damaged.write_bytes(b"this was a database" * 500)

    words = await refused(up)

    assert "Traceback" not in words
    assert "damaged" in words
    assert damaged.read_bytes().startswith(b"this was a database")


async def test_a_folder_of_something_else_is_refused(up: Up) -> None:
    data = up.folder / "data"
    data.mkdir()
    (data / "holiday.jpg").write_bytes(b"a beach")

    words = await refused(up)

    assert "holds other things (holiday.jpg" in words
    assert os.listdir(data) == ["holiday.jpg"]


async def test_somebody_else_s_database_is_refused(up: Up) -> None:
    data = up.folder / "data"
    data.mkdir()
    foreign = sqlite3.connect(data / "log.db")
    foreign.execute("CREATE TABLE songs (name TEXT)")
    foreign.commit()
    foreign.close()

    words = await refused(up)

    assert "Traceback" not in words
    assert "not" in words
    kept = sqlite3.connect(data / "log.db")
    assert kept.execute("SELECT count(*) FROM songs").fetchone() == (0,)
    kept.close()


async def test_keys_that_do_not_open_the_data_stop_the_start(up: Up) -> None:
    child = await up.start()
    await up.is_ready(child)
    child.send(signal.SIGTERM)
    await child.ended()
    other = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="

    words = await refused(up, COPYPRO_SECRET_KEYS=other)

    assert "do not open the data that is already there" in words
    assert other not in words
