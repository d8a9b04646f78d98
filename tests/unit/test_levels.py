"""Stops, slippage and mirrored pending orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from copypro.codes import CODES, Denial
from copypro.messages import Context
from copypro.options import CopierOptions, StopMode
from copypro.trading import Quote, SymbolSpec
from copypro.values import AccountId, CopierId, CopyId, MessageId, OrderKind, Platform, RootId, Side
from copypro_account_watcher.planned.levels import (
    Levels,
    PendingLevels,
    levels,
    modified_levels,
    pending_levels,
    pip_size,
    round_price,
    slippage_check,
    wants_stop,
)
from copypro_account_watcher.state import Copy, Leg, Origin

from tests.unit.slave_builders import D, context, opens, places, quote, spec

EURUSD = spec()
INDEX = spec("US30", digits=1, contract="1")
OURS = quote("1.10000", "1.10002")


def set_at(result: Levels | Denial) -> tuple[str, str]:
    assert isinstance(result, Levels), result
    return str(result.stop_loss), str(result.take_profit)


def refused(result: object) -> Denial:
    assert isinstance(result, Denial), result
    assert result.code in CODES
    return result


def us30(bid: str, ask: str | None = None) -> Quote:
    return quote(bid, ask, "US30")


def index(bid: str) -> Context:
    return context(symbol=INDEX, at=us30(bid))


# --- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("digits", "pip"), [(5, "0.0001"), (3, "0.01"), (4, "0.0001"), (2, "0.01"), (1, "0.1")]
)
def test_a_pip_is_ten_points_where_a_fractional_digit_is_quoted(digits: int, pip: str) -> None:
    assert pip_size(spec(digits=digits)) == D(pip)


@pytest.mark.parametrize(
    ("digits", "tick", "price", "rounded"),
    [
        (2, "0.05", "13080.03", "13080.05"),
        (2, "0.05", "13080.02", "13080.00"),
        (2, "0.25", "5000.30", "5000.25"),
        (5, "0.00001", "1.100004", "1.10000"),
        (1, "0.5", "39000.2", "39000.0"),
        (0, "1", "22277.6", "22278"),
        (2, "0", "1.236", "1.24"),
    ],
)
def test_prices_are_rounded_to_the_tick_then_to_the_digits(
    digits: int, tick: str, price: str, rounded: str
) -> None:
    assert str(round_price(D(price), spec(digits=digits, tick=tick))) == rounded


# --- the modes ---------------------------------------------------------------------------------------


def test_on_one_server_prices_are_taken_as_they_are() -> None:
    order = opens(sl="1.09500", tp="1.11000", same_server=True)
    result = levels(order, EURUSD, quote("1.10005", "1.10007"))
    assert set_at(result) == ("1.09500", "1.11000")
    assert isinstance(result, Levels)
    assert result.offset == 0


def test_between_servers_stops_move_by_the_difference_of_the_feeds() -> None:
    """An index as cash here, as future there: 120 points apart for as long as both live."""
    order = opens(sl="38900.0", tp="39200.0", price="39000.0", master=index("39000.0"))
    result = levels(order, INDEX, us30("39120.0"))
    assert set_at(result) == ("39020.0", "39320.0")
    assert isinstance(result, Levels)
    assert result.offset == 120
    assert result.numbers["master_mid"] == "39000.0"
    assert result.numbers["slave_mid"] == "39120.0"


def test_a_mode_that_a_person_chose_overrides() -> None:
    at, ours = index("39000.0"), us30("39120.0")
    by_price = opens(sl="38900.0", price="39010.0", master=at, sl_mode=StopMode.PRICE)
    assert set_at(levels(by_price, INDEX, ours))[0] == "38900.0"
    by_distance = opens(sl="38900.0", price="39010.0", master=at, sl_mode=StopMode.DISTANCE)
    assert set_at(levels(by_distance, INDEX, ours))[0] == "39010.0"
    by_offset = opens(
        sl="38900.0", price="39000.0", master=at, sl_mode=StopMode.OFFSET, same_server=True
    )
    assert set_at(levels(by_offset, INDEX, ours))[0] == "39020.0"


def test_a_sells_distance_is_measured_upwards() -> None:
    order = opens(
        side=Side.SELL, sl="1.10500", tp="1.09000", price="1.10000", sl_mode=StopMode.DISTANCE
    )
    assert set_at(levels(order, EURUSD, quote("1.20000", "1.20002"))) == ("1.20500", "1.19000")


def test_a_quote_that_the_fill_left_behind_tells_no_difference_of_feeds() -> None:
    """A jump of the market triggered the master's order; its quote is of before."""
    order = opens(sl="38800.0", price="38900.0", master=index("39000.0"))
    result = levels(order, INDEX, us30("38900.0"))
    assert isinstance(result, Levels)
    assert (result.offset, result.stop_loss) == (0, D("38800.0"))


