"""Nobody watches an account for a while; then lists and frames come long before history does, and
history tells the newest closes last. Whatever the order: in the end the same as if all had been seen.
"""

from __future__ import annotations

import math

import pytest
from copypro.messages import PositionClosed, PositionReduced
from copypro.trading import ClosedOrder, OpenOrder
from copypro.values import Mode, OrderKind, Platform, RootId, Ticket
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.examples import examples
from tests.unit.diff_builders import (
    OFFSET,
    D,
    Watch,
    broker,
    mt4,
    names,
    netting,
    order,
    row,
)
from tests.unit.test_diff_properties import (
    ACTIONS,
    LOTS,
    Broker,
    Frame,
    check_chains,
    check_money,
    check_roots,
    check_state,
    check_told,
)

LAG_S = 4.0
"""Less than the watcher reckons with."""
Action = tuple[str, int, str, str, int]
FATES = st.sampled_from(
    ["lost", "lost", "seen", "list", "slow", "frames", "lagging", "lagging", "history"]
)
POSITIONS = ACTIONS.filter(lambda action: action[0] not in ("pending", "fill"))
STORIES = st.lists(st.tuples(ACTIONS, FATES, st.integers(1, 3)), max_size=20)


def deliver(maker: Broker, watch: Watch, story: list[tuple[Action, str, int]]) -> None:
    """Of a history that lags the newest rows are not there yet."""
    watch.starts()
    for action, fate, lag in story:
        maker.at = max(
            maker.at, math.floor(watch.at) if maker.platform is Platform.MT4 else watch.at
        )
        frames = maker.act(action)
        watch.at = max(watch.at, maker.at)
        now = tuple(maker.open.values())
        young = [row for row in maker.rows if row.closed_at_broker > broker(watch.at - LAG_S)]
        told = tuple(maker.rows[: len(maker.rows) - min(lag, len(young))])
        match fate:
            case "seen":
                for frame in frames:
                    watch.sees(*frame.orders, closed=frame.closed)
            case "list":
                watch.snapshot(*now)
            case "slow":
                watch.snapshot(*now)
                watch.later(2).snapshot(*now)
            case "frames":
                watch.sees(*now)
                watch.later(2).sees(*now)
            case "lagging":
                watch.reads_history(*now, closed=told)
                watch.later(2).reads_history(*now, closed=told)
            case "history":
                watch.reads_history(*now, closed=tuple(maker.rows))
    for _ in range(4):
        watch.later(6).reads_history(*maker.open.values(), closed=tuple(maker.rows))


BOTH = pytest.mark.parametrize("mode", [Mode.HEDGING, Mode.NETTING])


@BOTH
def test_the_row_of_a_reduction_that_was_told_without_it_closes_nothing(mode: Mode) -> None:
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1, "0.30"))
    watch.snapshot(order(1, "0.10"))
    [made] = watch.later(1).snapshot(order(1, "0.10"))
    assert isinstance(made, PositionReduced)
    first = row(1, "0.20", deal=9, closed=1)
    assert watch.reads_history(closed=(first,)) == [], "a short list"
    assert watch.result.missing == (1,)
    assert watch.reads_history(order(1, "0.10"), closed=(first,)) == []
    last = row(1, "0.10", deal=10, closed=2)
    assert names(watch.reads_history(closed=(first, last))) == ["PositionClosed"]


@BOTH
def test_a_close_beside_a_reduction_without_its_row_waits_for_history_and_not_for_ever(
    mode: Mode,
) -> None:
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1, "0.30"))
    watch.snapshot(order(1, "0.10"))
    assert names(watch.later(1).snapshot(order(1, "0.10"))) == ["PositionReduced"]
    last = row(1, "0.10", deal=10, closed=2)
    assert watch.reads_history(closed=(last,)) == []
    assert names(watch.later(6).reads_history(closed=(last,))) == ["PositionClosed"]


