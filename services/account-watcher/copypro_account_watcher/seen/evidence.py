"""Rows of history as proof: which of them explain that a position shrank or is gone. Pure.

A row proves a close only together with the list: a position is closed when a list without it and
rows for all its lots are both at hand, whichever came first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

import msgspec
from copypro.messages import Seen
from copypro.trading import ClosedOrder, CloseReason, OpenOrder
from copypro.values import Lots, Platform, RootId, Ticket
from msgspec import Struct

from copypro_account_watcher.seen.book import Book, Closed, Root, RowKey, RowName, Shape
from copypro_account_watcher.seen.clock import to_broker, to_utc
from copypro_account_watcher.seen.looks import Look

_FROM = re.compile(r"from #(\d+)")
_TO = re.compile(r"to #(\d+)")
_BY = re.compile(r"close hedge by #(\d+)")
EASTERNMOST_MINUTES = 14 * 60
UNSET_YEAR = 1980


class Piece(Struct, frozen=True):
    """A row and the lots it closed, which the row itself may not know."""

    row: ClosedOrder
    lots: Lots


def key(row: ClosedOrder) -> RowKey:
    return (row.closed_at_broker, row.deal)


def name(row: ClosedOrder) -> RowName:
    """A bridge may leave out the deal's number; the ticket stands in, and only the time differs."""
    return (row.ticket, row.deal, row.closed_at_broker if row.deal == row.ticket else None)


def shape(of: ClosedOrder | OpenOrder) -> Shape:
    return (of.symbol, of.kind.side, of.open_price, of.opened_at_broker, of.magic)


def from_ticket(comment: str) -> Ticket | None:
    """MT4's `from #N`: the rest of ticket N."""
    found = _FROM.search(comment)
    return Ticket(int(found[1])) if found else None


def to_ticket(comment: str) -> Ticket | None:
    """MT4's `to #N`: the rest goes on as ticket N."""
    found = _TO.search(comment)
    return Ticket(int(found[1])) if found else None


def is_part(comment: str) -> bool:
    """Of an MT4 order that was closed in parts."""
    return from_ticket(comment) is not None or to_ticket(comment) is not None


def by_ticket(row: ClosedOrder) -> Ticket | None:
    """Of a close-by: the other ticket."""
    if row.by_ticket is not None:
        return Ticket(row.by_ticket)
    found = _BY.search(row.comment)
    return Ticket(int(found[1])) if found else None


def reason(row: ClosedOrder) -> CloseReason:
    """The bridge's reason, else what MetaTrader writes into the comment."""
    if row.reason is not CloseReason.UNKNOWN:
        return row.reason
    comment = row.comment.lower()
    if "[sl" in comment:
        return CloseReason.STOP_LOSS
    if "[tp" in comment:
        return CloseReason.TAKE_PROFIT
    if comment.startswith("so:") or "[so" in comment:
        return CloseReason.STOP_OUT
    return CloseReason.CLOSE_BY if by_ticket(row) is not None else CloseReason.UNKNOWN


def why_removed(row: ClosedOrder, comment: str, expires_at_broker: datetime | None) -> str:
    """Of a pending order: that it expired, else what its broker writes. `comment`: the order's own."""
    is_due = expires_at_broker is not None and row.closed_at_broker >= expires_at_broker
    if row.expired or is_due:
        return "expired"
    return "deleted" if row.comment in ("", comment) else row.comment


def closed_at_utc(row: ClosedOrder, offset_minutes: int | None) -> datetime | None:
    return row.closed_at_utc or to_utc(row.closed_at_broker, offset_minutes)


