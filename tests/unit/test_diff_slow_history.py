"""Lists come long before history does, and history tells the newest closes last: whatever the order, in
the end the same as if all had been seen.
"""

from __future__ import annotations

import pytest
from copypro.messages import PositionReduced
from copypro.values import Mode, OrderKind

from tests.unit.diff_builders import Watch, mt4, names, netting, order, row

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
