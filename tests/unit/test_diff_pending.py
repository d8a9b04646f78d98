"""Pending orders: placed, changed, removed, expired, filled, on each platform."""

from __future__ import annotations

from typing import Any

import pytest
from copypro.messages import (
    PendingFilled,
    PendingModified,
    PendingPlaced,
    PendingRemoved,
    PositionClosed,
    PositionOpened,
    Seen,
)
from copypro.values import CopyId, OrderKind, RootId, Side, Ticket

from tests.unit.diff_builders import D, Watch, broker, hedging, mt4, names, netting, order, row

LIMIT = OrderKind.BUY_LIMIT
ROOT = RootId("5")


@pytest.fixture(params=[mt4, hedging, netting], ids=["mt4", "hedging", "netting"])
def watch(request: pytest.FixtureRequest) -> Watch:
    made: Watch = request.param()
    return made


def test_placed_with_levels_and_expiry_in_both_clocks(watch: Watch) -> None:
    [event] = watch.sees(order(5, kind=LIMIT, price="1.05", sl="1.0", expires_at_broker=broker(60)))
    assert isinstance(event, PendingPlaced)
    assert (event.root, event.kind, event.price) == ("5", LIMIT, D("1.05"))
    assert event.expires_at_utc is not None
    assert event.expires_at_utc.replace(tzinfo=None) == broker(60 - 7200)


def test_changed_in_price_levels_or_expiry(watch: Watch) -> None:
    watch.sees(order(5, kind=LIMIT, price="1.05"))
    [event] = watch.sees(order(5, kind=LIMIT, price="1.04", tp="1.2"))
    assert isinstance(event, PendingModified)
    assert (event.price, event.take_profit) == (D("1.04"), D("1.2"))
    [event] = watch.sees(order(5, kind=LIMIT, price="1.04", tp="1.2", expires_at_broker=broker(60)))
    assert isinstance(event, PendingModified)
    assert event.expires_at_broker == broker(60)
    assert (
        watch.sees(order(5, kind=LIMIT, price="1.04", tp="1.2", expires_at_broker=broker(60))) == []
    )


def test_removed_only_with_evidence(watch: Watch) -> None:
    watch.sees(order(5, kind=LIMIT))
    assert watch.sees() == []
    assert watch.result.missing == (5,)
    [event] = watch.snapshot(closed=(row(5, "0", LIMIT, cancelled=True),))
    assert isinstance(event, PendingRemoved)
    assert event.reason == "deleted"
    assert watch.sees(order(5, kind=LIMIT)) == []


def test_expired(watch: Watch) -> None:
    watch.sees(order(5, kind=LIMIT, expires_at_broker=broker(60)))
    [event] = watch.sees(closed=(row(5, "0", LIMIT, cancelled=True, closed=60),))
    assert isinstance(event, PendingRemoved)
    assert event.reason == "expired"


@pytest.mark.parametrize("comment", ["T1", ""])
def test_an_expiry_is_told_whatever_comment_the_order_had(watch: Watch, comment: str) -> None:
    watch.sees(order(5, kind=LIMIT, comment="T1", expires_at_broker=broker(60)))
    gone = row(5, "0", LIMIT, cancelled=True, closed=60, comment=comment)
    [event] = watch.sees(closed=(gone,))
    assert isinstance(event, PendingRemoved)
    assert event.reason == "expired"


@pytest.mark.parametrize(
    ("comment", "told"), [("T1", "deleted"), ("", "deleted"), ("no money", "no money")]
)
def test_an_orders_own_comment_is_no_reason(watch: Watch, comment: str, told: str) -> None:
    watch.sees(order(5, kind=LIMIT, comment="T1"))
    [event] = watch.sees(closed=(row(5, "0", LIMIT, cancelled=True, comment=comment),))
    assert isinstance(event, PendingRemoved)
    assert event.reason == told


def test_an_expiry_that_its_bridge_tells_needs_no_time(watch: Watch) -> None:
    watch.sees(order(5, kind=LIMIT))
    [event] = watch.sees(closed=(row(5, "0", LIMIT, cancelled=True, expired=True),))
    assert isinstance(event, PendingRemoved)
    assert event.reason == "expired"


def test_a_fill_keeps_the_root(watch: Watch) -> None:
    watch.sees(order(5, kind=LIMIT, price="1.05", opened=-60))
    filled, opened = watch.sees(order(5, price="1.0499", opened=3))
    assert isinstance(filled, PendingFilled)
    assert isinstance(opened, PositionOpened)
    assert (filled.root, opened.root, opened.from_pending) == ("5", "5", True)
    assert opened.opened_at_broker == broker(3)
    assert opened.deal.sequence == 0
    [closed] = watch.sees(closed=(row(5, deal=9, closed=60),))
    assert isinstance(closed, PositionClosed)
    assert closed.root == "5"


