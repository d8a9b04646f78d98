"""What a listed position shows against what is known of it: volume and levels. Any platform."""

from __future__ import annotations

from copypro.messages import Seen
from copypro.trading import ClosedOrder, CloseReason, OpenOrder
from copypro.values import Price

from copypro_account_watcher.book import Root
from copypro_account_watcher.evidence import explain, is_late, is_unseen, key
from copypro_account_watcher.recording import Recording


def volume(rec: Recording, rows: list[ClosedOrder], root: Root, order: OpenOrder) -> None:
    if order.lots > root.open_lots:
        _grown(rec, root, order)
    elif order.lots < root.open_lots:
        _shrunk(rec, rows, root, order)
    elif root.unrowed_lots:
        counted(rec, rows, root)


def counted(rec: Recording, rows: list[ClosedOrder], root: Root) -> None:
    """The rows of what was told without them come late: they prove nothing more, or a short list
    beside them would close what is still open.
    """
    for row in rows:
        if is_late(rec.book, rec.look, row, root.unrowed_lots):
            rec.row_came(root, row)


def closed_unseen(rec: Recording, rows: list[ClosedOrder], root: Root) -> None:
    """Parts that were closed between its opening and the list that showed it first: nobody knew then
    that there was more of it.
    """
    for row in rows:
        if row.lots > 0 and is_unseen(rec.book, rec.look, row, root):
            rec.untold_part(root, row)


def gone(rec: Recording, rows: list[ClosedOrder], root: Root) -> bool:
    """Not in a whole list: closed if rows prove it for all its lots; else it is only missing."""
    pieces = explain(rows, root.open_lots, gone=True, so_far=root.ever_lots)
    if pieces is None:
        rec.missing[root.ticket] = None
        return False
    others = [row for row in rows if all(row is not piece.row for piece in pieces)]
    counted(rec, others, root)
    closed_unseen(rec, [row for row in others if key(row) not in root.spent], root)
    rec.closed_in_pieces(root, pieces)
    return True


def _grown(rec: Recording, root: Root, order: OpenOrder) -> None:
    """A frame that shows a former volume is late, unless it stays that way: one that was seen, or one
    that was missed, since what is added has a deal of its own.
    """
    is_as_before = order.deal is not None and order.deal == root.deal
    is_former = (order.lots, order.open_price) in root.past or is_as_before
    is_late = rec.look.seen is Seen.LIVE and is_former
    if is_late and not rec.waited("grown", root.root):
        rec.missing[root.ticket] = None
        return
    rec.increased(root, order.lots, order)


def _shrunk(rec: Recording, rows: list[ClosedOrder], root: Root, order: OpenOrder) -> None:
    """The list is proof by itself; its deal is waited for, and made up if it does not come."""
    closed, so_far = root.open_lots - order.lots, root.ever_lots - order.lots
    live = rec.look.seen is Seen.LIVE
    pieces = explain(rows, closed, gone=False, so_far=so_far, live=live)
    if pieces is not None:
        for piece in pieces:
            rec.reduced(root, root.open_lots - piece.lots, piece=piece)
    elif rec.waited("shrunk", root.root):
        rec.reduced(root, order.lots, piece=None, price=price_now(rec, order))
    else:
        rec.missing[root.ticket] = None
        return
    root.open_price = order.open_price


def price_now(rec: Recording, order: OpenOrder) -> Price:
    """The nearest thing to a closing price that a list and a look can tell."""
    if order.market_price is not None:
        return order.market_price
    context = rec.look.contexts.get(order.symbol)
    if context is not None and context.quote is not None:
        return context.quote.to_close(order.kind.side)
    return order.open_price


def reversed_by(rec: Recording, root: Root, order: OpenOrder) -> None:
    """Netting: the deal that opened the other side closed this one, at its price."""
    rec.closed(root, piece=None, price=order.open_price, reason=CloseReason.REVERSED)
