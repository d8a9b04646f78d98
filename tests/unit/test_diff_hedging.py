"""MT5 hedging, and what holds on every platform: looks in, order events out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from copypro.messages import (
    BalanceChanged,
    PositionClosed,
    PositionIncreased,
    PositionModified,
    PositionOpened,
    PositionReduced,
    Seen,
)
from copypro.trading import CloseReason, OpenOrder
from copypro.values import CopyId, OrderKind, RootId, Side, Ticket, copy_id, leg_tag
from copypro_account_watcher.seen.book import Book, BookLimits
from copypro_account_watcher.seen.diff import new_symbols
from msgspec import json
from msgspec.structs import replace

from tests.unit.diff_builders import (
    CONTEXT,
    UTC_0,
    D,
    Watch,
    broker,
    deposit,
    hedging,
    mt4,
    names,
    netting,
    order,
    row,
)

COPY = CopyId("c" * 32)


def test_a_market_open_is_told_with_its_deal_context_and_times() -> None:
    watch = hedging()
    [event] = watch.sees(order(5001, sl="1.09", magic=77, comment="k1", deal=4001, opened=1))
    assert isinstance(event, PositionOpened)
    assert (event.root, event.ticket, event.side, event.lots) == ("5001", 5001, Side.BUY, D("0.10"))
    assert (event.stop_loss, event.take_profit, event.magic) == (D("1.09"), None, 77)
    assert event.deal.ticket == 4001
    assert event.deal.sequence == 0
    assert event.seen is Seen.LIVE
    assert event.context == CONTEXT
    assert event.opened_at_broker == broker(1)
    assert event.opened_at_utc is not None
    assert (event.opened_at_utc - UTC_0).total_seconds() == 1
    assert watch.result.changed == ("5001",)


def test_with_the_clocks_offset_unknown_no_utc_time_is_claimed() -> None:
    [event] = hedging().sees(order(5001), clock_offset_minutes=None)
    assert isinstance(event, PositionOpened)
    assert event.opened_at_utc is None


def test_the_first_look_is_a_baseline() -> None:
    events = Watch().starts(order(1), order(2))
    assert [e.seen for e in events if isinstance(e, PositionOpened)] == [Seen.BASELINE] * 2


def test_the_same_frame_twice_changes_nothing() -> None:
    watch = hedging()
    watch.sees(order(5001))
    assert watch.sees(order(5001)) == []
    assert watch.result.changed == watch.result.gone == watch.result.missing == ()


def test_two_equal_trades_in_one_second_stay_two() -> None:
    watch = hedging()
    watch.sees(order(5001))
    [event] = watch.sees(order(5001), order(5002))
    assert isinstance(event, PositionOpened)
    assert event.root == "5002"


def test_hint_frames_that_leave_the_list_as_it_is_change_nothing() -> None:
    """MT5 tells of the closing order as of an order of its own: only the list counts."""
    watch = hedging()
    watch.sees(order(5001))
    for _ in range(3):
        assert watch.sees(order(5001)) == []


def test_a_full_close_is_told_at_once_with_the_row_as_its_deal() -> None:
    watch = hedging()
    watch.sees(order(5001))
    [event] = watch.sees(closed=(row(5001, deal=9, profit=D(12), swap=D(-1), closed=60),))
    assert isinstance(event, PositionClosed)
    assert (event.deal.ticket, event.deal.sequence, event.deal.lots) == (9, 1, D("0.10"))
    assert (event.deal.price, event.deal.profit, event.deal.swap) == (D("1.2000"), D(12), D(-1))
    assert watch.result.gone == ("5001",)
    assert not watch.book.roots


def test_a_full_close_whose_row_says_zero_lots_closes_all() -> None:
    watch = hedging()
    watch.sees(order(5001))
    [event] = watch.sees(closed=(row(5001, "0", deal=9),))
    assert isinstance(event, PositionClosed)
    assert event.deal.lots == D("0.10")


def test_an_empty_list_without_evidence_closes_nothing() -> None:
    watch = hedging()
    watch.sees(order(1), order(2))
    assert watch.sees() == []
    assert watch.result.missing == (1, 2)
    assert watch.later(3600).snapshot() == []
    assert watch.snapshot(order(1), order(2)) == []
    assert watch.result.missing == ()


def test_what_is_missing_closes_once_history_has_it() -> None:
    watch = hedging()
    watch.sees(order(1), order(2))
    watch.sees(order(2))
    [event] = watch.snapshot(order(2), closed=(row(1, deal=9),))
    assert isinstance(event, PositionClosed)
    assert event.root == "1"
    assert event.seen is Seen.MISSED


def test_a_row_for_part_of_what_is_known_does_not_close_the_rest() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    assert watch.sees(closed=(row(1, "0.06", deal=9, closed=61),)) == []
    assert watch.result.missing == (1,)
    events = watch.snapshot(
        closed=(row(1, "0.04", deal=8, closed=60), row(1, "0.06", deal=9, closed=61))
    )
    assert names(events) == ["PositionReduced", "PositionClosed"]
    assert [e.deal.ticket for e in events] == [8, 9]  # type: ignore[union-attr]


def test_a_list_that_is_not_whole_proves_nothing() -> None:
    watch = hedging()
    watch.sees(order(1), order(2))
    assert watch.sees(order(2), whole=False, closed=(row(1, deal=9),)) == []
    assert watch.result.missing == ()
    assert names(watch.sees(order(2))) == ["PositionClosed"]


def test_a_row_before_the_list_that_shows_it_waits_for_the_list() -> None:
    watch = hedging()
    watch.sees(order(1))
    assert watch.sees(order(1), closed=(row(1, deal=9),)) == []
    assert names(watch.sees()) == ["PositionClosed"]


def test_a_partial_close_with_its_row() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    [event] = watch.sees(order(1, "0.06"), closed=(row(1, "0.04", deal=9, profit=D(4)),))
    assert isinstance(event, PositionReduced)
    assert (event.open_lots, event.ever_lots) == (D("0.06"), D("0.10"))
    assert (event.deal.ticket, event.deal.lots, event.deal.profit) == (9, D("0.04"), D(4))


def test_a_partial_close_whose_row_says_all_that_was_closed_so_far() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    watch.sees(order(1, "0.06"), closed=(row(1, "0.04", deal=8, closed=60),))
    [reduced] = watch.sees(order(1, "0.03"), closed=(row(1, "0.07", deal=9, closed=61),))
    assert isinstance(reduced, PositionReduced)
    assert (reduced.open_lots, reduced.deal.lots) == (D("0.03"), D("0.03"))
    [closed] = watch.sees(closed=(row(1, "0.10", deal=10, closed=62),))
    assert isinstance(closed, PositionClosed)
    assert closed.deal.lots == D("0.03")


def test_a_partial_close_waits_for_its_row_which_comes_in_the_next_frame() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    assert watch.sees(order(1, "0.06")) == []
    assert watch.result.missing == (1,)
    [event] = watch.sees(order(1, "0.06"), closed=(row(1, "0.04", deal=9),))
    assert isinstance(event, PositionReduced)
    assert event.deal.ticket == 9


def test_a_partial_close_without_a_row_is_told_all_the_same_with_a_made_deal() -> None:
    def once() -> PositionReduced:
        watch = hedging()
        watch.sees(order(1, "0.10"))
        watch.sees(order(1, "0.06", market_price=D("1.15")))
        [event] = watch.later(1).snapshot(order(1, "0.06", market_price=D("1.15")))
        assert isinstance(event, PositionReduced)
        return event

    event = once()
    assert (event.open_lots, event.deal.lots, event.deal.price) == (D("0.06"), D("0.04"), D("1.15"))
    assert event.deal.ticket < 0, "a made deal's ticket meets no real one"
    assert once().deal.ticket == event.deal.ticket


def test_with_no_wait_a_reduction_is_told_by_the_list_alone() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    assert names(watch.sees(order(1, "0.06"), row_wait_s=0)) == ["PositionReduced"]


def test_the_row_of_a_reduction_that_was_told_without_it_is_not_told_again() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    watch.sees(order(1, "0.06"), row_wait_s=0)
    late = row(1, "0.04", deal=9)
    assert watch.snapshot(order(1, "0.06"), closed=(late,)) == []
    [event] = watch.snapshot(closed=(late, row(1, "0.06", deal=10, closed=61)))
    assert isinstance(event, PositionClosed)
    assert event.deal.ticket == 10


def test_older_rows_of_a_baseline_position_are_not_its_reductions() -> None:
    watch = Watch()
    watch.starts(order(1, "0.06"))
    before = row(1, "0.04", deal=8, closed=-600)
    assert watch.snapshot(order(1, "0.06"), closed=(before,)) == []
    [event] = watch.snapshot(closed=(before, row(1, "0.06", deal=9)))
    assert isinstance(event, PositionClosed)
    assert event.deal.ticket == 9


def test_further_fills_on_one_ticket_are_increases_with_legs_and_prices() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10", price="1.1000"))
    [one] = watch.sees(order(1, "0.20", price="1.1010", digits=4))
    [two] = watch.sees(order(1, "0.40", price="1.1020", digits=4))
    assert isinstance(one, PositionIncreased)
    assert isinstance(two, PositionIncreased)
    assert (one.leg, one.lots, one.open_lots, one.ever_lots) == (1, D("0.1"), D("0.2"), D("0.2"))
    assert one.deal.price == D("1.1020")
    assert (two.leg, two.lots, two.deal.sequence) == (2, D("0.20"), 2)
    assert one.context == CONTEXT


def test_a_growth_that_no_price_explains_is_told_at_the_average() -> None:
    """A broker may correct a position's price with its volume: a slave has no use for one below nothing."""
    watch = hedging()
    watch.sees(order(1, "0.10", price="1.1000"))
    [event] = watch.snapshot(order(1, "0.11", price="0.9000"))
    assert isinstance(event, PositionIncreased)
    assert event.deal.price == D("0.9000")


