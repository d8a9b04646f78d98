"""One user's calls that come at the same moment: the same as one after the other."""

from __future__ import annotations

import asyncio

import pytest

from tests.journey.test_removal import keys
from tests.journey.world import CANARY, EMBEDDED, Stack, World

pytestmark = pytest.mark.slow


@pytest.fixture
def stack() -> Stack:
    """The vault is looked into."""
    return EMBEDDED


async def test_an_account_added_twice_at_once_is_one(world: World) -> None:
    await world.control.add_account(
        server="Alpha-MT4", platform="MT4", login=1001, password=CANARY, balance="10000"
    )
    added = await asyncio.gather(*(world.register("Alpha-MT4", 1001) for _ in range(4)))
    (shown,) = await world.call("Accounts")
    assert {account.id for account in added} == {shown["id"]}

    async def only_its_key_is_left() -> bool:
        return keys(world) == {shown["id"]}

    await world.eventually(only_its_key_is_left)
    await world.eventually(lambda: world.is_connected(added[0]))