@pytest.mark.parametrize(("fill", "offset"), [("39006.0", 120), ("39006.1", 0)])
def test_a_fill_two_spreads_from_a_quote_is_still_of_it(fill: str, offset: int) -> None:
    wide = context(symbol=INDEX, at=us30("39000.0", "39002.0"))
    result = levels(opens(price=fill, master=wide), INDEX, us30("39120.0", "39122.0"))
    assert isinstance(result, Levels)
    assert result.offset == offset


def test_quotes_of_different_moments_tell_no_difference_of_feeds() -> None:
    """A market that moved 120 points while the order waited must not pass for another feed."""
    order = opens(sl="38900.0", price="39000.0", master=index("39000.0"))
    result = levels(order, INDEX, us30("39120.0"), master_quote_age_s=5.1)
    assert isinstance(result, Levels)
    assert (result.offset, result.stop_loss) == (0, D("38900.0"))
    assert refused(slippage_check(order, Side.BUY, us30("39120.0"), result.offset))


def test_without_the_masters_quote_prices_are_taken_as_they_are() -> None:
    blind = Context(figures=context().figures, currency="USD", spec=INDEX)
    order = opens(sl="38900.0", price="39000.0", master=blind)
    result = levels(order, INDEX, us30("39120.0"))
    assert isinstance(result, Levels)
    assert (result.offset, result.stop_loss) == (0, D("38900.0"))


def test_a_joined_trades_old_quote_tells_no_difference_of_feeds() -> None:
    old = context(at=quote("1.06000"))
    order = opens(sl="1.05000", price="1.06000", master=old, joined_at="1.09990")
    result = levels(order, EURUSD, OURS)
    assert isinstance(result, Levels)
    assert (result.offset, result.stop_loss) == (0, D("1.05000"))


def test_stops_are_on_the_slaves_tick() -> None:
    dax = spec("DE30", digits=2, tick="0.05")
    order = opens(sl="13080.03", price="13100.00", same_server=True)
    assert set_at(levels(order, dax, quote("13100.00", "13100.50")))[0] == "13080.05"


# --- options -----------------------------------------------------------------------------------------


def test_levels_are_copied_only_where_asked() -> None:
    order = opens(sl="1.09500", tp="1.11000", copy_sl=False, copy_tp=False)
    assert set_at(levels(order, EURUSD, OURS)) == ("None", "None")


def test_fixed_pips_take_the_place_of_a_level_that_is_not_copied() -> None:
    order = opens(
        sl="1.09500", tp="1.11000", copy_sl=False, copy_tp=False, fixed_sl_pips=30, fixed_tp_pips=60
    )
    assert set_at(levels(order, EURUSD, OURS)) == ("1.09702", "1.10602")


def test_fixed_pips_help_a_master_without_stops() -> None:
    order = opens(side=Side.SELL, fixed_sl_pips=30, fixed_tp_pips=60)
    assert set_at(levels(order, EURUSD, OURS)) == ("1.10300", "1.09400")


def test_fixed_pips_leave_a_copied_level_alone() -> None:
    order = opens(sl="1.09500", fixed_sl_pips=30, fixed_tp_pips=-5)
    assert set_at(levels(order, EURUSD, OURS)) == ("1.09500", "None")


@pytest.mark.parametrize(
    ("side", "pips", "stop", "target"),
    [
        (Side.BUY, 10, "1.09400", "1.11100"),
        (Side.BUY, -10, "1.09600", "1.10900"),
        (Side.SELL, 10, "1.10600", "1.08900"),
        (Side.SELL, -10, "1.10400", "1.09100"),
    ],
)
def test_a_refinement_moves_copied_levels_away_from_the_entry(
    side: Side, pips: int, stop: str, target: str
) -> None:
    sl, tp = ("1.09500", "1.11000") if side is Side.BUY else ("1.10500", "1.09000")
    order = opens(side=side, sl=sl, tp=tp, sl_refinement_pips=pips, tp_refinement_pips=pips)
    assert set_at(levels(order, EURUSD, OURS)) == (stop, target)