def test_fractions_after_a_growth_count_all_that_was_ever_opened() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    watch.sees(order(1, "0.20"))
    [event] = watch.sees(order(1, "0.05"), closed=(row(1, "0.15", deal=9),))
    assert isinstance(event, PositionReduced)
    assert (event.open_lots, event.ever_lots) == (D("0.05"), D("0.20"))


def test_a_late_frame_with_a_former_volume_is_no_increase() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    watch.sees(order(1, "0.06"), closed=(row(1, "0.04", deal=8),))
    assert watch.sees(order(1, "0.10")) == []
    assert watch.result.missing == (1,)
    assert watch.snapshot(order(1, "0.06")) == []


@pytest.mark.parametrize("deal", [None, 7])
def test_an_old_list_with_a_former_volume_is_no_increase(deal: int | None) -> None:
    """A bridge that starts anew may answer the list that it had."""
    watch = hedging()
    watch.sees(order(1, "0.10", deal=deal))
    watch.sees(order(1, "0.06", deal=deal), closed=(row(1, "0.04", deal=8),))
    assert watch.snapshot(order(1, "0.10", deal=deal)) == []
    assert watch.result.missing == (1,)
    assert watch.snapshot(order(1, "0.06", deal=deal)) == []
    [grown] = watch.snapshot(order(1, "0.10", deal=9))
    assert isinstance(grown, PositionIncreased)


