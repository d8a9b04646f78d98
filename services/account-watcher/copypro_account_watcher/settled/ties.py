"""Which root of its own account a leg is, and the legs that a root is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from copypro.messages import PositionClosed, PositionReduced
from copypro.values import CopyId, Lots, RootId

from copypro_account_watcher.memory import Memory
from copypro_account_watcher.seen.book import Book
from copypro_account_watcher.state import Copy, Leg, LegStatus


def legs_of(memory: Memory, root: RootId) -> list[tuple[Copy, Leg]]:
    return [
        (copy, leg)
        for copy in memory.copies.values()
        for leg in copy.legs
        if leg.slave_root == root
    ]


def open_legs_of(memory: Memory, root: RootId) -> list[tuple[Copy, list[Leg]]]:
    """By copy; on netting a copy has several of one position."""
    of_copy: dict[CopyId, list[Leg]] = {}
    for copy, leg in legs_of(memory, root):
        if leg.status is LegStatus.OPEN:
            of_copy.setdefault(copy.copy, []).append(leg)
    return [(memory.copies[copy], legs) for copy, legs in of_copy.items()]


def lots_of(legs: Sequence[Leg]) -> Lots:
    """Of those that are live."""
    return sum((leg.lots for leg in legs if leg.is_live), Decimal(0))


def tie(book: Book, copy: Copy, leg: Leg) -> None:
    """The root that a leg is, and that root's present ticket. A netting add is (part of) the root of
    the legs that stand, whatever number its answer had; what an order that is gone had filled may be of
    one that ended as well; an order that waits is none yet.
    """
    if leg.ticket is None:
        return
    root = book.by_ticket.get(leg.ticket)
    if root is None and book.is_netting and leg.status is not LegStatus.PLACED:
        together = book.by_symbol.get(copy.symbol)
        others = {
            other.slave_root
            for other in copy.legs
            if other is not leg and (leg.is_extra or other.status is LegStatus.OPEN)
        }
        root = together if together is not None and together.root in others else None
    if root is not None and root.side is copy.side:  # netting: the other side keeps the number
        leg.slave_root, leg.ticket = root.root, root.ticket


def tie_by_ticket(memory: Memory, event: PositionReduced | PositionClosed) -> None:
    """A leg that was found under the ticket of a rest, before any look told whose rest that is."""
    for copy in memory.copies.values():
        for leg in copy.legs:
            is_free = leg.slave_root is None and leg.status is LegStatus.OPEN
            if is_free and leg.ticket == event.ticket:
                leg.slave_root = event.root
