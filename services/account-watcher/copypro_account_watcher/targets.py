"""How much of a leg should be left when the master has closed part: trading rules §2.5.

Cumulative: the target follows from the leg's original volume and the master's fraction, never from
the pieces closed so far, so that rounding cannot add up to dust that stays open for ever.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from copypro.options import SmallRest
from copypro.trading import SymbolSpec
from copypro.values import Lots


def floor_to_step(lots: Lots, step: Lots) -> Lots:
    """The largest multiple of the step that is not above `lots`; exact, since both are decimals."""
    return (lots / step).to_integral_value(ROUND_FLOOR) * step


def target_lots(
    original: Lots, fraction: Decimal, spec: SymbolSpec, has_stop: bool, small_rest: SmallRest
) -> Lots:
    """What should be left: original × fraction, floored to the step; 0 only for a fraction of 0 or
    where a rest below the minimum is closed as a whole (`small_rest`: AUTO keeps the minimum if
    the leg has a stop, since a rest without one is not worth its risk).
    """
    if fraction <= 0:
        return Decimal(0)
    target = floor_to_step(original * min(fraction, Decimal(1)), spec.lot_step)
    if target >= spec.lot_min:
        return target
    keeps = small_rest is SmallRest.KEEP_MIN or (small_rest is SmallRest.AUTO and has_stop)
    return min(spec.lot_min, original) if keeps else Decimal(0)


def to_close(current: Lots, target: Lots, spec: SymbolSpec) -> Lots:
    """The piece to close now: never more than is open, never a piece the broker refuses.

    A piece below the minimum waits for the next partial or for the full close, and so does one
    that would leave a rest that could not be closed later. 0: nothing now.
    """
    piece = current - target
    if piece <= 0:
        return Decimal(0)
    if target == 0:
        return current
    piece = floor_to_step(piece, spec.lot_step)
    return piece if piece >= spec.lot_min else Decimal(0)