def test_a_list_that_goes_on_showing_a_former_volume_is_right() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    watch.sees(order(1, "0.06"), closed=(row(1, "0.04", deal=8),))
    assert watch.snapshot(order(1, "0.10")) == []
    [grown] = watch.later(1.5).snapshot(order(1, "0.10"))
    assert isinstance(grown, PositionIncreased)


def test_a_late_frame_from_before_a_growth_is_no_reduction() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"))
    watch.sees(order(1, "0.20"))
    assert watch.sees(order(1, "0.10")) == []
    assert watch.sees(order(1, "0.20")) == []
    assert watch.result.missing == ()


def test_two_partial_closes_whose_frames_come_in_the_wrong_order() -> None:
    watch = hedging()
    one, two = row(1, "0.04", deal=8, closed=60), row(1, "0.03", deal=9, closed=61)
    watch.sees(order(1, "0.10"))
    watch.sees(order(1, "0.03"), closed=(two,))
    watch.sees(order(1, "0.06"), closed=(one,))
    watch.snapshot(order(1, "0.03"))
    reduced = [e for e in watch.all if isinstance(e, PositionReduced)]
    assert [e.deal.ticket for e in reduced] == [8, 9]
    assert reduced[-1].open_lots == D("0.03")


def test_levels_are_told_when_they_change_and_back_again() -> None:
    watch = hedging()
    watch.sees(order(1))
    [one] = watch.sees(order(1, sl="1.09", tp="1.20"))
    [two] = watch.sees(order(1, tp="1.20"))
    [three] = watch.sees(order(1, sl="1.09", tp="1.20"))
    assert isinstance(one, PositionModified)
    assert isinstance(two, PositionModified)
    assert (one.stop_loss, one.take_profit) == (D("1.09"), D("1.20"))
    assert (two.stop_loss, two.take_profit) == (None, D("1.20"))
    assert one.stop_loss == three.stop_loss  # type: ignore[union-attr]
    assert len(set(watch.identities)) == len(watch.identities)


