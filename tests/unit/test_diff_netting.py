"""MT5 netting: one position a symbol; what happened is net after − before."""

from __future__ import annotations

import pytest
from copypro.messages import (
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    Seen,
)
from copypro.trading import CloseReason
from copypro.values import OrderKind, RootId, Side
from copypro_account_watcher.seen.book import Root
from msgspec import json

from tests.unit.diff_builders import D, Watch, hedging, names, netting, order, row

SELL = OrderKind.SELL


def one_open(lots: str = "0.10") -> Watch:
    watch = netting()
    watch.sees(order(1, lots))
    return watch


def test_a_root_is_named_by_symbol_lifecycle_and_opening_ticket() -> None:
    watch = one_open()
    assert set(watch.book.roots) == {"EURUSD:1:1"}
    watch.sees(closed=(row(1, deal=9, closed=5),))
    watch.sees(order(7, opened=10))
    assert set(watch.book.roots) == {"EURUSD:2:7"}


def test_an_add_is_an_increase_priced_by_the_averages() -> None:
    watch = one_open()
    [event] = watch.sees(order(1, "0.30", price="1.1020", digits=4))
    assert isinstance(event, PositionIncreased)
    assert (event.leg, event.lots, event.ever_lots) == (1, D("0.20"), D("0.30"))
    assert event.deal.price == D("1.1030")


def test_the_bridge_may_show_the_position_under_its_latest_deals_ticket() -> None:
    watch = one_open()
    [event] = watch.sees(order(2, "0.30", price="1.1020"))
    assert isinstance(event, PositionIncreased)
    assert (event.root, event.ticket) == ("EURUSD:1:1", 2)
    assert watch.sees(order(2, "0.30", price="1.1020")) == []


def test_a_reduction_with_and_without_its_row() -> None:
    watch = one_open()
    [with_row] = watch.sees(order(1, "0.06"), closed=(row(1, "0.04", deal=9),))
    assert isinstance(with_row, PositionReduced)
    assert with_row.deal.ticket == 9
    assert watch.sees(order(1, "0.03")) == []
    assert watch.result.missing == (1,)
    [by_list] = watch.later(1).snapshot(order(1, "0.03"))
    assert isinstance(by_list, PositionReduced)
    assert by_list.open_lots == D("0.03")


def test_flat_needs_rows_for_all_its_lots() -> None:
    watch = one_open()
    assert watch.sees() == []
    assert watch.result.missing == (1,)
    [event] = watch.snapshot(closed=(row(1, deal=9),))
    assert isinstance(event, PositionClosed)


def test_a_reversal_closes_the_old_root_and_then_opens_a_new_one() -> None:
    watch = one_open()
    inout = row(1, "0.10", deal=9, reason=CloseReason.REVERSED, closed=60)
    closed, opened = watch.sees(order(2, "0.05", SELL, opened=60), closed=(inout,))
    assert isinstance(closed, PositionClosed)
    assert isinstance(opened, PositionOpened)
    assert (closed.root, closed.reason, closed.deal.ticket) == (
        "EURUSD:1:1",
        CloseReason.REVERSED,
        9,
    )
    assert (opened.root, opened.side, opened.lots) == ("EURUSD:2:2", Side.SELL, D("0.05"))


def test_a_reversal_that_only_the_list_shows_waits_for_its_deal_and_goes_through() -> None:
    watch = one_open()
    listed = order(2, "0.05", SELL, price="1.0900", opened=60)
    assert watch.sees(listed) == []
    assert watch.result.missing == (1,)
    closed, opened = watch.later(1).snapshot(listed)
    assert isinstance(closed, PositionClosed)
    assert (closed.reason, closed.deal.price) == (CloseReason.REVERSED, D("1.0900"))
    assert names([opened]) == ["PositionOpened"]


def test_a_reversal_may_keep_the_ticket() -> None:
    watch = one_open()
    inout = row(1, "0.10", deal=9, closed=60)
    events = watch.sees(order(1, "0.05", SELL, opened=60), closed=(inout,))
    assert names(events) == ["PositionClosed", "PositionOpened"]
    assert watch.sees(order(1, "0.05", SELL, opened=60)) == []
    [closed] = watch.sees(closed=(row(1, "0.05", SELL, deal=10, opened=60, closed=70),))
    assert isinstance(closed, PositionClosed)
    assert closed.root == "EURUSD:2:1"


def test_a_late_frame_of_a_former_lifecycle_changes_nothing() -> None:
    watch = one_open()
    watch.sees(order(2, "0.05", SELL, opened=60), closed=(row(1, "0.10", deal=9, closed=60),))
    assert watch.sees(order(1, "0.10")) == []
    assert watch.sees(order(2, "0.05", SELL, opened=60)) == []
    assert watch.result.missing == ()


@pytest.mark.parametrize("seen", [Seen.LIVE, Seen.MISSED])
def test_a_late_frame_or_an_old_list_after_flat_opens_nothing(seen: Seen) -> None:
    watch = one_open()
    watch.sees(closed=(row(1, deal=9),))
    assert watch.sees(order(1), seen=seen) == []