class Rows:
    """All rows at hand: this look's and those of earlier frames that no list has shown yet."""

    def __init__(self, book: Book, look: Look) -> None:
        self._book, self._look = book, look
        self._used: set[Ticket] = set()
        # What is listed is not over, whatever a row says: it closes when a list is without it.
        self._claimed = {order.ticket for order in look.orders}
        self._of: dict[Ticket, list[ClosedOrder]] = {}
        self._history: dict[RowName, ClosedOrder] = {}
        told = [self._of_position(row) for row in look.closed]
        if look.seen is Seen.LIVE:
            for row in told:
                waiting = book.waiting_rows.setdefault(name(row), _timed(row, look))
                if row.ticket not in self._claimed:
                    book.ends.add(name(waiting))
                elif self._is_of_first_list(row):
                    book.parts.add(name(waiting))
            rows: Iterable[ClosedOrder] = book.waiting_rows.values()
        else:
            self._history = {name(row): row for row in told}
            rows = (book.waiting_rows | self._history).values()
        for row in rows:
            if not book.was_told(row):
                self._of.setdefault(row.ticket, []).append(row)
        for group in self._of.values():
            group.sort(key=key)

    def _of_position(self, row: ClosedOrder) -> ClosedOrder:
        """Hedging: the server may have given it a ticket that no list has shown; the first one stays."""
        book, first = self._book, row.identifier
        is_known = row.ticket in book.by_ticket or row.ticket in book.closed_tickets
        if first is None or is_known or book.is_netting:
            return row
        return msgspec.structs.replace(row, ticket=Ticket(first))

    def _is_of_first_list(self, row: ClosedOrder) -> bool:
        book = self._book
        root = book.by_ticket.get(row.ticket) or book.by_symbol.get(row.symbol)
        return root is None or root.is_pending

    def __bool__(self) -> bool:
        return bool(self._of)

    def is_of_history(self, row: ClosedOrder) -> bool:
        """Not only of a frame, beside which there may be other rows that were never seen."""
        return name(row) in self._history

    def symbol_rows(self, root: Root) -> list[ClosedOrder]:
        """Netting: unspent rows of its side that have its number, whatever its symbol is called by now, or
        are of its symbol and closed within the root's life.
        """
        found = [
            row
            for group in self._of.values()
            for row in group
            if row.kind.side is root.side
            and not row.cancelled
            and (row.ticket in root.tickets or self._is_within_life(row, root))
            and _is_unspent(row, root)
        ]
        return sorted(found, key=key)

    def _is_within_life(self, row: ClosedOrder, root: Root) -> bool:
        """By its symbol, and its time, which may be the very second in which the one before it ended."""
        book, began = self._book, root.opened_at_broker
        closed = book.closed.get(book.closed_tickets.get(row.ticket, RootId("")))
        is_told = closed is not None and not _is_unspent(row, closed)
        is_of_before = row.opened_at_broker < began == row.closed_at_broker
        is_within = row.closed_at_broker >= began and not is_of_before
        return row.symbol == root.symbol and is_within and not is_told

    def of_root(self, root: Root) -> list[ClosedOrder]:
        """Unspent rows of a hedging position, by any of its tickets."""
        return sorted((row for row in self._under(root) if _is_unspent(row, root)), key=key)

    def tell_of(self, root: Root) -> bool:
        """Anything at all, by any of its tickets."""
        of = self._of
        return bool(of) and (root.identifier in of or any(ticket in of for ticket in root.tickets))

    def closed_lots(self, root: Root) -> Lots:
        """All that rows say was ever closed of it."""
        return sum((row.lots for row in self._under(root)), Decimal(0))

    def _under(self, root: Root) -> list[ClosedOrder]:
        if not self._of:
            return []
        names = [*root.tickets]
        if root.identifier is not None and root.identifier not in names:
            names.append(Ticket(root.identifier))
        return [row for ticket in names for row in self._of.get(ticket, ()) if not row.cancelled]

    def of_closed(self, closed: Closed) -> list[ClosedOrder]:
        """Unspent rows of a root that is over. On netting the next one may have its ticket."""
        found = [row for ticket in closed.tickets for row in self.of_ticket(ticket)]
        if self._book.is_netting and closed.shape is not None:
            _, side, _, since, _ = closed.shape
            found = [
                row for row in found if row.kind.side is side and row.closed_at_broker >= since
            ]
        return sorted((row for row in found if _is_unspent(row, closed)), key=key)

    def of_ticket(self, ticket: Ticket) -> list[ClosedOrder]:
        return [row for row in self._of.get(ticket, ()) if not row.cancelled]

    def with_list(self, order: OpenOrder) -> list[ClosedOrder]:
        """By history: pieces of a position seen for the first time, which its list has no more. A
        frame's row may also be of a list that we have not seen yet.
        """
        if self._look.seen is Seen.LIVE:
            return []
        return [
            row
            for row in self._of.get(order.ticket, ())
            if name(row) in self._history
            and row.lots > 0
            and not row.cancelled
            and row.kind.side is order.kind.side
        ]

    def that_may_end(self, rows: list[ClosedOrder]) -> list[ClosedOrder]:
        """Without the parts that closed before any list showed their position, while frames alone tell:
        one without the position may be of before it opened.
        """
        if self._look.seen is not Seen.LIVE:
            return rows
        return [row for row in rows if name(row) not in self._book.parts]

    def that_are_parts(self, rows: list[ClosedOrder]) -> list[ClosedOrder]:
        """MT5, of a position that is listed: a frame that lists it may be of before what a former one told
        as its end.
        """
        if self._look.seen is not Seen.LIVE or self._book.platform is Platform.MT4:
            return rows
        return [row for row in rows if name(row) not in self._book.ends]

    def tells_now(self, order: OpenOrder) -> bool:
        """A frame closes something of a position that no list has shown before, and history has not said
        how much.
        """
        return bool(self.of_ticket(order.ticket)) and not self.with_list(order)

    def is_untold(self, row: ClosedOrder, root: Root) -> bool:
        """MT5: nobody has told this part, and no list will show less for it: it closed before its position
        was first seen, or as much was added at once. Of the latter only once a list has had its time.
        """
        if row.lots <= 0 or self._book.platform is not Platform.MT5:
            return False
        if self._book.is_netting and not self.is_within(row, root):
            return False
        if is_unseen(self._book, self._look, row, root):
            return True
        return self._is_hidden(row, root)

    def untold_of_closed(self) -> Iterator[tuple[Closed, ClosedOrder]]:
        """MT5, by history: parts of positions that are over, which no look showed. A row that is not a
        number by itself, or that a closing told without rows may still need, is none.
        """
        book = self._book
        if not self._history or book.platform is not Platform.MT5:
            return
        lives: dict[Ticket, list[Closed]] = {}
        for closed in book.closed.values():
            for ticket in closed.tickets:
                lives.setdefault(ticket, []).append(closed)
        forgotten = book.forgotten_until_broker if book.is_netting else None
        for ticket in sorted(self._of.keys() & lives.keys() - book.by_ticket.keys()):
            for row in self.of_ticket(ticket):
                if (
                    row.lots > 0
                    and self.is_numbered(row)
                    and all(_has_told_all(closed, row) for closed in lives[ticket])
                    and is_under_watch(
                        book, self._look, row.closed_at_broker, forgotten, row.closed_at_utc
                    )
                ):
                    yield lives[ticket][-1], row

    def is_within(self, row: ClosedOrder, root: Root) -> bool:
        """Of this lifecycle, and of no other one that closes in its time."""
        if not self.is_of_history(row) or row.closed_at_broker < root.opened_at_broker:
            return False
        if row.ticket in root.tickets or row.ticket == root.identifier:
            return True
        is_of_another = self._book.is_over(row.ticket)
        return not is_of_another and row.opened_at_broker <= root.opened_at_broker

    def is_numbered(self, row: ClosedOrder) -> bool:
        """By history, with its deal's own number."""
        return self.is_of_history(row) and row.deal != row.ticket

    def _is_hidden(self, row: ClosedOrder, root: Root) -> bool:
        """By its number, since frames may tell of it by another time."""
        numbers = {deal for _, deal in root.spent}
        if not self.is_numbered(row) or not numbers.isdisjoint(root.tickets):
            return False
        return is_under_watch(self._book, self._look, row.closed_at_broker, None, row.closed_at_utc)

    def cancelled(self, ticket: Ticket) -> ClosedOrder | None:
        """The row that says a pending order ended without a fill."""
        return next((row for row in self._of.get(ticket, ()) if row.cancelled), None)

    def use(self, ticket: Ticket) -> None:
        """Its rows are told: they are nobody else's."""
        self._used.add(ticket)

    def claim(self, ticket: Ticket) -> None:
        """Its rows belong to what is in doubt: not told now, and kept."""
        self._claimed.add(ticket)

    def unknown(self) -> dict[Ticket, list[ClosedOrder]]:
        """Rows of positions that nobody here knows, closed under our watch: oldest ticket first."""
        found: dict[Ticket, list[ClosedOrder]] = {}
        for ticket in sorted(self._of):
            if not self.is_unknown(ticket):
                continue
            rows = [row for row in self.of_ticket(ticket) if not row.kind.is_pending]
            if ticket in self._book.closed_tickets and not all(map(self._is_its_own, rows)):
                continue
            if rows and all(self._is_under_watch(row) for row in rows):
                found[ticket] = rows
        return found

    def _is_its_own(self, row: ClosedOrder) -> bool:
        """Of an order that was taken for part of a position: by history, and not that position's, which
        may have its number.
        """
        lives = (closed.shape for closed in self._book.closed.values() if closed.shape is not None)
        is_owed = any(life[0] == row.symbol and life[3] == row.opened_at_broker for life in lives)
        return self.is_numbered(row) and not is_owed

    def is_unknown(self, ticket: Ticket) -> bool:
        """Still: nobody has told it, or needs its rows, since `unknown` was asked."""
        book = self._book
        is_known = self._is_listed(ticket) or book.is_over(ticket)
        return not is_known and ticket not in self._used and ticket not in self._claimed

    def _is_listed(self, ticket: Ticket) -> bool:
        """Netting: what was turned over before any list showed it gave its number to the other side."""
        root = self._book.by_ticket.get(ticket)
        if root is None or not self._book.is_netting_position(root):
            return root is not None
        return any(row.kind.side is root.side for row in self._of.get(ticket, ()))

    def _is_under_watch(self, row: ClosedOrder) -> bool:
        """A frame tells what happens now. History also tells what was before our time, or what
        was told so long ago that its tombstone made place for newer ones.
        """
        if name(row) in self._book.waiting_rows:
            return True
        return is_under_watch(
            self._book,
            self._look,
            row.closed_at_broker,
            self._book.forgotten_until_broker,
            row.closed_at_utc,
        )

    def tidy(self) -> None:
        """Keep of the frames' rows only those that a later list may still need."""
        book = self._book
        for row_name, row in list(book.waiting_rows.items()):
            root = book.by_ticket.get(row.ticket)
            if root is None and book.is_netting:
                root = book.by_symbol.get(row.symbol)
            is_told = root is None and (
                row.ticket in book.closed_tickets or row.ticket in self._used
            )
            is_spent = root is not None and not _is_unspent(row, root)
            if is_told or is_spent:
                del book.waiting_rows[row_name]
        while len(book.waiting_rows) > book.limits.waiting_rows:
            del book.waiting_rows[next(iter(book.waiting_rows))]
        if book.parts or book.ends:
            waiting = {name(row) for row in book.waiting_rows.values()}
            book.parts &= waiting
            book.ends &= waiting


