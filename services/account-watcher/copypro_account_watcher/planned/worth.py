"""What a copy's costs are measured by afterwards: taken down when it is sent, since later it is another.

Pure. What is not known is left out: no figure is made from a guess.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from copypro.messages import Numbers
from copypro.values import LARGEST

from copypro_account_watcher.planned.sizing import TICKS_DIFFER_BY, Slave
from copypro_account_watcher.planned.symbols import profit_currency_of, rate_of

BY_CONTRACT = ("Forex", "CFD")
"""Calculations in which profit is move × contract size × lots."""
_EIGHT_PLACES = Decimal("1e-8")


def worth(slave: Slave) -> Numbers:
    """`point`, and in `price_worth` what one lot is worth for a move of 1.0 of the price, in the
    account's currency at this moment.
    """
    found = {"point": str(slave.spec.point)}
    value = _price_worth(slave)
    if value is not None and value.is_finite() and 0 < value <= LARGEST:
        found["price_worth"] = f"{value.quantize(_EIGHT_PLACES, ROUND_HALF_UP).normalize():f}"
    return found


def _price_worth(slave: Slave) -> Decimal | None:
    """By contract, unless the symbol's calculation is not known and its ticks say otherwise."""
    spec = slave.spec
    by_contract, by_tick = _by_contract(slave), None
    if spec.tick_value is not None and spec.tick_size > 0:
        by_tick = spec.tick_value / spec.tick_size
    if by_contract is None or by_tick is None:
        return by_tick if by_contract is None else by_contract
    if spec.calculation in BY_CONTRACT:
        return by_contract
    return by_tick if abs(by_contract - by_tick) > TICKS_DIFFER_BY * by_tick else by_contract


def _by_contract(slave: Slave) -> Decimal | None:
    profit = profit_currency_of(slave.spec)
    rate = rate_of(slave.rates, profit, slave.currency) if profit else None
    return None if rate is None else slave.spec.contract_size * rate
