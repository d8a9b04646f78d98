"""mt5rest's JSON in our words, from frames and rows as bridges send them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from copypro.adapters.bridge_json import Details, Summary, Unreadable
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.adapters.mt5_translate import frame, history, open_orders
from copypro.ports import Credentials
from copypro.trading import (
    CloseReason,
    CloseRequest,
    DeleteRequest,
    Done,
    ModifyRequest,
    OpenRequest,
    OrdersSeen,
    TradeMode,
)
from copypro.values import Mode, OrderKind, Ticket

NEVER = "0001-01-01T00:00:00"
FIGURES = {
    "balance": 1000,
    "credit": 0,
    "equity": 999,
    "margin": 22,
    "freeMargin": 977,
    "profit": -1,
}


def row(**changes: Any) -> dict[str, Any]:
    return {
        "ticket": 5001, "symbol": "EURUSD", "orderType": "Buy", "dealType": "DealBuy",
        "state": "Filled", "lots": 0.1, "volume": 10000000, "openPrice": 1.1, "closePrice": 1.2,
        "stopLoss": 0, "takeProfit": 0, "expertId": 77, "comment": "k1", "closeLots": 0,
        "openTime": "2026-09-14T07:54:39.092", "openTimestampUTC": 1789368879092,
        "closeTime": NEVER, "closeTimestampUTC": -62135596800000, "expirationTime": NEVER,
        "digits": 5, "contractSize": 100000, "profit": 0, "swap": 0, "commission": 0,
        "dealInternalIn": {"ticketNumber": 4001, "positionTicket": 5001},
        **changes,
    }  # fmt: skip


def deal(number: int, lots: float, **changes: Any) -> dict[str, Any]:
    return {
        "ticketNumber": number, "positionTicket": 5001, "direction": "Out", "price": 1.2,
        "lots": lots, "profit": 4, "commission": -0.1, "swap": 0, "fee": 0, **changes,
    }  # fmt: skip


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def seen(
    kind: str, order: dict[str, Any] | None, opened: list[Any] | None = None, **update: Any
) -> OrdersSeen:
    data = {"update": {"type": kind, "order": order, "closeByTicket": 0, **update},
            "openedOrders": [] if opened is None else opened, **FIGURES, "user": 123}  # fmt: skip
    return frame(body(data))


# --- open orders ------------------------------------------------------------------------------


def test_a_position() -> None:
    (order,) = open_orders(body([row(stopLoss=1.05)]))
    assert (order.ticket, order.kind, order.lots) == (5001, OrderKind.BUY, Decimal("0.1"))
    assert (order.stop_loss, order.take_profit, order.market_price) == (
        Decimal("1.05"),
        None,
        Decimal("1.2"),
    )
    assert order.opened_at_broker == datetime(2026, 9, 14, 7, 54, 39, 92000)
    assert order.opened_at_utc == datetime(2026, 9, 14, 6, 54, 39, 92000, tzinfo=UTC)
    assert (order.expires_at_broker, order.identifier, order.deal) == (None, 5001, 4001)
    assert (order.magic, order.comment) == (77, "k1")


def test_prices_have_all_the_digits_of_their_symbol() -> None:
    prices = {"openPrice": 1.08, "closePrice": 1.0801, "stopLoss": 1, "takeProfit": 0}
    (order,) = open_orders(body([row(**prices)]))
    read = (order.open_price, order.market_price, order.stop_loss, order.take_profit)
    assert [str(price) for price in read] == ["1.08000", "1.08010", "1.00000", "None"]
    (average,) = open_orders(body([row(openPrice=1.0800333333333334)]))
    assert str(average.open_price) == "1.0800333333333334"
    (unknown,) = open_orders(body([row(openPrice=1.08, digits=0)]))
    assert str(unknown.open_price) == "1.08"
    # 400 digits are nobody's: the price stays as it came.
    assert str(open_orders(body([row(openPrice=1.08, digits=400)]))[0].open_price) == "1.08"


def test_a_deal_s_price_has_all_the_digits_of_its_row_wherever_it_comes_from() -> None:
    out = deal(4002, 0.1, price=1.1)
    in_row = row(closePrice=0, dealInternalOut=out, profit=0)
    bare = row(closePrice=0, digits=0, profit=0, dealInternalOut={**out, "digits": 5})
    for whole in (in_row, bare):
        assert str(history(body({"orders": [whole]}))[0].closed[0].close_price) == "1.10000"
    piece = seen("PartialClose", row(openPrice=1.1), deal=out).closed
    assert piece is not None
    assert [str(price) for price in (piece.open_price, piece.close_price)] == ["1.10000"] * 2


@pytest.mark.parametrize(("number", "kind"), list(enumerate(OrderKind)))
def test_kinds_come_as_names_and_as_numbers(number: int, kind: OrderKind) -> None:
    rows = [row(orderType=written) for written in (kind.value, number, str(number))]
    assert {order.kind for order in open_orders(body(rows))} == {kind}


@pytest.mark.parametrize("changes", [{"lots": 0}, {"lots": -0.1}])
def test_a_position_of_no_lots_is_not_listed(changes: dict[str, Any]) -> None:
    nothing = row(ticket=5002, **changes)
    waits = row(ticket=5003, orderType="BuyLimit", lots=0, dealInternalIn=None)
    assert [order.ticket for order in open_orders(body([row(), nothing, waits]))] == [5001, 5003]


def test_a_position_without_its_lots_is_not_listed() -> None:
    nothing = {name: value for name, value in row(ticket=5002).items() if name != "lots"}
    assert [order.ticket for order in open_orders(body([row(), nothing]))] == [5001]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "sNaN", "1e400", -1e16])
@pytest.mark.parametrize("field", ["lots", "openPrice", "profit", "takeProfit"])
def test_a_row_with_what_is_no_number_is_unreadable(field: str, number: Any) -> None:
    with pytest.raises(Unreadable):
        open_orders(body([row(**{field: number})]))
    with pytest.raises(Unreadable):
        seen("MarketClose", row(**{field: number}))
    with pytest.raises(Unreadable):
        history(rows(row(**{field: number})))


@pytest.mark.parametrize("field", ["balance", "equity", "margin", "freeMargin", "profit"])
def test_figures_that_are_no_numbers_are_unreadable(field: str) -> None:
    with pytest.raises(Unreadable):
        frame(body({"update": None, "openedOrders": [], **FIGURES, field: "NaN"}))


def test_a_deal_with_what_is_no_number_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        history(rows(row(dealInternalOut=deal(9, 0.1, price="NaN"))))


def test_an_end_of_all_time_is_never() -> None:
    end = "9999-12-31T23:59:59"
    late = 253_402_300_799_999 + 5 * 3_600_000
    (order,) = open_orders(
        body([row(orderType="BuyLimit", expirationTime=end, openTimestampUTC=late)])
    )
    assert (order.expires_at_broker, order.opened_at_utc) == (None, None)


def test_what_is_no_order_is_left_out() -> None:
    on_its_way = row(state="Placed", dealInternalIn=None, orderInternal={"ticketNumber": 5001})
    assert open_orders(body([row(orderType="Balance"), row(orderType=8), on_its_way])) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"state": None, "dealInternalIn": None},  # a bridge that tells nothing of either
        {"state": None, "orderInternal": {"ticketNumber": 5001}},
        {"state": "Filled", "dealInternalIn": None, "orderInternal": {"ticketNumber": 5001}},
    ],
)
def test_a_position_is_one_by_its_deal_or_its_state_and_where_neither_is_told(
    changes: dict[str, Any],
) -> None:
    """Only a market order without its deal is still on its way."""
    assert [order.ticket for order in open_orders(body([row(**changes)]))] == [5001]


def test_nulls_and_noise_of_doubles() -> None:
    (order,) = open_orders(body([row(symbol="X", comment=None, lots=0.30000000000000004,
                                     dealInternalIn=None)]))  # fmt: skip
    assert (order.comment, order.lots, order.deal) == ("", Decimal("0.3"), None)


def test_a_comment_stays_text_whatever_it_looks_like() -> None:
    for comment in ("null", "123", "true", "1e5"):
        (order,) = open_orders(body([row(comment=comment)]))
        assert order.comment == comment


def test_a_comment_that_is_not_utf8() -> None:
    raw = body([row(comment="k?1")]).replace(b"k?1", b"k\xff1")
    (order,) = open_orders(raw)
    assert order.comment == "k�1"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b'{"message":"m","code":"X"}',
        b'[{"code":"X","message":"m"}]',
        b"[1]",
        b"[{}",
        b"OK",
    ],
)
def test_what_is_no_list_is_not_an_empty_one(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        open_orders(raw)


# --- frames -----------------------------------------------------------------------------------


def test_an_open_frame_has_the_list_and_the_figures() -> None:
    found = seen("MarketOpen", row(), [row()])
    assert found.orders == open_orders(body([row()]))
    assert (found.figures.balance, found.figures.free_margin) == (1000, 977)
    assert (found.closed, found.operation) == (None, None)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("MarketClose", CloseReason.UNKNOWN),
        ("OnStopLoss", CloseReason.STOP_LOSS),
        ("OnTakeProfit", CloseReason.TAKE_PROFIT),
        ("OnStopOut", CloseReason.STOP_OUT),
    ],
)
@pytest.mark.parametrize("lots", [0, 0.1])
def test_a_full_close_is_proven_whatever_lots_says(
    kind: str, reason: CloseReason, lots: float
) -> None:
    order = row(
        lots=lots, closeLots=0.1, closePrice=1.2, closeTime="2026-09-14T08:00:00", profit=10
    )
    closed = seen(kind, order, deal=deal(4002, 0.1)).closed
    assert closed is not None
    assert (closed.ticket, closed.deal, closed.lots) == (5001, 4002, Decimal("0.1"))
    assert (closed.profit, closed.close_price, closed.reason) == (10, Decimal("1.2"), reason)
    assert closed.closed_at_broker == datetime(2026, 9, 14, 8)


def test_a_full_close_without_any_deal() -> None:
    closed = seen("MarketClose", row(lots=0, closeLots=0.1, profit=10, dealInternalIn=None)).closed
    assert closed is not None
    assert (closed.deal, closed.lots, closed.profit) == (5001, Decimal("0.1"), 10)


def test_the_last_piece_of_a_position_closed_in_parts() -> None:
    order = row(lots=0, closeLots=0.1, profit=8, partialCloseDeals=[deal(4002, 0.04)])
    closed = seen("MarketClose", order, deal=deal(4003, 0.06)).closed
    assert closed is not None
    assert (closed.deal, closed.lots, closed.profit) == (4003, Decimal("0.06"), 4)


@pytest.mark.parametrize("listed", [None, []])
@pytest.mark.parametrize("lots", [0, 0.1])
@pytest.mark.parametrize("kind", ["MarketClose", "OnStopLoss", "MarketCloseBy"])
def test_the_last_piece_where_the_bridge_lists_no_other_one(
    kind: str, lots: float, listed: Any
) -> None:
    """`closeLots` is all that was closed so far, also when the last of it is."""
    order = row(lots=lots, closeLots=0.1, profit=8, partialCloseDeals=listed)
    closed = seen(kind, order, deal=deal(4003, 0.06)).closed
    assert closed is not None
    assert (closed.deal, closed.lots, closed.profit) == (4003, Decimal("0.06"), 4)
    bare = {"ticketNumber": 4003, "positionTicket": 5001, "direction": "Out", "lots": 0.06}
    closed = seen(kind, order, deal=bare).closed
    assert closed is not None
    assert (closed.deal, closed.lots, closed.profit) == (4003, Decimal("0.06"), 8)


def test_a_partial_close_says_its_own_lots_and_not_the_sum() -> None:
    order = row(lots=0.03, closeLots=0.07, partialCloseDeals=[deal(4002, 0.04), deal(4003, 0.03)])
    by_deal = seen("PartialClose", order, [order], deal=deal(4003, 0.03)).closed
    by_list = seen("PartialClose", order, [order]).closed
    assert by_deal is not None
    assert by_list is not None
    for closed in (by_deal, by_list):
        assert (closed.deal, closed.lots) == (4003, Decimal("0.03"))
    assert seen("PartialClose", row(lots=0.06, closeLots=0.04)).closed is None


def test_a_deal_with_only_its_volume() -> None:
    raw = deal(4002, 0, volume=4000000)
    closed = seen("PartialClose", row(lots=0.06), deal=raw).closed
    assert closed is not None
    assert closed.lots == Decimal("0.04")


def test_a_reduction_on_netting_comes_as_an_open_with_a_deal_that_goes_out() -> None:
    reduced = seen("MarketOpen", row(lots=0.06), deal=deal(4002, 0.04)).closed
    assert reduced is not None
    assert (reduced.deal, reduced.lots, reduced.profit) == (4002, Decimal("0.04"), 4)
    for direction in ("In", "InOut"):
        assert seen("MarketOpen", row(), deal=deal(4002, 0.04, direction=direction)).closed is None


@pytest.mark.parametrize(
    ("changes", "out", "reason"),
    [
        ({"closeComment": "[sl 1.1]"}, {}, CloseReason.STOP_LOSS),
        ({}, {"comment": "[tp 1.2]"}, CloseReason.TAKE_PROFIT),
        ({}, {"comment": "[so 49%/10/20]"}, CloseReason.STOP_OUT),
        ({"closeComment": "so: 49%/10/20"}, {}, CloseReason.STOP_OUT),
        ({}, {"direction": "OutBy", "comment": "[sl 1.1]"}, CloseReason.CLOSE_BY),
        ({}, {"direction": "InOut"}, CloseReason.REVERSED),
        ({}, {}, CloseReason.UNKNOWN),
    ],
)
def test_why_a_position_closed_is_told_by_its_deal_or_a_comment(
    changes: dict[str, Any], out: dict[str, Any], reason: CloseReason
) -> None:
    """Also of a frame that only calls it a close."""
    closed = row(closeLots=0.1, profit=10, **changes)
    by_frame = seen("MarketClose", closed, deal=deal(4002, 0.1, **out)).closed
    (by_history,) = history(rows(closed | {"dealInternalOut": deal(4002, 0.1, **out)}))[0].closed
    assert by_frame is not None
    assert (by_frame.reason, by_history.reason) == (reason, reason)
    assert by_frame.by_ticket is None


def test_an_opening_deal_is_no_evidence_of_a_close() -> None:
    assert seen("PartialClose", row(), deal=deal(4001, 0.1, direction="In")).closed is None


def test_a_close_by_names_the_other_ticket() -> None:
    order = row(lots=0, closeLots=0.1)
    closed = seen(
        "MarketCloseBy", order, deal=deal(4002, 0.1, direction="OutBy"), closeByTicket=5002
    )
    assert closed.closed is not None
    assert (closed.closed.by_ticket, closed.closed.reason) == (5002, CloseReason.CLOSE_BY)


@pytest.mark.parametrize("kind", ["PendingClose", "Expired", "Rejected"])
def test_a_pending_order_that_ended(kind: str) -> None:
    closed = seen(kind, row(orderType="BuyLimit", state="Cancelled")).closed
    assert closed is not None
    assert (closed.cancelled, closed.ticket) == (True, 5001)
    assert closed.expired is (kind == "Expired")
    # the closing order of a position goes by the same names
    assert seen(kind, row(orderType="Sell", state="Cancelled")).closed is None


@pytest.mark.parametrize(
    "kind", ["PendingOpen", "Filled", "Started", "MarketModify", "Unknown", None]
)
def test_other_frames_prove_no_close(kind: Any) -> None:
    found = seen(kind, row(), [row()])
    assert (found.closed, found.operation) == (None, None)


def test_a_frame_without_an_order_still_has_the_list() -> None:
    assert len(seen("Unknown", None, [row()]).orders) == 1


def test_a_deposit() -> None:
    order = row(orderType="Balance", dealType="Balance", symbol="", lots=0, profit=250.5)
    operation = seen("Balance", order).operation
    assert operation is not None
    assert (operation.kind, operation.amount, operation.ticket) == (
        "Balance",
        Decimal("250.5"),
        5001,
    )


@pytest.mark.parametrize(
    "raw",
    [b"{", b"[]", b"", b"null", b"{}", b'{"balance":1,"equity":1}',
     b'{"balance":1,"equity":1,"openedOrders":null}',
     b'{"balance":1,"equity":1,"openedOrders":[1]}'],
)  # fmt: skip
def test_a_frame_without_a_list_is_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        frame(raw)


# --- history ----------------------------------------------------------------------------------


def rows(*found: dict[str, Any], **page: Any) -> bytes:
    return body({"orders": list(found), **page})


def test_one_piece_per_closing_deal() -> None:
    closed = row(
        lots=0.1, closeLots=0.1, profit=12, closeTime="2026-09-14T08:00:00",
        dealInternalIn={"ticketNumber": 4001, "positionTicket": 5001, "commission": -0.7},
        partialCloseDeals=[deal(4002, 0.04)],
        dealInternalOut=deal(4003, 0.06, profit=8, placedType="OnTP"),
    )  # fmt: skip
    found, more = history(rows(closed))
    assert not more
    assert [(p.deal, p.lots, p.profit) for p in found.closed] == [
        (4002, Decimal("0.04"), 4),
        (4003, Decimal("0.06"), 8),
    ]
    assert [p.commission for p in found.closed] == [Decimal("-0.1"), Decimal("-0.1")]
    assert [p.entry_cost for p in found.closed] == [Decimal("-0.7"), 0]
    assert found.closed[1].reason is CloseReason.TAKE_PROFIT


def test_one_deal_gives_one_piece_with_the_rows_own_figures() -> None:
    closed = row(closeLots=0.1, profit=12, commission=-0.7, swap=-1, fee=-0.2,
                 dealInternalOut=deal(4002, 0.1))  # fmt: skip
    (piece,) = history(rows(closed))[0].closed
    assert (piece.profit, piece.commission, piece.swap, piece.fee) == (
        12, Decimal("-0.7"), -1, Decimal("-0.2"),
    )  # fmt: skip


def test_a_row_of_zeros_gets_its_figures_from_the_deal() -> None:
    closed = row(lots=0, closeLots=0, profit=0, dealInternalOut=deal(4002, 0.1))
    (piece,) = history(rows(closed))[0].closed
    assert (piece.lots, piece.profit) == (Decimal("0.1"), 4)


def test_a_row_whose_profit_is_nothing_keeps_its_deals_or_its_own_figures() -> None:
    """Closed where it opened, it has cost its commission all the same."""
    with_deal = row(closeLots=0.1, profit=0, dealInternalOut=deal(4002, 0.1))
    without = row(closeLots=0.1, profit=0, commission=-0.7, swap=-1, dealInternalIn=None)
    paid, cost = history(rows(with_deal, without))[0].closed
    assert (paid.profit, paid.commission) == (4, Decimal("-0.1"))
    assert (cost.profit, cost.commission, cost.swap) == (0, Decimal("-0.7"), -1)


def test_a_row_with_its_volume_alone_closed_as_much() -> None:
    (piece,) = history(rows(row(closeLots=0, profit=10, dealInternalIn=None)))[0].closed
    assert piece.lots == Decimal("0.1")


@pytest.mark.parametrize(("position", "identifier"), [(5001, None), (0, None), (4711, 4711)])
def test_a_deal_tells_the_number_that_its_position_had_first(
    position: int, identifier: int | None
) -> None:
    """Its server may have given it another ticket, which no list has shown."""
    closed = row(closeLots=0.1, dealInternalOut=deal(4002, 0.1, positionTicket=position))
    (piece,) = history(rows(closed))[0].closed
    assert (piece.ticket, piece.identifier) == (5001, identifier)


def test_a_deals_own_time_is_utc_by_its_rows_clock() -> None:
    at = "2026-09-14T07:58:00"
    closed = row(
        closeLots=0.1, closeTime="2026-09-14T08:00:00", closeTimestampUTC=1789365600000,
        dealInternalOut=deal(4002, 0.1, openTimeAsDateTime=at),
    )  # fmt: skip
    (piece,) = history(rows(closed))[0].closed
    assert piece.closed_at_broker == datetime(2026, 9, 14, 7, 58)
    assert piece.closed_at_utc == datetime(2026, 9, 14, 5, 58, tzinfo=UTC)
    (unknown,) = history(rows(closed | {"closeTimestampUTC": -62135596800000}))[0].closed
    assert (unknown.closed_at_broker, unknown.closed_at_utc) == (piece.closed_at_broker, None)


@pytest.mark.parametrize("state", [None, "Filled"])
def test_a_row_of_a_pending_kind_closed_nothing_whatever_its_state(state: Any) -> None:
    (piece,) = history(rows(row(orderType="BuyStop", state=state, closeLots=0.1)))[0].closed
    assert piece.cancelled


def test_a_cancelled_order_and_operations() -> None:
    found, _ = history(
        rows(
            row(orderType="SellStop", state="Cancelled"),
            row(orderType="SellStop", state="Expired"),
            row(orderType="Balance", dealType="Balance", profit=100),
            row(orderType="Balance", dealType=4, profit=-3),
            row(orderType=101, dealType=None, profit=50),
        )
    )
    assert [(p.cancelled, p.expired) for p in found.closed] == [(True, False), (True, True)]
    assert [(o.kind, o.amount) for o in found.operations] == [
        ("Balance", 100), ("Charge", -3), ("Credit", 50),
    ]  # fmt: skip


def test_there_may_be_more_to_fetch() -> None:
    assert history(rows(action=14))[1]
    assert not history(rows(action=1))[1]
    with pytest.raises(Unreadable):
        history(b'{"code":"X","message":"m"}')


# --- answers and requests ---------------------------------------------------------------------

DIALECT = Mt5Dialect()
OPEN = OpenRequest(symbol="EURUSD", kind=OrderKind.BUY, lots=Decimal("0.1"), comment="T", magic=7,
                   price=Decimal("1.1"))  # fmt: skip


@pytest.mark.parametrize(
    ("state", "filled"),
    [
        ("Filled", True), ("Placed", False), ("Started", False), (4, True), (1, False),
        ("RequestAdding", False), (7, False),
    ],
)  # fmt: skip
def test_a_market_order_may_be_accepted_and_not_filled(state: Any, filled: bool) -> None:
    done = DIALECT.opened(body(row(state=state, dealInternalIn=None)), OPEN)
    assert done == Done(
        ticket=Ticket(5001), lots=Decimal("0.1"), price=Decimal("1.1"), filled=filled
    )


def test_a_fill_of_less_is_told() -> None:
    assert DIALECT.opened(body(row(state="Partial", lots=0.04)), OPEN).lots == Decimal("0.04")


def test_a_position_that_was_there_before_is_no_part_of_what_was_opened() -> None:
    assert DIALECT.opened(body(row(lots=0.3)), OPEN).lots == Decimal("0.1")


def test_an_order_of_another_symbol_answers_no_open() -> None:
    with pytest.raises(Unreadable):
        DIALECT.opened(body(row(symbol="XAUUSD")), OPEN)
    assert DIALECT.opened(body(row(symbol=None)), OPEN).ticket == 5001


@pytest.mark.parametrize("state", ["Rejected", "Cancelled", "Expired", 5])
def test_an_open_that_ended_unfilled_is_unclear(state: Any) -> None:
    with pytest.raises(Unreadable):
        DIALECT.opened(body(row(state=state)), OPEN)


def test_a_close_says_what_it_closed() -> None:
    request = CloseRequest(ticket=Ticket(5001), symbol="EURUSD", lots=Decimal("0.03"))
    reply = row(state="Started", lots=0.03, closeLots=0.07, profit=9)
    assert DIALECT.closed(body(reply), request).lots == Decimal("0.03")
    whole = CloseRequest(ticket=Ticket(5001), symbol="EURUSD", lots=None)
    assert DIALECT.closed(body(reply), whole).lots == Decimal("0.07")


def test_another_order_of_which_nothing_closed_answers_no_close() -> None:
    request = CloseRequest(ticket=Ticket(5001), symbol="EURUSD", lots=None)
    with pytest.raises(Unreadable):
        DIALECT.closed(body(row(ticket=5002)), request)
    # The order that closed it has a ticket of its own.
    for reply in (
        row(ticket=5002, state="Started", closeLots=0.1),
        row(ticket=5002, dealInternalOut=deal(4002, 0.1)),
        row(ticket=5002, closeTime="2026-09-14T07:54:39"),
    ):
        assert DIALECT.closed(body(reply), request).lots == Decimal("0.1")


@pytest.mark.parametrize("state", ["Filled", "Partial", "RequestCancelling", 9])
def test_deleting_what_is_filled_or_not_yet_gone_is_unclear(state: Any) -> None:
    with pytest.raises(Unreadable):
        DIALECT.deleted(
            body(row(orderType="BuyLimit", state=state)), DeleteRequest(ticket=Ticket(5001))
        )


def test_deleting_what_had_become_a_position_is_unclear() -> None:
    request = DeleteRequest(ticket=Ticket(5001))
    pending = row(orderType="BuyLimit", state="Cancelled")
    assert DIALECT.deleted(body(pending), request).ticket == 5001
    with pytest.raises(Unreadable):
        DIALECT.deleted(body(row(state="Started", closeLots=0.1)), request)


def test_a_modify_always_sends_both_levels() -> None:
    _, params = DIALECT.modify_call(
        ModifyRequest(ticket=Ticket(1), stop_loss=None, take_profit=None, price=Decimal("1.1"),
                      stop_limit_price=Decimal("1.2"), expires_at_broker=datetime(2026, 1, 2, 3, 4))
    )  # fmt: skip
    assert params == {
        "ticket": 1, "stoploss": "0", "takeprofit": "0", "price": "1.1", "stoplimit": "1.2",
        "expiration": "2026-01-02T03:04:00", "expirationType": "Specified",
    }  # fmt: skip


def test_terms_of_trade_and_what_is_not_told() -> None:
    raw = body({
        "symbol": "XAUUSD",
        "symbolInfo": {"digits": 2, "points": 0.01, "contractSize": 100, "profitCurrency": "USD"},
        "symbolGroup": {"minLots": 0.01, "maxLots": 200, "lotsStep": 0.01, "tradeMode": 3},
    })  # fmt: skip
    spec = DIALECT.spec("XAUUSD", raw)
    assert (spec.point, spec.tick_size, spec.trade_mode) == (
        Decimal("0.01"), Decimal("0.01"), TradeMode.CLOSE_ONLY,
    )  # fmt: skip
    assert (spec.tick_value, spec.margin_currency, spec.volume_limit, spec.calculation) == (
        None,
    ) * 4
    assert (spec.stops_level_points, spec.freeze_level_points) == (0, 0)


def test_a_symbol_whose_point_is_told_as_none_has_that_of_its_digits() -> None:
    """Stop levels are counted in it, and slippage is divided by it."""
    spec = DIALECT.spec("XAUUSD", body({
        "symbolInfo": {"digits": 2, "points": 0, "contractSize": 100, "tickSize": 0},
        "symbolGroup": {"minLots": 0.01, "maxLots": 200, "lotsStep": 0.01},
    }))  # fmt: skip
    assert (spec.point, spec.tick_size) == (Decimal("0.01"), Decimal("0.01"))


@pytest.mark.parametrize(
    ("method", "mode"),
    [("Hedging", Mode.HEDGING), ("Netting", Mode.NETTING), ("Default", Mode.NETTING)],
)
def test_default_is_netting(method: str, mode: Mode) -> None:
    summary = Summary(balance=Decimal(1), equity=Decimal(1), currency="USD", method=method)
    who = Credentials(server="S", login=1, password="x")
    assert DIALECT.info(summary, Details(user=1), who).mode is mode
