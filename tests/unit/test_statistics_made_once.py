"""TradeStats that take long: one making for all who ask the same, a few side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
from copypro import collections as c
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.errors import StoreUnavailable
from copypro.ports import Upsert
from copypro_gateway.statistics import SIDE_BY_SIDE, TradeStats

NOW = datetime(2026, 7, 6, 9, tzinfo=UTC)


class SlowHistory(MemoryReadModels):
    """Whose closed orders are told when the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.told = asyncio.Event()
        self.begun: list[str] = []
        self.broken = False

    async def find(self, collection: str, *given: Any, **more: Any) -> Any:
        if collection == c.CLOSED_ORDERS:
            account = str(given[0]["account"])
            self.begun.append(account)
            await self.told.wait()
            if self.broken:
                raise StoreUnavailable("away")
        return await super().find(collection, *given, **more)

    async def moves(self, version: int) -> None:
        fields = {"history": version}
        await self.upsert(
            [Upsert(collection=c.ACCOUNTS, id="a", source="test/0", version=version, fields=fields)]
        )


def asking(stats: TradeStats, account: str = "a") -> asyncio.Task[bytes]:
    asked: Coroutine[Any, Any, bytes] = stats.answer(
        account, None, exclude_same_bars=True, charts=True
    )
    return asyncio.create_task(asked)


async def until_idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_those_who_ask_together_share_one_making() -> None:
    models = SlowHistory()
    stats = TradeStats(models, lambda: NOW)
    asked = [asking(stats) for _ in range(5)]
    await until_idle()
    models.told.set()
    assert len(set(await asyncio.gather(*asked))) == 1
    assert models.begun == ["a"]


async def test_who_asks_after_a_change_waits_for_a_making_of_his_own_and_not_beside_another() -> (
    None
):
    models = SlowHistory()
    stats = TradeStats(models, lambda: NOW)
    await models.moves(1)
    before = asking(stats)
    await until_idle()
    await models.moves(2)
    after = [asking(stats) for _ in range(3)]
    await until_idle()
    await models.moves(3)
    after += [asking(stats) for _ in range(3)]
    await until_idle()
    assert models.begun == ["a"]
    models.told.set()
    await asyncio.gather(before, *after)
    assert models.begun == ["a", "a"]


async def test_one_who_goes_away_takes_nothing_from_the_others() -> None:
    models = SlowHistory()
    stats = TradeStats(models, lambda: NOW)
    first, second = asking(stats), asking(stats)
    await until_idle()
    first.cancel()
    await until_idle()
    assert first.cancelled()
    models.told.set()
    assert b'"trades":0' in await second


async def test_who_asks_again_after_a_time_out_does_not_begin_another() -> None:
    models = SlowHistory()
    stats = TradeStats(models, lambda: NOW)
    gone = asking(stats)
    await until_idle()
    gone.cancel()
    again = asking(stats)
    await until_idle()
    models.told.set()
    assert b'"trades":0' in await again
    assert models.begun == ["a"]


async def test_an_error_is_told_to_each_and_the_next_who_asks_begins_anew() -> None:
    models = SlowHistory()
    stats = TradeStats(models, lambda: NOW)
    models.broken = True
    asked = [asking(stats) for _ in range(3)]
    await until_idle()
    models.told.set()
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(end) for end in ends] == [StoreUnavailable] * 3
    assert models.begun == ["a"]
    models.broken = False
    assert b'"trades":0' in await asking(stats)


@pytest.mark.parametrize("accounts", [SIDE_BY_SIDE, SIDE_BY_SIDE + 4])
async def test_of_many_accounts_a_few_are_made_side_by_side(accounts: int) -> None:
    models = SlowHistory()
    stats = TradeStats(models, lambda: NOW)
    asked = [asking(stats, f"a{number}") for number in range(accounts)]
    await until_idle()
    assert len(models.begun) == SIDE_BY_SIDE
    models.told.set()
    assert len(await asyncio.gather(*asked)) == len(models.begun) == accounts
