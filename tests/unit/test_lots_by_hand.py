"""Lots of many instruments, currencies and platforms, each worked out on paper beside its row."""

from __future__ import annotations

from typing import Any

import pytest
from copypro.codes import Denial
from copypro.options import CopierOptions, RiskType, SymbolMapping
from copypro.trading import SymbolSpec
from copypro.values import Side
from copypro_account_watcher.planned.sizing import Sized, Slave, size
from copypro_account_watcher.planned.symbols import conversions, rate_of
from copypro_account_watcher.planned.worth import worth
from msgspec import Struct
from msgspec.structs import replace

from tests.unit.slave_builders import D, context, opens, quote, slave, spec

RATES = {
    ("JPY", "USD"): D(1) / D("150.00"),
    ("USD", "EUR"): D(1) / D("1.10"),
    ("EUR", "USD"): D("1.10"),
    ("GBP", "EUR"): D(1) / D("0.85000"),
    ("NZD", "USD"): D("0.60"),
    ("USD", "JPY"): D("150.00"),
    ("EUR", "JPY"): D("165.00"),
    ("GBP", "USD"): D("1.25"),
}


class Row(Struct, frozen=True):
    spec: SymbolSpec
    account: str
    """The slave's currency."""
    equity: str
    entry: str
    stop: str
    lots: str
    """At a risk of 1 %."""
    per_move: str
    """What one lot is worth for a move of 1.0 of the price, in the account's currency."""


def _symbol(
    name: str, digits: int, contract: str, profit: str, lot: str = "0.01", **more: object
) -> SymbolSpec:
    """`lot`: its minimum and its step."""
    terms = (lot, "1000", lot)
    return spec(name, digits=digits, contract=contract, lot=terms, profit_currency=profit, **more)


ROWS = [
    # 0.00500 × 100,000 = 500 USD a lot; 100 / 500
    Row(_symbol("EURUSD", 5, "100000", "USD"), "USD", "10000", "1.10000", "1.09500", "0.2", "100000"),
    # the same with four digits: points are no part of it
    Row(_symbol("EURUSD", 4, "100000", "USD"), "USD", "10000", "1.1000", "1.0950", "0.2", "100000"),
    # 0.750 × 100,000 = 75,000 JPY, at 150 JPY 500 USD a lot; 100 / 500
    Row(
        _symbol("USDJPY", 3, "100000", "JPY"), "USD", "10000", "150.000", "149.250", "0.2",
        "666.66666667",
    ),
    # 0.00340 × 100,000 = 340 GBP, at 0.85 GBP 400 EUR a lot; 80 / 400
    Row(
        _symbol("EURGBP", 5, "100000", "GBP"), "EUR", "8000", "0.85000", "0.84660", "0.2",
        "117647.05882353",
    ),
    # 0.500 × 100,000 = 50,000 JPY a lot; 10,000 / 50,000
    Row(_symbol("GBPJPY", 3, "100000", "JPY"), "JPY", "1000000", "190.000", "189.500", "0.2", "100000"),
    # 0.00500 × 100,000 = 500 NZD, at 0.60 USD 300 USD a lot; 100 / 300 = 0.333…
    Row(_symbol("AUDNZD", 5, "100000", "NZD"), "USD", "10000", "1.09000", "1.08500", "0.33", "60000"),
    # 0.00500 × 100,000 = 500 USD = 50,000 cents a lot; 1,000 / 50,000
    Row(
        _symbol("EURUSD", 5, "100000", "USD"), "USC", "100000", "1.10000", "1.09500", "0.02",
        "10000000",
    ),
    # a lot of a thousand on a cent account: 5 USD = 500 cents a lot; 1,000 / 500
    Row(_symbol("EURUSDc", 5, "1000", "USD"), "USC", "100000", "1.10000", "1.09500", "2", "100000"),
    # 10.00 × 100 ounces = 1,000 USD a lot; 200 / 1,000
    Row(_symbol("XAUUSD", 2, "100", "USD"), "USD", "20000", "2400.00", "2390.00", "0.2", "100"),
    # the same with three digits and lots of ten ounces
    Row(_symbol("XAUUSD", 3, "10", "USD"), "USD", "20000", "2400.000", "2390.000", "2", "10"),
    # gold by the gram, a kilogram a lot: 0.500 × 1,000 = 500 USD a lot; 200 / 500
    Row(_symbol("XAUGRAM", 3, "1000", "USD"), "USD", "20000", "77.162", "76.662", "0.4", "1000"),
    # 0.500 × 5,000 ounces = 2,500 USD a lot; 100 / 2,500
    Row(_symbol("XAGUSD", 3, "5000", "USD"), "USD", "10000", "30.000", "29.500", "0.04", "5000"),
    # 100.0 × 1 EUR = 110 USD a lot; 120 / 110 = 1.09 on a step of 0.1
    Row(_symbol("GER40", 1, "1", "EUR", "0.1"), "USD", "12000", "18000.0", "17900.0", "1.0", "1.1"),
    # the same at 25 EUR a point: 2,750 USD a lot; 120 / 2,750 = 0.0436
    Row(_symbol("GER40", 1, "25", "EUR"), "USD", "12000", "18000.0", "17900.0", "0.04", "27.5"),
    # on a step of 0.05: 100 EUR a lot on an account in EUR; 117 / 100 = 1.17
    Row(_symbol("GER40", 1, "1", "EUR", "0.05"), "EUR", "11700", "18000.0", "17900.0", "1.15", "1"),
    # 0.50 × 1,000 barrels = 500 USD, at 150 JPY 75,000 JPY a lot; 10,000 / 75,000 = 0.133…
    Row(_symbol("XTIUSD", 2, "1000", "USD"), "JPY", "1000000", "80.00", "79.50", "0.13", "150000"),
    # 1,000.00 × 1 = 1,000 USD a lot; 12.34 / 1,000 on a step of 0.001
    Row(_symbol("BTCUSD", 2, "1", "USD", "0.001"), "USD", "1234", "60000.00", "59000.00", "0.012", "1"),
    # 5.00 × 1 share = 5 USD a lot; 104 / 5 = 20.8 whole shares
    Row(_symbol("AAPL", 2, "1", "USD", "1"), "USD", "10400", "185.00", "180.00", "20", "1"),
    # a share quoted in pence: 10.0 × 1 = 10 pence = 0.125 USD; 100 / 0.125
    Row(_symbol("VOD", 1, "1", "GBX", "1"), "USD", "10000", "750.0", "740.0", "800", "0.0125"),
    # and as many write it
    Row(_symbol("VOD.L", 1, "1", "GBp", "1"), "USD", "10000", "750.0", "740.0", "800", "0.0125"),
    # a future of 12.50 USD a tick of 0.25: 40 ticks = 500 USD a lot; 1,200 / 500 = 2.4
    Row(
        _symbol("ES", 2, "1", "USD", "1", tick="0.25", tick_value=D("12.5")),
        "USD", "120000", "5000.00", "4990.00", "2", "50",
    ),
    # MT4 tells no profit's currency; of a forex major its name does
    Row(
        spec("USDJPY", digits=3, margin_currency="USD", calculation="Forex"),
        "USD", "10000", "150.000", "149.250", "0.2", "666.66666667",
    ),
]  # fmt: skip