def is_under_watch(
    book: Book,
    look: Look,
    at_broker: datetime,
    forgotten_until: datetime | None,
    at_utc: datetime | None = None,
) -> bool:
    """Of something history tells: it happened after the first look, and was not told and forgotten."""
    if look.seen in (Seen.BASELINE, Seen.IMPORTED) or book.since_utc is None:
        return False
    if forgotten_until is not None and at_broker <= forgotten_until:
        return False
    moment = at_utc or earliest_utc(at_broker, look.clock_offset_minutes)
    # MT4 tells whole seconds: the second of the first look counts as after it.
    return moment is not None and moment >= book.since_utc.replace(microsecond=0)


def is_late(book: Book, look: Look, row: ClosedOrder, unrowed: Lots) -> bool:
    """It may be of what was told without it; not of what a position had closed before the first look."""
    if not 0 < row.lots <= unrowed:
        return False
    return is_under_watch(book, look, row.closed_at_broker, None, row.closed_at_utc)


def is_unseen(book: Book, look: Look, row: ClosedOrder, root: Root) -> bool:
    """It closed under our watch and before its position was first seen."""
    if not is_under_watch(book, look, row.closed_at_broker, None, row.closed_at_utc):
        return False
    at = closed_at_utc(row, look.clock_offset_minutes)
    return at is not None and at <= root.first_seen_at_utc


