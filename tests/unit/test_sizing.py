"""How many lots, by worked examples and by their traps."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copypro.codes import CODES, Denial
from copypro.messages import OpenCopy
from copypro.options import CopierOptions, RiskType, SymbolMapping
from copypro.values import OrderKind, Side
from copypro_account_watcher.planned.sizing import Sized, Slave, margin_check, size
from msgspec.structs import replace

from tests.unit.slave_builders import D, context, figures, opens, places, quote, slave, spec

ENTRY = D("1.10002")
GOLD_100 = spec("XAUUSD", digits=2, contract="100")
GOLD_10 = spec("XAUUSD", digits=2, contract="10")
ENOUGH = (RiskType.BALANCE_MULTIPLIER, RiskType.EQUITY_MULTIPLIER)


def sized(order: OpenCopy, to: Slave, sl: str | None = None, entry: Decimal = ENTRY) -> Sized:
    result = size(order, to, None if sl is None else D(sl), entry)
    assert isinstance(result, Sized), result
    assert result.numbers["lots"] == str(result.lots)
    return result


def refused(order: OpenCopy, to: Slave, sl: str | None = None, entry: Decimal = ENTRY) -> Denial:
    result = size(order, to, None if sl is None else D(sl), entry)
    assert isinstance(result, Denial), result
    assert result.code in CODES
    assert all(isinstance(value, str) for value in result.numbers.values())
    return result


# --- the modes ------------------------------------------------------------------------------------


def test_multiplier_on_gold_of_ten_times_smaller_contracts() -> None:
    order = opens("0.50", risk_value=D("1.5"), master=context(symbol=GOLD_100))
    result = sized(order, slave(symbol=GOLD_10))
    assert result.lots == D("7.5")
    assert result.numbers["contract_ratio"] == "10"


def test_contract_only_gives_the_same_risk_per_point() -> None:
    dax = spec("GER40", digits=1, contract="25")
    order = opens("0.4", master=context(symbol=dax, currency="EUR"))
    to = slave(symbol=spec("DE40", digits=1, contract="1", lot=("0.1", "100", "0.1")))
    assert sized(order, to).lots == D("10.0")


def test_ticks_that_say_half_as_much_again_as_the_contract_make_fewer_lots() -> None:
    """What a person mapped: 1 a point there, and here by its contract, but 1.5 by its ticks."""
    ours = spec("DE40", profit_currency="USD", contract="1", tick="0.5", tick_value=D("0.75"))
    order = opens("3", master=context(symbol=spec("GER40", contract="1")))
    assert sized(order, slave(symbol=ours)).lots == D("2.00")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E+999999"])
def test_a_tick_value_that_is_no_number_leaves_the_contract_as_it_is(value: str) -> None:
    terms = {"digits": 1, "profit_currency": "EUR", "tick": "0.5", "tick_value": D(value)}
    order = opens("0.4", master=context(symbol=spec("GER40", contract="25", **terms)))
    to = slave(symbol=spec("DE40", contract="1", **terms), rates={("EUR", "USD"): "1.1"})
    assert sized(order, to).lots == D("10.0")


def test_a_tick_value_that_no_rate_converts_leaves_the_contract_as_it_is() -> None:
    dax = spec("GER40", digits=1, contract="25", tick="0.5", tick_value=D("125"))
    order = opens("0.4", master=context(symbol=dax, currency="EUR"))
    assert sized(order, slave(symbol=spec("DE40", digits=1, contract="1"))).lots == D("10.0")


def test_balance_ratio_converts_the_slaves_money() -> None:
    master = context("20000", equity="10000")
    order = opens("0.80", risk_type=RiskType.BALANCE_MULTIPLIER, master=master)
    ours = figures("5000", "2500")
    result = sized(order, slave(figures_=ours, currency="EUR", rates={("EUR", "USD"): "1.10"}))
    assert result.lots == D("0.22")
    assert result.numbers["ratio"] == "0.275"
    assert result.numbers["rate"] == "1.10"


def test_equity_ratio_uses_the_equities() -> None:
    master = context("20000", equity="10000")
    order = opens("0.80", risk_type=RiskType.EQUITY_MULTIPLIER, master=master)
    assert sized(order, slave(figures_=figures("9000", "2500"))).lots == D("0.20")


def test_a_fixed_master_balance_takes_the_place_of_the_live_one() -> None:
    order = opens(
        "0.80",
        risk_type=RiskType.FIXED_BALANCE_MULTIPLIER,
        fixed_master_balance=D(10_000),
        master=context("777"),
    )
    assert sized(order, slave("3000")).lots == D("0.24")


def test_a_fixed_master_balance_is_in_the_masters_currency() -> None:
    order = opens(
        "0.80",
        risk_type=RiskType.FIXED_BALANCE_MULTIPLIER,
        fixed_master_balance=D(10_000),
        master=context("777", currency="EUR"),
    )
    assert sized(order, slave("3000", rates={("USD", "EUR"): "0.5"})).lots == D("0.12")
    assert refused(order, slave("3000")).code == "NO_CONVERSION_RATE"


def test_a_fixed_master_balance_saves_a_master_whose_balance_is_not_known() -> None:
    order = opens(
        "0.80",
        risk_type=RiskType.FIXED_BALANCE_MULTIPLIER,
        fixed_master_balance=D(10_000),
        master=context("0"),
    )
    assert sized(order, slave("3000")).lots == D("0.24")


def test_without_a_fixed_master_balance_the_live_one_counts() -> None:
    order = opens("0.80", risk_type=RiskType.FIXED_BALANCE_MULTIPLIER, master=context("20000"))
    assert sized(order, slave("5000")).lots == D("0.20")


def test_a_fixed_master_balance_is_for_its_own_rule_only() -> None:
    order = opens(
        "0.80",
        risk_type=RiskType.BALANCE_MULTIPLIER,
        fixed_master_balance=D(10_000),
        master=context("20000"),
    )
    assert sized(order, slave("5000")).lots == D("0.20")


def test_fixed_lots_depend_on_nothing_of_the_masters() -> None:
    for lots in ("0.01", "50", "0", "NaN"):
        order = opens(lots, risk_type=RiskType.FIXED_LOT, risk_value=D("0.10"))
        assert sized(order, slave(symbol=GOLD_10)).lots == D("0.10")


YEN = spec("EURJPY", digits=3, profit_currency="JPY", margin_currency="EUR")
YEN_QUOTE = quote("162.490", "162.500", "EURJPY")
DAX_QUOTE = quote("15999", "16000", "DE40")


def eurjpy(**more: object) -> Slave:
    rates = {("JPY", "USD"): str(1 / D(150)), ("EUR", "USD"): "1.0833"}
    values: dict[str, object] = {"symbol": YEN, "at": YEN_QUOTE, "rates": rates} | more
    return slave("10000", **values)  # type: ignore[arg-type]


def risks(percent: str = "1", **settings: object) -> OpenCopy:
    return opens("5", risk_type=RiskType.FIXED_RISK, risk_value=D(percent), **settings)  # type: ignore[arg-type]


def test_fixed_risk_by_the_stops_distance() -> None:
    result = sized(risks(), eurjpy(), "162.100", D("162.500"))
    assert result.lots == D("0.37")
    assert result.numbers["raw_lots"] == "0.375"
    assert result.numbers["risk_money"] == "100"
    assert D(result.numbers["loss_per_lot"]).quantize(D("0.01")) == D("266.67")
    assert result.numbers["rate"] == str(1 / D(150))


def test_fixed_risk_is_in_percent_of_the_equity() -> None:
    to = replace(eurjpy(), figures=figures("10000", "5000"))
    result = sized(risks("2.5"), to, "162.100", D("162.500"))
    assert result.numbers["risk_money"] == "125"
    assert (result.lots, result.numbers["raw_lots"]) == (D("0.46"), "0.46875")


def test_fixed_risk_counts_the_commission_where_it_is_known() -> None:
    result = sized(risks(), eurjpy(cost_per_lot=D(7)), "162.100", D("162.500"))
    assert result.lots == D("0.36")
    assert D(result.numbers["raw_lots"]).quantize(D("0.0001")) == D("0.3654")


def test_fixed_risk_counts_no_gain_as_a_cost() -> None:
    assert sized(risks(), eurjpy(cost_per_lot=D(-7)), "162.100", D("162.500")).lots == D("0.37")


def test_fixed_risk_counts_ticks_by_their_own_size() -> None:
    """A hundred points are 200 ticks of 0.55 each: 110 a lot, where the contract says 100."""
    terms = {"digits": 2, "contract": "1", "tick": "0.5", "tick_value": D("0.55")}
    dax = slave("10000", symbol=spec("DE40", profit_currency="USD", **terms), at=DAX_QUOTE)
    result = sized(risks(), dax, "15900", D("16000"))
    assert (result.lots, result.numbers["tick_size"]) == (D("0.90"), "0.5")


def test_fixed_risk_takes_the_larger_of_the_two_losses() -> None:
    """A tick value of 1.00 says 400 a lot, the contract says 266.67."""
    symbol = spec("EURJPY", digits=3, profit_currency="JPY", tick_value=D("1.00"))
    assert sized(risks(), eurjpy(symbol=symbol), "162.100", D("162.500")).lots == D("0.25")
    smaller = spec("EURJPY", digits=3, profit_currency="JPY", tick_value=D("0.10"))
    assert sized(risks(), eurjpy(symbol=smaller), "162.100", D("162.500")).lots == D("0.37")


def test_fixed_risk_needs_no_rate_where_the_tick_value_is_known() -> None:
    symbol = spec("EURJPY", digits=3, profit_currency="JPY", tick_value=D("0.66666667"))
    result = sized(risks(), eurjpy(symbol=symbol, rates={}), "162.100", D("162.500"))
    assert result.lots == D("0.37")


def test_fixed_risk_without_rate_and_tick_value_is_refused_never_guessed() -> None:
    denial = refused(risks(), eurjpy(rates={}), "162.100", D("162.500"))
    assert denial.code == "NO_CONVERSION_RATE"
    assert denial.numbers["pair"] == "JPY→USD"


def test_fixed_risk_by_a_tick_of_no_size_is_by_the_contract() -> None:
    symbol = spec("EURJPY", digits=3, profit_currency="JPY", tick="0", tick_value=D("1.00"))
    result = sized(risks(), eurjpy(symbol=symbol), "162.100", D("162.500"))
    assert result.lots == D("0.37")
    assert "tick_value" not in result.numbers
    unknown = refused(risks(), eurjpy(symbol=symbol, rates={}), "162.100", D("162.500"))
    assert (unknown.code, unknown.numbers["rate"]) == ("NO_CONVERSION_RATE", "unknown")


def test_fixed_risk_on_mt4_where_only_the_name_of_a_major_tells_the_profits_currency() -> None:
    terms = {"digits": 3, "margin_currency": "EUR", "calculation": "Forex"}
    major = spec("EURJPY.x", **terms)  # type: ignore[arg-type]
    assert sized(risks(), eurjpy(symbol=major), "162.100", D("162.500")).lots == D("0.37")
    for other in (
        spec("EURJPY", digits=3),
        spec("GOLD", **terms),  # type: ignore[arg-type]
        spec("EURJPY", digits=3, margin_currency="USD", calculation="Forex"),
        spec("EURJPY", digits=3, margin_currency="EUR", calculation="CFD"),
    ):
        denial = refused(risks(), eurjpy(symbol=other), "162.100", D("162.500"))
        assert (denial.code, denial.numbers["pair"]) == ("NO_CONVERSION_RATE", "unknown→USD")


def test_fixed_risk_of_a_sell() -> None:
    order = risks(side=Side.SELL)
    assert sized(order, eurjpy(), "162.890", D("162.490")).lots == D("0.37")


def test_fixed_risk_of_a_reversed_buy_is_that_of_a_sell() -> None:
    order = risks(reverse_copy=True)
    assert sized(order, eurjpy(), "162.890", D("162.490")).lots == D("0.37")
    assert refused(order, eurjpy(), "162.100", D("162.490")).code == "NO_STOP"


def test_fixed_risk_of_a_pending_order_counts_from_its_trigger() -> None:
    order = places(OrderKind.SELL_LIMIT, "163.000", risk_type=RiskType.FIXED_RISK, risk_value=D(1))
    result = size(order, eurjpy(), D("163.400"), D("163.000"))
    assert isinstance(result, Sized)
    assert result.lots == D("0.37")


@pytest.mark.parametrize("stop", [None, "162.500", "162.900"])
def test_fixed_risk_needs_a_stop_on_the_losing_side(stop: str | None) -> None:
    assert refused(risks(), eurjpy(), stop, D("162.500")).code == "NO_STOP"


def test_fixed_risk_refuses_a_stop_nearer_than_spread_and_stop_level() -> None:
    """0.019 away with a spread of 0.010 and ten points of stop level: 52 lots for 100 dollars."""
    near = spec("EURJPY", digits=3, profit_currency="JPY", stops_level_points=10)
    denial = refused(risks(), eurjpy(symbol=near), "162.481", D("162.500"))
    assert denial.code == "STOPS_TOO_CLOSE"
    assert denial.numbers["nearest"] == "0.020"
    assert sized(risks(), eurjpy(symbol=near), "162.480", D("162.500")).lots == D("7.5")


def test_a_cent_account_has_the_masters_exposure() -> None:
    """50,000 cents are 500 dollars; 2.00 lots of 1,000 units on them are the master's four times."""
    order = opens("0.80", risk_type=RiskType.BALANCE_MULTIPLIER, master=context("20000"))
    result = sized(order, slave("50000", currency="USC", symbol=spec(contract="1000")))
    assert result.lots == D("2.00")
    assert result.numbers["contract_ratio"] == "100"
    assert result.numbers["ratio"] == "0.025"
    assert result.numbers["slave_money"] == "50000 USC"