@pytest.mark.parametrize(("opened", "is_new"), [(0, False), (60, True)])
def test_a_frame_of_an_older_number_after_flat_is_late_unless_it_opened_since(
    opened: float, is_new: bool
) -> None:
    """It is of before what is over, and was never seen; or of an order that had waited."""
    watch = netting()
    watch.later(30).sees(order(2, "0.10", opened=20))
    assert names(watch.later(30).sees(closed=(row(2, deal=9, opened=20, closed=60),)))
    events = watch.sees(order(1, "0.10", opened=opened))
    assert names(events) == (["PositionOpened"] if is_new else [])
    assert len(watch.book.roots) == is_new


def test_an_order_that_is_cancelled_after_flat_lets_no_late_frame_open_anything() -> None:
    watch = netting()
    watch.later(30).sees(order(2, "0.10", opened=20))
    watch.later(30).sees(closed=(row(2, deal=9, opened=20, closed=60),))
    watch.sees(order(5, kind=OrderKind.BUY_LIMIT, opened=61))
    cancelled = row(5, kind=OrderKind.BUY_LIMIT, opened=61, closed=70, cancelled=True)
    assert names(watch.later(10).snapshot(closed=(cancelled,))) == ["PendingRemoved"]
    assert watch.sees(order(1, "0.10", opened=0)) == []


def test_flat_and_opened_again_between_two_looks_are_two_lifecycles() -> None:
    watch = one_open()
    again = order(2, "0.10", opened=30)
    assert watch.sees(again) == []
    events = watch.snapshot(again, closed=(row(1, "0.10", deal=9, closed=20),))
    assert names(events) == ["PositionClosed", "PositionOpened"]
    assert set(watch.book.roots) == {"EURUSD:2:2"}


def test_a_whole_lifecycle_between_two_looks_is_recorded_from_history() -> None:
    watch = one_open()
    events = watch.later(60).snapshot(
        closed=(
            row(1, "0.10", deal=9, closed=10),
            row(2, "0.30", SELL, deal=11, opened=20, closed=30),
        )
    )
    assert names(events) == ["PositionClosed", "PositionOpened", "PositionClosed"]
    opened = events[1]
    assert isinstance(opened, PositionOpened)
    assert (opened.root, opened.seen) == ("EURUSD:2:2", Seen.MISSED)


def test_symbols_do_not_touch_each_other() -> None:
    watch = netting()
    watch.sees(order(1, symbol="EURUSD"), order(2, symbol="GBPUSD"))
    [event] = watch.sees(
        order(2, "0.20", symbol="GBPUSD"), closed=(row(1, deal=9, symbol="EURUSD"),)
    )[:1]
    assert isinstance(event, PositionClosed)
    assert set(watch.book.roots) == {"GBPUSD:1:2"}


def test_lifecycles_go_on_counting_after_a_restart() -> None:
    watch = one_open()
    watch.sees(closed=(row(1, deal=9, closed=5),))
    record = json.encode(watch.book.rest())
    again = netting()
    again.book.restore_rest(record)
    again.sees(order(7, opened=10))
    assert set(again.book.roots) == {"EURUSD:2:7"}


def test_one_position_a_symbol_is_a_netting_rule_only() -> None:
    watch = hedging()
    watch.sees(order(1), order(2, kind=SELL))
    assert len(watch.book.roots) == 2


def test_a_missed_lifecycle_told_late_does_not_hide_the_open_one() -> None:
    watch = one_open()
    watch.sees(order(3, opened=60), closed=(row(1, deal=9, closed=10),))
    events = watch.later(90).snapshot(
        order(3, opened=60), closed=(row(2, deal=11, opened=20, closed=30),)
    )
    assert names(events) == ["PositionOpened", "PositionClosed"]
    assert watch.sees() == []
    assert watch.result.missing == (3,)


def test_what_the_open_position_closed_under_another_number_is_no_trade_of_its_own() -> None:
    """A bridge may name a deal by its order, and a growth may have hidden what it closed."""
    watch = one_open()
    grown = order(1, "0.15", price="1.1200")
    watch.later(60).snapshot(grown)
    assert watch.snapshot(grown, closed=(row(2, "0.05", closed=30),)) == []
    assert watch.late == []


def test_a_reversal_and_its_close_whose_frames_come_in_the_wrong_order() -> None:
    watch = one_open()
    watch.sees(closed=(row(2, "0.20", SELL, deal=10, opened=30, closed=40),))
    assert names(watch.all)[1:] == ["PositionOpened", "PositionClosed"]
    assert watch.result.missing == (1,)
    late = order(2, "0.20", SELL, opened=30)
    assert watch.sees(late, closed=(row(1, "0.10", deal=9, closed=30),)) == []
    assert names(watch.sees()) == ["PositionClosed"]
    assert not watch.book.roots


