"""MT4's chains of tickets: a partial close ends the ticket, and the rest goes on under a new one.

Old and new belong together by `to #`/`from #` in the comments where they are left, else by what a
new ticket keeps: symbol, side, open price, open time, magic. The closed lots alone tell a
partial close from a full one. Either half may be seen first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from copypro.messages import Seen
from copypro.trading import ClosedOrder, OpenOrder
from copypro.values import Lots, RootId, Ticket
from msgspec import structs

from copypro_account_watcher.seen import late_rows, missed, positions
from copypro_account_watcher.seen.book import Book, Root, Shape
from copypro_account_watcher.seen.evidence import (
    Piece,
    Rows,
    by_ticket,
    from_ticket,
    shape,
    to_ticket,
)
from copypro_account_watcher.seen.recording import Recording

New = dict[Ticket, OpenOrder]
# A second trade of the same shape is real only in the same second; later it is a rest.
TWIN_AFTER_S = 3.0


def settle(rec: Recording, rows: Rows, vanished: list[Root], new: New) -> None:
    """Follow each vanished ticket; what continues one is taken out of `new`."""
    if not vanished:
        return
    ended = _Ended(rec.book, rows)
    for root in sorted(vanished, key=lambda root: root.ticket):
        while _step(rec, rows, ended, root, new):
            pass


def filled(rec: Recording, rows: Rows, pending: Root, new: New) -> bool:
    """A pending order that is gone had filled if it ended as a position, or if its rest is listed:
    it is told as filled, and followed from there.
    """
    row = next(iter(rows.of_ticket(pending.ticket)), None)
    if row is not None and not row.kind.is_pending:
        order = missed.as_opened(row, row, pending.open_lots)
    else:
        rests = (order for order in new.values() if from_ticket(order.comment) == pending.ticket)
        rest = next(rests, None)
        if rest is None:
            return False
        order = structs.replace(rest, ticket=pending.ticket, lots=pending.open_lots)
    order = structs.replace(order, comment=pending.comment)
    rec.opened(order, pending.root, pending=pending, seen=Seen.MISSED)
    return True


def _step(rec: Recording, rows: Rows, ended: _Ended, root: Root, new: New) -> bool:
    """One ticket of the chain; True: its rest has a ticket of its own that has ended as well."""
    row = next((row for row in rows.of_root(root) if row.ticket == root.ticket), None)
    after = _continuation(rec, ended, root, row, new)
    if row is None:
        ended_rest = None
        if after is None and _is_told(root):
            ended_rest = _ended_rest(rows, root, root.tickets[0], root.open_lots)
        if ended_rest is not None:
            rec.book.retickets(root, ended_rest)  # its piece was told before its rest was known
            return True
        _without_row(rec, root, after, new)
        return False
    lots = _closed_lots(rec, rows, root, row, after)
    if lots is None:
        rec.missing[root.ticket] = None
        return False
    piece = Piece(row, lots)
    rest = root.open_lots - lots
    if rest <= 0:
        rec.closed(root, piece=piece)
        return False
    ended_rest = None
    if after is None or not (after.lots == rest or from_ticket(after.comment) == row.ticket):
        ended_rest = _ended_rest(rows, root, row.ticket, rest, to_ticket(row.comment))
    if ended_rest is None and after is None:
        ended_rest = to_ticket(row.comment)  # ended as well: what is listed may be left of it
    if ended_rest is not None:
        rec.reduced(root, rest, piece=piece, ticket=ended_rest)
        return True
    _partly(rec, root, piece, rest, after, new)
    return False


def _partly(
    rec: Recording, root: Root, piece: Piece, rest: Lots, after: OpenOrder | None, new: New
) -> None:
    if after is not None:
        if after.lots != rest and not _is_settled(rec, "chain", root, after):
            _hold(rec, root, after, new)  # a further partial close in between: its row comes
            return
        left = after.lots if after.lots < root.open_lots else rest
        rec.reduced(root, left, piece=piece, ticket=after.ticket)
        _taken(rec, root, after, new)
    else:
        if rec.doubts.waited("rest", root.root):
            rec.reduced(root, rest, piece=piece)
        rec.missing[root.ticket] = None


def _without_row(rec: Recording, root: Root, after: OpenOrder | None, new: New) -> None:
    if after is None:
        rec.missing[root.ticket] = None
    elif after.lots == root.open_lots:
        rec.book.retickets(root, after.ticket)  # its piece was told before the rest was seen
        rec.touch(root)
        _taken(rec, root, after, new)
    elif _is_settled(rec, "rowless", root, after):
        price = positions.price_now(rec, after)
        former = root.ticket
        rec.reduced(
            root, after.lots, piece=None, ticket=after.ticket, price=price, made_ticket=former
        )
        _taken(rec, root, after, new)
    else:
        _hold(rec, root, after, new)


def _is_settled(rec: Recording, doubt: str, root: Root, after: OpenOrder) -> bool:
    """What only looks like the rest may be left of another trade, which history tells of."""
    is_named = from_ticket(after.comment) == root.ticket
    return rec.doubts.waited(doubt, root.root) if is_named else rec.doubts.asked(doubt, root.root)


def _hold(rec: Recording, root: Root, after: OpenOrder, new: New) -> None:
    rec.missing[root.ticket] = None
    del new[after.ticket]


def _taken(rec: Recording, root: Root, after: OpenOrder, new: New) -> None:
    skipped = from_ticket(after.comment)
    if skipped is not None:
        rec.book.name(root, skipped)
    rec.levels(root, after)
    del new[after.ticket]


def _continuation(
    rec: Recording, ended: _Ended, root: Root, row: ClosedOrder | None, new: New
) -> OpenOrder | None:
    if not new:
        return None
    named = to_ticket(row.comment) if row is not None else None
    if named is not None:
        return new.get(named)
    for order in new.values():
        if from_ticket(order.comment) == root.ticket and _may_be_left(root, order.lots):
            return order
    if ended.has_rest(root.ticket):
        return None
    alike = [
        order
        for order in new.values()
        if order.ticket > root.ticket
        and shape(order) == root.shape
        and not _is_anothers(rec, root, order)
        and _may_be_left(root, ended.lots_with(order))
    ]
    # Where comments are left, what has none is a trade of its own.
    alike = [order for order in alike if from_ticket(order.comment) is not None] or alike
    if row is not None and row.lots > 0:
        rest = root.open_lots - row.lots
        alike = [order for order in alike if order.lots <= rest]
        exact = [order for order in alike if order.lots == rest]
        alike = exact or alike
    return min(alike, key=lambda order: order.ticket, default=None)


def _may_be_left(root: Root, lots: Lots) -> bool:
    """All of it, once what its present ticket closed is told."""
    return lots < root.open_lots or (_is_told(root) and lots == root.open_lots)


def _is_anothers(rec: Recording, root: Root, order: OpenOrder) -> bool:
    """By its comment the rest of a ticket of another chain, or of one before this root's; or both stood
    in the list before.
    """
    origin = from_ticket(order.comment)
    if origin is None:
        return False
    known = rec.book.by_ticket.get(origin)
    if known is not None:
        return known is not root
    return origin < root.ticket or {order.ticket, root.ticket} <= rec.book.listed


def _is_told(root: Root) -> bool:
    """What the ticket that it has now closed; where it goes on is not known yet."""
    return any(deal == root.ticket for _, deal in root.spent)


def _ended_rest(
    rows: Rows, root: Root, former: Ticket, rest: Lots, named: Ticket | None = None
) -> Ticket | None:
    """The ticket of the rest, where that has already ended too."""
    unknown = rows.unknown()
    if named is not None:
        return named if named in unknown else None
    for ticket, (other, *_) in unknown.items():
        if from_ticket(other.comment) == former:
            return ticket
    for ticket, (other, *_) in unknown.items():
        if ticket > former and shape(other) == root.shape and other.lots <= rest:
            return ticket
    return None


def _closed_lots(
    rec: Recording, rows: Rows, root: Root, row: ClosedOrder, after: OpenOrder | None
) -> Lots | None:
    """MT4 writes 0 lots on the second ticket of a close-by; the first one's, or the rest, tell."""
    if row.lots > 0:
        return row.lots
    other = by_ticket(row)
    told = None if other is None else _told_of(rec.book, rows, other)
    if told is not None:
        return min(root.open_lots, told)
    if after is not None and after.lots < root.open_lots:
        return root.open_lots - after.lots
    if other is None:
        return root.open_lots
    known = rec.book.by_ticket.get(other)
    if known is not None and known.ticket == other:
        return min(root.open_lots, known.open_lots)
    return root.open_lots if rec.doubts.waited("hedge", root.root) else None


