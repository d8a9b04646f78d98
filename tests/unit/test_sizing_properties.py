"""Whatever the master, the rule and the broker's terms: valid for the symbol, never above the raw size."""

from __future__ import annotations

from decimal import Decimal

from copypro.codes import CODES, Denial
from copypro.messages import OpenCopy
from copypro.options import CopierOptions, RiskType
from copypro.trading import SymbolSpec
from copypro_account_watcher.planned.sizing import FORCE_MIN_CAP, Sized, Slave, size
from hypothesis import event, given
from hypothesis import strategies as st

from tests.examples import examples
from tests.unit.slave_builders import D, context, opens, quote, slave, spec

STEPS = ("0.01", "0.001", "0.02", "0.03", "0.05", "0.1", "0.25", "1")
CONTRACTS = ("1", "10", "25", "100", "1000", "10000", "100000")
CURRENCIES = ("USD", "EUR", "USC")
RATES = {("USD", "EUR"): str(1 / D("1.1")), ("EUR", "USD"): "1.1"}


@st.composite
def symbols(draw: st.DrawFn) -> SymbolSpec:
    step = draw(st.sampled_from(STEPS))
    minimum = D(draw(st.sampled_from(STEPS))) * draw(st.integers(1, 10))
    maximum = minimum * draw(st.integers(1, 2000))
    return spec(
        contract=draw(st.sampled_from(CONTRACTS)),
        lot=(str(minimum), str(maximum), step),
        profit_currency=draw(st.sampled_from((None, "USD", "EUR"))),
        tick_value=draw(st.sampled_from((None, D("0.5"), D(1)))),
        volume_limit=draw(st.sampled_from((None, D(5)))),
    )


amounts = st.decimals("0.00001", "1000000", places=5)


@st.composite
def orders(draw: st.DrawFn) -> OpenCopy:
    master = context(
        str(draw(amounts)),
        currency=draw(st.sampled_from(CURRENCIES)),
        symbol=spec(contract=draw(st.sampled_from(CONTRACTS))),
    )
    options = CopierOptions(
        risk_type=draw(st.sampled_from(RiskType)),
        risk_value=draw(st.decimals("0.001", "50", places=3)),
        risk_multiply=draw(st.sampled_from((None, D("0.5"), D(3)))),
        fixed_master_balance=draw(st.sampled_from((D(0), D(30_000)))),
        lot_refiner=draw(st.sampled_from((D(1), D("0.95"), D("1") / 3))),
        contract_alignment=draw(st.booleans()),
        force_min_lot=draw(st.booleans()),
        force_max_lot=draw(st.booleans()),
    )
    return opens(str(draw(st.decimals("0.01", "100", places=2))), master=master, options=options)


@st.composite
def slaves(draw: st.DrawFn) -> Slave:
    return slave(
        str(draw(amounts)),
        currency=draw(st.sampled_from(CURRENCIES)),
        symbol=draw(symbols()),
        at=quote("1.10000", "1.10010"),
        rates=RATES,
        open_lots=str(draw(st.sampled_from((0, 3)))),
    )


@given(orders(), slaves(), st.sampled_from((None, "1.09", "1.10005", "1.2")))
@examples(600)
def test_a_size_is_valid_and_not_above_what_its_rule_says(
    order: OpenCopy, to: Slave, stop: str | None
) -> None:
    result = size(order, to, None if stop is None else D(stop), to.quote.ask)
    event(result.code if isinstance(result, Denial) else "sized")
    if isinstance(result, Denial):
        assert result.code in CODES
        assert result.numbers
        return
    symbol, lots, numbers = to.spec, result.lots, result.numbers
    assert symbol.lot_min <= lots <= symbol.lot_max
    assert lots % symbol.lot_step == 0
    assert symbol.volume_limit is None or lots + to.open_lots_same_direction <= symbol.volume_limit
    raw = recomputed(numbers)
    hair = raw * D("1e-6") + D("1e-8")
    if numbers.get("forced") == "min":
        assert order.options.force_min_lot
        assert lots <= raw * FORCE_MIN_CAP + hair
    else:
        assert lots <= raw + hair
        assert numbers.get("forced") == "max" or raw - lots < symbol.lot_step + hair


def recomputed(numbers: dict[str, str]) -> Decimal:
    """The raw volume from the recorded numbers alone, as a person would check it."""
    factor = D(numbers["risk_value"]) * D(numbers["lot_refiner"])
    if numbers["rule"] == "FixedLot":
        return factor
    if numbers["rule"] == "FixedRisk":
        equity = D(numbers["equity"].split()[0])
        distance = abs(D(numbers["entry"]) - D(numbers["stop_loss"]))
        losses = []
        if numbers.get("rate", "unknown") != "unknown":
            losses.append(distance * D(numbers["slave_contract_size"]) * D(numbers["rate"]))
        if "tick_value" in numbers:
            losses.append(distance / D(numbers["tick_size"]) * D(numbers["tick_value"]))
        return equity * factor / 100 / max(losses)
    raw = D(numbers["master_lots"]) * factor
    if "master_contract_size" in numbers:
        ours = numbers.get("slave_contract_by_ticks", numbers["slave_contract_size"])
        size_of_master = numbers.get("master_contract_by_ticks", numbers["master_contract_size"])
        raw = raw * D(size_of_master) / D(ours)
    if "slave_money" in numbers:
        money, theirs = (D(numbers[name].split()[0]) for name in ("slave_money", "master_money"))
        raw = raw * money * D(numbers["rate"]) / theirs
    return raw


@given(orders(), slaves())
@examples(60)
def test_the_same_inputs_give_the_same_size(order: OpenCopy, to: Slave) -> None:
    first, second = (size(order, to, D("1.09"), to.quote.ask) for _ in range(2))
    assert first == second


@given(st.sampled_from(RiskType), st.text("0123456789-+.EeNaInfity", max_size=12))
@examples(450)
def test_no_number_that_a_user_can_write_is_more_than_a_denial(rule: RiskType, text: str) -> None:
    try:
        value = Decimal(text)
    except ArithmeticError:
        return
    for order in (
        opens(str(value), risk_type=rule),
        opens(risk_type=rule, risk_value=value),
        opens(risk_multiply=value, fixed_master_balance=value),
        opens(risk_type=rule, lot_refiner=value),
    ):
        assert isinstance(size(order, slave(), D("1.09"), D("1.10002")), Sized | Denial)