def test_a_level_written_with_another_number_of_zeros_is_the_same() -> None:
    watch = hedging()
    watch.sees(order(1, "0.1", sl="1.09"))
    assert watch.sees(order(1, "0.10", sl="1.0900")) == []


def test_an_open_after_the_close_of_its_root_is_late_and_dropped() -> None:
    watch = hedging()
    watch.sees(order(1))
    watch.sees(closed=(row(1, deal=9),))
    assert watch.sees(order(1)) == []
    assert not watch.book.roots
    assert watch.sees() == []
    assert watch.result.missing == ()


def test_a_close_before_its_open_is_told_once_and_never_as_live() -> None:
    watch = hedging()
    events = watch.sees(closed=(row(1, deal=9),))
    assert names(events) == ["PositionOpened", "PositionClosed"]
    assert [e.seen for e in events] == [Seen.MISSED] * 2  # type: ignore[union-attr]
    assert watch.sees(order(1)) == []


def test_a_row_of_a_root_that_is_over_is_ignored() -> None:
    watch = hedging()
    watch.sees(order(1))
    watch.sees(closed=(row(1, deal=9),))
    assert watch.snapshot(closed=(row(1, deal=9),)) == []


def test_opened_and_closed_between_two_looks_is_recorded_from_history() -> None:
    watch = hedging()
    pieces = (
        row(1, "0.04", deal=8, opened=5, closed=6, profit=D(4)),
        row(1, "0.06", deal=9, opened=5, closed=7, profit=D(6)),
    )
    events = watch.later(10).snapshot(closed=pieces)
    assert names(events) == ["PositionOpened", "PositionReduced", "PositionClosed"]
    opened, reduced, closed = events
    assert isinstance(opened, PositionOpened)
    assert (opened.seen, opened.lots) == (Seen.MISSED, D("0.10"))
    assert isinstance(reduced, PositionReduced)
    assert (reduced.open_lots, reduced.deal.profit) == (D("0.06"), D(4))
    assert isinstance(closed, PositionClosed)
    assert closed.deal.profit == D(6)
    assert watch.snapshot(closed=pieces) == []


def test_opened_and_partly_closed_between_two_looks_tells_both() -> None:
    watch = hedging()
    events = watch.later(10).snapshot(order(1, "0.06"), closed=(row(1, "0.04", deal=8, closed=6),))
    assert names(events) == ["PositionOpened", "PositionReduced"]
    assert watch.book.roots["1"].open_lots == D("0.06")
    assert watch.book.roots["1"].ever_lots == D("0.10")


def test_what_ended_before_the_first_look_belongs_to_the_import() -> None:
    watch = hedging()
    assert watch.snapshot(closed=(row(1, deal=9, opened=-900, closed=-600),)) == []
    unknown_clock = watch.snapshot(
        closed=(row(1, deal=9, opened=-900, closed=-600),), clock_offset_minutes=None
    )
    assert unknown_clock == []


def test_what_was_told_and_forgotten_is_not_told_again() -> None:
    watch = hedging()
    rows = tuple(row(ticket, deal=ticket + 1000, closed=ticket) for ticket in range(1, 260))
    watch.later(300).snapshot(closed=rows)
    assert len(watch.book.closed) == watch.book.limits.closed_roots
    assert watch.snapshot(closed=rows) == []


def test_history_that_comes_late_is_told_however_many_closed_meanwhile_in_whatever_order() -> None:
    watch = hedging()
    many = watch.book.limits.closed_roots + 50
    rows = [row(t, deal=t + 1000, closed=1000 - t) for t in range(1, many + 1)]
    late = rows.pop(99)  # fifty of the oldest tickets closed after it
    watch.later(1000).snapshot(closed=tuple(rows))
    assert names(watch.snapshot(closed=(*rows, late))) == ["PositionOpened", "PositionClosed"]


