"""mt5rest's orders, deals, history and frames in our words. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import msgspec

from copypro.adapters.bridge_json import (
    EPOCH,
    ROWS_KEPT,
    ZERO,
    decoded,
    digits_or_none,
    figures_of,
    moment_or_none,
    price_or_none,
    tidy_lots,
    utc_or_none,
)
from copypro.adapters.mt5_json import (
    DEAL_KINDS,
    DIRECTIONS,
    ENDED_UNFILLED,
    KINDS,
    OPERATIONS,
    PLACED,
    Deal,
    Order,
    Update,
    frame_data,
    order,
    page,
    rows,
)
from copypro.trading import (
    BalanceOperation,
    ClosedOrder,
    CloseReason,
    History,
    OpenOrder,
    OrdersSeen,
)
from copypro.values import Lots, Ticket

DAY = timedelta(days=1)
_PENDING_GONE = frozenset({"PendingClose", "Expired", "Rejected"})
_WHOLE = {
    "MarketClose": CloseReason.UNKNOWN,
    "OnStopLoss": CloseReason.STOP_LOSS,
    "OnTakeProfit": CloseReason.TAKE_PROFIT,
    "OnStopOut": CloseReason.STOP_OUT,
    "MarketCloseBy": CloseReason.CLOSE_BY,
}


def open_orders(body: bytes) -> tuple[OpenOrder, ...]:
    """Errors: Unreadable; an error object in the list's place is no empty list."""
    return _listed(decoded(rows, body))


def frame(body: bytes) -> OrdersSeen:
    """Of the data of an OrderUpdate. Errors: Unreadable."""
    data = decoded(frame_data, body)
    closed, paid = _proofs(data.update)
    return OrdersSeen(
        orders=_listed(data.opened_orders),
        figures=figures_of(data),
        closed=closed,
        operation=paid,
    )


def _hint(update: Update) -> str:
    return str(update.type or "")


def _proofs(update: Update | None) -> tuple[ClosedOrder | None, BalanceOperation | None]:
    if update is None or update.order is None:
        return None, None
    return _evidence(update, _hint(update)), operation(update.order)


def history(body: bytes) -> tuple[History, bool]:
    """The rows, and whether there is more to fetch (action 14). Errors: Unreadable."""
    found_page = decoded(page, body)
    closed: list[ClosedOrder] = []
    operations: list[BalanceOperation] = []
    for row in found_page.orders:
        found = operation(row)
        if found is not None:
            operations.append(found)
        elif row.order_type in KINDS:
            closed.extend(closed_pieces(row))
    more = found_page.action == 14 or found_page.partial_response
    return History(closed=tuple(closed), operations=tuple(operations)), more


def _listed(found: list[msgspec.Raw]) -> tuple[OpenOrder, ...]:
    listed = (_listed_row(bytes(row)) for row in found)
    return tuple(order for order in listed if order is not None)


@lru_cache(maxsize=ROWS_KEPT)
def _listed_row(body: bytes) -> OpenOrder | None:
    """None: no order. Each frame has the whole list, of which mostly one row is new."""
    row = decoded(order, body)
    return None if row.order_type not in KINDS or _is_no_position(row) else _open(row)


def _is_no_position(row: Order) -> bool:
    """A market order on its way: listed as Buy or Sell, but still an order without a deal. Or one of
    no lots, of which nothing is open: whether it closed, and how much of it, only a deal tells.
    """
    if KINDS[row.order_type].is_pending:
        return False
    is_on_its_way = row.order_internal is not None and row.deal_internal_in is None
    return tidy_lots(row.lots) <= 0 or (is_on_its_way and row.state_name != "Filled")


