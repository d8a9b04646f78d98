"""Masters trade, users change, stop and start their copiers, brokers do as little as brokers may: at rest a copy
is no more than its master's trade, nothing stands that nobody follows, and no alert is untrue.
"""

from __future__ import annotations

from typing import Any

import pytest
from copypro.options import PendingMode, SmallRest
from copypro_standalone.backtest.virtual_time import run
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.unit.pair_story import ACTS, OUTCOMES, TRADES, PairBroker, PairMaster
from tests.unit.slave_story import KINDS, SHOWS, lives

SECONDS = st.sampled_from((0.0, 0.3, 1.0, 5.0, 12.0, 60.0))
FIRST = st.tuples(st.sampled_from(("begin", "place")), SECONDS)
STEPS = st.tuples(st.sampled_from((*TRADES, *ACTS)), SECONDS)
OPTIONS = st.fixed_dictionaries(
    {
        "pending_mode": st.sampled_from((PendingMode.MIRROR, PendingMode.MARKET_ON_FILL)),
        "small_rest": st.sampled_from(SmallRest),
        "trade_delay_ms": st.sampled_from((0, 3000)),
    }
)


@given(
    st.sampled_from(tuple(KINDS)),
    st.sampled_from(("1", "0.35", "2")),
    OPTIONS,
    FIRST,
    st.lists(STEPS, min_size=2, max_size=8),
    st.lists(st.sampled_from(OUTCOMES), max_size=5),
    st.lists(st.sampled_from(SHOWS), max_size=6),
)
@settings(examples(40), derandomize=True)
def test_whatever_is_done_a_copy_is_no_more_than_its_masters_trade(
    kind: str,
    multiplier: str,
    options: dict[str, Any],
    first: tuple[str, float],
    steps: list[tuple[str, float]],
    outcomes: list[str],
    shows: list[str],
) -> None:
    broker = PairBroker(kind, outcomes, shows)
    run(lives(broker, [first, *steps], PairMaster(multiplier, **options)))


@pytest.mark.parametrize("seconds", [0.0, 1.0, 12.0])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_added_to_a_copy_that_was_too_small_to_be_reduced_is_followed(
    kind: str, seconds: float
) -> None:
    """On netting it is another position. It was taken for the former one, whose end no look had told yet,
    and closed as one too many (DUPLICATE).
    """
    broker = PairBroker(kind, [], [])
    steps = [("begin", 60.0), ("reduce twice", seconds), ("open", 60.0)]
    assert run(lives(broker, steps, PairMaster("0.35", small_rest=SmallRest.AUTO))) == []
    *_, added = broker.ever.values()
    assert broker.rows[-1].lots == added


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_by_a_close_that_nobody_answered_before_any_list_is_followed(
    kind: str,
) -> None:
    """On netting its row was taken for another close, as no clock told that it was of before the first
    list: what stood was followed no more.
    """
    broker = PairBroker(kind, ["full", "restart, filled"], [])
    steps = [("begin", 1.0), ("reduce", 60.0)]
    codes = run(lives(broker, steps, PairMaster("0.35", small_rest=SmallRest.KEEP_MIN)))
    assert codes == ["UNRESOLVED"]
    assert broker.held == 0


def test_the_rest_of_an_order_is_not_what_another_leg_of_its_position_closes() -> None:
    """On netting, of an order that filled in part and whose part was closed with the rest of the copy."""
    options = {"pending_mode": PendingMode.MIRROR, "small_rest": SmallRest.AUTO}
    shows = ["stale", "after", "lists", "after", "after", "before"]
    broker = PairBroker("MT5 netting", ["part"], shows)
    steps = [("place", 62.3), ("fill", 1.0), ("open", 1.0), ("stop", 5.0)]
    assert run(lives(broker, steps, PairMaster("2", trade_delay_ms=3000, **options))) == []


def test_all_of_a_copy_is_closed_whatever_a_late_frame_shows_of_it() -> None:
    """On netting one of before the last add: no more than it showed was closed, and the rest stood on."""
    broker = PairBroker("MT5 netting", [], ["lists", "stale"])
    steps = [("begin", 12.0), ("reduce", 1.0), ("open", 2.0), ("close", 60.0)]
    assert run(lives(broker, steps, PairMaster("1", small_rest=SmallRest.AUTO))) == []
    assert broker.held == 0
