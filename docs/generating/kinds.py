"""The types of fields, in words: what stands in the JSON, and in which unit."""

from __future__ import annotations

import typing
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from msgspec import Struct

from docs.generating import docstrings

UNITS = {
    "_s": "seconds",
    "_ms": "milliseconds",
    "_minutes": "minutes",
    "_points": "points (the symbol's smallest step)",
    "_percent": "percent: 5 is 5 %",
    "_pips": "pips (ten points where the symbol has 3 or 5 digits)",
}
MONEY = frozenset(
    [
        "amount",
        "balance",
        "commission",
        "credit",
        "equity",
        "equity_high",
        "equity_low",
        "fee",
        "fixed_master_balance",
        "free_margin",
        "level",
        "margin",
        "profit",
        "start_balance",
        "stop_loss_absolute",
        "stop_loss_value",
        "swap",
        "take_profit_absolute",
        "take_profit_value",
    ]
)
PRICES = frozenset(
    [
        "ask",
        "bid",
        "market_price",
        "master_price",
        "open_price",
        "price",
        "stop_limit_price",
        "stop_loss",
        "take_profit",
        "slippage",
        "max_slippage",
        "point",
        "tick_size",
    ]
)


def fields(kind: type[Struct]) -> dict[str, Any]:
    """Names and types, the base classes' first."""
    hints = typing.get_type_hints(kind)
    return {name: hints[name] for name in kind.__struct_fields__}


def structs_of(kind: Any) -> list[type[Struct]]:
    """The structs that a type is made of, each once, in the order in which they are met."""
    found: dict[type[Struct], None] = {}
    _walk(kind, found)
    return list(found)


def _walk(kind: Any, found: dict[type[Struct], None]) -> None:
    if isinstance(kind, type) and issubclass(kind, Struct) and kind not in found:
        found[kind] = None
        for inner in fields(kind).values():
            _walk(inner, found)
    for inner in typing.get_args(kind):
        _walk(inner, found)


def members(union: Any) -> tuple[type[Struct], ...]:
    return typing.get_args(union) or (union,)


def in_words(kind: Any, field: str = "") -> str:
    """As a table's cell, with the unit that follows from type and name."""
    inner, is_optional = _without_none(kind)
    unit = unit_of(inner, field)
    return _words(inner) + (f", {unit}" if unit else "") + (", or null" if is_optional else "")


def unit_of(kind: Any, field: str) -> str:
    if kind is datetime:
        return "the broker's clock, no zone" if field.endswith("_broker") else "UTC"
    if kind is Decimal and field in MONEY:
        return "in the account's currency"
    if kind is Decimal and (field in PRICES or field.endswith("_price")):
        return "in price units"
    if kind is Decimal and ("lots" in field or field.startswith("lot_")):
        return "" if field == "lot_refiner" else "lots"
    return next((unit for end, unit in UNITS.items() if field.endswith(end)), "")


def required(kind: Any) -> Any:
    """The type of a field that is not null."""
    return _without_none(kind)[0]


def _without_none(kind: Any) -> tuple[Any, bool]:
    inner = [each for each in typing.get_args(kind) if each is not type(None)]
    if type(None) not in typing.get_args(kind):
        return kind, False
    return (inner[0] if len(inner) == 1 else typing.Union[tuple(inner)]), True  # noqa: UP007


_PLAIN = {
    str: "text",
    int: "whole number",
    bool: "true or false",
    float: "number",
    Decimal: "decimal as text",
    datetime: "time, ISO 8601",
}


def _words(kind: Any) -> str:
    if kind in _PLAIN:
        return _PLAIN[kind]
    if supertype := getattr(kind, "__supertype__", None):
        return f"{kind.__name__} ({_words(supertype)})"
    if isinstance(kind, type) and issubclass(kind, Struct | Enum):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, tuple):
        return f"list of {_words(inner[0])}"
    if origin is dict:
        return f"object: {_words(inner[0])} to {_words(inner[1])}"
    return " or ".join(_words(each) for each in inner)


def enums_of(kind: Any) -> list[type[Enum]]:
    """The enumerations of a type's structs, each once."""
    found: dict[type[Enum], None] = {}
    for struct in structs_of(kind):
        for hint in fields(struct).values():
            inner, _ = _without_none(hint)
            if isinstance(inner, type) and issubclass(inner, Enum):
                found[inner] = None
    return list(found)


def meaning(kind: type[Struct], field: str, hint: Any) -> str:
    """The field's own text, else that of the kind of id it is."""
    return docstrings.of_field(kind, field) or docstrings.of(
        getattr(required(hint), "__name__", "") if hasattr(required(hint), "__supertype__") else ""
    )


def about(kind: type) -> str:
    return docstrings.of(kind.__name__)