def _open(row: Order) -> OpenOrder:
    deal = row.deal_internal_in
    return OpenOrder(
        ticket=Ticket(row.ticket),
        symbol=row.symbol or "",
        kind=KINDS[row.order_type],
        lots=tidy_lots(row.lots),
        open_price=row.open_price,
        opened_at_broker=moment_or_none(row.open_time) or EPOCH,
        opened_at_utc=utc_or_none(row.open_timestamp_utc),
        stop_loss=price_or_none(row.stop_loss),
        take_profit=price_or_none(row.take_profit),
        stop_limit_price=price_or_none(row.stop_limit_price),
        expires_at_broker=moment_or_none(row.expiration_time),
        magic=row.expert_id,
        comment=row.comment or "",
        # A deal's position is the identifier that stays when the server changes the ticket.
        identifier=(deal.position_ticket or None) if deal is not None else None,
        market_price=price_or_none(row.close_price),
        profit=row.profit,
        swap=row.swap,
        commission=row.commission,
        contract_size=row.contract_size or None,
        digits=digits_or_none(row.digits) or None,
        deal=(deal.ticket_number or None) if deal is not None else None,
    )


def operation(row: Order) -> BalanceOperation | None:
    """A deposit, credit, charge …; None for a trade. The deal's type says more than the order's."""
    kind = DEAL_KINDS.get(row.deal_type, "")
    is_trade = kind in ("", "DealBuy", "DealSell", "CanceledBuy", "CanceledSell")
    if is_trade:
        kind = OPERATIONS.get(row.order_type, "")
    if not kind:
        return None
    time = moment_or_none(row.open_time) or moment_or_none(row.close_time) or EPOCH
    deal = row.deal_internal_in or row.deal_internal_out
    amount = row.profit or (deal.profit if deal is not None else ZERO)
    return BalanceOperation(
        ticket=Ticket(row.ticket),
        kind=kind,
        amount=amount,
        time_broker=time,
        comment=row.comment or "",
    )


# --- what was closed --------------------------------------------------------------------------


def closed_pieces(row: Order) -> list[ClosedOrder]:
    """One per closing deal where the bridge lists them, else one for the whole row."""
    if row.state_name in ENDED_UNFILLED or KINDS[row.order_type].is_pending:
        return [_cancelled(row)]
    deals = {deal.ticket_number: deal for deal in row.partial_close_deals or ()}
    if row.deal_internal_out is not None:
        deals[row.deal_internal_out.ticket_number] = row.deal_internal_out
    if len(deals) > 1:
        first = min(deals)
        return [
            _piece(row, deal, deal.traded_lots, opening=number == first)
            for number, deal in sorted(deals.items())
        ]
    deal = next(iter(deals.values()), None)
    if deal is not None and not (row.lots or row.close_lots or row.profit):
        return [_piece(row, deal, deal.traded_lots, opening=True)]
    return [_whole(row, deal)]


def _cancelled(row: Order, *, is_expired: bool = False) -> ClosedOrder:
    """A pending order that ended without a fill, or what had not filled of it."""
    piece = _piece(row, None, row.lots)
    is_expired = is_expired or row.state_name == "Expired"
    return msgspec.structs.replace(piece, cancelled=True, expired=is_expired)


def _evidence(update: Update, hint: str) -> ClosedOrder | None:
    """What this frame proves to be closed. Only its own deal says how much that was: `closeLots` may
    count earlier pieces too, also where the bridge lists none of them.
    """
    row = update.order
    if row is None or row.order_type not in KINDS:
        return None
    if hint in _PENDING_GONE:
        if not KINDS[row.order_type].is_pending:
            return None  # the closing order of a position, not the position
        return _cancelled(row, is_expired=hint == "Expired")
    deal = _closing_deal(update, row)
    if hint == "PartialClose":
        return None if deal is None else _piece(row, deal, deal.traded_lots)
    if hint == "MarketOpen" and update.deal is not None:
        # Netting calls a reduction an open; only its deal tells that something was closed.
        reduces = DIRECTIONS.get(update.deal.direction) == "Out"
        return _piece(row, update.deal, update.deal.traded_lots) if reduces else None
    if hint not in _WHOLE:
        return None
    traded = deal.traded_lots if deal is not None else ZERO
    is_last_piece = 0 < traded < (row.close_lots or row.lots)
    if deal is not None and traded and (row.partial_close_deals or (is_last_piece and deal.price)):
        piece = _piece(row, deal, traded)
    else:
        piece = _whole(row, deal)
    if is_last_piece:
        piece = msgspec.structs.replace(piece, lots=tidy_lots(traded))
    reason = _WHOLE[hint]
    return msgspec.structs.replace(
        piece,
        reason=piece.reason if reason is CloseReason.UNKNOWN else reason,
        by_ticket=update.close_by_ticket or None,
    )