def test_a_refinement_beyond_the_market_is_widened_not_taken_for_a_dead_idea() -> None:
    order = opens(sl="1.09900", sl_refinement_pips=-50)
    result = levels(order, EURUSD, OURS)
    assert set_at(result)[0] == "1.09998"
    assert isinstance(result, Levels)
    assert result.numbers["stop_loss_wanted"] == "1.10400"


def test_a_stop_never_becomes_zero_which_a_bridge_takes_for_none() -> None:
    order = opens(fixed_sl_pips=20_000)
    assert set_at(levels(order, EURUSD, OURS))[0] == "0.00001"


# --- crossed and too near ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "stop", "bid", "ask", "is_dead"),
    [
        (Side.BUY, "1.09500", "1.09500", "1.09502", True),
        (Side.BUY, "1.09500", "1.09400", "1.09402", True),
        (Side.BUY, "1.09500", "1.09501", "1.09503", False),
        (Side.SELL, "1.10500", "1.10498", "1.10500", True),
        (Side.SELL, "1.10500", "1.10497", "1.10499", False),
    ],
)
def test_a_stop_that_the_slaves_price_has_crossed_is_a_dead_idea(
    side: Side, stop: str, bid: str, ask: str, is_dead: bool
) -> None:
    order = opens(side=side, sl=stop, same_server=True)
    result = levels(order, EURUSD, quote(bid, ask))
    assert isinstance(result, Denial) == is_dead
    if isinstance(result, Denial):
        assert result.code == "STOP_CROSSED"
        assert (result.numbers["bid"], result.numbers["ask"]) == (bid, ask)


@pytest.mark.parametrize(
    "settings",
    [{"copy_sl": False}, {"sl_mode": StopMode.DISTANCE}, {"reverse_copy": True}],
)
def test_the_idea_is_dead_however_its_stop_is_copied(settings: dict[str, Any]) -> None:
    order = opens(sl="1.09500", tp="1.11000", master=context(at=quote("1.09400")), **settings)
    assert refused(levels(order, EURUSD, quote("1.09400"))).code == "STOP_CROSSED"


def test_a_stop_inside_the_stop_level_is_widened_to_it() -> None:
    symbol = spec(stops_level_points=50)
    order = opens(sl="1.09980", tp="1.10020", same_server=True)
    result = levels(order, symbol, OURS)
    assert set_at(result) == ("1.09950", "1.10050")
    assert isinstance(result, Levels)
    assert result.numbers["stop_loss_wanted"] == "1.09980"
    assert result.numbers["take_profit_wanted"] == "1.10020"


def test_only_what_was_widened_is_told_as_it_was_wanted() -> None:
    for sl, tp, told in (("1.09980", "1.20000", "stop_loss"), ("1.05", "1.10020", "take_profit")):
        result = levels(opens(sl=sl, tp=tp, same_server=True), spec(stops_level_points=50), OURS)
        assert isinstance(result, Levels)
        assert [name for name in result.numbers if name.endswith("_wanted")] == [f"{told}_wanted"]


def test_a_sells_levels_are_measured_from_the_ask() -> None:
    symbol = spec(stops_level_points=50)
    order = opens(side=Side.SELL, sl="1.10020", tp="1.09980", same_server=True)
    assert set_at(levels(order, symbol, OURS)) == ("1.10052", "1.09952")


def test_a_level_exactly_at_the_stop_level_stays() -> None:
    symbol = spec(stops_level_points=50)
    order = opens(sl="1.09950", tp="1.10050", same_server=True)
    assert set_at(levels(order, symbol, OURS)) == ("1.09950", "1.10050")


def test_a_stop_level_of_nothing_still_leaves_one_spread() -> None:
    order = opens(sl="1.09995", tp="1.10005", same_server=True)
    assert set_at(levels(order, EURUSD, quote("1.10000", "1.10010"))) == ("1.09990", "1.10010")


