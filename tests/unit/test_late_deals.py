"""A reduction whose deal history tells late: its figures come with it, once, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.account_history import trade_of
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.messages import PositionClosed, PositionIncreased, PositionOpened, PositionReduced
from copypro.trading import ClosedOrder, OpenOrder
from copypro.values import AccountId, OrderKind
from copypro_account_watcher.seen.book import Book, Rest
from copypro_account_watcher.seen.owed import owed_closings
from copypro_standalone.backtest.virtual_time import run
from copypro_stats.batch import Parts, batch_of
from msgspec import json
from msgspec.structs import replace

from tests.unit.diff_builders import D, Watch, hedging, mt4, netting, order, row
from tests.unit.watched import BEGAN, Watched, watched

SELL = OrderKind.SELL


def late(look: Callable[..., object], *orders: OpenOrder, **more: Any) -> list[Any]:
    """What a look tells of what was told before; it tells nothing else."""
    watch: Watch = look.__self__  # type: ignore[attr-defined]
    assert look(*orders, **more) == []
    return list(watch.late)


def money(event: Any) -> tuple[Decimal, ...]:
    deal = event.deal
    return deal.profit, deal.swap, deal.commission, deal.fee


LATE = row(
    1, "0.04", deal=9, profit=D(4), swap=D(-1), commission=D("-0.5"), fee=D("-0.1"), closed=1
)


@pytest.mark.parametrize("is_frame", [True, False])
@pytest.mark.parametrize("is_netting", [True, False])
def test_a_deal_that_history_tells_late_is_told_as_the_one_that_was_made_up(
    is_frame: bool, is_netting: bool
) -> None:
    watch = netting() if is_netting else hedging()
    watch.sees(order(1, "0.10"))
    [made] = watch.sees(order(1, "0.06", market_price=D("1.15")), row_wait_s=0)
    assert isinstance(made, PositionReduced)
    assert watch.book.rows_owed() == [made.deal.ticket]
    watch.reopened()
    sees = watch.sees if is_frame else watch.snapshot
    [event] = late(sees, order(1, "0.06"), closed=(LATE,))
    assert isinstance(event, PositionReduced)
    assert money(event) == (D(4), D(-1), D("-0.5"), D("-0.1"))
    assert (event.deal.ticket, event.deal.lots) == (made.deal.ticket, D("0.04"))
    assert event.deal.price == D("1.2000")
    assert event.deal.time_broker == made.deal.time_broker
    assert (event.open_lots, event.seen_at_utc) == (D("0.06"), made.seen_at_utc)
    assert watch.book.rows_owed() == []
    assert late(sees, order(1, "0.06"), closed=(LATE,)) == []
    [end] = watch.snapshot(closed=(LATE, row(1, "0.06", deal=10, closed=61)))
    assert isinstance(end, PositionClosed)


def test_two_deals_that_were_seen_as_one_are_told_together_and_once() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    watch.sees(order(1, "0.03"), row_wait_s=0)
    one = row(1, "0.04", deal=8, profit=D(4), closed=1)
    two = row(1, "0.03", deal=9, profit=D(-1), at_price="1.1000", closed=2)
    assert late(watch.snapshot, order(1, "0.03"), closed=(one,)) == []
    [event] = late(watch.reopened().snapshot, order(1, "0.03"), closed=(one, two))
    assert isinstance(event, PositionReduced)
    assert (event.deal.lots, event.deal.profit) == (D("0.07"), D(3))
    assert D("1.15") < event.deal.price < D("1.16")


def test_each_of_two_made_deals_gets_its_own_row_in_any_order() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    [first] = watch.sees(order(1, "0.07"), row_wait_s=0)
    [second] = watch.sees(order(1, "0.02"), row_wait_s=0)
    rows = (
        row(1, "0.05", deal=9, profit=D(5), closed=2),
        row(1, "0.03", deal=8, profit=D(3), closed=1),
    )
    profits: dict[int, Any] = {}
    for each in rows:
        [told] = late(watch.snapshot, order(1, "0.02"), closed=(each,))
        profits[told.deal.ticket] = told.deal.profit
    assert profits == {first.deal.ticket: 3, second.deal.ticket: 5}  # type: ignore[union-attr]


@pytest.mark.parametrize("together", [True, False])
def test_a_position_that_ended_meanwhile_still_learns_of_its_parts(together: bool) -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    [made] = watch.sees(order(1, "0.06"), row_wait_s=0)
    end = row(1, "0.06", deal=10, closed=61)
    if together:
        [closed] = watch.snapshot(closed=(LATE, end))
        [event] = watch.late
    else:
        [closed] = watch.sees(closed=(end,))
        [event] = late(watch.reopened().snapshot, closed=(LATE, end))
    assert isinstance(closed, PositionClosed)
    assert closed.deal.ticket == 10
    assert isinstance(event, PositionReduced)
    assert (event.deal.ticket, event.deal.profit) == (made.deal.ticket, 4)  # type: ignore[union-attr]
    assert late(watch.snapshot, closed=(LATE, end)) == []
    assert watch.book.rows_owed() == []


def test_what_a_position_had_closed_before_the_first_look_is_no_late_row() -> None:
    watch = Watch()
    watch.starts(order(1, "0.10"))
    watch.sees(order(1, "0.06"), row_wait_s=0)
    before = row(1, "0.04", deal=8, closed=-600, profit=D(99))
    assert late(watch.snapshot, order(1, "0.06"), closed=(before,)) == []
    [event] = late(watch.snapshot, order(1, "0.06"), closed=(before, LATE))
    assert money(event)[0] == 4


def test_a_reversal_that_was_told_without_its_row_gets_its_profit() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"))
    flipped = order(2, "0.05", SELL, opened=60)
    closed, _ = watch.sees(flipped, row_wait_s=0)
    assert isinstance(closed, PositionClosed)
    inout = row(1, "0.10", deal=9, profit=D(7), closed=60)
    [event] = late(watch.snapshot, flipped, closed=(inout,))
    assert isinstance(event, PositionClosed)
    assert (event.root, event.deal.ticket) == (closed.root, closed.deal.ticket)
    assert event.deal.profit == 7
    assert late(watch.snapshot, flipped, closed=(inout,)) == []


def test_a_reversal_of_more_than_any_list_had_shown_gets_its_profit() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"))
    flipped = order(2, "0.05", SELL, opened=60)
    closed, _ = watch.later(60).sees(flipped, row_wait_s=0)
    inout = row(1, "0.30", deal=9, profit=D(7), closed=60)
    [event] = late(watch.later(5).snapshot, flipped, closed=(inout,))
    assert isinstance(closed, PositionClosed)
    assert isinstance(event, PositionClosed)
    assert (event.root, event.deal.ticket) == (closed.root, closed.deal.ticket)
    assert (event.deal.lots, event.deal.profit) == (D("0.30"), 7)
    assert watch.book.rows_owed() == []
    assert late(watch.snapshot, flipped, closed=(inout,)) == []


def test_reversals_that_kept_the_ticket_get_each_their_own_profit() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"))
    ends = []
    for number, kind in enumerate((SELL, OrderKind.BUY, SELL), start=1):
        opened = 60.0 * number
        closed, _ = watch.later(60).sees(order(1, "0.10", kind, opened=opened), row_wait_s=0)
        ends.append(closed)
    rows = tuple(
        row(1, "0.10", kind, deal=9 + n, profit=D(7 + n), opened=60.0 * n, closed=60.0 * (n + 1))
        for n, kind in enumerate((OrderKind.BUY, SELL, OrderKind.BUY))
    )
    told = []
    for until in (1, 2, 3):
        told += late(watch.snapshot, order(1, "0.10", SELL, opened=180), closed=rows[:until])
    assert [(event.root, event.deal.profit) for event in told] == [
        (end.root, 7 + n) for n, end in enumerate(ends)
    ]
    assert watch.book.rows_owed() == []


def test_a_rest_whose_former_ticket_history_tells_late() -> None:
    watch = mt4()
    watch.sees(order(1, "0.10"))
    rest = order(2, "0.06", comment="from #1")
    [made] = watch.sees(rest, row_wait_s=0)
    part = row(1, "0.04", profit=D(4), comment="to #2")
    [event] = late(watch.snapshot, rest, closed=(part,))
    assert isinstance(made, PositionReduced)
    assert isinstance(event, PositionReduced)
    assert (event.deal.ticket, event.deal.profit, event.ticket) == (made.deal.ticket, 4, 2)
    assert late(watch.snapshot, rest, closed=(part,)) == []


def test_a_chain_seen_as_one_step_gets_the_profit_of_all_its_parts() -> None:
    watch = mt4()
    watch.sees(order(1, "0.10"))
    rest = order(3, "0.03")
    watch.reads_history(rest, row_wait_s=0, history_lag_s=0)
    parts = (row(1, "0.04", profit=D(4)), row(2, "0.03", profit=D(3), closed=61))
    [event] = late(watch.snapshot, rest, closed=parts)
    assert (event.deal.lots, event.deal.profit) == (D("0.07"), 7)  # type: ignore[union-attr]
    assert late(watch.snapshot, rest, closed=parts) == []


def test_a_part_in_a_chain_s_middle_that_nobody_has_told_is_told_when_its_row_comes() -> None:
    watch = mt4()
    watch.sees(order(1, "0.10"))
    rest = order(3, "0.03")
    first, middle = row(1, "0.04", profit=D(4)), row(2, "0.03", profit=D(3), closed=61)
    [told] = watch.reads_history(rest, closed=(first,), row_wait_s=0, history_lag_s=0)
    assert told.deal.lots == D("0.04")  # type: ignore[union-attr]
    [event] = late(watch.snapshot, rest, closed=(first, middle))
    assert isinstance(event, PositionReduced)
    assert (event.deal.ticket, event.deal.lots, event.deal.profit) == (2, D("0.03"), 3)
    assert event.open_lots == D("0.03")
    assert late(watch.snapshot, rest, closed=(first, middle)) == []


@pytest.mark.parametrize("seen_by", ["list", "frame"])
def test_a_part_that_closed_before_its_position_was_first_seen_is_told_once(seen_by: str) -> None:
    watch = hedging().later(10)
    part = row(1, "0.04", deal=9, profit=D(4), opened=3, closed=5)
    rest = order(1, "0.06", opened=3)
    if seen_by == "frame":
        assert watch.sees(rest, closed=(part,)) == []
        assert watch.snapshot(rest) == [], "history is about to tell how much it was"
        opened, reduced = watch.snapshot(rest, closed=(part,))
        assert isinstance(opened, PositionOpened)
        assert opened.lots == D("0.10")
        assert isinstance(reduced, PositionReduced)
        event: Any = reduced
    else:
        [opened] = watch.snapshot(rest)
        [event] = late(watch.snapshot, rest, closed=(part,))
        assert event.open_lots == event.ever_lots == D("0.06")
    assert (event.deal.ticket, event.deal.profit) == (9, 4)
    assert late(watch.snapshot, rest, closed=(part,)) == []


# --- what no look showed --------------------------------------------------------------------------


@pytest.mark.parametrize("ticket", [1, 2])
def test_on_netting_a_part_that_closed_before_its_position_was_first_seen_is_told_once(
    ticket: int,
) -> None:
    """The position may have the number of the order that reduced it."""
    watch = netting().later(10)
    part = row(ticket, "0.04", deal=9, profit=D(4), opened=3, closed=5)
    rest = order(2, "0.06", opened=3, identifier=1)
    [opened] = watch.snapshot(rest)
    assert isinstance(opened, PositionOpened)
    [event] = late(watch.snapshot, rest, closed=(part,))
    assert isinstance(event, PositionReduced)
    assert (event.root, event.deal.ticket, event.deal.profit) == (opened.root, 9, 4)
    assert event.open_lots == event.ever_lots == D("0.06")
    assert late(watch.reopened().snapshot, rest, closed=(part,)) == []


def test_on_netting_what_a_former_lifecycle_closed_is_no_part_of_the_next() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"))
    flipped, back = order(1, "0.05", SELL, opened=60), order(1, "0.05", opened=90)
    watch.later(60).sees(flipped, row_wait_s=0)
    watch.later(30).sees(back, row_wait_s=0)
    first = row(1, "0.10", deal=9, profit=D(7), closed=60)
    [event] = late(watch.later(30).snapshot, back, closed=(first,))
    assert isinstance(event, PositionClosed)
    assert (event.root, event.deal.profit) == ("EURUSD:1:1", 7)


CUT = row(1, "0.05", deal=9, profit=D(4), closed=30)


@pytest.mark.parametrize("made", [hedging, netting])
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("lots", ["0.15", "0.10"])
def test_a_part_whose_reduction_a_growth_hid_is_told_once(
    made: Callable[[], Watch], at_once: bool, lots: str
) -> None:
    watch = made()
    watch.sees(order(1, "0.10"))
    grown = order(1, lots, price="1.1200")
    watch.later(60)
    if at_once:
        told = watch.snapshot(grown, closed=(CUT,))
        [event] = watch.late
    else:
        told = watch.snapshot(grown)
        [event] = late(watch.reopened().snapshot, grown, closed=(CUT,))
    assert len(told) == (lots == "0.15")
    assert isinstance(event, PositionReduced)
    assert (event.deal.ticket, event.deal.lots, event.deal.profit) == (9, D("0.05"), 4)
    assert late(watch.reopened().snapshot, grown, closed=(CUT,)) == []
    [end] = watch.snapshot(closed=(CUT, row(1, lots, deal=10, closed=90)))
    assert isinstance(end, PositionClosed)
    assert watch.late == []


@pytest.mark.parametrize("made", [hedging, netting])
def test_a_deal_that_a_growth_hid_in_part_gets_its_profit(made: Callable[[], Watch]) -> None:
    watch = made()
    watch.sees(order(1, "0.10"))
    [reduced] = watch.later(60).snapshot(order(1, "0.08"), row_wait_s=0)
    assert isinstance(reduced, PositionReduced)
    [event] = late(watch.later(5).snapshot, order(1, "0.08"), closed=(CUT,))
    assert isinstance(event, PositionReduced)
    assert (event.deal.ticket, event.deal.lots) == (reduced.deal.ticket, D("0.05"))
    assert event.deal.profit == 4
    assert watch.book.rows_owed() == []


@pytest.mark.parametrize("made", [hedging, netting])
def test_a_deal_that_history_has_before_its_list_shows_it_is_no_hidden_one(
    made: Callable[[], Watch],
) -> None:
    watch = made()
    watch.sees(order(1, "0.10"))
    assert late(watch.later(30).snapshot, order(1, "0.10"), closed=(CUT,)) == []
    [event] = watch.snapshot(order(1, "0.05"), closed=(CUT,))
    assert isinstance(event, PositionReduced)
    assert (event.deal.ticket, event.deal.profit) == (9, 4)


@pytest.mark.parametrize("made", [hedging, netting])
def test_a_position_that_grew_unseen_and_closed_in_parts_has_all_its_profit(
    made: Callable[[], Watch],
) -> None:
    watch = made()
    watch.sees(order(1, "0.10"))
    parts = (
        row(1, "0.15", deal=9, profit=D(4), closed=30),
        row(1, "0.15", deal=10, profit=D(5), closed=40),
    )
    [end] = watch.later(60).snapshot(closed=parts)
    [event] = watch.late
    assert isinstance(end, PositionClosed)
    assert isinstance(event, PositionReduced)
    assert (end.deal.profit, event.deal.profit) == (5, 4)
    assert late(watch.snapshot, closed=parts) == []


@pytest.mark.parametrize("made", [hedging, netting])
@pytest.mark.parametrize("restarted", [False, True])
def test_what_a_position_that_is_over_had_closed_unseen_is_told_once(
    made: Callable[[], Watch], restarted: bool
) -> None:
    """Its frames were lost, and others showed what was left of it and its end before history told."""
    watch = made().later(10)
    rest = order(1, "0.05", opened=3)
    end = row(1, "0.05", deal=11, profit=D(9), opened=3, closed=9)
    watch.sees(rest)
    [closed] = watch.sees(closed=(end,))
    assert isinstance(closed, PositionClosed)
    if restarted:
        watch.reopened()
    parts = (
        row(1, "0.03", deal=9, profit=D(4), opened=3, closed=5, entry_cost=D(-1)),
        row(1, "0.02", deal=10, profit=D(5), opened=3, closed=6),
    )
    told = late(watch.later(5).snapshot, closed=(*parts, end))
    assert [money(event)[0] for event in told] == [0, 4, 0, 5]
    assert [event.deal.lots for event in told] == [D("0.03"), D("0.03"), D("0.02"), D("0.02")]
    assert {event.seen for event in told} == {m.Seen.IMPORTED}, "nobody copies it"
    assert {event.deal.entry_cost for event in told} == {0}, "told with its opening"
    assert late(watch.reopened().snapshot, closed=(*parts, end)) == []
    again = order(2, "0.05", SELL, opened=60)
    [opened] = watch.later(60).sees(again)
    assert isinstance(opened, PositionOpened)
    assert late(watch.snapshot, again, closed=(*parts, end)) == []


def test_an_end_that_an_older_deal_proved_is_told_when_its_own_comes() -> None:
    """Netting: a growth hid what was closed, and history lagged behind the list that lacks it."""
    watch = netting()
    watch.sees(order(1, "0.40"))
    watch.later(10).sees(order(1, "0.60"))
    most = row(1, "0.45", deal=10, profit=D(4), closed=15)
    [reduced] = watch.later(5).sees(order(1, "0.15"), closed=(most,))
    assert isinstance(reduced, PositionReduced)
    hidden = row(1, "0.20", deal=9, profit=D(2), closed=5)
    [closed] = watch.later(5).snapshot(closed=(hidden, most))
    assert isinstance(closed, PositionClosed)
    end = row(1, "0.15", deal=11, profit=D(1), closed=19)
    told = late(watch.snapshot, closed=(hidden, most, end))
    assert [money(event)[0] for event in told] == [0, 1]
    assert late(watch.snapshot, closed=(hidden, most, end)) == []


def test_what_a_position_that_is_over_had_closed_before_the_first_look_is_the_imports() -> None:
    watch = Watch()
    watch.starts(order(1, "0.05", opened=-60))
    end = row(1, "0.05", deal=11, opened=-60, closed=9)
    watch.later(10).sees(closed=(end,))
    former = row(1, "0.05", deal=9, opened=-60, closed=-30)
    assert late(watch.snapshot, closed=(former, end)) == []


@pytest.mark.parametrize("is_over", [False, True])
def test_a_part_that_led_to_the_first_ticket_that_was_seen_is_told_once(is_over: bool) -> None:
    """MT4: history was asked for it, and did not have it in time."""
    watch = mt4().later(10)
    rest = order(3, "0.05", opened=3, comment="from #2")
    assert watch.snapshot(rest) == []
    [opened] = watch.later(6).reads_history(rest)
    assert isinstance(opened, PositionOpened)
    rows = (
        row(1, "0.03", profit=D(4), opened=3, closed=5, comment="to #2"),
        row(2, "0.02", profit=D(5), opened=3, closed=6, comment="to #3"),
    )
    orders = (rest,)
    if is_over:
        end = row(3, "0.05", profit=D(9), opened=3, closed=11)
        [closed] = watch.sees(closed=(end,))
        assert isinstance(closed, PositionClosed)
        rows, orders = (*rows, end), ()
    told: list[Any] = []
    for _ in range(3):
        told += late(watch.reopened().snapshot, *orders, closed=rows)
    assert sorted(money(event)[0] for event in told if money(event)[0]) == [4, 5]


def test_all_parts_that_led_to_the_first_ticket_that_was_seen_are_told_by_one_look() -> None:
    """MT4: the first of them waited for another look at history, which nobody wanted."""
    watch = mt4().later(10)
    rest = order(3, "0.05", opened=3, comment="from #2")
    watch.snapshot(rest)
    watch.later(6).reads_history(rest)
    rows = (
        row(1, "0.03", profit=D(4), opened=3, closed=5, comment="to #2"),
        row(2, "0.02", profit=D(5), opened=3, closed=6, comment="to #3"),
    )
    told = late(watch.snapshot, rest, closed=rows)
    assert sorted(money(event)[0] for event in told) == [4, 5]


def test_a_deal_without_a_number_of_its_own_is_nobodys_unseen_part() -> None:
    watch = hedging()
    watch.sees(order(1, "0.05"))
    end = row(1, "0.05", closed=9)
    watch.later(10).sees(closed=(end,))
    assert late(watch.snapshot, closed=(replace(end, deal=11),)) == []


@pytest.mark.parametrize("made", [hedging, netting])
def test_a_deal_without_a_number_of_its_own_is_no_part_that_a_growth_hid(
    made: Callable[[], Watch],
) -> None:
    """Only its time tells which one it is, and a frame may have told of it by another second."""
    watch = made()
    watch.sees(order(1, "0.10"))
    [reduced] = watch.later(60).sees(order(1, "0.06"), closed=(row(1, "0.04", closed=60),))
    assert isinstance(reduced, PositionReduced)
    by_history = row(1, "0.04", closed=61)
    assert late(watch.later(60).snapshot, order(1, "0.06"), closed=(by_history,)) == []


@pytest.mark.parametrize("made", [hedging, netting])
def test_what_closed_before_a_position_was_seen_is_not_taken_for_what_closed_since(
    made: Callable[[], Watch],
) -> None:
    watch = made().later(10)
    watch.snapshot(order(1, "0.06", opened=3))
    [reduced] = watch.later(5).snapshot(order(1, "0.02", opened=3), row_wait_s=0)
    rows = (
        row(1, "0.04", deal=9, profit=D(4), opened=3, closed=5),
        row(1, "0.04", deal=10, profit=D(7), opened=3, closed=12),
    )
    told = late(watch.later(5).snapshot, order(1, "0.02", opened=3), closed=rows)
    assert isinstance(reduced, PositionReduced)
    assert {event.deal.ticket: event.deal.profit for event in told} == {
        reduced.deal.ticket: 7,
        9: 4,
    }


@pytest.mark.parametrize("made", [hedging, netting])
def test_what_is_added_after_a_reduction_that_was_made_good_has_its_own_price(
    made: Callable[[], Watch],
) -> None:
    """By that price the slave's is judged."""
    watch = made()
    watch.sees(order(1, "0.10", price="1.1000"))
    watch.later(60).snapshot(order(1, "0.10", price="1.1200", digits=4))
    [event] = watch.sees(order(1, "0.20", price="1.1250", digits=4))
    assert isinstance(event, PositionIncreased)
    assert event.deal.price == D("1.1300")