def _slave(row: Row) -> Slave:
    at = quote(row.entry, symbol=row.spec.name)
    made = slave(row.equity, currency=row.account, symbol=row.spec, at=at)
    return replace(made, rates=RATES)


def _id(row: Row) -> str:
    return f"{row.spec.name}-{row.spec.contract_size}-{row.account}"


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_one_percent_at_the_stop(row: Row) -> None:
    order = opens(risk_type=RiskType.FIXED_RISK, risk_value=D(1))
    sized = size(order, _slave(row), D(row.stop), D(row.entry))
    assert isinstance(sized, Sized), sized
    assert sized.lots == D(row.lots)


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_one_percent_at_the_stop_of_a_reversed_copy_of_a_buy(row: Row) -> None:
    """It sells, so that its stop is as far above."""
    order = opens(risk_type=RiskType.FIXED_RISK, risk_value=D(1), reverse_copy=True)
    above = 2 * D(row.entry) - D(row.stop)
    sized = size(order, _slave(row), above, D(row.entry))
    assert isinstance(sized, Sized), sized
    assert sized.lots == D(row.lots)


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_what_a_move_of_the_price_is_worth(row: Row) -> None:
    assert worth(_slave(row))["price_worth"] == row.per_move


@pytest.mark.parametrize(
    ("master", "its_money", "to", "money", "options", "lots"),
    [
        # 0.50 × 100 / 10 ounces
        ("100", "20000 USD", "10", "5000 USD", CopierOptions(), "5.0"),
        # 0.50 × 100,000 / 1,000
        ("100000", "20000 USD", "1000", "5000 USD", CopierOptions(), "50"),
        # 0.50 × 1 / 100 = 0.005: below the minimum, whatever is left of it
        ("1", "20000 USD", "100", "5000 USD", CopierOptions(), None),
        # 5,000 EUR are 5,500 USD: 0.50 × 5,500 / 20,000 = 0.1375
        ("100", "20000 USD", "100", "5000 EUR", "BalanceMultiplier", "0.13"),
        # 1,500,000 JPY are 10,000 USD: 0.50 × 10,000 / 20,000
        ("100", "20000 USD", "100", "1500000 JPY", "BalanceMultiplier", "0.25"),
        # 50,000 cents are 500 USD, in lots of a hundredth: 0.50 × 100 × 500 / 20,000
        ("100000", "20000 USD", "1000", "50000 USC", "EquityMultiplier", "1.25"),
        # and from cents: 500 USD are 50,000 cents; 0.50 / 100 × 50,000 / 10,000
        ("1000", "10000 USC", "100000", "500 USD", "EquityMultiplier", "0.02"),
    ],
)
def test_lots_of_another_contract_and_money(
    master: str, its_money: str, to: str, money: str, options: CopierOptions | str, lots: str | None
) -> None:
    if isinstance(options, str):
        options = CopierOptions(risk_type=RiskType(options))
    theirs, its_currency = its_money.split()
    ours, currency = money.split()
    order = opens(
        "0.50",
        Side.BUY,
        options=options,
        master=context(theirs, currency=its_currency, symbol=spec(contract=master)),
    )
    made = replace(slave(ours, currency=currency, symbol=spec(contract=to)), rates=RATES)
    sized = size(order, made, None, D("1.10002"))
    found = sized.lots if isinstance(sized, Sized) else None
    assert found == (None if lots is None else D(lots))


