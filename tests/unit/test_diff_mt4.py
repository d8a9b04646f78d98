"""MT4's chains of tickets: partial closes, close-bys, tags kept and tags lost, in any order."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from copypro.messages import PositionClosed, PositionOpened, PositionReduced, Seen
from copypro.trading import CloseReason
from copypro.values import CopyId, OrderKind, Side, Ticket
from copypro_account_watcher.seen.book import BookLimits

from tests.unit.diff_builders import D, Watch, mt4, names, order, row

COPY = CopyId("c" * 32)
OLD = -3600  # opened an hour ago: a new ticket with that time is the rest of something


def one_open(lots: str = "0.10") -> Watch:
    watch = mt4()
    watch.sees(order(7001, lots, opened=OLD, magic=77, comment="k1"))
    return watch


def rest(ticket: int, lots: str, comment: str = "") -> object:
    return order(ticket, lots, opened=OLD, magic=77, comment=comment)


def part(ticket: int, lots: str, comment: str = "", closed: float = 60) -> object:
    return row(ticket, lots, opened=OLD, magic=77, comment=comment, closed=closed)


def test_a_full_close_is_told_by_its_lots_and_needs_no_timer() -> None:
    watch = one_open()
    [event] = watch.sees(closed=(part(7001, "0.10", "k1[sl]"),))
    assert isinstance(event, PositionClosed)
    assert event.reason is CloseReason.STOP_LOSS
    assert event.deal.ticket == 7001


def test_a_partial_close_keeps_the_root_and_moves_to_the_new_ticket() -> None:
    watch = one_open()
    listed = rest(7002, "0.06", "from #7001")
    [event] = watch.sees(listed, closed=(part(7001, "0.04", "to #7002"),))
    assert isinstance(event, PositionReduced)
    assert (event.root, event.ticket) == ("7001", 7002)
    assert (event.open_lots, event.ever_lots) == (D("0.06"), D("0.10"))
    assert event.deal.ticket == 7001
    assert watch.sees(listed) == []
    assert watch.book.root_of(Ticket(7002)) == "7001"


def test_the_open_frame_of_a_partial_close_may_come_first() -> None:
    watch = one_open()
    listed = rest(7002, "0.06", "from #7001")
    assert watch.sees(listed) == []
    assert watch.result.missing == (7001,)
    [event] = watch.sees(listed, closed=(part(7001, "0.04", "to #7002"),))
    assert isinstance(event, PositionReduced)
    assert event.deal.ticket == 7001


def test_the_rest_may_be_listed_beside_its_old_ticket_and_is_no_new_trade() -> None:
    watch = one_open()
    old, new = order(7001, "0.10", opened=OLD, magic=77), rest(7002, "0.06", "from #7001")
    assert watch.sees(old, new) == []
    [event] = watch.sees(new, closed=(part(7001, "0.04"),))
    assert isinstance(event, PositionReduced)


def test_the_rest_listed_beside_its_old_ticket_is_no_new_trade_without_tags_either() -> None:
    watch = one_open().later(60)
    old, new = order(7001, "0.10", opened=OLD, magic=77), rest(7002, "0.06")
    assert watch.sees(old, new) == []
    [event] = watch.sees(new, closed=(part(7001, "0.04"),))
    assert isinstance(event, PositionReduced)
    assert event.ticket == 7002


def test_a_partial_close_with_the_rest_not_listed_yet_moves_by_the_comment() -> None:
    watch = one_open()
    [event] = watch.sees(closed=(part(7001, "0.04", "to #7002"),))
    assert isinstance(event, PositionReduced)
    assert event.ticket == 7002
    assert watch.result.missing == (7002,)
    assert watch.sees(rest(7002, "0.06", "from #7001")) == []
    assert watch.result.missing == ()


def test_a_partial_close_without_tags_is_linked_by_shape() -> None:
    watch = one_open()
    [event] = watch.sees(rest(7002, "0.06"), closed=(part(7001, "0.04"),))
    assert isinstance(event, PositionReduced)
    assert event.ticket == 7002


def test_without_tags_and_without_the_rest_nothing_closes_until_the_rest_shows() -> None:
    watch = one_open()
    assert watch.sees(closed=(part(7001, "0.04"),)) == []
    assert watch.result.missing == (7001,)
    [event] = watch.sees(rest(7002, "0.06"))
    assert isinstance(event, PositionReduced)
    assert (event.ticket, event.deal.lots) == (7002, D("0.04"))


def test_a_proved_partial_close_goes_through_though_its_rest_never_shows() -> None:
    watch = one_open()
    watch.sees(closed=(part(7001, "0.04"),))
    [event] = watch.later(1).snapshot()
    assert isinstance(event, PositionReduced)
    assert event.open_lots == D("0.06")
    assert watch.result.missing == (7001,)
    assert watch.snapshot(rest(7002, "0.06")) == []
    assert watch.book.root_of(Ticket(7002)) == "7001"


def test_a_triple_partial_close_with_tags_lost_continuation_first() -> None:
    watch = one_open()
    for before, ticket, closed, left in (
        (7001, 7002, "0.04", "0.06"),
        (7002, 7003, "0.03", "0.03"),
        (7003, 7004, "0.02", "0.01"),
    ):
        assert watch.sees(rest(ticket, left)) == []
        [event] = watch.sees(rest(ticket, left), closed=(part(before, closed),))
        assert isinstance(event, PositionReduced)
        assert (event.root, event.ticket) == ("7001", ticket)
        assert event.open_lots == D(left)
    [event] = watch.sees(closed=(part(7004, "0.01"),))
    assert isinstance(event, PositionClosed)
    assert not watch.book.roots


def test_two_partial_closes_between_two_looks_are_followed_through_history() -> None:
    watch = one_open()
    events = watch.snapshot(
        rest(7003, "0.03", "from #7002"),
        closed=(part(7001, "0.04", "to #7002"), part(7002, "0.03", "to #7003", closed=61)),
    )
    assert names(events) == ["PositionReduced", "PositionReduced"]
    assert [(e.ticket, e.open_lots) for e in events] == [  # type: ignore[union-attr]
        (7002, D("0.06")),
        (7003, D("0.03")),
    ]


def test_a_chain_that_ended_in_history_with_tags_lost_is_closed_whole() -> None:
    watch = one_open()
    events = watch.snapshot(closed=(part(7001, "0.04"), part(7002, "0.06", closed=61)))
    assert names(events) == ["PositionReduced", "PositionClosed"]
    assert not watch.book.roots
    assert watch.snapshot(closed=(part(7001, "0.04"), part(7002, "0.06", closed=61))) == []


def test_two_partial_closes_seen_as_one_step_count_their_rows_later() -> None:
    watch = one_open()
    watch.reads_history(rest(7003, "0.03"), row_wait_s=0, history_lag_s=0)
    assert [e.open_lots for e in watch.all if isinstance(e, PositionReduced)] == [D("0.03")]
    late = (part(7001, "0.04"), part(7002, "0.03", closed=61))
    assert watch.snapshot(rest(7003, "0.03"), closed=late) == []


def test_a_rest_that_history_tells_nothing_of_is_told_with_the_old_ticket_as_its_deal() -> None:
    watch = one_open()
    assert watch.sees(rest(7002, "0.06")) == []
    assert watch.later(6).snapshot(rest(7002, "0.06")) == []
    [event] = watch.reads_history(rest(7002, "0.06"))
    assert isinstance(event, PositionReduced)
    assert (event.deal.ticket, event.deal.lots) == (7001, D("0.04"))


def test_a_new_trade_of_the_same_second_as_one_that_closed_stays_a_new_trade() -> None:
    watch = mt4()
    watch.sees(order(1, "0.10"))
    events = watch.sees(order(2, "0.06"), closed=(row(1, "0.10"),))
    assert names(events) == ["PositionClosed", "PositionOpened"]


def test_two_equal_trades_in_one_second_stay_two_in_two_frames() -> None:
    watch = mt4()
    watch.sees(order(1, "0.10"))
    assert names(watch.sees(order(1, "0.10"), order(2, "0.10"))) == ["PositionOpened"]
    assert names(watch.sees(order(1, "0.10"), order(2, "0.10"), order(3, "0.06"))) == [
        "PositionOpened"
    ]


def test_a_smaller_trade_of_another_kind_is_told_at_once_beside_a_larger_one() -> None:
    """Only one of its very shape may be the rest of it."""
    watch = one_open()
    large = order(7001, opened=OLD, magic=77, comment="k1")
    watch.later(60)
    others = [order(7002, "0.05", opened=60), order(7003, "0.05", symbol="GBPUSD", opened=60)]
    assert names(watch.sees(large, *others)) == ["PositionOpened", "PositionOpened"]


@pytest.mark.parametrize("is_over", [False, True])
def test_another_trade_that_came_and_went_is_told_while_a_part_lacks_its_row(is_over: bool) -> None:
    """It pays for nothing of this one."""
    watch = one_open()
    left = (rest(7002, "0.06", "from #7001"),)
    watch.sees(*left, row_wait_s=0)
    other = row(7003, "0.02", symbol="GBPUSD", opened=20, closed=40)
    rows: tuple[Any, ...] = (other,)
    if is_over:
        end = part(7002, "0.06", closed=50)
        left, rows = (), (other, end)
        assert names(watch.sees(closed=(end,))) == ["PositionClosed"]
    told = watch.later(60).snapshot(*left, closed=rows)
    assert names(told) == ["PositionOpened", "PositionClosed"]
    assert watch.late == []


@pytest.mark.parametrize("is_over", [False, True])
def test_a_row_from_the_middle_of_a_chain_pays_for_what_was_told_without_it(is_over: bool) -> None:
    """By its shape, where no comment links it: it is no trade of its own."""
    watch = one_open()
    left = (rest(7003, "0.06"),)
    watch.reads_history(*left)
    watch.later(10).reads_history(*left)
    assert names(watch.all) == ["PositionOpened", "PositionReduced"]
    rows = (part(7001, "0.02", closed=50), part(7002, "0.02", closed=55))
    if is_over:
        end = part(7003, "0.06")
        left, rows = (), (*rows, end)
        assert names(watch.sees(closed=(end,))) == ["PositionClosed"]
    assert watch.later(60).snapshot(*left, closed=rows) == []
    [paid] = watch.late
    assert isinstance(paid, PositionReduced)
    assert paid.deal.lots == D("0.04")


def test_what_is_larger_than_one_that_vanished_is_a_trade_of_its_own_at_once() -> None:
    watch = one_open()
    assert names(watch.later(60).sees(rest(7002, "0.20"))) == ["PositionOpened"]
    assert watch.result.missing == (7001,)


def test_the_rest_of_one_chain_is_not_taken_for_that_of_its_twin() -> None:
    """By its comment, though both vanished at once and its former ticket has no row yet."""
    watch = mt4()
    twins = [order(ticket, "0.10", opened=OLD, magic=77) for ticket in (7001, 7002)]
    watch.sees(*twins)
    watch.later(60).sees(rest(7003, "0.06", "from #7002"))
    told = watch.later(2).sees(rest(7003, "0.06", "from #7002"))
    assert [(type(each).__name__, each.root) for each in told] == [("PositionReduced", "7002")]  # type: ignore[union-attr]
    assert watch.result.missing == (7001,)


def test_twins_partly_closed_at_once_are_told_apart_by_lots() -> None:
    watch = mt4()
    watch.sees(order(1, "0.10"), order(2, "0.10"))
    events = watch.sees(order(3, "0.07"), order(4, "0.06"), closed=(row(1, "0.04"), row(2, "0.03")))
    assert {(e.root, e.ticket) for e in events if isinstance(e, PositionReduced)} == {
        ("1", 4),
        ("2", 3),
    }


def test_the_rest_of_a_trade_that_no_look_showed_is_not_taken_for_its_twins() -> None:
    """Away, the account closed one and opened its equal in the same second, which it closed in parts.
    The lists that show what is left of that come before history.
    """
    watch = mt4()
    watch.sees(order(1, "0.40"))
    left = order(4, "0.20", comment="from #3")
    assert watch.snapshot(left) == []
    assert watch.later(5).sees(left) == []
    first = row(2, "0.10", comment="to #3", closed=1)
    middle = row(3, "0.10", comment="to #4", closed=2)
    events = watch.reads_history(left, closed=(row(1, "0.40"), first, middle))
    told = [(type(event).__name__, event.root) for event in events]
    assert told == [
        ("PositionClosed", "1"),
        ("PositionOpened", "2"),
        ("PositionReduced", "2"),
        ("PositionReduced", "2"),
    ]


def test_what_was_larger_than_it_can_be_left_of_a_trade_is_not_its_rest() -> None:
    """As before, and history does not tell the newest close yet."""
    watch = mt4()
    watch.sees(order(1, "0.40"))
    left = order(4, "0.20", comment="from #3")
    pieces = (
        row(2, "0.10", comment="to #3", closed=1), row(3, "0.10", comment="to #4", closed=2),
    )  # fmt: skip
    events = watch.reads_history(left, closed=pieces)
    events += watch.later(5).reads_history(left, closed=pieces)
    assert [event.root for event in events] == ["2", "2", "2"]
    assert watch.result.missing == (1,)


def test_a_late_frame_with_a_former_ticket_changes_nothing() -> None:
    watch = one_open()
    listed = rest(7002, "0.06", "from #7001")
    watch.sees(listed, closed=(part(7001, "0.04", "to #7002"),))
    assert watch.sees(order(7001, "0.10", opened=OLD, magic=77)) == []
    assert watch.result.missing == (7002,)
    assert watch.sees(listed) == []


def test_a_rest_of_a_ticket_that_is_over_is_late_and_dropped() -> None:
    watch = one_open()
    watch.sees(closed=(part(7001, "0.10"),))
    assert watch.sees(rest(7002, "0.06", "from #7001")) == []


@pytest.mark.parametrize("by", [{"comment": "close hedge by #1"}, {"by_ticket": 1}])
def test_an_equal_close_by_closes_both_although_one_row_has_no_lots(by: dict[str, Any]) -> None:
    """Whether its comment or the bridge itself names the other one."""
    watch = mt4()
    watch.sees(order(1, "0.10"), order(2, "0.10", OrderKind.SELL))
    events = watch.sees(
        closed=(
            row(1, "0.10", reason=CloseReason.CLOSE_BY, by_ticket=2),
            row(2, "0.00", OrderKind.SELL, **by),
        )
    )
    assert names(events) == ["PositionClosed", "PositionClosed"]
    assert {e.reason for e in events} == {CloseReason.CLOSE_BY}  # type: ignore[union-attr]


def test_an_unequal_close_by_reduces_the_larger_whichever_row_has_the_lots() -> None:
    for with_lots, without in ((1, 2), (2, 1)):
        sides = {1: OrderKind.BUY, 2: OrderKind.SELL}
        watch = mt4()
        watch.sees(order(1, "0.10"), order(2, "0.06", OrderKind.SELL))
        events = watch.sees(
            order(3, "0.04", comment="from #1"),
            closed=(
                row(with_lots, "0.06", sides[with_lots]),
                row(without, "0.00", sides[without], comment=f"close hedge by #{with_lots}"),
            ),
        )
        told = {e.root: type(e).__name__ for e in events}  # type: ignore[union-attr]
        assert told == {"1": "PositionReduced", "2": "PositionClosed"}
        assert watch.book.roots["1"].open_lots == D("0.04")
        assert watch.book.roots["1"].ticket == 3


def test_the_half_of_a_close_by_without_lots_closed_what_its_rest_has_less() -> None:
    """The other half is of a ticket that nobody here knows."""
    watch = mt4()
    watch.sees(order(1, "0.10"))
    left = order(3, "0.04", comment="from #1")
    [event] = watch.sees(left, closed=(row(1, "0.00", comment="close hedge by #2"),))
    assert isinstance(event, PositionReduced)
    assert (event.deal.lots, event.open_lots) == (D("0.06"), D("0.04"))


def test_the_halves_of_a_close_by_may_come_in_two_frames() -> None:
    watch = mt4()
    watch.sees(order(1, "0.10"), order(2, "0.06", OrderKind.SELL))
    left = order(3, "0.04", comment="from #1")
    watch.sees(left, closed=(row(2, "0.06", OrderKind.SELL, by_ticket=1),))
    watch.sees(left, closed=(row(1, "0.00", comment="close hedge by #2"),))
    assert sorted(names(watch.all))[:2] == ["PositionClosed", "PositionOpened"]
    assert watch.book.roots["1"].open_lots == D("0.04")
    assert set(watch.book.roots) == {"1"}


def test_the_rest_of_a_close_by_that_no_look_showed_stays_open() -> None:
    """Its former ticket's row has no lots: it was told as closed at the second look."""
    watch = mt4()
    left = order(3, "0.10", OrderKind.SELL, comment="from #2")
    rows = (row(1, by_ticket=2), row(2, "0.00", OrderKind.SELL, comment="close hedge by #1"))
    events = watch.reads_history(left, closed=rows)
    assert [e.root for e in events if isinstance(e, PositionOpened)] == ["2", "1"]
    assert watch.reads_history(left, closed=rows) == []
    assert watch.book.roots["2"].ticket == 3
    end = row(3, kind=OrderKind.SELL, comment="from #2", closed=70)
    assert names(watch.sees(closed=(end,))) == ["PositionClosed"]


