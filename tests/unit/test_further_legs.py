"""A copy of more than one leg, as a netting master's position is that grows: no leg costs another its own."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from copypro.errors import Refused
from copypro.options import MagicMode, SymbolMapping
from copypro.trading import CloseRequest, Done, ModifyRequest, OpenOrder, OpenRequest
from copypro.values import CopyId, Mode, OrderKind, Platform, Side, Ticket
from copypro_account_watcher.alarms import alarms
from copypro_account_watcher.planned.accepting import accept, deny
from copypro_account_watcher.planned.levels import modified_levels
from copypro_account_watcher.planned.live import Live, NeedList, NeedQuote
from copypro_account_watcher.planned.opening import magic_of
from copypro_account_watcher.planned.step import Asks, Denies, Rests, Sends, Waits, ask_or_wait
from copypro_account_watcher.planned.steps import next_step
from copypro_account_watcher.settled import outcomes
from copypro_account_watcher.state import Copy, Leg, LegStatus
from msgspec.structs import replace

from tests.unit.slave_builders import (
    LIMITS,
    ORIGIN,
    SEEN_AT,
    TICKET,
    TIMES,
    D,
    attempt,
    live,
    modify,
    opens,
    quote,
    reduce,
    spec,
    standing,
    wanted,
)


def grows(copy: Copy, *, after_s: float = 0.0, **more: Any) -> None:
    """The master adds to its position."""
    at = SEEN_AT + timedelta(seconds=after_s)
    added = replace(opens(**more), leg=1, seen_at_utc=at, fresh_from_utc=at)
    accept(copy, added, ORIGIN, at)


def opened(copy: Copy, market: Live | None = None) -> OpenRequest:
    """The next step is an open, and the broker fills it."""
    step = next_step(copy, market or live())
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    copy.attempt = attempt("open", step.request)
    copy.attempt.leg = step.leg
    answer = Done(ticket=Ticket(78), lots=step.request.lots, price=step.request.price)
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    return step.request


def test_a_leg_whose_stop_must_wait_for_its_open_gets_it_then_as_the_first_one_did() -> None:
    """A broker that takes stops only afterwards: it has refused none."""
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss, copy.bare_open = D("1.05"), True
    grows(copy, sl="1.05")
    assert opened(copy).stop_loss is None
    step = next_step(copy, live())
    assert copy.closing == ""
    assert isinstance(step, Sends)
    assert isinstance(step.request, ModifyRequest)
    assert (step.request.ticket, step.request.stop_loss) == (78, D("1.05"))


def test_a_leg_that_opens_with_the_latest_stop_does_not_hide_that_the_former_leg_lacks_it() -> None:
    """A netting order that adds may bring another stop: both are told by one look, the stop first."""
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    grows(copy, sl="1.06")
    assert opened(copy).stop_loss == D("1.06")
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert isinstance(step.request, ModifyRequest)
    assert (step.request.ticket, step.request.stop_loss) == (copy.legs[0].ticket, D("1.06"))


def test_a_leg_that_opens_with_the_stop_that_all_have_leads_to_nothing_more() -> None:
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    grows(copy, sl="1.05")
    opened(copy)
    assert next_step(copy, live()) == Rests()


def test_on_netting_nothing_is_added_to_what_is_not_the_copys_alone() -> None:
    """Its owner has added to it, or taken off, and it has one stop for all."""
    copy, netting = standing(), live(mode=Mode.NETTING)
    copy.legs.append(Leg(number=2, tag="t", status=LegStatus.ENDED, lots=D("0.10")))
    grows(copy)
    for lots in ("0.25", "0.20", "0.05"):
        netting.looked([position(lots)], netting.mono)
        step = next_step(copy, netting)
        assert isinstance(step, Denies)
        assert (step.denial.code, step.denial.numbers["ticket"]) == ("NETTING_SHARED", "77")
    netting.looked([position("0.10")], netting.mono)
    assert isinstance(next_step(copy, netting), Sends)


def test_on_netting_what_a_position_too_many_may_still_fill_is_waited_for() -> None:
    """It is in the list with the copy's own, and nothing says that anybody else has added to it."""
    copy, netting = standing(), live(mode=Mode.NETTING)
    extra = Leg(number=-1, tag="t", status=LegStatus.ENDED, due_lots=D("0.05"))
    copy.legs.append(extra)
    grows(copy)
    netting.looked([position("0.15")], netting.mono)
    assert next_step(copy, netting) == Asks((NeedList(),))
    netting.looked([replace(position("0.15"), ticket=Ticket(5))], netting.mono)
    copy.legs[0].status = LegStatus.ENDED
    step = next_step(copy, netting)
    assert isinstance(step, Denies)
    assert step.denial.code == "NETTING_SHARED"