INDEX_CFD = spec("US500", digits=2, contract="1", profit_currency="USD")
"""1 USD a point."""


@pytest.mark.parametrize(
    ("account", "ticks", "lots"),
    [
        # 12.50 USD a tick of 0.25 are 50 a point, where the contract says 1: 50 / 50
        ("USD", {"tick": "0.25", "tick_value": D("12.5")}, "1"),
        # the same in euros: 50 / 1.10 a point
        ("EUR", {"tick": "0.25", "tick_value": D("12.5") / D("1.10")}, "1"),
        # and in cents
        ("USC", {"tick": "0.25", "tick_value": D(1250)}, "1"),
        # a tick's value that is a little old
        ("USD", {"tick": "0.25", "tick_value": D("0.27")}, "50"),
        # one of less than the contract adds no risk by itself
        ("USD", {"tick": "0.25", "tick_value": D("0.0025")}, "50"),
        # in a currency whose rate is not known
        ("CHF", {"tick": "0.25", "tick_value": D("12.5")}, "50"),
        ("USD", {}, "50"),
    ],
)
def test_a_future_for_a_cfd_is_sized_by_what_its_ticks_are_worth(
    account: str, ticks: dict[str, Any], lots: str
) -> None:
    """A person has mapped them: their ticks differ, which nothing else may be copied with."""
    future = spec(
        "ESZ6", digits=2, contract="1", lot=("1", "100", "1"), profit_currency="USD", **ticks
    )
    mapping = SymbolMapping(master_symbol="US500", slave_symbol="ESZ6")
    order = opens("50", master=context(symbol=INDEX_CFD), mapping=mapping)
    made = replace(slave(currency=account, symbol=future), rates=RATES)
    sized = size(order, made, None, D("5000.00"))
    assert isinstance(sized, Sized), sized
    assert sized.lots == D(lots)
    assert ("slave_contract_by_ticks" in sized.numbers) == (lots == "1")


@pytest.mark.parametrize(
    ("of_master", "lots"),
    [
        # the same contract, which says 1 on both sides and has ticks of 50 a point
        ({"tick": "0.25", "tick_value": D("12.5")}, "3"),
        # its tick's value a little older
        ({"tick": "0.25", "tick_value": D("12.3")}, "3"),
        # a smaller one, of 5 a point: 3 of these are 0.3 of ours
        ({"tick": "0.25", "tick_value": D("1.25")}, "0.3"),
        # of 25 a point: 3 of these are 1.5 of ours
        ({"tick": "0.25", "tick_value": D("6.25")}, "1.5"),
        # a larger one adds no more than contracts say, which a person has seen
        ({"tick": "0.25", "tick_value": D("125")}, "3"),
    ],
)
@pytest.mark.parametrize("currency", ["USD", "EUR"])
def test_a_future_for_a_future_is_sized_by_the_ticks_of_both(
    currency: str, of_master: dict[str, Any], lots: str
) -> None:
    """Where the master's account is in euros its ticks are."""
    future = spec(
        "ESZ6",
        digits=2,
        contract="1",
        profit_currency="USD",
        tick="0.25",
        tick_value=D("12.5"),
    )
    value = of_master["tick_value"] / (D("1.10") if currency == "EUR" else 1)
    theirs = spec(
        "ES", digits=2, contract="1", profit_currency="USD", **{**of_master, "tick_value": value}
    )
    mapping = SymbolMapping(master_symbol="ES", slave_symbol="ESZ6")
    order = opens("3", master=context(symbol=theirs, currency=currency), mapping=mapping)
    rates = {pair: RATES[pair] for pair in conversions(order, future, "USD")}
    sized = size(order, replace(slave(symbol=future), rates=rates), None, D("5000.00"))
    assert isinstance(sized, Sized), sized
    assert sized.lots == D(lots)


def test_what_is_in_no_currency_has_no_rate() -> None:
    """A bridge that tells no account's currency tells it of none: two of them are not the same."""
    for source, target in (("", ""), ("", "USD"), ("USD", "")):
        assert rate_of(RATES, source, target) is None
    order = opens(risk_type=RiskType.BALANCE_MULTIPLIER, master=context("20000", currency=""))
    refused = size(order, slave("5000", currency=""), None, D("1.10002"))
    assert isinstance(refused, Denial)
    assert (refused.code, refused.numbers["pair"]) == ("NO_CONVERSION_RATE", "→")