@pytest.mark.parametrize("made", [hedging, netting])
def test_a_fill_keeps_the_root_where_its_position_got_another_ticket_unseen(made: Any) -> None:
    """As where a server opens it anew for its swap. It was never told, and its order missing for ever; or,
    on netting, it was told as another trade beside the order.
    """
    watch = made()
    watch.sees(order(1, kind=OrderKind.BUY_LIMIT))
    told = watch.later(60).snapshot(order(5, identifier=1))
    assert names(told) == ["PendingFilled", "PositionOpened"]
    assert [(root.root, root.ticket) for root in watch.book.roots.values()] == [("1", 5)]
    assert watch.result.missing == ()
    assert watch.snapshot(order(5, identifier=1)) == []


def test_a_late_frame_of_before_the_fill_changes_nothing() -> None:
    watch = hedging()
    watch.sees(order(5, kind=LIMIT))
    watch.sees(order(5))
    assert watch.sees(order(5, kind=LIMIT)) == []
    assert watch.sees(order(5)) == []


def test_filled_and_closed_between_two_looks(watch: Watch) -> None:
    watch.sees(order(5, kind=LIMIT))
    events = watch.later(5).snapshot(closed=(row(5, deal=9, opened=3, closed=4),))
    assert names(events) == ["PendingFilled", "PositionOpened", "PositionClosed"]
    opened = events[1]
    assert isinstance(opened, PositionOpened)
    assert (opened.root, opened.from_pending, opened.seen) == ("5", True, Seen.MISSED)


def test_the_rest_of_a_partly_filled_order_is_listed_under_the_positions_ticket() -> None:
    watch = hedging()
    watch.sees(order(5, "1.0", LIMIT))
    events = watch.sees(order(5, "0.4"), order(5, "0.6", LIMIT))
    assert names(events) == ["PendingFilled", "PositionOpened"]
    assert names(watch.sees(order(5, "0.6", LIMIT), order(5, "0.4"))) == []
    assert names(watch.sees(order(5, "1.0"))) == ["PositionIncreased"]


@pytest.mark.parametrize("made", [hedging, netting])
def test_the_rest_of_a_partly_filled_order_that_is_cancelled_is_told(made: Any) -> None:
    """The master holds less than its order was for, and will hold no more of it."""
    watch: Watch = made()
    watch.sees(order(5, "1.0", LIMIT))
    watch.sees(order(5, "0.4"), order(5, "0.6", LIMIT))
    assert watch.later(5).snapshot(order(5, "0.4"), order(5, "0.6", LIMIT)) == []
    assert watch.sees(order(5, "0.4")) == [], "a frame may be late"
    assert watch.later(5).sees(order(5, "0.4")) == []
    [event] = watch.snapshot(order(5, "0.4"), closed=(row(5, "0.6", LIMIT, cancelled=True),))
    assert isinstance(event, PendingRemoved)
    assert (event.root, event.reason) == ("5", "deleted")
    assert watch.result.changed == ("5",)
    assert watch.later(5).snapshot(order(5, "0.4")) == []
    [closed] = watch.sees(closed=(row(5, "0.4", deal=9, closed=90),))
    assert isinstance(closed, PositionClosed)


@pytest.mark.parametrize("made", [hedging, netting])
def test_a_position_that_closed_is_told_although_the_rest_of_its_order_still_waits(
    made: Any,
) -> None:
    """It is listed under the same ticket. Else no copy would be closed with it."""
    watch: Watch = made()
    watch.sees(order(5, "1.0", LIMIT))
    watch.sees(order(5, "0.4"), order(5, "0.6", LIMIT))
    rest = order(5, "0.6", LIMIT)
    [closed] = watch.snapshot(rest, closed=(row(5, "0.4", deal=9, closed=60),))
    assert isinstance(closed, PositionClosed)
    assert watch.later(5).snapshot(rest, closed=(row(5, "0.4", deal=9, closed=60),)) == []


@pytest.mark.parametrize("made", [hedging, netting], ids=["hedging", "netting"])
def test_a_late_frame_of_before_an_order_filled_leaves_no_rest_of_it(made: Any) -> None:
    watch = made()
    waits, stands = order(5, kind=LIMIT, price="1.05"), order(5, price="1.05")
    watch.sees(waits)
    assert names(watch.sees(stands)) == ["PendingFilled", "PositionOpened"]
    watch.sees(waits)
    assert watch.later(5).snapshot(stands) == []
    assert watch.result.missing == ()


def test_an_order_that_filled_in_part_and_whose_rest_was_cancelled_unseen_is_told_so() -> None:
    watch = hedging()
    watch.sees(order(5, "1.0", LIMIT))
    assert names(watch.snapshot(order(5, "0.4"))) == ["PendingFilled", "PositionOpened"]
    assert names(watch.later(5).snapshot(order(5, "0.4"))) == ["PendingRemoved"]


def test_an_order_that_filled_in_parts_until_it_was_whole_has_no_rest() -> None:
    watch = hedging()
    watch.sees(order(5, "1.0", LIMIT))
    watch.sees(order(5, "0.4"), order(5, "0.6", LIMIT))
    assert names(watch.sees(order(5, "1.0"))) == ["PositionIncreased"]
    assert watch.later(5).snapshot(order(5, "1.0")) == []
    assert watch.later(5).snapshot(order(5, "1.0")) == []


