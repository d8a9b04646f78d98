"""Mirrored pending orders: kept like the master's in everything, and what their fills make of them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from copypro import codes, topics
from copypro import messages as m
from copypro.codes import Denial
from copypro.errors import NotSent, Refused
from copypro.messages import ModifyPendingCopy, PlacePendingCopy
from copypro.options import MagicMode, RiskType, StopMode, SymbolMapping
from copypro.trading import (
    CloseRequest,
    DeleteRequest,
    Done,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
)
from copypro.values import CopyId, MessageId, Mode, OrderKind, Platform, Ticket
from copypro_account_watcher.alarms import alarms
from copypro_account_watcher.planned.accepting import accept, deny, unplaced
from copypro_account_watcher.planned.levels import modified_levels
from copypro_account_watcher.planned.live import Live, NeedList, NeedQuote, NeedSpec
from copypro_account_watcher.planned.step import Asks, Denies, Queues, Rests, Sends, Waits
from copypro_account_watcher.planned.steps import next_step
from copypro_account_watcher.settled import outcomes
from copypro_account_watcher.state import Copy, LegStatus
from copypro_standalone.backtest.virtual_time import run
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
    opens,
    places,
    quote,
    reduce,
    spec,
)
from tests.unit.watched import ACCOUNT, EASTERN, REGISTRATION, now, watched

WHOLE = D(1)


def clocked(**more: Any) -> Live:
    made = live(**more)
    made.clock_offset_minutes = 120
    return made


def placed(order: PlacePendingCopy) -> Copy:
    """It stands at the broker as the step that places it says."""
    copy, _ = accept(None, order, ORIGIN, SEEN_AT)
    assert copy is not None
    answered(copy, OpenRequest)
    assert copy.legs[0].status is LegStatus.PLACED
    assert next_step(copy, clocked()) == Rests()
    return copy


def answered(copy: Copy, kind: type[OpenRequest | ModifyRequest]) -> Any:
    """The next step's request, which the broker executes."""
    step = next_step(copy, clocked())
    assert isinstance(step, Sends)
    assert isinstance(step.request, kind)
    copy.attempt = attempt(step.kind, step.request)
    outcomes.done(
        copy,
        copy.attempt,
        Done(ticket=TICKET, lots=D("0.10"), price=D("1.099")),
        Platform.MT5,
        TIMES,
    )
    return step.request


def test_a_delayed_copier_s_mirrored_order_waits_too() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.09500", trade_delay_ms=700)
    copy, _ = accept(None, order, ORIGIN, SEEN_AT)
    assert copy is not None
    step = next_step(copy, clocked(age_s=0.5))
    assert step == Waits(SEEN_AT + timedelta(milliseconds=700))
    assert isinstance(next_step(copy, clocked(age_s=0.7)), Sends)


def moved(copy: Copy, order: PlacePendingCopy, **changes: Any) -> None:
    names = ("price", "stop_limit_price", "stop_loss", "take_profit", "expires_at_utc")
    state = {name: getattr(order, name) for name in names} | changes
    accept(copy, ModifyPendingCopy(copy=copy.copy, slave=copy.slave, **state), ORIGIN, SEEN_AT)


def test_ours_that_fills_first_keeps_the_stop_that_the_masters_order_has_by_then() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099", sl="1.07")
    copy = placed(order)
    moved(copy, order, stop_loss=D("1.08"))
    assert answered(copy, ModifyRequest).stop_loss == D("1.08")
    leg = copy.legs[0]
    leg.status, leg.original_lots, leg.lots, copy.settled_levels = (
        LegStatus.OPEN, D("0.10"), D("0.10"), None,
    )  # fmt: skip
    assert next_step(copy, clocked()) == Rests()
    assert leg.set_stop_loss == D("1.08")


@pytest.mark.parametrize("levels", [{}, {"stop_loss": D("1.08"), "take_profit": D("1.16")}])
def test_ours_that_fills_first_has_both_levels_of_the_masters_order(
    levels: dict[str, Decimal],
) -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099", sl="1.07", tp="1.15")
    copy = placed(order)
    if levels:
        moved(copy, order, **levels)
        answered(copy, ModifyRequest)
    leg = copy.legs[0]
    leg.status, copy.settled_levels = LegStatus.OPEN, None
    assert next_step(copy, clocked()) == Rests()
    assert leg.set_stop_loss == levels.get("stop_loss", D("1.07"))
    assert leg.set_take_profit == levels.get("take_profit", D("1.15"))


def by_hand(copy: Copy, order: PlacePendingCopy, price: str = "1.099", **levels: Any) -> Live:
    """A list that shows ours as its owner left it."""
    made = clocked()
    made.looked((ours(copy, order, price, **levels),), made.mono)
    return made


def ours(
    copy: Copy, order: PlacePendingCopy, price: str = "1.099", **levels: Decimal | None
) -> OpenOrder:
    leg = copy.legs[0]
    return OpenOrder(
        ticket=TICKET,
        symbol="EURUSD",
        kind=order.kind,
        lots=D("0.10"),
        open_price=D(price),
        opened_at_broker=SEEN_AT.replace(tzinfo=None),
        **{"stop_loss": leg.set_stop_loss, "take_profit": leg.set_take_profit} | levels,
    )


