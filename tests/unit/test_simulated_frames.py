"""What mt5rest's stream shows of one trade: its order before its deal, as the bridge does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from copypro.adapters.mt5_translate import frame
from mt_simulator.broker import Brokers
from mt_simulator.control import Clock, Control
from mt_simulator.knobs import Ledger
from mt_simulator.model import Account, Change, Platform
from mt_simulator.mt5_api import Mt5Face

NOW = datetime(2026, 9, 14, 8, 0, tzinfo=UTC)
SERVER = "S"


class Told:
    def __init__(self, mode: str = "Hedging") -> None:
        brokers, ledger, clock = Brokers(), Ledger(), Clock(lambda: NOW)
        self.face = Mt5Face(brokers, clock, ledger)
        self.hand = Control(brokers, {Platform.MT5: self.face}, ledger, clock)
        self.hand.add_server(name=SERVER, platform="MT5")
        self.hand.add_symbol(
            SERVER, name="EURUSD", digits=5, contract_size="100000", margin_currency="EUR",
            profit_currency="USD",
        )  # fmt: skip
        self.hand.quote(SERVER, "EURUSD", "1.1", "1.1001")
        self.hand.add_account(server=SERVER, platform="MT5", login=1, password="x", mode=mode)
        self.data: list[dict[str, Any]] = []
        brokers.listeners.append(self.heard)

    def heard(self, account: Account, change: Change) -> None:
        self.data += [json.loads(raw)["data"] for raw in self.face.frames(account, change)]

    def kinds(self) -> list[str]:
        return [data["update"]["type"] for data in self.data]

    def listed(self) -> list[list[tuple[int, Decimal]]]:
        """The positions of each frame as they are read."""
        seen = [frame(json.dumps(data).encode()) for data in self.data]
        self.data.clear()
        return [[(order.ticket, order.lots) for order in one.orders] for one in seen]


@pytest.mark.parametrize("mode", ["Hedging", "Netting"])
def test_an_order_is_told_before_its_deal_and_a_closing_one_has_its_own_ticket(mode: str) -> None:
    told = Told(mode)
    ticket = told.hand.open(SERVER, 1, "EURUSD", "Buy", "0.10")
    assert told.kinds() == ["PendingOpen", "Filled", "MarketOpen"]
    assert told.data[0]["openedOrders"][0]["ticket"] == ticket  # on its way, and listed
    assert told.listed() == [[], [], [(ticket, Decimal("0.1"))]]

    told.hand.close(SERVER, 1, ticket, "0.04")
    reduced = "PartialClose" if mode == "Hedging" else "MarketOpen"
    assert told.kinds() == ["PendingOpen", "Filled", reduced]
    closing = told.data[0]["update"]["order"]
    assert (closing["orderType"], closing["lots"], closing["state"]) == ("Sell", 0.04, "Started")
    assert closing["ticket"] != ticket
    before, after = [(ticket, Decimal("0.1"))], [(ticket, Decimal("0.06"))]
    assert told.listed() == [before, before, after]

    told.hand.close(SERVER, 1, ticket)
    assert told.kinds() == ["PendingOpen", "Filled", "MarketClose"]
    assert told.listed() == [after, after, []]


def test_without_noise_each_action_is_one_frame() -> None:
    told = Told()
    told.hand.bridge("MT5", noise=False)
    told.hand.close(SERVER, 1, told.hand.open(SERVER, 1, "EURUSD", "Buy", "0.10"))
    assert told.kinds() == ["MarketOpen", "MarketClose"]
