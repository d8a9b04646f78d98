"""Servers that `python -m infra.local` leaves running: which process is one of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.__main__ import start, state_of, stop
from infra.local.servers import Server

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