def test_risk_multiply_overrides_whatever_risk_type_says() -> None:
    order = opens(
        "0.80",
        risk_type=RiskType.FIXED_LOT,
        risk_value=D(50),
        risk_multiply=D(2),
        master=context("20000"),
    )
    result = sized(order, slave("5000"))
    assert result.lots == D("0.40")
    assert result.numbers["rule"] == "BalanceMultiplier"


def test_risk_multiply_with_a_fixed_master_balance_uses_that() -> None:
    order = opens("0.80", risk_multiply=D(2), fixed_master_balance=D(10_000))
    result = sized(order, slave("2500"))
    assert result.lots == D("0.40")
    assert result.numbers["rule"] == "FixedBalanceMultiplier"


@pytest.mark.parametrize("rule", list(RiskType))
def test_the_refiner_is_the_last_factor_of_every_rule(rule: RiskType) -> None:
    value = D("0.37") if rule is RiskType.FIXED_LOT else D(1)
    plain = opens("0.40", risk_type=rule, risk_value=value)
    refined = opens("0.40", risk_type=rule, risk_value=value, lot_refiner=D("0.5"))
    before, after = (
        sized(order, eurjpy(), "162.100", D("162.500")).numbers["raw_lots"]
        for order in (plain, refined)
    )
    assert D(after) == D(before) / 2


