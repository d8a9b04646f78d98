"""Closings whose figures history owed when their account was removed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from copypro.messages import OrderEvent, PositionReduced
from copypro.trading import ClosedOrder
from copypro.values import Lots
from msgspec.structs import replace

from copypro_account_watcher.seen.book import Book, Root
from copypro_account_watcher.seen.made import with_row


def owed_closings(
    book: Book, closed: Iterable[ClosedOrder]
) -> Iterable[tuple[tuple[object, ...], OrderEvent]]:
    """What was told without its figures before the account was removed, told again with them where one
    row alone can be its own. Nothing but its money is news.
    """
    rows = list(closed)
    for owed in book.owed if book.since_utc is not None else ():
        its_own = [row for row in rows if owed.is_of(row)]
        filled = with_row([owed.made], its_own[0]) if len(its_own) == 1 else None
        if filled is None:
            continue
        told, root = filled[0].told, book.roots.get(owed.made.told.root)
        if isinstance(told, PositionReduced):
            left, ever = (Decimal(0), told.ever_lots) if root is None else _volume(root)
            told = replace(told, open_lots=left, ever_lots=ever)
        elif root is not None:
            continue  # it stands after all
        book.owed = tuple(other for other in book.owed if other is not owed)
        yield ("late", told.root, told.deal.ticket), told


def _volume(root: Root) -> tuple[Lots, Lots]:
    return root.open_lots, root.ever_lots
