"""An account's watcher ends when it is told to, also at the moment when it is given something to do."""

from __future__ import annotations

import asyncio

import pytest
from copypro_standalone.backtest.virtual_time import run

from tests.unit.watched import WITHIN_S, watched

TURNS = 30
"""Of the loop: a frame is followed, and the look that it makes necessary is taken, within them."""


@pytest.mark.parametrize("turns", range(TURNS))
def test_an_end_that_comes_together_with_a_wanted_look_is_an_end(turns: int) -> None:
    async def ended() -> None:
        async with asyncio.timeout(WITHIN_S), watched() as account:
            await account.looked()
            account.bridge.pays("-1")
            account.bridge.frame()
            for _ in range(turns):
                await asyncio.sleep(0)

    run(ended())