def test_a_stop_limit_whose_stop_was_reached_is_a_limit_from_then_on() -> None:
    watch = hedging()
    kind = OrderKind.BUY_STOP_LIMIT
    watch.sees(order(5, kind=kind, price="1.2", stop_limit_price=D("1.19")))
    [event] = watch.sees(order(5, kind=LIMIT, price="1.19"))
    assert isinstance(event, PendingModified)
    assert (event.price, event.stop_limit_price) == (D("1.19"), None)


def test_less_to_be_filled_is_no_change_that_anyone_copies() -> None:
    watch = hedging()
    watch.sees(order(5, "1.0", LIMIT))
    assert watch.sees(order(5, "0.6", LIMIT)) == []
    assert watch.result.changed == ("5",)


def test_a_mirrored_order_of_ours_is_marked_and_stays_so_when_it_fills() -> None:
    copy = CopyId("c" * 32)
    watch = hedging()
    [placed] = watch.sees(order(5, kind=LIMIT), copies={Ticket(5): copy})
    assert isinstance(placed, PendingPlaced)
    assert placed.copy == copy
    _, opened = watch.sees(order(5))
    assert isinstance(opened, PositionOpened)
    assert opened.copy == copy


def test_while_a_placement_is_unanswered_new_orders_of_its_side_are_withheld() -> None:
    watch = hedging()
    assert watch.sees(order(5, kind=LIMIT), withheld={("EURUSD", Side.BUY)}) == []
    assert names(watch.sees(order(5, kind=LIMIT))) == ["PendingPlaced"]


def test_on_netting_a_fill_into_a_position_is_its_increase() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.20", LIMIT))
    assert names(watch.sees(order(1, "0.30"))) == ["PositionIncreased"]
    assert watch.result.missing == (5,)
    [removed] = watch.sees(order(1, "0.30"))
    assert isinstance(removed, PendingRemoved)
    assert removed.reason == "merged"


def test_on_netting_the_pending_may_vanish_before_the_position_has_grown() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.20", LIMIT))
    assert watch.sees(order(1, "0.10")) == []
    assert watch.result.missing == (5,)
    events = watch.snapshot(order(1, "0.30"))
    assert names(events) == ["PendingRemoved", "PositionIncreased"]


def test_on_netting_a_fill_is_known_though_the_position_changed_again_before_the_next_look() -> (
    None
):
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.20", LIMIT), order(6, "0.20", LIMIT))
    assert names(watch.sees(order(1, "0.30"), order(6, "0.20", LIMIT))) == ["PositionIncreased"]
    closed = row(1, "0.15", deal=9)
    events = watch.sees(order(1, "0.15"), order(6, "0.20", LIMIT), closed=(closed,))
    assert names(events) == ["PositionReduced", "PendingRemoved"]
    assert events[1].reason == "merged"  # type: ignore[union-attr]
    assert watch.sees(order(1, "0.15")) == []
    assert watch.later(5).sees(order(1, "0.15")) == []
    assert watch.result.missing == (6,), "the fill of one is not the other's"


def test_on_netting_two_orders_that_filled_between_two_looks_are_one_change() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.20", LIMIT), order(6, "0.30", LIMIT))
    assert names(watch.sees(order(1, "0.60"))) == ["PositionIncreased"]
    assert watch.result.missing == (5, 6)
    assert names(watch.sees(order(1, "0.60"))) == ["PendingRemoved", "PendingRemoved"]
    assert set(watch.book.roots) == {"EURUSD:1:1"}


@pytest.mark.parametrize("is_net_growth", [True, False])
def test_on_netting_a_fill_is_known_though_a_reduction_hid_it(is_net_growth: bool) -> None:
    watch = netting()
    lots, closed, left = ("0.10", "0.15", "0.15") if is_net_growth else ("0.30", "0.40", "0.10")
    watch.sees(order(1, lots), order(5, "0.20", LIMIT))
    cut = row(1, closed, deal=9, closed=30)
    watch.later(60).snapshot(order(1, left), row_wait_s=0)
    assert watch.result.missing == (5,)
    [removed] = watch.later(2).snapshot(order(1, left), closed=(cut,))
    assert isinstance(removed, PendingRemoved)
    assert removed.reason == "merged"
    assert [event.deal.lots for event in watch.late] != []  # type: ignore[union-attr]
    assert watch.result.missing == ()


def test_on_netting_two_fills_that_cancel_each_other_out_are_known_by_the_deal() -> None:
    watch = netting()
    watch.sees(order(1, "0.30"), order(5, "0.20", LIMIT), order(6, "0.20", OrderKind.SELL_LIMIT))
    assert watch.later(60).snapshot(order(1, "0.30")) == []
    assert watch.result.missing == (5, 6)
    cut = row(1, "0.20", deal=9, closed=30)
    events = watch.snapshot(order(1, "0.30"), closed=(cut,))
    assert names(events) == ["PendingRemoved", "PendingRemoved"]
    assert names(watch.late) == ["PositionReduced"]
    assert watch.result.missing == ()


