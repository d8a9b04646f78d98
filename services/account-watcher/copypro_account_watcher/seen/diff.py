"""Broker looks in, order events out: what changed on an account since the last look. Pure.

The list of open orders is the truth, frames are hints, and nothing closes without proof: a
position is closed when a whole list no longer has it *and* rows (of a frame or of history) close
all its known lots. What vanished without proof is reported as missing; the caller reads history
and looks again. A list that shows less of a position is proof by itself; its deal is waited for
(`Look.row_wait_s`) and made up if it does not come. The same look twice changes nothing.

`diff` changes the book in place; the same book and look always give the same
result. Times, contexts and limits are in the look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime

from copypro.messages import Seen
from copypro.trading import OpenOrder
from copypro.values import Mode, Platform, RootId, Ticket, tag_in
from msgspec.structs import replace

from copypro_account_watcher.seen import late_rows, missed, mt4_chain, netting, positions
from copypro_account_watcher.seen.book import Book, Root
from copypro_account_watcher.seen.evidence import Rows, is_late, is_under_watch, why_removed
from copypro_account_watcher.seen.looks import Look, Result
from copypro_account_watcher.seen.recording import Recording

Listed = dict[Ticket, OpenOrder]


def diff(book: Book, look: Look) -> Result:
    if book.since_utc is None:
        book.since_utc = look.missed_since_utc or look.at_utc
    rec, rows = Recording(book, look), Rows(book, look)
    _operations(rec)
    listed, net = _listing(book, look.orders)
    new: dict[Ticket, OpenOrder] = {}
    for order in listed.values():
        root = book.by_ticket.get(order.ticket)
        if root is None or not _is_as_known(rows, root, order):
            _compare(rec, rows, order, new)
    netting.settle(rec, rows, net)
    if look.whole:
        _vanished(rec, rows, listed, new, {order.ticket for order in net.values()})
    _newcomers(rec, rows, new, net)
    if book.platform is Platform.MT5:
        _rests(rec, rows)
    if rows:
        if book.platform is Platform.MT4:
            mt4_chain.unknown_tickets(rec, rows)
        else:
            missed.unknown_positions(rec, rows)
        _late(rec, rows)
        rows.tidy()
    rec.finish()
    book.listed = {order.ticket for order in look.orders}
    return Result(
        late=tuple(rec.late),
        facts=rec.facts(),
        changed=tuple(rec.changed),
        gone=tuple(rec.gone),
        missing=tuple(rec.missing),
        unknown_tags=_unknown_tags(book, look),
    )


def new_symbols(book: Book, orders: Iterable[OpenOrder]) -> set[str]:
    """Symbols of which the next diff may announce an open or an increase: their context must be
    in the look.
    """
    return {
        order.symbol
        for order in orders
        if is_entry(book, order)
        and not (book.of_order(order) is None and book.is_over(order.ticket))
    }


def is_entry(book: Book, order: OpenOrder) -> bool:
    """It is new, or grew, or a pending order that filled."""
    root = book.of_order(order)
    return root is None or order.lots > root.open_lots or order.kind is not root.kind


def _listing(book: Book, orders: Iterable[OpenOrder]) -> tuple[Listed, dict[str, OpenOrder]]:
    """By ticket, and netting positions by symbol. A position hides the rest of its own pending
    order, which MT5 lists under the same ticket until it is filled.
    """
    listed: Listed = {}
    net: dict[str, OpenOrder] = {}
    is_netting = book.is_netting
    for order in orders:
        if is_netting and not order.kind.is_pending:
            other = net.get(order.symbol)
            if other is None or _age(order) >= _age(other):
                net[order.symbol] = order
            continue
        former = listed.get(order.ticket)
        if former is None or former.kind.is_pending:
            listed[order.ticket] = order
    for order in net.values():
        listed.pop(order.ticket, None)
    return listed, net


def _age(order: OpenOrder) -> tuple[object, int]:
    return (order.opened_at_broker, order.ticket)


def _is_as_known(rows: Rows, root: Root, order: OpenOrder) -> bool:
    """A position of which the look tells nothing: most of a long list, most of the time."""
    return (
        order.lots == root.open_lots
        and order.ticket == root.ticket
        and order.symbol == root.symbol
        and order.kind is root.kind
        and not order.kind.is_pending
        and order.stop_loss == root.stop_loss
        and order.take_profit == root.take_profit
        and order.open_price == root.open_price
        and not root.unproved_lots
        and not rows.tell_of(root)
    )


def _compare(rec: Recording, rows: Rows, order: OpenOrder, new: Listed) -> None:
    book = rec.book
    root = book.by_ticket.get(order.ticket)
    if root is None and order.identifier is not None:
        root = book.by_ticket.get(Ticket(order.identifier))
        if root is not None and order.identifier == root.identifier:
            book.retickets(root, order.ticket)  # re-opened by the server: the identifier stays
            rec.touch(root)
    if root is None:
        if order.ticket not in book.closed_tickets:
            new[order.ticket] = order
        return
    if order.ticket != root.ticket and not root.is_pending:
        return  # a late frame's former ticket
    if order.symbol != root.symbol:
        book.rename(root, order.symbol)
        rec.touch(root)
    if root.is_pending:
        if order.kind.is_pending:
            _stands_still(rec, root)
            rec.pending_levels(root, order)
            if root.open_lots != order.lots:
                root.open_lots = root.ever_lots = order.lots
                rec.touch(root)
        elif order.ticket not in rec.look.unread:
            _filled(rec, rows, root, order)
    elif not order.kind.is_pending:
        ended = rows.of_root(root)
        if book.platform is Platform.MT4:
            ended = [row for row in ended if row.ticket != root.ticket]
        positions.volume(rec, rows, ended, root, order)
        rec.levels(root, order)


def _stands_still(rec: Recording, root: Root) -> None:
    """A pending order, unless a list was without it: a frame that has it again is late, or that list was."""
    if rec.look.seen is Seen.LIVE and rec.doubts.stood("unlisted", root.root):
        rec.doubts.waited("unlisted", root.root)
    else:
        rec.book.listed_at[root.root] = rec.look.at_utc


def _filled(rec: Recording, rows: Rows, root: Root, order: OpenOrder) -> None:
    pieces = rows.with_list(order)
    if pieces and rec.book.platform is Platform.MT5:
        missed.tell(rec, rows, root.root, pieces, order, root)
    else:
        rec.opened(order, root.root, pending=root)


def _vanished(
    rec: Recording, rows: Rows, listed: Listed, new: Listed, net: AbstractSet[Ticket]
) -> None:
    """`net`: what stands on netting. A pending order among them has filled, and is not gone. Nor does the
    rest of an order stand for the position that it became in part.
    """
    book = rec.book
    vanished = [
        root
        for root in book.roots.values()
        if not _stands(root, listed.get(root.ticket)) and not book.is_netting_position(root)
    ]
    pending = [root for root in vanished if root.is_pending]
    for root in [root for root in pending if netting.has_its_number(rec, root)]:
        pending.remove(root)
        rec.pending_removed(root, "merged", None)
    pending = [root for root in pending if root.ticket not in net]
    vanished = [root for root in vanished if not root.is_pending]
    if book.platform is Platform.MT4:
        filled = [root for root in pending if mt4_chain.filled(rec, rows, root, new)]
        pending = [root for root in pending if root not in filled]
        mt4_chain.settle(rec, rows, [*vanished, *filled], new)
    in_doubt = [root for root in pending if not _pending_gone(rec, rows, root)]
    merged = netting.filled_into(rec, in_doubt) if book.is_netting else []
    untold = {order.symbol for order in rec.look.orders if order.ticket in rec.look.unread}
    for root in in_doubt:
        if root in merged:
            # The position it became part of has grown by it: told as that root's increase.
            rec.merged(root)
        elif root.symbol not in untold:  # else what it filled into is not announced yet
            rec.doubts.waited("unlisted", root.root)
            rec.missing[root.ticket] = None
    if book.platform is Platform.MT4:
        return
    for root in vanished:
        positions.gone(rec, rows, root)


def _stands(root: Root, order: OpenOrder | None) -> bool:
    return order is not None and (root.is_pending or not order.kind.is_pending)


def _pending_gone(rec: Recording, rows: Rows, root: Root) -> bool:
    """False: no row tells what became of it."""
    cancelled = rows.cancelled(root.ticket)
    ended = rows.of_ticket(root.ticket)
    pieces = [row for row in ended if not row.kind.is_pending and row.kind.side is root.side]
    if pieces and not rows.that_may_end(pieces):
        return False
    if pieces:  # filled and closed since; what was left of it may have been cancelled as well
        missed.tell(rec, rows, root.root, pieces, None, root)
    elif cancelled is not None:
        why = why_removed(cancelled, root.comment, root.expires_at_broker)
        if 0 < cancelled.lots < root.open_lots:
            root.open_lots = cancelled.lots  # the rest had filled
        rec.pending_removed(root, why, cancelled.closed_at_broker)
    else:
        return False
    return True


def _rests(rec: Recording, rows: Rows) -> None:
    """What had not filled yet of an order whose position stands, beside it, is gone without a fill once
    the list shows the position alone, and as large as it was. An order without its position is one of
    before it filled.
    """
    pending = {order.ticket: order.lots for order in rec.look.orders if order.kind.is_pending}
    filled = {order.ticket: order.lots for order in rec.look.orders if not order.kind.is_pending}
    for root in rec.book.roots.values():
        if root.is_pending:
            continue
        if root.ticket in pending:
            if root.ticket in filled and root.rest_lots != pending[root.ticket]:
                root.rest_lots = pending[root.ticket]
                rec.touch(root)
        elif root.rest_lots and filled.get(root.ticket) == root.open_lots:
            if rec.doubts.waited("rest", root.root) and rec.look.seen is not Seen.LIVE:
                cancelled = rows.cancelled(root.ticket)
                why = "" if cancelled is None else why_removed(cancelled, root.comment, None)
                rec.rest_removed(root, why)
            else:
                rec.missing[root.ticket] = None


def _newcomers(rec: Recording, rows: Rows, new: Listed, net: Mapping[str, OpenOrder]) -> None:
    """`net`: what stands on netting, by symbol."""
    for ticket, order in list(new.items()):
        if order.kind.is_pending:
            del new[ticket]
            if not rec.is_withheld(order):
                root = rec.placed(order)
                if netting.shows_now(rec, net.get(order.symbol)):
                    rec.book.listed_at[root.root] = rec.look.at_utc
    if rec.book.platform is Platform.MT4:
        mt4_chain.newcomers(rec, rows, new)
        return
    for order in new.values():
        if rec.is_withheld(order):
            continue
        root_id = RootId(str(order.identifier or order.ticket))
        pieces = rows.with_list(order)
        if rows.tells_now(order) and not rec.doubts.waited("partly", order.ticket):
            rec.missing[order.ticket] = None  # closed in part, or wholly and the list is late
        elif pieces and rec.book.mode is Mode.HEDGING:
            missed.tell(rec, rows, root_id, pieces, order)
        else:
            rec.opened(order, root_id)


def _late(rec: Recording, rows: Rows) -> None:
    """Rows of what was told without them, of roots that are over by now."""
    for closed in [closed for closed in rec.book.closed.values() if closed.made]:
        for row in rows.of_closed(closed):
            unrowed = closed.unrowed_lots
            is_more = 0 < unrowed < row.lots and rows.is_numbered(row)  # a growth was missed
            lots = unrowed if is_more else row.lots
            if closed.made and is_late(rec.book, rec.look, replace(row, lots=lots), unrowed):
                closed = late_rows.row_of_closed_came(rec, closed, row)
    for closed, row in list(rows.untold_of_closed()):
        late_rows.untold_part_of_closed(rec, rec.book.closed[closed.root], row)


def _operations(rec: Recording) -> None:
    book, look = rec.book, rec.look
    for operation in look.operations:
        if operation.ticket in book.operations or not _is_news(rec, operation.time_broker):
            continue
        book.remember_operation(operation.ticket, operation.time_broker)
        rec.balance(operation)


def _is_news(rec: Recording, at_broker: datetime) -> bool:
    """A frame tells what happens now; history also what was before our time."""
    if rec.look.seen is Seen.LIVE:
        return True
    forgotten = rec.book.operations_forgotten_until_broker
    return is_under_watch(rec.book, rec.look, at_broker, forgotten)


def _unknown_tags(book: Book, look: Look) -> tuple[OpenOrder, ...]:
    return tuple(
        order
        for order in look.orders
        if order.comment.startswith("T")
        and order.ticket not in look.copies
        and order.ticket not in book.closed_tickets
        and tag_in(order.comment) is not None
        and not _is_copy(book, order.ticket)
    )


def _is_copy(book: Book, ticket: Ticket) -> bool:
    root = book.by_ticket.get(ticket)
    return root is not None and root.copy is not None
