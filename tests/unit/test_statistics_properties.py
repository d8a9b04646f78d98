"""What holds for any history: found by Hypothesis, or it does not hold."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
from copypro.statistics import (
    Absent,
    Entry,
    Operation,
    Record,
    Report,
    Statistics,
    Trade,
    in_order,
    merged,
)
from copypro.values import Side
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2024, 1, 1)
cents = st.integers(-100_000, 100_000).map(lambda value: Decimal(value) / 100)


@st.composite
def records(draw: Any, most: int = 40) -> list[Record]:
    """Any order, many at the same time; tickets are unique, as MetaTrader's are."""
    found: list[Record] = []
    for ticket in range(draw(st.integers(0, most))):
        at = START + timedelta(minutes=draw(st.integers(0, 60)) * 60)
        kind = draw(st.sampled_from("ttttttoe"))
        if kind == "o":
            found.append(Operation(closed_at=at, ticket=ticket, amount=draw(cents)))
        elif kind == "e":
            found.append(Entry(closed_at=at, ticket=ticket, amount=-abs(draw(cents))))
        else:
            found.append(
                Trade(
                    closed_at=at,
                    ticket=ticket,
                    side=draw(st.sampled_from(Side)),
                    symbol=draw(st.sampled_from(("EURUSD", "USDJPY"))),
                    lots=Decimal(draw(st.integers(1, 100))) / 100,
                    profit=draw(cents),
                    swap=draw(cents) / 100,
                    opened_at=at - timedelta(minutes=draw(st.integers(0, 500))),
                    open_price=Decimal("1.10000"),
                    close_price=Decimal("1.10000") + Decimal(draw(st.integers(-900, 900))) / 100000,
                )
            )
    return draw(st.permutations(found))


def report_of(records: list[Record], before: Decimal = Decimal(10_000)) -> Report:
    statistics = Statistics(before)
    statistics.feed(records)
    return statistics.report()


@given(records(), st.randoms(use_true_random=False))
def test_the_order_in_which_equal_times_arrive_does_not_matter(
    some: list[Record], random: Any
) -> None:
    other = list(some)
    random.shuffle(other)
    assert report_of(in_order(some)) == report_of(in_order(other))


@given(records(), st.integers(0, 40))
def test_a_history_split_in_two_and_merged_gives_the_same(some: list[Record], at: int) -> None:
    """Wherever it is cut: by time, or every record into one of two files."""
    whole = in_order(some)
    assert report_of(list(merged(whole[:at], whole[at:]))) == report_of(whole)
    assert report_of(list(merged(whole[::2], whole[1::2]))) == report_of(whole)


@given(records(), st.lists(st.integers(0, 40), max_size=5))
def test_blocks_of_any_size_give_the_same(some: list[Record], cuts: list[int]) -> None:
    whole = in_order(some)
    statistics = Statistics(Decimal(10_000))
    edges = [0, *sorted(cuts), len(whole)]
    for first, end in pairwise(edges):
        statistics.feed(whole[first:end])
        statistics.report()  # asking in between changes nothing
    assert statistics.report() == report_of(whole)


MONEY = (
    "gross_profit", "gross_loss", "net_profit", "expected_payoff", "average_win", "average_loss",
    "deviation", "lots", "swaps", "deposits", "withdrawals", "balance", "lr_standard_error",
)  # fmt: skip
RATIOS = (
    "trades", "wins", "longs_won", "profit_factor", "payoff_ratio", "recovery_factor",
    "sharpe_ratio", "ahpr", "z_score", "lr_correlation", "growth", "average_length_s", "symbols",
)  # fmt: skip


@given(records(), st.integers(2, 50))
def test_scaling_lots_scales_money_and_no_ratio(some: list[Record], factor: int) -> None:
    whole = in_order(some)
    larger = [scaled(record, factor) for record in whole]
    one, other = report_of(whole), report_of(larger, Decimal(10_000) * factor)
    for name in MONEY:
        assert close(getattr(one, name), getattr(other, name), factor), name
    for name in RATIOS:
        assert close(getattr(one, name), getattr(other, name)), name
    assert close(one.drawdown.maximal, other.drawdown.maximal, factor)
    assert close(one.drawdown.relative_percent, other.drawdown.relative_percent)
    assert one.pips == other.pips
    assert one.winning.longest.trades == other.winning.longest.trades


def scaled(record: Record, factor: int) -> Record:
    names = ("lots", "profit", "swap", "commission", "fee", "amount")
    changed = {n: getattr(record, n) * factor for n in names if hasattr(record, n)}
    return msgspec.structs.replace(record, **changed)


def close(one: Any, other: Any, factor: int = 1) -> bool:
    if isinstance(one, Absent) or isinstance(other, Absent) or not isinstance(one, Decimal):
        return bool(one == other)
    return abs(one * factor - other) <= Decimal("1e-12") * max(1, abs(other))


@given(records())
def test_figures_hold_together(some: list[Record]) -> None:
    found = report_of(in_order(some))
    assert found.wins + found.losses == found.trades == found.longs + found.shorts
    assert found.net_profit == found.gross_profit + found.gross_loss
    operations = found.deposits + found.withdrawals
    assert found.balance == 10_000 + operations + found.net_profit
    assert found.drawdown.maximal >= found.drawdown.relative
    assert found.drawdown.maximal >= found.drawdown.absolute >= 0
    assert sum(found.symbols.values()) == found.trades
    assert found.winning.longest.trades <= found.wins
    assert sum((bar.results for bar in found.bars), Decimal(0)) == found.net_profit
