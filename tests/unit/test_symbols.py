"""Which symbol is meant, and whether it is the same thing; rates for the sizing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from copypro.affixes import MAJORS, PAIRS, Affix, learn_affix, names_of
from copypro.codes import CODES, Denial
from copypro.messages import Context
from copypro.options import RiskType, SymbolMapping
from copypro.trading import Quote, SymbolSpec
from copypro.values import Side
from copypro_account_watcher.planned.symbols import (
    Resolved,
    check_pair,
    conversion_symbols,
    conversions,
    rate_of,
    resolve,
)
from msgspec.structs import replace

from tests.unit.slave_builders import D, context, opens, quote, spec

FIVE = MAJORS[:5]


def broker(*others: str, prefix: str = "", suffix: str = "") -> tuple[str, ...]:
    """A broker's list: five majors with its affix, and others as they are."""
    return tuple(f"{prefix}{major}{suffix}" for major in FIVE) + others


def mapping(to: str) -> SymbolMapping:
    return SymbolMapping(master_symbol="EURUSD", slave_symbol=to)


def unresolved(result: Resolved | Denial) -> Denial:
    assert isinstance(result, Denial), result
    assert result.code in CODES
    return result


# --- by name ---------------------------------------------------------------------------------------


def test_a_persons_mapping_comes_before_the_same_name() -> None:
    names = broker("EURUSD.eco")
    assert resolve("EURUSD", mapping("EURUSD.eco"), names) == Resolved("EURUSD.eco", "mapping")


def test_a_mapping_to_nothing_is_not_replaced_by_a_guess() -> None:
    denial = unresolved(resolve("EURUSD", mapping("EURUSDx"), broker()))
    assert (denial.code, denial.numbers["mapped"]) == ("UNMAPPED_SYMBOL", "EURUSDx")


def test_two_accounts_with_the_same_list_share_what_was_found_in_it() -> None:
    names = broker("BTCUSD", suffix=".m")
    one, other = names_of(list(names)), names_of(list(names))
    assert (one is other, one == names, names_of(one) is one) == (True, True, True)
    found = resolve("EURUSD", None, one)
    assert found == Resolved("EURUSD.m", "affix")
    assert resolve("EURUSD", None, other) is found is resolve("EURUSD", None, names)


def test_a_list_that_changed_is_another_one() -> None:
    assert resolve("EURUSD", mapping("BTCUSD"), broker("BTCUSD")) == Resolved("BTCUSD", "mapping")
    denial = unresolved(resolve("EURUSD", mapping("BTCUSD"), broker("ETHUSD")))
    assert denial.code == "UNMAPPED_SYMBOL"


def test_the_same_name_comes_before_an_affix() -> None:
    names = (*broker(suffix=".m"), "EURUSD")
    assert resolve("EURUSD", None, names) == Resolved("EURUSD", "exact")


@pytest.mark.parametrize(
    ("prefix", "suffix"), [("", ".m"), ("", "pro"), ("", "c"), ("#", ""), ("", "+"), ("m.", ".r")]
)
def test_an_affix_is_learned_from_five_majors_and_used_for_all_symbols(
    prefix: str, suffix: str
) -> None:
    gold = f"{prefix}XAUUSD{suffix}"
    names = broker(gold, prefix=prefix, suffix=suffix)
    assert learn_affix(names) == Affix(prefix, suffix)
    assert resolve("XAUUSD", None, names) == Resolved(gold, "affix")
    assert resolve(FIVE[0], None, names) == Resolved(f"{prefix}{FIVE[0]}{suffix}", "affix")


def test_four_majors_prove_nothing() -> None:
    names = tuple(f"{major}.m" for major in MAJORS[:4])
    assert learn_affix(names) is None
    denial = unresolved(resolve("EURUSD", None, names))
    assert (denial.code, denial.numbers["proposal"]) == ("UNMAPPED_SYMBOL", "EURUSD.m")


def test_two_groups_of_majors_are_asked_about() -> None:
    names = broker(suffix=".m") + broker(suffix=".mini")
    assert learn_affix(names) is None
    denial = unresolved(resolve("EURUSD", None, names))
    assert denial.code == "AMBIGUOUS_SYMBOL"
    assert denial.numbers["candidates"] == "EURUSD.m, EURUSD.mini"


@pytest.mark.parametrize("master", ["EURUSDm", "EURUSD.r", "EURUSDpro", "#EURUSD", "m.EURUSD+"])
def test_a_masters_own_affix_around_a_major_is_seen_through(master: str) -> None:
    assert resolve(master, None, broker()) == Resolved("EURUSD", "affix")
    assert resolve(master, None, broker(suffix=".x")) == Resolved("EURUSD.x", "affix")


