"""The real program: starting, refusing, stopping."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from copypro_standalone.demo import TRADES
from copypro_standalone.demo_rings import simulator_process

from infra.local.servers import free_port
from tests.faults.program import PATIENCE_S, Program
from tests.waiting import until

pytestmark = pytest.mark.slow
NOWHERE = ("http://127.0.0.1:1", "http://127.0.0.1:1")
REAL_LIMITS = {"COPYPRO_TEST_LIMITS": ""}


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
        second = Program(tmp_path / "data", mt4, mt5, free_port(), **REAL_LIMITS)
        second.log = tmp_path / "second.log"
        await second.start(wait=False)
        assert second.process is not None
        assert await asyncio.wait_for(second.process.wait(), PATIENCE_S) == 2
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
        assert await asyncio.wait_for(second.process.wait(), PATIENCE_S) != 0
        said = second.log.read_text()
        assert "(Address already in use): CopyPro may be running already; else set" in said
        assert "COPYPRO_GATEWAY_PORT" in said
        assert await first.terminate() == 0


async def test_it_listens_on_an_ipv6_address_and_says_where(tmp_path: Path) -> None:
    program = Program(tmp_path / "data", *NOWHERE, port := free_port(), COPYPRO_HOST="::1")
    program.url = f"http://[::1]:{port}"

    async def said() -> bool:
        return f"url={program.url}" in program.log.read_text()

    try:
        await program.start()
        await program.until(said)
        assert await program.terminate() == 0
    finally:
        await program.end()


@pytest.mark.parametrize(
    ("name", "value"),
    [("ApiMT5", "http://127.0.0.1:99999"), ("KAFKA_SECURITY_PROTOCOL", "ssl")],
)
async def test_a_wrong_setting_is_refused_in_one_line(
    tmp_path: Path, name: str, value: str
) -> None:
    wrong = REAL_LIMITS | {name: value}
    said = await refused(Program(tmp_path / "data", *NOWHERE, free_port(), **wrong))
    assert said.startswith(f"copypro: {name}: ")


@pytest.mark.parametrize("name", ["log.db", "users.db"])
async def test_a_foreign_data_folder_is_refused_in_one_line_and_left_alone(
    tmp_path: Path, name: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_bytes(b"somebody's notes " * 200)
    said = await refused(Program(data, *NOWHERE, free_port(), **REAL_LIMITS))
    assert str(data / name) in said
    assert (data / name).read_bytes().startswith(b"somebody")


async def test_a_file_in_the_data_folders_place_is_refused_in_one_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_text("")
    said = await refused(Program(data, *NOWHERE, free_port(), **REAL_LIMITS))
    assert "COPYPRO_DATA" in said


SHOWN = "Still running (SIMULATED)"


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_demo_that_is_asked_to_end_leaves_nothing_behind(
    tmp_path: Path, asked: signal.Signals
) -> None:
    async def shown(process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        said = ""
        while SHOWN not in said:
            said += (await process.stdout.readline()).decode()
            assert not process.stdout.at_eof(), said
        return said

    process = await demo(tmp_path)
    try:
        said = await asyncio.wait_for(shown(process), PATIENCE_S)
        assert len(folders_in(tmp_path)) == 1
        await ended(process, asked)
        # On a machine so busy that each trade is over before its copy is due, nothing was copied.
        has_passed = "SIMULATED checked" in said
        assert process.returncode == (0 if has_passed else 1), f"what was checked stands: {said}"
    finally:
        await gone(process)
    assert not folders_in(tmp_path)


async def test_a_demo_that_is_ended_before_its_check_has_not_passed(tmp_path: Path) -> None:
    process = await demo(tmp_path, "--once", "--speed", "0.1")
    try:
        await until(lambda: any((path / "log.db").exists() for path in folders_in(tmp_path)))
        await ended(process, signal.SIGTERM)
        assert process.returncode == 128 + signal.SIGTERM
    finally:
        await gone(process)
    assert not folders_in(tmp_path)


async def test_a_demo_that_is_killed_takes_its_simulated_bridges_with_it(tmp_path: Path) -> None:
    process = await demo(tmp_path, "--speed", "0.1")
    try:
        await until(lambda: any((path / "log.db").exists() for path in folders_in(tmp_path)))
        await ended(process, signal.SIGKILL)
    finally:
        await gone(process)


async def test_bridges_whose_port_is_taken_listen_on_free_ones() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with simulator_process(0, port) as addresses:
            assert not any(address.endswith(f":{port}") for address in addresses)
            for address in addresses:
                async with aiohttp.ClientSession() as http, http.get(address) as response:
                    assert response.status


async def demo(folder: Path, *options: str) -> asyncio.subprocess.Process:
    """Of a few trades, with its own files in the folder."""
    few = folder / "few.csv"
    few.write_text("".join(TRADES.read_text().splitlines(keepends=True)[:3]))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "copypro_standalone", "demo", "--trades", str(few), *options,
        env=os.environ | {"TMPDIR": str(folder), "COLUMNS": "200"}, start_new_session=True,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        # A suite that runs under nohup hands it on that a closed terminal is to be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip


def folders_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]


async def ended(process: asyncio.subprocess.Process, asked: signal.Signals) -> str:
    """What it says until the last process that may write is gone, its simulated bridges too."""
    process.send_signal(asked)
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return said.decode()


async def gone(process: asyncio.subprocess.Process) -> None:
    """With all that it started, whatever state they are in."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def refused(program: Program) -> str:
    """The one line with which it ended."""
    await program.start(wait=False)
    assert program.process is not None
    assert await asyncio.wait_for(program.process.wait(), PATIENCE_S) == 2
    said = program.log.read_text().strip()
    assert said.startswith("copypro: ")
    assert "\n" not in said
    return said