def _told_of(book: Book, rows: Rows, ticket: Ticket) -> Lots | None:
    """What a ticket's end closed, by its row, or as it was told before."""
    of_row = next((row.lots for row in rows.of_ticket(ticket) if row.lots > 0), None)
    if of_row is not None:
        return of_row
    closed = book.closed.get(book.closed_tickets.get(ticket, RootId("")))
    if closed is None or closed.lots <= 0 or closed.tickets[-1] != ticket:
        return None
    return closed.lots


def _with_lots(book: Book, rows: Rows, row: ClosedOrder) -> ClosedOrder:
    """The second half of a close-by closed what the first one did."""
    other = by_ticket(row) if row.lots <= 0 else None
    told = None if other is None else _told_of(book, rows, other)
    return row if told is None else structs.replace(row, lots=told)


class _Ended:
    """Tickets that nobody here knows and that have ended, as their comments link them. Made once a look:
    after a long outage there are many.
    """

    def __init__(self, book: Book, rows: Rows) -> None:
        self._rows = rows
        self.of: dict[Ticket, ClosedOrder] = {}
        """By ticket, the oldest one first."""
        self._rests: dict[Ticket, list[Ticket]] = {}
        self._formers: dict[Ticket, list[Ticket]] = {}
        for ticket, (row, *_) in rows.unknown().items():
            self.of[ticket] = row = _with_lots(book, rows, row)
            origin, rest = from_ticket(row.comment), to_ticket(row.comment)
            if origin is not None:
                self._rests.setdefault(origin, []).append(ticket)
            if rest is not None:
                self._formers.setdefault(rest, []).append(ticket)

    def before(self, order: OpenOrder) -> list[ClosedOrder]:
        """Those that led to this one; oldest first."""
        chain: list[ClosedOrder] = []
        ticket, origin = order.ticket, from_ticket(order.comment)
        while True:
            named = [] if origin is None or self._went_on(origin, ticket) else [origin]
            former = self._next(chain, [*named, *self._formers.get(ticket, ())])
            if former is None:
                return chain
            chain.insert(0, former)
            ticket, origin = former.ticket, from_ticket(former.comment)

    def lots_with(self, order: OpenOrder) -> Lots:
        """This one's, and what is known to have been closed of it before."""
        return sum((row.lots for row in self.before(order)), order.lots)

    def since(self, row: ClosedOrder) -> list[ClosedOrder]:
        """This one and those that it went on as."""
        chain = [row]
        while True:
            named = to_ticket(chain[-1].comment)
            rests = [named] if named is not None else self._rests.get(chain[-1].ticket, [])
            rest = self._next(chain, rests)
            if rest is None:
                return chain
            chain.append(rest)

    def has_rest(self, former: Ticket) -> bool:
        """By its comment."""
        return former in self._rests

    def _went_on(self, ticket: Ticket, other: Ticket) -> bool:
        """As another one than this, whose comment its owner may have copied."""
        row = self.of.get(ticket)
        rest = None if row is None else to_ticket(row.comment)
        return rest is not None and rest != other

    def _next(self, chain: list[ClosedOrder], tickets: list[Ticket]) -> ClosedOrder | None:
        for ticket in tickets:
            row = self.of.get(ticket)
            if row is not None and row not in chain and self._rows.is_unknown(ticket):
                return row
        return None