@pytest.mark.parametrize("master", ["AUDCADm", "GBPNZD.r", "#CADJPY", "m.NZDCHF+", "EURAUD_SB"])
def test_it_is_around_any_pair_of_the_eight_currencies(master: str) -> None:
    pair = next(pair for pair in PAIRS if pair in master)
    assert resolve(master, None, broker(pair)) == Resolved(pair, "affix")
    theirs = broker(f"{pair}.x", suffix=".x")
    assert resolve(master, None, theirs) == Resolved(f"{pair}.x", "affix")


@pytest.mark.parametrize("master", ["USDCNHm", "EURTRY.r", "AUDCADT", "BTCUSDm", "XAUEUR.r"])
def test_it_is_around_nothing_else(master: str) -> None:
    theirs = ("USDCNH", "EURTRY", "AUDCAD", "BTCUSD", "XAUEUR")
    assert unresolved(resolve(master, None, broker(*theirs))).code == "UNMAPPED_SYMBOL"


@pytest.mark.parametrize(
    "master", ["EURUSDT", "EURUSDTx", "EURUSD2", "XEURUSD", "aXEURUSD", "EURUSDC"]
)
def test_letters_that_make_another_name_are_never_taken_off(master: str) -> None:
    denial = unresolved(resolve(master, None, broker()))
    assert (denial.code, denial.numbers["proposal"]) == ("UNMAPPED_SYMBOL", "EURUSD")


def test_of_other_symbols_nothing_is_taken_off() -> None:
    denial = unresolved(resolve("XAUUSD.r", None, broker("XAUUSD")))
    assert (denial.code, denial.numbers["proposal"]) == ("UNMAPPED_SYMBOL", "XAUUSD")


def test_another_letter_case_is_another_name() -> None:
    """EURUSDc is a cent contract at one broker, EURUSDC a coin at another."""
    denial = unresolved(resolve("US30c", None, broker("US30C")))
    assert (denial.code, denial.numbers["proposal"]) == ("UNMAPPED_SYMBOL", "US30C")


@pytest.mark.parametrize(
    ("master", "theirs"),
    [
        ("GOLD", "XAUUSD"),
        ("XAUUSD", "GOLD"),
        ("US30", "DJ30"),
        ("GER40", "DAX40"),
        ("XBRUSD", "UKOIL"),
    ],
)
def test_an_alias_is_proposed_never_taken(master: str, theirs: str) -> None:
    denial = unresolved(resolve(master, None, broker(theirs)))
    assert (denial.code, denial.numbers["proposal"]) == ("UNMAPPED_SYMBOL", theirs)
    assert "mapping" in denial.remedy


def test_an_alias_is_proposed_with_the_slaves_affix() -> None:
    names = broker("XAUUSD.m", suffix=".m")
    assert unresolved(resolve("GOLD", None, names)).numbers["proposal"] == "XAUUSD.m"


def test_an_alias_is_proposed_where_no_affix_is_proven() -> None:
    assert unresolved(resolve("GOLD", None, ("XAUUSD",))).numbers["proposal"] == "XAUUSD"


def test_a_name_that_the_masters_holds_is_proposed_if_it_is_long_enough_to_tell() -> None:
    assert unresolved(resolve("GER40.cash", None, ("GER40",))).numbers["proposal"] == "GER40"
    assert unresolved(resolve("CASH40.x", None, ("CASH",))).numbers["proposal"] == "none"


@pytest.mark.parametrize(
    ("master", "theirs"),
    [
        ("US30.cash", "DJ30"),
        ("DJ30", "US30Cash"),
        ("US30", "[DJI30]"),
        ("GER40.cash", "DE40"),
        ("DAX40", "GER40Cash"),
        ("US100.cash", "NAS100"),
        ("NDX100", "USTECm"),
        ("USOIL.cash", "XTIUSD"),
        ("UKOIL", "BRENT"),
        ("JPN225", "JP225Cash"),
        ("NATGAS", "XNGUSD"),
        ("GOLD#", "XAUUSD"),
        ("GOLDmicro", "XAUUSD.m"),
        ("EUR/USD", "EURUSD"),
        ("EUR_USD", "EURUSD"),
        ("BTCUSD", "BTC/USD"),
        ("US30Cash", "US30.cash"),
        ("US30.cash", "US30"),
    ],
)
def test_other_brokers_ways_of_writing_are_proposed_never_taken(master: str, theirs: str) -> None:
    denial = unresolved(resolve(master, None, broker(theirs)))
    assert (denial.code, denial.numbers["proposal"]) == ("UNMAPPED_SYMBOL", theirs)