@BOTH
def test_a_row_without_lots_closes_what_is_left_whatever_history_owes(mode: Mode) -> None:
    """A bridge's habit: only the last deal of a position has none."""
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1, "0.30"))
    watch.snapshot(order(1, "0.10"))
    assert names(watch.later(1).snapshot(order(1, "0.10"))) == ["PositionReduced"]
    [closed] = watch.sees(closed=(row(1, "0", deal=10, closed=2),))
    assert isinstance(closed, PositionClosed)
    assert closed.deal.lots == D("0.10")


@BOTH
def test_a_position_whose_rows_do_not_add_up_is_closed_once_history_tells_no_more(
    mode: Mode,
) -> None:
    """A late frame's volume that stayed too long was told as a reduction that no row will ever explain."""
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1, "0.30"))
    watch.sees(order(1, "0.10"))
    watch.later(1).sees(order(1, "0.10"))
    watch.later(1).sees(order(1, "0.30"))
    watch.later(2).snapshot(order(1, "0.15"), closed=(row(1, "0.15", deal=9, closed=3),))
    last = row(1, "0.15", deal=10, closed=4)
    watch.reads_history(closed=(row(1, "0.15", deal=9, closed=3), last))
    watch.later(6).reads_history(closed=(row(1, "0.15", deal=9, closed=3), last))
    assert names(watch.all).count("PositionClosed") == 1


@BOTH
def test_a_growth_that_never_was_keeps_no_position_open_for_ever(mode: Mode) -> None:
    """A late frame's volume stayed too long: all that will ever be closed is less than is known then."""
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1, "0.30"))
    parts = (row(1, "0.02", deal=8, closed=1), row(1, "0.02", deal=9, closed=2))
    assert names(watch.sees(order(1, "0.26"), closed=parts)) == ["PositionReduced"] * 2
    watch.sees(order(1, "0.28"))
    assert names(watch.later(1).sees(order(1, "0.28"))) == ["PositionIncreased"]
    last = row(1, "0.26", deal=10, closed=3)
    assert watch.sees(closed=(last,)) == []
    assert watch.reads_history(closed=(*parts, last)) == []
    assert watch.result.missing == (1,)
    assert names(watch.later(6).reads_history(closed=(*parts, last))) == ["PositionClosed"]
    assert watch.later(6).reads_history(closed=(*parts, last)) == []
    assert watch.result.missing == ()
    assert watch.all_late == []


@BOTH
def test_rows_of_former_parts_alone_end_no_position(mode: Mode) -> None:
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1, "0.30"))
    watch.snapshot(order(1, "0.20"))
    assert names(watch.later(1).snapshot(order(1, "0.20"))) == ["PositionReduced"]
    part = row(1, "0.10", deal=9, closed=1)
    for _ in range(3):
        assert watch.later(6).reads_history(closed=(part,)) == []
    assert watch.result.missing == (1,)


@BOTH
def test_a_part_that_closed_before_a_position_was_seen_does_not_end_it(mode: Mode) -> None:
    watch = Watch(mode=mode)
    watch.starts()
    watch.later(5).sees(order(1, "0.20"))
    unseen = row(1, "0.10", deal=9, closed=3)
    for _ in range(3):
        assert watch.later(6).reads_history(closed=(unseen,)) == []
    assert watch.result.missing == (1,)


@BOTH
@pytest.mark.parametrize("offset", [OFFSET, None], ids=["clock known", "clock unknown"])
def test_a_part_that_came_with_the_first_list_does_not_end_its_position(
    mode: Mode, offset: int | None
) -> None:
    """It was told as closed by a short list, and nobody followed it any more."""
    watch = Watch(mode=mode)
    watch.starts()
    left, part = order(1, "0.10"), row(1, "0.10", deal=9, closed=0)
    watch.sees(left, closed=(part,), clock_offset_minutes=offset)
    watch.later(1).sees(left, clock_offset_minutes=offset)
    assert names(watch.all) == ["PositionOpened"]
    for _ in range(3):
        assert watch.later(1).snapshot(clock_offset_minutes=offset) == []
    assert watch.result.missing == (1,)
    assert watch.snapshot(left, clock_offset_minutes=offset) == []
    assert watch.result.missing == ()