def test_reasons_come_from_the_bridge_or_from_the_comment() -> None:
    watch = hedging()
    watch.sees(*(order(ticket) for ticket in (1, 2, 3, 4)))
    events = watch.sees(
        closed=(row(1, deal=11, reason=CloseReason.STOP_LOSS),),
    ) + watch.sees(
        closed=(
            row(2, deal=12, comment="k1[tp]"),
            row(3, deal=13, comment="so: 50%/1/2"),
            row(4, deal=14, comment="[sl 1.0950]"),
        ),
    )
    reasons = {e.root: e.reason for e in events if isinstance(e, PositionClosed)}
    assert reasons == {
        "1": CloseReason.STOP_LOSS,
        "2": CloseReason.TAKE_PROFIT,
        "3": CloseReason.STOP_OUT,
        "4": CloseReason.STOP_LOSS,
    }


def test_a_close_by_closes_both_by_their_own_rows() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10"), order(2, "0.06", OrderKind.SELL))
    events = watch.sees(
        order(1, "0.04"),
        closed=(
            row(1, "0.06", deal=8, reason=CloseReason.CLOSE_BY, by_ticket=2),
            row(2, "0.06", OrderKind.SELL, deal=9, reason=CloseReason.CLOSE_BY, by_ticket=1),
        ),
    )
    assert sorted(names(events)) == ["PositionClosed", "PositionReduced"]
    assert {e.reason for e in events} == {CloseReason.CLOSE_BY}  # type: ignore[union-attr]


def test_the_server_may_give_a_position_another_ticket_and_keep_its_identifier() -> None:
    watch = hedging()
    watch.sees(order(1, identifier=1))
    assert watch.sees(order(2, identifier=1)) == []
    [event] = watch.sees(closed=(row(2, deal=9),))
    assert isinstance(event, PositionClosed)
    assert event.root == "1"


def test_one_that_is_first_seen_under_another_ticket_is_named_by_its_first() -> None:
    """As an import of history names it, and whoever saw it before."""
    [event] = hedging().snapshot(order(2, identifier=1))
    assert isinstance(event, PositionOpened)
    assert (event.root, event.ticket) == ("1", 2)


def test_an_order_that_filled_keeps_its_root_when_its_position_gets_another_ticket() -> None:
    watch = hedging()
    watch.sees(order(1, kind=OrderKind.BUY_LIMIT))
    watch.sees(order(1, identifier=1))
    assert watch.snapshot(order(2, identifier=1)) == []
    assert watch.result.missing == ()
    assert [(root.root, root.ticket) for root in watch.book.roots.values()] == [("1", 2)]


@pytest.mark.parametrize("is_frame", [True, False])
def test_what_got_another_ticket_that_no_list_showed_before_it_closed_is_closed(
    is_frame: bool,
) -> None:
    """Else it was missing for ever, its copies stood, and its end was told as a trade of its own."""
    watch = hedging()
    watch.sees(order(1))
    sees = watch.sees if is_frame else watch.snapshot
    end = row(2, deal=9, identifier=1)
    [event] = sees(closed=(end,))
    assert isinstance(event, PositionClosed)
    assert event.root == "1"
    assert watch.result.missing == ()
    assert watch.snapshot(closed=(end,)) == []


def test_closes_come_before_changes_and_changes_before_opens() -> None:
    watch = hedging()
    watch.sees(order(1), order(2))
    events = watch.sees(order(2, sl="1.05"), order(3), closed=(row(1, deal=9),))
    assert names(events) == ["PositionClosed", "PositionModified", "PositionOpened"]


def test_a_copy_of_ours_is_marked_wherever_it_is_told() -> None:
    watch = hedging()
    copies = {Ticket(1): COPY}
    [opened] = watch.sees(order(1), copies=copies)
    [grown] = watch.sees(order(1, "0.20"), copies=copies)
    assert isinstance(opened, PositionOpened)
    assert isinstance(grown, PositionIncreased)
    assert opened.copy == grown.copy == COPY


def test_while_an_open_is_unanswered_its_symbol_and_side_are_withheld() -> None:
    watch = hedging()
    withheld = {("EURUSD", Side.BUY)}
    [other] = watch.sees(order(1), order(2, kind=OrderKind.SELL), withheld=withheld)
    assert other.root == "2"  # type: ignore[union-attr]
    assert watch.result.missing == ()
    [ours] = watch.sees(
        order(1), order(2, kind=OrderKind.SELL), withheld=withheld, copies={Ticket(1): COPY}
    )
    assert isinstance(ours, PositionOpened)
    assert ours.copy == COPY


