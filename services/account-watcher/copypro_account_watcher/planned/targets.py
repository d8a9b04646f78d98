"""How much of a leg should be left when the master has closed part.

Cumulative: the target follows from the leg's original volume and the master's fraction, never from
the pieces closed so far, so that rounding cannot add up to dust that stays open for ever.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from copypro.options import SmallRest
from copypro.trading import SymbolSpec
from copypro.values import Lots

STEP_TOLERANCE = Decimal("1e-9")
"""Of a step. A fraction of 1/3 has no last digit: 0.03 × 0.333… is one hair below 0.01, and means it."""


def floor_to_step(lots: Lots, step: Lots) -> Lots:
    """The largest multiple of the step that is not above `lots`, a hair (1e-9 of a step) forgiven.

    Exact otherwise: both are decimals, so 0.29 / 0.01 is 29. Without a step `lots` as they are.
    """
    if step <= 0:
        return lots
    return (lots / step + STEP_TOLERANCE).to_integral_value(ROUND_FLOOR) * step


def smallest_lots(spec: SymbolSpec) -> Lots:
    """The smallest volume that is on the step and not below the minimum.

    Brokers exist whose minimum is no multiple of their step; what is valid by both is valid.
    """
    if spec.lot_step <= 0:
        return spec.lot_min
    steps = (spec.lot_min / spec.lot_step - STEP_TOLERANCE).to_integral_value(ROUND_CEILING)
    return max(steps, Decimal(1)) * spec.lot_step


def target_lots(
    original: Lots, fraction: Decimal, spec: SymbolSpec, has_stop: bool, small_rest: SmallRest
) -> Lots:
    """What should be left: original × fraction, floored to the step.

    `original` is the volume that was filled, `fraction` the master's open lots by all that it ever
    opened. A rest that would be below the minimum is kept at the minimum or closed as a
    whole: AUTO keeps it if the leg has a stop, since a rest without one is not worth its risk.
    """
    if fraction <= 0:
        return Decimal(0)
    if fraction >= 1:
        return original
    target = floor_to_step(original * fraction, spec.lot_step)
    lowest = smallest_lots(spec)
    if target >= lowest:
        return target
    keeps = small_rest is SmallRest.KEEP_MIN or (small_rest is SmallRest.AUTO and has_stop)
    return min(lowest, original) if keeps else Decimal(0)


def to_close(current: Lots, target: Lots, spec: SymbolSpec) -> Lots:
    """The piece to close now: never more than is open, on the step, not below the minimum.

    A piece that the broker would refuse waits for the next partial or the full close: 0. A
    target of 0 closes all that is left, whatever its size: brokers accept the whole of a position.
    """
    if current <= target:
        return Decimal(0)
    if target <= 0:
        return current
    piece = floor_to_step(current - target, spec.lot_step)
    return piece if piece >= spec.lot_min else Decimal(0)