def test_on_netting_a_fill_that_reduced_is_known_beside_another_reduction() -> None:
    watch = netting()
    watch.sees(order(1, "0.30"), order(6, "0.10", OrderKind.SELL_LIMIT))
    cuts = (row(1, "0.10", deal=9, closed=30), row(1, "0.05", deal=10, closed=40))
    watch.later(60).snapshot(order(1, "0.15"))
    events = watch.snapshot(order(1, "0.15"), closed=cuts)
    assert names(events) == ["PositionReduced", "PositionReduced", "PendingRemoved"]


def test_on_netting_a_fill_is_known_though_all_was_closed_before_the_next_look() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.20", LIMIT))
    events = watch.later(60).snapshot(closed=(row(1, "0.30", deal=9, closed=30),))
    assert names(events) == ["PositionClosed", "PendingRemoved"]


def test_on_netting_an_order_may_fill_against_one_that_filled_before_it() -> None:
    watch = netting()
    watch.sees(order(5, "0.20", LIMIT), order(6, "0.05", OrderKind.SELL_LIMIT))
    assert names(watch.later(60).snapshot(order(5, "0.15", opened=20))) == [
        "PendingFilled",
        "PositionOpened",
    ]
    cut = row(5, "0.05", deal=9, opened=20, closed=30)
    events = watch.snapshot(order(5, "0.15", opened=20), closed=(cut,))
    assert "PendingRemoved" in names(events)
    assert 6 not in watch.result.missing


@pytest.mark.parametrize("kind", [LIMIT, OrderKind.SELL_LIMIT])
def test_on_netting_a_position_may_have_the_number_of_the_order_that_filled_into_it(
    kind: OrderKind,
) -> None:
    watch = netting()
    stands = order(1, "0.30", identifier=1)
    watch.sees(stands, order(5, "0.20", kind))
    is_more = kind is LIMIT
    after = order(5, "0.50" if is_more else "0.10", identifier=1)
    closed = () if is_more else (row(5, "0.20", deal=9, closed=30),)
    events = watch.later(60).snapshot(after, closed=closed)
    changed = "PositionIncreased" if is_more else "PositionReduced"
    assert sorted(names(events)) == ["PendingRemoved", changed]
    assert watch.later(60).snapshot(after, closed=closed) == []
    assert set(watch.book.roots) == {"EURUSD:1:1"}
    end = row(5, "0.50" if is_more else "0.10", deal=10, closed=150)
    events = watch.later(60).snapshot(closed=(*closed, end))
    assert names(events) == ["PositionClosed"]


def test_on_netting_what_an_order_closed_of_the_other_side_is_no_position_of_its_own() -> None:
    """A bridge may name the deal by the order that filled, here one of ours, whose side it has not."""
    watch = netting()
    ours = {Ticket(2): CopyId("c" * 32)}
    stop = order(2, "0.04", OrderKind.SELL_STOP, price="1.0900")
    watch.sees(order(1, "0.10"), stop, copies=ours)
    deal = row(2, "0.04", deal=9, closed=60)
    told = watch.later(60).snapshot(order(1, "0.06"), closed=(deal,), copies=ours)
    told += watch.later(6).snapshot(order(1, "0.06"), closed=(deal,), copies=ours)
    assert names(told) == ["PositionReduced", "PendingRemoved"]


def test_on_netting_a_position_that_closed_under_its_orders_number_is_told_once() -> None:
    watch = netting()
    watch.sees(order(1, "0.10", identifier=1), order(5, "0.20", LIMIT))
    events = watch.later(60).snapshot(closed=(row(5, "0.30", deal=9, closed=30),))
    assert names(events) == ["PositionClosed", "PendingRemoved"]


def test_on_netting_a_fill_is_known_beside_a_trade_of_the_same_side() -> None:
    """Whatever became of the order, it is gone: its mirrored one must not stay."""
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.20", LIMIT), order(6, "0.25", LIMIT))
    assert names(watch.later(60).snapshot(order(1, "0.40"))) == ["PositionIncreased"]
    assert watch.result.missing == (5, 6)
    [removed] = watch.later(2).snapshot(order(1, "0.40"))
    assert isinstance(removed, PendingRemoved)
    assert (removed.root, removed.reason) == ("5", "merged")
    assert watch.later(2).snapshot(order(1, "0.40")) == []
    assert watch.result.missing == (6,), "what is left of the growth is less than it"


def test_on_netting_one_late_frame_without_the_order_does_not_remove_it() -> None:
    watch = netting()
    watch.sees(order(1, "0.10", OrderKind.SELL))
    watch.sees(order(1, "0.10", OrderKind.SELL), order(5, "0.10", LIMIT))
    closed = row(1, "0.10", OrderKind.SELL, deal=9)
    assert names(watch.sees(closed=(closed,))) == ["PositionClosed"]
    assert watch.sees(order(5, "0.10", LIMIT)) == []
    assert watch.result.missing == ()


def test_on_netting_what_a_deal_closed_before_an_order_was_placed_is_not_its_fill() -> None:
    """Old lists, of before it was placed, do not have it: it stands, and would fill with nobody's leave."""
    watch = netting()
    watch.sees(order(1, "0.10", OrderKind.SELL))
    closed = row(1, "0.10", OrderKind.SELL, deal=9, closed=5)
    watch.later(5).sees(closed=(closed,))
    pending = order(5, "0.10", LIMIT, opened=6)
    watch.later(1).sees(pending)
    assert watch.later(1).snapshot() == []
    assert watch.later(2).snapshot(closed=(closed,)) == []
    assert watch.result.missing == (5,)
    assert watch.snapshot(pending) == []
    assert watch.result.missing == ()