def test_what_is_withheld_and_closes_meanwhile_is_told_once_it_is_settled() -> None:
    watch = hedging()
    withheld = {("EURUSD", Side.BUY)}
    watch.sees(order(1), withheld=withheld)
    assert watch.sees(closed=(row(1, deal=9),), withheld=withheld) == []
    events = watch.snapshot(closed=(row(1, deal=9),), copies={Ticket(1): COPY})
    assert names(events) == ["PositionOpened", "PositionClosed"]
    assert events[0].copy == COPY  # type: ignore[union-attr]


def test_another_installations_tag_is_pointed_out_at_every_look() -> None:
    watch = hedging()
    tag = leg_tag(copy_id("m" * 32, "s" * 32, "1"), 0)  # type: ignore[arg-type]
    theirs, ours = order(1, comment=tag), order(2, comment=tag)
    watch.sees(theirs, ours, order(3, comment="Trend follower 7"), copies={Ticket(2): COPY})
    assert watch.result.unknown_tags == (theirs,)
    watch.sees(theirs, ours)
    assert watch.result.unknown_tags == (theirs,)


def test_a_balance_operation_is_told_once_per_ticket_and_is_never_a_trade() -> None:
    watch = hedging()
    [event] = watch.sees(operations=(deposit(7, "500"),))
    assert isinstance(event, BalanceChanged)
    assert (event.ticket, event.amount) == (7, D(500))
    assert watch.identities[-1] == ("BalanceChanged", ("balance", 7))
    assert watch.snapshot(operations=(deposit(7, "500"), deposit(8, "-20", at=1))) != []
    assert watch.snapshot(operations=(deposit(7, "500"), deposit(8, "-20", at=1))) == []
    assert watch.snapshot(operations=(deposit(6, "100", at=-3600),)) == []


def test_new_symbols_are_those_whose_context_the_next_diff_may_tell() -> None:
    watch = hedging()
    watch.sees(order(1), order(2, symbol="GBPUSD"))
    assert new_symbols(watch.book, (order(1), order(2, symbol="GBPUSD"))) == set()
    assert new_symbols(watch.book, (order(1, "0.2"), order(3, symbol="XAUUSD"))) == {
        "EURUSD",
        "XAUUSD",
    }


def test_stream_and_snapshot_name_the_same_facts_the_same() -> None:
    """The identity does not depend on how a fact was seen."""
    stream, snapshots = hedging(), hedging()
    stream.sees(order(1, "0.10", deal=4001))
    stream.sees(order(1, "0.2", deal=4002))
    stream.sees(order(1, "0.20", sl="1.09"))
    stream.sees(order(1, "0.15", sl="1.09"), closed=(row(1, "0.05", deal=8, closed=60),))
    stream.sees(closed=(row(1, "0.15", deal=9, closed=61),))
    snapshots.snapshot(order(1, "0.1"))
    snapshots.snapshot(order(1, "0.20"))
    snapshots.snapshot(order(1, "0.20", sl="1.0900"))
    snapshots.snapshot(order(1, "0.150", sl="1.09"), row_wait_s=0)
    snapshots.snapshot(closed=(row(1, "0.15", deal=9, closed=61),))
    assert stream.identities == snapshots.identities


def test_a_book_restored_from_its_records_goes_on_as_if_nothing_had_happened() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10", sl="1.09"), order(2), order(3))
    watch.sees(
        order(1, "0.06", sl="1.09"), order(2), closed=(row(1, "0.04", deal=8), row(3, deal=9))
    )
    watch.reopened()
    assert watch.snapshot(order(1, "0.06", sl="1.09"), order(2), order(3)) == []
    assert watch.result.missing == ()
    [event] = watch.snapshot(order(2), closed=(row(1, "0.04", deal=8), row(1, "0.06", deal=10)))
    assert isinstance(event, PositionClosed)
    assert event.deal.ticket == 10
    assert watch.book.tickets() == {1, 2, 3}
    assert watch.book.root_of(Ticket(2)) == "2"
    assert watch.book.root_of(Ticket(3)) is None


