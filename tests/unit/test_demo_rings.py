"""Where a demo may run."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import pytest
from copypro.errors import CopyProError, SettingsError
from copypro_standalone.demo import TRADES, Demo
from copypro_standalone.demo_rings import in_process
from copypro_standalone.demo_world import SLAVES
from copypro_standalone.replay import Event
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


class Late(Demo):
    """Whose one copy is closed some time after the last trade."""

    is_closed = False

    async def _call(self, call: str, **body: Any) -> Any:
        row = {"copierId": "c", "success": True, "exceptionCode": None, "times": {}}
        opened = row | {"id": "1.0.open", "outcome": "opened"}
        closed = row | {"id": "1.0.close", "outcome": "closed"}
        return [opened, closed] if self.is_closed else [opened]

    async def _play(self, event: Event) -> None:
        pass

    async def _settled(self) -> None:
        self.is_closed = True


async def test_the_last_screen_shows_what_was_closed_after_the_last_trade() -> None:
    console = Console(file=io.StringIO(), record=True, width=100)
    demo = Late(console, trades=TRADES, speed=1e9)
    demo.copiers = {"c": SLAVES[0]}
    await demo._replay()
    counts = re.findall(r"│ +(\d+) │ +(\d+) │ +(\d+) │", console.export_text())
    assert counts == [("1", "0", "1")], "copied, refused, closed"


@pytest.mark.parametrize(("width", "has_reasons"), [(80, False), (118, True)])
def test_the_screen_can_be_read_in_a_terminal_of_any_usual_width(
    width: int, has_reasons: bool
) -> None:
    console = Console(file=io.StringIO(), record=True, width=width)
    demo = Demo(console, trades=TRADES, speed=1.0)
    demo.copiers = {str(n): slave for n, slave in enumerate(SLAVES)}
    refused = {"success": False, "exceptionCode": "BELOW_MIN_LOT", "times": {}, "outcome": "denied"}
    numbers = [{"message": "raw_lots = 0.0012"}, {"message": "lot_min = 0.01"}]
    demo.rows = [
        refused | {"id": f"{n}.0.open", "copierId": str(n), "messages": numbers}
        for n in range(len(SLAVES))
    ]
    console.print(demo._table(console.width))
    text = console.export_text()
    assert "…" not in text
    assert text.count("\n") <= 24
    assert ("BELOW_MIN_LOT" in text) == has_reasons
