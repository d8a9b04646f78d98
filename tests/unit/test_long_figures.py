"""Figures of long histories are made on the loop that copies trades: it goes on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from copypro import collections as c
from copypro.account_history import PAGE, _equity, report_of, together
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.copy_history import quality_of
from copypro.pieces import PIECE
from copypro.ports import Upsert

MANY = 2000
AT = "2026-03-02T09:00:00.000"
COPIER = {
    "id": "c", "master": "a", "slave": "b", "master_registration": "ra", "slave_registration": "rb",
}  # fmt: skip

FLAT: dict[str, Any] = {
    "balance": "10000", "equity": "10000", "high": "10000", "low": "10000", "profit_high": {},
    "profit_low": {},
}  # fmt: skip


async def history() -> MemoryReadModels:
    models = MemoryReadModels()
    closed: dict[str, Any] = {
        "account": "a", "closed_at": AT, "lots": "0.10", "profit": "1.00", "close_price": "1.1",
    }  # fmt: skip
    minute: dict[str, Any] = {"account": "a", "time": f"{AT}Z"} | FLAT
    decided = {
        "copier": "c", "time": f"{AT}000Z", "seen_at": f"{AT}000Z", "leg": 0, "master_symbol": "EURUSD",
        "outcome": "denied", "code": "TOO_SMALL", "root": "r",
    }  # fmt: skip
    await models.upsert(
        [
            upsert
            for number in range(MANY)
            for upsert in (
                made(c.CLOSED_ORDERS, str(number), closed | {"ticket": number}),
                made(c.EQUITY, str(number), minute),
                made(c.TRADE_LOGS, f"{number}.0.open", decided | {"copy": str(number)}),
            )
        ]
    )
    return models


def made(collection: str, id_: str, fields: dict[str, Any]) -> Upsert:
    return Upsert(collection=collection, id=id_, source="s", version=1, fields=fields)


async def trades(models: MemoryReadModels) -> int:
    return (await report_of(models, "a")).trades


async def decisions(models: MemoryReadModels) -> int:
    found = await quality_of(models, [COPIER], "symbol")
    assert found is not None
    return found["total"]["decided"]


@pytest.mark.parametrize(("of", "kinds"), [(trades, 2), (decisions, 1)])
async def test_others_have_their_turn_while_they_are_made(
    of: Callable[[MemoryReadModels], Awaitable[int]], kinds: int
) -> None:
    """`kinds`: of so many kinds of records; trades have the minutes of equity beside them."""
    models, turns = await history(), 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    try:
        assert await of(models) == MANY
    finally:
        beside.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beside
    assert turns >= 2 * kinds * MANY / PIECE  # read, then added up


class _Finds(MemoryReadModels):
    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    async def find(self, collection: str, *given: Any, **more: Any) -> Any:
        self.found[collection] += 1
        return await super().find(collection, *given, **more)


async def test_a_year_of_equity_between_two_trades_is_never_held_whole_and_read_once() -> None:
    """It is a few hundred thousand minutes: they took a gigabyte, and seconds of the loop at once."""
    models, start, count = _Finds(), datetime.fromisoformat(AT), 10 * PAGE
    minutes = [start + timedelta(minutes=number) for number in range(count)]
    await models.upsert(
        [
            made(c.EQUITY, f"{at}", {"account": "a", "time": f"{at.isoformat()}.000000Z"} | FLAT)
            for at in minutes
        ]
    )
    found = [batch async for batch in together([_equity(models, "a", "", timedelta())])]
    assert [record.closed_at for batch in found for record in batch] == minutes
    assert max(map(len, found)) <= 2 * PAGE
    models.found.clear()
    await report_of(models, "a")
    assert models.found[c.EQUITY] <= count // PAGE + 2
