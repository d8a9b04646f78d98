"""Positions with our tags: each is a leg of a copy, or it is closed.

Also what comes when nobody waits for it any more: the fill of an open that was given up, and a
second fill of one that stood. A late answer is evidence: it is followed while the master is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from copypro.messages import CopyIncreased
from copypro.trading import ClosedOrder, OpenOrder, OpenRequest
from copypro.values import AttemptId, Lots, Price, Ticket

from copypro_account_watcher.alerts import raise_alert
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.accepting import about
from copypro_account_watcher.seen.evidence import from_ticket, why_removed
from copypro_account_watcher.settled import unresolved
from copypro_account_watcher.settled.claims import Claim, is_of, whose
from copypro_account_watcher.settled.ends import closed_with_position
from copypro_account_watcher.settled.mirrored import merged, pending_removed
from copypro_account_watcher.settled.reconcile import Found, found_open
from copypro_account_watcher.settled.ties import lots_of, tie
from copypro_account_watcher.state import Copy, Leg, LegStatus
from copypro_account_watcher.turn import Turn

FURTHER = (LegStatus.OPEN, LegStatus.ENDED)
"""What an order of a leg fills further is the leg's; of one that was left it is left as well."""


def claim(
    memory: Memory,
    orders: Sequence[OpenOrder],
    ended: Sequence[ClosedOrder] | None,
    turn: Turn,
) -> None:
    """By a whole list that was asked for, since a frame may be late; `ended`: history, if it was read."""
    listed = {order.ticket for order in orders}
    formers = (from_ticket(order.comment) for order in orders)
    standing = listed | {former for former in formers if former is not None}  # MT4: by its rest
    copies = dict(memory.copies)
    for order in orders:
        tagged = memory.tagged(order)
        if tagged is None or order.ticket in memory.live.just_ended:
            continue
        copy, leg = tagged
        copies[copy.copy] = copy
        match whose(order, copy, leg, memory.book, standing):
            case Claim.KNOWN:
                continue
            case Claim.MOVED:
                leg.ticket = order.ticket
                tie(memory.book, copy, leg)
            case Claim.LATE:
                evidence = f"open order {order.ticket} carries the tag {leg.tag}, late"
                _late(memory, copy, leg, found_open(order, evidence), turn)
            case Claim.EXTRA:
                memory.know(copy)
                unresolved.close_duplicate(memory, copy, leg, order.ticket, turn)
            case Claim.OWNERS:
                _tell_owners(memory, order, turn)
                continue
            case Claim.REST:
                _rest(memory, copy, leg, order, turn)
        memory.touch(copy, turn)
    for copy in copies.values():
        _late_add(memory, copy, orders, turn)
        _filled_further(memory, copy, orders, turn)
    if ended is not None:
        _end_what_went_unseen(memory, listed, ended, turn)


def _tell_owners(memory: Memory, order: OpenOrder, turn: Turn) -> None:
    ticket = order.ticket
    text = (
        f"ticket {ticket} carries the tag of a copy and not its magic number: it is taken for its"
        " owner's, and left alone"
    )
    cause = f"left/{memory.book.root_of(ticket) or ticket}"
    raise_alert(memory, turn, "LEFT_OPEN", cause, text, ticket=ticket)


def _rest(memory: Memory, copy: Copy, leg: Leg, order: OpenOrder, turn: Turn) -> None:
    """Nobody would follow what it fills: it is deleted."""
    memory.know(copy)
    leg.status, leg.ticket, leg.lots, leg.closed = LegStatus.PLACED, order.ticket, order.lots, None
    leg.slave_root = None  # the position's end may be told yet, and is not the order's
    copy.close(copy.closing or copy.detached or "REST_OF_ORDER", turn.now)
    copy.detached = ""


def _late_add(memory: Memory, copy: Copy, orders: Sequence[OpenOrder], turn: Turn) -> None:
    """Netting: the tag of what is added is nowhere. That the position grew by exactly what was given up
    tells that it was executed after all.
    """
    lost = [leg for leg in copy.legs if leg.lost is not None and leg.lost.kind == "open"]
    is_free = bool(lost) and copy.attempt is None
    more = unresolved.grown(memory, copy, orders) if is_free else None
    if more is None or more.ticket in memory.live.just_changed:
        return
    for leg in lost:
        request = leg.lost.request if leg.lost is not None else None
        if isinstance(request, OpenRequest) and request.lots == more.lots:
            evidence = f"position {more.ticket} grew by the {more.lots} lots that were given up"
            _late(memory, copy, leg, Found(more, True, evidence), turn)
            return