@BOTH
def test_a_part_of_what_opened_ends_no_position_that_short_lists_lack(mode: Mode) -> None:
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1, "0.10"))
    assert names(watch.sees(order(1, "0.30"))) == ["PositionIncreased"]
    watch.snapshot(order(1, "0.30"))
    part = row(1, "0.10", deal=9, closed=1)
    for _ in range(3):
        assert watch.later(6).reads_history(closed=(part,)) == []
    assert watch.result.missing == (1,)
    left = order(1, "0.20")
    assert names(watch.reads_history(left, closed=(part,))) == ["PositionReduced"]


@BOTH
def test_frames_without_rows_keep_no_close_waiting(mode: Mode) -> None:
    """Of other symbols, while history is waited for: more often than it may lag."""
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1, "0.30"))
    watch.snapshot(order(1, "0.10"))
    assert names(watch.later(1).snapshot(order(1, "0.10"))) == ["PositionReduced"]
    last = row(1, "0.10", deal=10, closed=2)
    told = []
    for _ in range(7):
        told += watch.later(1).reads_history(closed=(last,))
        told += watch.snapshot()
    assert names(told) == ["PositionClosed"]


def test_netting_a_growth_that_never_was_does_not_join_two_positions() -> None:
    watch = netting()
    watch.snapshot(order(1, "0.20"))
    assert names(watch.sees(order(1, "0.50"))) == ["PositionIncreased"]
    last, next_one = row(1, "0.20", deal=9, closed=1), order(3, "0.20", opened=2)
    assert watch.later(3).reads_history(next_one, closed=(last,)) == []
    events = watch.later(6).reads_history(next_one, closed=(last,))
    assert names(events) == ["PositionClosed", "PositionOpened"]


@BOTH
def test_a_close_that_a_late_frame_made_a_part_is_told_in_the_end(mode: Mode) -> None:
    """Its row was taken for all that was closed so far, and what is left of history is less."""
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1))
    first = row(1, "0.03", deal=7, closed=1)
    assert names(watch.sees(order(1, "0.07"), closed=(first,))) == ["PositionReduced"]
    last = row(1, "0.05", deal=9, closed=3)
    assert watch.later(3).sees(closed=(last,)) == []
    assert names(watch.sees(order(1, "0.05"))) == ["PositionReduced"]
    rows = (first, row(1, "0.02", deal=8, closed=2), last)
    assert watch.reads_history(closed=rows) == []
    assert names(watch.later(6).reads_history(closed=rows)) == ["PositionClosed"]


@BOTH
def test_a_row_for_all_that_was_closed_pays_for_what_was_told_without(mode: Mode) -> None:
    """The close's own row, which lags, is told beside it."""
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1, "0.30"))
    watch.later(1).snapshot(order(1, "0.10", price="1.2"))
    assert names(watch.later(2).snapshot(order(1, "0.10", price="1.2"))) == ["PositionReduced"]
    more = row(1, "0.30", deal=9, closed=1, profit=D(2))
    [closed] = watch.reads_history(closed=(more,))
    assert isinstance(closed, PositionClosed)
    last = row(1, "0.10", deal=10, closed=3, profit=D(4))
    watch.later(6).reads_history(closed=(more, last))
    told = [closed, *(event for event in watch.all_late if isinstance(event, PositionClosed))]
    assert [event.deal.profit for event in told] == [2, 4]
    assert watch.book.rows_owed() == []


@BOTH
def test_what_was_paid_of_a_made_deal_is_told_when_one_row_pays_for_the_rest(mode: Mode) -> None:
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1, "0.30"))
    watch.later(1).snapshot(order(1, "0.11", price="1.2"))
    assert names(watch.later(2).snapshot(order(1, "0.11", price="1.2"))) == ["PositionReduced"]
    rows = row(1, "0.01", deal=8, closed=1, profit=D(1)), row(1, "0.29", deal=9, profit=D(2))
    [closed] = watch.later(60).reads_history(closed=rows)
    assert isinstance(closed, PositionClosed)
    [reduced] = watch.late
    assert isinstance(reduced, PositionReduced)
    assert (reduced.deal.profit, closed.deal.profit) == (1, 2)
    assert watch.book.rows_owed() == []