def test_a_pending_orders_fill_shows_that_the_former_position_is_gone() -> None:
    watch = one_open()
    watch.sees(order(1), order(5, "0.20", OrderKind.BUY_LIMIT))
    filled = order(5, "0.20", opened=60)
    assert watch.sees(filled) == []
    events = watch.later(1).snapshot(filled)
    assert names(events) == ["PositionClosed", "PendingFilled", "PositionOpened"]
    assert set(watch.book.roots) == {"5"}


def test_a_row_of_a_position_that_is_listed_does_not_make_it_a_closed_one() -> None:
    watch = netting()
    watch.sees(order(1, "0.10", SELL))
    listed = order(3, "0.09", opened=30)
    part = row(3, "0.01", deal=11, opened=30, closed=40)
    assert watch.sees(listed, closed=(part,)) == []
    assert watch.result.missing == (1,)
    events = watch.snapshot(listed, closed=(row(1, "0.10", SELL, deal=9, closed=30), part))
    assert names(events) == ["PositionClosed", "PositionOpened", "PositionReduced"]
    assert watch.book.roots[RootId("EURUSD:2:3")].open_lots == D("0.09")


def test_a_symbol_that_gets_another_name_keeps_its_position() -> None:
    watch = one_open()
    renamed = order(1, symbol="EURUSD.x")
    assert watch.snapshot(renamed) == []
    assert watch.result.missing == ()
    part = row(1, "0.04", symbol="EURUSD.x", deal=8, closed=60)
    events = watch.sees(order(1, "0.06", symbol="EURUSD.x"), closed=(part,))
    assert names(events) == ["PositionReduced"]
    events = watch.sees(closed=(row(1, "0.06", symbol="EURUSD.x", deal=9, closed=61),))
    assert names(events) == ["PositionClosed"]
    assert not watch.book.roots


def test_a_position_that_got_another_name_and_was_closed_unseen_is_closed() -> None:
    """Its number tells that the row is its own."""
    watch = one_open()
    assert watch.snapshot() == []
    assert watch.result.missing == (1,)
    events = watch.reads_history(closed=(row(1, symbol="EURUSD.x", deal=9),))
    assert names(events) == ["PositionClosed"]


def test_a_new_name_is_remembered_over_a_restart() -> None:
    watch = one_open()
    watch.snapshot(order(1, symbol="EURUSD.x"))
    [changed] = watch.result.changed
    again = netting()
    again.book.restore_root(json.decode(json.encode(watch.book.roots[changed]), type=Root))
    assert again.snapshot(order(1, symbol="EURUSD.x")) == []
    assert again.result.missing == ()


def test_the_late_row_of_a_reduction_that_was_told_closes_nothing_more() -> None:
    watch = netting()
    watch.sees(order(1, "1.0"))
    watch.sees(order(1, "0.5"))
    assert names(watch.later(1).sees(order(1, "0.5"))) == ["PositionReduced"]
    assert watch.sees(order(1, "0.5"), closed=(row(1, "0.5", deal=9, closed=60),)) == []
    assert watch.sees() == [], "a frame of before it opened"
    assert watch.result.missing == (1,)


def test_what_is_closed_in_autumns_repeated_hour_is_closed() -> None:
    """By the broker's clock it ended before the lifecycle that went before it did."""
    watch = netting()
    watch.sees(order(1, opened=0))
    watch.sees(closed=(row(1, deal=11, opened=0, closed=3000),))
    watch.later(3600).sees(order(2, opened=600))
    events = watch.sees(closed=(row(2, deal=12, opened=600, closed=1200),))
    assert names(events) == ["PositionClosed"]


def test_the_end_of_a_position_that_was_told_late_is_not_that_of_the_next_one() -> None:
    """It ended in the very second in which the next one opened, which a short list is without."""
    watch = netting()
    former = row(1, deal=9, closed=10)
    events = watch.later(12).reads_history(order(7, opened=10), closed=(former,))
    assert sorted(names(events)) == ["PositionClosed", "PositionOpened", "PositionOpened"]
    assert watch.later(10).reads_history(closed=(former,)) == []
    assert set(watch.book.roots) == {"EURUSD:1:7"}


def test_the_end_of_a_position_that_nobody_saw_is_not_a_part_of_the_next_one() -> None:
    """It ended in the very second in which the next one opened, which a list was first to show."""
    watch = netting()
    watch.later(10).sees(order(7, opened=10))
    former = row(1, "0.70", deal=9, opened=5, closed=10)
    events = watch.later(2).reads_history(order(7, opened=10), closed=(former,))
    assert names(events) == ["PositionOpened", "PositionClosed"]
    assert {event.ticket for event in events} == {1}
    assert set(watch.book.roots) == {"EURUSD:1:7"}


def test_one_that_ended_before_a_late_frame_showed_it_is_not_the_next_one() -> None:
    """Its end may be of before its first list; but the next one stands in its place."""
    watch = netting()
    watch.later(12).sees(order(1, opened=5))  # late: it has ended
    end = row(1, deal=9, opened=5, closed=8)
    events = watch.later(2).reads_history(order(7, opened=10), closed=(end,))
    assert names(events) == ["PositionClosed", "PositionOpened"]
    assert set(watch.book.roots) == {"EURUSD:2:7"}