def test_on_netting_a_fill_is_known_though_its_position_was_first_seen_with_it() -> None:
    """Else the order was missing for ever, and what its mirrored ones became stood."""
    watch = netting()
    watch.sees(order(5, "0.40", LIMIT))
    stands = order(1, "1.40", opened=30)
    assert names(watch.later(60).snapshot(stands)) == ["PositionOpened"]
    assert watch.result.missing == (5,)
    [removed] = watch.later(2).snapshot(stands)
    assert isinstance(removed, PendingRemoved)
    assert removed.reason == "merged"
    assert watch.result.missing == ()


def test_on_netting_an_old_list_without_an_order_does_not_make_it_part_of_its_position() -> None:
    watch = netting()
    stands = order(1, "0.40")
    watch.sees(stands)
    watch.later(1).sees(stands, order(5, "0.40", LIMIT, opened=1))
    for _ in range(3):
        assert watch.later(2).snapshot(stands) == []
    assert watch.result.missing == (5,)


def test_on_netting_a_growth_of_another_volume_is_no_fill() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.20", LIMIT))
    assert names(watch.sees(order(1, "0.15"))) == ["PositionIncreased"]
    assert watch.result.missing == (5,)


def test_on_netting_a_growth_while_the_order_was_still_listed_is_not_its_fill() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"))
    watch.sees(order(1, "0.30"), order(5, "0.20", LIMIT))
    assert watch.sees(order(1, "0.30")) == []
    assert watch.result.missing == (5,)
    assert watch.snapshot(order(1, "0.30"), order(5, "0.20", LIMIT)) == []
    assert watch.result.missing == ()


def test_on_netting_a_fill_into_what_was_opened_since_the_last_look_is_known() -> None:
    """Flat, at the market again and filled, in one interval that nobody saw."""
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.20", LIMIT))
    after = order(2, "0.50", opened=30)
    events = watch.later(60).snapshot(after, closed=(row(1, "0.10", deal=9, closed=20),))
    assert names(events) == ["PositionClosed", "PositionOpened"]
    assert watch.result.missing == (5,)
    [removed] = watch.later(2).snapshot(after)
    assert isinstance(removed, PendingRemoved)
    assert (removed.root, removed.reason) == ("5", "merged")
    assert watch.result.missing == ()


def test_on_netting_two_orders_may_fill_into_one_position_between_two_looks() -> None:
    """It has the number of one of them, and the lots of both."""
    watch = netting()
    watch.sees(order(5, "0.20", LIMIT), order(6, "0.05", LIMIT))
    events = watch.later(60).snapshot(order(5, "0.25", opened=30))
    assert names(events) == ["PendingRemoved", "PendingFilled", "PositionOpened"]
    assert (events[0].root, events[0].reason) == ("6", "merged")  # type: ignore[union-attr]
    assert watch.result.missing == ()


def test_on_netting_a_late_frame_that_has_the_order_again_does_not_hide_its_fill() -> None:
    watch = netting()
    before = (order(1, "0.10"), order(5, "0.20", LIMIT))
    watch.sees(*before)
    after = order(1, "0.35")
    assert names(watch.sees(after)) == ["PositionIncreased"]
    for _ in range(2):
        assert watch.sees(*before) == []
    assert watch.snapshot(after) == []
    assert watch.result.missing == (5,)
    assert names(watch.later(2).snapshot(after)) == ["PendingRemoved"]


def test_on_netting_a_fill_is_dated_by_its_own_growth_and_by_no_doubt_before_it() -> None:
    watch = netting()
    watch.sees(order(1, "0.30"))
    watch.sees(order(1, "0.20"))
    assert watch.result.missing == (1,), "the deal of a reduction is waited for"
    watch.sees(order(1, "0.20"), order(5, "0.20", LIMIT))
    after = order(1, "0.55")
    assert names(watch.sees(after)) == ["PositionIncreased"]
    assert names(watch.later(2).snapshot(after)) == ["PendingRemoved"]


def test_on_netting_a_fill_beside_another_trade_is_known_after_a_restart() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.20", LIMIT))
    again = netting()
    for root in watch.book.roots.values():
        again.book.restore_root(root)
    after = order(1, "0.45")
    assert names(again.later(60).snapshot(after)) == ["PositionIncreased"]
    assert again.result.missing == (5,)
    assert names(again.later(2).snapshot(after)) == ["PendingRemoved"]


def test_on_netting_the_latest_listed_of_two_orders_has_the_later_growth() -> None:
    """The other one filled before it, beside another trade. Else one was missing for ever."""
    watch = netting()
    orders = order(5, "0.30", LIMIT), order(6, "0.30", LIMIT)
    watch.sees(order(1, "0.20"), *orders)
    assert names(watch.snapshot(order(1, "0.60"), orders[1])) == ["PositionIncreased"]
    assert watch.result.missing == (5,)
    events = watch.snapshot(order(1, "0.90"))
    assert ("PendingRemoved", "6") in [(type(event).__name__, event.root) for event in events]
    assert names(watch.later(2).snapshot(order(1, "0.90"))) == ["PendingRemoved"]
    assert watch.result.missing == ()


