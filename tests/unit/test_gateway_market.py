"""The master's prices that go with a copier's start: of now, or none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from copypro_gateway.market import FRESH_S, market_of

NOW = datetime(2026, 9, 14, 8, 0, tzinfo=UTC)


def order(kind: str, price: str | None, symbol: str = "EURUSD") -> dict[str, Any]:
    return {"type": kind, "symbol": symbol, "close_price": price}


def shown(*orders: dict[str, Any], age_s: float = 1.0) -> dict[str, Decimal]:
    alive_at = (NOW - timedelta(seconds=age_s)).isoformat()
    return market_of({"seen_alive_at": alive_at}, {"orders": list(orders)}, NOW)


def test_a_symbol_costs_the_middle_of_what_its_positions_would_close_at() -> None:
    found = shown(order("Buy", "1.1000"), order("Sell", "1.1002"), order("Buy", "2400", "XAUUSD"))
    assert found == {"EURUSD": Decimal("1.1001"), "XAUUSD": Decimal(2400)}


def test_pending_orders_and_orders_without_a_price_tell_nothing() -> None:
    assert shown(order("BuyLimit", "1.1000"), order("Buy", None)) == {}


def test_a_silent_account_tells_nothing() -> None:
    assert shown(order("Buy", "1.1000"), age_s=FRESH_S + 1) == {}
    assert market_of(None, None, NOW) == {}
    assert market_of({}, {"orders": [order("Buy", "1.1")]}, NOW) == {}