@BOTH
def test_rows_of_reductions_and_of_a_hidden_part_end_no_position(mode: Mode) -> None:
    """They are more than is known of it, and none of them is its end's."""
    watch = Watch(mode=mode)
    watch.starts()
    watch.snapshot(order(1, "0.30"))
    hidden = row(1, "0.12", deal=8, closed=1)
    assert watch.later(1).reads_history(order(1, "0.30", price="1.2"), closed=(hidden,)) == []
    watch.snapshot(order(1, "0.10", price="1.2"))
    [made] = watch.later(2).snapshot(order(1, "0.10", price="1.2"))
    assert isinstance(made, PositionReduced)
    part = row(1, "0.20", deal=9, closed=2, profit=D(2))
    assert watch.reads_history(closed=(hidden, part)) == []
    last = row(1, "0.10", deal=10, closed=3, profit=D(4))
    [closed] = watch.later(2).reads_history(closed=(hidden, part, last))
    assert isinstance(closed, PositionClosed)
    assert closed.deal.profit == 4
    assert watch.book.rows_owed() == []


@BOTH
def test_a_frame_that_closes_a_part_tells_of_no_growth(mode: Mode) -> None:
    watch = Watch(mode=mode)
    watch.starts()
    watch.sees(order(1, "0.30"))
    watch.snapshot(order(1, "0.26"))
    assert names(watch.later(1).snapshot(order(1, "0.26"))) == ["PositionReduced"]
    late = row(1, "0.02", deal=8, closed=1)
    assert watch.sees(order(1, "0.28"), closed=(late,)) == []
    assert watch.sees(order(1, "0.26")) == []
    assert watch.result.missing == ()
    assert watch.sees(order(1, "0.28"), closed=(late,)) == []
    grown = watch.later(1).sees(order(1, "0.28"))
    assert names(grown) == ["PositionIncreased"], "added while a part was closed"


def test_netting_a_trade_of_the_same_volume_is_not_taken_for_the_one_that_closed() -> None:
    """History is read seconds after the lists, and may still lag behind them then."""
    watch = netting()
    watch.sees(order(1))
    second = order(2, opened=1)
    assert watch.snapshot(second) == []
    assert watch.later(2).reads_history(second) == []
    events = watch.later(2).reads_history(second, closed=(row(1, deal=9, closed=1),))
    assert names(events) == ["PositionClosed", "PositionOpened"]


def test_netting_a_growth_from_before_an_order_was_placed_is_not_its_fill() -> None:
    """It filled after the position had closed, which history tells later."""
    watch = netting()
    watch.sees(order(1, "0.20"))
    placed = order(3, "0.10", OrderKind.BUY_LIMIT, opened=4)
    assert names(watch.later(5).sees(placed)) == ["PendingPlaced"]
    first = row(1, "0.30", deal=9, closed=3)
    assert names(watch.later(2).reads_history(closed=(first,))) == ["PositionClosed"]
    assert watch.result.missing == (3,)
    events = watch.reads_history(closed=(first, row(3, deal=10, opened=6, closed=7)))
    assert names(events) == ["PendingFilled", "PositionOpened", "PositionClosed"]


def test_netting_what_another_order_opened_is_not_the_fill_of_one_as_large() -> None:
    """That one had filled as well, and ended, unseen."""
    watch = netting()
    watch.sees(order(3, kind=OrderKind.BUY_LIMIT, opened=1))
    standing = order(4, opened=8)
    assert names(watch.later(9).snapshot(standing)) == ["PositionOpened"]
    assert watch.result.missing == (3,)
    events = watch.reads_history(standing, closed=(row(3, deal=10, opened=6, closed=7),))
    assert names(events) == ["PendingFilled", "PositionOpened", "PositionClosed"]


def test_mt4_the_close_of_a_rest_is_not_taken_for_an_earlier_part_as_large() -> None:
    """It was told as that one's row, and the trade stayed open for ever."""
    watch = mt4()
    watch.sees(order(1))
    watch.sees(order(2, "0.07", comment="from #1"), row_wait_s=0)
    assert watch.sees(closed=(row(4, "0.03", comment="from #3", closed=4),)) == []
    rows = (
        row(1, "0.03", comment="to #2", closed=1),
        row(2, "0.02", comment="to #3", closed=2),
        row(3, "0.02", comment="to #4", closed=3),
        row(4, "0.03", comment="from #3", closed=4),
    )
    watch.reads_history(closed=rows)
    assert names(watch.all)[-1] == "PositionClosed"
    assert watch.result.missing == ()


