"""What copiers did and decided, newest first."""

from __future__ import annotations

from copypro import collections as c
from copypro.values import UserId
from pydantic import Field

from copypro_gateway import shapes
from copypro_gateway.calls import Calls
from copypro_gateway.core import Core, Doc
from copypro_gateway.parameters import ByCopier, Parameters


class Logs(ByCopier):
    limit: int = Field(1000, ge=1, le=10_000)
    log_level: str | None = None


class TradeLogsAll(Parameters):
    limit: int = Field(1000, ge=1, le=10_000)


class CopierLogs:
    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, calls: Calls) -> None:
        calls.by_id("Logs", Logs, self.lines, tag="logs")
        calls.by_id("TradeLogs", Logs, self.trades, tag="logs")
        calls.keyed("TradeLogsAll", TradeLogsAll, self.trades_of_all, tag="logs")

    async def trades(self, user: UserId | None, given: Logs) -> list[Doc]:
        """Newest first; what was skipped, denied or refused is a row with success false."""
        await self._core.copier(user, given.copier_id)
        return await self._trades_of(given.copier_id, given.limit)

    async def _trades_of(self, copier: str, limit: int) -> list[Doc]:
        rows = await self._core.models.find(
            c.TRADE_LOGS, {"copier": copier}, order_by="time", descending=True, limit=limit
        )
        return [shapes.trade_log(row) for row in rows]

    async def trades_of_all(self, user: UserId, given: TradeLogsAll) -> list[Doc]:
        rows: list[Doc] = []
        for doc in await self._core.copiers_of(user):
            rows.extend(await self._trades_of(str(doc["id"]), given.limit))
        rows.sort(key=lambda row: str(row["timeUTC"]), reverse=True)
        return rows[: given.limit]

    async def lines(self, user: UserId | None, given: Logs) -> list[str]:
        await self._core.copier(user, given.copier_id)
        rows = await self._core.models.find(
            c.LOGS, {"copier": given.copier_id}, order_by="time", descending=True, limit=given.limit
        )
        wanted = given.log_level
        return [
            f"{row['time']} {row['level']} {row['text']}"
            for row in rows
            if wanted is None or row["level"] == wanted
        ]
