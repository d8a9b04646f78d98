"""A copy from its order to its end: accepted, stepped, answered."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from copypro import messages as m
from copypro.errors import OutcomeUnknown, Refused
from copypro.options import RiskType, StopMode
from copypro.trading import (
    CloseRequest,
    Done,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
    TradeMode,
)
from copypro.values import (
    CopyId,
    Mode,
    OrderKind,
    Platform,
    Side,
    Ticket,
)
from copypro_account_watcher.alarms import alarms
from copypro_account_watcher.planned.accepting import about, accept, deny, detach
from copypro_account_watcher.planned.live import (
    Live,
    NeedFigures,
    NeedList,
    NeedMargin,
    NeedNames,
    NeedQuote,
    NeedRate,
    NeedSpec,
)
from copypro_account_watcher.planned.step import Asks, Denies, Queues, Rests, Sends, Waits
from copypro_account_watcher.planned.steps import next_step
from copypro_account_watcher.settled import outcomes
from copypro_account_watcher.state import (
    Attempt,
    Copy,
    Leg,
    LegStatus,
    as_now,
)
from msgspec.structs import replace

from tests.unit.slave_builders import (
    LIMITS,
    ORIGIN,
    SEEN_AT,
    TICKET,
    TIMES,
    D,
    attempt,
    context,
    figures,
    live,
    modify,
    opens,
    places,
    quote,
    reduce,
    spec,
    standing,
    wanted,
)


def close_order(reason: str = "MASTER_FLAT") -> m.CloseCopy:
    copy = wanted()
    return m.CloseCopy(copy=copy.copy, slave=copy.slave, reason=reason, forget=True)


# --- what is sent -------------------------------------------------------------------------------


def test_a_fresh_order_with_everything_known_is_sent_with_its_tag_and_numbers() -> None:
    copy = wanted()
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert step.kind == "open"
    request = step.request
    assert isinstance(request, OpenRequest)
    assert (request.lots, request.symbol, request.comment) == (
        D("0.10"),
        "EURUSD",
        copy.legs[0].tag,
    )
    assert D(step.numbers["lots"]) == D("0.10")
    assert step.quote is not None


def test_a_slippage_that_means_any_is_a_number_that_a_bridge_can_read() -> None:
    """One that does not fit is answered with a bad request, and the open counts as unclear."""
    step = next_step(wanted(max_slippage=D("100000")), live())
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    assert step.request.slippage_points == 2**31 - 1


def test_terms_without_a_point_break_nothing() -> None:
    """Bridges leave it out while a symbol's data load; its tick is known by its digits."""
    bare = live()
    bare.learn_spec(msgspec.structs.replace(spec(), point=D(0), tick_size=D(0)))
    step = next_step(wanted(max_slippage=D("0.00110")), bare)
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    assert step.request.slippage_points == 110


def test_what_is_not_known_is_asked_for_and_nothing_is_guessed() -> None:
    unknown = live(known=False)
    assert next_step(wanted(), unknown) == Asks((NeedNames(),))
    unknown.learn_names(("EURUSD",))
    step = next_step(wanted(), unknown)
    assert isinstance(step, Asks)
    assert set(step.needs) == {NeedSpec("EURUSD"), NeedQuote("EURUSD"), NeedFigures()}
    unknown.learn_quote(quote("1.10000", "1.10002"))
    assert next_step(wanted(), unknown) == Asks((NeedSpec("EURUSD"), NeedFigures()))
    unknown.learn_figures(figures("10000"))
    assert next_step(wanted(), unknown) == Asks((NeedSpec("EURUSD"),))
    unknown.learn_spec(spec())
    unknown.mono += LIMITS.quote_age_s
    unknown.learn_quote(quote("1.10000", "1.10002"))
    unknown.mono += LIMITS.figures_age_s
    assert next_step(wanted(), unknown) == Asks((NeedQuote("EURUSD"), NeedFigures()))


@pytest.mark.parametrize(
    ("ours", "theirs", "balance", "others", "lots"),
    [
        ("EUR", "USD", "10000", {}, "0.55"),
        ("USD", "EUR", "11100", {}, "0.50"),
        ("JPY", "EUR", "3030000", {"USDJPY": "150"}, "0.91"),
        ("GBP", "JPY", "200", {"GBPUSD": "1.25", "USDJPY": "160"}, "2.00"),
    ],
)
def test_money_is_converted_by_what_the_slaves_broker_quotes(
    ours: str, theirs: str, balance: str, others: dict[str, str], lots: str
) -> None:
    """Each pair the way round that it is quoted, by the middle of its two prices: EURUSD at 1.10."""
    master = context("20000", currency=theirs)
    copy, market = wanted(lots="1.00", risk_type=RiskType.BALANCE_MULTIPLIER, master=master), live()
    market.currency = ours
    market.learn_names(("EURUSD", *others))
    market.learn_figures(figures(balance))
    market.learn_margin("EURUSD", Side.BUY, D(1))
    if others:
        assert next_step(copy, market) == Asks(tuple(NeedRate(name) for name in others))
    for name, middle in others.items():
        market.learn_quote(quote(str(D(middle) - 1), str(D(middle) + 1), name))
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    assert step.request.lots == D(lots)


def test_a_symbol_that_an_old_list_lacks_is_looked_for_in_a_new_one() -> None:
    """Brokers add symbols, and a session may last for weeks."""
    copy, market = wanted(symbol="NEWUSD"), live()
    assert isinstance(next_step(copy, market), Denies), "the list is of just now"
    market.mono += LIMITS.spec_age_s + 1
    market.learn_figures(figures("10000"))
    assert next_step(copy, market) == Asks((NeedNames(),))
    market.learn_names(("EURUSD", "NEWUSD"))
    assert next_step(copy, market) == Asks((NeedSpec("NEWUSD"), NeedQuote("NEWUSD")))


def test_an_open_waits_its_turn_behind_another_and_not_beyond_its_life() -> None:
    busy = live()
    busy.opening = m.CopyId("another")
    copy = wanted(max_age_s=5)
    assert next_step(copy, busy) == Queues(SEEN_AT + timedelta(seconds=5))
    busy.now += timedelta(seconds=5)
    step = next_step(copy, busy)
    assert isinstance(step, Denies)
    assert (step.denial.code, step.denial.numbers["age_s"]) == ("EXPIRED", "5.000")


def test_a_symbol_that_its_user_switched_off_is_not_opened() -> None:
    copy, market = wanted(), live()
    assert market.account is not None
    (mine,) = market.account.registrations.values()
    copy.registration, mine.symbols = mine.registration, m.SymbolChoice(off=("EURUSD",))
    step = next_step(copy, market)
    assert isinstance(step, Denies)
    assert step.denial.code == "SYMBOL_OFF"


def test_only_fresh_terms_refuse_a_symbol_for_what_its_ticks_are_worth() -> None:
    """A tick's value moves with the market."""
    copy, market = wanted(), live()
    other = spec(profit_currency="USD", tick_value=D(2))
    market.learn_spec(other)
    market.mono += 2
    assert next_step(copy, market) == Asks((NeedSpec("EURUSD"),))
    market.learn_spec(other)
    step = next_step(copy, market)
    assert isinstance(step, Denies)
    assert step.denial.numbers["failed"] == "check_tick_value"


