"""What a master's symbols cost, by what its account last showed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from copypro.messages import Market

FRESH_S = 35.0
"""An account that lives shows itself at least each 30 s, and within a second of any change."""


def market_of(
    account: Mapping[str, Any] | None, open_orders: Mapping[str, Any] | None, now: datetime
) -> Market:
    """By symbol, the middle of what its positions would close at; nothing of an account that has
    been silent.
    """
    alive_at = (account or {}).get("seen_alive_at")
    if alive_at is None or (now - datetime.fromisoformat(alive_at)).total_seconds() > FRESH_S:
        return {}
    prices: dict[str, list[Decimal]] = {}
    for order in (open_orders or {}).get("orders", ()):
        if order["close_price"] is not None and order["type"] in ("Buy", "Sell"):
            prices.setdefault(order["symbol"], []).append(Decimal(order["close_price"]))
    return {symbol: sum(found, Decimal(0)) / len(found) for symbol, found in prices.items()}
