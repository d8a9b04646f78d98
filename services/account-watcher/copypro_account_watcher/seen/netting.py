"""MT5 netting: one position a symbol, whatever ticket it has; what changed is net after − before.

Adds, reductions and reversals look alike in the bridge's frames. A lifecycle lasts from
flat to flat or to the other side; its root is `symbol:number:opening ticket`, so that it is never
met again, not even after the account was removed and added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from copypro.messages import Seen
from copypro.trading import ClosedOrder, OpenOrder
from copypro.values import RootId

from copypro_account_watcher.seen import missed, positions
from copypro_account_watcher.seen.book import Book, Change, Root
from copypro_account_watcher.seen.evidence import Piece, Rows, explain
from copypro_account_watcher.seen.recording import Recording


def settle(rec: Recording, rows: Rows, listed: Mapping[str, OpenOrder]) -> None:
    """`listed`: the positions of the look, by symbol."""
    book = rec.book
    _renamed(rec, listed)
    _never_merged(rec, rows)
    for symbol in dict.fromkeys((*book.by_symbol, *listed)):
        _symbol(rec, rows, book.by_symbol.get(symbol), listed.get(symbol))


def _renamed(rec: Recording, listed: Mapping[str, OpenOrder]) -> None:
    """A broker may give a symbol another name while positions stand: the ticket tells that it is the
    same one, which neither opened nor vanished.
    """
    book = rec.book
    for symbol, order in listed.items():
        root = book.by_ticket.get(order.ticket)
        if root is None or not book.is_netting_position(root) or symbol in book.by_symbol:
            continue
        if root.symbol not in listed:
            book.rename(root, symbol)
            rec.touch(root)


def _never_merged(rec: Recording, rows: Rows) -> None:
    """Orders that history tells to have ended without a fill: the change was another one's. One that
    filled in part has rows of its position as well.
    """
    book = rec.book
    if not book.is_netting or not rows:
        return
    for closed in [closed for closed in book.closed.values() if closed.merged]:
        ticket = closed.tickets[0]
        cancelled = rows.cancelled(ticket)
        if cancelled is not None and not rows.of_ticket(ticket):
            rec.never_merged(ticket, cancelled.symbol, cancelled.kind.side)


def filled_into(rec: Recording, gone: Sequence[Root]) -> list[Root]:
    """Of pending orders that are gone those by whose volume their symbol changed: each by itself, else
    all together. What is not certain yet keeps its change from the others.
    """
    book = rec.book
    free = {symbol: list(changes) for symbol, changes in book.deltas.items()}
    # Fewer changes may be of what was listed last.
    last_first = sorted(gone, key=lambda root: _listed_at(book, root), reverse=True)
    found: list[Root] = []
    rest: dict[str, list[Root]] = {}
    for root in last_first:
        is_settled = _changed_by(rec, [root], free)
        if is_settled:
            found.append(root)
        elif is_settled is None:
            rest.setdefault(root.symbol, []).append(root)
    for others in rest.values():
        if len(others) > 1 and _changed_by(rec, others, free):
            found += others
    return found


def _listed_at(book: Book, pending: Root) -> datetime:
    return book.listed_at.get(pending.root, pending.first_seen_at_utc)


def shows_now(rec: Recording, order: OpenOrder | None) -> bool:
    """A symbol's position as it is known: else the frame may be of before."""
    root = None if order is None else rec.book.by_symbol.get(order.symbol)
    if order is None or rec.look.seen is not Seen.LIVE:
        return True
    return root is not None and (root.ticket, root.open_lots) == (order.ticket, order.lots)


def has_its_number(rec: Recording, pending: Root) -> bool:
    """The position it became part of is shown under its number. (What became of an order of ours is
    followed by its number.)
    """
    book = rec.book
    return (
        book.is_netting and not pending.copy and book.by_ticket.get(pending.ticket) is not pending
    )


