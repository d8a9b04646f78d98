"""The simulated brokers' engine: what a real broker does, in the order in which it does it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from mt_simulator.broker import Brokers
from mt_simulator.model import Account, Change, Order, Platform, Refusal, Server, Symbol

D = Decimal
NOW = datetime(2026, 9, 14, 8, 0, tzinfo=UTC)
NAME = "Broker"


class Desk:
    """One account at one broker that quotes EURUSD."""

    def __init__(
        self, platform: Platform = Platform.MT5, mode: str = "Hedging", **symbol: Any
    ) -> None:
        self.brokers = Brokers()
        quoted = Symbol(name="EURUSD", bid=D("1.10000"), ask=D("1.10010"), **symbol)
        server = Server(name=NAME, platform=platform, symbols={"EURUSD": quoted})
        self.server = self.brokers.add_server(server)
        account = Account(platform=platform, server=NAME, login=1, password="p", mode=mode)
        self.account = self.brokers.add_account(account)
        self.told: list[str] = []
        self.brokers.listeners.append(self._tell)

    def _tell(self, _: Account, change: Change) -> None:
        self.told.append(change.what)

    def open(self, kind: str, lots: str, price: str = "0", **more: Any) -> Order:
        now = more.pop("now", NOW)
        values = {name: D(v) if isinstance(v, str) else v for name, v in more.items()}
        return self.brokers.open(
            self.account, "EURUSD", kind, D(lots), now, price=D(price), **values
        )

    def quote(self, bid: str, ask: str, now: datetime = NOW) -> None:
        self.brokers.quote(NAME, "EURUSD", D(bid), D(ask), now)

    def shows(self) -> list[tuple[str, Decimal]]:
        return [(order.kind, order.lots) for order in self.account.orders.values()]


def test_a_broker_that_fills_in_part_fills_no_more_than_it_was_asked() -> None:
    desk = Desk()
    assert desk.open("Buy", "0.02", fill_lots="0.04").lots == D("0.02")
    assert desk.open("Buy", "0.20", fill_lots="0.04").lots == D("0.04")


# --- pending orders on netting --------------------------------------------------------------------


def test_a_pending_order_on_netting_becomes_the_position_under_its_ticket() -> None:
    desk = Desk(mode="Netting")
    order = desk.open("BuyLimit", "0.20", "1.09")
    desk.quote("1.08980", "1.08990")
    assert desk.shows() == [("Buy", D("0.20"))]
    assert list(desk.account.orders) == [order.ticket]
    assert desk.told == ["placed", "filled"]


def test_a_pending_order_on_netting_adds_to_the_position_there_is() -> None:
    desk = Desk(mode="Netting")
    position = desk.open("Buy", "0.50")
    desk.open("BuyLimit", "0.20", "1.09")
    desk.quote("1.08980", "1.08990")
    assert desk.shows() == [("Buy", D("0.70"))]
    assert list(desk.account.orders) == [position.ticket]


@pytest.mark.parametrize(
    ("lots", "left"), [("0.20", [("Buy", "0.30")]), ("0.50", []), ("0.80", [("Sell", "0.30")])]
)
def test_a_pending_order_on_netting_reduces_flattens_or_reverses(
    lots: str, left: list[tuple[str, str]]
) -> None:
    desk = Desk(mode="Netting")
    desk.open("Buy", "0.50")
    order = desk.open("SellStop", lots, "1.09")
    desk.quote("1.08990", "1.09000")
    assert desk.shows() == [(kind, D(rest)) for kind, rest in left]
    assert (order.ticket in desk.account.orders) is (lots == "0.80")


def test_what_a_fill_flattened_is_not_stopped_by_the_same_tick() -> None:
    desk = Desk(mode="Netting")
    desk.open("SellStop", "0.50", "1.09")
    desk.open("Buy", "0.50", stop_loss="1.08995")
    desk.quote("1.08990", "1.09000")
    assert desk.shows() == []
    assert desk.told == ["placed", "opened", "closed"]


# --- swap -----------------------------------------------------------------------------------------

MONDAY = datetime(2026, 9, 14, 20, 0, tzinfo=UTC)
"""22:00 at the broker."""


def test_swap_is_charged_for_each_night_and_three_times_for_the_triple_one() -> None:
    """−5.2 points of 0.00001 for a lot of 100,000: 5.20 a night; the weekend comes with Wednesday."""
    desk = Desk(swap_long=D("-5.2"), swap_short=D("1.5"))
    desk.quote("1.10000", "1.10010", MONDAY)
    buy = desk.open("Buy", "1.00", now=MONDAY)
    sell = desk.open("Sell", "0.50", now=MONDAY)
    seen = []
    for day in range(1, 8):
        desk.quote("1.10000", "1.10010", MONDAY + timedelta(days=day))
        seen.append(buy.swap)
    nights = [1, 2, 5, 6, 7, 7, 7]
    assert seen == [D("-5.20") * night for night in nights]
    assert sell.swap == D("0.75") * 7
    closed = desk.brokers.close(desk.account, buy.ticket, D("0.25"), MONDAY)
    assert (closed.swap, buy.swap) == (D("-9.10"), D("-27.30")), "each part with its share"


def test_what_opened_after_midnight_pays_nothing_for_the_night() -> None:
    desk = Desk(swap_long=D(-5))
    desk.quote("1.10000", "1.10010", MONDAY)
    order = desk.open("Buy", "1.00", now=MONDAY + timedelta(hours=5))
    desk.quote("1.10000", "1.10010", MONDAY + timedelta(hours=6))
    assert order.swap == 0


def test_a_weekend_without_ticks_is_charged_at_the_next_one() -> None:
    desk = Desk(swap_long=D(-5), triple_swap_weekday=4)
    desk.quote("1.10000", "1.10010", MONDAY)
    order = desk.open("Buy", "1.00", now=MONDAY)
    desk.quote("1.10000", "1.10010", MONDAY + timedelta(days=7))
    assert order.swap == D(-5) * 7


# --- freeze level ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "code"), [(Platform.MT4, "MODIFICATIONS_DENIED"), (Platform.MT5, "FROZEN")]
)
def test_near_a_level_or_a_trigger_nothing_is_changed(platform: Platform, code: str) -> None:
    desk = Desk(platform, freeze_level=50)
    position = desk.open("Buy", "0.10", stop_loss="1.09900")
    pending = desk.open("BuyLimit", "0.10", "1.09900")
    desk.quote("1.09945", "1.09955")
    brokers, account = desk.brokers, desk.account
    for refused in (
        lambda: brokers.close(account, position.ticket, D(0), NOW),
        lambda: brokers.modify(account, position.ticket, D("1.098"), D(0), NOW),
    ):
        with pytest.raises(Refusal, match=code):
            refused()
    assert brokers.delete(account, pending.ticket, NOW), "the ask is 55 points away"
    desk.quote("1.09890", "1.09900")
    assert desk.shows() == [], "a stop is no request"


def test_a_pending_order_is_frozen_by_its_trigger() -> None:
    desk = Desk(freeze_level=50)
    pending = desk.open("BuyLimit", "0.10", "1.09900")
    desk.quote("1.09930", "1.09940")
    with pytest.raises(Refusal, match="FROZEN"):
        desk.brokers.delete(desk.account, pending.ticket, NOW)
    desk.quote("1.09990", "1.10000")
    desk.brokers.delete(desk.account, pending.ticket, NOW)
    assert desk.shows() == []


# --- summer time ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "us", "eu"),
    [
        ("2026-03-07", 0, 0),
        ("2026-03-09", 60, 0),
        ("2026-03-28", 60, 0),
        ("2026-03-30", 60, 60),
        ("2026-10-24", 60, 60),
        ("2026-10-26", 60, 0),
        ("2026-11-02", 0, 0),
    ],
)
def test_summer_time_begins_and_ends_in_other_weeks_in_new_york_and_in_europe(
    day: str, us: int, eu: int
) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00+00:00")
    naive = noon.replace(tzinfo=None)
    for more, fields in ((us, {"us_summer_time": True}), (eu, {"eu_summer_time": True}), (0, {})):
        server = Server(name=NAME, platform=Platform.MT5, offset_minutes=120, **fields)
        assert server.clock(noon) - naive == timedelta(minutes=120 + more)


# --- a closed market ------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", list(Platform))
def test_a_closed_market_takes_no_trade_of_any_kind(platform: Platform) -> None:
    desk = Desk(platform)
    position, order = desk.open("Buy", "0.20"), desk.open("BuyLimit", "0.20", "1.09")
    desk.server.market_open = False
    brokers, account = desk.brokers, desk.account
    for trade in (
        lambda: desk.open("Buy", "0.10"),
        lambda: brokers.modify(account, position.ticket, D("1.05"), D(0), NOW),
        lambda: brokers.close(account, position.ticket, D(0), NOW),
        lambda: brokers.close(account, order.ticket, D(0), NOW),
        lambda: brokers.delete(account, order.ticket, NOW),
    ):
        with pytest.raises(Refusal, match="MARKET_CLOSED"):
            trade()