def test_a_stop_that_is_widened_beyond_zero_is_the_lowest_price_there_is() -> None:
    cheap = quote("0.00030", "0.00032")
    order = opens(sl="0.00025", tp="0.00100", price="0.00032", same_server=True)
    assert set_at(levels(order, spec(stops_level_points=50), cheap))[0] == "0.00001"
    sold = opens(side=Side.SELL, sl="0.00100", tp="0.00025", price="0.00030", same_server=True)
    assert set_at(levels(sold, spec(stops_level_points=50), cheap))[1] == "0.00001"


def test_widening_rounds_away_from_the_market() -> None:
    """13,080.03 less five points is 13,079.98: on a tick of 0.05 that is 13,079.95."""
    dax = spec("DE30", digits=2, tick="0.05", stops_level_points=5)
    buy = opens(sl="13080.00", tp="13080.05", same_server=True)
    assert set_at(levels(buy, dax, quote("13080.03"))) == ("13079.95", "13080.10")
    sell = opens(side=Side.SELL, sl="13080.05", tp="13080.00", same_server=True)
    assert set_at(levels(sell, dax, quote("13080.03"))) == ("13080.10", "13079.95")


# --- reverse -------------------------------------------------------------------------------------------


def test_reverse_swaps_the_levels_by_their_distances() -> None:
    """A buy at 1.10002 with 0.005 to lose and 0.01 to win is a sell at 1.10000 the other way round."""
    order = opens(sl="1.09502", tp="1.11002", reverse_copy=True)
    assert set_at(levels(order, EURUSD, OURS)) == ("1.11000", "1.09500")


def test_reverse_of_a_sell() -> None:
    order = opens(side=Side.SELL, price="1.10000", sl="1.10500", tp="1.09000", reverse_copy=True)
    assert set_at(levels(order, EURUSD, OURS)) == ("1.09002", "1.10502")


def test_reverse_follows_a_stop_that_locks_a_profit() -> None:
    """The master's stop is past its entry: our target lies there too, on the losing side."""
    copy, leg = held(Side.SELL, "1.10000", "1.10002", sl="1.11002", tp="1.13002", reverse_copy=True)
    assert set_at(modified_levels(copy, leg, EURUSD, quote("1.12000"))) == ("1.13000", "1.11000")


@pytest.mark.parametrize("stop", [None, "1.09500"])
def test_reverse_of_a_master_without_a_target_is_refused(stop: str | None) -> None:
    denial = refused(levels(opens(sl=stop, reverse_copy=True), EURUSD, OURS))
    assert denial.code == "REVERSE_NO_STOP"
    assert "fixedSlPips" in denial.remedy


def test_reverse_with_a_stop_of_its_own_or_none_by_choice_is_not_refused() -> None:
    own = opens(sl="1.09502", reverse_copy=True, fixed_sl_pips=30)
    assert set_at(levels(own, EURUSD, OURS)) == ("1.10300", "1.09500")
    none = opens(sl="1.09502", tp="1.11002", reverse_copy=True, copy_sl=False)
    assert set_at(levels(none, EURUSD, OURS)) == ("None", "1.09500")


def test_a_master_without_a_stop_is_copied_without_one() -> None:
    assert set_at(levels(opens(tp="1.11002"), EURUSD, OURS)) == ("None", "1.11002")


def test_in_reverse_copying_no_targets_still_copies_the_stop() -> None:
    order = opens(sl="1.09502", tp="1.11002", reverse_copy=True, copy_tp=False)
    assert set_at(levels(order, EURUSD, OURS)) == ("1.11000", "None")


@pytest.mark.parametrize(
    ("sl", "tp", "settings", "wanted"),
    [
        ("1.09000", None, {}, True),
        (None, "1.11000", {}, False),
        ("1.09000", None, {"copy_sl": False}, False),
        (None, None, {"copy_sl": False, "fixed_sl_pips": 1}, True),
        (None, "1.11000", {"reverse_copy": True}, True),
        ("1.09000", None, {"reverse_copy": True}, False),
        (None, "1.11000", {"reverse_copy": True, "copy_sl": False}, False),
    ],
)
def test_a_copy_wants_a_stop_where_the_master_has_what_it_comes_from(
    sl: str | None, tp: str | None, settings: dict[str, Any], wanted: bool
) -> None:
    copy, _ = held(Side.BUY, "1.10002", "1.10002", sl=sl, tp=tp, **settings)
    assert wants_stop(copy) is wanted


