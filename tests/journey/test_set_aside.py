"""A record that the program breaks on: named where an operator looks, set aside by one, put back."""

from __future__ import annotations

from typing import Any

import pytest
from copypro import topics
from copypro.envelope import Envelope
from copypro_account_watcher.commands import Commands

from tests.journey.test_dead_letters import a_command, append, listed, replay
from tests.journey.world import World

pytestmark = pytest.mark.slow


async def ready(world: World) -> str:
    async with world.http.get("/health/ready") as response:
        return await response.text()


async def test_what_breaks_us_is_set_aside_by_name_and_put_back_after_the_upgrade(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = await world.account("Alpha-MT5", 1)
    slave = await world.account("Beta-MT5", 2)
    await world.copier(master, slave)
    poison, decide = a_command(), Commands.decide

    def breaks(commands: Commands, envelope: Envelope, turn: Any) -> None:
        if envelope.id == poison.headers["id"]:
            raise ZeroDivisionError
        decide(commands, envelope, turn)

    with monkeypatch.context() as broken:
        broken.setattr(Commands, "decide", breaks)
        await append(world, poison)
        found = await world.records(topics.ACCOUNT_COMMANDS, "SettleOtherCopier")
        (place,) = [record.place for record in found]

        async def is_named() -> bool:
            return f"ZeroDivisionError at {place}:" in await ready(world)

        await world.eventually(is_named)
        assert await listed(world) == []
        await world.stop()
        await world.start(set_aside=place)
        await world.eventually(lambda: world.is_connected(slave))
        await master.open("EURUSD", "Buy", "0.10")

        async def is_copied() -> bool:
            return len(await slave.positions()) == 1

        await world.eventually(is_copied)
        (row,) = await listed(world)
        assert f"{row['topic']}/{row['partition']}/{row['offset']}" == place
        assert "COPYPRO_SET_ASIDE" in row["reason"]

    assert await replay(world, place.split("/")) == (0, "replayed\n")

    async def is_answered() -> bool:
        async with world.http.get(f"/Commands/{poison.headers['id']}") as response:
            return bool((await response.json()).get("code") == "UNKNOWN_TICKET")

    await world.eventually(is_answered)
    assert await listed(world) == []