def test_on_netting_a_fill_that_a_frame_showed_once_is_not_taken_for_that_of_another() -> None:
    watch = netting()
    orders = order(5, "0.20", LIMIT), order(6, "0.20", LIMIT)
    watch.sees(*orders)
    assert names(watch.snapshot(order(1, "0.40", opened=30), orders[1])) == ["PositionOpened"]
    assert watch.result.missing == (5,)
    after = order(1, "0.60", opened=30)
    assert names(watch.sees(after)) == ["PositionIncreased"]
    assert names(watch.sees(after)) == ["PendingRemoved"]
    assert names(watch.later(2).snapshot(after)) == ["PendingRemoved"]
    assert watch.result.missing == ()


def test_on_netting_an_order_that_only_a_late_frame_showed_is_gone_with_its_growth() -> None:
    """The frame has the volume of before its fill as well."""
    watch = netting()
    watch.snapshot(order(1, "0.10"))
    after = order(1, "0.40", price="1.2")
    assert names(watch.snapshot(after)) == ["PositionIncreased"]
    late = watch.sees(order(1, "0.10"), order(5, "0.30", LIMIT))
    assert names(late) == ["PendingPlaced"]
    [removed] = watch.snapshot(after)
    assert isinstance(removed, PendingRemoved)
    assert removed.reason == "merged"


def test_on_netting_a_fill_that_an_unseen_reduction_hid_since_a_doubt_is_known() -> None:
    watch = netting()
    stands, pending = order(1, "0.20"), order(5, "0.10", LIMIT)
    watch.sees(stands, pending)
    assert watch.later(1).snapshot(order(1), pending) == []
    assert watch.result.missing == (1,)
    cut = row(1, "0.10", deal=9, closed=1)
    [removed] = watch.later(6).snapshot(stands, closed=(cut,))
    assert isinstance(removed, PendingRemoved)
    assert names(watch.late) == ["PositionReduced"]


def test_on_netting_a_fill_is_newer_than_a_reduction_that_was_in_doubt_before_it() -> None:
    watch = netting()
    pending = order(5, "0.10", OrderKind.SELL_LIMIT)
    watch.sees(order(1, "0.30"), pending)
    assert watch.later(1).snapshot(order(1, "0.20"), pending) == []
    cuts = (row(1, "0.10", deal=9, closed=1), row(1, "0.10", deal=10, closed=2))
    events = watch.later(1).snapshot(order(1, "0.10"), closed=cuts)
    assert names(events) == ["PositionReduced", "PositionReduced", "PendingRemoved"]


def test_on_netting_a_growth_may_be_newer_than_the_deal_that_hid_some_of_it() -> None:
    watch = netting()
    watch.sees(order(1, "0.30"))
    pending = order(5, "0.30", LIMIT, opened=2)
    assert names(watch.later(2).snapshot(order(1, "0.27"), pending)) == ["PendingPlaced"]
    after, cut = order(1, "0.57", price="1.2"), row(1, "0.03", deal=9, closed=1)
    events = watch.snapshot(after, closed=(cut,))
    assert names(events) == ["PendingRemoved", "PositionIncreased"]
    assert names(watch.late) == ["PositionReduced"]


def test_on_netting_an_order_that_closed_a_position_is_known_once_its_row_comes() -> None:
    """Another trade opened the other side: the close was told as a reversal, before its row."""
    watch = netting()
    watch.sees(order(1, "0.20", OrderKind.SELL), order(5, "0.20", LIMIT))
    after = order(7, "0.10", opened=2)
    assert watch.later(2).snapshot(after) == []
    assert names(watch.later(2).snapshot(after)) == ["PositionClosed", "PositionOpened"]
    assert watch.result.missing == (5,)
    closed = row(1, "0.20", OrderKind.SELL, deal=9, closed=1)
    watch.snapshot(after, closed=(closed,))
    watch.snapshot(after, closed=(closed,))
    assert watch.result.missing == ()


def test_on_netting_a_growth_that_only_a_late_close_tells_of_is_a_fill() -> None:
    watch = netting()
    watch.sees(order(1, "0.30"), order(5, "0.30", LIMIT), order(6, "0.30", LIMIT))
    filled = order(6, "0.30", opened=9)
    assert watch.later(10).sees(filled) == []
    events = watch.later(2).sees(filled)
    assert names(events) == ["PositionClosed", "PendingFilled", "PositionOpened"]
    assert watch.result.missing == (5,)
    closed = row(1, "0.60", deal=9, closed=8)
    watch.snapshot(filled, closed=(closed,))
    watch.snapshot(filled, closed=(closed,))
    assert watch.result.missing == ()


def _taken_for_merged() -> Watch:
    """Order 5 filled and its position closed, unseen; the one that stands opened after it."""
    watch = netting()
    watch.sees(order(5, "0.20", LIMIT))
    stands = order(7, "0.30", opened=9)
    assert names(watch.later(10).snapshot(stands)) == ["PositionOpened"]
    [removed] = watch.later(2).snapshot(stands)
    assert isinstance(removed, PendingRemoved)
    assert removed.reason == "merged"
    return watch