def test_mt4_a_rest_that_ended_before_history_told_of_it_ends_its_trade() -> None:
    """Without comments: history has the first part, and the rest, which ended as well, only later."""
    watch = mt4()
    watch.sees(order(1))
    first = row(1, "0.01", closed=1)
    assert watch.reads_history(closed=(first,)) == []
    watch.later(2).reads_history(closed=(first,))
    events = watch.later(2).reads_history(closed=(first, row(2, "0.09", closed=2)))
    assert names(events) == ["PositionClosed"]
    assert watch.result.missing == ()


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "without comments"])
def test_mt4_the_rest_of_an_order_that_filled_unseen_is_no_trade_of_its_own(is_named: bool) -> None:
    """It was told before history, and then once more as the order's fill."""
    watch = mt4()
    watch.sees(order(2, kind=OrderKind.BUY_LIMIT, price="1.09"))
    rest = order(5, "0.07", price="1.09", opened=1, comment="from #4" if is_named else "")
    middle = row(4, "0.02", price="1.09", opened=1, closed=3, comment="to #5" if is_named else "")
    assert watch.sees(rest, closed=(middle,)) == []
    assert watch.later(3).snapshot(rest) == []
    first = row(2, "0.01", price="1.09", opened=1, closed=2, comment="to #4" if is_named else "")
    events = watch.reads_history(rest, closed=(first, middle))
    assert {event.root for event in events} == {"2"}
    assert names(events).count("PositionOpened") == 1
    assert watch.result.missing == ()


def test_mt4_the_rest_of_a_ticket_that_no_look_showed_is_not_that_of_one_beside_it() -> None:
    """Both stood in one list; then the other one is gone."""
    watch = mt4()
    rest = order(3, "0.09", comment="from #2")
    watch.snapshot(order(1), rest)
    assert watch.snapshot(rest) == []
    watch.later(6).reads_history(rest)
    events = watch.reads_history(rest, closed=(row(2, "0.01", comment="to #3"), row(1)))
    assert ("PositionClosed", "1") in [(type(event).__name__, event.root) for event in events]


def test_mt4_the_rest_of_an_earlier_ticket_is_not_that_of_a_later_one() -> None:
    watch = mt4()
    watch.sees(order(5, "0.40"))
    left = order(7, "0.20", comment="from #3")
    watch.snapshot(left)
    watch.later(6).reads_history(left)
    assert watch.result.missing == (5,)
    assert watch.book.root_of(Ticket(7)) == "7"


def test_mt4_of_two_that_may_be_the_rest_none_is_told_before_history() -> None:
    """Without comments: one is a trade of its own, and which one the closed lots tell."""
    watch = mt4()
    watch.sees(order(1))
    both = order(2, "0.06"), order(3, "0.07")
    assert watch.snapshot(*both) == []
    assert watch.later(3).snapshot(*both) == []
    events = watch.reads_history(*both, closed=(row(1, "0.03"),))
    events += watch.later(2).snapshot(*both)
    told = [(type(event).__name__, event.root, event.ticket) for event in events]
    assert told == [("PositionReduced", "1", 3), ("PositionOpened", "2", 2)]


def test_mt4_what_led_to_the_first_ticket_that_was_seen_pays_for_no_later_part() -> None:
    """As large as one that was told without its row: each brings its own money."""
    watch = mt4().later(10)
    rest = order(2, "0.08", opened=5, comment="from #1")
    assert watch.snapshot(rest) == []
    assert names(watch.later(6).reads_history(rest)) == ["PositionOpened"]
    left = order(3, "0.06", opened=5, comment="from #2")
    assert names(watch.sees(left, row_wait_s=0)) == ["PositionReduced"]
    before = row(1, "0.02", opened=5, closed=6, comment="to #2", profit=D(1))
    part = row(2, "0.02", opened=5, closed=17, comment="to #3", profit=D(2))
    assert watch.reads_history(left, closed=(before,)) == []
    told = list(watch.late)
    assert watch.reads_history(left, closed=(before, part)) == []
    told += watch.late
    assert [event.deal.profit for event in told] == [1, 2]  # type: ignore[union-attr]