# --- later modifies ------------------------------------------------------------------------------------


def held(
    side: Side,
    open_price: str,
    master_price: str,
    *,
    sl: str | None = None,
    tp: str | None = None,
    offset: str | None = None,
    stop_now: str | None = None,
    same_server: bool = False,
    **settings: Any,
) -> tuple[Copy, Leg]:
    leg = Leg(
        number=0,
        tag="T",
        open_price=D(open_price),
        master_price=D(master_price),
        offset=None if offset is None else D(offset),
        set_stop_loss=None if stop_now is None else D(stop_now),
    )
    copy = Copy(
        copy=CopyId("c"),
        copier=CopierId("f"),
        master=AccountId("a"),
        slave=AccountId("b"),
        root=RootId("r"),
        master_symbol="EURUSD",
        side=side,
        options=CopierOptions(**settings),
        same_server=same_server,
        magic=1,
        origin=Origin(MessageId("m"), MessageId("m")),
        legs=[leg],
        stop_loss=None if sl is None else D(sl),
        take_profit=None if tp is None else D(tp),
    )
    return copy, leg


def test_a_modify_uses_the_offset_that_was_fixed_at_copying() -> None:
    copy, leg = held(Side.BUY, "39120.0", "39000.0", sl="38950.0", tp="39300.0", offset="120.0")
    result = modified_levels(copy, leg, INDEX, us30("39200.0"))
    assert set_at(result) == ("39070.0", "39420.0")
    assert result.numbers["offset"] == "120.0"
    masters = result.numbers["master_stop_loss"], result.numbers["master_take_profit"]
    assert masters == ("38950.0", "39300.0")


def test_a_modify_by_distance_counts_from_both_entries() -> None:
    copy, leg = held(
        Side.BUY, "1.10010", "1.10000", sl="1.09500", offset="0.5", sl_mode=StopMode.DISTANCE
    )
    assert set_at(modified_levels(copy, leg, EURUSD, OURS))[0] == "1.09510"


def test_a_trailing_stop_that_the_slaves_price_has_passed_goes_as_near_as_may_be() -> None:
    copy, leg = held(Side.BUY, "1.09000", "1.09000", sl="1.10500", same_server=True)
    result = modified_levels(copy, leg, spec(stops_level_points=50), OURS)
    assert set_at(result)[0] == "1.09950"
    assert result.numbers["stop_loss_wanted"] == "1.10500"


def test_without_a_spread_a_stop_is_still_a_tick_away() -> None:
    copy, leg = held(Side.BUY, "1.09000", "1.09000", sl="1.10000", offset="0")
    assert set_at(modified_levels(copy, leg, EURUSD, quote("1.10000")))[0] == "1.09999"


def test_a_stop_as_near_as_may_be_is_not_moved_again_with_every_tick() -> None:
    symbol = spec(stops_level_points=50)
    copy, leg = held(
        Side.BUY, "1.09000", "1.09000", sl="1.10500", stop_now="1.09950", same_server=True
    )
    for bid, stop in (("1.10001", "1.09950"), ("1.09990", "1.09950"), ("1.10051", "1.10001")):
        assert set_at(modified_levels(copy, leg, symbol, quote(bid)))[0] == stop


def test_a_level_that_the_master_removes_is_removed() -> None:
    copy, leg = held(Side.BUY, "1.10002", "1.10002", stop_now="1.09000", same_server=True)
    assert set_at(modified_levels(copy, leg, EURUSD, OURS)) == ("None", "None")


def test_a_reverse_copy_keeps_its_stop_when_the_masters_target_goes() -> None:
    copy, leg = held(
        Side.SELL, "1.10000", "1.10002", sl="1.09502", stop_now="1.11000", reverse_copy=True
    )
    result = modified_levels(copy, leg, EURUSD, OURS)
    assert set_at(result) == ("1.11000", "1.09500")
    assert result.numbers["stop_loss_wanted"] == "None"


def test_a_modify_that_repeats_the_open_changes_nothing() -> None:
    order = opens(sl="38950.0", tp="39300.0", price="39000.0", master=index("39000.0"))
    opened = levels(order, INDEX, us30("39120.0"))
    assert isinstance(opened, Levels)
    copy, leg = held(
        Side.BUY, "39120.0", "39000.0", sl="38950.0", tp="39300.0", offset=str(opened.offset)
    )
    assert set_at(modified_levels(copy, leg, INDEX, us30("39125.0"))) == set_at(opened)


