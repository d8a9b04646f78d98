"""What the simulated brokers take, by hand; and that MT4's estimate of it is theirs, or none."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from copypro.adapters.mt4_terminal import Mt4Dialect
from copypro.options import CopierOptions
from copypro_account_watcher.planned.sizing import margin_check
from msgspec.structs import replace
from mt_simulator.broker import Brokers
from mt_simulator.control import Clock, Control
from mt_simulator.knobs import Ledger
from mt_simulator.model import Platform, Refusal
from mt_simulator.mt4_api import Mt4Face
from mt_simulator.wire import encode

from tests.unit.slave_builders import D, figures, quote, slave

NOW = datetime(2026, 9, 14, 8, 0, tzinfo=UTC)
SERVER, LOGIN = "S", 1
RATES = {("EUR", "USD"): "1.10"}
GOLD = {"name": "XAUUSD", "digits": 2, "contract_size": "100", "margin_currency": "USD"}
INDEX = {
    "name": "GER40", "digits": 1, "contract_size": "1", "margin_currency": "EUR",
    "profit_currency": "EUR",
}  # fmt: skip
EURO = {"name": "EURUSD", "digits": 5, "contract_size": "100000", "margin_currency": "EUR"}


class Broker:
    """On MT4, with an account in USD at a leverage of 100."""

    def __init__(self, ask: str, **symbol: Any) -> None:
        ledger, clock = Ledger(), Clock(lambda: NOW)
        self.brokers, self.name = Brokers(), symbol["name"]
        self.face = Mt4Face(self.brokers, clock, ledger)
        self.hand = Control(self.brokers, {Platform.MT4: self.face}, ledger, clock)
        self.hand.add_server(name=SERVER, platform="MT4", rates={"EURUSD": "1.10"})
        self.hand.add_symbol(SERVER, **symbol)
        self.hand.quote(SERVER, self.name, ask, ask)
        self.hand.add_account(server=SERVER, platform="MT4", login=LOGIN, password="x")
        self.ask = ask

    def takes(self, lots: str) -> Decimal:
        self.hand.open(SERVER, LOGIN, self.name, "Buy", lots)
        return Decimal(self.hand.book(SERVER, LOGIN)["figures"]["margin"])

    def estimated(self, lots: str) -> Decimal | None:
        """As the watcher reads the terms that the bridge tells. None: it has no estimate."""
        account = self.brokers.account(SERVER, LOGIN)
        told = self.face._params_of(self.brokers.servers[SERVER].symbols[self.name], account)
        terms = Mt4Dialect().spec(self.name, encode(told))
        to = replace(
            slave("10000", symbol=terms, at=quote(self.ask, symbol=self.name), rates=RATES),
            figures=figures("10000", free_margin="0"),
        )
        refused = margin_check(D(lots), to, None, CopierOptions())
        assert refused is not None
        required = refused.numbers["required"]
        return None if required == "unknown" else D(required)


@pytest.mark.parametrize(
    ("symbol", "ask", "lots", "takes", "is_estimated"),
    [
        # 100,000 EUR at 1.10 / 100
        (EURO, "1.10000", "1", "1100", True),
        # 100 ounces at 2,400 / 100
        (GOLD | {"calculation": "CFD"}, "2400.00", "1", "2400", True),
        # and at 5 % by the broker, whatever the account's leverage
        (
            GOLD | {"calculation": "CFD", "margin_calculation": "CFD", "margin_divider": "20"},
            "2400.00", "0.5", "6000", True,
        ),
        # profits as of a currency, margin as of a CFD
        (
            GOLD | {"calculation": "Forex", "margin_calculation": "CFD", "margin_divider": "50"},
            "2400.00", "1", "4800", True,
        ),
        # 18,000 EUR a lot / 20, at 1.10
        (
            INDEX | {"calculation": "CFD", "margin_calculation": "CFD", "margin_divider": "20"},
            "18000.0", "2", "1980", True,
        ),
        # half of what the leverage gives
        (
            INDEX | {"calculation": "CFD", "margin_calculation": "CfdLeverage", "margin_divider": "2"},
            "18000.0", "2", "198", True,
        ),
        # by its units: 200 EUR / 100
        (INDEX | {"calculation": "CFD", "margin_calculation": "Forex", "lot_max": "1000"}, "18000.0", "200", "2.2", True),
        # 700 EUR a lot, which no bridge tells
        (
            INDEX | {"calculation": "CFD", "margin_calculation": "Futures", "margin_initial": "700"},
            "18000.0", "2", "1540", False,
        ),
        # 18,000 × 0.05 / 0.1 = 9,000 EUR a lot / 20
        (
            INDEX | {
                "calculation": "CFD", "margin_calculation": "CfdIndex", "margin_divider": "20",
                "tick_price": "0.05",
            },
            "18000.0", "2", "990", False,
        ),
    ],
)  # fmt: skip
def test_what_a_position_takes(
    symbol: dict[str, Any], ask: str, lots: str, takes: str, is_estimated: bool
) -> None:
    broker = Broker(ask, **symbol)
    estimated = broker.estimated(lots)
    assert broker.takes(lots) == D(takes)
    assert estimated == (D(takes) if is_estimated else None)


def test_a_fixed_margin_takes_the_place_of_contract_and_price() -> None:
    """Of a currency its leverage counts still: 50,000 EUR / 100, at 1.20."""
    assert Broker("1.20000", **EURO, margin_initial="50000").takes("1") == D(600)
    gold = GOLD | {"calculation": "CFD", "margin_calculation": "CFD", "margin_initial": "3000"}
    assert Broker("2400.00", **gold).takes("2") == D(6000)


def test_who_cannot_pay_it_does_not_get_it() -> None:
    """20 lots at 700 EUR are 15,400 USD."""
    future = INDEX | {"margin_calculation": "Futures", "margin_initial": "700"}
    broker = Broker("18000.0", **future)
    with pytest.raises(Refusal, match="NOT_MONEY"):
        broker.takes("20")
