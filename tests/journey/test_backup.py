"""A backup made while the program trades, and the older state that it is brought back to: what
docs/operations.md says of both.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.journey.test_cli import copypro
from tests.journey.test_databases import has
from tests.journey.world import World, a_world

pytestmark = pytest.mark.slow
FILES = ("log", "users", "vault")


def back_up(data: Path, to: Path) -> None:
    """As the page says: SQLite's own copy of each, in this order, and the key."""
    to.mkdir()
    for name in FILES:
        with (
            closing(sqlite3.connect(data / f"{name}.db")) as source,
            closing(sqlite3.connect(to / f"{name}.db")) as target,
        ):
            source.backup(target)
    shutil.copy(data / "secret.key", to)


async def alert_codes(world: World) -> set[str]:
    found: list[dict[str, Any]] = await world.call("Alerts")
    return {alert["code"] for alert in found}


async def test_an_older_state_copies_nothing_twice_and_asks_a_person_what_it_does_not_know(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path / "data") as world:
        master = await world.account("Alpha-MT4", 1001)
        slave = await world.account("Beta-MT5", 2001)
        copier = await world.copier(master, slave)
        first = await master.open("EURUSD", "Buy", "0.10")
        await world.eventually(lambda: has(slave, 1))
        (known,) = await slave.positions()

        back_up(world.data, tmp_path / "older")

        await master.open("GBPUSD", "Buy", "0.20")
        await world.eventually(lambda: has(slave, 2))
        (unknown,) = (p for p in await slave.positions() if p["ticket"] != known["ticket"])
        await master.close(first)
        await world.eventually(lambda: has(slave, 1))
        await world.stop()

        world.data = tmp_path / "older"
        await world.start()
        code, said = await copypro(world, "rebuild", "stats")
        assert code == 0, said

        assert {a["id"] for a in await world.call("Accounts")} == {master.id, slave.id}
        await world.eventually(lambda: world.is_connected(slave))
        await world.eventually(lambda: world.is_connected(master))

        async def told() -> bool:
            return "OTHER_COPIER" in await alert_codes(world)

        await world.eventually(told)
        codes = {row["exceptionCode"] for row in await world.logs(copier)}
        assert "MISSED" in codes, codes
        assert [p["ticket"] for p in await slave.positions()] == [unknown["ticket"]], "never twice"

        settled = await copypro(
            world,
            "settle",
            slave.id,
            "--ticket",
            str(unknown["ticket"]),
            "--url",
            world.ring.url,
            key=world.key,  # type: ignore[union-attr]
        )
        assert settled[0] == 0, settled
        await master.open("USDJPY", "Buy", "0.10")
        await world.eventually(lambda: has(slave, 2))