def position(lots: str) -> OpenOrder:
    return OpenOrder(
        ticket=TICKET,
        symbol="EURUSD",
        kind=OrderKind.BUY,
        lots=D(lots),
        open_price=D("1.1"),
        opened_at_broker=SEEN_AT.replace(tzinfo=None),
    )


def test_nothing_is_added_to_what_has_ended_and_was_not_told_yet() -> None:
    """Perhaps its owner closed it."""
    copy, market = standing(), live()
    grows(copy)
    market.found_ended = {TICKET}
    soon = timedelta(seconds=LIMITS.later_close_first_s)
    assert next_step(copy, market) == Waits(SEEN_AT + soon)
    market.looked([position("0.10")], market.mono)
    assert isinstance(next_step(copy, market), Sends), "a list of after that shows it"


@pytest.mark.parametrize("shown", [[], [TICKET], [Ticket(78)]])
def test_nothing_is_added_to_what_no_list_shows_which_is_looked_for_soon(
    shown: list[Ticket],
) -> None:
    """All of it, of more legs than one."""
    copy, market = standing(), live()
    grows(copy)
    opened(copy)
    accept(copy, replace(opens(), leg=2), ORIGIN, SEEN_AT)
    market.looked([replace(position("0.10"), ticket=ticket) for ticket in shown], market.mono)
    soon = timedelta(seconds=LIMITS.missing_every_s)
    assert next_step(copy, market) == Waits(SEEN_AT + soon)
    market.looked(
        [replace(position("0.10"), ticket=at) for at in (TICKET, Ticket(78))], market.mono
    )
    assert isinstance(next_step(copy, market), Sends)


def test_a_leg_that_waits_is_not_opened_without_the_first_one() -> None:
    """Later adds do not start mid-trade, whichever of the two came first."""
    copy = wanted()
    grows(copy, after_s=30)
    first = next_step(copy, live(age_s=65))
    assert isinstance(first, Denies)
    assert (first.leg, first.denial.code) == (0, "EXPIRED")
    deny(copy, copy.legs[0], first.denial.code, dict(first.denial.numbers))
    second = next_step(copy, live(age_s=65))
    assert isinstance(second, Denies)
    assert (second.leg, second.denial) == (1, first.denial)
    assert copy.legs[0].status is LegStatus.ENDED


def test_a_symbol_mapped_anew_meanwhile_does_not_move_a_copy_that_stands() -> None:
    """Changing a mapping never re-labels open legs: a copy has one symbol."""
    copy = standing()
    market = live()
    market.learn_names(("EURUSD", "EURUSD.m"))
    market.learn_spec(spec("EURUSD.m", contract="1000"))
    market.learn_quote(quote("1.10000", "1.10002", "EURUSD.m"))
    market.learn_margin("EURUSD.m", Side.BUY, D("10"))
    grows(copy, mapping=SymbolMapping(master_symbol="EURUSD", slave_symbol="EURUSD.m"))
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    assert isinstance(step.request, OpenRequest)
    assert (step.request.symbol, step.request.lots) == ("EURUSD", D("0.10"))
    assert copy.symbol == "EURUSD"
    other = SymbolMapping(master_symbol="EURUSD", slave_symbol="EURUSD.m", slave_lots=D("3"))
    grows(copy := standing(), mapping=other)
    assert opened(copy, market).lots == D("0.10"), "those lots are another symbol's"


