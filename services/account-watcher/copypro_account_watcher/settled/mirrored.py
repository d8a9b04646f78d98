"""What becomes of a mirrored pending order: it fills, by itself or into a position, or it is gone. Pure."""

from __future__ import annotations

from decimal import Decimal

from copypro.messages import CopyOpened, CopyPendingRemoved, PositionOpened
from copypro.trading import Done, OpenOrder
from copypro.values import AttemptId, Lots, Ticket
from msgspec.structs import replace

from copypro_account_watcher.alerts import raise_alert
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.accepting import about
from copypro_account_watcher.seen.book import Book
from copypro_account_watcher.settled.outcomes import filled_in_part
from copypro_account_watcher.settled.ties import lots_of
from copypro_account_watcher.state import Copy, Leg, LegStatus
from copypro_account_watcher.turn import Turn


def pending_filled(
    memory: Memory,
    copy: Copy,
    leg: Leg,
    event: PositionOpened | OpenOrder,
    turn: Turn,
) -> None:
    """A mirrored pending order became a position by itself: the leg stands."""
    filled = _filled_lots(memory.book, copy, leg, event)
    leg.status, leg.order = LegStatus.OPEN, None
    leg.due_lots = max(Decimal(0), leg.lots - filled)
    leg.ticket, leg.original_lots, leg.lots = event.ticket, filled, filled
    leg.open_price = event.open_price
    if copy.pending is not None and copy.pending.stop_limit_price is not None:
        leg.master_price = copy.pending.stop_limit_price  # where the master's fills
    leg.set_stop_loss, leg.set_take_profit = event.stop_loss, event.take_profit
    copy.settled_levels = None  # a gap may have cost it a stop
    opened = CopyOpened(
        **about(copy, leg.number),
        attempt=leg.placed_by or AttemptId(""),
        answered_at_utc=turn.now,
        ticket=event.ticket,
        symbol=event.symbol,
        side=copy.side,
        lots=filled,
        price=event.open_price,
        stop_loss=event.stop_loss,
        take_profit=event.take_profit,
    )
    turn.execution(opened, copy.origin, f"{leg.number}/filled")


def _filled_lots(book: Book, copy: Copy, leg: Leg, event: PositionOpened | OpenOrder) -> Lots:
    """Of a mirrored order. On netting its position may have been added to before any list showed it; a
    list of before that shows too few, and a later one what is due.
    """
    if not book.is_netting:
        return event.lots
    root = book.by_ticket.get(event.ticket)
    rest = Decimal(0) if root is None else root.rest_lots
    others = [other for other in copy.open_legs if other.ticket == event.ticket]
    own = event.lots - lots_of(others)
    return min(own if own > 0 else event.lots, max(leg.lots - rest, Decimal(0)) or event.lots)


def merged(memory: Memory, copy: Copy, leg: Leg, turn: Turn) -> bool:
    """Netting: a mirrored order is part of the position that is there, as far as that has more than the
    copy's other legs; False: it has not.
    """
    root = memory.book.by_symbol.get(copy.symbol)
    position = None if root is None else memory.live.positions.get(root.ticket)
    others = lots_of(copy.open_legs)
    if root is None or position is None or position.lots <= others:
        return False
    leg.slave_root = root.root
    own_price = leg.set_stop_limit_price or leg.open_price
    pending_filled(memory, copy, leg, replace(position, open_price=own_price), turn)
    memory.touch(copy, turn)
    return True


def pending_removed(
    memory: Memory, copy: Copy, leg: Leg, ticket: Ticket, why: str, rest: Lots, turn: Turn
) -> None:
    """A mirrored order is gone; `rest`: what it had not filled."""
    if copy.is_calling(leg, "delete"):
        leg.closed = Done(ticket=ticket, lots=rest, price=leg.open_price)
        memory.touch(copy, turn)
        return  # its answer says so, or whatever takes the place of an answer
    filled_in_part(copy, leg, ticket, rest)
    tell_part_beside(memory, copy, ticket, turn)
    if leg.order is not None:
        # The master's order filled: what is left is the market, sized anew.
        leg.to_the_market()
        copy.pending = None
    else:
        leg.status, leg.ticket = LegStatus.ENDED, None
        copy.detached = "" if copy.pending_gone or copy.closing else "PENDING_REMOVED"
    removed = CopyPendingRemoved(
        **about(copy, leg.number),
        attempt=leg.placed_by or AttemptId(""),
        ticket=ticket,
        reason=copy.pending_gone or why or "REMOVED",
    )
    turn.execution(removed, copy.origin, f"{leg.number}/removed")
    memory.touch(copy, turn)


def tell_part_beside(memory: Memory, copy: Copy, ticket: Ticket, turn: Turn) -> None:
    """Netting: what a mirrored order had filled when it was gone, into a position of its owner's that has
    nothing else of the copy. Nothing of that is touched.
    """
    part = next((leg.due_lots for leg in copy.legs if leg.number == -ticket), Decimal(0))
    root = memory.book.by_symbol.get(copy.symbol)
    if part <= 0 or root is None:
        return
    if any(leg.status is LegStatus.OPEN or leg.slave_root == root.root for leg in copy.legs):
        return
    text = (
        f"{part} lots of order {ticket} filled just before it was gone, into position {root.ticket},"
        " which is not the copy's"
    )
    cause = f"left/{root.root}"
    raise_alert(memory, turn, "LEFT_OPEN", cause, text, ticket=root.ticket, lots=part)
