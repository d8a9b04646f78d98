"""Copy quality: order does not matter, parts merge, and the groups' sums are the total."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from copypro.quality import GROUPS, Copy, Outcome, grouped, merged, tallied
from copypro.statistics.facts import Absent
from hypothesis import given, settings
from hypothesis import strategies as st

START = datetime(2026, 1, 1)
cents = st.integers(-1_000_000, 1_000_000).map(lambda value: Decimal(value) / 100)
figures = st.one_of(cents, st.sampled_from([Absent("it is still open"), Absent("not recorded")]))
MONEY = ("slippage_points", "slippage", "spread", "commission", "swap", "profit")


@st.composite
def copies(draw: Any) -> list[Copy]:
    return [draw(one()) for _ in range(draw(st.integers(0, 7)))]


@st.composite
def one(draw: Any) -> Copy:
    outcome = draw(st.sampled_from(Outcome))
    return Copy(
        copier=draw(st.sampled_from(("a", "b"))),
        slave=draw(st.sampled_from(("s1", "s2"))),
        broker=draw(st.sampled_from(("Alpha", "Beta"))),
        symbol=draw(st.sampled_from(("EURUSD", "XAUUSD"))),
        seen_at_utc=START + timedelta(hours=draw(st.integers(0, 2_000))),
        currency=draw(st.sampled_from(("USD", "EUR"))),
        master_currency="USD",
        outcome=outcome,
        code=draw(st.sampled_from(("SLIPPAGE", "PAUSED"))) if outcome is Outcome.REFUSED else "",
        legs_us=draw(st.dictionaries(st.sampled_from(("seenToPlanned", "sentToFilled")),
                                     st.integers(0, 70_000_000))),
        missed=draw(figures),
        **{name: draw(figures) for name in MONEY},
    )  # fmt: skip


@settings(deadline=None)
@given(copies(), st.randoms(use_true_random=False))
def test_their_order_does_not_matter(given_copies: list[Copy], chance: Any) -> None:
    other = list(given_copies)
    chance.shuffle(other)
    assert tallied(other).state == tallied(given_copies).state


@settings(deadline=None)
@given(copies(), st.integers(0, 7))
def test_split_in_two_and_merged_they_are_the_same(given_copies: list[Copy], at: int) -> None:
    parts = [tallied(given_copies[:at]), tallied(given_copies[at:])]
    assert merged(parts).state == tallied(given_copies).state


@settings(deadline=None)
@given(copies())
def test_the_groups_make_the_total(given_copies: list[Copy]) -> None:
    for by in GROUPS:
        groups = grouped(given_copies, by)
        assert sum(map(len, groups.values())) == len(given_copies)
        assert merged(map(tallied, groups.values())).state == tallied(given_copies).state