@pytest.mark.parametrize("now", ["mapped anew", "unmapped"])
def test_a_symbol_mapped_anew_meanwhile_leaves_a_copy_its_own_lots(now: str) -> None:
    """Those of its own mapping: by the copier's rule it would be ten times as much, and the newer
    mapping's are another symbol's.
    """
    copy = wanted(
        mapping=SymbolMapping(master_symbol="EURUSD", slave_symbol="EUR", slave_lots=D("0.02"))
    )
    market = live()
    market.learn_names(("EUR", "EURUSD"))
    market.learn_spec(spec("EUR"))
    market.learn_quote(quote("1.10000", "1.10002", "EUR"))
    market.learn_margin("EUR", Side.BUY, D("10"))
    assert opened(copy, market).lots == D("0.02")
    other = SymbolMapping(master_symbol="EURUSD", slave_symbol="EURUSD", slave_lots=D("0.05"))
    grows(copy, lots="0.20", mapping=other if now == "mapped anew" else None)
    request = opened(copy, market)
    assert (request.symbol, request.lots) == ("EUR", D("0.02"))


def test_a_copier_that_is_reversed_meanwhile_does_not_turn_the_stops_of_a_copy_that_stands() -> (
    None
):
    """The copy stays a buy, so what is added to it has its stop below and its target above."""
    copy = standing(sl="1.05", tp="1.20")
    copy.legs[0].set_stop_loss, copy.legs[0].set_take_profit = D("1.05"), D("1.20")
    grows(copy, sl="1.05", tp="1.20", reverse_copy=True)
    request = opened(copy)
    assert (request.kind, request.stop_loss, request.take_profit) == ("Buy", D("1.05"), D("1.20"))


@pytest.mark.parametrize(
    ("before", "now", "stop"),
    [
        ({"copy_sl": False}, {"copy_sl": True}, None),
        ({"copy_sl": True}, {"copy_sl": False}, D("1.05")),
        ({"fixed_sl_pips": 50, "copy_sl": False}, {"copy_sl": True}, D("1.09502")),
        ({"sl_refinement_pips": 10}, {"sl_mode": "Distance"}, D("1.04900")),
    ],
)
def test_what_is_added_has_its_stop_by_the_rules_of_the_copy_that_stands(
    before: dict[str, Any], now: dict[str, Any], stop: Decimal | None
) -> None:
    """Each later change of the master's is set by those: a stop by other ones would be taken away again."""
    copy = standing(sl="1.05", tp="1.20", **before)
    grows(copy, sl="1.05", tp="1.20", **now)
    assert opened(copy).stop_loss == stop
    accept(copy, modify(copy, "1.05"), ORIGIN, SEEN_AT)
    added = copy.legs[1]
    levels = modified_levels(copy, added, spec(), quote("1.10000", "1.10002"))
    assert levels.stop_loss == stop


def test_what_is_added_has_the_magic_by_which_the_copy_is_known() -> None:
    copy = standing(copy_magic_number=MagicMode.CUSTOM, magic_number=5)
    grows(copy, copy_magic_number=MagicMode.CUSTOM, magic_number=7)
    assert opened(copy).magic == magic_of(copy) == 5


@pytest.mark.parametrize(
    ("now", "code"),
    [
        ({"margin_reserve": D("0.995")}, "NOT_ENOUGH_MARGIN"),
        ({"min_margin_level": D(100_000)}, "MARGIN_LEVEL"),
    ],
)
def test_what_is_added_leaves_as_much_margin_as_its_copier_wants_by_now(
    now: dict[str, Any], code: str
) -> None:
    copy = standing()
    grows(copy, **now)
    step = next_step(copy, live())
    assert isinstance(step, Denies)
    assert step.denial.code == code


