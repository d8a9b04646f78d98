"""The trade logs of all copiers of a user: the newest of them together, of which no more is read than is
needed.
"""

from __future__ import annotations

from typing import Any

from copypro import collections as c
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.adapters.memory_vault import MemoryVault
from copypro.envelope import utc_now
from copypro.ports import Document, Upsert
from copypro.values import UserId
from copypro_gateway.core import Core, GatewaySettings
from copypro_gateway.subjects.logs import CopierLogs, TradeLogsAll

USER = UserId("u")


class CountedReadModels(MemoryReadModels):
    """It counts the trade logs that were read."""

    read = 0

    async def find(self, collection: str, *arguments: Any, **named: Any) -> list[Document]:
        found = await super().find(collection, *arguments, **named)
        self.read += len(found) if collection == c.TRADE_LOGS else 0
        return found


async def test_the_newest_of_all_copiers_together() -> None:
    models = CountedReadModels()
    documents: list[tuple[str, str, Document]] = [
        (c.REGISTRATIONS, "guarded", {"user": USER, "account": "a", "protector": {"on": True}})
    ]
    for copier in range(9):
        shown: Document = {"user": USER, "master_registration": "m", "slave_registration": "s"}
        documents.append((c.COPIERS, f"copier-{copier}", shown))
    owners = ["guarded", *(f"copier-{copier}" for copier in range(9))]
    for second in range(60):
        for at, owner in enumerate(owners):
            row: Document = {"copier": owner, "time": f"2026-01-0{1 + at % 3}T00:00:{second:02}Z"}
            documents.append((c.TRADE_LOGS, f"{owner}/{second:02}", row))
    documents.append((c.TRADE_LOGS, "early", {"copier": "copier-3"}))  # not yet told when it was
    await models.upsert(
        [
            Upsert(collection=where, id=id_, source="given/0", version=0, fields=fields)
            for where, id_, fields in documents
        ]
    )
    core = Core(
        MemoryLog(), models, MemoryVault(), utc_now, lambda: "id",
        GatewaySettings(platforms=frozenset()),
    )  # fmt: skip
    logs = CopierLogs(core)
    rows = await logs.trades_of_all(USER, TradeLogsAll.model_validate({"limit": 30}))
    times = sorted((str(row["time"]) for _, _, row in documents if "time" in row), reverse=True)
    assert [row["timeUTC"] for row in rows] == times[:30]
    assert models.read < len(owners) * 30 / 2
    every = await logs.trades_of_all(USER, TradeLogsAll.model_validate({"limit": 10_000}))
    assert len(every) == 601
