"""Whose a listed position is. Pure.

The copy's record is the authority: under its own ticket a leg is what its status says. The tag only
answers for tickets that no leg knows.
"""

from __future__ import annotations

from collections.abc import Container, Sequence, Set
from enum import Enum

from copypro.trading import OpenOrder
from copypro.values import Ticket

from copypro_account_watcher.planned.opening import magic_of
from copypro_account_watcher.seen.book import Book, Root
from copypro_account_watcher.seen.evidence import from_ticket, shape
from copypro_account_watcher.state import Copy, Leg, LegStatus


class Claim(Enum):
    KNOWN = "a leg under its own ticket, or nothing that can be told now"
    MOVED = "the leg, under another ticket than before"
    LATE = "an open that was given up as absent"
    EXTRA = "one position too many"
    OWNERS = "a trade of the account's owner with our comment: it has not our magic number"
    REST = "what had not filled yet of a mirrored order whose filled part has ended"


def whose(order: OpenOrder, copy: Copy, leg: Leg, book: Book, listed: Container[Ticket]) -> Claim:
    """`leg` has the order's tag; `listed`: all tickets of the same list, which was asked for, and those
    whose rest is in it.
    """
    root = book.of_order(order)
    for other in copy.legs:
        if is_of(other, order, root):
            return Claim.REST if _is_rest(order, copy, other, book) else Claim.KNOWN
    if order.ticket in book.closed_tickets:
        return Claim.KNOWN  # a list from before it ended
    if copy.attempt is not None:
        return Claim.KNOWN  # its answer, or what settles it, says whose the order is
    if leg.status is LegStatus.LOST:
        return Claim.LATE
    if order.magic != magic_of(copy):
        return Claim.OWNERS
    stands = leg.status in (LegStatus.OPEN, LegStatus.LEFT)
    if stands and leg.ticket not in listed:
        return Claim.MOVED
    return Claim.EXTRA


def is_of(leg: Leg, order: OpenOrder, root: Root | None) -> bool:
    """It is, or was, (part of) this position; `root`: that of the order."""
    return leg.ticket == order.ticket or (root is not None and leg.slave_root == root.root)


def unclaimed(orders: Sequence[OpenOrder], book: Book, legs: Set[Ticket]) -> set[Ticket]:
    """Those that are no known root's and no leg's, nor the rest of one: a list shows the ticket that
    MT4 gave it before anything tells that the former one was closed in part.
    """
    known = book.tickets() | legs
    listed = {order.ticket for order in orders}
    gone = {root.shape for root in book.roots.values() if root.ticket not in listed}
    return {
        order.ticket
        for order in orders
        if order.ticket not in known
        and from_ticket(order.comment) not in known
        and shape(order) not in gone
    }


def _is_rest(order: OpenOrder, copy: Copy, leg: Leg, book: Book) -> bool:
    """MT5 lists it under the position's ticket. An order that never was a position, as far as was seen,
    stands after its deletion as well while no look told that it is gone.
    """
    is_over = leg.status is LegStatus.ENDED and copy.attempt is None and not leg.is_extra
    stands = leg.original_lots > 0 or order.ticket not in book.closed_tickets
    return order.kind.is_pending and is_over and stands
