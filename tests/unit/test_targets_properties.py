"""Whatever a master closes in whatever pieces: never over-closed, no dust, nothing left at the end."""

from __future__ import annotations

from decimal import Decimal

from copypro.options import SmallRest
from copypro.trading import SymbolSpec
from copypro_account_watcher.planned.targets import (
    floor_to_step,
    smallest_lots,
    target_lots,
    to_close,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.unit.slave_builders import D, spec

STEPS = ("0.01", "0.001", "0.02", "0.03", "0.05", "0.1", "0.25", "1")


@st.composite
def symbols(draw: st.DrawFn) -> SymbolSpec:
    step = D(draw(st.sampled_from(STEPS)))
    minimum = step * draw(st.integers(1, 12))
    return spec(lot=(str(minimum), "1000", str(step)))


@st.composite
def partials(draw: st.DrawFn) -> list[Decimal]:
    """The fractions that a master's own partial closes lead to, ending flat."""
    opened = draw(st.integers(1, 300))
    rests = sorted(draw(st.lists(st.integers(0, opened - 1), max_size=8)), reverse=True)
    return [Decimal(rest) / opened for rest in rests] + [D(0)]


@given(symbols(), st.integers(0, 500), partials(), st.booleans(), st.sampled_from(SmallRest))
@examples(600)
def test_any_sequence_of_partial_closes(
    symbol: SymbolSpec, above: int, fractions: list[Decimal], has_stop: bool, rule: SmallRest
) -> None:
    original = current = smallest_lots(symbol) + above * symbol.lot_step
    for fraction in fractions:
        target = target_lots(original, fraction, symbol, has_stop, rule)
        piece = to_close(current, target, symbol)
        assert 0 <= piece <= current
        if piece not in (0, current):
            assert piece >= symbol.lot_min
            assert piece % symbol.lot_step == 0
        current -= piece
        # Never under what the master holds in proportion, unless the rest could not stand alone.
        assert current >= floor_to_step(original * fraction, symbol.lot_step) or current == 0
        assert current == 0 or current >= symbol.lot_min
        # What waits is less than one piece that a broker would take.
        assert current - target < max(symbol.lot_min, symbol.lot_step)
    assert current == 0


@given(symbols(), st.integers(1, 500), partials(), st.booleans(), st.sampled_from(SmallRest))
@examples(300)
def test_the_path_does_not_matter_only_where_the_master_stands(
    symbol: SymbolSpec, above: int, fractions: list[Decimal], has_stop: bool, rule: SmallRest
) -> None:
    """Two partials met at once, as after an hour without a connection, end where both would."""
    original = smallest_lots(symbol) + above * symbol.lot_step
    stepwise = original
    for fraction in fractions[:-1]:
        target = target_lots(original, fraction, symbol, has_stop, rule)
        stepwise -= to_close(stepwise, target, symbol)
    if len(fractions) > 1:
        last = target_lots(original, fractions[-2], symbol, has_stop, rule)
        at_once = original - to_close(original, last, symbol)
        assert abs(stepwise - at_once) < max(symbol.lot_min, symbol.lot_step)


@given(symbols(), st.decimals("0", "1000", places=6))
@examples(300)
def test_flooring_gives_a_multiple_of_the_step_that_is_not_above(
    symbol: SymbolSpec, lots: Decimal
) -> None:
    floored = floor_to_step(lots, symbol.lot_step)
    assert floored % symbol.lot_step == 0
    assert 0 <= lots - floored < symbol.lot_step
