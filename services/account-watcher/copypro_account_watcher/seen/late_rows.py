"""Rows of history for what was told without them, or never: a fact's figures come late. Pure."""

from __future__ import annotations

from decimal import Decimal

from copypro.trading import ClosedOrder, CloseReason
from copypro.values import RootId, Ticket
from msgspec.structs import replace

from copypro_account_watcher.seen import evidence
from copypro_account_watcher.seen.book import Closed, Root
from copypro_account_watcher.seen.evidence import Piece
from copypro_account_watcher.seen.looks import Fact
from copypro_account_watcher.seen.made import with_more, with_row
from copypro_account_watcher.seen.past import imported_root
from copypro_account_watcher.seen.recording import Recording


def row_came(rec: Recording, root: Root, row: ClosedOrder, *, gone: bool = False) -> None:
    """Of lots that were recorded as closed without it. What it has more was hidden by a growth."""
    hidden = max(Decimal(0), row.lots - root.unrowed_lots)
    if hidden:
        rec.took(root, Decimal(0), hidden, row.closed_at_broker, is_over=gone)
        root.unrowed_lots += hidden
        root.made = with_more(root.made, hidden)
    root.unrowed_lots -= row.lots
    rec.touch(root)
    made = with_row(root.made, row)
    if made is None:  # in the middle of a chain
        untold_part(rec, root, row, gone=gone)
        return
    root.spend(evidence.key(row))
    rec.book.name(root, row.ticket)
    root.made = list(rec.tell_whole(made, root.ticket, root.open_lots))


def untold_part(rec: Recording, root: Root, row: ClosedOrder, *, gone: bool = False) -> None:
    """What is open of it has been told without, and only of this part nobody has."""
    rec.touch(root)
    is_unseen = evidence.is_unseen(rec.book, rec.look, row, root)
    known = row.lots if is_unseen else Decimal(0)
    rec.took(root, known, row.lots, row.closed_at_broker, is_over=gone)
    piece = Piece(row, row.lots)
    message = rec.reduction(root, *rec.closing_deal(root, row.lots, piece))
    rec.late.append(Fact(("late", root.root, row.deal), message))


def row_of_closed_came(rec: Recording, closed: Closed, row: ClosedOrder) -> Closed:
    """The same of a root that is over."""
    hidden = max(Decimal(0), row.lots - closed.unrowed_lots)
    symbol, side, at = row.symbol, row.kind.side, row.closed_at_broker
    rec.moved(symbol, side, hidden, at_broker=at)
    was_reversed = any(one.told.reason is CloseReason.REVERSED for one in closed.made)
    is_reversal = evidence.reason(row) is CloseReason.REVERSED
    known = row.lots - hidden if was_reversed and not is_reversal else Decimal(0)
    rec.moved(symbol, side, -known - hidden, at_broker=at)
    made = with_row(with_more(closed.made, hidden), row)
    unrowed = closed.unrowed_lots + hidden - row.lots
    if made is None:
        after = replace(closed, unrowed_lots=unrowed)
    else:
        left = tuple(rec.tell_whole(made, closed.tickets[-1], Decimal(0)))
        spent = (*closed.spent, evidence.key(row)) if left or rec.is_mt5 else ()
        after = replace(closed, unrowed_lots=unrowed, made=left, spent=spent)
    rec.book.bury(after)
    return after


def untold_part_of_closed(rec: Recording, closed: Closed, row: ClosedOrder) -> None:
    """Told as a root by itself: what opened this one may be forgotten by whoever counts money."""
    rec.book.bury(
        replace(
            closed,
            tickets=tuple(dict.fromkeys((Ticket(row.ticket), *closed.tickets))),
            spent=(*closed.spent, evidence.key(row)),
        )
    )
    rec.moved(row.symbol, row.kind.side, row.lots, at_broker=row.closed_at_broker)
    rec.moved(row.symbol, row.kind.side, -row.lots, at_broker=row.closed_at_broker)
    part = row if closed.unfilled else replace(row, entry_cost=Decimal(0))  # told with its opening
    root = RootId(f"late:{row.ticket}:{row.deal}")
    for identity, message in imported_root(rec.book.account, root, [part], rec.look.at_utc):
        rec.late.append(Fact(tuple(map(str, identity)), message))