def test_only_what_changed_of_the_roots_that_are_over_is_recorded_again() -> None:
    watch = hedging()
    watch.book.limits = BookLimits(closed_roots=3)
    watch.sees(*(order(ticket) for ticket in (1, 2, 3, 4)))
    watch.sees(order(4), closed=tuple(row(ticket, closed=ticket) for ticket in (1, 2, 3)))
    assert watch.book.unsaved_closed().keys() == {"1", "2", "3"}
    rest = watch.book.rest()
    watch.sees(order(4, sl="1.09"))
    assert (watch.book.unsaved_closed(), watch.book.rest()) == ({}, rest)
    watch.sees(closed=(row(4, closed=4),))
    changed = watch.book.unsaved_closed()
    assert (changed["1"], changed["4"]) == (None, watch.book.closed[RootId("4")])
    assert len(changed) == 2
    watch.reopened()
    assert watch.book.unsaved_closed() == {}
    assert watch.snapshot(closed=tuple(row(t, closed=t) for t in (1, 2, 3, 4))) == []


def test_roots_that_an_older_version_kept_together_are_known_and_recorded_one_by_one() -> None:
    watch = hedging()
    watch.sees(order(1), order(2))
    watch.sees(closed=(row(1), row(2)))
    old = replace(watch.book.rest(), closed=tuple(watch.book.closed.values()))
    watch.book = Book(watch.book.account)
    watch.book.restore_rest(json.encode(old))
    assert watch.snapshot(closed=(row(1), row(2))) == []
    assert watch.book.unsaved_closed() == watch.book.closed
    assert watch.book.rest().closed == ()


def test_rows_in_the_wrong_order_still_add_up_to_the_close() -> None:
    """The one whose list came late is not lost: else the position could never be proved closed."""
    watch = hedging()
    watch.sees(order(1, "0.10"))
    watch.sees(order(1, "0.08"), closed=(row(1, "0.01", deal=9, closed=61),))
    watch.sees(order(1, "0.09"), closed=(row(1, "0.01", deal=8, closed=60),))
    watch.sees(order(1, "0.08"))
    events = watch.sees(closed=(row(1, "0.08", deal=10, closed=62),))
    assert names(events) == ["PositionClosed"]
    reduced = [e for e in watch.all if isinstance(e, PositionReduced)]
    assert [e.deal.ticket for e in reduced] == [8, 9]


def test_an_average_price_with_all_digits_of_a_division_is_rounded() -> None:
    watch = hedging()
    watch.sees(order(1, "0.10", price="1.2"))
    [event] = watch.sees(order(1, "0.30", price="1.1333333333333333333333333333"))
    assert isinstance(event, PositionIncreased)
    assert event.deal.price == D("1.1000000000")


def test_a_frame_that_closes_something_of_a_position_never_listed_before_waits_for_history() -> (
    None
):
    for left, closed in ((("0.06",), "0.04"), ((), "0.10")):
        watch = hedging().later(10)
        frame = order(1, left[0] if left else "0.10", opened=5)
        piece = row(1, closed, deal=8, opened=5, closed=6)
        assert watch.sees(frame, closed=(piece,)) == []
        assert watch.result.missing == (1,)
        events = watch.snapshot(*(order(1, lots, opened=5) for lots in left), closed=(piece,))
        assert names(events) == ["PositionOpened", "PositionReduced" if left else "PositionClosed"]
        assert watch.all[0].lots == D("0.10")  # type: ignore[union-attr]


def _ordered() -> Watch:
    watch = hedging()
    watch.sees(order(1, "0.10", OrderKind.BUY_LIMIT))
    return watch


@pytest.mark.parametrize("later_list", [(), (order(1, "0.10", OrderKind.BUY_LIMIT),)])
@pytest.mark.parametrize("began", [hedging, netting, _ordered])
def test_a_late_frame_does_not_end_what_was_closed_in_part_before_any_list_showed_it(
    began: Callable[[], Watch], later_list: tuple[OpenOrder, ...]
) -> None:
    """Its rest was open for ever: nothing more was told of it, and its copies stood."""
    watch = began().later(10)
    rest, part = order(1, "0.05", opened=5), row(1, "0.05", deal=8, opened=5, closed=6)
    watch.sees(rest, closed=(part,))
    watch.sees(*later_list)
    watch.sees()
    assert watch.result.missing == (1,)
    watch.reads_history(rest, closed=(part,))
    assert [root.open_lots for root in watch.book.roots.values()] == [D("0.05")]
    assert names(watch.all).count("PositionClosed") == 0
    end = row(1, "0.05", deal=9, opened=5, closed=20)
    assert names(watch.later(10).sees(closed=(end,))) == ["PositionClosed"]