# --- slippage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "bid", "ask", "adverse", "passes"),
    [
        (Side.BUY, "1.10110", "1.10112", "0.00110", True),
        (Side.BUY, "1.10111", "1.10113", "0.00111", False),
        (Side.SELL, "1.09893", "1.09895", "0.00109", True),
        (Side.SELL, "1.09890", "1.09892", "0.00112", False),
        (Side.BUY, "1.09889", "1.09891", "-0.00111", False),
        (Side.SELL, "1.10120", "1.10122", "-0.00118", False),
        (Side.BUY, "1.10000", "1.10002", "0.00000", True),
        (Side.SELL, "1.10002", "1.10004", "0.00000", True),
    ],
)
def test_slippage_is_capped_at_a_thousandth_either_way(
    side: Side, bid: str, ask: str, adverse: str, passes: bool
) -> None:
    result = slippage_check(opens(side=side, price="1.10002"), side, quote(bid, ask), D(0))
    assert isinstance(result, dict) == passes
    numbers = result.numbers if isinstance(result, Denial) else result
    assert numbers["adverse"] == adverse


def test_three_spreads_are_the_cap_where_they_are_wider() -> None:
    order = opens(price="100.00")
    wide = slippage_check(order, Side.BUY, quote("100.10", "100.20"), D(0))
    assert isinstance(wide, dict)
    assert wide["max_slippage"] == "0.30"
    assert refused(slippage_check(order, Side.BUY, quote("100.21", "100.31"), D(0)))


def test_the_difference_of_the_feeds_is_no_slippage() -> None:
    order = opens(price="39000.0")
    assert isinstance(slippage_check(order, Side.BUY, us30("39120.0"), D(120)), dict)
    assert refused(slippage_check(order, Side.BUY, us30("39120.0"), D(0))).code == "SLIPPAGE"


def test_a_cap_that_a_person_set() -> None:
    order = opens(price="1.10000", max_slippage=D("0.00010"))
    assert isinstance(slippage_check(order, Side.BUY, quote("1.10010"), D(0)), dict)
    denial = refused(slippage_check(order, Side.BUY, quote("1.10011"), D(0)))
    assert denial.numbers["max_slippage"] == "0.00010"


def test_a_cap_that_is_no_number_is_the_usual_one() -> None:
    order = opens(price="1.10002", max_slippage=D("Infinity"))
    assert refused(slippage_check(order, Side.BUY, quote("1.10111", "1.10113"), D(0)))


def test_a_joined_trade_is_measured_from_the_market_it_was_joined_at() -> None:
    joined = opens(price="1.05000", joined_at="1.09990")
    result = slippage_check(joined, Side.BUY, OURS, D(0))
    assert isinstance(result, dict)
    assert result["adverse"] == str(OURS.ask - D("1.09990"))
    moved = opens(price="1.10000", joined_at="1.09000")
    denial = slippage_check(moved, Side.BUY, OURS, D(0))
    assert isinstance(denial, Denial)
    assert (denial.code, denial.numbers["master_price"]) == ("SLIPPAGE", "1.09000")


# --- pending orders ------------------------------------------------------------------------------------


def mirrored(
    kind: OrderKind,
    price: str,
    *,
    at: Quote = OURS,
    symbol: SymbolSpec = EURUSD,
    platform: Platform = Platform.MT5,
    offset: Decimal | None = None,
    **more: Any,
) -> PendingLevels | Denial:
    return pending_levels(places(kind, price, **more), symbol, at, platform, offset)


def test_a_pending_order_moves_with_its_levels_by_the_difference_of_the_feeds() -> None:
    order = places(
        OrderKind.BUY_LIMIT, "38900.0", sl="38800.0", tp="39100.0", master=index("39000")
    )
    result = pending_levels(order, INDEX, us30("39120.0"), Platform.MT5)
    assert isinstance(result, PendingLevels)
    assert (result.price, result.offset) == (D("39020.0"), D(120))
    assert set_at(result) == ("38920.0", "39220.0")
    assert result.kind is OrderKind.BUY_LIMIT


