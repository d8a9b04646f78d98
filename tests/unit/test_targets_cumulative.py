"""Partial closes: the table of the rule book, and that any sequence leaves no dust."""

from __future__ import annotations

from decimal import Decimal

from copypro.options import SmallRest
from copypro_account_watcher.targets import target_lots, to_close
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_sizing import spec

D = Decimal


def test_the_seven_hundredths_table() -> None:
    current, closed = D("0.07"), []
    for fraction in ("0.75", "0.50", "0.25", "0"):
        target = target_lots(D("0.07"), D(fraction), spec(), True, SmallRest.AUTO)
        piece = to_close(current, target, spec())
        closed.append(piece)
        current -= piece
    assert closed == [D("0.02"), D("0.02"), D("0.02"), D("0.01")]
    assert current == 0


def test_a_rest_below_the_minimum_keeps_it_only_with_a_stop() -> None:
    for has_stop, rest, wanted in (
        (True, SmallRest.AUTO, "0.01"),
        (False, SmallRest.AUTO, "0"),
        (False, SmallRest.KEEP_MIN, "0.01"),
        (True, SmallRest.CLOSE_ALL, "0"),
    ):
        assert target_lots(D("0.02"), D("0.1"), spec(), has_stop, rest) == D(wanted)


def test_a_piece_below_the_minimum_waits() -> None:
    big_step = spec(lot_min=D("0.1"), lot_step=D("0.1"))
    assert to_close(D("0.3"), D("0.25"), big_step) == 0


@given(
    original=st.integers(1, 500),
    fractions=st.lists(st.decimals("0", "1", places=2), max_size=8),
    has_stop=st.booleans(),
    rest=st.sampled_from(list(SmallRest)),
)
@settings(max_examples=200)
def test_never_over_closed_and_nothing_left_at_the_end(
    original: int, fractions: list[Decimal], has_stop: bool, rest: SmallRest
) -> None:
    opened = D(original) / 100
    current = opened
    for fraction in [*sorted(fractions, reverse=True), D(0)]:
        target = target_lots(opened, fraction, spec(), has_stop, rest)
        piece = to_close(current, target, spec())
        assert 0 <= piece <= current
        current -= piece
        assert current == 0 or current >= D("0.01")
    assert current == 0
