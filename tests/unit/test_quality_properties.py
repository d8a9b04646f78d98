"""Copy quality: order does not matter, and the groups' sums are the total."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from copypro.quality import GROUPS, Copy, Outcome, Tally, grouped, shown, tallied
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
    assert shown(tallied(other)) == shown(tallied(given_copies))


@settings(deadline=None)
@given(copies())
def test_the_groups_make_the_total(given_copies: list[Copy]) -> None:
    for by in GROUPS:
        groups = grouped(given_copies, by)
        assert sum(group.decided for group in groups.values()) == len(given_copies)
        together: Counter[tuple[str, ...]] = Counter()
        for group in groups.values():
            together.update(sums(group))
        assert together == sums(tallied(given_copies))


def sums(tally: Tally) -> Counter[tuple[str, ...]]:
    """All that is counted or added up, by what it is and of what."""
    found: Counter[Any] = Counter()
    for outcome, copies in tally.outcomes.items():
        found["outcome", outcome] = copies
    for code, trades in tally.refused.items():
        found["refused", code] = trades
    for leg, times in tally.legs.items():
        found["times", leg], found["us", leg] = times.count, times.total_us
    money = {**tally.costs, "profit": tally.profit, **tally.missed}
    for name, by_currency in money.items():
        for currency, one in by_currency.sums.items():
            found["money", name, currency], found["of", name, currency] = one.total, one.count
            for why, copies in one.without.items():
                found["without", name, currency, why] = copies
    found["points"], found["of points"] = tally.slippage_points.total, tally.slippage_points.count
    return found