@pytest.mark.parametrize(
    ("master", "theirs"), [("GOLDMAN", "XAUUSD"), ("XAUUSD", "MARIGOLD"), ("DJ300", "US30")]
)
def test_an_alias_within_another_name_is_none(master: str, theirs: str) -> None:
    assert unresolved(resolve(master, None, broker(theirs))).numbers["proposal"] == "none"


def test_nothing_alike_proposes_nothing() -> None:
    assert unresolved(resolve("COCOA", None, broker())).numbers["proposal"] == "none"
    assert unresolved(resolve("COCOA", None, ())).numbers["proposal"] == "none"


# --- the same thing ----------------------------------------------------------------------------------


def checked(
    theirs: SymbolSpec,
    ours: SymbolSpec,
    their_quote: Quote | None,
    our_quote: Quote,
    how: str = "exact",
    currency: str = "USD",
    rates: dict[tuple[str, str], Decimal] | None = None,
    **more: Any,
) -> Any:
    master = Context(figures=context().figures, currency="USD", spec=theirs, quote=their_quote)
    return check_pair(master, ours, our_quote, how, currency, rates or {}, **more)


def euro(**more: Any) -> SymbolSpec:
    return spec(**({"profit_currency": "USD", "margin_currency": "EUR"} | more))


AT = quote("1.10000", "1.10002")


def test_the_same_symbol_passes_with_every_check_on_record() -> None:
    numbers = checked(euro(), euro(tick_value=D(1)), AT, AT)
    assert numbers == {
        "symbol": "EURUSD",
        "how": "exact",
        "master_contract_size": "100000",
        "slave_contract_size": "100000",
        "tick_value": "1",
        "tick_value_expected": "1.000000",
        "price_off": "0.000000",
        "price_tolerance": "0.005",
        "check_contract": "pass",
        "check_profit_currency": "pass",
        "check_base_currency": "pass",
        "check_class": "unknown",
        "check_tick_value": "pass",
        "check_price": "pass",
    }


def test_mt4_tells_little_and_that_is_recorded_as_unknown() -> None:
    mt4 = spec(margin_currency="EUR", calculation="Forex")
    numbers = checked(euro(), mt4, AT, AT)
    unknown = {name for name, value in numbers.items() if value == "unknown"}
    assert unknown == {"check_profit_currency", "check_class", "check_tick_value"}