def test_a_leg_that_cannot_be_reduced_keeps_no_other_one_from_it() -> None:
    copy = standing()
    grows(copy)
    opened(copy)
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    market, tickets = live(), []
    for _ in range(3):
        step = next_step(copy, market)
        assert isinstance(step, Sends)
        assert isinstance(step.request, CloseRequest)
        tickets.append(step.request.ticket)
        copy.attempt = attempt("close", step.request, expected=step.expected_lots)
        copy.attempt.leg = step.leg
        error = Refused("ORDER_LOCKED", "")
        outcomes.refused(copy, copy.attempt, error, Platform.MT5, market.now, LIMITS, TIMES)
        assert copy.not_before_utc is not None
        market.now = copy.not_before_utc
        market.learn_quote(quote("1.10000", "1.10002"))
    assert tickets == [TICKET, 78, TICKET]


@pytest.mark.parametrize("code", ["ORDER_LOCKED", "FROZEN", "REQUOTE", "INVALID_STOPS"])
def test_a_leg_whose_levels_are_refused_keeps_no_other_one_from_them(code: str) -> None:
    """Else the other one has no stop, and is closed for that."""
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    grows(copy, sl="1.05")
    opened(copy)
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    market, tickets = live(), set()
    for _ in range(3):
        step = next_step(copy, market)
        assert isinstance(step, Sends)
        assert isinstance(step.request, ModifyRequest)
        tickets.add(step.request.ticket)
        copy.attempt = attempt("modify", step.request)
        copy.attempt.leg = step.leg
        error = Refused(code, "")
        outcomes.refused(copy, copy.attempt, error, Platform.MT5, market.now, LIMITS, TIMES)
        market.now = max(market.now, copy.not_before_utc or market.now)
        market.learn_quote(quote("1.10000", "1.10002"))
    assert tickets == {TICKET, 78}


def test_a_leg_whose_levels_are_refused_for_good_costs_no_other_one_its_own() -> None:
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    grows(copy, sl="1.05")
    opened(copy)
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    assert refused_for_good(copy).ticket == TICKET
    assert refused_for_good(copy).ticket == 78
    assert next_step(copy, live()) == Rests()
    accept(copy, modify(copy, "1.07"), ORIGIN, SEEN_AT)
    assert refused_for_good(copy).ticket == TICKET, "the master's next ones are tried again"


def test_a_leg_that_waits_for_its_first_stop_is_not_closed_because_another_one_is_refused() -> None:
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss, copy.bare_open = D("1.05"), True
    grows(copy, sl="1.06")
    opened(copy)
    assert refused_for_good(copy).ticket == TICKET
    step = next_step(copy, live())
    assert copy.closing == ""
    assert isinstance(step, Sends)
    assert isinstance(step.request, ModifyRequest)
    assert (step.request.ticket, step.request.stop_loss) == (78, D("1.06"))


def test_that_levels_were_refused_is_told_also_where_another_leg_has_taken_them() -> None:
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    grows(copy, sl="1.05")
    opened(copy)
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    refused_for_good(copy)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    copy.attempt = attempt("modify", step.request)
    copy.attempt.leg = step.leg
    answer = Done(ticket=Ticket(78), lots=D(0), price=D(0))
    outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    assert next_step(copy, live()) == Rests()
    assert "stop" in alarms(copy, SEEN_AT + timedelta(minutes=5), LIMITS)[0]


def test_one_position_of_several_legs_is_refused_its_levels_once() -> None:
    """Netting: what its broker says of it is said of all of them."""
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss = D("1.05")
    grows(copy, sl="1.05")
    opened(copy)
    copy.legs[1].ticket = TICKET
    accept(copy, modify(copy, "1.06"), ORIGIN, SEEN_AT)
    refused_for_good(copy)
    assert next_step(copy, live()) == Rests()


