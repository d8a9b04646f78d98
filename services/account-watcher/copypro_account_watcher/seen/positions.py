"""What a listed position shows against what is known of it: volume and levels. Any platform."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from copypro.messages import Seen
from copypro.trading import ClosedOrder, CloseReason, OpenOrder
from copypro.values import Price

from copypro_account_watcher.seen import late_rows
from copypro_account_watcher.seen.book import Root
from copypro_account_watcher.seen.evidence import (
    Piece,
    Rows,
    closed_at_utc,
    explain,
    is_late,
    is_unseen,
    name,
)
from copypro_account_watcher.seen.recording import Recording


def volume(
    rec: Recording, rows: Rows, ended: list[ClosedOrder], root: Root, order: OpenOrder
) -> None:
    """`ended`: the rows that may be of this root."""
    if order.lots > root.open_lots:
        _grown(rec, rows, ended, root, order)
    elif order.lots < root.open_lots:
        _shrunk(rec, rows, ended, root, order)
    else:
        told_late(rec, rows, ended, root)
        if order.open_price != root.open_price and rec.look.seen is not Seen.LIVE:
            root.open_price = order.open_price  # as much was added as was closed
            rec.touch(root)
    if rec.look.seen is not Seen.LIVE and order.lots == root.open_lots:
        root.unproved_lots = Decimal(0)


def told_late(
    rec: Recording, rows: Rows, ended: list[ClosedOrder], root: Root, *, gone: bool = False
) -> None:
    """Rows of what was told without them, and of what no look showed: they prove nothing more, or a
    short list beside them would close what is still open.
    """
    ended = ended if gone else rows.that_are_parts(ended)
    unseen = [row for row in ended if is_unseen(rec.book, rec.look, row, root)]
    rec.doubts.keeps_all("hidden")
    for row in (*(row for row in ended if row not in unseen), *unseen):
        is_untold = rows.is_untold(row, root)
        is_untold = is_untold and (row in unseen or _had_its_list(rec, row, root, gone=gone))
        is_hidden = is_untold and row not in unseen and root.unrowed_lots > 0
        if is_hidden or is_late(rec.book, rec.look, row, root.unrowed_lots):
            late_rows.row_came(rec, root, row, gone=gone)
        elif is_untold:
            late_rows.untold_part(rec, root, row, gone=gone)


def _had_its_list(rec: Recording, row: ClosedOrder, root: Root, *, gone: bool) -> bool:
    """A list that shows less for this row would be here by now: by the row's time or, where the broker's
    clock is ahead or nobody knows it, since history first had it. `gone`: nothing is open any more.
    """
    look = rec.look
    at = closed_at_utc(row, look.clock_offset_minutes)
    if at is not None and (gone or at + timedelta(seconds=look.row_wait_s) <= look.at_utc):
        return True
    return not gone and rec.doubts.waited("hidden", f"{root.root}/{row.deal}")


def besides(rows: Sequence[ClosedOrder], pieces: Sequence[Piece]) -> list[ClosedOrder]:
    return [row for row in rows if all(row is not piece.row for piece in pieces)]


def gone(rec: Recording, rows: Rows, root: Root) -> bool:
    """Not in a whole list: closed if rows prove it for all its lots; else it is only missing."""
    of_root = rows.of_root(root)
    ended = rows.that_may_end(of_root)
    rec.doubts.keeps("owed", root.root)
    rec.doubts.keeps("less", root.root)
    pieces = explain(ended, root.open_lots, gone=True, so_far=root.ever_lots)
    if pieces is None:
        pieces = all_that_is_told(rec, rows, ended, root)
    elif not is_proof(rec, ended, pieces, root, is_short=True):
        pieces = None
    if pieces is None:
        rec.missing[root.ticket] = None
        return False
    told_late(rec, rows, besides(of_root, pieces), root, gone=True)
    rec.closed_in_pieces(root, pieces)
    return True


def is_proof(
    rec: Recording,
    ended: Sequence[ClosedOrder],
    pieces: Sequence[Piece],
    root: Root,
    *,
    is_short: bool,
) -> bool:
    """That it is gone: not by what may be the rows of reductions that were told without any, or of what a
    growth hid beside them, unless no other row comes. `is_short`: the list, that has nothing in its
    place, may be; then not by what history has of before its first list either.
    """
    seen = _since_seen(rec, ended, root)
    is_of_before = not any(p.row in seen or name(p.row) in rec.book.ends for p in pieces)
    if is_short and is_of_before:
        return rec.doubts.asked("owed", root.root)
    owed, closed = root.unrowed_lots, _lots(seen)
    if owed <= 0 or ended[-1].lots <= 0 or closed == owed + root.open_lots:
        return True
    is_live, others = rec.look.seen is Seen.LIVE, _lots(besides(seen, pieces))
    if closed > owed + root.open_lots and (is_live or others >= owed):
        return True
    is_exact = sum(piece.lots for piece in pieces) == root.open_lots
    return (is_exact and closed > owed) or rec.doubts.asked("owed", root.root)


def all_that_is_told(
    rec: Recording, rows: Rows, ended: Sequence[ClosedOrder], root: Root
) -> list[Piece] | None:
    """Of a position that is gone: what its rows close, although more is known of it. A frame that came
    late told of a growth that never was, which no list has shown, or of a close that was taken for a
    part; history, read so much later, has no more. A part of what ever opened is no proof.
    """
    seen = _since_seen(rec, ended, root)
    owed, closed = root.unrowed_lots, _lots(seen)
    is_all = closed >= root.open_lots - root.unproved_lots
    is_all = is_all or rows.closed_lots(root) >= root.ever_lots - root.unproved_lots - owed
    if closed <= owed or not is_all or not rec.doubts.asked("less", root.root):
        return None
    return [Piece(row, row.lots) for row in seen if row.lots > 0]


def _since_seen(rec: Recording, ended: Sequence[ClosedOrder], root: Root) -> list[ClosedOrder]:
    """Without what closed before its position was first seen: by its time or, whatever the broker's clock
    is, since it came with its first list.
    """
    return [
        row
        for row in ended
        if name(row) not in rec.book.parts and not is_unseen(rec.book, rec.look, row, root)
    ]


def _lots(rows: Sequence[ClosedOrder]) -> Decimal:
    return sum((row.lots for row in rows), Decimal(0))


def _grown(
    rec: Recording, rows: Rows, ended: list[ClosedOrder], root: Root, order: OpenOrder
) -> None:
    """What shows a former volume is late, unless it stays that way: one that was seen, or one that was
    missed, since what is added has a deal of its own, and what closes a part adds nothing. In a list
    that deal is proof.
    """
    if order.ticket in rec.look.unread:
        return
    is_as_before = order.deal is not None and order.deal == root.deal
    is_part = rec.look.seen is Seen.LIVE and any(r.ticket in root.tickets for r in rec.look.closed)
    is_former = (order.lots, order.open_price) in root.past or is_as_before or is_part
    is_proved = rec.look.seen is not Seen.LIVE and order.deal is not None and not is_as_before
    if is_former and not is_proved and not rec.doubts.waited("grown", root.root):
        rec.missing[root.ticket] = None
        return
    if not is_former:
        rec.doubts.outdates("grown", root.root)
    told_late(rec, rows, ended, root)
    if rec.look.seen is Seen.LIVE:
        root.unproved_lots += order.lots - root.open_lots
    rec.increased(root, order)


def _shrunk(
    rec: Recording, rows: Rows, ended: list[ClosedOrder], root: Root, order: OpenOrder
) -> None:
    """The list is proof by itself; its deal is waited for, and made up if it does not come. A frame that
    shows a former volume and no deal is late, unless it stays that way.
    """
    closed, so_far = root.open_lots - order.lots, root.ever_lots - order.lots
    live = rec.look.seen is Seen.LIVE
    is_former = live and (order.lots, order.open_price) in root.past and not rec.look.closed
    if is_former and not rec.doubts.waited("shrunk", root.root):
        rec.missing[root.ticket] = None
        return
    pieces = explain(ended, closed, gone=False, so_far=so_far, live=live)
    if pieces is not None:
        told_late(rec, rows, besides(ended, pieces), root)
        for piece in pieces:
            rec.reduced(root, root.open_lots - piece.lots, piece=piece)
    elif rec.doubts.waited("shrunk", root.root):
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