FAILURES = {
    "check_profit_currency": (euro(), euro(name="EURUSDT", profit_currency="USDT"), AT),
    "check_base_currency": (euro(), euro(name="GBPUSD", margin_currency="GBP"), AT),
    "check_class": (euro(calculation="CFD"), euro(calculation="Futures"), AT),
    "check_tick_value": (euro(), euro(tick_value=D("0.01")), AT),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_difference_of_terms_is_refused_until_a_person_maps_it(name: str) -> None:
    theirs, ours, at = FAILURES[name]
    denial = checked(theirs, ours, AT, at)
    assert isinstance(denial, Denial)
    assert (denial.code, denial.numbers["failed"]) == ("SYMBOL_MISMATCH", name)
    confirmed = checked(theirs, ours, AT, at, how="mapping")
    assert isinstance(confirmed, dict)
    assert confirmed[name] == "fail"


@pytest.mark.parametrize("how", ["exact", "affix", "mapping"])
def test_without_a_contract_size_nothing_passes(how: str) -> None:
    for theirs, ours in ((euro(contract="0"), euro()), (euro(), euro(contract="0"))):
        denial = checked(theirs, ours, AT, AT, how=how)
        assert isinstance(denial, Denial)
        assert (denial.code, denial.numbers["check_contract"]) == ("SYMBOL_MISMATCH", "unknown")


def test_another_contract_size_is_no_mismatch_but_is_told() -> None:
    numbers = checked(euro(), euro(contract="1000"), AT, AT)
    assert (numbers["master_contract_size"], numbers["slave_contract_size"]) == ("100000", "1000")


def test_gold_differs_in_the_currency_of_its_margin_and_is_gold_all_the_same() -> None:
    theirs = spec("XAUUSD", digits=2, contract="100", profit_currency="USD", margin_currency="XAU")
    ours = spec("XAUUSD", digits=2, contract="100", profit_currency="USD", margin_currency="USD")
    at = quote("2400.00", "2400.20", "XAUUSD")
    numbers = checked(theirs, ours, at, at)
    assert numbers["check_base_currency"] == "unknown"


@pytest.mark.parametrize(
    ("name", "margin", "profit", "result"),
    [
        ("EURUSD", "EUR", None, "pass"),
        ("EURPLN", "EUR", "PLN", "pass"),
        ("EURPLN.r", "eur", "pln", "pass"),
        ("EURUSD", "USD", "USD", "unknown"),
        ("EURPLN", "PLN", "PLN", "unknown"),
        ("EURPLN", "EUR", None, "unknown"),
        ("EURPLN", "USD", "PLN", "unknown"),
        ("EURIDX", "EUR", "USD", "unknown"),
    ],
)
def test_the_margins_currency_is_a_pairs_base_where_its_name_says_so(
    name: str, margin: str, profit: str | None, result: str
) -> None:
    pair = spec(name, margin_currency=margin, profit_currency=profit)
    assert checked(pair, pair, AT, AT)["check_base_currency"] == result


INDEX = spec("US30", digits=1, contract="1")
PLN: dict[str, Any] = {"margin_currency": "EUR", "profit_currency": "PLN"}


@pytest.mark.parametrize(
    ("theirs", "their_bid", "our_bid", "result"),
    [
        (euro(), "1.10000", "1.10540", "pass"),
        (euro(), "1.10000", "1.10560", "fail"),
        (spec("XAUUSD", digits=2), "2400.00", "2412.10", "fail"),
        (spec("USDTRY", calculation="Forex"), "30.0000", "30.2000", "fail"),
        (spec("EURPLN", **PLN), "4.3000", "4.3300", "fail"),
        (INDEX, "39000.0", "39770.0", "pass"),
        (spec("USDIDX", digits=3, profit_currency="USD"), "105.000", "106.000", "pass"),
        (INDEX, "39000.0", "39790.0", "fail"),
        (INDEX, "39000.0", "3900.0", "fail"),
    ],
)
def test_live_prices_must_agree(
    theirs: SymbolSpec, their_bid: str, our_bid: str, result: str
) -> None:
    found = checked(theirs, theirs, quote(their_bid), quote(our_bid))
    numbers = found.numbers if isinstance(found, Denial) else found
    assert numbers["check_price"] == result
    assert isinstance(found, Denial) == (result == "fail")


def test_a_mapping_confirms_another_expiry_but_never_another_scale() -> None:
    future = checked(INDEX, INDEX, quote("39000.0"), quote("40200.0"), how="mapping")
    assert future["check_price"] == "pass"
    wrong = checked(INDEX, INDEX, quote("39000.0"), quote("3900.0"), how="mapping")
    assert isinstance(wrong, Denial)
    assert wrong.numbers["failed"] == "check_price"
    assert wrong.numbers["price_off"] == "0.900000"


@pytest.mark.parametrize("how", ["exact", "affix"])
def test_a_price_that_cannot_be_compared_is_not_a_pass(how: str) -> None:
    denial = checked(euro(), euro(), None, AT, how=how)
    assert isinstance(denial, Denial)
    assert (denial.numbers["check_price"], denial.numbers["failed"]) == ("unknown", "check_price")


def test_a_mapping_confirms_a_price_that_cannot_be_compared() -> None:
    assert checked(euro(), euro(), None, AT, how="mapping")["check_price"] == "unknown"


def test_where_the_look_had_no_quote_the_masters_fill_is_its_price() -> None:
    assert checked(euro(), euro(), None, AT, master_price=D("1.10010"))["check_price"] == "pass"
    denial = checked(euro(), euro(), None, AT, master_price=D("11.0010"))
    assert isinstance(denial, Denial)


@pytest.mark.parametrize("our_quote", [quote("0"), quote("1.2", "1.1"), quote("-1", "1")])
@pytest.mark.parametrize("how", ["exact", "mapping"])
def test_a_quote_that_is_none_is_refused(our_quote: Quote, how: str) -> None:
    """An unselected symbol answers with zero prices."""
    denial = checked(euro(), euro(), None, our_quote, how=how)
    assert isinstance(denial, Denial)
    assert denial.code == "STALE_QUOTE"


def test_the_tick_value_of_another_currency_is_converted() -> None:
    ours = spec("EURJPY", digits=3, profit_currency="JPY", tick_value=D("0.68"))
    at = quote("162.490", "162.500")
    good = checked(ours, ours, at, at, rates={("JPY", "USD"): 1 / D(150)})
    assert (good["check_tick_value"], good["tick_value_expected"]) == ("pass", "0.666667")
    assert checked(ours, ours, at, at)["check_tick_value"] == "unknown"


def test_a_tick_of_no_size_says_nothing_of_its_value() -> None:
    """Bridges leave it out while a symbol's data load."""
    numbers = checked(euro(), euro(tick="0", tick_value=D(1)), AT, AT)
    assert numbers["check_tick_value"] == "unknown"


def test_the_tick_value_tells_cents_from_dollars() -> None:
    """1,000 units a lot and a tick of one: right in cents, a hundred times too much in dollars."""
    cent = euro(contract="1000", tick_value=D(1))
    assert checked(euro(), cent, AT, AT, currency="USC")["check_tick_value"] == "pass"
    denial = checked(euro(), cent, AT, AT, currency="USD")
    assert isinstance(denial, Denial)
    assert denial.numbers["failed"] == "check_tick_value"


# --- rates -------------------------------------------------------------------------------------------


def test_rates_are_read_never_assumed() -> None:
    rates = {("EUR", "USD"): D("1.1"), ("GBP", "USD"): D(0), ("CHF", "USD"): D("NaN")}
    assert rate_of(rates, "EUR", "USD") == D("1.1")
    assert rate_of(rates, "USD", "USD") == 1
    for unknown in (("USD", "EUR"), ("GBP", "USD"), ("CHF", "USD"), ("JPY", "USD")):
        assert rate_of(rates, *unknown) is None


def test_a_hundred_cents_are_one_of_their_currency() -> None:
    rates = {("EUR", "USD"): D("1.1"), ("USD", "EUR"): D("0.9")}
    assert rate_of({}, "USC", "USD") == D("0.01")
    assert rate_of({}, "USD", "USC") == 100
    assert rate_of({}, "USC", "USC") == 1
    assert rate_of(rates, "USC", "EUR") == D("0.009")
    assert rate_of(rates, "EUC", "USC") == D("1.1")
    assert rate_of({}, "USC", "EUR") is None


def test_an_order_names_the_rates_that_it_will_need() -> None:
    ratio = opens(risk_type=RiskType.EQUITY_MULTIPLIER)
    yen = spec("EURJPY", profit_currency="JPY")
    assert conversions(ratio, yen, "EUR") == {("EUR", "USD"), ("JPY", "EUR")}
    assert conversions(opens(risk_multiply=D(1)), spec(), "EUR") == {("EUR", "USD")}
    assert conversions(opens(), spec(), "EUR") == set()
    assert conversions(opens(side=Side.SELL), euro(), "USD") == set()


def test_a_mapped_symbols_ticks_need_a_rate_on_the_masters_side_as_well() -> None:
    ours, theirs = euro(), euro(tick_value=D("0.9"))
    order = opens(mapping=mapping("EURUSD"), master=context(symbol=theirs, currency="EUR"))
    assert conversions(order, ours, "USD") == {("USD", "EUR")}
    unseen = Context(figures=context().figures, currency="EUR", spec=None)
    assert conversions(replace(order, context=unseen), ours, "USD") == set()


def test_mt4s_margin_needs_a_rate_too() -> None:
    mt4 = spec(margin_currency="EUR", margin_divider=D(100))
    assert conversions(opens(), mt4, "USD") == {("EUR", "USD")}


def test_cents_need_no_rate_of_their_own() -> None:
    ratio = opens(risk_type=RiskType.BALANCE_MULTIPLIER)
    assert conversions(ratio, euro(), "USC") == set()
    assert conversions(ratio, euro(), "EUC") == {("EUR", "USD"), ("USD", "EUR")}


@pytest.mark.parametrize(
    ("pair", "names", "path"),
    [
        (("EUR", "USD"), broker(), [("EURUSD", False)]),
        (("USD", "EUR"), broker(), [("EURUSD", True)]),
        (("JPY", "EUR"), ("EURUSD", "USDJPY"), [("USDJPY", True), ("EURUSD", True)]),
        (("EUR", "USD"), broker(suffix=".m"), [("EURUSD.m", False)]),
        (("EUR", "USD"), broker(suffix=".a") + broker(suffix=".b"), [("EURUSD.a", False)]),
        (("USC", "EUR"), broker(), [("EURUSD", True)]),
        (("CZK", "HUF"), ("EURCZK", "EURHUF"), [("EURCZK", True), ("EURHUF", False)]),
        (("EUR", "TRY"), broker(), []),
        (("EUR", "USD"), (), []),
    ],
)
def test_a_rates_symbols(
    pair: tuple[str, str], names: tuple[str, ...], path: list[tuple[str, bool]]
) -> None:
    assert conversion_symbols(pair, names) == path