def test_a_mappings_lots_override_all_sizing() -> None:
    mapping = SymbolMapping(master_symbol="A", slave_symbol="B", slave_lots=D("0.33"))
    order = opens("NaN", mapping=mapping, risk_value=D(-1), lot_refiner=D("0.5"))
    assert sized(order, slave(symbol=GOLD_10)).lots == D("0.33")


def test_a_mapping_of_no_lots_leaves_sizing_to_the_rule() -> None:
    mapping = SymbolMapping(master_symbol="A", slave_symbol="B", slave_lots=D(0))
    assert sized(opens("0.10", mapping=mapping), slave()).lots == D("0.10")


def test_contract_alignment_can_be_switched_off() -> None:
    order = opens("0.50", master=context(symbol=GOLD_100), contract_alignment=False)
    result = sized(order, slave(symbol=GOLD_10))
    assert result.lots == D("0.50")
    assert result.numbers["contract_ratio"] == "1"


# --- rounding and limits -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lots", "step"),
    [("0.29", "0.01"), ("0.07", "0.01"), ("0.57", "0.01"), ("0.3", "0.1"), ("1.15", "0.05")],
)
def test_volumes_that_binary_arithmetic_would_cut(lots: str, step: str) -> None:
    assert sized(opens(lots), slave(symbol=spec(lot=("0.01", "100", step)))).lots == D(lots)