# --- removed and added again ----------------------------------------------------------------------


def left(watch: Watch) -> Book:
    book = Book(AccountId("a" * 32))
    rest = json.encode(watch.book.after_removal(is_past_told=True).rest())
    book.restore_rest(json.encode(json.decode(rest, type=Rest)))
    return book


def test_a_part_told_without_its_deal_is_not_told_again_after_a_removal() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    watch.later(2).sees(order(1, "0.06"), row_wait_s=0)
    book = left(watch)
    assert book.was_told(LATE)
    assert not book.was_told(row(1, "0.06", deal=10, closed=90))


def test_on_mt4_every_former_ticket_was_told() -> None:
    watch = mt4()
    watch.sees(order(1, "0.10"))
    watch.sees(order(2, "0.06", comment="from #1"), row_wait_s=0)
    book = left(watch)
    assert book.was_told(row(1, "0.04", comment="to #2"))
    assert not book.was_told(row(2, "0.06", closed=61))


@pytest.mark.parametrize("lots", [("0.04",), ("0.04", "0.04"), ("0.03",), ()])
def test_a_part_told_without_its_deal_is_paid_after_a_removal_by_one_row_or_none(
    lots: tuple[str, ...],
) -> None:
    """Of two that may be its own one is another's: its money would be told twice, or as a wrong one's."""
    watch = hedging()
    watch.sees(order(1, "0.10"))
    [reduced] = watch.later(2).sees(order(1, "0.06"), row_wait_s=0)
    assert isinstance(reduced, PositionReduced)
    book = left(watch)
    book.since_utc = watch.book.since_utc
    rows = [row(1, each, deal=9 + at, profit=D(4), closed=1) for at, each in enumerate(lots)]
    told = [event for _, event in owed_closings(book, rows)]
    is_paid = lots == ("0.04",)
    assert [money(event)[0] for event in told] == ([4] if is_paid else [])
    assert {event.deal.ticket for event in told} <= {reduced.deal.ticket}  # type: ignore[union-attr]
    assert len(book.owed) == (not is_paid)
    assert list(owed_closings(book, rows)) == []