def test_a_trade_that_was_opened_and_closed_by_another_unseen_is_told() -> None:
    """Its row has no lots: the other one's, or what was told of that one, has them."""
    watch = mt4()
    watch.sees(order(1))
    rows = (row(1, by_ticket=2), row(2, "0.00", OrderKind.SELL, comment="close hedge by #1"))
    assert names(watch.sees(closed=rows[:1])) == ["PositionClosed"]
    events = watch.reads_history(closed=rows)
    assert [(type(e).__name__, e.root) for e in events] == [
        ("PositionOpened", "2"),
        ("PositionClosed", "2"),
    ]
    assert events[0].lots == D("0.10")  # type: ignore[union-attr]
    assert watch.reads_history(closed=rows) == []


@pytest.mark.parametrize("is_over", [True, False])
def test_a_trade_that_stands_beside_a_chain_of_its_second_is_told(is_over: bool) -> None:
    """Its ticket is between two of the chain, as one that the chain skipped; the row of the closed part
    has no lots, so it is never certain that none was.
    """
    watch = mt4()
    watch.sees(order(1, kind=OrderKind.SELL))
    twin, left = order(2, kind=OrderKind.SELL), order(3, "0.06", OrderKind.SELL, comment="from #1")
    listed = (twin,) if is_over else (twin, left)
    assert names(watch.sees(left, row_wait_s=0)) == ["PositionReduced"]
    if is_over:
        end = row(3, "0.06", OrderKind.SELL, comment="from #1")
        assert names(watch.sees(closed=(end,))) == ["PositionClosed"]
    first = row(1, "0.00", OrderKind.SELL, comment="close hedge by #9")
    assert watch.reads_history(*listed, closed=(first,)) == []
    assert watch.later(6).sees(*listed) == []
    assert names(watch.snapshot(*listed)) == ["PositionOpened"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_new_trade_of_the_same_second_is_no_rest_of_an_equal_close_by(at_once: bool) -> None:
    """Same symbol, side, price, second and magic: only what the other half closed tells it apart."""
    watch = mt4()
    watch.sees(order(1, "0.10"), order(2, "0.10", OrderKind.SELL))
    new = order(3, "0.04", OrderKind.SELL)
    first = row(1, "0.10", reason=CloseReason.CLOSE_BY, by_ticket=2)
    second = row(2, "0.00", OrderKind.SELL, comment="close hedge by #1")
    if at_once:
        watch.sees(new, closed=(first, second))
    else:
        watch.sees(order(2, "0.10", OrderKind.SELL), closed=(first,))
        watch.sees(new, closed=(second,))
    assert sorted(names(watch.all))[:2] == ["PositionClosed", "PositionClosed"]
    assert "PositionReduced" not in names(watch.all)
    assert set(watch.book.roots) == {"3"}


def test_opened_and_partly_closed_between_two_looks_starts_the_chain_at_its_first_ticket() -> None:
    watch = mt4().later(10)
    events = watch.snapshot(
        order(2, "0.06", opened=5, comment="from #1"),
        closed=(row(1, "0.04", opened=5, closed=6, comment="to #2"),),
    )
    assert names(events) == ["PositionOpened", "PositionReduced"]
    opened, reduced = events
    assert isinstance(opened, PositionOpened)
    assert (opened.root, opened.ticket, opened.lots) == ("1", 1, D("0.10"))
    assert reduced.ticket == 2  # type: ignore[union-attr]


def test_a_rest_whose_beginning_nobody_knows_waits_for_history_and_then_stands_alone() -> None:
    watch = mt4()
    stranger = order(9, "0.06", opened=OLD, comment="from #8")
    assert watch.sees(stranger) == []
    assert watch.result.missing == (8,)
    assert watch.later(6).snapshot(stranger) == []
    [event] = watch.reads_history(stranger)
    assert isinstance(event, PositionOpened)
    assert event.root == "9"


def test_at_the_first_look_a_rest_is_a_position_as_any_other() -> None:
    watch = Watch(mt4().book.platform)
    [event] = watch.starts(order(9, "0.06", opened=OLD, comment="from #8"))
    assert isinstance(event, PositionOpened)
    assert event.seen is Seen.BASELINE


def test_a_chain_opened_and_closed_between_two_looks_is_one_root() -> None:
    watch = mt4().later(10)
    pieces = (
        row(1, "0.04", opened=5, closed=6, comment="to #2"),
        row(2, "0.06", opened=5, closed=7, comment="from #1"),
    )
    events = watch.snapshot(closed=pieces)
    assert names(events) == ["PositionOpened", "PositionReduced", "PositionClosed"]
    assert {e.root for e in events} == {"1"}  # type: ignore[union-attr]
    assert watch.snapshot(closed=pieces) == []


def test_a_partly_closed_copy_of_ours_stays_a_copy_though_its_tag_is_lost() -> None:
    watch = mt4()
    watch.sees(order(1, "0.10", comment="T0000000000000"), copies={Ticket(1): COPY})
    watch.sees(
        order(2, "0.06", comment="from #1"),
        closed=(row(1, "0.04"),),
        withheld={("EURUSD", Side.BUY)},
    )
    assert watch.book.roots["1"].copy == COPY
    assert names(watch.all) == ["PositionOpened", "PositionReduced"]


def test_levels_that_the_rest_shows_changed_are_told_after_the_reduction() -> None:
    watch = one_open()
    listed = order(7002, "0.06", opened=OLD, magic=77, comment="from #7001", sl="1.09")
    events = watch.sees(listed, closed=(part(7001, "0.04"),))
    assert names(events) == ["PositionReduced", "PositionModified"]


def test_a_late_frame_with_a_ticket_that_was_skipped_opens_nothing() -> None:
    watch = one_open()
    watch.reads_history(rest(7003, "0.03"), row_wait_s=0, history_lag_s=0)
    assert watch.sees(rest(7002, "0.06")) == []
    assert watch.snapshot(rest(7003, "0.03")) == []
    assert set(watch.book.roots) == {"7001"}


def test_a_late_frame_from_before_a_chains_first_look_opens_nothing() -> None:
    watch = mt4()
    watch.snapshot(rest(7002, "0.06"))
    assert watch.sees(rest(7001, "0.10")) == []
    assert watch.snapshot(rest(7002, "0.06")) == []
    assert set(watch.book.roots) == {"7002"}


def test_the_middle_of_a_chain_is_not_over_while_its_row_names_a_rest() -> None:
    watch = mt4().later(10)
    assert watch.sees(closed=(row(2, "0.02", opened=5, closed=6, comment="to #3"),)) == []
    listed = order(3, "0.06", opened=5, comment="from #2")
    assert watch.sees(listed) == []
    events = watch.snapshot(
        listed,
        closed=(
            row(1, "0.02", opened=5, closed=5.5, comment="to #2"),
            row(2, "0.02", opened=5, closed=6, comment="to #3"),
        ),
    )
    assert names(events) == ["PositionOpened", "PositionReduced", "PositionReduced"]
    assert set(watch.book.roots) == {"1"}
    assert watch.book.roots["1"].ever_lots == D("0.10")


def test_an_ended_ticket_that_continued_an_unknown_one_waits_for_its_beginning() -> None:
    watch = mt4().later(10)
    ended = row(2, "0.06", opened=5, closed=8, comment="from #1")
    assert watch.sees(closed=(ended,)) == []
    assert watch.result.missing == (1,)
    first = row(1, "0.04", opened=5, closed=6, comment="to #2")
    events = watch.snapshot(closed=(first, ended))
    assert names(events) == ["PositionOpened", "PositionReduced", "PositionClosed"]
    assert {e.root for e in events} == {"1"}  # type: ignore[union-attr]


def test_a_chain_whose_end_comes_after_many_other_trades_is_told_once() -> None:
    """A long outage: more is told of it than the book keeps tombstones for."""
    watch = mt4().later(1000)
    others = [row(n, opened=5, closed=100 + n) for n in range(2, 400)]
    pieces = (
        row(1, "0.04", opened=4, closed=6, comment="to #500"),
        *others,
        row(500, "0.06", opened=4, closed=7, comment="from #1"),
    )
    told = watch.snapshot(closed=pieces)
    opened = [event.root for event in told if isinstance(event, PositionOpened)]
    assert len(opened) == len(set(opened)) == 399
    assert "500" not in opened


def test_what_a_long_outage_left_costs_in_proportion_to_how_much_it_is() -> None:
    def calls(trades: int) -> int:
        watch, count = mt4().later(1000), 0
        watch.book.limits = BookLimits(closed_roots=10)
        pieces = [row(n, opened=n / 100, closed=100 + n / 100) for n in range(1, trades)]
        listed = [order(10_000 + n, opened=n / 100 + 0.001) for n in range(10)]

        def called(_frame: object, event: str, _argument: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(called)
        try:
            watch.snapshot(*listed, closed=tuple(pieces))
        finally:
            sys.setprofile(None)
        assert len(watch.all) == 2 * len(pieces) + len(listed)
        return count

    assert calls(400) < 3 * calls(200)


def test_a_chain_that_frames_tell_from_its_middle_waits_for_its_beginning() -> None:
    """A piece in the middle is marked by what came after it alone."""
    watch = mt4()
    middle = row(2, "0.01", price="1.1", opened=-60, closed=1, comment="to #3")
    end = row(3, "0.08", price="1.1", opened=-60, closed=2, comment="from #2")
    assert watch.sees(closed=(end,)) == []
    assert watch.sees(order(3, "0.08", comment="from #2"), closed=(middle,)) == []
    assert watch.snapshot() == []
    first = row(1, "0.01", price="1.1", opened=-60, closed=0.5, comment="to #2")
    events = watch.snapshot(closed=(first, middle, end))
    assert names(events) == [
        "PositionOpened",
        "PositionReduced",
        "PositionReduced",
        "PositionClosed",
    ]


def test_the_rest_of_what_got_another_name_is_no_new_trade() -> None:
    """Not every broker writes whose rest it is."""
    watch, name = one_open(), "EURUSD.a"
    assert watch.sees(order(7001, opened=OLD, magic=77, symbol=name)) == []
    rest = order(7002, "0.06", opened=OLD, magic=77, symbol=name)
    piece = row(7001, "0.04", opened=OLD, magic=77, symbol=name)
    assert names(watch.sees(rest, closed=(piece,))) == ["PositionReduced"]