def test_a_leg_that_was_filled_in_part_is_reduced_by_what_was_filled_and_costs_no_other_one() -> (
    None
):
    copy = wanted()
    first = next_step(copy, live())
    assert isinstance(first, Sends)
    copy.attempt = attempt("open", first.request)
    outcomes.done(
        copy, copy.attempt, Done(ticket=TICKET, lots=D("0.06"), price=D("1.1")), Platform.MT5, TIMES
    )
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    assert reduced(copy) == [(TICKET, D("0.03"))]
    accept(copy, replace(opens(), leg=1, fraction=D("0.5")), ORIGIN, SEEN_AT)
    assert opened(copy).lots == D("0.10"), "nothing is added for what is missing"
    accept(copy, reduce(copy, "0.25"), ORIGIN, SEEN_AT)
    assert reduced(copy) == [(TICKET, D("0.02")), (78, D("0.05"))]
    assert [leg.lots for leg in copy.legs] == [D("0.01"), D("0.05")]


def test_what_may_still_fill_of_one_leg_is_waited_for_also_where_the_others_are_whole() -> None:
    copy = standing()
    grows(copy)
    opened(copy)
    copy.closing, copy.closing_since_utc = "MASTER_FLAT", SEEN_AT
    for leg in copy.legs:
        leg.status = LegStatus.ENDED
    copy.legs[1].due_lots = D("0.04")
    limit = timedelta(seconds=LIMITS.absence_wait_mt5_s)
    assert next_step(copy, live()) == Waits(SEEN_AT + limit)
    assert next_step(copy, live(age_s=LIMITS.absence_wait_mt5_s)) == Rests()


def reduced(copy: Copy) -> list[tuple[Ticket, Decimal | None]]:
    """What the next steps close, and the broker does."""
    closed = []
    while isinstance(step := next_step(copy, live()), Sends):
        assert isinstance(step.request, CloseRequest)
        closed.append((step.request.ticket, step.request.lots))
        copy.attempt = attempt("close", step.request, expected=step.expected_lots)
        copy.attempt.leg = step.leg
        answer = Done(ticket=step.request.ticket, lots=step.request.lots or D(0), price=D("1.1"))
        outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
    return closed


def refused_for_good(copy: Copy) -> ModifyRequest:
    """The next step sets levels, and the broker does not take them."""
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert isinstance(step.request, ModifyRequest)
    copy.attempt = attempt("modify", step.request)
    copy.attempt.leg = step.leg
    error = Refused("TRADE_DISABLED", "")
    outcomes.refused(copy, copy.attempt, error, Platform.MT5, SEEN_AT, LIMITS, TIMES)
    return step.request


def test_what_a_list_did_not_change_is_asked_for_again_a_little_later_by_this_copy() -> None:
    copy, market, need = standing(), live(), NeedList()
    far = market.now + timedelta(hours=1)

    def asked(each: Copy) -> bool:
        return isinstance(ask_or_wait(each, (need,), market, far), Asks)

    assert asked(copy)
    market.learn_answered(copy.copy, need)
    step = ask_or_wait(copy, (need,), market, far)
    assert step == Waits(market.now + timedelta(seconds=LIMITS.ask_again_s))
    assert asked(replace(copy, copy=CopyId("another")))
    market.called(copy.copy)
    assert asked(copy), "its own call came between"
    market.learn_answered(copy.copy, need)
    market.mono += LIMITS.ask_again_s
    assert asked(copy)


def test_an_answer_holds_back_nothing_else_that_is_to_be_read() -> None:
    copy, market = standing(), live()
    market.learn_answered(copy.copy, NeedList())
    needs = (NeedList(), NeedQuote("EURUSD"))
    step = ask_or_wait(copy, needs, market, market.now + timedelta(hours=1))
    assert step == Asks((NeedQuote("EURUSD"),))


def test_a_part_is_closed_by_the_terms_known_while_new_ones_are_read_for_another_copy() -> None:
    """Perhaps in vain, and closes wait for nothing."""
    copy, market = standing(), live()
    accept(copy, reduce(copy, "0.5"), ORIGIN, SEEN_AT)
    assert market.renew_spec("EURUSD")
    assert market.spec("EURUSD") is None
    step = next_step(copy, market)
    assert isinstance(step, Sends)
    assert isinstance(step.request, CloseRequest)