def test_ratios_without_a_last_digit_cost_no_step() -> None:
    """10,000 / 30,000 of 0.03 lots is 0.01, and an inverse rate is no excuse either."""
    order = opens("0.03", risk_type=RiskType.BALANCE_MULTIPLIER, master=context("30000"))
    assert sized(order, slave("10000")).lots == D("0.01")
    inverse = {("EUR", "USD"): str(1 / D("0.9"))}
    order = opens("0.9", risk_type=RiskType.BALANCE_MULTIPLIER, master=context("10000"))
    assert sized(order, slave("10000", currency="EUR", rates=inverse)).lots == D("1.00")


@pytest.mark.parametrize(
    ("lots", "lot", "result"),
    [
        ("0.99", ("0.25", "100", "0.25"), "0.75"),
        ("0.34", ("0.05", "100", "0.05"), "0.30"),
        ("0.059", ("0.03", "100", "0.02"), "0.04"),
        ("3.7", ("1", "100", "1"), "3"),
        ("0.0059", ("0.001", "100", "0.001"), "0.005"),
    ],
)
def test_steps_that_are_no_power_of_ten(lots: str, lot: tuple[str, str, str], result: str) -> None:
    assert sized(opens(lots), slave(symbol=spec(lot=lot))).lots == D(result)


def test_volumes_are_floored_never_rounded_up() -> None:
    assert sized(opens("0.0199"), slave()).lots == D("0.01")


def test_round_volumes_are_written_without_an_exponent() -> None:
    assert str(sized(opens("100"), slave()).lots) == "100"


def test_below_the_minimum_is_skipped_with_the_numbers() -> None:
    denial = refused(opens("0.05", risk_value=D("0.1")), slave())
    assert denial.code == "BELOW_MIN_LOT"
    assert denial.numbers["raw_lots"] == "0.005"
    assert denial.numbers["lot_min"] == "0.01"
    assert denial.numbers["risk_at_minimum"] == "2"
    assert "forceMinLot" in denial.remedy


