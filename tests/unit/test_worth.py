"""What a move of the price is worth when a copy is sent, by hand."""

from __future__ import annotations

import pytest
from copypro_account_watcher.planned.sizing import Slave
from copypro_account_watcher.planned.worth import worth

from tests.unit.slave_builders import D, slave, spec

GOLD = {"digits": 2, "contract": "100", "profit_currency": "USD"}


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (slave(symbol=spec(profit_currency="USD")), "100000"),
        (slave(symbol=spec(profit_currency="USD"), currency="EUR",
               rates={("USD", "EUR"): "0.91"}), "91000"),
        (slave(symbol=spec("XAUUSD", **GOLD)), "100"),
        # No rate and no name that tells one, but the broker's own tick.
        (slave(symbol=spec("GER40", digits=1, contract="1", tick_value=D("0.108"))), "1.08"),
        # A future: 50 a point whatever its contract is called.
        (slave(symbol=spec("ES", tick="0.25", tick_value=D("12.5"), contract="1",
                           profit_currency="USD")), "50"),
        # The tick's value is of another moment's rate: the contract is exact.
        (slave(symbol=spec(profit_currency="USD", tick_value=D("1.02"))), "100000"),
        (slave(symbol=spec("ES", tick="0.25", tick_value=D("12.5"), contract="1",
                           profit_currency="USD", calculation="CFD")), "1"),
        (slave(symbol=spec("GER40", digits=1, contract="1")), None),
    ],
)  # fmt: skip
def test_a_move_of_the_price_is_worth(of: Slave, expected: str | None) -> None:
    assert worth(of).get("price_worth") == expected
    assert worth(of)["point"] == str(of.spec.point)