def _changed_by(
    rec: Recording, pending: Sequence[Root], free: Mapping[str, list[Change]]
) -> bool | None:
    """They became part of the position, and that change is nobody else's; None: nothing says so. One
    frame may be late, and a change from before their last listing may be another's; one from before
    they were placed is.
    """
    book, symbol = rec.book, pending[0].symbol
    placed_at = min(root.opened_at_broker for root in pending)
    known = free.get(symbol, [])
    changes = [c for c in known if c[2] is None or c[2] >= placed_at]
    lots = sum((root.open_lots * root.side.sign for root in pending), Decimal(0))
    listed = [book.listed_at[root.root] for root in pending if root.root in book.listed_at]
    later = [c for c in changes if not listed or c[1] > max(listed)]
    alike = [c for c in later if c[0] * lots > 0]
    total = sum((c[0] for c in alike), Decimal(0))
    is_whole = total == lots and not all(c[3] for c in alike)  # else another order opened it
    proved = next(([c] for c in later if c[0] == lots and not c[3]), None)
    proved = proved or (alike if is_whole else [])
    position = book.by_symbol.get(symbol)
    since = None if position is None else position.first_seen_at_utc
    of_it = [c for c in changes[-1:] if since is None or c[1] > since]  # not what opened it
    matching = proved or [c for c in of_it if c[0] == lots]
    if not matching and abs(total) > abs(lots):
        matching = alike  # with something else beside it, which no list showed apart
    if not matching:
        return None
    name = "+".join(root.root for root in pending)
    stood = rec.doubts.stood("merged", name)
    is_certain = bool(proved) and (stood or rec.look.seen is not Seen.LIVE)
    if not rec.doubts.waited("merged", name) and not is_certain:
        for change in proved:
            known.remove(change)
        return False if proved else None
    left = sum((c[0] for c in matching), -lots)
    for changes in (known, book.deltas[symbol]):
        for change in matching:
            changes.remove(change)
        if left:
            changes.append((left, *matching[-1][1:]))
    return True


def _symbol(rec: Recording, rows: Rows, root: Root | None, order: OpenOrder | None) -> None:
    if order is not None and _is_former(rec, root, order):
        order = None  # a late frame's position of a lifecycle that is over
        if root is not None:
            rec.missing[root.ticket] = None
            return
    if order is None:
        if root is not None and rec.look.whole:
            _gone(rec, rows, root)
    elif root is None:
        _opened(rec, rows, order)
    elif order.kind.side is not root.side:
        _flipped(rec, rows, root, order)
    else:
        _same_side(rec, rows, root, order)


def _ended(
    rec: Recording, rows: Rows, root: Root, pieces: Sequence[Piece], after: OpenOrder | None
) -> None:
    its_own = [row for row in rows.symbol_rows(root) if rows.is_within(row, root)]
    others = positions.besides(_before(its_own, after), pieces)
    positions.told_late(rec, rows, others, root, gone=True)
    rec.closed_in_pieces(root, pieces)


def _opened(rec: Recording, rows: Rows, order: OpenOrder) -> None:
    book = rec.book
    pending = book.filled_by(order)
    if pending is None and rec.is_withheld(order):
        return
    life = book.lifecycle(order.symbol)
    if pending is not None:
        root_id = pending.root
    else:
        life.count += 1
        root_id = RootId(f"{order.symbol}:{life.count}:{order.ticket}")
    pieces = [] if book.is_over(order.ticket) else rows.with_list(order)
    rec.never_merged(order.ticket, order.symbol, order.kind.side)
    if pieces:
        missed.tell(rec, rows, root_id, pieces, order, pending)
        return
    root = rec.opened(order, root_id, pending=pending)
    root.rows_until = life.rows_until


def _same_side(rec: Recording, rows: Rows, root: Root, order: OpenOrder) -> None:
    if order.ticket != root.ticket and not _is_the_same(root, order):
        pieces = _closing_pieces(rec, rows, root, order)
        if pieces is not None:
            _ended(rec, rows, root, pieces, order)
            _opened(rec, rows, order)
            return
        doubt = f"{root.root}/{order.ticket}"
        is_fill = rec.book.filled_by(order) is not None
        is_over = rec.doubts.waited if is_fill else rec.doubts.asked
        if not is_over("re-ticketed", doubt):
            rec.missing[root.ticket] = None
            return
        if is_fill:
            # A pending order's fill is the symbol's one position now: the former is gone.
            rec.closed(root, piece=None, price=positions.price_now(rec, order))
            _opened(rec, rows, order)
            return
    if order.ticket not in root.tickets:
        rec.book.retickets(root, order.ticket)
        rec.touch(root)
    positions.volume(rec, rows, rows.symbol_rows(root), root, order)
    rec.levels(root, order)


