"""Where a demo may run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from copypro.errors import CopyProError, SettingsError
from copypro_standalone.demo import TRADES, Demo
from copypro_standalone.demo_rings import in_process
from rich.console import Console


async def test_a_demo_never_runs_on_a_folder_that_holds_data(tmp_path: Path) -> None:
    """Its simulated brokers would refuse the passwords of the accounts in there, which then are refused
    in the real program too.
    """
    log = tmp_path / "log.db"
    log.write_bytes(b"")
    with pytest.raises(SettingsError, match="not empty"):
        async with in_process((0, 0, 0), tmp_path)(Console()):
            pass
    assert os.listdir(tmp_path) == ["log.db"]


class Unconnected(Demo):
    connect_within_s = 0.0

    async def _call(self, call: str, **body: Any) -> Any:
        return [{"connected": False}]


async def test_a_machine_that_is_too_busy_is_told_so() -> None:
    with pytest.raises(CopyProError, match="too busy"):
        await Unconnected(Console(), trades=TRADES, speed=1.0)._connected()