def newcomers(rec: Recording, rows: Rows, new: New) -> None:
    """What is listed and continues nothing known: trades of their own, unless a comment or a
    shape says that they are the rest of something.
    """
    if not new:
        return
    ended = _Ended(rec.book, rows)
    for ticket in sorted(new):
        order = new[ticket]
        if rec.is_withheld(order) or _is_late_or_doubtful(rec, order):
            continue
        chain = ended.before(order)
        if chain and not _has_history(rec) and not rec.doubts.asked("origin", ticket):
            first = chain[0].ticket  # it may have begun earlier: history tells
            rec.missing[first] = None
            for piece in chain:
                rows.claim(piece.ticket)
        elif chain:
            missed.tell(rec, rows, RootId(str(chain[0].ticket)), chain, order)
        elif from_ticket(order.comment) is None or _may_stand_alone(rec, order):
            rec.opened(order, RootId(str(ticket)))


def _is_late_or_doubtful(rec: Recording, order: OpenOrder) -> bool:
    book, look = rec.book, rec.look
    origin = from_ticket(order.comment)
    if origin is not None:
        if origin in book.closed_tickets:
            return True
        root = book.by_ticket.get(origin)
        if root is None:
            return False
        return not rec.doubts.waited("rest first", order.ticket)
    if look.seen is Seen.BASELINE:
        return False
    of_order = shape(order)
    if any(_may_have_filled(rec, root, order) for root in book.roots.values()):
        return not rec.doubts.asked("filled", order.ticket)
    for closed in book.closed.values():
        if closed.shape == of_order and closed.tickets[0] < order.ticket < max(closed.tickets):
            return _is_in_between(rec, order)
    for root in book.roots.values():
        if root.is_pending or root.shape != of_order:
            continue
        if root.unrowed_lots and root.tickets[0] < order.ticket < root.ticket:
            return _is_in_between(rec, order)
        if order.ticket < root.tickets[0] and root.ticket in rec.missing:
            return not rec.doubts.waited("former", order.ticket)  # or from before its first look
        if root.open_lots > order.lots and root.ticket in rec.missing:
            return not rec.doubts.asked("twin", order.ticket)  # one of them is its rest
        if root.open_lots > order.lots:
            age = look.at_utc - root.first_seen_at_utc
            if age > timedelta(seconds=TWIN_AFTER_S):
                return not rec.doubts.waited("twin", order.ticket)
    return False