def test_what_the_cap_would_allow_is_not_lifted_unasked() -> None:
    denial = refused(opens("0.008"), slave())
    assert denial.code == "BELOW_MIN_LOT"
    assert denial.numbers["risk_at_minimum"] == "1.25"


def test_a_share_of_the_orders_lots_is_taken_before_the_step() -> None:
    result = size(opens("0.50"), slave(), None, ENTRY, D("0.3"))
    assert isinstance(result, Sized)
    assert result.lots == D("0.15")
    assert result.numbers["share_left"] == "0.3"


SMALL_GOLD = spec("XAUUSD", digits=2, contract="100", profit_currency="USD")
GOLD_QUOTE = quote("2400.00", "2400.20", "XAUUSD")


def test_force_min_lot_lifts_inside_its_risk_cap() -> None:
    """500 at 1 % and a stop 6.00 away: 0.0083 lots; the minimum risks 6 instead of 5."""
    order = risks(force_min_lot=True)
    to = slave("500", symbol=SMALL_GOLD, at=GOLD_QUOTE)
    result = sized(order, to, "2394.20", D("2400.20"))
    assert result.lots == D("0.01")
    assert result.numbers["forced"] == "min"
    assert result.numbers["risk_at_minimum"] == "1.2"
    assert result.numbers["raw_lots"] == "0.00833333"


def test_force_min_lot_refuses_ten_times_the_exposure() -> None:
    order = opens("0.01", risk_value=D("0.1"), force_min_lot=True)
    denial = refused(order, slave())
    assert denial.code == "BELOW_MIN_LOT"
    assert denial.numbers["risk_at_minimum"] == "10"
    assert denial.numbers["risk_cap"] == "1.5"
    assert "at most 1.5 times" in denial.remedy, "who has set it is told why it did not help"


def test_the_cap_itself_is_inside() -> None:
    minimum = slave(symbol=spec(lot=("0.03", "100", "0.01")))
    assert sized(opens("0.02", force_min_lot=True), minimum).lots == D("0.03")
    assert refused(opens("0.0199", force_min_lot=True), minimum).code == "BELOW_MIN_LOT"


def test_above_the_maximum_is_skipped_or_capped() -> None:
    small = slave(symbol=spec(lot=("0.01", "0.55", "0.1")))
    denial = refused(opens("0.80"), small)
    assert (denial.code, denial.numbers["lot_max"]) == ("ABOVE_MAX_LOT", "0.55")
    result = sized(opens("0.80", force_max_lot=True), small)
    assert (result.lots, result.numbers["forced"]) == (D("0.5"), "max")


def test_a_volume_limit_counts_what_is_open_in_that_direction() -> None:
    limited = spec(volume_limit=D("1.00"))
    assert sized(opens("0.40"), slave(symbol=limited, open_lots="0.60")).lots == D("0.40")
    denial = refused(opens("0.41"), slave(symbol=limited, open_lots="0.60"))
    assert denial.code == "VOLUME_LIMIT"
    assert (denial.numbers["open_lots"], denial.numbers["lots"]) == ("0.60", "0.41")


def test_a_volume_limit_of_none_is_no_limit() -> None:
    to = slave(symbol=spec(volume_limit=D(0)), open_lots="99")
    assert sized(opens("0.40"), to).lots == D("0.40")


# --- what is no volume at all ----------------------------------------------------------------------


@pytest.mark.parametrize("least", ["1E-999999", "1E-1000010", "1E-9999999"])
def test_a_number_too_small_to_divide_by_is_refused_and_breaks_nothing(least: str) -> None:
    """What it raised would be raised again at each restart, for all accounts of the partition."""
    fixed = opens(risk_type=RiskType.FIXED_BALANCE_MULTIPLIER, fixed_master_balance=D(least))
    assert refused(fixed, slave()).code == "MASTER_BALANCE_UNKNOWN"
    mapping = SymbolMapping(master_symbol="A", slave_symbol="B", slave_lots=D(least))
    lots = opens(risk_type=RiskType.FIXED_LOT, risk_value=D(least))
    for order in (opens(mapping=mapping), lots, opens(lot_refiner=D(least))):
        assert refused(order, slave()).code == "INVALID_VOLUME"


@pytest.mark.parametrize("lots", ["0", "-1", "NaN", "Infinity", "1000000000", "1E+999999"])
def test_masters_lots_that_are_none(lots: str) -> None:
    denial = refused(opens(lots), slave())
    assert denial.code == "INVALID_VOLUME"
    assert denial.numbers["master_lots"] == lots


def test_a_master_of_more_lots_than_any_broker_takes_is_a_mistake_whatever_the_factor() -> None:
    order = opens("100001", risk_value=D("0.0001"))
    assert refused(order, slave()).code == "INVALID_VOLUME"


