"""`copypro report` and `copypro quality`, beside the running program."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from tests.journey.commands import copypro
from tests.journey.test_import import post
from tests.journey.world import World
from tests.unit import statement_writer as write

pytestmark = pytest.mark.slow


async def test_a_report_of_an_imported_account_on_the_command_line(
    world: World, tmp_path: Path
) -> None:
    at = ("2024.05.02 10:00:00", "2024.05.03 12:00:00")
    row = write.mt4_closed(7, at[0], "sell", "0.10", "eurusd", ("1.10000", "1.09900"), at[1],
                           ("-0.70", "0.00", "-0.30", "101.00"))  # fmt: skip
    deposit = write.mt4_operation(1, "2024.05.01 09:00:00", "balance", "1000.00")
    data = write.mt4_statement([deposit, row], [("Balance", "1100.00")])
    id_ = str((await post(world, data.encode()))["accountId"])
    path = tmp_path / "one.html"
    code, said = await copypro(world, "report", id_, "--out", str(path))
    assert (code, said.strip()) == (0, str(path))
    html = path.read_text()
    assert "+100.00" in html
    assert "IMPORTED" in html
    if importlib.util.find_spec("playwright") is None:
        out = str(tmp_path / "three.html")
        code, said = await copypro(world, "report", id_, "--out", out, "--pdf")
        assert code == 2
        assert "-e '.[report]'" in said, "no registry has a package of this name that is ours"


async def test_quality_on_the_command_line_is_what_rest_says(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT4", 2001)
    copier = await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "0.10")

    async def is_copied() -> bool:
        told = await world.call("CopyQuality", copierId=copier)
        return bool(told["total"]["copied"] == 1)

    await world.eventually(is_copied)
    code, said = await copypro(world, "quality", "--by", "symbol", "--json")
    assert code == 0, said
    told = await world.call("CopyQuality", copierId=copier, groupBy="symbol")
    assert json.loads(said.strip().splitlines()[-1]) == told
    code, said = await copypro(world, "quality", "--by", "copier")
    assert code == 0, said
    shown = said.replace("│", " ").split()
    assert {"1001@Alpha-MT4", "2001@Beta-MT4"} <= set(shown), said
    path = Path(world.data).parent / "live.html"
    code, said = await copypro(world, "report", master.id, "--out", str(path))
    assert code == 0, said
    assert "Copy quality" in path.read_text()