@pytest.mark.parametrize("is_in_part", [False, True])
def test_on_netting_a_trade_of_an_order_that_was_taken_for_merged_is_told_by_history(
    is_in_part: bool,
) -> None:
    watch = _taken_for_merged()
    own = row(5, "0.20", deal=10, opened=6, closed=7)
    stands = order(7, "0.30", opened=9)
    rest = (row(5, "0.10", LIMIT, cancelled=True),) if is_in_part else ()
    opened, closed = watch.reads_history(stands, closed=(own, *rest))
    assert isinstance(opened, PositionOpened)
    assert isinstance(closed, PositionClosed)
    assert (opened.seen, opened.lots, closed.deal.ticket) == (Seen.MISSED, D("0.20"), 10)
    assert watch.later(6).reads_history(stands, closed=(own, *rest)) == []
    assert watch.all_late == []


def test_on_netting_an_order_that_was_taken_for_merged_and_stands_is_told_by_a_list() -> None:
    """Its position was not in the lists yet, or no more an order."""
    watch = netting()
    watch.sees(order(1, "0.20", OrderKind.SELL), order(5, "0.20", LIMIT))
    closed = row(1, "0.20", OrderKind.SELL, deal=9, closed=1)
    assert names(watch.later(2).snapshot(closed=(closed,))) == ["PositionClosed", "PendingRemoved"]
    stands = order(5, "0.20", opened=2)
    assert watch.sees(stands) == [], "a frame may be late"
    assert watch.result.missing == (5,)
    assert names(watch.snapshot(stands)) == ["PositionOpened"]
    assert watch.snapshot(stands) == []
    assert watch.result.missing == ()


def test_on_netting_rows_of_the_position_under_a_merged_orders_number_are_no_trade() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.20", LIMIT))
    after = order(1, "0.30")
    watch.snapshot(after)
    assert names(watch.all)[-2:] == ["PendingRemoved", "PositionIncreased"]
    end = row(5, "0.30", deal=9, closed=30)
    assert names(watch.later(60).snapshot(closed=(end,))) == ["PositionClosed"]
    assert watch.later(6).reads_history(closed=(end,)) == []


def test_on_netting_of_two_equal_orders_history_tells_which_one_ended_without_a_fill() -> None:
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.30", LIMIT), order(6, "0.30", LIMIT))
    after = order(1, "0.40")
    assert names(watch.snapshot(after)) == ["PendingRemoved", "PositionIncreased"]
    [left] = watch.result.missing
    other = 5 if left == 6 else 6
    ended = row(other, "0", LIMIT, cancelled=True)
    [removed] = watch.reads_history(after, closed=(ended,))
    assert isinstance(removed, PendingRemoved)
    assert removed.ticket == left
    assert watch.result.missing == ()


def test_on_netting_a_fill_before_all_closed_is_newer_than_a_reduction_in_doubt() -> None:
    watch = netting()
    pending = order(5, "0.30", LIMIT)
    watch.sees(order(1, "0.20"), pending)
    assert watch.later(1).snapshot(order(1), pending) == []
    rows = row(1, "0.10", deal=9, closed=1), row(1, "0.40", deal=10, closed=2)
    events = watch.later(1).snapshot(closed=rows)
    assert names(events) == ["PositionClosed", "PendingRemoved"]


def test_on_netting_a_fill_just_after_a_reduction_that_was_waited_for_is_newer() -> None:
    watch = netting()
    pending = order(5, "0.20", OrderKind.SELL_LIMIT)
    watch.sees(order(1, "0.40"), pending)
    watch.later(1).sees(order(1, "0.37"), pending)
    assert names(watch.later(2).sees(order(1, "0.37"), pending)) == ["PositionReduced"]
    rows = row(1, "0.03", deal=9, closed=1), row(1, "0.20", deal=10, closed=4)
    events = watch.snapshot(order(1, "0.17"), closed=rows)
    assert names(events) == ["PositionReduced", "PendingRemoved"]


def test_on_netting_a_fill_beside_a_growth_that_was_in_doubt_is_newer_than_it() -> None:
    watch = netting()
    watch.snapshot(order(1, "0.30"))
    part = row(1, "0.10", deal=9, closed=1)
    assert names(watch.later(1).snapshot(order(1, "0.20"), closed=(part,))) == ["PositionReduced"]
    pending = order(5, "0.30", LIMIT)
    assert names(watch.later(1).snapshot(order(1, "0.30"), pending)) == ["PendingPlaced"]
    assert watch.result.missing == (1,)
    after = order(1, "0.60", price="1.2")
    assert names(watch.snapshot(after)) == ["PositionIncreased"]
    assert names(watch.later(2).snapshot(after)) == ["PendingRemoved"]


