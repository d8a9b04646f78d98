"""Numbers and texts that no symbol, order or clock has: unreadable, or left out, and never a break of the reader."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from copypro.adapters.bridge_json import Unreadable, decoded, details, is_number, tidy_lots
from copypro.adapters.mt4_terminal import Mt4Dialect
from copypro.adapters.mt5_terminal import Mt5Dialect

MT4, MT5 = Mt4Dialect(), Mt5Dialect()
TERMS: dict[str, dict[str, dict[str, Any]]] = {
    "MT4": {
        "symbol": {"digits": 5, "point": 0.00001, "contractSize": 100_000, "stopsLevel": 5},
        "groupParams": {"minLot": 0.01, "maxLot": 100, "lotStep": 0.01},
    },
    "MT5": {
        "symbolInfo": {
            "digits": 5,
            "points": 0.00001,
            "contractSize": 100_000,
            "tickSize": 0.00001,
        },
        "symbolGroup": {"minLots": 0.01, "maxLots": 100, "lotsStep": 0.01, "stopsLevel": 5},
    },
}
TINY, LONG = "1e-999999", "9" * 20
COMMON = [("digits", "40"), ("digits", "-1"), ("digits", LONG), ("contractSize", TINY),
          ("stopsLevel", LONG)]  # fmt: skip
ODD = [("MT4", name, raw) for name, raw in [*COMMON, ("point", TINY), ("lotStep", TINY)]]
ODD += [("MT5", name, raw) for name, raw in [*COMMON, ("points", TINY), ("lotsStep", TINY)]]
ROW = {
    "ticket": 11, "symbol": "EURUSD", "orderType": "Buy", "state": "Filled", "lots": 0.1,
    "openPrice": 1.1, "openTime": "2026-01-05T10:00:00",
}  # fmt: skip


def written(value: Any, raw: str) -> bytes:
    """With these digits where it says "?"."""
    return msgspec.json.encode(value).replace(b'"?"', raw.encode())


@pytest.mark.parametrize(("platform", "name", "raw"), ODD)
def test_terms_that_no_symbol_has_are_unreadable(platform: str, name: str, raw: str) -> None:
    dialect = MT4 if platform == "MT4" else MT5
    terms = TERMS[platform]
    assert dialect.spec("EURUSD", msgspec.json.encode(terms)).digits == 5
    changed = {part: {**had, name: "?"} if name in had else had for part, had in terms.items()}
    with pytest.raises(Unreadable):
        dialect.spec("EURUSD", written(changed, raw))


def test_levels_further_away_than_any_price_are_unreadable() -> None:
    info, group = TERMS["MT5"]["symbolInfo"], TERMS["MT5"]["symbolGroup"]
    terms = {
        "symbolInfo": {**info, "points": 1e9},
        "symbolGroup": {**group, "freezeLevel": 2**31 - 1},
    }
    with pytest.raises(Unreadable):
        MT5.spec("EURUSD", msgspec.json.encode(terms))


@pytest.mark.parametrize("raw", [LONG, "-" + LONG])
@pytest.mark.parametrize("name", ["ticket", "expertId"])
def test_a_row_whose_number_no_database_takes_is_unreadable(name: str, raw: str) -> None:
    with pytest.raises(Unreadable):
        MT5.orders(written([{**ROW, name: "?"}], raw))


@pytest.mark.parametrize("raw", ["40", "-1", LONG])
def test_a_row_s_digits_that_no_symbol_has_say_nothing(raw: str) -> None:
    (mt5,) = MT5.orders(written([{**ROW, "digits": "?"}], raw))
    (mt4,) = MT4.orders(written([{**ROW, "type": "Buy", "ex": {"digits": "?"}}], raw))
    assert (mt5.digits, mt4.digits) == (None, None)


def test_a_deal_s_volume_that_is_no_volume_is_unreadable() -> None:
    deal = {"ticketNumber": 5, "direction": "Out", "volume": "?"}
    with pytest.raises(Unreadable):
        MT5.history(written({"orders": [{**ROW, "dealInternalOut": deal}]}, "9" * 40))


def test_lots_below_any_step_are_none() -> None:
    assert tidy_lots(Decimal("1e-20")) == 0
    assert MT5.orders(written([{**ROW, "lots": "?"}], "1e-20")) == ()
    assert MT4.orders(written([{**ROW, "type": "Buy", "lots": "?"}], "1e-20")) == ()


@pytest.mark.parametrize("name", ["comment", "symbol"])
def test_a_text_that_no_record_has_room_for_is_unreadable(name: str) -> None:
    row = {**ROW, "type": "Buy"}
    for dialect in (MT4, MT5):
        assert len(dialect.orders(msgspec.json.encode([row | {name: "x" * 1000}]))) == 1
        with pytest.raises(Unreadable):
            dialect.orders(msgspec.json.encode([row | {name: "x" * 5_000_000}]))


def test_an_account_s_name_that_no_record_has_room_for_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        decoded(details, msgspec.json.encode({"user": 1, "accountName": "x" * 5_000_000}))


def test_a_deal_whose_row_is_of_no_clock_has_no_utc() -> None:
    deal = {"ticketNumber": 5, "direction": "Out", "openTimeAsDateTime": "2026-01-05T11:00:00"}
    row = {**ROW, "closeTime": "9998-12-31T23:59:59", "closeTimestampUTC": 1_767_610_800_000}
    history, _ = MT5.history(msgspec.json.encode({"orders": [{**row, "dealInternalOut": deal}]}))
    (piece,) = history.closed
    assert piece.closed_at_broker == datetime(2026, 1, 5, 11)
    assert piece.closed_at_utc is None


@pytest.mark.parametrize("raw", ["NaN", "sNaN", "Infinity", "1e15", TINY, "-1e-999999999"])
def test_what_is_no_number(raw: str) -> None:
    assert not is_number(Decimal(raw))


@pytest.mark.parametrize("raw", ["0", "-0", "5e-324", "-2.1e-314", "999999999999999", "1.5"])
def test_what_is_a_number(raw: str) -> None:
    assert is_number(Decimal(raw))
