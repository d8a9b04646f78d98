"""mt4rest's JSON in our words, from frames and rows as bridges send them."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from copypro.adapters.bridge_json import Unreadable
from copypro.adapters.mt4_terminal import Mt4Dialect
from copypro.adapters.mt4_translate import frame, history, open_orders
from copypro.trading import (
    CloseReason,
    CloseRequest,
    DeleteRequest,
    Execution,
    OpenRequest,
    OrdersSeen,
    TradeMode,
)
from copypro.values import OrderKind, Ticket

NEVER = "1970-01-01T00:00:00"
FIGURES = {"balance": 1000, "equity": 999, "margin": 22, "freeMargin": 977, "profit": -1}
MT4_KINDS = [kind for kind in OrderKind if "StopLimit" not in kind.value]


def row(**changes: Any) -> dict[str, Any]:
    return {
        "ticket": 7001, "type": "Buy", "symbol": "EURUSD", "lots": 0.1, "openPrice": 1.1,
        "stopLoss": 0, "takeProfit": 0, "magicNumber": 77, "comment": "k1",
        "openTime": "2026-09-14T07:54:39", "closeTime": NEVER, "expiration": NEVER, "profit": 0,
        "swap": 0, "commission": 0, "ex": {"order": 7001, "digits": 5, "state": 0}, **changes,
    }  # fmt: skip


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def seen(action: Any, order: dict[str, Any] | None, opened: list[Any] | None = None) -> OrdersSeen:
    data = {"update": {"action": action, "order": order}, "openedOrders": opened or [], **FIGURES}
    return frame(body(data))


def test_a_position() -> None:
    (order,) = open_orders(body([row(takeProfit=1.2)]))
    assert (order.ticket, order.kind, order.lots) == (7001, OrderKind.BUY, Decimal("0.1"))
    assert (order.stop_loss, order.take_profit) == (None, Decimal("1.2"))
    assert (order.opened_at_broker, order.opened_at_utc) == (datetime(2026, 9, 14, 7, 54, 39), None)
    assert (order.magic, order.comment, order.digits) == (77, "k1", 5)
    assert (order.expires_at_broker, order.identifier, order.deal) == (None, None, None)


def test_prices_have_all_the_digits_of_their_symbol() -> None:
    prices = {"openPrice": 1.08, "closePrice": 1.0801, "stopLoss": 1.0, "takeProfit": 0}
    (order,) = open_orders(body([row(**prices)]))
    read = (order.open_price, order.market_price, order.stop_loss, order.take_profit)
    assert [str(price) for price in read] == ["1.08000", "1.08010", "1.00000", "None"]
    closed = history(body([row(closeTime="2026-09-14T08:00:00", **prices)]))[0].closed[0]
    assert [str(price) for price in (closed.open_price, closed.close_price)] == [
        "1.08000",
        "1.08010",
    ]
    (unknown,) = open_orders(body([row(openPrice=1.08, ex=None)]))
    assert str(unknown.open_price) == "1.08"


@pytest.mark.parametrize(("number", "kind"), list(enumerate(MT4_KINDS)))
def test_kinds_come_as_names_and_as_numbers(number: int, kind: OrderKind) -> None:
    rows = [row(type=written) for written in (kind.value, number)]
    assert {order.kind for order in open_orders(body(rows))} == {kind}


@pytest.mark.parametrize("lots", [0, -0.1])
def test_a_position_of_no_lots_is_not_listed(lots: float) -> None:
    nothing, waits = row(ticket=7002, lots=lots), row(ticket=7003, type="SellStop", lots=lots)
    assert [order.ticket for order in open_orders(body([row(), nothing, waits]))] == [7001, 7003]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400"])
@pytest.mark.parametrize("field", ["lots", "openPrice", "profit", "stopLoss"])
def test_a_row_with_what_is_no_number_is_unreadable(field: str, number: str) -> None:
    with pytest.raises(Unreadable):
        open_orders(body([row(**{field: number})]))
    with pytest.raises(Unreadable):
        seen("PositionClose", row(**{field: number}))
    with pytest.raises(Unreadable):
        history(body([row(**{field: number})]))


def test_an_end_of_all_time_is_never() -> None:
    (order,) = open_orders(body([row(type="BuyLimit", expiration="9999-12-31T23:59:59")]))
    assert order.expires_at_broker is None


def test_six_and_seven_are_money_here_and_not_orders() -> None:
    assert open_orders(body([row(type=6), row(type=7), row(type="Balance")])) == ()
    found, _ = history(body([row(type=6, profit=100), row(type="Credit", profit=5)]))
    assert [(o.kind, o.amount) for o in found.operations] == [("Balance", 100), ("Credit", 5)]
    assert found.closed == ()


@pytest.mark.parametrize("raw", [b"", b"null", b'{"message":"m","code":"X"}', b'[{"code":"X"}]'])
def test_what_is_no_list_is_not_an_empty_one(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        open_orders(raw)


@pytest.mark.parametrize("action", ["PositionClose", 1, "1"])
def test_a_partial_close_is_evidence_for_the_old_ticket(action: Any) -> None:
    closed_part = row(
        lots=0.04, comment="to #7002", closePrice=1.2, closeTime="2026-09-14T08:00:00"
    )
    rest = row(ticket=7002, lots=0.06, comment="from #7001")
    first = seen(action, closed_part, [rest])
    assert first.closed is not None
    assert (first.closed.ticket, first.closed.deal, first.closed.lots) == (
        7001,
        7001,
        Decimal("0.04"),
    )
    assert (first.closed.comment, first.closed.closed_at_broker) == (
        "to #7002",
        datetime(2026, 9, 14, 8),
    )
    second = seen("PositionOpen", rest, [rest])
    assert (second.closed, second.orders) == (None, first.orders)


@pytest.mark.parametrize(
    ("comment", "reason"),
    [
        ("k1[sl]", CloseReason.STOP_LOSS),
        ("k1[tp]", CloseReason.TAKE_PROFIT),
        ("so: 49.8%/20/40", CloseReason.STOP_OUT),
        ("T0123456789ABCso: 49.8%/20/40", CloseReason.STOP_OUT),
        ("note so: no", CloseReason.UNKNOWN),
        ("k1", CloseReason.UNKNOWN),
        ("also", CloseReason.UNKNOWN),
    ],
)
def test_the_comment_says_why(comment: str, reason: CloseReason) -> None:
    closed = seen("PositionClose", row(comment=comment)).closed
    assert closed is not None
    assert closed.reason is reason


def test_the_second_half_of_a_close_by_has_no_lots() -> None:
    (piece,) = history(body([row(lots=0, comment="close hedge by #7009")]))[0].closed
    assert (piece.lots, piece.by_ticket, piece.reason) == (0, 7009, CloseReason.CLOSE_BY)


def test_a_pending_order_that_ended() -> None:
    closed = seen("PendingClose", row(type="BuyLimit")).closed
    assert closed is not None
    assert closed.cancelled
    found, _ = history(body({"pagesCount": 1, "orders": [row(type=2)]}))
    assert [piece.cancelled for piece in found.closed] == [True]


def test_a_deposit_is_no_trade() -> None:
    found = seen("Balance", row(type="Balance", symbol="", profit=250))
    assert found.operation is not None
    assert (found.operation.amount, found.closed) == (250, None)


def test_when_money_moved_is_when_its_row_was_opened_or_else_closed() -> None:
    times = {"openTime": "2026-09-14T07:54:39", "closeTime": "2026-09-14T08:00:00"}
    both = row(type="Balance", comment="Deposit", **times)
    (paid,) = history(body([both]))[0].operations
    assert (paid.time_broker, paid.comment) == (datetime(2026, 9, 14, 7, 54, 39), "Deposit")
    (paid,) = history(body([both | {"openTime": NEVER}]))[0].operations
    assert paid.time_broker == datetime(2026, 9, 14, 8)


@pytest.mark.parametrize(
    "raw",
    [b"{", b"null", b'{"balance":1,"equity":1}'],
)
def test_a_frame_without_a_list_is_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        frame(raw)


# --- answers and requests ---------------------------------------------------------------------

DIALECT = Mt4Dialect()


def test_an_open_sends_its_magic_even_when_it_is_none() -> None:
    request = OpenRequest(symbol="EURUSD", kind=OrderKind.SELL_STOP, lots=Decimal("0.10"), comment="",
                          magic=0, price=Decimal("1.1"), expires_at_broker=datetime(2026, 1, 2))  # fmt: skip
    assert DIALECT.open_call(request) == (
        "OrderSend",
        {
            "symbol": "EURUSD", "operation": "SellStop", "volume": "0.10", "price": "1.1",
            "slippage": 0, "stoploss": "0", "takeprofit": "0", "comment": "", "magic": 0,
            "expiration": "2026-01-02T00:00:00",
        },
    )  # fmt: skip


def test_an_order_of_another_symbol_answers_no_open() -> None:
    request = OpenRequest(symbol="EURUSD", kind=OrderKind.BUY, lots=Decimal("0.1"), comment="",
                          magic=0, price=Decimal("1.1"))  # fmt: skip
    assert DIALECT.opened(body(row(lots=0.1)), request).ticket == 7001
    with pytest.raises(Unreadable):
        DIALECT.opened(body(row(symbol="XAUUSD")), request)


def test_a_delete_answers_ok_or_the_order() -> None:
    request = DeleteRequest(ticket=Ticket(7001))
    for reply in (b"OK", b'"OK"', body(row(type="BuyLimit"))):
        assert DIALECT.deleted(reply, request).ticket == 7001
    for reply in (b"", b"null", b'"NO"', b"{}", body(row(type="Buy"))):
        with pytest.raises(Unreadable):
            DIALECT.deleted(reply, request)


def test_a_close_answers_the_closed_part() -> None:
    request = CloseRequest(ticket=Ticket(7001), symbol="EURUSD", lots=Decimal("0.04"))
    done = DIALECT.closed(body(row(lots=0.04, closePrice=1.2, profit=4)), request)
    assert (done.ticket, done.lots, done.price, done.profit) == (
        7001,
        Decimal("0.04"),
        Decimal("1.2"),
        4,
    )


def test_a_close_of_a_part_is_never_of_more_whatever_the_answer_is_of() -> None:
    """Else the ledger holds less than nothing, and what is left is never reduced again."""
    request = CloseRequest(ticket=Ticket(7001), symbol="EURUSD", lots=Decimal("0.04"))
    assert DIALECT.closed(body(row(lots=0.1)), request).lots == Decimal("0.04")
    assert DIALECT.closed(body(row(lots=0)), request).lots == Decimal("0.04")


@pytest.mark.parametrize(
    ("group", "raw", "mode"),
    [
        (1, 2, TradeMode.FULL),
        (1, 1, TradeMode.CLOSE_ONLY),
        (1, 0, TradeMode.DISABLED),
        (0, 2, TradeMode.DISABLED),
    ],
)
def test_terms_of_trade(group: int, raw: int, mode: TradeMode) -> None:
    spec = DIALECT.spec("XAUUSD", body({
        "symbolName": "XAUUSD",
        "symbol": {"execution": "Instant", "stopsLevel": 30, "digits": 2, "point": 0.01,
                   "freezeLevel": 5, "marginCurrency": "XAU", "profitMode": "CFD",
                   "contractSize": 100, "marginDivider": 1, "ex": {"trade": raw}},
        "groupParams": {"minLot": 0.01, "maxLot": 50, "lotStep": 0.01, "trade": group},
    }))  # fmt: skip
    assert (spec.trade_mode, spec.execution, spec.stops_level_points) == (
        mode,
        Execution.INSTANT,
        30,
    )
    assert (spec.profit_currency, spec.tick_value, spec.calculation) == (None, None, "CFD")


def test_a_symbol_whose_point_is_told_as_none_has_that_of_its_digits() -> None:
    """Stop levels are counted in it, and slippage is divided by it."""
    spec = DIALECT.spec("XAUUSD", body({
        "symbol": {"digits": 2, "point": 0, "contractSize": 100},
        "groupParams": {"minLot": 0.01, "maxLot": 50, "lotStep": 0.01},
    }))  # fmt: skip
    assert (spec.point, spec.tick_size) == (Decimal("0.01"), Decimal("0.01"))


@pytest.mark.parametrize(
    ("told", "known"),
    [("CfdLeverage", "CfdLeverage"), (3, "CfdIndex"), (None, None), ("Another", None)],
)
def test_what_a_margin_is_calculated_by_is_not_what_the_profit_is(told: Any, known: Any) -> None:
    spec = DIALECT.spec("GER40", body({
        "symbol": {"digits": 1, "point": 0.1, "contractSize": 1, "profitMode": "CFD",
                   "marginMode": told, "marginDivider": 20, "marginCurrency": "EUR"},
        "groupParams": {"minLot": 0.01, "maxLot": 50, "lotStep": 0.01},
    }))  # fmt: skip
    assert (spec.calculation, spec.margin_calculation) == ("CFD", known)
