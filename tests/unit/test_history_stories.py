"""What an account's history shows, whatever happens to the account: each closing and payment once, with the
broker's lots, prices and profit.
"""

from __future__ import annotations

import pytest
from copypro_standalone.backtest.virtual_time import run
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.unit.history_story import ACCOUNTS, ACTS, SHOWS, HistoryBroker, lives
from tests.unit.slave_story import KINDS

SECONDS = st.sampled_from((0.0, 0.3, 2.0, 12.0, 60.0))
OFTEN = ("open", "close", "close part", *ACCOUNTS)
STEPS = st.tuples(st.sampled_from((*OFTEN, *ACTS)), SECONDS)


def told(kind: str, steps: list[tuple[str, float]], shows: list[str], *, is_dated: bool) -> None:
    async def story() -> None:
        await lives(HistoryBroker(kind, shows, is_dated=is_dated), steps)

    run(story())


@given(
    st.sampled_from(tuple(KINDS)),
    st.lists(STEPS, max_size=8),
    st.lists(st.sampled_from(SHOWS), max_size=6),
)
@settings(examples(60), derandomize=True)
def test_what_closed_and_what_was_paid_is_told_once(
    kind: str, steps: list[tuple[str, float]], shows: list[str]
) -> None:
    told(kind, [("open", 0.3), *steps], shows, is_dated=True)


def test_what_a_position_cost_to_open_counts_once_when_it_closes_after_two_removals() -> None:
    steps = [("open", 12.0), ("again", 0.0), ("remove", 0.0), ("close", 0.0)]
    told("MT5 hedging", steps, [], is_dated=False)


@pytest.mark.parametrize("history", ["history away", "history cut", "history empty"])
@pytest.mark.parametrize("is_dated", [True, False])
@pytest.mark.parametrize("kind", ["MT4", "MT5 hedging"])
def test_what_was_told_without_its_row_has_its_figures_after_a_removal(
    kind: str, history: str, *, is_dated: bool
) -> None:
    """Its profit was 0 for good."""
    steps = [("open", 20.0), (history, 0.3), ("close part", 20.0), ("again", 2.0)]
    told(kind, steps, [], is_dated=is_dated)


def test_on_netting_what_closed_after_a_removal_is_told_although_the_clock_was_put_back() -> None:
    acts = ("open", "close", "open", "clock back", "remove", "close", "add")
    told("MT5 netting", [(act, 12.0) for act in acts], [], is_dated=True)
