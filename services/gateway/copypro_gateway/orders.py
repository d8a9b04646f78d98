"""Open and closed orders of an account, and the statistics of what closed."""

from __future__ import annotations

from typing import Any

import msgspec
from copypro import collections as c
from copypro.values import Platform, UserId
from pydantic import Field

from copypro_gateway import shapes
from copypro_gateway.calls import Calls
from copypro_gateway.core import Core, Doc
from copypro_gateway.errors import bad
from copypro_gateway.pages import Page, newest
from copypro_gateway.parameters import ByAccount, Text, moment_of
from copypro_gateway.statistics import TradeStats


class ClosedOrders(ByAccount):
    from_: Text | None = Field(None, alias="from")
    to: Text | None = None
    limit: int = Field(1000, ge=1, le=10_000)


class AskStats(ByAccount):
    """`type` is the original's and says nothing that the id does not."""

    from_: Text | None = Field(None, alias="from", description="by close time, the broker's clock")
    exclude_same_bars: bool = Field(
        True, description="leaves out days whose balance and equity are those of the day before"
    )
    type: Platform | None = None


class Orders:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._stats = TradeStats(core.models, core.clock)

    def register(self, calls: Calls) -> None:
        calls.by_id("OpenOrders", ByAccount, self.open, tag="orders")
        calls.by_id("ClosedOrders", ClosedOrders, self.closed, tag="orders")
        for name in ("TradeStatsByAccountId", "TradeStatsByApiId"):
            calls.by_id(name, AskStats, self.stats_with_charts, tag="statistics")
        calls.by_id("TradeStatsWithoutCharts", AskStats, self.stats, tag="statistics")

    async def open(self, user: UserId | None, given: ByAccount) -> list[Doc]:
        registration = await self._core.readable(user, given.account_id)
        doc: Any = await self._core.models.get(c.OPEN_ORDERS, str(registration["account"]))
        return [shapes.open_order(order) for order in (doc or {}).get("orders", [])]

    async def closed(self, user: UserId | None, given: ClosedOrders) -> Page:
        """Newest first; from inclusive, to exclusive, both on the broker's clock."""
        registration = await self._core.readable(user, given.account_id)
        since, until = moment_of("from", given.from_), moment_of("to", given.to)
        if since is not None and until is not None and since > until:
            raise bad("from", "is later than to")
        page = await newest(
            self._core.models,
            c.CLOSED_ORDERS,
            {"account": registration["account"]},
            "closed_at",
            since=since,
            until=until,
            limit=given.limit,
        )
        return Page([shapes.closed_order(row) for row in page.rows], page.next_to)

    async def stats(self, user: UserId | None, given: AskStats) -> msgspec.Raw:
        return await self._stats_of(user, given, charts=False)

    async def stats_with_charts(self, user: UserId | None, given: AskStats) -> msgspec.Raw:
        return await self._stats_of(user, given, charts=True)

    async def _stats_of(self, user: UserId | None, given: AskStats, *, charts: bool) -> msgspec.Raw:
        """Statistics of what closed since `from`, in the original's shape."""
        registration = await self._core.readable(user, given.account_id)
        since = moment_of("from", given.from_)
        return msgspec.Raw(
            await self._stats.answer(
                str(registration["account"]),
                since,
                exclude_same_bars=given.exclude_same_bars,
                charts=charts,
            )
        )
