"""A copier's quality out of read models: what it is of, and whose it is."""

from __future__ import annotations

import asyncio
from typing import Any

from copypro import collections as c
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.copy_history import copiers_of, growths_of, version_of
from copypro.ports import Upsert

COPIER = {
    "id": "c",
    "master": "M",
    "slave": "S",
    "master_registration": "rm",
    "slave_registration": "rs",
    "started_at": "2026-03-01T00:00:00Z",
}
CLOSED = {
    "account": "S", "root": "1", "ticket": 1, "lots": "1", "profit": "500", "close_price": "1",
    "closed_at": "2026-03-02T09:00:00.000", "symbol": "X", "type": "Buy", "flat": True,
}  # fmt: skip


def test_a_balance_that_is_shown_later_than_its_trade_moves_the_version() -> None:
    """Growth follows from the balance: kept by the history alone it stayed wrong for ever."""

    async def story() -> None:
        models = MemoryReadModels()

        async def put(collection: str, id_: str, source: str, version: int, **fields: Any) -> None:
            change = Upsert(
                collection=collection, id=id_, source=source, version=version, fields=fields
            )
            await models.upsert([change])

        async def slave_grew() -> Any:
            return (await growths_of(models, [COPIER]))[0]["points"][-1]["slave"]

        await put(c.ACCOUNTS, "S", "order-events/0", 5, history=5, currency="USD")
        await put(c.ACCOUNTS, "S", "account-snapshots/0", 1, figures={"balance": "1000"})
        await put(c.CLOSED_ORDERS, "S/1/1", "order-events/0", 5, **CLOSED)
        before = await version_of(models, COPIER)
        assert await slave_grew() == 100
        await put(c.ACCOUNTS, "S", "account-snapshots/0", 2, figures={"balance": "1500"})
        assert await slave_grew() == 50
        assert await version_of(models, COPIER) != before

    asyncio.run(story())


def test_no_copier_of_an_account_is_left_out_however_many_others_have() -> None:
    """One master, copied by a thousand entries of others; ours has the last id."""

    async def story() -> list[str]:
        models = MemoryReadModels()
        fields = {"master": "M", "slave": "S", "slave_registration": "s"}
        await models.upsert(
            [
                Upsert(
                    collection=c.COPIERS,
                    id=f"{number:04}",
                    source="copier-events/0",
                    version=number + 1,
                    fields={**fields, "master_registration": "mine" if number == 1000 else "its"},
                )
                for number in range(1001)
            ]
        )
        found = await copiers_of(models, {"id": "mine", "account": "M"})
        return [str(doc["id"]) for doc in found]

    assert asyncio.run(story()) == ["1000"]