def test_on_netting_a_growth_is_anothers_once_an_order_was_a_trade_of_its_own() -> None:
    """Two equal orders, one growth: the other one filled into what closed before that trade."""
    watch = netting()
    orders = order(5, kind=LIMIT), order(6, kind=LIMIT)
    watch.sees(order(1, "0.30"), *orders)
    closed = row(1, "0.40", deal=9, closed=1)
    events = watch.later(4).snapshot(closed=(closed,))
    assert names(events) == ["PositionClosed", "PendingRemoved"]
    [left] = watch.result.missing
    own = row(5 if left == 6 else 6, deal=10, opened=2, closed=3)
    events = watch.reads_history(closed=(closed, own))
    assert names(events) == ["PositionOpened", "PositionClosed"]
    [removed] = watch.reads_history(closed=(closed, own))
    assert isinstance(removed, PendingRemoved)
    assert removed.ticket == left


def test_on_mt4_a_fill_and_a_partial_close_between_two_looks_keep_the_root() -> None:
    watch = mt4()
    watch.sees(order(5, "0.10", LIMIT, price="1.05"))
    left = order(6, "0.06", price="1.05", opened=3, comment="from #5")
    events = watch.sees(left, closed=(row(5, "0.04", opened=3, closed=4, comment="to #6"),))
    assert names(events) == ["PendingFilled", "PositionOpened", "PositionReduced"]
    assert (watch.book.roots[ROOT].ticket, watch.book.roots[ROOT].open_lots) == (6, D("0.06"))


def test_on_mt4_a_listed_rest_is_proof_of_the_fill_and_its_row_follows() -> None:
    watch = mt4()
    watch.sees(order(5, "0.10", LIMIT, price="1.05"))
    left = order(6, "0.06", price="1.05", opened=3, comment="from #5")
    assert names(watch.sees(left)) == ["PendingFilled", "PositionOpened"]
    assert watch.result.missing == (5,)
    [event] = watch.sees(left, closed=(row(5, "0.04", price="1.05", opened=3, closed=4),))
    assert names([event]) == ["PositionReduced"]


def test_on_mt4_a_rest_without_its_tag_waits_while_an_order_that_may_have_filled_is_missing() -> (
    None
):
    watch = mt4()
    watch.sees(order(5, "0.10", LIMIT, price="1.05"))
    left = order(6, "0.06", price="1.05", opened=3)
    assert watch.snapshot(left) == []
    assert watch.result.missing == (5,)
    part = row(5, "0.04", price="1.05", opened=3, closed=4)
    events = watch.snapshot(left, closed=(part,))
    assert names(events) == ["PendingFilled", "PositionOpened", "PositionReduced"]
    assert set(watch.book.roots) == {"5"}


def test_filled_in_part_and_closed_while_its_rest_was_cancelled_between_two_looks() -> None:
    watch = hedging()
    watch.sees(order(5, "1.0", LIMIT))
    filled = row(5, "0.4", deal=9, opened=3, closed=4)
    rest = row(5, "0.6", LIMIT, closed=5, cancelled=True)
    events = watch.later(5).snapshot(closed=(filled, rest))
    assert names(events) == ["PendingFilled", "PositionOpened", "PositionClosed"]
    assert not watch.book.roots


@pytest.mark.parametrize("is_restarted", [False, True])
def test_what_filled_of_an_order_is_told_though_history_has_its_cancelled_rest_first(
    is_restarted: bool,
) -> None:
    """As a trade by itself, each closing with its own money, once."""
    watch = hedging()
    watch.sees(order(5, "1.0", LIMIT))
    rest = row(5, "0.6", LIMIT, closed=5, cancelled=True)
    assert names(watch.later(5).reads_history(closed=(rest,))) == ["PendingRemoved"]
    if is_restarted:
        watch = watch.reopened()
    cost = D("-1.40")
    parts = (
        row(5, "0.1", deal=9, opened=3, closed=4, profit=D(2), entry_cost=cost),
        row(5, "0.3", deal=10, opened=3, closed=5, profit=D(6)),
    )
    for known in (parts[:1], parts, parts):
        assert watch.later(1).reads_history(closed=(*known, rest)) == []
    assert names(watch.all_late) == ["PositionOpened", "PositionClosed"] * 2
    closings = [event for event in watch.all_late if isinstance(event, PositionClosed)]
    assert [(event.deal.ticket, event.deal.profit) for event in closings] == [(9, 2), (10, 6)]
    openings = [event for event in watch.all_late if isinstance(event, PositionOpened)]
    assert [(event.lots, event.deal.entry_cost) for event in openings] == [
        (D("0.1"), cost),
        (D("0.3"), 0),
    ]


def test_on_netting_rows_under_the_number_of_an_order_that_filled_in_part_are_its_positions() -> (
    None
):
    watch = netting()
    watch.sees(order(1, "0.10"), order(5, "0.30", LIMIT))
    rest = row(5, "0.20", LIMIT, closed=5, cancelled=True)
    watch.later(5).snapshot(order(1, "0.20"), closed=(rest,))
    end = row(5, "0.20", deal=9, opened=3, closed=30)
    watch.later(60).reads_history(closed=(rest, end))
    watch.later(60).reads_history(closed=(rest, end))
    assert len([event for event in watch.all if isinstance(event, PositionClosed)]) == 1
    assert watch.all_late == []
