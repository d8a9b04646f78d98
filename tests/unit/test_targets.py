"""Partial closes, by tables of worked examples."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copypro.options import SmallRest
from copypro.trading import SymbolSpec
from copypro_account_watcher.planned.targets import (
    floor_to_step,
    smallest_lots,
    target_lots,
    to_close,
)

from tests.unit.slave_builders import D, spec

AUTO, KEEP, CLOSE = SmallRest.AUTO, SmallRest.KEEP_MIN, SmallRest.CLOSE_ALL


def follow(
    original: str, fractions: list[Decimal], symbol: SymbolSpec, *, has_stop: bool = True
) -> list[Decimal]:
    """The pieces closed one after the other."""
    current, pieces = D(original), []
    for fraction in fractions:
        target = target_lots(D(original), fraction, symbol, has_stop, AUTO)
        pieces.append(to_close(current, target, symbol))
        current -= pieces[-1]
    return pieces


def test_a_leg_of_0_07_lots_ends_flat_where_flooring_each_piece_would_leave_0_03() -> None:
    quarters = [D("0.75"), D("0.50"), D("0.25"), D(0)]
    assert [target_lots(D("0.07"), f, spec(), True, AUTO) for f in quarters] == [
        D("0.05"),
        D("0.03"),
        D("0.01"),
        D(0),
    ]
    assert follow("0.07", quarters, spec()) == [D("0.02"), D("0.02"), D("0.02"), D("0.01")]


@pytest.mark.parametrize(
    ("lots", "step", "floored"),
    [
        ("0.29", "0.01", "0.29"),
        ("0.07", "0.01", "0.07"),
        ("0.3", "0.1", "0.3"),
        ("0.57", "0.01", "0.57"),
        ("1.15", "0.05", "1.15"),
        ("0.74", "0.25", "0.50"),
        ("0.019", "0.01", "0.01"),
        ("0.009", "0.01", "0.00"),
        ("7.99", "1", "7"),
    ],
)
def test_flooring_falls_into_no_binary_trap(lots: str, step: str, floored: str) -> None:
    assert floor_to_step(D(lots), D(step)) == D(floored)


@pytest.mark.parametrize("thirds", ["0.03", "0.06", "0.3", "3", "0.21"])
def test_a_third_of_what_divides_by_three_is_that_third_and_not_a_step_less(thirds: str) -> None:
    fraction = D("0.01") / D("0.03")
    assert target_lots(D(thirds), fraction, spec(), False, AUTO) == D(thirds) / 3


def test_the_tolerance_is_far_smaller_than_any_volume_a_rule_could_mean() -> None:
    assert floor_to_step(D("0.0199999"), D("0.01")) == D("0.01")


def test_a_rest_below_the_minimum_is_kept_at_the_minimum_if_the_leg_has_a_stop() -> None:
    assert target_lots(D("0.02"), D("0.25"), spec(), True, AUTO) == D("0.01")


def test_a_rest_below_the_minimum_is_closed_if_the_leg_has_no_stop() -> None:
    assert target_lots(D("0.02"), D("0.25"), spec(), False, AUTO) == 0


@pytest.mark.parametrize(("rule", "left"), [(KEEP, "0.01"), (CLOSE, "0")])
@pytest.mark.parametrize("has_stop", [True, False])
def test_a_small_rest_can_be_decided_whatever_the_stop(
    rule: SmallRest, left: str, has_stop: bool
) -> None:
    assert target_lots(D("0.02"), D("0.25"), spec(), has_stop, rule) == D(left)


def test_a_master_that_is_flat_leaves_nothing_whatever_the_rule_for_small_rests() -> None:
    for rule in SmallRest:
        assert target_lots(D("0.07"), D(0), spec(), True, rule) == 0


def test_a_fraction_of_one_or_above_asks_for_nothing_less() -> None:
    for fraction in (D(1), D("1.5")):
        assert target_lots(D("0.07"), fraction, spec(), True, AUTO) == D("0.07")


def test_a_leg_that_is_off_the_step_is_whole_as_it_was_filled() -> None:
    assert target_lots(D("0.105"), D(1), spec(), True, AUTO) == D("0.105")


def test_a_leg_filled_below_the_minimum_is_kept_as_it_is_never_grown() -> None:
    """An immediate-or-cancel order may fill less than any order may ask for."""
    symbol = spec(lot=("0.10", "100", "0.01"))
    assert target_lots(D("0.04"), D("0.5"), symbol, True, AUTO) == D("0.04")
    assert to_close(D("0.04"), D("0.04"), symbol) == 0
    assert to_close(D("0.04"), D(0), symbol) == D("0.04")


def test_a_piece_below_the_minimum_waits_for_the_next_partial() -> None:
    symbol = spec(lot=("0.10", "100", "0.01"))
    fractions = [D("0.9"), D("0.8"), D("0.7"), D(0)]
    assert follow("0.50", fractions, symbol) == [D(0), D("0.10"), D(0), D("0.40")]


def test_steps_that_are_no_power_of_ten() -> None:
    symbol = spec(lot=("0.25", "100", "0.25"))
    pieces = follow("1.75", [D("0.75"), D("0.5"), D("0.25"), D(0)], symbol)
    assert pieces == [D("0.50"), D("0.50"), D("0.50"), D("0.25")]


@pytest.mark.parametrize(
    ("minimum", "step", "smallest"),
    [
        ("0.01", "0.01", "0.01"),
        ("0.05", "0.05", "0.05"),
        ("0.03", "0.02", "0.04"),
        ("0.01", "0.1", "0.1"),
        ("0.3", "0.1", "0.3"),
        ("0", "0.01", "0.01"),
        ("0.05", "0", "0.05"),
    ],
)
def test_the_smallest_volume_is_on_the_step_and_not_below_the_minimum(
    minimum: str, step: str, smallest: str
) -> None:
    assert smallest_lots(spec(lot=(minimum, "100", step))) == D(smallest)


def test_never_more_is_closed_than_is_open() -> None:
    assert to_close(D("0.02"), D("0.05"), spec()) == 0
    assert to_close(D("0.02"), D(0), spec()) == D("0.02")
    assert to_close(D(0), D(0), spec()) == 0


def test_a_leg_that_its_owner_reduced_below_the_target_is_left_alone() -> None:
    target = target_lots(D("1.00"), D("0.5"), spec(), True, AUTO)
    assert to_close(D("0.30"), target, spec()) == 0
    assert to_close(D("0.80"), target, spec()) == D("0.30")


def test_a_symbol_without_a_step_blocks_no_close() -> None:
    symbol = spec(lot=("0", "0", "0"))
    assert to_close(D("0.5"), D("0.2"), symbol) == D("0.3")
    assert to_close(D("0.5"), D(0), symbol) == D("0.5")