def _late(memory: Memory, copy: Copy, leg: Leg, late: Found, turn: Turn) -> None:
    _takes_up(memory, copy, late.answer.ticket, "filled after its open was given up", turn)
    copy.attempt, leg.lost, leg.status = leg.lost, None, LegStatus.WAITING
    copy.denied = None
    unresolved.found(memory, copy, late, turn)


def _takes_up(memory: Memory, copy: Copy, ticket: Ticket, what: str, turn: Turn) -> None:
    """Managed from here on as it would have been; closed if the master is flat or nobody follows."""
    is_followed = not copy.closing and not copy.detached
    text = f"ticket {ticket} {what}: it is " + ("followed" if is_followed else "closed")
    raise_alert(memory, turn, "LATE_FILL", f"late/{copy.copy}", text, ticket=ticket)
    copy.settled_levels = None
    if not is_followed:
        copy.close(copy.closing or "LATE_FILL", turn.now)
        copy.detached = ""


def _filled_further(memory: Memory, copy: Copy, orders: Sequence[OpenOrder], turn: Turn) -> None:
    """An order of ours that was filled in part may fill further, also when its leg is over: what its
    position has more than its legs hold. On netting nothing tells it from what an owner adds; but what
    stands there under another ticket, or on the other side, may be another position.
    """
    live = memory.live
    due = [leg for leg in copy.legs if leg.due_lots > 0 and leg.status in FURTHER]
    due.sort(key=lambda leg: not leg.is_extra)  # those have filled, the others may
    _tie_parts(memory, copy, due)
    for order in orders if due and copy.attempt is None else ():
        root = memory.book.of_order(order)
        is_late = order.ticket in live.just_ended or order.ticket in live.just_changed
        if root is None or order.kind.is_pending or is_late:
            continue
        if (root.ticket, root.kind) != (order.ticket, order.kind):
            continue
        of_it = [leg for leg in copy.legs if is_of(leg, order, root)]
        more = order.lots - sum((leg.lots for leg in of_it), Decimal(0))
        price = unresolved.price_of(more, order, of_it)
        for leg in due:
            part = min(leg.due_lots, more) if leg in of_it else Decimal(0)
            if part <= 0:
                continue
            if leg.status is LegStatus.ENDED:
                memory.know(copy)
                if leg.is_extra:
                    _tell_part(memory, copy, leg, part, order.ticket, turn)
                else:
                    _takes_up(
                        memory, copy, order.ticket, "filled further after it was closed", turn
                    )
                leg.status, leg.ticket, leg.slave_root = LegStatus.OPEN, order.ticket, root.root
                leg.closed = None
            leg.closes_hidden = memory.book.is_netting and bool(leg.answered_pieces)
            _fill(memory, copy, leg, part, price, turn)
            more -= part
        for leg in due:
            if leg.is_extra and leg in of_it:  # what its owner adds from now on is not of it
                leg.due_lots = Decimal(0)
                memory.touch(copy, turn)


def _tie_parts(memory: Memory, copy: Copy, due: Sequence[Leg]) -> None:
    """What orders that are gone had filled: to the position that a list of after that shows."""
    book, just_ended = memory.book, memory.live.just_ended
    for leg in due:
        root = None if leg.ticket is None else book.by_ticket.get(leg.ticket)
        is_gone = leg.ticket not in just_ended and (root is None or not root.is_pending)
        if leg.is_extra and leg.slave_root is None and is_gone:
            tie(book, copy, leg)


def _tell_part(
    memory: Memory, copy: Copy, leg: Leg, part: Lots, position: Ticket, turn: Turn
) -> None:
    text = (
        f"{part} lots of order {-leg.number} filled just before it was gone, into position {position}:"
        " they are closed"
    )
    raise_alert(memory, turn, "LATE_FILL", f"late/{copy.copy}", text, ticket=position, lots=part)


def _fill(memory: Memory, copy: Copy, leg: Leg, more: Lots, price: Price, turn: Turn) -> None:
    leg.due_lots -= more
    leg.lots += more
    leg.original_lots += more
    increased = CopyIncreased(
        **about(copy, leg.number),
        attempt=AttemptId(""),
        ticket=leg.ticket or Ticket(0),
        symbol=copy.symbol,
        side=copy.side,
        lots=leg.original_lots,
        price=price,
    )
    turn.execution(increased, copy.origin, f"{leg.number}/filled/{leg.original_lots}")
    memory.touch(copy, turn)