@pytest.mark.parametrize("began", [hedging, netting])
def test_what_was_closed_in_part_before_its_first_list_does_not_end_it_beside_a_short_one(
    began: Callable[[], Watch],
) -> None:
    """As much as was left: it was told as closed, and so were its copies."""
    watch = began().later(10)
    rest, part = order(1, "0.05", opened=5), row(1, "0.05", deal=8, opened=5, closed=6)
    watch.snapshot(rest)
    watch.later(60).reads_history(closed=(part,))
    assert watch.result.missing == (1,)
    watch.later(1).snapshot(rest)
    assert names(watch.all).count("PositionClosed") == 0
    end = row(1, "0.05", deal=9, opened=5, closed=80)
    watch.later(10).reads_history(closed=(part, end))
    assert names(watch.all)[-1] == "PositionClosed"


def test_what_history_goes_on_to_tell_no_more_of_is_over_by_what_may_be_of_before() -> None:
    """By a clock that is not quite the broker's."""
    watch = hedging().later(10)
    watch.snapshot(order(1, "0.05", opened=5))
    closed = (row(1, "0.05", deal=8, opened=5, closed=6),)
    watch.later(60).reads_history(closed=closed)
    watch.later(6).reads_history(closed=closed)
    assert names(watch.all)[-1] == "PositionClosed"


@pytest.mark.parametrize("is_part_told", [True, False])
def test_a_late_frame_makes_no_part_of_what_ended_its_position(is_part_told: bool) -> None:
    """It was missing for ever, and its copies stood: its end was told as a part that nobody had seen."""
    watch = hedging().later(10)
    part, end = row(1, "0.03", deal=8, closed=6), row(1, "0.17", deal=9, closed=7)
    watch.sees(order(1, "0.20"))
    assert watch.sees(closed=(end,)) == []
    if is_part_told:
        watch.sees(order(1, "0.17"), closed=(part,))
    else:
        watch.sees(order(1, "0.20"))
    watch.reads_history(closed=(part, end))
    assert names(watch.all)[-1] == "PositionClosed"
    assert watch.result.missing == ()


def test_an_entry_commission_is_the_opening_deals_on_mt5_and_the_closing_rows_on_mt4() -> None:
    for watch, expected in ((hedging(), D("-0.7")), (mt4(), D(0))):
        [event] = watch.sees(order(1, commission=D("-0.7")))
        assert isinstance(event, PositionOpened)
        assert event.deal.commission == expected


def test_a_late_list_of_a_copy_that_ended_shows_no_other_copier() -> None:
    """After a restart nothing else remembers the tag."""
    watch, tagged = hedging(), order(1, comment=leg_tag(CopyId("c" * 32), 0))
    watch.sees(tagged, copies={Ticket(1): CopyId("c" * 32)})
    watch.sees(closed=(row(1),))
    watch.snapshot(tagged)
    assert watch.result.unknown_tags == ()


def test_a_frame_from_before_the_first_one_seen_is_no_growth() -> None:
    """The frame of a partial close came first: the position was never seen whole."""
    watch = hedging()
    watch.sees(order(1, "0.40", deal=9))
    assert names(watch.sees(order(1, "1.00", deal=9))) == []
    assert names(watch.sees(order(1, "0.40", deal=9))) == []
    (grown,) = watch.sees(order(1, "1.40", deal=10))
    assert isinstance(grown, PositionIncreased)


def test_what_was_listed_with_no_lots_and_vanishes_is_missing_until_a_row_ends_it() -> None:
    watch = hedging()
    watch.sees(order(1, "0"))
    assert watch.sees() == []
    assert watch.result.missing == (1,)
    assert names(watch.snapshot(closed=(row(1, "0.10", deal=9),))) == ["PositionClosed"]


def test_the_late_row_of_a_reduction_that_was_told_closes_nothing_more() -> None:
    watch = hedging()
    watch.sees(order(1, "1.0"))
    watch.sees(order(1, "0.5"))
    assert names(watch.later(1).sees(order(1, "0.5"))) == ["PositionReduced"]
    assert watch.sees(order(1, "0.5"), closed=(row(1, "0.5", deal=9, closed=60),)) == []
    assert watch.sees() == [], "a frame of before it opened"
    assert watch.result.missing == (1,)
    events = watch.snapshot(closed=(row(1, "0.5", deal=9), row(1, "0.5", deal=10, closed=61)))
    assert names(events) == ["PositionClosed"]
    assert events[0].deal.ticket == 10  # type: ignore[union-attr]