@pytest.mark.parametrize("value", ["0", "-1", "NaN", "-Infinity", "1E+999999", "1E-999999"])
@pytest.mark.parametrize("rule", [RiskType.FIXED_LOT, RiskType.LOT_MULTIPLIER])
def test_risk_values_that_are_none(rule: RiskType, value: str) -> None:
    assert refused(opens(risk_type=rule, risk_value=D(value)), slave()).code in (
        "INVALID_VOLUME",
        "BELOW_MIN_LOT",
    )


def test_a_billion_fixed_lots_are_a_mistake_not_a_size_to_cap() -> None:
    order = opens(risk_type=RiskType.FIXED_LOT, risk_value=D(10) ** 9, force_max_lot=True)
    denial = refused(order, slave())
    assert (denial.code, denial.numbers["raw_lots"]) == ("INVALID_VOLUME", "1000000000")


@pytest.mark.parametrize("lots", ["-1", "NaN", "1000000000"])
def test_mapped_lots_that_are_none(lots: str) -> None:
    mapping = SymbolMapping(master_symbol="A", slave_symbol="B", slave_lots=D(lots))
    assert refused(opens(mapping=mapping), slave()).code == "INVALID_VOLUME"


@pytest.mark.parametrize("refiner", ["0", "-1", "NaN"])
def test_refiners_that_are_none(refiner: str) -> None:
    assert refused(opens(lot_refiner=D(refiner)), slave()).code == "INVALID_VOLUME"


def test_a_symbol_of_one_volume_is_opened_with_it() -> None:
    assert sized(opens("1"), slave(symbol=spec(lot=("1", "1", "1")))).lots == 1


@pytest.mark.parametrize(
    "lot", [("0.01", "100", "0"), ("0", "100", "0.01"), ("0.10", "0.05", "0.01"), ("1", "0", "1")]
)
def test_a_symbol_that_allows_no_volume_says_so(lot: tuple[str, str, str]) -> None:
    order = opens("5", force_min_lot=True, force_max_lot=True)
    denial = refused(order, slave(symbol=spec(lot=lot)))
    assert (denial.code, denial.numbers["lot_min"]) == ("INVALID_VOLUME", lot[0])


@pytest.mark.parametrize("balance", ["0", "-5", "NaN"])
@pytest.mark.parametrize("rule", ENOUGH)
def test_a_master_without_a_balance_is_never_divided_by(rule: RiskType, balance: str) -> None:
    denial = refused(opens(risk_type=rule, master=context(balance)), slave())
    assert denial.code == "MASTER_BALANCE_UNKNOWN"


@pytest.mark.parametrize("rule", [*ENOUGH, RiskType.FIXED_RISK])
def test_a_slave_without_a_balance_opens_nothing(rule: RiskType) -> None:
    assert refused(opens(risk_type=rule), slave("0"), "1.09").code == "SLAVE_BALANCE_UNKNOWN"


def test_a_fixed_master_balance_below_zero_is_not_the_live_one() -> None:
    order = opens(risk_multiply=D(1), fixed_master_balance=D(-1))
    assert refused(order, slave()).code == "MASTER_BALANCE_UNKNOWN"


@pytest.mark.parametrize("rule", ENOUGH)
def test_a_missing_rate_is_never_taken_for_one(rule: RiskType) -> None:
    denial = refused(opens(risk_type=rule), slave(currency="EUR"))
    assert (denial.code, denial.numbers["pair"]) == ("NO_CONVERSION_RATE", "EUR→USD")


def test_an_unknown_contract_size_is_never_taken_for_the_same() -> None:
    blind = context(symbol=spec(contract="0"))
    assert refused(opens(master=blind), slave()).code == "SYMBOL_MISMATCH"
    assert refused(opens(), slave(symbol=spec(contract="0"))).code == "SYMBOL_MISMATCH"


def test_the_numbers_tell_the_whole_calculation() -> None:
    order = opens(
        "0.80", risk_type=RiskType.BALANCE_MULTIPLIER, risk_value=D(2), master=context("20000")
    )
    numbers = sized(order, slave("5000", currency="EUR", rates={("EUR", "USD"): "1.10"})).numbers
    assert numbers == {
        "rule": "BalanceMultiplier",
        "risk_value": "2",
        "master_lots": "0.80",
        "lot_refiner": "1",
        "master_contract_size": "100000",
        "slave_contract_size": "100000",
        "contract_ratio": "1",
        "slave_money": "5000 EUR",
        "master_money": "20000 USD",
        "rate": "1.10",
        "ratio": "0.275",
        "raw_lots": "0.44",
        "lot_min": "0.01",
        "lot_max": "100",
        "lot_step": "0.01",
        "floored_lots": "0.44",
        "lots": "0.44",
    }


