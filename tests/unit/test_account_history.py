"""An account's figures out of the read models: equity beside payments, on the broker's clock of then."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.account_history import report_of, trade_of
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.statistics import Absent
from copypro.statistics.original import stats_of
from copypro.trading import AccountInfo, Mode
from copypro.values import Platform, Ticket
from copypro_gateway.shapes import closed_order
from copypro_gateway.statistics import TradeStats
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.copying_builders import MASTER, closed, deal, increased, modified, opened, reduced
from tests.unit.test_projections import event_of, shown
from tests.unit.watched import watched

D = Decimal
SUMMER, WINTER = 180, 120
PAID_UTC = datetime(2026, 7, 6, 9, tzinfo=UTC)
INFO = AccountInfo(
    platform=Platform.MT5, login=1, server="s", currency="USD", mode=Mode.HEDGING,
    investor=False, leverage=100,
)  # fmt: skip


def connected(offset: int | None) -> m.AccountConnected:
    return m.AccountConnected(account=MASTER, info=INFO, clock_offset_minutes=offset)


def equity(at: datetime, amount: str, offset: int | None) -> m.EquityRecorded:
    value = D(amount)
    return m.EquityRecorded(
        account=MASTER, time_utc=at, balance=value, equity=value, equity_high=value,
        equity_low=value, profit_high={}, profit_low={}, clock_offset_minutes=offset,
    )  # fmt: skip


def paid(amount: str, at_broker: datetime, ticket: int) -> m.BalanceChanged:
    return m.BalanceChanged(
        account=MASTER, ticket=Ticket(ticket), kind="Balance", amount=D(amount),
        time_broker=at_broker.replace(tzinfo=None), seen=m.Seen.LIVE, seen_at_utc=at_broker,
    )  # fmt: skip


async def projected(*events: Any) -> Any:
    outputs = [event_of(MASTER, topics.ORDER_EVENTS, event) for event in events]
    return await shown(*[[out] for out in outputs])


async def test_a_deposit_is_no_drawdown_of_equity_once_the_clocks_have_changed() -> None:
    half = timedelta(minutes=30)
    models = await projected(
        connected(SUMMER),
        paid("1000", PAID_UTC - timedelta(days=1) + timedelta(minutes=SUMMER), 1),
        equity(PAID_UTC - half, "1000", SUMMER),
        paid("9000", PAID_UTC + timedelta(minutes=SUMMER), 2),
        equity(PAID_UTC + half, "10000", SUMMER),
        connected(WINTER),
        equity(PAID_UTC + timedelta(days=150), "10000", WINTER),
    )
    found = (await report_of(models, MASTER)).equity_drawdown
    assert not isinstance(found, Absent)
    assert found.maximal == 0
    since = (PAID_UTC + timedelta(minutes=SUMMER)).replace(tzinfo=None)
    report = await report_of(models, MASTER, since.isoformat(timespec="milliseconds"))
    assert [bar.equity for bar in report.bars] == [D(10000), D(10000)]


async def test_a_broker_s_clock_that_is_learned_after_the_account_connected_is_known() -> None:
    models = await projected(connected(None), equity(PAID_UTC, "1000", SUMMER))
    state: Any = await models.get(c.ACCOUNTS, MASTER)
    assert state["clock_offset_minutes"] == SUMMER
    again = await projected(connected(SUMMER), equity(PAID_UTC, "1000", None))
    state = await again.get(c.ACCOUNTS, MASTER)
    assert state["clock_offset_minutes"] == SUMMER


async def test_from_the_first_moment_there_is_on_is_from_the_beginning() -> None:
    """What a client sends whose dates are never empty."""
    models = await projected(connected(SUMMER), equity(PAID_UTC, "1000", SUMMER))
    whole = await report_of(models, MASTER)
    assert await report_of(models, MASTER, "0001-01-01T00:00:00.000") == whole


def test_a_live_account_s_equity_is_told_with_the_broker_s_clock_of_then() -> None:
    async def told() -> list[int | None]:
        async with watched() as account:
            for _ in range(4):
                account.bridge.tick(timedelta(hours=2))
                await asyncio.sleep(1)
            await account.looked()
            before = len(account.told(m.EquityRecorded))
            account.bridge.pays("100")
            await account.until(lambda: len(account.told(m.EquityRecorded)) > before)
            return [event.clock_offset_minutes for event in account.told(m.EquityRecorded)[-1:]]

    assert run(told()) == [120]


async def test_a_position_that_grew_opened_at_the_average_that_its_terminal_shows() -> None:
    """1.08 for 1.00 lots, half of it closed, then 0.50 more at 1.09."""
    half = replace(reduced("0.50"), deal=deal("0.50", "1.10"))
    models = await projected(
        opened(open_price=D("1.08")), half, increased(open_lots=D("1.00")), closed()
    )
    last, first = await models.find(
        c.CLOSED_ORDERS, {"account": MASTER}, order_by="closed_at", descending=True
    )
    assert (first["lots"], closed_order(first, "MT5")["openPrice"]) == ("0.50", 1.08)
    assert closed_order(last, "MT5")["openPrice"] == 1.085
    assert trade_of(last, "MT5").open_price == D("1.085")


async def test_what_it_grew_by_is_counted_once_when_its_account_is_added_again() -> None:
    again = opened(open_price=D("1.085"), seen=m.Seen.BASELINE)
    grown = increased(open_lots=D("1.00"))
    models = await projected(opened(open_price=D("1.08")), grown, again, closed())
    (row,) = await models.find(c.CLOSED_ORDERS)
    assert closed_order(row, "MT5")["openPrice"] == 1.085


async def test_a_closed_order_has_the_stops_that_it_had_at_last() -> None:
    models = await projected(opened(), modified("1.07", "1.10"), modified(None, "1.11"), closed())
    (row,) = await models.find(c.CLOSED_ORDERS)
    order = closed_order(row, "MT5")
    assert (order["stopLoss"], order["takeProfit"]) == (0, 1.11)
    assert await models.find(c.ROOTS) == []


@pytest.mark.parametrize(("price", "digits"), [("1.10000", 5), ("150.12", 2), ("18000", 0)])
async def test_a_closed_order_has_the_digits_of_its_symbol(price: str, digits: int) -> None:
    """Programs print its prices by them: none were told, and 1.08 was shown as 1."""
    models = await projected(opened(), replace(closed(), deal=deal("1.00", price)))
    (row,) = await models.find(c.CLOSED_ORDERS)
    assert closed_order(row, "MT5")["digits"] == digits


async def test_the_best_trade_has_the_ticket_that_the_list_of_closed_orders_shows() -> None:
    """An MT5 trade is a closing deal; the list has it under its position."""
    models = await projected(opened(), replace(closed(), deal=deal("1.00", "1.10")))
    (row,) = await models.find(c.CLOSED_ORDERS)
    stats = stats_of(await report_of(models, MASTER))
    for best in (stats["bestTrade"], stats["bestTradePips"]):
        assert best is not None
        assert best["tiket"] == closed_order(row, "MT5")["ticket"] == 501


async def test_on_mt4_what_closed_in_part_is_listed_under_the_ticket_that_it_had() -> None:
    """What is left gets another one, and would be listed twice."""
    part = replace(reduced("0.50"), ticket=Ticket(502), deal=replace(deal(), ticket=501))
    rest = replace(closed(), ticket=Ticket(502), deal=replace(deal(), ticket=502))
    unknown = replace(part, deal=replace(deal(), ticket=-7))
    models = await projected(opened(), part, rest)
    rows = await models.find(c.CLOSED_ORDERS)
    assert sorted(closed_order(row, "MT4")["ticket"] for row in rows) == [501, 502]
    assert sorted(trade_of(row, "MT4").shown_ticket for row in rows) == [501, 502]
    assert [closed_order(row, "MT5")["ticket"] for row in rows] == [502, 502]
    (row,) = await (await projected(opened(), unknown)).find(c.CLOSED_ORDERS)
    assert closed_order(row, "MT4")["ticket"] == 502, "its own was never told"


class _Counted(MemoryReadModels):
    finds = 0

    async def find(self, *given: Any, **more: Any) -> Any:
        self.finds += 1
        return await super().find(*given, **more)


async def test_answers_without_charts_take_room_too() -> None:
    """Whoever asks from another moment each time fills no memory."""
    models = _Counted()
    stats = TradeStats(models, lambda: PAID_UTC, most_bytes=100_000)

    async def asked(minute: int) -> int:
        before = models.finds
        since = f"2030-01-01T00:{minute:02}:00.000"
        await stats.answer("a", since, exclude_same_bars=True, charts=True)
        return models.finds - before

    made = await asked(0)
    assert (made > 0, await asked(0)) == (True, 0)
    for minute in range(1, 30):
        await asked(minute)
    assert await asked(29) == 0
    assert await asked(0) == made