def test_a_stop_limits_limit_moves_by_the_difference_of_the_feeds_as_well() -> None:
    terms: dict[str, Any] = {"symbol": INDEX, "at": us30("39120.0"), "offset": D(120)}
    result = mirrored(OrderKind.BUY_STOP_LIMIT, "39200.0", stop_limit="39100.0", **terms)
    assert isinstance(result, PendingLevels)
    assert (result.price, result.stop_limit_price) == (D("39320.0"), D("39220.0"))


def test_a_pending_order_moves_later_by_the_offset_it_was_placed_with() -> None:
    result = mirrored(
        OrderKind.BUY_LIMIT, "38900.0", symbol=INDEX, at=us30("39500.0"), offset=D(120)
    )
    assert isinstance(result, PendingLevels)
    assert (result.price, result.offset) == (D("39020.0"), D(120))


@pytest.mark.parametrize(
    ("kind", "last_good", "too_near"),
    [
        (OrderKind.BUY_LIMIT, "1.09900", "1.09901"),
        (OrderKind.SELL_STOP, "1.09900", "1.09901"),
        (OrderKind.SELL_LIMIT, "1.10100", "1.10099"),
        (OrderKind.BUY_STOP, "1.10102", "1.10101"),
    ],
)
def test_triggers_keep_to_their_side_by_the_stop_level(
    kind: OrderKind, last_good: str, too_near: str
) -> None:
    symbol = spec(stops_level_points=100)
    assert isinstance(mirrored(kind, last_good, symbol=symbol), PendingLevels)
    denial = refused(mirrored(kind, too_near, symbol=symbol))
    assert (denial.code, denial.numbers["price"]) == ("PENDING_PRICE", too_near)


@pytest.mark.parametrize(
    ("master", "ours", "price"),
    [
        (OrderKind.BUY_LIMIT, OrderKind.SELL_STOP, "1.09000"),
        (OrderKind.SELL_LIMIT, OrderKind.BUY_STOP, "1.11000"),
        (OrderKind.BUY_STOP, OrderKind.SELL_LIMIT, "1.11000"),
        (OrderKind.SELL_STOP, OrderKind.BUY_LIMIT, "1.09000"),
    ],
)
def test_in_reverse_the_trigger_stays_and_the_levels_swap(
    master: OrderKind, ours: OrderKind, price: str
) -> None:
    sign = master.side.sign
    sl, tp = str(D(price) - sign * D("0.005")), str(D(price) + sign * D("0.010"))
    result = mirrored(master, price, sl=sl, tp=tp, reverse_copy=True)
    assert isinstance(result, PendingLevels)
    assert (result.kind, result.price) == (ours, D(price))
    assert set_at(result) == (tp, sl)


def test_a_reversed_pending_order_without_a_stop_is_refused() -> None:
    denial = refused(mirrored(OrderKind.BUY_LIMIT, "1.09000", sl="1.08000", reverse_copy=True))
    assert denial.code == "REVERSE_NO_STOP"


def test_mt4_has_no_stop_limit_orders_and_none_can_be_reversed() -> None:
    order: dict[str, Any] = {"stop_limit": "1.10900", "tp": "1.12"}
    assert isinstance(mirrored(OrderKind.BUY_STOP_LIMIT, "1.11000", **order), PendingLevels)
    for more in ({"platform": Platform.MT4}, {"reverse_copy": True}):
        denial = refused(mirrored(OrderKind.BUY_STOP_LIMIT, "1.11000", **order, **more))
        assert denial.code == "PENDING_KIND"


def test_a_stop_limits_levels_count_from_the_price_it_fills_at() -> None:
    result = mirrored(
        OrderKind.BUY_STOP_LIMIT,
        "1.11000",
        stop_limit="1.10900",
        fixed_sl_pips=30,
        fixed_tp_pips=60,
    )
    assert isinstance(result, PendingLevels)
    assert (result.stop_limit_price, *set_at(result)) == (D("1.10900"), "1.10600", "1.11500")


def test_a_pendings_stop_is_kept_away_from_its_trigger_not_from_the_market() -> None:
    symbol = spec(stops_level_points=100)
    result = mirrored(OrderKind.SELL_LIMIT, "1.12000", symbol=symbol, sl="1.12010", tp="1.11990")
    assert isinstance(result, PendingLevels)
    assert set_at(result) == ("1.12100", "1.11900")