# --- at work --------------------------------------------------------------------------------------


async def documents(account: Watched) -> MemoryReadModels:
    models = MemoryReadModels()
    parts = Parts(models)
    for record in account.log.all(topics.ORDER_EVENTS.name):
        await parts.write(await batch_of([record], parts))
    return models


@pytest.mark.parametrize("lag_s", [3, 100])
@pytest.mark.parametrize("is_lost", [False, True])
def test_history_is_asked_until_it_tells_and_closed_orders_have_the_profit(
    lag_s: int, is_lost: bool
) -> None:
    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            bridge.orders = (order(7, "0.10"),)
            await account.until(lambda: account.told(m.PositionOpened))
            bridge.orders = (order(7, "0.06"),)
            bridge.balance += 4
            bridge.frame()
            await account.until(lambda: account.told(PositionReduced))
            histories = bridge.histories
            await asyncio.sleep(lag_s)
            if is_lost:
                account.log.lose(topics.ACCOUNT_WATCHER, 0)
            bridge.closed = (part(),)
            await account.until(lambda: len(account.told(PositionReduced)) == 2)
            assert bridge.histories - histories <= 20, "ever more seldom"
            models = await documents(account)
            [closed] = await models.find(c.CLOSED_ORDERS)
            trade = trade_of(closed, "MT5")
            assert (trade.lots, trade.profit) == (D("0.04"), 4)
            assert trade.open_price == D("1.1000")

    run(work())