def _is_in_between(rec: Recording, order: OpenOrder) -> bool:
    """A late frame's ticket from the middle of a chain, which was skipped; not if it goes on standing."""
    stands = rec.doubts.waited("in between", order.ticket, rec.look.history_lag_s)
    return not stands or rec.look.seen is Seen.LIVE


def _may_have_filled(rec: Recording, root: Root, order: OpenOrder | ClosedOrder) -> bool:
    """A pending order that is gone may have filled and been closed in part, and this is its rest."""
    return (
        root.is_pending
        and root.ticket in rec.missing
        and root.ticket < order.ticket
        and order.lots < root.open_lots
        and (root.symbol, root.side, root.magic) == (order.symbol, order.kind.side, order.magic)
    )


def _may_stand_alone(rec: Recording, order: OpenOrder) -> bool:
    """The rest of a ticket that nobody knows: history may know it, for a while."""
    if rec.look.seen is Seen.BASELINE or rec.doubts.asked("origin", order.ticket):
        return True
    origin = from_ticket(order.comment)
    if origin is not None:
        rec.missing[origin] = None
    return False


def unknown_tickets(rec: Recording, rows: Rows) -> None:
    """Chains that began and ended between two looks."""
    ended = _Ended(rec.book, rows)
    pending = [root for root in rec.book.roots.values() if root.is_pending]
    for ticket, row in ended.of.items():
        if not rows.is_unknown(ticket) or _belongs_to_known(rec, rows, row):
            continue  # told as part of a chain just now, or of one that goes on
        if rec.look.withholds(ticket, row.symbol, row.kind.side):
            continue
        chain = ended.since(row)
        if to_ticket(chain[-1].comment) is not None:
            # It goes on under a ticket that is known, or that no look has shown yet.
            for piece in reversed(chain):
                _belongs_to_known(rec, rows, piece)
            continue
        origin = from_ticket(row.comment)
        if origin is None and len(chain) > 1:
            origin = ticket  # the comment that its close left tells of no former one
        if origin is not None and not _has_history(rec) and not rec.doubts.asked("origin", ticket):
            rec.missing[origin] = None
            continue
        may_be_rest = any(_may_have_filled(rec, root, row) for root in pending)
        if may_be_rest and not rec.doubts.asked("filled", ticket):
            continue
        missed.tell(rec, rows, RootId(str(ticket)), chain)