# --- margin ----------------------------------------------------------------------------------------


DEFAULT = CopierOptions()


def test_the_rule_books_margin_of_0_37_lots_passes() -> None:
    assert margin_check(D("0.37"), eurjpy(), D("400.83"), DEFAULT) is None


def test_a_fifth_of_the_equity_stays_free() -> None:
    """However large the balance is that the equity has fallen from."""
    to = slave(figures_=figures("2000", "1000", free_margin="600"))
    assert margin_check(D("0.37"), to, D("400"), DEFAULT) is None
    denial = margin_check(D("0.37"), to, D("400.01"), DEFAULT)
    assert denial is not None
    assert denial.code == "NOT_ENOUGH_MARGIN"
    assert denial.numbers["required"] == "400.01"
    assert (denial.numbers["reserve"], denial.numbers["estimated"]) == ("0.2", "false")


def test_a_floor_for_the_margin_level() -> None:
    to = slave(figures_=figures("2000", "1000", free_margin="900", margin="100"))
    options = CopierOptions(min_margin_level=D(300))
    assert margin_check(D(1), to, D("233"), options) is None
    denial = margin_check(D(1), to, D("234"), options)
    assert denial is not None
    assert (denial.code, denial.numbers["min_margin_level"]) == ("MARGIN_LEVEL", "300")
    assert denial.numbers["margin_level"] == "299.4011976"


def test_what_needs_no_margin_has_no_margin_level() -> None:
    options = CopierOptions(min_margin_level=D(300))
    assert margin_check(D(1), slave("1000"), D(0), options) is None


def test_a_margin_that_is_no_number_is_left_to_the_broker() -> None:
    assert margin_check(D(1), slave("1"), D("NaN"), DEFAULT) is None


MT4 = spec(margin_currency="EUR", margin_divider=D(100), calculation="Forex")


def test_on_mt4_margin_is_estimated_with_the_reserve_doubled() -> None:
    """One lot at a divider of 100: 1,000 EUR, 1,100 USD; two fifths of the equity stay free."""
    rates = {("EUR", "USD"): "1.10"}
    enough = slave(symbol=MT4, rates=rates, figures_=figures("1000", free_margin="1500"))
    assert margin_check(D(1), enough, None, DEFAULT) is None
    short = slave(symbol=MT4, rates=rates, figures_=figures("1000", free_margin="1499"))
    denial = margin_check(D(1), short, None, DEFAULT)
    assert denial is not None
    assert denial.code == "NOT_ENOUGH_MARGIN"
    assert denial.numbers["required"] == "1100"
    assert (denial.numbers["reserve"], denial.numbers["estimated"]) == ("0.4", "true")
    assert denial.numbers["estimated"] == "true"


def test_on_mt4_a_cfds_margin_is_taken_of_its_price() -> None:
    symbol = spec(
        "GER40", digits=1, contract="1", margin_currency="EUR", margin_divider=D(20),
        calculation="CFD",
    )  # fmt: skip
    to = slave("2000", currency="EUR", symbol=symbol, at=quote("18000.0", "18002.0", "GER40"))
    assert margin_check(D(1), to, None, DEFAULT) is None
    denial = margin_check(D(2), to, None, DEFAULT)
    assert denial is not None
    assert denial.numbers["required"] == "1800.2"
    dollars = slave("1000", symbol=symbol, at=to.quote, rates={("EUR", "USD"): "1.10"})
    converted = margin_check(D(1), dollars, None, DEFAULT)
    assert converted is not None
    assert converted.numbers["required"] == "990.11"


@pytest.mark.parametrize(
    ("name", "base", "price", "required"),
    [
        ("XAUUSD", "XAU", "2400.10", "48"),
        ("xauusd.m", "XAU", "2400.10", "48"),
        ("GOLD", "XAU", "2400.10", "48"),
        ("BTCUSD", "BTC", "60010", "1200"),
        ("EURUSD", "EUR", "1.10010", "0.022"),
        ("XAUUSD", "USD", "2400.10", "48.002"),
    ],
)
def test_on_mt4_the_margin_of_a_metal_or_a_pair_counts_its_price_once(
    name: str, base: str, price: str, required: str
) -> None:
    """0.02 lots are 2 ounces: at a divider of 100 they take 2 % of one ounce's price."""
    symbol = spec(
        name, digits=2, contract="100", margin_currency=base, margin_divider=D(100),
        calculation="CFD",
    )  # fmt: skip
    rates = {("XAU", "USD"): "2400", ("BTC", "USD"): "60000", ("EUR", "USD"): "1.10"}
    to = slave("0.01", symbol=symbol, at=quote("1", price, name), rates=rates)
    denial = margin_check(D("0.02"), to, None, DEFAULT)
    assert denial is not None
    assert denial.numbers["required"] == required