@pytest.mark.parametrize("is_over", [True, False])
def test_mt4_an_earlier_trade_that_ended_unseen_pays_for_no_part_of_its_twin(is_over: bool) -> None:
    """Of the same second, and as large as a part that was told without its row."""
    watch = mt4()
    watch.sees(order(5))
    left = order(6, "0.07", comment="from #5")
    assert names(watch.sees(left, row_wait_s=0)) == ["PositionReduced"]
    if is_over:
        assert names(watch.sees(closed=(row(6, "0.07", comment="from #5"),))) == ["PositionClosed"]
    events = watch.reads_history(*(() if is_over else (left,)), closed=(row(3, "0.03"),))
    told = [(type(event).__name__, event.root) for event in events]
    assert told == [("PositionOpened", "3"), ("PositionClosed", "3")]


def test_mt4_a_part_that_went_on_beside_a_twin_pays_for_none_of_it() -> None:
    """It took the twin's money, and its own trade was told anew from the rest on, as a smaller one."""
    watch = mt4()
    rows = (
        row(1, "0.01", comment="to #3", closed=1, profit=D(1)),
        row(3, "0.01", comment="to #6", closed=2, profit=D(3)),
        row(2, "0.01", comment="to #5", closed=2, profit=D(2)),
        row(6, "0.03", comment="to #7", closed=3, profit=D(6)),
    )
    watch.sees(order(2), order(3, "0.09", comment="from #1"), closed=rows[:1])
    left = order(5, "0.09", comment="from #2")
    watch.sees(left, order(6, "0.08", comment="from #3"), closed=rows[1:2])
    both = left, order(7, "0.05", comment="from #6")
    for _ in range(2):
        watch.later(2).snapshot(*both)
    watch.later(6).reads_history(*both, closed=rows)
    parts = [each for each in (*watch.all, *watch.all_late) if isinstance(each, PositionReduced)]
    told = {(each.root, each.deal.ticket): each.deal.profit for each in parts}
    assert told == {("1", 1): 1, ("2", 2): 2, ("1", 3): 3, ("1", 6): 6}
    assert watch.book.rows_owed() == []


def test_mt4_the_rest_of_a_close_by_whose_other_half_is_not_told_is_followed() -> None:
    """How much was closed nobody tells: the trade is told as what is left of it."""
    watch = mt4()
    left = order(3, "0.07", OrderKind.SELL, comment="from #2")
    first = row(2, "0.00", OrderKind.SELL, comment="close hedge by #9")
    [opened] = watch.reads_history(left, closed=(first,))
    assert (opened.root, watch.book.roots["2"].ticket) == ("2", 3)
    assert watch.reads_history(left, closed=(first,)) == []
    end = row(3, "0.07", OrderKind.SELL, comment="from #2", closed=70)
    assert names(watch.reads_history(closed=(first, end))) == ["PositionClosed"]


def test_mt4_a_trade_without_a_comment_is_no_rest_beside_one_that_has_it() -> None:
    """The rest of a close-by, whose rows do not name it, had ended in part before anybody saw it."""
    watch = mt4()
    watch.sees(order(1, "0.30"))
    own, left = order(4), order(5, "0.08", comment="from #3")
    by = row(1, "0.20", by_ticket=2), row(2, "0", OrderKind.SELL, comment="close hedge by #1")
    events = watch.reads_history(own, left, closed=(*by, row(3, "0.02", comment="to #5")))
    told = [(type(event).__name__, event.root, event.ticket) for event in events]
    assert told[:3] == [
        ("PositionReduced", "1", 3),
        ("PositionReduced", "1", 5),
        ("PositionOpened", "4", 4),
    ]