def earliest_utc(at_broker: datetime, offset_minutes: int | None) -> datetime | None:
    """With the offset unknown, what it would be on the easternmost server's clock."""
    return to_utc(at_broker, EASTERNMOST_MINUTES if offset_minutes is None else offset_minutes)


def _is_unspent(row: ClosedOrder, root: Root | Closed) -> bool:
    is_by_time = row.deal == row.ticket  # the deal's number is not known: only the time tells
    until = root.rows_until
    # A clock that is put back in autumn goes through an hour twice, and numbers do not.
    if until is not None and key(row) <= until and (is_by_time or row.deal <= until[1]):
        return False
    if is_by_time:
        return key(row) not in root.spent
    return all(deal != row.deal for _, deal in root.spent)


def _has_told_all(closed: Closed, row: ClosedOrder) -> bool:
    """All that is known of it, by the numbers of its deals if it had any, and this row is not among it."""
    numbers = {deal for _, deal in closed.spent}
    is_owed = bool(closed.made) or closed.unrowed_lots > 0
    is_numbered = bool(numbers) and numbers.isdisjoint(closed.tickets)
    return not is_owed and (closed.unfilled or is_numbered) and _is_unspent(row, closed)


def _timed(row: ClosedOrder, look: Look) -> ClosedOrder:
    """A frame of a partial close may leave out when: now, then."""
    if row.closed_at_broker.year >= UNSET_YEAR:
        return row
    at = to_broker(look.at_utc, look.clock_offset_minutes) or row.opened_at_broker
    return msgspec.structs.replace(row, closed_at_broker=at)