@pytest.mark.parametrize(
    ("name", "base", "profit"),
    [
        ("USDIDX", "USD", None),
        ("USDIDX", "USD", "USD"),
        ("usdidx.m", "USD", None),
        ("EURBND", "EUR", None),
        ("EURUSD50", "EUR", "EUR"),
    ],
)
def test_on_mt4_an_index_named_for_a_currency_is_no_pair(
    name: str, base: str, profit: str | None
) -> None:
    """0.02 lots of 1,000 at 105.50: 2,110, of which a divider of 20 takes 105.50."""
    symbol = spec(
        name, digits=3, contract="1000", margin_currency=base, margin_divider=D(20),
        profit_currency=profit, calculation="CFD",
    )  # fmt: skip
    to = slave("1", currency=base, symbol=symbol, at=quote("105.480", "105.500", name))
    denial = margin_check(D("0.02"), to, None, DEFAULT)
    assert denial is not None
    assert denial.numbers["required"] == "105.5"


@pytest.mark.parametrize(
    "symbol",
    [
        spec(),
        spec(margin_currency="EUR"),
        spec(margin_divider=D(100)),
        spec(margin_currency="GBP", margin_divider=D(100)),
        spec(margin_currency="EUR", margin_divider=D(1)),
    ],
)
def test_what_cannot_be_estimated_is_left_to_the_broker(symbol: object) -> None:
    to = slave("1", symbol=symbol, rates={("EUR", "USD"): "1.10"})  # type: ignore[arg-type]
    assert margin_check(D(50), to, None, DEFAULT) is None


UNTOLD = spec(margin_currency="EUR", margin_divider=D(1), calculation="Forex")
"""As most pairs of MT4: the account's leverage decides."""


def test_a_reserve_that_is_not_free_before_is_not_after_an_open_of_unknown_margin() -> None:
    beyond = slave(symbol=UNTOLD, figures_=figures("1000", free_margin="199", margin="801"))
    denial = margin_check(D("0.01"), beyond, None, DEFAULT)
    assert denial is not None
    assert (denial.code, denial.numbers["required"]) == ("NOT_ENOUGH_MARGIN", "unknown")
    assert (denial.numbers["reserve"], denial.numbers["free_margin"]) == ("0.2", "199")
    assert denial.numbers["estimated"] == "false"
    within = slave(symbol=UNTOLD, figures_=figures("1000", free_margin="200", margin="800"))
    assert margin_check(D("0.01"), within, None, DEFAULT) is None


def test_a_margin_level_below_its_floor_refuses_opens_of_unknown_margin() -> None:
    options = CopierOptions(min_margin_level=D(300))
    below = slave(symbol=UNTOLD, figures_=figures("1000", free_margin="600", margin="400"))
    denial = margin_check(D("0.01"), below, None, options)
    assert denial is not None
    assert (denial.code, denial.numbers["margin_level"]) == ("MARGIN_LEVEL", "250")
    above = slave(symbol=UNTOLD, figures_=figures("1000", free_margin="700", margin="300"))
    assert margin_check(D("0.01"), above, None, options) is None


@pytest.mark.parametrize(
    ("profit", "margin", "required"),
    [
        ("CFD", "CFD", "180.02"),
        ("CFD", "CfdLeverage", "180.02"),
        ("Forex", "CfdLeverage", "180.02"),
        ("Futures", "CFD", "180.02"),
        ("CFD", None, "180.02"),
        ("CFD", "Forex", "0.01"),
        ("CFD", "Futures", None),
        ("Futures", "Futures", None),
        ("CFD", "CfdIndex", None),
        ("Futures", None, None),
    ],
)
def test_on_mt4_margin_is_taken_by_its_own_calculation_not_by_the_profits(
    profit: str, margin: str | None, required: str | None
) -> None:
    """0.2 lots at a divider of 20: a hundredth, of the price (18,002) or of the units. A future's is of
    an amount, and an index's of a tick's price, that no bridge tells.
    """
    symbol = spec(
        "GER40", digits=1, contract="1", margin_currency="EUR", margin_divider=D(20),
        calculation=profit, margin_calculation=margin,
    )  # fmt: skip
    at = quote("18000.0", "18002.0", "GER40")
    to = slave(currency="EUR", symbol=symbol, at=at, figures_=figures("1000", free_margin="400"))
    denial = margin_check(D("0.2"), to, None, DEFAULT)
    assert (denial and denial.numbers["required"]) == required