def _has_history(rec: Recording) -> bool:
    return rec.look.seen is not Seen.LIVE and bool(rec.look.closed)


def _belongs_to_known(rec: Recording, rows: Rows, row: ClosedOrder) -> bool:
    """A ticket in the middle of a chain we know the ends of: counted already, or still needed."""
    book = rec.book
    for linked in (from_ticket(row.comment), to_ticket(row.comment)):
        if linked is not None and linked in book.closed_tickets:
            closed = book.closed[book.closed_tickets[linked]]
            if _is_before(row, closed.tickets):
                late_rows.untold_part_of_closed(rec, closed, row)
            rows.use(row.ticket)
            return True
        if linked is not None and linked in book.by_ticket:
            root = book.by_ticket[linked]
            if _is_before(row, root.tickets):
                late_rows.untold_part(rec, root, row)
                rows.use(row.ticket)
            else:
                _pay(rec, rows, row, root)
            return True
    for root in book.roots.values():
        if _is_alike(row, root.shape, root.tickets) and (
            root.ticket in rec.missing or root.unrowed_lots >= row.lots > 0
        ):
            _pay(rec, rows, row, root)
            return True
    for closed in book.closed.values():
        if _is_alike(row, closed.shape, closed.tickets) and (closed.unrowed_lots >= row.lots > 0):
            late_rows.row_of_closed_came(rec, closed, row)
            rows.use(row.ticket)
            return True
    return False


def _is_alike(row: ClosedOrder, of: Shape | None, tickets: Sequence[Ticket]) -> bool:
    """It may be of a chain with these tickets: unless it went on as one beyond the next of them."""
    rest = to_ticket(row.comment)
    is_beside = rest is not None and any(row.ticket < ticket < rest for ticket in tickets)
    return of == shape(row) and row.ticket > tickets[0] and not is_beside


def _is_before(row: ClosedOrder, tickets: Sequence[Ticket]) -> bool:
    """It led to the first ticket that is known of a chain: nobody has counted it."""
    first = min(tickets)
    return row.lots > 0 and row.ticket < first == to_ticket(row.comment)


def _pay(rec: Recording, rows: Rows, row: ClosedOrder, root: Root) -> None:
    """Of what was told without rows: what comes after the ticket that it has now is not told yet."""
    if row.ticket < root.ticket and root.unrowed_lots >= row.lots > Decimal(0):
        late_rows.row_came(rec, root, row)
        rec.book.name(root, row.ticket)
        rows.use(row.ticket)