def test_mt4_a_trade_as_large_as_a_rest_that_has_ended_is_told() -> None:
    """Of the same second and price. The rest's row names the ticket that it was left of."""
    watch = mt4()
    watch.sees(order(1, "0.30"))
    own = order(4)
    by = row(1, "0.20", by_ticket=2), row(2, "0", OrderKind.SELL, comment="close hedge by #1")
    events = watch.reads_history(own, closed=(*by, row(3, comment="from #1")))
    told = [(type(event).__name__, event.root, event.ticket) for event in events]
    assert told[:3] == [
        ("PositionReduced", "1", 3),
        ("PositionClosed", "1", 3),
        ("PositionOpened", "4", 4),
    ]


@examples(450)
@given(STORIES)
def test_mt5_hedging(story: list[tuple[Action, str, int]]) -> None:
    maker = Broker(Platform.MT5, Mode.HEDGING, tags=True, seconds=0.01)
    watch = Watch()
    deliver(maker, watch, story)
    check_state(maker, watch)
    check_told(watch)
    check_roots(maker, watch)


@examples(450)
@given(STORIES)
def test_the_money_of_mt5_hedging(story: list[tuple[Action, str, int]]) -> None:
    maker = Broker(Platform.MT5, Mode.HEDGING, tags=True, seconds=0.01)
    watch = Watch()
    deliver(maker, watch, story)
    check_money(maker, watch)


@examples(450)
@given(st.lists(st.tuples(POSITIONS, FATES, st.integers(1, 3)), max_size=20))
def test_mt5_netting(story: list[tuple[Action, str, int]]) -> None:
    """Without pending orders: whether one became part of a position history does not say."""
    maker = Broker(Platform.MT5, Mode.NETTING, tags=True, seconds=0.01)
    watch = Watch(mode=Mode.NETTING)
    deliver(maker, watch, story)
    check_state(maker, watch)
    check_told(watch)
    check_roots(maker, watch)


@examples(450)
@given(st.lists(st.tuples(POSITIONS, FATES, st.integers(1, 3)), max_size=20))
def test_the_money_of_mt5_netting(story: list[tuple[Action, str, int]]) -> None:
    maker = Broker(Platform.MT5, Mode.NETTING, tags=True, seconds=0.01)
    watch = Watch(mode=Mode.NETTING)
    deliver(maker, watch, story)
    check_money(maker, watch)


class Merging(Broker):
    """MT5 netting: a pending order that fills becomes part of its symbol's position, or turns it."""

    def _pending(self, what: str, pending: OpenOrder, rows: list[ClosedOrder]) -> None:
        net = next((o for o in self.open.values() if not o.kind.is_pending), None)
        if what != "fill" or net is None:
            super()._pending(what, pending, rows)
            return
        del self.open[pending.ticket]
        if net.kind is OrderKind.BUY or pending.lots <= net.lots:
            price = str(pending.open_price)
            self._market(pending.symbol, OrderKind.BUY, pending.lots, price, rows)
            return
        self._close(net, net.lots, rows)
        self.open[pending.ticket] = replace(
            pending,
            kind=OrderKind.BUY,
            lots=pending.lots - net.lots,
            opened_at_broker=broker(self.at),
        )
        self.positions.add(pending.ticket)


MERGING = st.tuples(
    st.sampled_from(["buy", "sell", "part", "close", "pending", "pending", "fill", "fill", "fill"]),
    st.integers(0, 9),
    st.just("EURUSD"),
    st.sampled_from(LOTS),
    st.integers(1, 3),
)


@examples(450)
@given(st.lists(st.tuples(MERGING, FATES, st.integers(1, 3)), max_size=15))
def test_mt5_netting_with_orders_that_merge(story: list[tuple[Action, str, int]]) -> None:
    """What became of an order that is gone is not always to be known: it may stay missing."""
    maker = Merging(Platform.MT5, Mode.NETTING, tags=True, seconds=0.01)
    watch = Watch(mode=Mode.NETTING)
    deliver(maker, watch, story)
    for root in [root for root in watch.book.roots.values() if root.ticket in watch.result.missing]:
        assert root.is_pending
        watch.book.remove(root, None)
    watch.reads_history(*maker.open.values(), closed=tuple(maker.rows))
    check_state(maker, watch)
    check_told(watch)
    check_roots(maker, watch)
    check_money(maker, watch)


