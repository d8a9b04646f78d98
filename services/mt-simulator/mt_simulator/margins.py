"""What a position takes of its account, by the calculation of its symbol, as MetaTrader has them. Pure.

| calculation | for each lot |
|---|---|
| Forex | contract / leverage, in the margin's currency; a pair's at the price that it opened at |
| CFD | contract × price: the account's leverage is no part of it |
| CfdLeverage | contract × price / leverage |
| CfdIndex | contract × price × tick price / tick size |
| Futures | the initial margin |

An initial margin takes the place of contract and price in the others too. All of it is divided by the
symbol's divider (MT4's percentage, MT5's margin rate).
"""

from __future__ import annotations

from decimal import Decimal

from mt_simulator.model import Symbol

BY_LEVERAGE = ("Forex", "CfdLeverage")


def calculation_of(symbol: Symbol) -> str:
    """Its own, or else that of its profit; a broker's CFDs have leverage unless it says otherwise."""
    if symbol.margin_calculation:
        return symbol.margin_calculation
    return "Forex" if symbol.calculation == "Forex" else "CfdLeverage"


def divider(symbol: Symbol, leverage: int) -> Decimal:
    """What contract and price are divided by, all in all."""
    by_leverage = calculation_of(symbol) in BY_LEVERAGE
    return symbol.margin_divider * (leverage if by_leverage else 1)


def required(symbol: Symbol, lots: Decimal, price: Decimal, leverage: int) -> tuple[Decimal, str]:
    """The amount and the currency that it is in."""
    calculation, by = calculation_of(symbol), divider(symbol, leverage)
    if symbol.margin_initial or calculation == "Futures":
        return lots * symbol.margin_initial / by, symbol.margin_currency
    units = lots * symbol.contract_size / by
    if calculation == "Forex" and symbol.margin_currency == symbol.profit_currency:
        return units, symbol.margin_currency
    value = units * price
    if calculation == "CfdIndex":
        value *= symbol.tick_price / (symbol.tick_size or symbol.point)
    return value, symbol.profit_currency
