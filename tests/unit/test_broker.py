"""The simulated brokers' engine: what a real broker does, in the order in which it does it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from mt_simulator.broker import Brokers
from mt_simulator.model import Account, Change, Order, Platform, Server, Symbol

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