def test_a_server_whose_quotes_tell_only_utc_shows_its_clock_by_its_orders() -> None:
    """Else an equity protector with a daily reset never had a day."""

    async def work() -> None:
        opened = BEGAN - timedelta(hours=1)
        at_broker = (opened + timedelta(hours=3)).replace(tzinfo=None)
        stands = replace(order(7), opened_at_utc=opened, opened_at_broker=at_broker)
        async with watched(orders=(stands,)) as account:
            [connected] = account.told(m.AccountConnected)
            assert connected.clock_offset_minutes == 180

    run(work())


def part() -> ClosedOrder:
    found = row(7, "0.04", deal=78, profit=D(4))
    at = BEGAN + timedelta(seconds=5)
    return replace(found, closed_at_utc=at, closed_at_broker=at.replace(tzinfo=None))


@pytest.mark.parametrize("made", [mt4, hedging, netting])
def test_a_made_deal_has_a_time_of_the_brokers_also_while_its_clock_is_not_known(
    made: Callable[[], Watch],
) -> None:
    """That of what opened last, which is certain: with none, what closed was listed by UTC."""
    watch = made()
    watch.sees(order(1, "0.30"), clock_offset_minutes=None)
    assert watch.later(30).sees(order(1, "0.10"), clock_offset_minutes=None) == []
    [event] = watch.later(5).snapshot(order(1, "0.10"), clock_offset_minutes=None)
    assert isinstance(event, PositionReduced)
    assert event.deal.time_broker == order(1).opened_at_broker