@examples(450)
@given(STORIES)
def test_mt4(story: list[tuple[Action, str, int]]) -> None:
    maker = Broker(Platform.MT4, Mode.HEDGING, tags=True, seconds=0)
    watch = Watch(Platform.MT4)
    deliver(maker, watch, story)
    check_state(maker, watch)
    check_told(watch)
    check_chains(maker, watch)


class ClosingBy(Broker):
    """MT4: two opposite positions close each other. The second one's row has no lots."""

    def act(self, action: Action) -> list[Frame]:
        which, standing = action[1], [o for o in self.open.values() if not o.kind.is_pending]
        pairs = [(a, b) for a in standing for b in standing if a.kind.side is not b.kind.side]
        pairs = [(a, b) for a, b in pairs if a.symbol == b.symbol]
        if action[0] != "by" or not pairs:
            return super().act(("sell", *action[1:]) if action[0] == "by" else action)
        self.at += self.seconds
        first, second = pairs[which % len(pairs)]
        closed = min(first.lots, second.lots)
        del self.open[first.ticket], self.open[second.ticket]
        for larger in (first, second):
            if larger.lots > closed:
                self.ticket += 1
                comment, left = f"from #{larger.ticket}", larger.lots - closed
                rest = replace(larger, ticket=Ticket(self.ticket), lots=left, comment=comment)
                self.open[self.ticket] = rest
                self.roots[self.ticket] = self.roots[larger.ticket]
        one, other = self._row(first, closed), self._row(second, D(0))
        comment = f"close hedge by #{first.ticket}"
        rows = (
            replace(one, comment="", by_ticket=second.ticket),
            replace(other, comment=comment, profit=D(0)),
        )
        self.rows += rows
        return [Frame(tuple(self.open.values()), rows)]


BY = st.tuples(
    st.sampled_from(["buy", "sell", "sell", "part", "close", "pending", "fill", "by", "by"]),
    st.integers(0, 9),
    st.just("EURUSD"),
    st.sampled_from(LOTS),
    st.integers(1, 3),
)


@examples(450)
@given(st.lists(st.tuples(BY, FATES, st.integers(1, 3)), max_size=20))
def test_mt4_close_bys(story: list[tuple[Action, str, int]]) -> None:
    maker = ClosingBy(Platform.MT4, Mode.HEDGING, tags=True, seconds=0)
    watch = Watch(Platform.MT4)
    deliver(maker, watch, story)
    check_state(maker, watch)
    check_told(watch)
    check_chains(maker, watch)


@examples(450)
@given(STORIES)
def test_mt4_without_comments(story: list[tuple[Action, str, int]]) -> None:
    """Of several seconds: which of two equal trades a rest is left of, nothing tells then."""
    maker = Broker(Platform.MT4, Mode.HEDGING, tags=False, seconds=3)
    watch = Watch(Platform.MT4)
    deliver(maker, watch, story)
    check_state(maker, watch)
    check_told(watch)
    check_chains(maker, watch)


def test_the_rest_of_a_chain_whose_middle_history_still_lacks_is_no_trade_of_its_own() -> None:
    """A frame told the newest piece, with the same shape; the one before it is not in history yet."""
    watch = mt4()
    watch.sees(order(101, "0.10"))
    rest = order(104, "0.07", comment="from #103")
    first = row(101, "0.01", comment="to #102")
    middle = row(102, "0.01", comment="to #103")
    last = row(103, "0.01", comment="to #104")
    watch.sees(rest, closed=(last,))
    watch.later(1).reads_history(rest, closed=(first,))
    watch.later(6).reads_history(rest, closed=(first, middle, last))
    assert names(watch.all) == ["PositionOpened", *["PositionReduced"] * 3]
    assert watch.book.roots[RootId("101")].open_lots == D("0.07")


@examples(450)
@given(STORIES)
def test_the_money_of_mt4(story: list[tuple[Action, str, int]]) -> None:
    maker = Broker(Platform.MT4, Mode.HEDGING, tags=True, seconds=0)
    watch = Watch(Platform.MT4)
    deliver(maker, watch, story)
    check_money(maker, watch)