def explain(
    rows: list[ClosedOrder],
    lots: Lots,
    *,
    gone: bool,
    so_far: Lots | None = None,
    live: bool = False,
) -> list[Piece] | None:
    """The rows that closed these lots, oldest first; None: they do not explain it (yet).

    The newest rows that add up, since history may hold older ones that were counted when the
    position was first seen; else the oldest that do, when rows came before the list they led to.
    `live`: the rows are of frames, where the latter is the likelier.
    Of a position that is gone, more than its known lots is proof as well: a growth was missed.
    `so_far`: all lots ever closed once these are; some bridges write that on the newest piece.
    """
    pieces = _with_lots(rows, lots, gone=gone)
    if lots <= 0:  # nothing was open of it: what ended it is the newest
        return pieces[-1:] or None
    oldest = _adding_up(pieces, lots)
    newest = _adding_up(pieces[::-1], lots)[::-1]
    candidates = [oldest, newest] if live else [newest, oldest]
    for found in candidates:
        if sum((piece.lots for piece in found), lots * 0) == lots:
            return found
    if pieces and so_far is not None and lots < so_far == pieces[-1].lots:
        return [Piece(pieces[-1].row, lots)]
    is_more = sum((piece.lots for piece in pieces), lots * 0) > lots
    return newest if gone and is_more else None


def _adding_up(pieces: list[Piece], lots: Lots) -> list[Piece]:
    """From the first on until these lots are reached."""
    found: list[Piece] = []
    total = lots * 0
    for piece in pieces:
        if total >= lots:
            break
        found.append(piece)
        total += piece.lots
    return found


def _with_lots(rows: list[ClosedOrder], lots: Lots, *, gone: bool) -> list[Piece]:
    """A final close whose row says 0 lots (a bridge's habit) closed whatever was left."""
    pieces = [Piece(row, row.lots) for row in rows if row.lots > 0]
    if gone and rows and rows[-1].lots <= 0:
        before = sum((piece.lots for piece in pieces), lots * 0)
        rest = lots - before if before < lots else lots
        pieces.append(Piece(rows[-1], rest))
    return pieces