def unseen(memory: Memory, orders: Sequence[OpenOrder]) -> list[Ticket]:
    """Mirrored orders and positions that were gone before any list showed them: no root of theirs is
    missed.
    """
    standing = [
        leg.ticket
        for copy in memory.copies.values()
        for leg in copy.legs
        if copy.attempt is None
        and leg.ticket is not None
        and not _is_known(memory, leg)
        and (leg.status is LegStatus.PLACED or _should_stand(memory, copy, leg))
    ]
    listed = {order.ticket for order in orders} if standing else ()
    return [ticket for ticket in standing if ticket not in listed]


def filled_unseen(memory: Memory, ticket: Ticket, turn: Turn) -> bool:
    """Netting: a mirrored order that no list ever showed, and no history tells to be cancelled. Nothing
    stood on its symbol when it was placed: it is taken for part of what has as much more than the copy.
    """
    placed = (
        (copy, leg)
        for copy in memory.copies.values()
        for leg in copy.legs
        if leg.ticket == ticket and leg.status is LegStatus.PLACED and not _is_known(memory, leg)
    )
    for copy, leg in placed:
        root = memory.book.by_symbol.get(copy.symbol)
        others = lots_of(copy.open_legs)
        if root is None or root.side is not copy.side or root.open_lots < others + leg.lots:
            continue
        if merged(memory, copy, leg, turn):
            text = (
                f"order {ticket} is gone and no history shows that it was cancelled: it was taken to"
                f" have filled into position {leg.ticket}"
            )
            raise_alert(memory, turn, "INFERRED", f"inferred/{copy.copy}", text, ticket=ticket)
            return True
    return False


def _is_known(memory: Memory, leg: Leg) -> bool:
    return leg.slave_root is not None and leg.slave_root in memory.book.roots


def _should_stand(memory: Memory, copy: Copy, leg: Leg) -> bool:
    """A position by itself, in a list of after our last call. On netting an add is part of the one that is
    known, whatever number its answer had.
    """
    if leg.status is not LegStatus.OPEN or leg.ticket in memory.live.just_changed:
        return False
    known = memory.book.by_symbol.get(copy.symbol)
    return known is None or all(other.slave_root != known.root for other in copy.legs)


def _end_what_went_unseen(
    memory: Memory, listed: set[Ticket], ended: Sequence[ClosedOrder], turn: Turn
) -> None:
    """What no look ever showed: what was left and ended while its account was not watched, as after a
    removal, and a mirrored order that came and went, which history alone tells.
    """
    cancelled = {row.ticket: row for row in ended if row.cancelled}
    shown = listed | memory.live.just_changed.keys()  # the list may be of before our last call
    for copy in list(memory.copies.values()):
        for leg in copy.legs:
            if _is_known(memory, leg) or leg.ticket is None or leg.ticket in shown:
                continue
            if leg.status is LegStatus.LEFT:
                leg.status = LegStatus.ENDED
                memory.touch(copy, turn)
            elif leg.status is LegStatus.PLACED and leg.ticket in cancelled:
                row = cancelled[leg.ticket]
                rest = row.lots or leg.lots
                why = why_removed(row, leg.tag, leg.set_expires_at_broker)
                pending_removed(memory, copy, leg, leg.ticket, why, rest, turn)
            elif leg.status is LegStatus.PLACED and memory.book.is_over(leg.ticket):
                # The rest of an order whose filled part was told: it filled, and was closed, unseen.
                pending_removed(memory, copy, leg, leg.ticket, "", leg.lots, turn)
            elif leg.status is LegStatus.OPEN and memory.book.is_netting and copy.attempt is None:
                _end_with_its_position(memory, copy, leg, ended, turn)


def _end_with_its_position(
    memory: Memory, copy: Copy, leg: Leg, ended: Sequence[ClosedOrder], turn: Turn
) -> None:
    """An add to what was over by the time of its answer, or to what no look told to be a position."""
    rows = [
        row
        for row in ended
        if row.ticket == leg.ticket and not row.kind.is_pending and row.kind.side is copy.side
    ]
    closed_lots = sum((row.lots for row in rows), Decimal(0))
    if rows and closed_lots >= leg.lots and memory.book.is_over(rows[0].ticket):
        closed_with_position(
            memory, copy, leg, max(rows, key=lambda row: row.closed_at_broker), turn
        )
