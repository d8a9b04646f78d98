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