def test_a_margin_that_is_not_told_is_not_asked_for_once_more_for_other_lots() -> None:
    """Its equity moves while it is asked for: an open that is sized by it was asked about until too late."""
    copy, market = wanted(sl="1.09902", risk_type=RiskType.FIXED_RISK), live()
    market.mono += LIMITS.margin_age_s + 1
    market.learn_spec(spec(profit_currency="USD"))
    market.learn_quote(quote("1.10000", "1.10002"))
    market.learn_figures(figures("10000"))
    step = next_step(copy, market)
    assert isinstance(step, Asks)
    (need,) = step.needs
    assert isinstance(need, NeedMargin)
    market.learn_missing(need)
    market.learn_figures(figures("12000"))
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    assert step.request.lots != need.lots


def test_an_open_of_unknown_age_is_too_old() -> None:
    copy = wanted()
    assert copy.legs[0].order is not None
    copy.legs[0].order = replace(copy.legs[0].order, fresh_from_utc=None)
    step = next_step(copy, live())
    assert isinstance(step, Denies)
    assert (step.denial.code, step.denial.numbers["age_s"]) == ("EXPIRED", "unknown")


def test_a_close_waits_for_no_back_off_of_what_was_wanted_before() -> None:
    whole, part = standing(copy_sl=False), standing(copy_sl=False)
    whole.not_before_utc = part.not_before_utc = SEEN_AT + timedelta(seconds=60)
    accept(whole, close_order(), ORIGIN, SEEN_AT)
    accept(part, reduce(part, "0.5"), ORIGIN, SEEN_AT)
    for copy in (whole, part):
        step = next_step(copy, live())
        assert isinstance(step, Sends)
        assert step.kind == "close"


def test_a_close_waits_for_no_open() -> None:
    busy = live()
    busy.opening = m.CopyId("another")
    copy = standing()
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    step = next_step(copy, busy)
    assert isinstance(step, Sends)
    assert step.kind == "close"


def test_nothing_is_sent_while_an_attempt_is_under_way_or_unresolved() -> None:
    copy = standing()
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    copy.attempt = attempt("open", None)
    assert next_step(copy, live()) == Rests()
    copy.attempt.unresolved_at_utc = SEEN_AT
    assert next_step(copy, live()) == Rests()


def test_on_netting_an_open_waits_for_the_copy_that_is_being_closed_and_not_for_another() -> None:
    """A reversal: the old lifecycle's copy goes, then the excess opens."""
    netting = live(mode=Mode.NETTING)
    netting.held = {"EURUSD": CopyId("9" * 32)}
    step = next_step(wanted(), netting)
    assert isinstance(step, Denies)
    assert step.denial.code == "NETTING_SHARED"
    netting.leaving = {CopyId("9" * 32)}
    assert next_step(wanted(), netting) == Waits(SEEN_AT + timedelta(seconds=LIMITS.room_poll_s))
    netting.held = {}
    assert isinstance(next_step(wanted(), netting), Sends)


def test_an_open_that_the_master_closed_meanwhile_is_never_sent() -> None:
    copy = wanted()
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    step = next_step(copy, live())
    assert isinstance(step, Denies)
    assert step.denial.code == "MASTER_FLAT"


@pytest.mark.parametrize(("bid", "ask"), [("1.09860", "1.09862"), ("1.10140", "1.10142")])
def test_what_the_market_moves_between_two_tries_is_not_how_the_feeds_differ(
    bid: str, ask: str
) -> None:
    """The offset is fixed at copy time, and slippage counts from there."""
    copy = wanted()
    first = next_step(copy, live())
    assert isinstance(first, Sends)
    offset = first.numbers["offset"]
    moved = live(age_s=0.3)
    moved.learn_quote(quote(bid, ask))
    again = next_step(copy, moved)
    assert isinstance(again, Denies)
    assert again.denial.code == "SLIPPAGE"
    assert copy.legs[0].offset == D(offset)
    moved.learn_quote(quote("1.10010", "1.10012"))
    again = next_step(copy, moved)
    assert isinstance(again, Sends)
    assert again.numbers["offset"] == offset


@pytest.mark.parametrize(("max_age_s", "until_s"), [(60, 5), (3, 3)])
def test_an_open_that_is_refused_for_now_waits_and_not_beyond_its_life(
    max_age_s: int, until_s: int
) -> None:
    copy = wanted(max_age_s=max_age_s)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    copy.attempt = attempt("open", step.request)
    refused(copy, copy.attempt, "LOCKED")
    copy.not_before_utc = SEEN_AT + timedelta(seconds=5)
    assert next_step(copy, live()) == Waits(SEEN_AT + timedelta(seconds=until_s))


def test_what_the_market_moves_while_a_copier_delays_is_not_how_the_feeds_differ() -> None:
    copy, later = wanted(trade_delay_ms=6000), live(age_s=6)
    later.learn_quote(quote("1.10140", "1.10142"))
    step = next_step(copy, later)
    assert isinstance(step, Denies)
    assert (step.denial.code, step.denial.numbers["adverse"]) == ("SLIPPAGE", "0.00140")


def test_a_delayed_copier_waits_so_long() -> None:
    step = next_step(wanted(trade_delay_ms=700), live(age_s=0.5))
    assert step == Waits(SEEN_AT + timedelta(milliseconds=700))
    assert isinstance(next_step(wanted(trade_delay_ms=700), live(age_s=0.7)), Sends)


@pytest.mark.parametrize(
    ("fraction", "lots", "piece"),
    [("0.75", "0.07", "0.02"), ("0.5", "0.07", "0.04"), ("0.25", "0.07", "0.06")],
)
def test_a_reduction_closes_down_to_the_cumulative_target(
    fraction: str, lots: str, piece: str
) -> None:
    """Floor of the original times the fraction that is left."""
    copy = standing(lots, copy_sl=False)
    order = m.ReduceCopy(copy=copy.copy, slave=copy.slave, fraction=D(fraction))
    accept(copy, order, ORIGIN, SEEN_AT)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert isinstance(step.request, CloseRequest)
    assert step.request.lots == D(piece)
    assert step.expected_lots == D(lots) - D(piece)
    assert step.request.price == D("1.10000"), "a buy is closed at the bid"
    assert step.quote == quote("1.10000", "1.10002")
    assert (step.numbers["why"], step.numbers["fraction"]) == ("master reduced", fraction)


def test_a_close_is_told_with_its_reason() -> None:
    copy = standing()
    accept(copy, close_order("MASTER_TakeProfit"), ORIGIN, SEEN_AT)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert (step.numbers["why"], step.numbers["fraction"]) == ("MASTER_TakeProfit", "0")


def test_a_reduction_that_the_list_shows_already_waits_for_its_deal() -> None:
    copy, market = standing(copy_sl=False), live()
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    market.positions = {TICKET: position("0.05")}
    soon = timedelta(seconds=LIMITS.later_close_first_s)
    assert next_step(copy, market) == Waits(SEEN_AT + soon)


