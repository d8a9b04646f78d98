"""Servers that `python -m infra.local` leaves running: which process is one of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.__main__ import start, state_of, stop
from infra.local.servers import Server
from tests.waiting import until

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux alone tells")


class Sleeper(Server):
    name = "sleeper"

    def _command(self) -> list[str]:
        return [sys.executable, "-c", "import time; time.sleep(600)"]

    def _serves(self, begins_at: int) -> bool:
        return True


@pytest.fixture
def another() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def test_what_was_started_is_known_and_stopped_by_a_later_call(tmp_path: Path) -> None:
    started = Sleeper(tmp_path)
    start(started)
    later = Sleeper(tmp_path)
    assert state_of(later) == f"up, process {started.pid}"
    stop(later)
    assert state_of(later) == "down"


def test_a_process_that_only_has_its_number_is_left_alone(
    tmp_path: Path, another: subprocess.Popen[bytes]
) -> None:
    """The machine was started anew, and numbers are given again."""
    (tmp_path / "pid").write_text(f"{another.pid} 1")
    assert state_of(Sleeper(tmp_path)) == "down"
    stop(Sleeper(tmp_path))
    assert another.poll() is None


STAYS = """
import time
from pathlib import Path
from tests.conftest import own_server
from tests.unit.test_local_servers import Sleeper

def test_stays(tmp_path):
    server = Sleeper(tmp_path)
    with own_server(server):
        Path(__file__).with_suffix(".pid").write_text(str(server.pid))
        time.sleep(600)
"""


async def test_a_run_of_the_tests_that_is_ended_takes_its_servers_along(tmp_path: Path) -> None:
    """By SIGTERM, as from `timeout` or CI that is called off: they went on for ever."""
    test = tmp_path / "test_stays.py"
    test.write_text(STAYS)
    noted = test.with_suffix(".pid")
    plain = ("-q", "-p", "tests.conftest", "-c", os.devnull, "--rootdir", str(tmp_path))
    command = (sys.executable, "-m", "pytest", *plain, str(test))
    run = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    try:
        await until(lambda: noted.exists() and noted.read_text() != "")
        server = Path("/proc") / noted.read_text()
        run.terminate()
        assert await run.wait() == pytest.ExitCode.INTERRUPTED
        assert not server.exists()
    finally:
        if run.returncode is None:
            run.kill()