def _closing_deal(update: Update, row: Order) -> Deal | None:
    deal = update.deal
    if deal is not None and DIRECTIONS.get(deal.direction, "In") != "In" and deal.ticket_number:
        return deal
    if row.deal_internal_out is not None and row.deal_internal_out.ticket_number:
        return row.deal_internal_out
    return max(row.partial_close_deals or (), key=lambda piece: piece.ticket_number, default=None)


def _whole(row: Order, deal: Deal | None) -> ClosedOrder:
    """The row's own figures, where it has them; the deal fills the gaps."""
    lots = row.close_lots or row.lots or (deal.traded_lots if deal is not None else ZERO)
    piece = _piece(row, deal, lots, opening=True)
    own, cost = deal or Deal(), row.deal_internal_in or Deal()
    if row.profit or deal is None:
        piece = msgspec.structs.replace(
            piece,
            profit=row.profit,
            swap=row.swap,
            commission=_closing(row.commission, own.commission, cost.commission),
            fee=_closing(row.fee, own.fee, cost.fee),
            close_price=row.close_price or piece.close_price,
        )
    return piece


def _closing(whole: Decimal, own: Decimal, entry: Decimal) -> Decimal:
    """Of what a row says that its position cost, the part of its closing deal: bridges write the
    whole, or the closing deal's alone.
    """
    return whole if whole == own else whole - entry


def _piece(
    row: Order,
    deal: Deal | None,
    lots: Lots,
    *,
    opening: bool = False,
) -> ClosedOrder:
    """`opening`: this piece tells what the opening deal cost."""
    own = deal or Deal()
    cost = (row.deal_internal_in or Deal()) if opening else Deal()
    at_broker, at_utc = _ended(row, deal)
    return ClosedOrder(
        ticket=Ticket(row.ticket),
        deal=own.ticket_number or row.ticket,
        symbol=row.symbol or "",
        kind=KINDS[row.order_type],
        lots=tidy_lots(lots),
        open_price=row.open_price,
        close_price=own.price or own.open_price or row.close_price,
        opened_at_broker=moment_or_none(row.open_time) or EPOCH,
        closed_at_broker=at_broker,
        opened_at_utc=utc_or_none(row.open_timestamp_utc),
        closed_at_utc=at_utc,
        stop_loss=price_or_none(row.stop_loss),
        take_profit=price_or_none(row.take_profit),
        profit=own.profit,
        swap=own.swap,
        commission=own.commission,
        fee=own.fee,
        entry_cost=cost.commission + cost.fee,
        magic=row.expert_id,
        comment=row.comment or row.close_comment or "",
        reason=_reason(row, own),
        identifier=own.position_ticket if own.position_ticket not in (0, row.ticket) else None,
    )


def _ended(row: Order, deal: Deal | None) -> tuple[datetime, datetime | None]:
    """A deal's own time where it gives one; on the broker's clock by the row's own offset."""
    closed = moment_or_none(row.close_time)
    closed_utc = utc_or_none(row.close_timestamp_utc)
    if deal is not None:
        at = moment_or_none(deal.open_time_as_date_time)
        if at is not None:
            offset = closed - closed_utc.replace(tzinfo=None) if closed and closed_utc else None
            if offset is None or abs(offset) >= DAY:  # of no clock there is
                return at, None
            return at, (at - offset).replace(tzinfo=UTC)
    return closed or EPOCH, closed_utc


def _reason(row: Order, deal: Deal) -> CloseReason:
    direction = DIRECTIONS.get(deal.direction)
    if direction == "OutBy":
        return CloseReason.CLOSE_BY
    if direction == "InOut":
        return CloseReason.REVERSED
    comment = (row.close_comment or deal.comment or "").lower()
    if comment.startswith("[sl"):
        return CloseReason.STOP_LOSS
    if comment.startswith("[tp"):
        return CloseReason.TAKE_PROFIT
    if comment.startswith(("[so", "so:")):
        return CloseReason.STOP_OUT
    return PLACED.get(deal.placed_type, CloseReason.UNKNOWN)