@pytest.mark.parametrize(("shown", "is_within"), [("0.20", True), ("0.21", False)])
@pytest.mark.parametrize("kind", [OrderKind.BUY, OrderKind.BUY_LIMIT])
def test_a_symbols_limit_counts_what_stands_of_it_on_that_side(
    kind: OrderKind, shown: str, is_within: bool
) -> None:
    """Positions and orders, and on hedging nothing else is asked of them."""
    copy, market = wanted(), live()
    market.learn_spec(spec(volume_limit=D("0.30")))
    others = {"symbol": "GBPUSD"}, {"kind": OrderKind.SELL}
    orders = [replace(position("5"), ticket=Ticket(at), **each) for at, each in enumerate(others)]
    market.looked([replace(position(shown), kind=kind), *orders], market.mono)
    step = next_step(copy, market)
    if is_within:
        assert isinstance(step, Sends)
        assert (step.numbers["open_lots"], step.numbers["volume_limit"]) == (shown, "0.30")
    else:
        assert isinstance(step, Denies)
        assert step.denial.code == "VOLUME_LIMIT"


@pytest.mark.parametrize(
    ("mode", "opened"),
    [
        (TradeMode.FULL, (Side.BUY, Side.SELL)),
        (TradeMode.LONG_ONLY, (Side.BUY,)),
        (TradeMode.SHORT_ONLY, (Side.SELL,)),
        (TradeMode.CLOSE_ONLY, ()),
        (TradeMode.DISABLED, ()),
    ],
)
def test_a_symbol_is_traded_on_the_sides_that_its_broker_opens_and_closed_on_both(
    mode: TradeMode, opened: tuple[Side, ...]
) -> None:
    market = live()
    market.learn_spec(spec(trade_mode=mode))
    for side in Side:
        price = "1.10002" if side.is_buy else "1.10000"
        step = next_step(wanted(side=side, price=price), market)
        if side in opened:
            assert isinstance(step, Sends)
        else:
            assert isinstance(step, Denies)
            assert step.denial.code == "TRADE_DISABLED"
            assert step.denial.numbers["mode"] == mode.value
        copy = standing(side=side)
        accept(copy, close_order(), ORIGIN, SEEN_AT)
        assert isinstance(next_step(copy, market), Sends)


def test_a_stop_set_while_the_rest_has_no_ticket_yet_is_set_once_it_has() -> None:
    """MT4 gives the rest of a partial close another ticket, which only the next look shows."""
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss, copy.legs[0].moved = D("1.05"), True
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    assert next_step(copy, live()) == Rests()
    copy.legs[0].moved = False
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert step.kind == "modify"


def test_a_stop_that_the_master_moved_before_our_open_is_what_that_is_sized_by() -> None:
    """Sized by the former one, whose 10 pips were not even crossed, it would risk five times as much."""
    copy = wanted(sl="1.09902", risk_type=RiskType.FIXED_RISK, trade_delay_ms=500)
    accept(copy, modify(copy, "1.09502"), ORIGIN, SEEN_AT)
    market = live(age_s=1)
    market.learn_spec(spec(profit_currency="USD"))
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    assert (step.request.stop_loss, step.request.lots) == (D("1.09502"), D("0.2"))
    copy.attempt = attempt("open", step.request)
    answer = Done(ticket=TICKET, lots=D("0.2"), price=D("1.10002"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert next_step(copy, market) == Rests()


@pytest.mark.parametrize(
    ("level_points", "stop", "lots"),
    [(0, "1.09999", None), (0, "1.09998", "25"), (50, "1.09951", None), (50, "1.09950", "1.92")],
)
def test_a_stop_that_had_to_be_widened_is_no_risk_to_size_by(
    level_points: int, stop: str, lots: str | None
) -> None:
    """So near a stop is noise: as near as the broker takes one it would be 25 lots for 100 dollars."""
    copy, market = wanted(sl=stop, risk_type=RiskType.FIXED_RISK), live()
    market.learn_spec(spec(profit_currency="USD", stops_level_points=level_points))
    market.learn_margin("EURUSD", Side.BUY, D("100"))
    step = next_step(copy, market)
    if lots is None:
        assert isinstance(step, Denies)
        assert step.denial.code == "STOPS_TOO_CLOSE"
        assert step.denial.numbers["stop_loss"] == f"{D(stop):.5f}"
    else:
        assert isinstance(step, Sends)
        assert isinstance(step.request, OpenRequest)
        assert step.request.lots == D(lots)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"risk_type": RiskType.FIXED_RISK}, "NO_STOP"),
        ({"reverse_copy": True}, "REVERSE_NO_STOP"),
    ],
)
def test_a_stop_that_the_copy_needs_may_be_set_a_moment_after_the_open(
    options: dict[str, Any], code: str
) -> None:
    """As where the master's broker takes stops only afterwards."""
    copy, limit = wanted(**options), timedelta(seconds=LIMITS.stop_wait_s)
    assert next_step(copy, live(age_s=1)) == Waits(SEEN_AT + limit)
    hurried = wanted(max_age_s=2, **options)
    assert next_step(hurried, live(age_s=1)) == Waits(SEEN_AT + timedelta(seconds=2))
    late = next_step(copy, live(age_s=LIMITS.stop_wait_s))
    assert isinstance(late, Denies)
    assert late.denial.code == code
    levels = replace(modify(copy, "1.09502"), take_profit=D("1.11"))
    accept(copy, levels, ORIGIN, SEEN_AT)
    market = live(age_s=2)
    market.learn_spec(spec(profit_currency="USD"))
    assert isinstance(next_step(copy, market), Sends)


def test_a_former_stop_of_the_masters_is_no_reason_to_open_nothing() -> None:
    copy = wanted(sl="1.10050")
    accept(copy, modify(copy, "1.09000"), ORIGIN, SEEN_AT)
    assert isinstance(next_step(copy, live()), Sends)


