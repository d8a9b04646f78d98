"""What copiers did and decided, newest first."""

from __future__ import annotations

from typing import Literal, get_args

from copypro import collections as c
from copypro.trade_logs import TradeLog, trade_log
from copypro.trade_sides import sides_of
from copypro.values import UserId
from pydantic import Field

from copypro_gateway.calls import Calls
from copypro_gateway.core import Core, Doc
from copypro_gateway.wording.parameters import ByCopier, Parameters

LogLevel = Literal["Trace", "Debug", "Information", "Warning", "Error", "Critical", "None"]
LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
MOST_LINES = 10_000


class Logs(ByCopier):
    limit: int = Field(1000, ge=1, le=10_000)
    log_level: LogLevel = Field("Trace", description="lines of this level and above")


class TradeLogsAll(Parameters):
    limit: int = Field(1000, ge=1, le=10_000)


class CopierLogs:
    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, calls: Calls) -> None:
        calls.by_id("Logs", Logs, self.lines, tag="logs")
        calls.by_id("TradeLogs", Logs, self.trades, tag="logs")
        calls.keyed("TradeLogsAll", TradeLogsAll, self.trades_of_all, tag="logs")

    async def trades(self, user: UserId | None, given: Logs) -> list[TradeLog]:
        """A copier's trade logs, newest first; what was skipped, denied or refused is a row with
        success false.
        """
        await self._core.copier(user, given.copier_id)
        rows = await self._newest(given.copier_id, given.limit)
        return await self._shown([given.copier_id], rows)

    async def trades_of_all(self, user: UserId, given: TradeLogsAll) -> list[TradeLog]:
        """Trade logs of all the user's copiers, and of what equity protectors closed that no copier
        had opened.
        """
        protected = [doc for doc in await self._core.registrations_of(user) if doc.get("protector")]
        owners = [str(doc["id"]) for doc in (*await self._core.copiers_of(user), *protected)]
        rows: list[Doc] = []
        for owner in owners:
            # Once there are as many as are wanted, only what is no older than the last of them.
            since = rows[-1].get("time") if len(rows) == given.limit else None
            rows.extend(await self._newest(owner, given.limit, since))
            rows.sort(key=lambda row: str(row.get("time")), reverse=True)
            del rows[given.limit :]
        return await self._shown(owners, rows)

    async def _newest(self, owner: str, limit: int, since: str | None = None) -> list[Doc]:
        return await self._core.models.find(
            c.TRADE_LOGS,
            {"copier": owner},
            order_by="time",
            descending=True,
            since=since,
            limit=limit,
        )

    async def _shown(self, owners: list[str], rows: list[Doc]) -> list[TradeLog]:
        sides = await sides_of(self._core.models, owners)
        return [trade_log(row, sides[row["copier"]]) for row in rows]

    async def lines(self, user: UserId | None, given: Logs) -> list[str]:
        """A copier's log, newest first: when, level, what."""
        await self._core.copier(user, given.copier_id)
        levels = LEVELS[LEVELS.index(given.log_level) :]
        rows = await self._core.models.find(
            c.LOGS,
            {"copier": given.copier_id},
            order_by="time",
            descending=True,
            limit=given.limit if given.log_level == LEVELS[0] else MOST_LINES,
        )
        wanted = [row for row in rows if row["level"] in levels]
        return [f"{row['time']} {row['level']} {row['text']}" for row in wanted[: given.limit]]