def _flipped(rec: Recording, rows: Rows, root: Root, order: OpenOrder) -> None:
    """The old lifecycle closes, then the excess opens as a new one."""
    pieces = _closing_pieces(rec, rows, root, order)
    if pieces is not None:
        _ended(rec, rows, root, pieces, order)
    elif rec.doubts.waited("flipped", f"{root.root}/{order.ticket}"):
        positions.reversed_by(rec, root, order)
    else:
        rec.missing[root.ticket] = None
        return
    _opened(rec, rows, order)


def _gone(rec: Recording, rows: Rows, root: Root) -> None:
    pieces = _closing_pieces(rec, rows, root, None)
    if pieces is not None:
        _ended(rec, rows, root, pieces, None)
    else:
        rec.missing[root.ticket] = None


def _closing_pieces(
    rec: Recording, rows: Rows, root: Root, after: OpenOrder | None
) -> list[Piece] | None:
    """Rows that closed it all: under its own numbers, else what the symbol closed before `after`. A
    frame's row of a position that opened later is of the next lifecycle: only history tells whether
    there was one.
    """
    rec.doubts.keeps("owed", root.root)
    rec.doubts.keeps("less", root.root)
    of_symbol = rows.that_may_end(rows.symbol_rows(root))
    own = [row for row in of_symbol if row.ticket in root.tickets or row.ticket == root.identifier]
    of_symbol = [
        row
        for row in of_symbol
        if row in own or row.opened_at_broker <= root.opened_at_broker or rows.is_of_history(row)
    ]
    before = _before(of_symbol, after)
    for found in (_before(own, after), own, before, of_symbol):
        pieces = explain(found, root.open_lots, gone=True) if found else None
        if pieces is not None:
            is_short = after is None
            is_proof = positions.is_proof(rec, of_symbol, pieces, root, is_short=is_short)
            return pieces if is_proof else None
    return positions.all_that_is_told(rec, rows, _before(own, after), root)


def _before(rows: list[ClosedOrder], after: OpenOrder | None) -> list[ClosedOrder]:
    if after is None:
        return rows
    return [row for row in rows if row.closed_at_broker <= after.opened_at_broker]


def _is_the_same(root: Root, order: OpenOrder) -> bool:
    """A bridge may show the position under its latest deal's ticket; its open time stays."""
    if order.identifier is not None and order.identifier == root.identifier:
        return True
    return order.ticket in root.tickets or order.opened_at_broker == root.opened_at_broker


def _is_former(rec: Recording, root: Root | None, order: OpenOrder) -> bool:
    """Its number is that of what is over; of an order that was taken for merged only a list, which is
    not late, shows that it stands. Or it opened before what is over had ended.
    """
    if root is None and rec.look.seen is Seen.LIVE and _is_of_before(rec, order):
        return True
    if order.ticket not in rec.book.closed_tickets:
        return False
    if root is not None and order.ticket in root.tickets:
        return False
    if rec.book.is_over(order.ticket):
        return True
    if root is not None and _is_the_same(root, order):
        return False
    if rec.look.seen is Seen.LIVE:
        rec.missing[order.ticket] = None
        return True
    return False


def _is_of_before(rec: Recording, order: OpenOrder) -> bool:
    """By its time and its number: in autumn a clock goes through an hour twice, and an order that waited
    has an old number. Times may be told in whole seconds.
    """
    book, life = rec.book, rec.book.lifecycle(order.symbol)
    if life.rows_until is None or order.ticket in book.by_ticket:
        return False
    if order.opened_at_broker >= life.rows_until[0].replace(microsecond=0):
        return False
    name = f"{order.symbol}:{life.count}:"
    over = (closed for closed in book.closed.values() if closed.root.startswith(name))
    return any(order.ticket < min(closed.tickets) for closed in over)
