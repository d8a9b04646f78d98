"""Open and closed orders of an account, and the statistics of what closed."""

from __future__ import annotations

from typing import Any

import msgspec
from copypro import collections as c
from copypro.statistics.answers import Stats, StatsWithCharts
from copypro.values import Platform, UserId
from pydantic import Field

from copypro_gateway import rights, shapes
from copypro_gateway.calls import Calls
from copypro_gateway.core import Core, Doc
from copypro_gateway.statistics import TradeStats
from copypro_gateway.wording.answers import AccountOrders, Order
from copypro_gateway.wording.errors import bad
from copypro_gateway.wording.pages import Page, newest
from copypro_gateway.wording.parameters import ByAccount, Parameters, Text, moment_of


class Span(Parameters):
    from_: Text | None = Field(None, alias="from", description="inclusive, the broker's clock")
    to: Text | None = Field(None, description="exclusive")
    limit: int = Field(1000, ge=1, le=10_000)


class ClosedOrders(ByAccount, Span):
    pass


class ClosedOfAll(Span):
    pass


class AskStats(ByAccount):
    """`type` is the original's and says nothing that the id does not."""

    from_: Text | None = Field(None, alias="from", description="by close time, the broker's clock")
    exclude_same_bars: bool = Field(
        True, description="leaves out days whose balance and equity are those of the day before"
    )
    type: Platform | None = None


class Orders:
    def __init__(self, core: Core, stats: TradeStats) -> None:
        self._core, self._stats = core, stats

    def register(self, calls: Calls) -> None:
        calls.by_id("OpenOrders", ByAccount, self.open, tag="orders")
        calls.keyed("OpenOrdersAll", Parameters, self.open_of_all, tag="orders")
        calls.by_id("ClosedOrders", ClosedOrders, self.closed, tag="orders")
        calls.keyed("ClosedOrdersAll", ClosedOfAll, self.closed_of_all, tag="orders")
        for name in ("TradeStatsByAccountId", "TradeStatsByApiId"):
            calls.by_id(name, AskStats, self.stats_with_charts, tag="statistics")
        calls.by_id("TradeStatsWithoutCharts", AskStats, self.stats, tag="statistics")

    async def open(self, user: UserId | None, given: ByAccount) -> list[Order]:
        """An account's positions and pending orders, as the last look showed them."""
        return await self._open_of(await self._core.readable(user, given.account_id))

    async def _open_of(self, registration: Doc) -> list[Order]:
        return _orders_in(await self._core.models.get(c.OPEN_ORDERS, str(registration["account"])))

    async def closed(self, user: UserId | None, given: ClosedOrders) -> Page[Order]:
        """An account's closed orders, newest first. `from` is inclusive, `to` exclusive, both on
        the broker's clock.
        """
        return await self._closed_of(await self._core.readable(user, given.account_id), given)

    async def _closed_of(self, registration: Doc, given: Span) -> Page[Order]:
        offset = await self._offset_of(registration)
        since, until = moment_of("from", given.from_, offset), moment_of("to", given.to, offset)
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
        platform = str(registration["platform"])
        return Page([shapes.closed_order(row, platform) for row in page.rows], page.next_to)

    async def open_of_all(self, user: UserId, _: Parameters) -> list[AccountOrders]:
        """OpenOrders of each account; one that may not be read is left out, as the original does
        with one that fails.
        """
        answer: list[AccountOrders] = await self._core.remembering.answer(
            "OpenOrdersAll", user, lambda: self._all(user)
        )
        return answer

    async def _all(self, user: UserId) -> list[AccountOrders]:
        mine = [doc for doc in await self._core.registrations_of(user) if rights.may_read(doc)]
        ids = [str(doc["account"]) for doc in mine]
        shown = await self._core.models.get_many(c.OPEN_ORDERS, ids)
        return [self._piece(doc, shown.get(str(doc["account"]))) for doc in mine]

    def _piece(self, registration: Doc, shown: Any) -> AccountOrders:
        """Of most accounts nothing has changed since somebody last asked."""
        piece: AccountOrders = self._core.remembering.piece(
            "OpenOrdersAll",
            str(registration["id"]),
            (registration, shown),
            lambda: _with_orders(registration, _orders_in(shown), None),
        )
        return piece

    async def closed_of_all(self, user: UserId, given: ClosedOfAll) -> list[AccountOrders]:
        """ClosedOrders of each account that may be read; `limit` is each account's."""
        shown = []
        for doc in await self._core.registrations_of(user):
            if rights.may_read(doc):
                page = await self._closed_of(doc, given)
                shown.append(_with_orders(doc, list(page.rows), page.next_to))
        return shown

    async def stats(self, user: UserId | None, given: AskStats) -> Stats:
        """An account's statistics."""
        answer: Stats = await self._stats_of(user, given, charts=False)
        return answer

    async def stats_with_charts(self, user: UserId | None, given: AskStats) -> StatsWithCharts:
        """An account's statistics, and a point a day of its balance, equity and drawdown."""
        answer: StatsWithCharts = await self._stats_of(user, given, charts=True)
        return answer

    async def _stats_of(self, user: UserId | None, given: AskStats, *, charts: bool) -> Any:
        """Statistics of what closed since `from`, encoded (msgspec.Raw)."""
        registration = await self._core.readable(user, given.account_id)
        since = moment_of("from", given.from_, await self._offset_of(registration))
        return msgspec.Raw(
            await self._stats.answer(
                str(registration["account"]),
                since,
                exclude_same_bars=given.exclude_same_bars,
                charts=charts,
            )
        )

    async def _offset_of(self, registration: Doc) -> int:
        """Minutes from UTC to the broker's clock; 0 while they are not known."""
        state: Any = await self._core.models.get(c.ACCOUNTS, str(registration["account"]))
        return int((state or {}).get("clock_offset_minutes") or 0)


def _orders_in(shown: Any) -> list[Order]:
    return [shapes.open_order(order) for order in (shown or {}).get("orders", [])]


def _with_orders(registration: Doc, orders: list[Order], next_to: str | None) -> AccountOrders:
    return {
        "name": str(registration.get("name")),
        "user": int(registration.get("login") or 0),
        "id": str(registration["id"]),
        "apiId": str(registration["id"]),
        "orders": orders,
        "nextTo": next_to,
    }
