"""Roots that were opened, and mostly closed as well, between two looks: history alone tells.

They are recorded with every deal, so that nothing is lost for statistics; they are `missed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from copypro.messages import Seen
from copypro.trading import ClosedOrder, OpenOrder
from copypro.values import RootId, Ticket

from copypro_account_watcher.seen.book import Root
from copypro_account_watcher.seen.evidence import Piece, Rows, is_part
from copypro_account_watcher.seen.recording import Recording


def tell(
    rec: Recording,
    rows: Rows,
    root_id: RootId,
    pieces: Sequence[ClosedOrder],
    rest: OpenOrder | None = None,
    pending: Root | None = None,
) -> Root | None:
    """The whole life of a root from its pieces, oldest first; `rest`: what is open of it now."""
    left = rest.lots if rest is not None else Decimal(0)
    total = sum((piece.lots for piece in pieces), left)
    if total <= 0:
        return None
    first = pieces[0]
    tickets = [piece.ticket for piece in pieces] + ([rest.ticket] if rest is not None else [])
    copy = next((rec.look.copies[t] for t in tickets if t in rec.look.copies), None)
    if rest is not None:
        order = msgspec.structs.replace(rest, ticket=first.ticket, lots=total)
    else:
        order = as_opened(first, pieces[-1], total)
    seen = None if rest is not None else Seen.MISSED
    root = rec.opened(order, root_id, seen=seen, pending=pending, copy=copy)
    for at, row in enumerate(pieces):
        piece = Piece(row, row.lots)
        if at == len(pieces) - 1 and rest is None:
            rec.closed(root, piece=piece, seen=Seen.MISSED)
        elif row.lots > 0:
            rec.reduced(root, root.open_lots - row.lots, piece=piece, ticket=tickets[at + 1])
        else:  # MT4's second half of a close-by: by how much the first one tells
            rec.book.retickets(root, tickets[at + 1])
        rows.use(row.ticket)
    return root


def unknown_positions(rec: Recording, rows: Rows) -> None:
    """MT5: everything of a position has its one ticket."""
    book = rec.book
    for ticket, pieces in rows.unknown().items():
        first = pieces[0]
        if rec.look.withholds(ticket, first.symbol, first.kind.side):
            continue
        if not rows.that_may_end(pieces):
            rec.missing[ticket] = None
            continue
        if not book.is_netting:
            tell(rec, rows, RootId(str(ticket)), pieces)
            continue
        open_root = book.by_symbol.get(first.symbol)
        if (
            open_root is not None
            and open_root.side is first.kind.side
            and pieces[-1].closed_at_broker > open_root.opened_at_broker
        ):
            continue  # of the position that is still open, under another of its numbers
        rec.never_merged(ticket, first.symbol, first.kind.side)
        life = book.lifecycle(first.symbol)
        life.count += 1
        tell(rec, rows, RootId(f"{first.symbol}:{life.count}:{ticket}"), pieces)


def as_opened(first: ClosedOrder, last: ClosedOrder, lots: Decimal) -> OpenOrder:
    return OpenOrder(
        ticket=Ticket(first.ticket),
        symbol=first.symbol,
        kind=first.kind,
        lots=lots,
        open_price=first.open_price,
        opened_at_broker=first.opened_at_broker,
        opened_at_utc=first.opened_at_utc,
        stop_loss=last.stop_loss,
        take_profit=last.take_profit,
        magic=first.magic,
        comment="" if is_part(first.comment) else first.comment,
    )