@pytest.mark.parametrize(
    ("price", "levels"),
    [("1.085", {}), ("1.099", {"stop_loss": None}), ("1.099", {"take_profit": D("1.2")})],
)
def test_what_its_owner_made_of_ours_stands_until_the_master_changes_its_own(
    price: str, levels: dict[str, Decimal | None]
) -> None:
    """Whatever the master changes: here what is not copied."""
    order = places(OrderKind.BUY_LIMIT, "1.099", sl="1.090", copy_tp=False)
    copy = placed(order)
    changed = by_hand(copy, order, price, **levels)
    assert next_step(copy, changed) == Rests()
    moved(copy, order, take_profit=D("1.150"))
    step = next_step(copy, changed)
    assert isinstance(step, Sends)
    assert isinstance(step.request, ModifyRequest)
    assert (step.request.price, step.request.stop_loss) == (D("1.099"), D("1.090"))
    copy.attempt = attempt(step.kind, step.request)
    answer = Done(ticket=TICKET, lots=D("0.10"), price=D("1.099"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert next_step(copy, changed) == Rests(), "that list is of before"


def test_what_its_owner_left_of_ours_as_it_was_is_not_set_again() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099", sl="1.090", copy_tp=False)
    copy = placed(order)
    moved(copy, order, take_profit=D("1.150"))
    assert isinstance(next_step(copy, clocked()), Waits), "the next list shows what it is"
    assert next_step(copy, by_hand(copy, order)) == Rests()
    assert copy.settled_levels is not None
    assert next_step(copy, by_hand(copy, order, "1.085")) == Rests(), "changed after it"


def test_a_reverse_order_follows_a_master_that_takes_its_target_away() -> None:
    """Our stop came from that, 0.011 from the trigger, and stays as far: it must not stay where the
    master's order is no more, nor be without a stop.
    """
    order = places(OrderKind.BUY_LIMIT, "1.099", sl="1.090", tp="1.110", reverse_copy=True)
    copy = placed(order)
    moved(copy, order, price=D("1.098"), take_profit=None)
    first = answered(copy, ModifyRequest)
    assert (first.price, first.stop_loss, first.take_profit) == (D("1.098"), D("1.109"), D("1.090"))
    assert next_step(copy, clocked()) == Rests()
    moved(copy, order, price=D("1.098"), stop_loss=D("1.091"), take_profit=None)
    second = answered(copy, ModifyRequest)
    assert (second.price, second.stop_loss, second.take_profit) == (
        D("1.098"), D("1.109"), D("1.091"),
    )  # fmt: skip
    assert next_step(copy, clocked()) == Rests()
    moved(copy, order, price=D("1.097"), take_profit=D("1.100"))
    assert answered(copy, ModifyRequest).stop_loss == D("1.100"), "it has one again"
    assert next_step(copy, clocked()) == Rests()


@pytest.mark.parametrize("offset", ["0", "0.001"])
def test_a_reverse_orders_stop_is_moved_from_where_it_was_right(offset: str) -> None:
    """A former modify was executed late: what it set is not what the stop is counted from."""
    order = places(OrderKind.BUY_LIMIT, "1.099", sl="1.090", tp="1.110", reverse_copy=True)
    copy = placed(order)
    leg = copy.legs[0]
    leg.overtaken_stop_loss, leg.set_stop_loss, leg.open_price = D("1.110"), D("1.150"), D("1.080")
    leg.offset = D(offset)
    moved(copy, order, price=D("1.098"), take_profit=None)
    assert answered(copy, ModifyRequest).stop_loss == D("1.109")
    assert next_step(copy, clocked()) == Rests()


def test_ours_that_fills_first_keeps_a_stop_that_the_masters_order_was_given_later() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099")
    copy = placed(order)
    moved(copy, order, stop_loss=D("1.08"))
    answered(copy, ModifyRequest)
    copy.legs[0].status, copy.settled_levels = LegStatus.OPEN, None
    assert next_step(copy, clocked()) == Rests()


def test_an_expiry_alone_is_moved_with_the_masters() -> None:
    """Else ours expires at the former one, and the master's fills without a copy."""
    first = SEEN_AT + timedelta(hours=6)
    order = replace(
        places(OrderKind.BUY_LIMIT, "1.099", copy_expiry_time=True), expires_at_utc=first
    )
    copy = placed(order)
    moved(copy, order, expires_at_utc=first + timedelta(days=1))
    request = answered(copy, ModifyRequest)
    assert request.expires_at_broker == datetime(2026, 9, 15, 16)
    assert next_step(copy, clocked()) == Rests()


def test_the_same_placing_twice_is_one_order() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099")
    copy = placed(order)
    again, events = accept(copy, order, ORIGIN, SEEN_AT)
    assert again is copy
    assert events == []
    assert next_step(copy, clocked()) == Rests()


def test_a_move_whose_terms_are_not_to_be_had_asks_again_a_little_later() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099")
    copy, unknown = placed(order), live(known=False)
    moved(copy, order, price=D("1.098"))
    for need in (NeedSpec("EURUSD"), NeedQuote("EURUSD")):
        unknown.learn_missing(need)
    step = next_step(copy, unknown)
    assert isinstance(step, Waits)
    assert step.until > unknown.now


def test_a_move_in_a_closed_market_reads_no_terms_that_are_known() -> None:
    """Each answer gave it a turn, in which it asked again: as fast as the bridge answers."""
    order = places(OrderKind.BUY_LIMIT, "1.099")
    copy, closed = placed(order), live(known=False)
    moved(copy, order, price=D("1.098"))
    closed.learn_spec(spec())
    assert next_step(copy, closed) == Asks((NeedQuote("EURUSD"),))
    assert copy.levels_late_since_utc == closed.now, "ours stands where the master's is no more"
    closed.learn_missing(NeedQuote("EURUSD"))
    step = next_step(copy, closed)
    assert isinstance(step, Waits)
    assert step.until > closed.now


def test_a_move_that_was_late_and_is_taken_back_is_late_no_more() -> None:
    """The market was in its way, and ours stands where the master's is again."""
    order = places(OrderKind.BUY_LIMIT, "1.099")
    copy = placed(order)
    moved(copy, order, price=D("1.101"))
    assert isinstance(next_step(copy, clocked()), Waits)
    assert copy.levels_late_since_utc == SEEN_AT
    moved(copy, order)
    assert next_step(copy, by_hand(copy, order)) == Rests()
    assert copy.levels_late_since_utc is None


def test_ours_that_filled_as_the_masters_was_removed_is_closed_from_then_on() -> None:
    """At once: with its levels set and a price at hand nothing else gave it a turn for half a minute."""
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099"))
    copy.legs[0].status = LegStatus.OPEN
    removed = m.RemovePendingCopy(copy=copy.copy, slave=copy.slave, reason="MASTER_Deleted")
    accept(copy, removed, ORIGIN, SEEN_AT)
    copy.not_before_utc = SEEN_AT + timedelta(seconds=9)  # a change of its levels was refused
    step = next_step(copy, clocked(age_s=7))
    since = SEEN_AT + timedelta(seconds=7)
    assert (copy.closing, copy.closing_since_utc) == ("MASTER_PENDING_REMOVED", since)
    assert isinstance(step, Sends)
    assert step.kind == "close"


def waiting(**more: Any) -> Copy:
    """A mirrored order that nothing was sent of."""
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099", **more), ORIGIN, SEEN_AT)
    assert copy is not None
    return copy


def test_an_order_that_its_master_removed_is_not_placed() -> None:
    copy = waiting()
    removed = m.RemovePendingCopy(copy=copy.copy, slave=copy.slave, reason="MASTER_Deleted")
    accept(copy, removed, ORIGIN, SEEN_AT)
    step = next_step(copy, clocked())
    assert isinstance(step, Denies)
    assert (step.denial.code, step.denial.numbers) == ("MASTER_FLAT", {"reason": "MASTER_Deleted"})


def test_an_order_is_placed_in_its_turn_and_where_there_is_money_for_it() -> None:
    busy, poor = clocked(), clocked()
    busy.opening = CopyId("another")
    step = next_step(waiting(), busy)
    assert isinstance(step, Queues)
    assert step.until > busy.now
    poor.learn_figures(figures("10000", free_margin="2000"))
    denied = next_step(waiting(), poor)
    assert isinstance(denied, Denies)
    assert denied.denial.code == "NOT_ENOUGH_MARGIN"


def test_an_order_is_sized_by_the_risk_from_its_price() -> None:
    market = clocked()
    market.learn_spec(spec(profit_currency="USD"))
    step = next_step(waiting(sl="1.089", risk_type=RiskType.FIXED_RISK), market)
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    assert step.request.lots == D("0.10"), "100 USD by 100 pips"
    assert step.quote == quote("1.10000", "1.10002")


def test_an_order_whose_stop_had_to_be_widened_is_not_sized_by_that() -> None:
    market = clocked()
    market.learn_spec(spec(profit_currency="USD", stops_level_points=50))
    market.learn_quote(quote("1.10000"))
    step = next_step(waiting(sl="1.09899", risk_type=RiskType.FIXED_RISK), market)
    assert isinstance(step, Denies)
    assert step.denial.code == "STOPS_TOO_CLOSE"


def test_an_order_that_its_master_removed_is_deleted_at_once_whatever_was_refused_before() -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099"))
    copy.not_before_utc = SEEN_AT + timedelta(seconds=60)
    removed = m.RemovePendingCopy(copy=copy.copy, slave=copy.slave, reason="MASTER_Deleted")
    accept(copy, removed, ORIGIN, SEEN_AT)
    step = next_step(copy, clocked())
    assert isinstance(step, Sends)
    assert step.kind == "delete"


def test_an_order_that_went_to_the_market_is_moved_no_more() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099")
    copy, _ = accept(None, replace(opens(sl="1.05"), from_pending=True), ORIGIN, SEEN_AT)
    assert copy is not None
    moved(copy, order, stop_loss=D("1.01"))
    assert (copy.pending, copy.stop_loss) == (None, D("1.05"))


def test_an_order_that_is_as_its_masters_needs_no_price() -> None:
    assert next_step(placed(places(OrderKind.BUY_LIMIT, "1.099")), live(known=False)) == Rests()


def test_nothing_is_asked_of_an_order_while_there_is_no_session() -> None:
    copy, off = placed(places(OrderKind.BUY_LIMIT, "1.099")), live()
    off.connected = False
    removed = m.RemovePendingCopy(copy=copy.copy, slave=copy.slave, reason="MASTER_Deleted")
    accept(copy, removed, ORIGIN, SEEN_AT)
    assert next_step(copy, off) == Rests()
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert step.kind == "delete"


@pytest.mark.parametrize(
    ("is_copied", "expires_at", "is_taken"),
    [(True, None, True), (False, SEEN_AT + timedelta(hours=6), True), (True, SEEN_AT, False)],
)
def test_an_expiry_is_set_where_there_is_one_that_is_copied_and_taken(
    is_copied: bool, expires_at: datetime | None, is_taken: bool
) -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099", copy_expiry_time=is_copied)
    copy, _ = accept(None, replace(order, expires_at_utc=expires_at), ORIGIN, SEEN_AT)
    assert copy is not None
    copy.no_expiry = not is_taken
    assert answered(copy, OpenRequest).expires_at_broker is None


def test_what_is_told_of_a_mirrored_order_was_led_to_by_its_placing() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099")
    copy = placed(order)
    removed = m.RemovePendingCopy(copy=copy.copy, slave=copy.slave, reason="MASTER_Deleted")
    accept(copy, removed, replace(ORIGIN, id=MessageId("f" * 32)), SEEN_AT)
    assert copy.origin_of(copy.legs[0]) == ORIGIN


def test_the_limit_of_a_stop_limit_alone_is_moved_with_the_masters() -> None:
    order = places(OrderKind.BUY_STOP_LIMIT, "1.105", stop_limit="1.104")
    copy = placed(order)
    moved(copy, order, stop_limit_price=D("1.103"))
    assert answered(copy, ModifyRequest).stop_limit_price == D("1.103")
    assert next_step(copy, clocked()) == Rests()


@pytest.mark.parametrize("age_s", [LIMITS.pending_grace_s * 10, 3600])
def test_a_list_that_is_long_not_to_be_had_is_asked_for_later_and_not_at_once(age_s: float) -> None:
    """And ours is no open that came too late: it still stands."""
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099"))
    accept(copy, replace(opens(), from_pending=True), ORIGIN, SEEN_AT)
    late = clocked(age_s=age_s)
    late.learn_missing(NeedList())
    step = next_step(copy, late)
    assert isinstance(step, Waits)
    assert step.until > late.now


def test_ours_that_a_list_shows_no_more_waits_for_history_and_asks_for_no_other_list() -> None:
    """Each list gave it a turn, in which it asked for the next: as fast as the bridge answers."""
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099"))
    accept(copy, replace(opens(), from_pending=True), ORIGIN, SEEN_AT)
    late = clocked(age_s=LIMITS.pending_grace_s)
    late.looked([], asked_at=late.mono)
    step = next_step(copy, late)
    assert isinstance(step, Waits)
    assert step.until > late.now


def test_a_move_that_was_executed_and_not_answered_is_done_when_the_broker_sees_no_change() -> None:
    """Sent again, since nobody knew, and never a third time."""
    order = places(OrderKind.BUY_LIMIT, "1.099")
    copy = placed(order)
    moved(copy, order, price=D("1.098"))
    step = next_step(copy, clocked())
    assert isinstance(step, Sends)
    copy.attempt = attempt("modify", step.request)
    error = Refused("NO_CHANGES", "")
    outcomes.refused(copy, copy.attempt, error, Platform.MT5, SEEN_AT, LIMITS, TIMES)
    assert next_step(copy, clocked()) == Rests()


def filled(
    copy: Copy, lots: str, leg: int = 0, *, fraction: Decimal = WHOLE
) -> list[m.ExecutionEvent]:
    """So much of the master's order, first or further; `fraction`: what is left of the first part."""
    order = replace(opens(lots), leg=leg, from_pending=leg == 0, fraction=fraction)
    return accept(copy, order, ORIGIN, SEEN_AT)[1]


def test_what_the_masters_order_fills_further_is_no_leg_beside_ours_that_is_for_all_of_it() -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    leg = copy.legs[0]
    leg.status, leg.original_lots, leg.lots = LegStatus.OPEN, D("0.20"), D("0.20")
    assert filled(copy, "0.10") == []
    (denied,) = filled(copy, "0.10", leg=1)
    assert isinstance(denied, m.CopyDenied)
    assert (denied.leg, denied.code) == (1, "ALREADY_COPIED")
    assert denied.numbers == {"by_leg": "0"}
    assert next_step(copy, clocked()) == Rests()
    assert filled(copy, "0.10", leg=2) == [], "what the master adds by another order is a leg"
    assert isinstance(next_step(copy, clocked()), Sends)


def test_what_the_masters_order_fills_further_while_ours_is_placed_is_no_leg_beside_it() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099", lots="0.20")
    copy, _ = accept(None, order, ORIGIN, SEEN_AT)
    assert copy is not None
    step = next_step(copy, clocked())
    assert isinstance(step, Sends)
    copy.attempt = attempt(step.kind, step.request)
    assert filled(copy, "0.10") == []
    (denied,) = filled(copy, "0.10", leg=1)
    assert isinstance(denied, m.CopyDenied)
    assert (denied.leg, denied.code) == (1, "ALREADY_COPIED")


def test_what_the_masters_order_fills_further_while_ours_goes_to_the_market_is_a_leg() -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    assert filled(copy, "0.10") == []
    copy.legs[0].status, copy.attempt = LegStatus.WAITING, attempt("open", None)
    assert filled(copy, "0.10", leg=1) == []


def test_what_is_added_to_a_mirrored_order_is_mapped_as_that_was() -> None:
    mapping = SymbolMapping(master_symbol="EURUSD", slave_symbol="EURUSD", slave_lots=D("0.33"))
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", mapping=mapping))
    leg = copy.legs[0]
    leg.status, leg.original_lots, leg.lots = LegStatus.OPEN, D("0.33"), D("0.33")
    accept(copy, replace(opens("0.20"), leg=1), ORIGIN, SEEN_AT)
    step = next_step(copy, clocked())
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    assert step.request.lots == D("0.33")


def test_what_filled_in_parts_goes_to_the_market_as_a_whole_where_ours_was_in_the_way() -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    filled(copy, "0.10")
    filled(copy, "0.10", leg=1)
    copy.attempt = attempt("delete", DeleteRequest(ticket=TICKET))
    answer = Done(ticket=TICKET, lots=D("0.20"), price=D("1.099"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert answered(copy, OpenRequest).lots == D("0.20")
    assert filled(copy, "0.10", leg=2) == []
    assert isinstance(next_step(copy, clocked()), Sends)


def test_a_fill_of_the_masters_order_is_not_copied_for_the_reason_that_ended_ours() -> None:
    """Its owner deleted it, or the broker did not take it: the fill has its own outcome (promise 3)."""
    removed = placed(places(OrderKind.BUY_LIMIT, "1.099"))
    removed.legs[0].status, removed.detached = LegStatus.ENDED, "PENDING_REMOVED"
    (denied,) = filled(removed, "0.10")
    assert isinstance(denied, m.CopyDenied)
    assert (denied.code, denied.numbers) == ("DETACHED", {"reason": "PENDING_REMOVED"})
    assert not denied.pending

    refused, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert refused is not None
    assert deny(refused, refused.legs[0], "BROKER_REFUSED", {"code": "NO_MONEY"}).pending
    (denied,) = filled(refused, "0.10")
    assert isinstance(denied, m.CopyDenied)
    assert (denied.code, denied.numbers) == ("BROKER_REFUSED", {"code": "NO_MONEY"})
    assert not denied.pending, "it is the fill that is not copied"
    assert next_step(refused, clocked()) == Rests()


def test_a_fill_is_copied_that_comes_after_the_market_was_too_near_to_place_ours() -> None:
    """By a distance that the broker does not tell: as where our own check finds it too near."""
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.09990"), ORIGIN, SEEN_AT)
    assert copy is not None
    finals = []
    for _ in range(LIMITS.now_tries):
        step = next_step(copy, clocked())
        assert isinstance(step, Sends)
        copy.attempt = attempt(step.kind, step.request)
        error = Refused("INVALID_PRICE", "")
        (rejected,) = outcomes.refused(
            copy, copy.attempt, error, Platform.MT5, SEEN_AT, LIMITS, TIMES
        ).events
        assert isinstance(rejected, m.CopyRejected)
        finals.append(rejected.final)
    assert finals == [False, False, True]
    assert next_step(copy, clocked()) == Rests()
    assert filled(copy, "0.10") == []
    market = clocked()
    market.learn_quote(quote("1.10050", "1.10052"))
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    assert step.kind == "open"
    assert step.numbers["offset"] == "0.00050", "of now, not of when it was to be placed"


def test_a_fill_of_the_masters_order_is_not_copied_where_a_protector_deleted_ours() -> None:
    """Nothing was told of it: its trade log stayed planned for good."""
    copy = placed(places(OrderKind.BUY_LIMIT, "1.09900"))
    copy.closing, copy.closing_numbers = "EQUITY_PROTECTION", {"rule": "stopLossValue"}
    copy.legs[0].status = LegStatus.ENDED
    (denied,) = filled(copy, "0.10")
    assert isinstance(denied, m.CopyDenied)
    assert denied.code == "EQUITY_PROTECTION"
    assert denied.numbers == {"reason": "EQUITY_PROTECTION", "rule": "stopLossValue"}
    assert not denied.pending


def test_a_fill_of_the_masters_order_that_ours_was_a_copy_of_is_told_once() -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099"))
    leg = copy.legs[0]
    leg.status, leg.original_lots, copy.detached = LegStatus.ENDED, D("0.10"), "CLOSED_BY_CLIENT"
    assert filled(copy, "0.10") == []


def test_a_move_that_the_market_is_in_the_way_of_is_made_when_it_no_longer_is() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099")
    copy = placed(order)
    moved(copy, order, price=D("1.0999"))
    near = clocked()
    near.learn_quote(quote("1.09985", "1.09987"))
    step = next_step(copy, near)
    assert isinstance(step, Waits)
    assert near.now < step.until
    told_at = near.now + timedelta(seconds=LIMITS.stops_within_s)
    assert alarms(copy, told_at, LIMITS)[0]["stop"].code == "STOP_NOT_SET"
    assert answered(copy, ModifyRequest).price == D("1.0999")
    assert alarms(copy, told_at, LIMITS) == ({}, None)


def test_what_goes_to_the_market_in_the_place_of_ours_is_held_as_it_was_filled() -> None:
    """Sized anew, by the money of then: of more than our order was for nothing stays behind."""
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099"))
    filled(copy, "0.10")
    copy.attempt = attempt("delete", DeleteRequest(ticket=TICKET))
    answer = Done(ticket=TICKET, lots=D("0.10"), price=D("1.099"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    step = next_step(copy, clocked())
    assert isinstance(step, Sends)
    copy.attempt = attempt(step.kind, step.request)
    answer = Done(ticket=TICKET, lots=D("0.20"), price=D("1.1"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert copy.legs[0].lots == D("0.20")
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    reduced = next_step(copy, clocked())
    assert isinstance(reduced, Sends)
    assert isinstance(reduced.request, CloseRequest)
    assert reduced.request.lots == D("0.10")


def test_a_fill_of_the_masters_order_is_not_copied_where_nobody_knows_of_ours() -> None:
    """It was placed without an answer and not found: it may show, and fill, after all."""
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    leg = copy.legs[0]
    assert deny(copy, leg, "NOT_RESENT", {"attempt": "1"}).pending
    leg.status = LegStatus.LOST
    (denied,) = filled(copy, "0.10")
    assert isinstance(denied, m.CopyDenied)
    assert (denied.code, denied.pending) == ("NOT_RESENT", False)
    assert leg.status is LegStatus.LOST, "what shows of it is still it"


def test_the_rest_of_ours_that_is_deleted_is_no_open_that_was_denied() -> None:
    """Ours filled in part before the master's filled, and that part has ended."""
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    leg = copy.legs[0]
    leg.status, leg.original_lots, leg.lots = LegStatus.OPEN, D("0.10"), D("0.10")
    filled(copy, "0.20")
    leg.status, copy.closing = LegStatus.PLACED, "REST_OF_ORDER"
    copy.attempt = attempt("delete", DeleteRequest(ticket=TICKET))
    answer = Done(ticket=TICKET, lots=D("0.10"), price=D("1.099"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert leg.status is LegStatus.ENDED
    assert next_step(copy, clocked()) == Rests()


def test_an_order_for_an_account_that_was_removed_waits_for_no_session() -> None:
    """There will be none; added again later, the account would place what its master has long left."""
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    gone = clocked()
    assert gone.account is not None
    gone.connected, gone.account.removed = False, True
    gone.opens_off = codes.denied("ACCOUNT_REMOVED")
    assert next_step(copy, gone) == Denies(0, codes.denied("ACCOUNT_REMOVED"))


def test_what_the_masters_order_fills_further_is_a_leg_where_ours_was_never_placed() -> None:
    """The market was asked for the first part alone."""
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"), ORIGIN, SEEN_AT)
    assert copy is not None
    filled(copy, "0.10")
    assert answered(copy, OpenRequest).lots == D("0.10")
    assert filled(copy, "0.10", leg=1) == []
    further = next_step(copy, clocked())
    assert isinstance(further, Sends)
    assert (further.kind, further.leg) == ("open", 1)


def test_a_fill_while_ours_is_placed_has_its_outcome_when_the_broker_refuses_ours() -> None:
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    step = next_step(copy, clocked())
    assert isinstance(step, Sends)
    copy.attempt = attempt(step.kind, step.request)
    filled(copy, "0.10")
    error = Refused("NO_MONEY", "")
    refusal = outcomes.refused(copy, copy.attempt, error, Platform.MT5, SEEN_AT, LIMITS, TIMES)
    rejected, denied = refusal.events
    assert isinstance(rejected, m.CopyRejected)
    assert isinstance(denied, m.CopyDenied)
    assert (denied.code, denied.pending) == ("BROKER_REFUSED", False)


def test_an_order_that_waited_is_placed_at_the_masters_price_wherever_the_market_went() -> None:
    """Its master's quote is of when it was seen: beside ours of now it shows a move, not a feed."""
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    later = clocked(age_s=600)
    later.learn_quote(quote("1.10300", "1.10302"))
    step = next_step(copy, later)
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    assert step.request.price == D("1.099")


def test_an_order_that_is_refused_for_now_keeps_the_difference_of_the_feeds() -> None:
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    market, prices = clocked(), []
    market.learn_quote(quote("1.10100", "1.10102"))
    for market.now in (SEEN_AT, SEEN_AT + timedelta(seconds=600)):
        step = next_step(copy, market)
        assert isinstance(step, Sends)
        assert isinstance(step.request, OpenRequest)
        prices.append(step.request.price)
        copy.attempt = attempt("place", step.request)
        closed = Refused("MARKET_CLOSED", "")
        outcomes.refused(copy, copy.attempt, closed, Platform.MT5, market.now, LIMITS, TIMES)
    assert prices == [D("1.10000"), D("1.10000")]


def rest_removed(copy: Copy) -> None:
    """What the master's order had not filled yet."""
    order = m.RemovePendingCopy(copy=copy.copy, slave=copy.slave, reason="MASTER_deleted")
    accept(copy, order, ORIGIN, SEEN_AT)


def ours_fills(copy: Copy, lots: str, of: str) -> None:
    leg = copy.legs[0]
    leg.status, leg.original_lots, leg.lots = LegStatus.OPEN, D(lots), D(lots)
    leg.due_lots = D(of) - D(lots)


def closes(copy: Copy) -> Decimal | None:
    step = next_step(copy, clocked())
    assert isinstance(step, Sends)
    assert isinstance(step.request, CloseRequest)
    return step.request.lots


@pytest.mark.parametrize("ours_first", [True, False])
def test_ours_that_filled_whole_is_reduced_to_what_the_masters_filled_in_the_end(
    ours_first: bool,
) -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    if ours_first:
        ours_fills(copy, "0.20", of="0.20")
    filled(copy, "0.05")
    filled(copy, "0.05", leg=1)
    if ours_first:
        assert next_step(copy, clocked()) == Rests(), "the rest may still fill"
    rest_removed(copy)
    if not ours_first:
        ours_fills(copy, "0.20", of="0.20")
    assert closes(copy) == D("0.10")
    copy.legs[0].lots = D("0.10")
    assert next_step(copy, clocked()) == Rests()
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    assert closes(copy) == D("0.05"), "half of its share"
    assert filled(copy, "0.05", leg=2) == [], "what the master adds later is another leg"


def test_ours_that_filled_in_part_is_held_up_to_its_share_of_the_whole() -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    ours_fills(copy, "0.10", of="0.20")
    filled(copy, "0.10")
    rest_removed(copy)
    assert next_step(copy, clocked()) == Rests()
    ours_fills(copy, "0.16", of="0.20")
    assert closes(copy) == D("0.06")


class Parts:
    """A master's order of 0.20 lots that fills in parts, and is closed in parts meanwhile."""

    def __init__(self, copy: Copy) -> None:
        self.copy, self.open = copy, D(0)
        self.fraction, self.legs = WHOLE, 0

    def fills(self, lots: str) -> None:
        filled(self.copy, lots, self.legs, fraction=self.fraction)
        self.open, self.legs = self.open + D(lots), self.legs + 1

    def closes(self, lots: str) -> None:
        left = self.open - D(lots)
        self.fraction, self.open = self.fraction * left / self.open, left
        accept(self.copy, reduce(self.copy, str(self.fraction)), ORIGIN, SEEN_AT)


def holds(copy: Copy) -> Decimal:
    """What ours has once its broker has done what it is asked to."""
    leg = copy.legs[0]
    while not isinstance(step := next_step(copy, clocked()), Rests):
        assert isinstance(step, Sends)
        assert isinstance(step.request, CloseRequest)
        assert step.request.lots is not None
        copy.attempt = attempt("close", step.request, expected=step.expected_lots)
        answer = Done(ticket=TICKET, lots=step.request.lots, price=D("1.1"))
        outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    return leg.lots


def ours_has_filled(copy: Copy, lots: str) -> None:
    """So much of it by now, of 0.20."""
    leg = copy.legs[0]
    closed = leg.original_lots - leg.lots if leg.status is LegStatus.OPEN else D(0)
    ours_fills(copy, lots, of="0.20")
    leg.lots -= closed


def test_what_fills_further_after_a_part_was_closed_is_not_missing() -> None:
    """Ours had filled whole: it gives up what the master gives up, and no share of what is to come."""
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    master = Parts(copy)
    ours_has_filled(copy, "0.20")
    master.fills("0.10")
    master.closes("0.05")
    assert holds(copy) == D("0.15")
    master.fills("0.10")
    assert holds(copy) == master.open == D("0.15")
    master.closes("0.10")
    assert holds(copy) == master.open == D("0.05")


def test_ours_that_fills_in_the_same_parts_has_what_the_master_has() -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    master = Parts(copy)
    master.fills("0.04")
    ours_has_filled(copy, "0.04")
    master.closes("0.02")
    assert holds(copy) == D("0.02")
    master.fills("0.08")
    ours_has_filled(copy, "0.12")
    assert holds(copy) == D("0.10")
    master.closes("0.05")
    assert holds(copy) == D("0.05")
    master.fills("0.08")
    ours_has_filled(copy, "0.20")
    assert holds(copy) == master.open == D("0.13")


@pytest.mark.parametrize("ours", ["0.12", "0.20"])
def test_a_rest_that_is_removed_after_a_part_was_closed_leaves_what_the_master_has(
    ours: str,
) -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    master = Parts(copy)
    ours_has_filled(copy, ours)
    master.fills("0.04")
    master.closes("0.02")
    master.fills("0.08")
    rest_removed(copy)
    assert holds(copy) == master.open == D("0.10")
    ours_has_filled(copy, "0.20")
    assert holds(copy) == D("0.10")


def test_ours_that_is_behind_is_reduced_like_the_masters_also_where_its_rest_is_gone() -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    master = Parts(copy)
    ours_has_filled(copy, "0.04")
    master.fills("0.08")
    rest_removed(copy)
    master.closes("0.04")
    assert holds(copy) == D("0.02")


def test_what_goes_to_the_market_in_the_place_of_ours_is_what_the_master_has_by_then() -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    master = Parts(copy)
    master.fills("0.10")
    master.closes("0.05")
    master.fills("0.10")
    copy.attempt = attempt("delete", DeleteRequest(ticket=TICKET))
    answer = Done(ticket=TICKET, lots=D("0.20"), price=D("1.099"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert answered(copy, OpenRequest).lots == master.open == D("0.15")


def test_what_went_to_the_market_in_the_place_of_ours_is_the_masters_share_already() -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"))
    filled(copy, "0.10")
    copy.attempt = attempt("delete", DeleteRequest(ticket=TICKET))
    answer = Done(ticket=TICKET, lots=D("0.20"), price=D("1.099"))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert answered(copy, OpenRequest).lots == D("0.10")
    rest_removed(copy)
    assert next_step(copy, clocked()) == Rests()


def test_a_rest_that_was_removed_before_ours_could_be_placed_leaves_the_fill_alone() -> None:
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099", lots="0.20"), ORIGIN, SEEN_AT)
    assert copy is not None
    filled(copy, "0.10")
    rest_removed(copy)
    assert answered(copy, OpenRequest).lots == D("0.10")
    assert next_step(copy, clocked()) == Rests()


def waited(copy: Copy, *, bid: str, age_s: float) -> Denial | None:
    """Why the order is not mirrored, so long after it was seen and with the slave's market there."""
    later = clocked(age_s=age_s)
    later.learn_quote(quote(bid))
    step = next_step(copy, later)
    if not isinstance(step, Denies):
        return None
    deny(copy, copy.legs[step.leg], step.denial.code, dict(step.denial.numbers))
    return step.denial


def test_an_order_that_waited_while_the_market_moved_is_copied_when_it_fills() -> None:
    """Two prices of two moments tell nothing of whether they are of one thing: its fill brings new ones."""
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    denial = waited(copy, bid="1.12000", age_s=600)
    assert denial is not None
    assert (denial.code, denial.numbers["master_quote_age_s"]) == ("PENDING_STALE", "600.0")
    assert filled(copy, "0.10") == []
    step = next_step(copy, clocked())
    assert isinstance(step, Sends)
    assert (step.kind, step.request.kind) == ("open", "Buy")  # type: ignore[union-attr]


def test_an_order_of_another_thing_is_not_copied_when_it_fills() -> None:
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    denial = waited(copy, bid="1.12000", age_s=1)
    assert denial is not None
    assert (denial.code, denial.numbers["failed"]) == ("SYMBOL_MISMATCH", "check_price")
    assert filled(copy, "0.10") == []
    again = waited(copy, bid="1.12000", age_s=1)
    assert again is not None
    assert (again.code, again.numbers["failed"]) == ("SYMBOL_MISMATCH", "check_price")
    (told,) = filled(copy, "0.10")
    assert isinstance(told, m.CopyDenied), "once"


@pytest.mark.parametrize(
    "code", ["OPENS_PAUSED", "CLOCK_OFF", "NOT_ENOUGH_MARGIN", "SYMBOL_OFF", "PENDING_PRICE"]
)
def test_a_fill_is_decided_on_by_what_holds_then_where_nothing_was_ever_sent(code: str) -> None:
    """A pause of a minute, hours ago, is no reason."""
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    paused = clocked()
    paused.opens_off = codes.denied(code)
    step = next_step(copy, paused)
    assert isinstance(step, Denies)
    assert deny(copy, copy.legs[0], step.denial.code, {}).pending
    assert filled(copy, "0.10") == []
    assert answered(copy, OpenRequest).kind is OrderKind.BUY


@pytest.mark.parametrize("is_denied", [True, False])
def test_a_fill_is_decided_on_by_the_options_of_then_where_nothing_was_ever_sent(
    is_denied: bool,
) -> None:
    """A copier that was reversed, or given a stop of its own, since the order was placed."""
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099", copy_sl=False), ORIGIN, SEEN_AT)
    assert copy is not None
    if is_denied:
        deny(copy, copy.legs[0], "PENDING_PRICE", {})
    now_reversed = {"reverse_copy": True, "fixed_sl_pips": 50, "magic_number": 5}
    fill = opens(copy_magic_number=MagicMode.CUSTOM, **now_reversed)
    accept(copy, replace(fill, from_pending=True), ORIGIN, SEEN_AT)
    assert (unplaced(copy) is None) is is_denied
    request = answered(copy, OpenRequest)
    assert (request.kind, request.stop_loss, request.magic) == (OrderKind.SELL, D("1.10500"), 5)
    accept(copy, modify_nothing(copy), ORIGIN, SEEN_AT)
    copy.legs[0].open_price = D("1.10000")
    assert modified_levels(copy, copy.legs[0], spec(), quote("1.1")).stop_loss == D("1.10500")


def modify_nothing(copy: Copy) -> m.ModifyCopy:
    return m.ModifyCopy(copy=copy.copy, slave=copy.slave, stop_loss=None, take_profit=None)


def test_a_contract_of_another_size_is_refused_however_long_its_order_waited() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099", master=context(symbol=spec(contract="0")))
    copy, _ = accept(None, order, ORIGIN, SEEN_AT)
    assert copy is not None
    denial = waited(copy, bid="1.12000", age_s=600)
    assert denial is not None
    assert denial.code == "SYMBOL_MISMATCH"


def fills_at(price: str, ticket: int, lots: str, **more: Any) -> OpenOrder:
    return OpenOrder(
        ticket=Ticket(ticket),
        symbol="EURUSD",
        kind=OrderKind.BUY,
        lots=D(lots),
        open_price=D(price),
        opened_at_broker=(now() + EASTERN).replace(tzinfo=None),
        **more,
    )


@pytest.mark.parametrize("into_owners", [False, True])
def test_a_stop_limit_that_filled_keeps_its_stop_as_far_from_its_limit_as_the_masters_is(
    into_owners: bool,
) -> None:
    """By distance it counts from where both fill: from its trigger it would be set far below."""

    async def story() -> None:
        async with watched(mode=Mode.NETTING) as account:
            asked: list[Any] = []

            async def does(request: Any) -> Done:
                asked.append(request)
                return Done(ticket=TICKET, lots=D("0.10"), price=D("1.105"))

            account.bridge.does = does
            limit, stop = "1.0995", D("1.0985")
            order = places(
                OrderKind.BUY_STOP_LIMIT,
                "1.105",
                stop_limit=limit,
                sl=str(stop),
                sl_mode=StopMode.DISTANCE,
            )
            about = {"slave": ACCOUNT, "registration": REGISTRATION, "seen_at_utc": now()}
            await account.order(replace(order, **about))
            await account.until(lambda: account.told(m.CopyPendingPlaced, topics.EXECUTIONS))
            tagged = {"comment": asked[0].comment, "magic": asked[0].magic}
            waits = fills_at("1.105", TICKET, "0.10", stop_loss=stop, **tagged)
            waits = replace(waits, kind=OrderKind.BUY_STOP_LIMIT, stop_limit_price=D(limit))
            owners = (fills_at(limit, 60, "0.30"),) if into_owners else ()
            account.bridge.orders = (waits, *owners)
            await account.looked()
            filled = fills_at(limit, TICKET, "0.10", stop_loss=stop, **tagged)
            if into_owners:
                filled = replace(owners[0], lots=D("0.40"))
            account.bridge.orders = (filled,)
            account.bridge.frame()
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            await account.looked()
            assert {request.stop_loss for request in asked} == {stop}

    run(story())


def test_a_stop_limit_is_sized_by_the_price_it_fills_at() -> None:
    order = places(
        OrderKind.BUY_STOP_LIMIT,
        "1.105",
        stop_limit="1.104",
        sl="1.103",
        risk_type=RiskType.FIXED_RISK,
    )
    copy, _ = accept(None, order, ORIGIN, SEEN_AT)
    assert copy is not None
    market = clocked()
    market.learn_spec(spec(profit_currency="USD"))
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    assert step.request.lots == D("1"), "100 USD by 10 pips"


@pytest.mark.parametrize("answer", [None, Refused("MARKET_CLOSED", "")])
def test_an_order_whose_master_filled_before_ours_was_placed_waits_no_more(
    answer: Refused | None,
) -> None:
    """Its row says so, and what is copied has a row of its own."""

    async def story() -> None:
        async with watched() as account:
            placing = asyncio.Event()

            async def does(request: Any) -> Done:
                if request.kind is OrderKind.BUY:
                    return Done(ticket=TICKET, lots=request.lots, price=D("1.10002"))
                placing.set()
                raise answer or NotSent("NO_CONNECTION", "not written")

            account.bridge.does = does
            about = {"slave": ACCOUNT, "registration": REGISTRATION, "seen_at_utc": now()}
            await account.order(replace(places(OrderKind.BUY_LIMIT, "1.099"), **about))
            await placing.wait()
            fill = replace(opens(), **about, fresh_from_utc=now(), from_pending=True)
            await account.order(fill)
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            (denied,) = account.told(m.CopyDenied, topics.EXECUTIONS)
            assert (denied.leg, denied.code, denied.pending) == (0, "PENDING_FILLED", True)

    run(story())


def test_what_goes_to_the_market_since_ours_was_never_placed_has_the_offset_of_then() -> None:
    """That of its first try may be none, where the order came late: stops would be off by the feeds."""
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    late = clocked(age_s=10)
    late.learn_quote(quote("1.10100", "1.10102"))
    step = next_step(copy, late)
    assert isinstance(step, Sends)
    assert step.numbers["offset"] == "0"
    copy.attempt = attempt("place", step.request)
    error = Refused("MARKET_CLOSED", "")
    outcomes.refused(copy, copy.attempt, error, Platform.MT5, late.now, LIMITS, TIMES)
    fill = replace(opens(), seen_at_utc=late.now, fresh_from_utc=late.now, from_pending=True)
    accept(copy, fill, ORIGIN, late.now)
    assert unplaced(copy) is not None
    step = next_step(copy, late)
    assert isinstance(step, Sends)
    assert step.numbers["offset"] == "0.00100"


def copier_stopped(copy: Copy) -> None:
    """After a fill of the master's order that nobody saw."""
    order = m.RemovePendingCopy(
        copy=copy.copy, slave=copy.slave, reason="COPIER_STOPPED", opens_nothing=True
    )
    assert accept(copy, order, ORIGIN, SEEN_AT)[1] == []


def test_ours_that_waits_when_its_copier_is_stopped_after_an_unseen_fill_is_taken_back() -> None:
    """Once a list of after the grace shows that it has not filled meanwhile."""
    order = places(OrderKind.BUY_LIMIT, "1.099")
    copy = placed(order)
    copier_stopped(copy)
    assert next_step(copy, clocked()) == Waits(SEEN_AT + timedelta(seconds=LIMITS.pending_grace_s))
    late = clocked(age_s=LIMITS.pending_grace_s)
    assert isinstance(next_step(copy, late), Asks), "whether it has filled meanwhile"
    late.looked((ours(copy, order),), late.mono)
    step = next_step(copy, late)
    assert isinstance(step, Sends)
    assert step.request == DeleteRequest(ticket=TICKET)
    copy.attempt = attempt("delete", step.request)
    answer = Done(ticket=TICKET, lots=D("0.10"), price=D("1.099"))
    (removed,) = outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES).events
    assert isinstance(removed, m.CopyPendingRemoved)
    assert removed.reason == "COPIER_STOPPED"
    assert next_step(copy, late) == Rests()


def test_ours_that_has_filled_when_its_copier_is_stopped_after_an_unseen_fill_is_followed() -> None:
    copy = placed(places(OrderKind.BUY_LIMIT, "1.099"))
    copier_stopped(copy)
    ours_fills(copy, "0.10", of="0.10")
    assert next_step(copy, clocked(age_s=10)) == Rests()
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    assert closes(copy) == D("0.05")


def test_ours_that_was_not_placed_when_its_copier_is_stopped_after_an_unseen_fill_is_denied() -> (
    None
):
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.099"), ORIGIN, SEEN_AT)
    assert copy is not None
    copier_stopped(copy)
    assert unplaced(copy) is None
    step = next_step(copy, clocked())
    assert isinstance(step, Denies)
    assert step.denial.code == "COPIER_STOPPED"
