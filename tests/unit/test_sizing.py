"""Sizing, with the worked examples of the rule book and the traps of binary numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from copypro.codes import Denial
from copypro.messages import Context, OpenCopy
from copypro.options import CopierOptions, RiskType, SymbolMapping
from copypro.trading import Figures, Quote, SymbolSpec
from copypro.values import AccountId, CopierId, CopyId, RootId, Side
from copypro_account_watcher.sizing import Sized, Slave, margin_check, size
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

D = Decimal
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def spec(**changes: Any) -> SymbolSpec:
    base = SymbolSpec(
        name="X",
        digits=5,
        point=D("0.00001"),
        tick_size=D("0.00001"),
        contract_size=D(100_000),
        lot_min=D("0.01"),
        lot_max=D(100),
        lot_step=D("0.01"),
        profit_currency="USD",
    )
    return replace(base, **changes)


def money(balance: str, **changes: str) -> Figures:
    fields = {"equity": balance, "free_margin": balance} | changes
    return Figures(balance=D(balance), **{name: D(value) for name, value in fields.items()})


def order(
    lots: str = "1", side: Side = Side.BUY, master: Context | None = None, **options: Any
) -> OpenCopy:
    return OpenCopy(
        copy=CopyId("c"),
        copier=CopierId("k"),
        master=AccountId("m"),
        slave=AccountId("s"),
        root=RootId("1"),
        leg=0,
        symbol="X",
        side=side,
        lots=D(lots),
        fraction=D(1),
        master_price=D("1.1"),
        stop_loss=None,
        take_profit=None,
        context=master or Context(figures=money("10000"), currency="USD", spec=spec()),
        options=CopierOptions(**options),
        same_server=False,
        fresh_from_utc=NOW,
        seen_at_utc=NOW,
        magic=1,
    )


def slave(
    balance: str = "10000", currency: str = "USD", rates: Any = None, **changes: Any
) -> Slave:
    return Slave(
        figures=money(balance),
        currency=currency,
        spec=spec(**changes),
        quote=Quote(symbol="X", bid=D("1.1"), ask=D("1.1001")),
        rates=rates or {},
    )


def lots(result: Sized | Denial) -> Decimal:
    assert isinstance(result, Sized), result
    return result.lots


def sized(
    the_order: OpenCopy, the_slave: Slave, stop: str | None = None, entry: str = "1.1"
) -> Sized | Denial:
    return size(the_order, the_slave, None if stop is None else D(stop), D(entry))


def test_multiplier_over_contract_sizes() -> None:
    gold = Context(figures=money("1"), currency="USD", spec=spec(contract_size=D(100)))
    given_ = order("0.50", master=gold, risk_value=D("1.5"))
    assert lots(sized(given_, slave(contract_size=D(10)))) == D("7.5")


def test_contract_only() -> None:
    dax = Context(figures=money("1"), currency="EUR", spec=spec(contract_size=D(25)))
    assert lots(sized(order("0.4", master=dax), slave(contract_size=D(1)))) == D(10)


def test_balance_ratio_in_two_currencies() -> None:
    master = Context(figures=money("20000"), currency="USD", spec=spec())
    given_ = order("0.80", master=master, risk_type=RiskType.BALANCE_MULTIPLIER)
    result = sized(given_, slave("5000", "EUR", {("EUR", "USD"): D("1.10")}))
    assert lots(result) == D("0.22")
    assert isinstance(result, Sized)
    assert result.numbers["ratio"] == "0.275"


def test_fixed_master_balance() -> None:
    given_ = order(
        "0.80", risk_type=RiskType.FIXED_BALANCE_MULTIPLIER, fixed_master_balance=D(10_000)
    )
    assert lots(sized(given_, slave("3000"))) == D("0.24")


def test_risk_multiply_overrides_the_risk_type() -> None:
    given_ = order("1", risk_type=RiskType.FIXED_LOT, risk_value=D(9), risk_multiply=D("0.5"))
    assert lots(sized(given_, slave("5000"))) == D("0.25")


@pytest.mark.parametrize(("cost", "wanted"), [(None, "0.37")])
def test_fixed_risk(cost: None, wanted: str) -> None:
    """1 % of 10,000 USD, EURJPY 162.500 to 162.100 at USDJPY 150.00: 0.375, floored."""
    del cost
    given_ = order(risk_type=RiskType.FIXED_RISK, risk_value=D(1))
    yen = {("JPY", "USD"): 1 / D(150)}
    the_slave = slave("10000", "USD", yen, profit_currency="JPY")
    result = sized(given_, the_slave, "162.100", "162.500")
    assert lots(result) == D(wanted)


@pytest.mark.parametrize("stop", [None, "1.2"])
def test_fixed_risk_needs_a_stop_on_the_right_side(stop: str | None) -> None:
    result = sized(order(risk_type=RiskType.FIXED_RISK), slave(), stop)
    assert isinstance(result, Denial)
    assert result.code == "NO_STOP"


def test_the_larger_loss_counts() -> None:
    given_ = order(risk_type=RiskType.FIXED_RISK, risk_value=D(10))
    by_contract = lots(sized(given_, slave(), "1.0", "1.1"))
    by_tick = lots(sized(given_, slave(tick_value=D(2)), "1.0", "1.1"))
    assert by_tick == by_contract / 2


def test_a_cent_account() -> None:
    """50,000 USC are 500 USD; contract 1,000: 2.00 lots are the same exposure."""
    master = Context(figures=money("20000"), currency="USD", spec=spec())
    given_ = order("0.80", master=master, risk_type=RiskType.BALANCE_MULTIPLIER)
    the_slave = slave("50000", "USC", {("USC", "USD"): D("0.01")}, contract_size=D(1000))
    assert lots(sized(given_, the_slave)) == D("2.00")


@pytest.mark.parametrize(
    ("raw", "step", "wanted"),
    [
        ("0.29", "0.01", "0.29"),
        ("0.07", "0.01", "0.07"),
        ("0.3", "0.1", "0.3"),
        ("0.37", "0.25", "0.25"),
    ],
)
def test_floors_exactly(raw: str, step: str, wanted: str) -> None:
    given_ = order(risk_type=RiskType.FIXED_LOT, risk_value=D(raw))
    assert lots(sized(given_, slave(lot_step=D(step), lot_min=D(step)))) == D(wanted)


def test_below_the_minimum_says_why_and_force_lifts_only_within_its_cap() -> None:
    low = order(risk_type=RiskType.FIXED_LOT, risk_value=D("0.005"))
    refused = sized(low, slave())
    assert isinstance(refused, Denial)
    assert (refused.code, refused.numbers["raw_lots"]) == ("BELOW_MIN_LOT", "0.005")
    near = order(risk_type=RiskType.FIXED_LOT, risk_value=D("0.008"), force_min_lot=True)
    assert lots(sized(near, slave())) == D("0.01")
    far = order(risk_type=RiskType.FIXED_LOT, risk_value=D("0.005"), force_min_lot=True)
    assert isinstance(sized(far, slave()), Denial)


def test_above_the_maximum() -> None:
    big = order(risk_type=RiskType.FIXED_LOT, risk_value=D(500))
    assert isinstance(sized(big, slave()), Denial)
    capped = order(risk_type=RiskType.FIXED_LOT, risk_value=D(500), force_max_lot=True)
    assert lots(sized(capped, slave())) == D(100)


def test_the_volume_limit() -> None:
    result = sized(order("2"), replace(slave(volume_limit=D(5)), open_lots_same_direction=D(4)))
    assert isinstance(result, Denial)
    assert result.code == "VOLUME_LIMIT"


@pytest.mark.parametrize("bad", ["0", "-1", "NaN", "Infinity", "1e9"])
def test_impossible_values_are_refused(bad: str) -> None:
    result = sized(order(risk_type=RiskType.FIXED_LOT, risk_value=D(bad)), slave())
    assert isinstance(result, Denial)
    assert result.code == "INVALID_VOLUME"


def test_unknown_balances_and_rates_are_refused() -> None:
    zero = Context(figures=money("0"), currency="USD", spec=spec())
    ratio = {"risk_type": RiskType.BALANCE_MULTIPLIER}
    for the_order, the_slave, code in (
        (order(master=zero, **ratio), slave(), "MASTER_BALANCE_UNKNOWN"),
        (order(**ratio), slave("0"), "SLAVE_BALANCE_UNKNOWN"),
        (order(**ratio), slave(currency="EUR"), "NO_CONVERSION_RATE"),
    ):
        result = sized(the_order, the_slave)
        assert isinstance(result, Denial)
        assert result.code == code


def test_a_mapping_with_lots_overrides_all() -> None:
    mapping = SymbolMapping(master_symbol="X", slave_symbol="X", slave_lots=D("0.2"))
    assert lots(sized(replace(order("5"), mapping=mapping), slave())) == D("0.2")


def test_the_margin_reserve_and_level() -> None:
    options = CopierOptions(min_margin_level=D(300))
    assert margin_check(D(1), slave(), D("400.83"), options) is None
    short = margin_check(D(1), slave(), D(9000), options)
    assert short is not None
    assert short.code == "NOT_ENOUGH_MARGIN"
    level = margin_check(D(1), slave(), D(5000), options)
    assert level is not None
    assert level.code == "MARGIN_LEVEL"


volumes = st.decimals("0.001", "200", places=3)
steps = st.sampled_from([D("0.01"), D("0.1"), D("0.05"), D("0.25"), D(1)])


@given(raw=volumes, step=steps, force=st.booleans())
@settings(max_examples=200)
def test_never_above_the_raw_size_and_always_valid(
    raw: Decimal, step: Decimal, force: bool
) -> None:
    given_ = order(risk_type=RiskType.FIXED_LOT, risk_value=raw, force_min_lot=force)
    result = sized(given_, slave(lot_step=step, lot_min=step, lot_max=D(50)))
    if isinstance(result, Denial):
        assert result.code in ("BELOW_MIN_LOT", "ABOVE_MAX_LOT")
        return
    assert result.lots % step == 0
    assert step <= result.lots <= 50
    assert result.lots <= raw or (force and result.lots == step <= raw * D("1.5"))