def test_what_the_master_closed_before_our_open_is_not_opened() -> None:
    """And what it closes after it is taken from what was opened."""
    copy = wanted(lots="1.00", copy_sl=False)
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    assert step.request.lots == D("0.50")
    copy.attempt = attempt("open", step.request)
    answer = Done(ticket=TICKET, lots=D("0.50"), price=D("1.1"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert next_step(copy, live()) == Rests()
    accept(copy, reduce(copy, "0.25"), ORIGIN, SEEN_AT)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert isinstance(step.request, CloseRequest)
    assert step.request.lots == D("0.25")


def test_what_its_owner_took_off_and_nothing_told_yet_is_not_closed_once_more() -> None:
    """The list shows it before its deal does: the rest follows from what the list showed."""
    copy, market = standing(strict_close=True), live()
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    market.positions = {TICKET: position("0.08")}
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    copy.attempt = attempt("close", step.request, expected=step.expected_lots)
    copy.attempt.held_lots = step.held_lots
    answer = Done(ticket=TICKET, lots=D("0.03"), price=D("1.1"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert next_step(copy, market) == Rests()
    assert copy.legs[0].lots == D("0.05")


def test_a_list_of_after_our_last_call_on_hedging_is_what_is_held() -> None:
    """A ticket there grows by nothing: one that shows fewer lots is of later, or its owner's doing."""
    copy, market = standing(copy_sl=False), live()
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    market.positions, market.just_changed = {TICKET: position("0.08")}, {TICKET: market.mono}
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    assert isinstance(step.request, CloseRequest)
    assert step.request.lots == D("0.03")


@pytest.mark.parametrize(("shown", "first"), [("0.18", "0.08"), ("0.10", "0.10")])
def test_netting_a_leg_closes_no_lots_of_the_copys_other_ones(shown: str, first: str) -> None:
    """Its owner took some off the position: those are missing at the leg that is closed first. A list
    that shows nothing of it at all is none to close by.
    """
    copy, netting = standing(), live(mode=Mode.NETTING)
    other = replace(opens(), leg=1)
    accept(copy, other, ORIGIN, SEEN_AT)
    leg = copy.legs[1]
    leg.status, leg.ticket, leg.order = LegStatus.OPEN, TICKET, None
    leg.original_lots = leg.lots = D("0.10")
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    netting.positions = {TICKET: position(shown)}
    step = next_step(copy, netting)
    assert isinstance(step, Sends)
    assert isinstance(step.request, CloseRequest)
    assert step.request.lots == D(first)


def test_never_more_is_closed_than_the_broker_shows() -> None:
    copy = standing("0.50")
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    netting = live(mode=Mode.NETTING)
    netting.positions = {TICKET: position("0.30")}
    step = next_step(copy, netting)
    assert isinstance(step, Sends)
    assert isinstance(step.request, CloseRequest)
    assert step.request.lots in (None, D("0.30")), "all of it, and no flip"


def position(lots: str) -> OpenOrder:
    return OpenOrder(
        ticket=TICKET,
        symbol="EURUSD",
        kind=OrderKind.BUY,
        lots=D(lots),
        open_price=D("1.1"),
        opened_at_broker=datetime(2026, 9, 14, 10),
    )


@pytest.mark.parametrize("options", [{"sl": "1.05"}, {"tp": "1.2", "reverse_copy": True}])
def test_a_leg_without_the_masters_stop_is_closed_in_time(options: dict[str, Any]) -> None:
    copy = standing(**options)
    copy.settled_levels = None
    assert isinstance(next_step(copy, live()), Sends), "first it is tried"
    copy.not_before_utc, copy.not_before_for = SEEN_AT + timedelta(seconds=60), "modify"
    assert next_step(copy, live()) == Waits(SEEN_AT + timedelta(seconds=LIMITS.stops_within_s))
    step = next_step(copy, live(age_s=LIMITS.stops_within_s))
    assert isinstance(step, Sends)
    assert (step.kind, copy.closing) == ("close", "STOP_NOT_SET")
    assert copy.closing_since_utc == SEEN_AT + timedelta(seconds=LIMITS.stops_within_s)


def test_what_waits_to_be_opened_is_not_without_a_stop() -> None:
    copy = wanted(sl="1.05", trade_delay_ms=50_000)
    for age_s in (0.0, LIMITS.stops_within_s, LIMITS.stops_within_s * 2):
        assert next_step(copy, live(age_s=age_s)) == Waits(SEEN_AT + timedelta(seconds=50))
    assert copy.closing == ""


def test_nothing_is_read_for_a_copy_that_is_as_it_should_be() -> None:
    assert next_step(standing(sl="1.05", copy_sl=False), live(known=False)) == Rests()


def test_a_stop_is_set_by_what_is_read_for_it_alone() -> None:
    copy, market = standing(sl="1.05"), live()
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    market.mono += LIMITS.quote_age_s + 1
    assert next_step(copy, market) == Asks((NeedQuote("EURUSD"),))
    market.learn_missing(NeedQuote("EURUSD"))
    step = next_step(copy, market)
    assert isinstance(step, Waits)
    assert step.until > market.now


@pytest.mark.parametrize("status", [LegStatus.OPEN, LegStatus.PLACED])
def test_nothing_is_closed_without_a_session(status: LegStatus) -> None:
    copy, off = standing(), live()
    copy.legs[0].status, off.connected = status, False
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    assert next_step(copy, off) == Rests()
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    assert next_step(copy, off) == Rests()


def test_what_is_wanted_anew_is_tried_from_the_start() -> None:
    copy = standing(sl="1.05")
    copy.tries, copy.corrections, copy.refusal = 3, 2, ("modify", "INVALID_STOPS")
    copy.first_try_at_utc = copy.not_before_utc = SEEN_AT
    copy.legs[0].levels_refused = True
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    assert (copy.tries, copy.corrections, copy.refusal) == (0, 0, None)
    assert (copy.first_try_at_utc, copy.not_before_utc) == (None, None)
    assert not copy.legs[0].levels_refused


def test_time_without_a_session_does_not_count_against_a_leg_without_a_stop() -> None:
    copy = standing(sl="1.05")
    copy.settled_levels = None
    next_step(copy, live())
    off = live(age_s=3600)
    off.connected = False
    assert next_step(copy, off) == Rests()
    step = next_step(copy, live(age_s=3601))
    assert isinstance(step, Sends)
    assert step.kind == "modify"


def test_a_close_of_a_leg_without_a_stop_that_is_refused_waits_and_does_not_spin() -> None:
    copy = standing(sl="1.05")
    copy.settled_levels = None
    next_step(copy, live())
    late_s = LIMITS.stops_within_s
    step = next_step(copy, live(age_s=late_s))
    assert isinstance(step, Sends)
    copy.attempt = attempt("close", step.request, expected=D(0))
    at = SEEN_AT + timedelta(seconds=late_s)
    error = Refused("MARKET_CLOSED", "")
    outcomes.refused(copy, copy.attempt, error, Platform.MT5, at, LIMITS, TIMES)
    assert next_step(copy, live(age_s=late_s + 1)) == Waits(at + timedelta(seconds=5))


def test_a_partial_close_that_fails_does_not_keep_a_leg_without_a_stop_alive() -> None:
    copy = standing(sl="1.05")
    copy.settled_levels = None
    next_step(copy, live())
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    copy.not_before_utc = SEEN_AT + timedelta(seconds=60)
    step = next_step(copy, live(age_s=LIMITS.stops_within_s))
    assert isinstance(step, Sends)
    assert (step.kind, copy.closing) == ("close", "STOP_NOT_SET")


def test_a_stop_that_waited_for_a_price_waits_for_no_back_off_of_a_close() -> None:
    copy, market = standing(sl="1.05"), live()
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    market.mono += LIMITS.quote_age_s + 1
    assert isinstance(next_step(copy, market), Asks)
    assert copy.levels_late_since_utc == SEEN_AT
    copy.not_before_utc, copy.not_before_for = SEEN_AT + timedelta(seconds=60), "close"
    market.learn_quote(quote("1.10000", "1.10002"))
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    assert step.kind == "modify"


def test_a_partial_close_that_fails_for_long_is_told_until_it_is_done() -> None:
    copy = standing("0.10")
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    copy.attempt = attempt("close", step.request, expected=step.expected_lots)
    refused(copy, copy.attempt, "TRADE_DISABLED")
    long_after = SEEN_AT + timedelta(seconds=LIMITS.close_alert_after_s)
    assert alarms(copy, SEEN_AT, LIMITS) == ({}, long_after)
    alarm = alarms(copy, long_after, LIMITS)[0]["close"]
    assert alarm.code == "CLOSE_FAILS"
    assert alarm.text.endswith(": the broker answered TRADE_DISABLED")
    copy.attempt = attempt("close", step.request, expected=step.expected_lots)
    answer = Done(ticket=TICKET, lots=D("0.05"), price=D("1.1"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert next_step(copy, live(age_s=1)) == Rests()
    assert alarms(copy, long_after, LIMITS) == ({}, None)


def test_a_partial_close_that_is_refused_holds_back_no_stop() -> None:
    """Some brokers never take one: what is left must be protected as the master's is."""
    copy = standing("0.10", sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    copy.attempt = attempt("close", step.request, expected=step.expected_lots)
    refused(copy, copy.attempt, "FIFO_CLOSE")
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert step.kind == "close", "the master's change is a reason to try again"
    copy.attempt = attempt("close", step.request, expected=step.expected_lots)
    refused(copy, copy.attempt, "FIFO_CLOSE")
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert isinstance(step.request, ModifyRequest)
    assert step.request.stop_loss == D("1.06")


def test_a_leg_that_waits_holds_back_no_stop_of_what_stands() -> None:
    copy = standing("0.10", sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    accept(copy, msgspec.structs.replace(opens(sl="1.06"), leg=1), ORIGIN, SEEN_AT)
    busy = live()
    busy.opening = CopyId("another")
    step = next_step(copy, busy)
    assert isinstance(step, Sends)
    assert isinstance(step.request, ModifyRequest)
    assert step.request.stop_loss == D("1.06")
    copy.attempt = attempt("modify", step.request)
    refused(copy, copy.attempt, "LOCKED")
    assert next_step(copy, busy) == Waits(SEEN_AT + timedelta(seconds=5)), "then it is tried again"


@pytest.mark.parametrize(("delay_s", "until_s"), [(1, 1), (20, 5)])
def test_what_is_due_first_is_waited_for(delay_s: int, until_s: int) -> None:
    """A leg by its copier's delay, the stop of what stands by its broker's refusal."""
    copy = standing("0.10", sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    copy.attempt = attempt("modify", step.request)
    refused(copy, copy.attempt, "LOCKED")
    copy.legs.append(Leg(number=1, tag="t", order=opens(sl="1.06", trade_delay_ms=delay_s * 1000)))
    assert next_step(copy, live()) == Waits(SEEN_AT + timedelta(seconds=until_s))


def test_a_reduction_whose_terms_are_not_to_be_had_asks_again_a_little_later() -> None:
    """Not at once, over and over: a bridge answers so many reads only."""
    copy = standing("0.10")
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    unknown = live(known=False)
    assert next_step(copy, unknown) == Asks((NeedSpec("EURUSD"),))
    for need in (NeedSpec("EURUSD"), NeedQuote("EURUSD")):
        unknown.learn_missing(need)
    step = next_step(copy, unknown)
    assert isinstance(step, Waits)
    assert step.until > unknown.now


def test_time_without_a_session_does_not_count_either_while_a_stop_is_unanswered() -> None:
    """Nor does that of a process that was down: what it left behind is settled by the first look."""
    copy = standing(sl="1.05")
    copy.settled_levels = None
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    copy.attempt = attempt("modify", step.request)
    off = live(age_s=3600)
    off.connected = False
    assert next_step(copy, off) == Rests()
    copy.attempt = None
    again = next_step(copy, live(age_s=3601))
    assert isinstance(again, Sends)
    assert again.kind == "modify"


def test_a_stop_by_distance_is_moved_as_far_from_our_entry_as_from_the_masters() -> None:
    """Ours was filled 0.00008 above the master's: its stop is as much above the master's as well."""
    copy = wanted(sl="1.09502", price="1.10002", sl_mode=StopMode.DISTANCE)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    copy.attempt = attempt("open", step.request)
    answer = Done(ticket=TICKET, lots=D("0.10"), price=D("1.10010"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    accept(copy, modify(copy, "1.09702"), ORIGIN, SEEN_AT)
    moved = next_step(copy, live())
    assert isinstance(moved, Sends)
    assert isinstance(moved.request, ModifyRequest)
    assert moved.request.stop_loss == D("1.09710")
    assert moved.quote == quote("1.10000", "1.10002")


@pytest.mark.parametrize("by_owner", [None, "1.09"])
def test_what_its_owner_made_of_a_stop_stands_until_the_master_changes_its_own(
    by_owner: str | None,
) -> None:
    """Whatever the master changes: here what is not copied."""
    copy, market = standing(sl="1.05", copy_tp=False), live()
    copy.legs[0].set_stop_loss = D("1.05")
    stop_loss = None if by_owner is None else D(by_owner)
    market.looked([replace(position("0.10"), stop_loss=stop_loss)], market.mono)
    assert next_step(copy, market) == Rests()
    accept(copy, replace(modify(copy, "1.05"), take_profit=D("1.2")), ORIGIN, SEEN_AT)
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    assert isinstance(step.request, ModifyRequest)
    assert step.request.stop_loss == D("1.05")


def test_what_its_owner_left_of_a_stop_as_it_was_is_not_set_again() -> None:
    copy, market = standing(sl="1.05", copy_tp=False), live()
    copy.legs[0].set_stop_loss = D("1.05")
    accept(copy, replace(modify(copy, "1.05"), take_profit=D("1.2")), ORIGIN, SEEN_AT)
    assert isinstance(next_step(copy, market), Waits), "the next list shows what it is"
    market.looked([replace(position("0.10"), stop_loss=D("1.05"))], market.mono)
    assert next_step(copy, market) == Rests()


def test_a_leg_that_wants_no_stop_is_never_closed_for_it() -> None:
    for copy in (standing(), standing(sl="1.05", copy_sl=False)):
        copy.settled_levels = None
        next_step(copy, live())
        assert next_step(copy, live(age_s=3600)) == Rests()


# --- what an answer leads to --------------------------------------------------------------------


def closing(copy: Copy) -> Attempt:
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    request = CloseRequest(ticket=TICKET, symbol="EURUSD", lots=None)
    copy.attempt = attempt("close", request, expected=D(0))
    return copy.attempt


def refused(copy: Copy, under_way: Attempt, code: str) -> list[m.ExecutionEvent]:
    found = outcomes.refused(
        copy, under_way, Refused(code, code), Platform.MT5, SEEN_AT, LIMITS, TIMES
    )
    return found.events


def test_a_close_of_all_that_the_list_showed_leaves_nothing_whatever_the_ledger_says() -> None:
    """A part was closed already and is not told yet: the ledger has more than the broker."""
    copy = standing("0.37")
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    netting = live(mode=Mode.NETTING)
    netting.positions = {TICKET: position("0.29")}
    step = next_step(copy, netting)
    assert isinstance(step, Sends)
    assert step.held_lots == D("0.29")
    copy.attempt = attempt("close", step.request, expected=D(0))
    copy.attempt.held_lots = step.held_lots
    answer = Done(ticket=TICKET, lots=D("0.29"), price=D("1.1"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert copy.over


def test_a_deletion_that_the_books_tell_is_done_whatever_its_answer() -> None:
    """An earlier try was executed and not answered: the next one finds no such ticket."""
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    leg = copy.legs[0]
    leg.status, leg.ticket = LegStatus.PLACED, TICKET
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    copy.attempt = attempt("delete", step.request)
    leg.closed = Done(ticket=TICKET, lots=D("0.10"), price=D("1.1"))
    _, removed = refused(copy, copy.attempt, "INVALID_TICKET")
    assert isinstance(removed, m.CopyPendingRemoved)
    assert copy.over


@pytest.mark.parametrize("status", [LegStatus.OPEN, LegStatus.PLACED])
def test_what_could_not_be_ended_is_tried_again_when_its_back_off_is_over(
    status: LegStatus,
) -> None:
    copy = standing()
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    copy.legs[0].status, copy.not_before_utc = status, SEEN_AT + timedelta(seconds=5)
    assert next_step(copy, live()) == Waits(SEEN_AT + timedelta(seconds=5))
    assert isinstance(next_step(copy, live(age_s=5)), Sends)


def test_a_refused_close_is_tried_again_whatever_the_code() -> None:
    for code in ("REQUOTE", "MARKET_CLOSED", "NOT_ENOUGH_MONEY", "SOMETHING_NEW"):
        copy = standing()
        (rejected,) = refused(copy, closing(copy), code)
        assert isinstance(rejected, m.CopyRejected)
        assert not rejected.final
        assert copy.attempt is None
        assert isinstance(next_step(copy, live()), Waits)
        assert isinstance(next_step(copy, live(age_s=3600)), Sends)


def test_a_leg_that_cannot_be_closed_keeps_no_other_one_open() -> None:
    copy = standing()
    second = Leg(number=1, tag="T", status=LegStatus.OPEN, ticket=Ticket(78), lots=D("0.10"))
    copy.legs.append(second)
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    tickets = []
    for _ in range(3):
        copy.not_before_utc = None
        step = next_step(copy, live())
        assert isinstance(step, Sends)
        assert isinstance(step.request, CloseRequest)
        tickets.append(step.request.ticket)
        copy.attempt = attempt("close", step.request, expected=D(0))
        copy.attempt.leg = step.leg
        refused(copy, copy.attempt, "FROZEN")
    assert tickets == [TICKET, 78, TICKET]


def test_a_position_too_many_that_cannot_be_closed_keeps_no_leg_open() -> None:
    copy = standing()
    copy.legs.append(
        Leg(number=-78, tag=copy.legs[0].tag, status=LegStatus.OPEN, ticket=Ticket(78))
    )
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    tickets = set()
    for copy.tries in (1, 2):
        step = next_step(copy, live())
        assert isinstance(step, Sends)
        assert isinstance(step.request, CloseRequest)
        tickets.add(step.request.ticket)
    assert tickets == {TICKET, 78}


def with_one_too_many(copy: Copy) -> Copy:
    copy.legs.append(Leg(number=-78, tag="t", status=LegStatus.OPEN, ticket=Ticket(78)))
    return copy


def refused_close(copy: Copy, market: Live) -> Ticket:
    """The next step closes, which the broker refuses; and its back-off is over."""
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    assert isinstance(step.request, CloseRequest)
    copy.attempt = attempt("close", step.request, expected=step.expected_lots)
    copy.attempt.leg = step.leg
    refused(copy, copy.attempt, "FIFO_CLOSE")
    assert copy.not_before_utc is not None
    market.now = max(market.now, copy.not_before_utc)
    market.learn_quote(quote("1.10000", "1.10002"))
    return step.request.ticket


def test_a_position_too_many_that_cannot_be_closed_keeps_no_leg_whole() -> None:
    copy, market = with_one_too_many(standing(copy_sl=False)), live()
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    assert {refused_close(copy, market) for _ in range(2)} == {TICKET, 78}


def test_a_position_too_many_is_closed_also_where_a_part_waits_for_its_symbols_terms() -> None:
    copy, unknown = with_one_too_many(standing(copy_sl=False)), live(known=False)
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    assert next_step(copy, unknown) == Asks((NeedSpec("EURUSD"),))
    unknown.learn_missing(NeedSpec("EURUSD"))
    assert refused_close(copy, unknown) == 78


def test_a_position_too_many_that_cannot_be_closed_keeps_no_leg_from_its_stop() -> None:
    copy = with_one_too_many(standing(sl="1.05"))
    copy.legs[0].set_stop_loss = D("1.05")
    refused_close(copy, live())
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    copy.not_before_utc = SEEN_AT + timedelta(seconds=5)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert isinstance(step.request, ModifyRequest)
    assert (step.request.ticket, step.request.stop_loss) == (TICKET, D("1.06"))


def test_a_position_too_many_that_cannot_be_closed_keeps_no_leg_without_a_stop_alive() -> None:
    copy = with_one_too_many(standing(sl="1.05"))
    copy.legs[0].levels_refused, copy.not_before_utc = True, SEEN_AT + timedelta(seconds=5)
    next_step(copy, live())
    assert copy.closing == "STOP_NOT_SET"


def test_a_position_too_many_of_a_copy_that_was_left_is_tried_again_in_time() -> None:
    """And not over and over, for the stop that its leg lacked when it was left."""
    copy = with_one_too_many(standing(sl="1.05"))
    copy.legs[0].naked_since_utc = SEEN_AT
    detach(copy, "COPIER_STOPPED", forget=True)
    copy.not_before_utc = SEEN_AT + timedelta(seconds=60)
    assert next_step(copy, live(age_s=30)) == Waits(SEEN_AT + timedelta(seconds=60))


def test_a_position_too_many_is_given_no_stop() -> None:
    copy = with_one_too_many(standing(sl="1.05"))
    copy.legs[0].set_stop_loss, copy.settled_levels = D("1.05"), None
    copy.not_before_utc = SEEN_AT + timedelta(seconds=5)
    assert next_step(copy, live()) == Waits(SEEN_AT + timedelta(seconds=5))


def test_a_position_too_many_without_a_stop_costs_no_leg_that_has_one() -> None:
    copy, market = with_one_too_many(standing(sl="1.05")), live()
    copy.legs[0].set_stop_loss = D("1.05")
    for _ in range(3):
        assert refused_close(copy, market) == 78
        market.now += timedelta(seconds=LIMITS.stops_within_s)
    assert copy.closing == ""


def test_a_leg_that_ended_by_itself_before_our_close_is_recorded_as_closed() -> None:
    copy = standing()
    under_way = closing(copy)
    leg: Leg = copy.legs[0]
    leg.status, leg.lots = LegStatus.ENDED, D(0)
    leg.closed = Done(ticket=TICKET, lots=D("0.10"), price=D("1.2"), profit=D(9))
    rejected, closed = refused(copy, under_way, "INVALID_TICKET")
    assert isinstance(rejected, m.CopyRejected)
    assert rejected.final
    assert isinstance(closed, m.CopyClosed)
    assert (closed.closed_lots, closed.price, closed.profit) == (D("0.10"), D("1.2"), D(9))
    assert copy.over


def modifying(copy: Copy, stop_loss: str) -> Attempt:
    accept(copy, modify(copy, stop_loss), ORIGIN, SEEN_AT)
    request = ModifyRequest(ticket=TICKET, stop_loss=D(stop_loss), take_profit=None)
    copy.attempt = attempt("modify", request)
    return copy.attempt


@pytest.mark.parametrize(
    ("platform", "code"), [(Platform.MT5, "INVALID_TICKET"), (Platform.MT4, "INVALID_PARAM")]
)
def test_a_stop_refused_for_a_missing_ticket_is_not_taken_for_set(
    platform: Platform, code: str
) -> None:
    """The position may have another one by now, as after a part was closed: look, then try again."""
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    under_way = modifying(copy, "1.06")
    found = outcomes.refused(copy, under_way, Refused(code, ""), platform, SEEN_AT, LIMITS, TIMES)
    assert found.look
    assert copy.legs[0].set_stop_loss == D("1.05")
    assert isinstance(next_step(copy, live(age_s=60)), Sends)


def test_a_stop_that_the_master_takes_back_before_it_could_be_set_is_not_late() -> None:
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    refused(copy, modifying(copy, "1.06"), "MARKET_CLOSED")
    assert alarms(copy, SEEN_AT + timedelta(seconds=60), LIMITS)[0]
    accept(copy, modify(copy, "1.05"), ORIGIN, SEEN_AT)
    later = live(age_s=1)
    assert isinstance(next_step(copy, later), Waits), "its owner may have changed it"
    assert alarms(copy, SEEN_AT + timedelta(seconds=60), LIMITS) == ({}, None)
    later.looked([], asked_at=later.mono)
    assert next_step(copy, later) == Rests()


@pytest.mark.parametrize("code", ["MARKET_CLOSED", "INVALID_STOPS", "PRICE_OFF", "LOCKED"])
def test_a_stop_that_may_be_set_later_is_pursued(code: str) -> None:
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    for _ in range(20):
        under_way = modifying(copy, "1.06") if copy.attempt is None else copy.attempt
        (rejected,) = refused(copy, under_way, code)
        assert isinstance(rejected, m.CopyRejected)
        assert not rejected.final
        assert isinstance(next_step(copy, live(age_s=3600)), Sends)


def test_a_stop_that_is_never_corrected_is_given_up_after_so_many_corrections() -> None:
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    modifying(copy, "1.06")
    finals = []
    for code in ("MARKET_CLOSED", *["INVALID_VOLUME"] * (LIMITS.stops_tries + 1)):
        copy.attempt = attempt(
            "modify", ModifyRequest(ticket=TICKET, stop_loss=D(1), take_profit=None)
        )
        (rejected,) = refused(copy, copy.attempt, code)
        assert isinstance(rejected, m.CopyRejected)
        finals.append(rejected.final)
    assert finals == [False] * (LIMITS.stops_tries + 1) + [True]
    assert next_step(copy, live(age_s=3600)) == Rests()


@pytest.mark.parametrize(
    ("codes", "finals"),
    [
        (("REQUOTE", "REQUOTE", "REQUOTE"), (False, False, True)),
        (("INVALID_VOLUME", "INVALID_VOLUME"), (False, True)),
        (("MARKET_CLOSED", "MARKET_CLOSED", "REQUOTE", "REQUOTE"), (False,) * 4),
        (("REQUOTE", "MARKET_CLOSED", "REQUOTE", "REQUOTE"), (False,) * 4),
        (("MARKET_CLOSED", "INVALID_VOLUME", "INVALID_VOLUME"), (False, False, True)),
        (("REQUOTE", "INVALID_VOLUME", "REQUOTE"), (False,) * 3),
    ],
)
def test_what_had_to_wait_has_its_tries_still(codes: tuple[str, ...], finals: Any) -> None:
    """Three at once, and one correction: those that a broker which was busy cost are none of them."""
    copy, market, told = wanted(), live(), []
    for code in codes:
        step = next_step(copy, market)
        assert isinstance(step, Sends)
        copy.attempt = attempt("open", step.request)
        copy.attempt.started_at_utc = market.now
        (rejected,) = outcomes.refused(
            copy, copy.attempt, Refused(code, ""), Platform.MT5, market.now, LIMITS, TIMES
        ).events
        assert isinstance(rejected, m.CopyRejected)
        told.append(rejected.final)
        market.now = copy.not_before_utc or market.now
    assert tuple(told) == finals


@pytest.mark.parametrize(("code", "wait_s"), [("MARKET_CLOSED", 5), ("ORDER_CHANGED", 1)])
def test_an_open_that_the_broker_cannot_take_now_is_not_sent_again_at_once(
    code: str, wait_s: int
) -> None:
    copy, market = wanted(), live()
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    copy.attempt = attempt("open", step.request)
    refused(copy, copy.attempt, code)
    assert next_step(copy, market) == Waits(SEEN_AT + timedelta(seconds=wait_s))


def test_an_open_that_the_broker_requotes_once_too_often_was_refused_by_it() -> None:
    """The market is too near for a mirrored order, and for no open."""
    copy = wanted()
    copy.first_try_at_utc, copy.tries = SEEN_AT, LIMITS.now_tries
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    copy.attempt = attempt("open", step.request)
    (rejected,) = refused(copy, copy.attempt, "REQUOTE")
    assert isinstance(rejected, m.CopyRejected)
    assert rejected.final
    assert copy.denied is not None
    assert copy.denied[0] == "BROKER_REFUSED"


def test_a_refused_open_ends_the_copy_and_an_unclear_one_freezes_it() -> None:
    request = OpenRequest(
        symbol="EURUSD", kind=OrderKind.BUY, lots=D("0.10"), comment="T", magic=1, price=D("1.1")
    )
    copy = wanted()
    copy.attempt = attempt("open", request)
    (rejected,) = refused(copy, copy.attempt, "NOT_ENOUGH_MONEY")
    assert isinstance(rejected, m.CopyRejected)
    assert (rejected.final, rejected.kind) == (True, OrderKind.BUY)
    assert copy.legs[0].status is LegStatus.ENDED
    assert next_step(copy, live()) == Rests(), "an open is not tried again"

    copy = wanted()
    copy.attempt = attempt("open", request)
    error = OutcomeUnknown("NO_ANSWER", "the connection broke")
    found = outcomes.unknown(copy, copy.attempt, error, Platform.MT5, SEEN_AT, LIMITS, TIMES)
    (unresolved,) = found.events
    assert isinstance(unresolved, m.CopyUnresolved)
    assert found.look
    assert copy.attempt is not None
    assert next_step(copy, live(age_s=3600)) == Rests(), "it is looked for, never sent again"


# --- what is accepted ---------------------------------------------------------------------------


def test_the_same_order_twice_is_one_leg() -> None:
    for copy in (wanted(), standing()):
        before = msgspec.json.encode(copy)
        again, events = accept(copy, opens(), ORIGIN, SEEN_AT)
        assert again is copy
        assert events == []
        assert msgspec.json.encode(copy) == before


def test_what_is_told_of_a_copy_names_it_and_its_accounts() -> None:
    copy, order = wanted(), opens()
    names = ("copy", "copier", "master", "slave", "root")
    assert about(copy, 3) == {name: getattr(order, name) for name in names} | {"leg": 3}


def test_a_copy_that_is_over_is_never_opened_again() -> None:
    copy, events = accept(None, opens(), ORIGIN, SEEN_AT, is_over=True)
    assert copy is None
    (denied,) = events
    assert isinstance(denied, m.CopyDenied)
    assert denied.code == "ALREADY_COPIED"
    order = opens()
    assert (denied.copy, denied.copier, denied.root) == (order.copy, order.copier, order.root)
    assert (denied.master, denied.slave, denied.leg) == (order.master, order.slave, 0)


def test_an_order_that_was_not_to_be_mirrored_is_a_leg_like_any_other_when_it_fills() -> None:
    filled = msgspec.structs.replace(opens(), from_pending=True)
    copy, events = accept(None, filled, ORIGIN, SEEN_AT)
    assert copy is not None
    assert events == []
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert step.kind == "open"


def test_an_order_that_could_not_be_mirrored_is_copied_when_it_fills() -> None:
    copy, _ = accept(None, places(OrderKind.BUY_STOP_LIMIT, "1.105"), ORIGIN, SEEN_AT)
    assert copy is not None
    deny(copy, copy.legs[0], "PENDING_KIND", {})
    filled = msgspec.structs.replace(opens(), from_pending=True)
    accept(copy, filled, ORIGIN, SEEN_AT)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert step.kind == "open"


def test_when_ours_was_in_the_way_of_the_market_the_market_follows_its_deletion() -> None:
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    leg = copy.legs[0]
    leg.status, leg.ticket = LegStatus.PLACED, TICKET
    accept(copy, msgspec.structs.replace(opens(), from_pending=True), ORIGIN, SEEN_AT)
    late = live(age_s=LIMITS.pending_grace_s)
    late.looked([], asked_at=late.mono - 0.1)
    assert next_step(copy, late) == Asks((NeedList(),)), "a list of within the grace is too old"
    late.looked([], asked_at=None)
    assert next_step(copy, late) == Asks((NeedList(),)), "a frame may be of any time"
    late.learn_missing(NeedList())
    assert isinstance(next_step(copy, late), Waits), "not to be had: again a little later"
    late.looked([], asked_at=late.mono)
    assert isinstance(next_step(copy, late), Waits), "a list without it: it may have filled"
    order = msgspec.structs.replace(position("0.10"), kind=OrderKind.BUY_LIMIT)
    late.looked([order], asked_at=late.mono)
    delete = next_step(copy, late)
    assert isinstance(delete, Sends)
    assert delete.kind == "delete"
    copy.attempt = attempt("delete", delete.request)
    answer = Done(ticket=TICKET, lots=D("0.10"), price=D("1.1"))
    (removed,) = outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES).events
    assert isinstance(removed, m.CopyPendingRemoved)
    step = next_step(copy, late)
    assert isinstance(step, Sends)
    assert step.kind == "open"


def test_orders_for_an_unknown_copy_change_nothing() -> None:
    order = m.ReduceCopy(copy=wanted().copy, slave=wanted().slave, fraction=Decimal("0.5"))
    assert accept(None, order, ORIGIN, SEEN_AT) == (None, [])
    assert accept(None, close_order(), ORIGIN, SEEN_AT) == (None, [])


def test_a_detached_copy_is_left_alone_by_everything_that_follows() -> None:
    copy = standing()
    (event,) = detach(copy, "CLOSED_BY_CLIENT", forget=False)
    assert isinstance(event, m.CopyDetached)
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    assert next_step(copy, live()) == Rests()
    assert copy.legs[0].status is LegStatus.LEFT
    assert not copy.over, "the broker still shows it: it must be known as ours"
    copy.legs[0].status = LegStatus.ENDED
    assert copy.over


def test_a_copy_that_is_left_is_forgotten_once_its_position_has_gone() -> None:
    copy = standing()
    order = m.DetachCopy(copy=copy.copy, slave=copy.slave, reason="COPIER_STOPPED")
    accept(copy, order, ORIGIN, SEEN_AT)
    assert not copy.over
    copy.legs[0].status = LegStatus.ENDED
    assert copy.over


def test_what_waits_is_denied_when_its_copy_is_let_go() -> None:
    copy = wanted()
    assert detach(copy, "COPIER_STOPPED", forget=True) == []
    step = next_step(copy, live())
    assert isinstance(step, Denies)
    assert (step.denial.code, step.denial.numbers) == ("DETACHED", {"reason": "COPIER_STOPPED"})


def stop_order(copy: Copy) -> m.RemovePendingCopy:
    return m.RemovePendingCopy(
        copy=copy.copy, slave=copy.slave, reason="COPIER_STOPPED", opens_nothing=True
    )


def test_what_waits_when_its_copier_is_stopped_is_not_opened() -> None:
    """For a delay, its turn or a session: a stopped copier follows what it has opened."""
    copy = wanted(trade_delay_ms=5000)
    accept(copy, stop_order(copy), ORIGIN, SEEN_AT)
    removed = m.RemovePendingCopy(copy=copy.copy, slave=copy.slave, reason="MASTER_Deleted")
    accept(copy, removed, ORIGIN, SEEN_AT)
    step = next_step(copy, live(age_s=6))
    assert isinstance(step, Denies)
    assert (step.leg, step.denial.code) == (0, "COPIER_STOPPED")


def test_what_is_under_way_when_its_copier_is_stopped_is_not_tried_again_and_else_followed() -> (
    None
):
    copy, other = wanted(), wanted()
    for each in (copy, other):
        step = next_step(each, live())
        assert isinstance(step, Sends)
        each.attempt = attempt("open", step.request)
        accept(each, stop_order(each), ORIGIN, SEEN_AT)
    refused(copy, copy.attempt, "MARKET_CLOSED")
    step = next_step(copy, live(age_s=10))
    assert isinstance(step, Denies)
    assert step.denial.code == "COPIER_STOPPED"
    answer = Done(ticket=TICKET, lots=D("0.10"), price=D("1.10002"))
    outcomes.done(other, other.attempt, answer, Platform.MT5, TIMES)
    accept(other, reduce(other, "0.5"), ORIGIN, SEEN_AT)
    step = next_step(other, live())
    assert isinstance(step, Sends)
    assert isinstance(step.request, CloseRequest)


def test_what_is_under_way_when_its_copy_is_let_go_is_left_once_it_stands() -> None:
    copy = wanted()
    sends = next_step(copy, live())
    assert isinstance(sends, Sends)
    copy.attempt = attempt("open", sends.request)
    (event,) = detach(copy, "COPIER_STOPPED", forget=True)
    assert isinstance(event, m.CopyDetached)
    answer = Done(ticket=TICKET, lots=D("0.10"), price=D("1.1"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert copy.legs[0].status is LegStatus.LEFT
    assert next_step(copy, live()) == Rests()


def test_an_open_that_was_given_up_is_remembered_as_long_as_it_may_still_fill() -> None:
    copy = wanted()
    leg = copy.legs[0]
    deny(copy, leg, "NOT_RESENT", {})
    leg.status, leg.lost = LegStatus.LOST, attempt("open", None)
    accept(copy, close_order(), ORIGIN, SEEN_AT)
    until = SEEN_AT + timedelta(seconds=LIMITS.late_fill_s)
    assert next_step(copy, live()) == Waits(until)
    assert not copy.over
    assert next_step(copy, live(age_s=LIMITS.late_fill_s)) == Rests()
    assert copy.over


def test_a_position_too_many_is_closed_even_if_the_copy_is_left() -> None:
    copy = standing()
    copy.legs.append(
        Leg(number=-78, tag=copy.legs[0].tag, status=LegStatus.OPEN, ticket=Ticket(78))
    )
    detach(copy, "VOLUME_CHANGED", forget=False)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert isinstance(step.request, CloseRequest)
    assert step.request.ticket == 78
    copy.attempt = attempt("close", step.request, expected=D(0))
    copy.attempt.leg = -78
    answer = Done(ticket=Ticket(78), lots=D("0.10"), price=D("1.1"))
    (closed,) = outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES).events
    assert isinstance(closed, m.CopyClosed)
    assert closed.reason == "DUPLICATE"


def test_a_record_of_before_legs_could_be_left_is_read_as_left() -> None:
    """Detached legs were written as ended, with the lots that they had."""
    copy = standing()
    copy.detached = "VOLUME_CHANGED"
    copy.legs[0].status = LegStatus.ENDED
    closed_by_hand = Leg(number=1, tag="T", status=LegStatus.ENDED, ticket=Ticket(78), lots=D(0))
    copy.legs.append(closed_by_hand)
    read = as_now(msgspec.json.decode(msgspec.json.encode(copy), type=Copy))
    assert [leg.status for leg in read.legs] == [LegStatus.LEFT, LegStatus.ENDED]
