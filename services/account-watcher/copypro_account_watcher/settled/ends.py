"""What our legs have of a closing on their account, and how their end is told. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from copypro.messages import CopyClosed, CopyDetached, PositionClosed, PositionReduced
from copypro.trading import ClosedOrder, CloseReason, Done
from copypro.values import AttemptId, Lots, Ticket
from msgspec.structs import replace

from copypro_account_watcher.alerts import raise_alert
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.accepting import about, detach
from copypro_account_watcher.seen.evidence import reason
from copypro_account_watcher.settled.asked import halt_late_close, is_our_fault, settle_asked
from copypro_account_watcher.state import Copy, Leg, LegStatus
from copypro_account_watcher.turn import Turn

CENT = Decimal("0.01")


def parts_of(event: PositionReduced | PositionClosed, lots: Sequence[Lots]) -> list[Done]:
    """What each leg has of one deal; of several its lots, and as much of the profit as they are of all."""
    deal = event.deal
    whole = Done(ticket=event.ticket, lots=deal.lots, price=deal.price, profit=deal.profit)
    if len(lots) == 1:
        return [whole]
    parts, so_far, told = [], Decimal(0), Decimal(0)
    for each in lots:
        so_far += each
        share = so_far / (max(sum(lots), deal.lots) or 1)
        until = (deal.profit * share).quantize(CENT)
        parts.append(replace(whole, lots=each, profit=until - told))
        told = until
    return parts


def leg_closed(
    memory: Memory,
    copy: Copy,
    leg: Leg,
    event: PositionReduced | PositionClosed,
    part: Done,
    turn: Turn,
) -> None:
    leg.closed = part
    if leg.status is LegStatus.PLACED:
        # It was a position before any list showed it.
        leg.original_lots = part.lots
    attempt = copy.attempt
    is_ours = settle_asked(memory, copy, [leg], event, turn)
    leg.status, leg.lots, leg.moved = LegStatus.ENDED, Decimal(0), False
    memory.touch(copy, turn)
    if attempt is not None and copy.is_calling(leg, "close"):
        # Our own call did it, or will say that it is gone: also where it was to close less.
        is_owners = isinstance(event, PositionClosed) and bool(attempt.expected_lots)
        if is_owners and not (is_ours or copy.closing):
            leg.closed_by = _let_go(copy, leg, event.reason)
        return
    is_fault = is_ours and is_our_fault(memory, [leg], event)
    if is_fault and not copy.closing:
        halt_late_close(memory, copy, event.ticket, turn)
    is_deleted = copy.is_calling(leg, "delete")
    why = copy.closing or copy.pending_gone
    if is_deleted and not why:
        why = "FILLED_WHEN_DELETED"
        text = (
            f"order {event.ticket} filled just as it was deleted, and the bridge closed the position:"
            " the master holds this trade and the slave does not"
        )
        raise_alert(memory, turn, "MIRROR_CLOSED", f"mirror/{copy.copy}", text, ticket=event.ticket)
    if copy.closing or is_fault or is_deleted:
        _tell_closed(copy, leg, part, why or "CLOSED_TOO_MUCH", turn)
    else:
        _tell_detached(copy, leg, part.ticket, event.reason, turn)


def closed_with_position(
    memory: Memory, copy: Copy, leg: Leg, row: ClosedOrder, turn: Turn
) -> None:
    """Netting: as history tells; no look knew that the leg was part of that."""
    profit = (row.profit * leg.lots / row.lots).quantize(CENT) if row.lots else Decimal(0)
    part = Done(ticket=row.ticket, lots=leg.lots, price=row.close_price, profit=profit)
    leg.closed, leg.status, leg.lots = part, LegStatus.ENDED, Decimal(0)
    memory.touch(copy, turn)
    if copy.closing:
        _tell_closed(copy, leg, part, copy.closing, turn)
    else:
        _tell_detached(copy, leg, part.ticket, reason(row), turn)


def _tell_closed(copy: Copy, leg: Leg, part: Done, why: str, turn: Turn) -> None:
    closed = CopyClosed(
        **about(copy, leg.number),
        attempt=AttemptId(""),
        ticket=part.ticket,
        closed_lots=part.lots,
        price=part.price,
        profit=part.profit,
        reason=why,
    )
    turn.execution(closed, copy.origin, f"{leg.number}/gone")


def _tell_detached(copy: Copy, leg: Leg, ticket: Ticket, by: CloseReason, turn: Turn) -> None:
    why = _let_go(copy, leg, by)
    detached = CopyDetached(**about(copy, leg.number), ticket=ticket, reason=why)
    turn.execution(detached, copy.origin, f"{leg.number}/detached")


def _let_go(copy: Copy, leg: Leg, by: CloseReason) -> str:
    """Why; the copy as well, where it was the last of it."""
    why = f"CLOSED_BY_{by.name}"
    if not copy.may_stand and not leg.is_extra:
        copy.detached = why
    return why


def leave_alone(memory: Memory, copy: Copy, reason: str, turn: Turn) -> None:
    """Its owner took it in hand: it is managed no more."""
    for event in detach(copy, reason, forget=False):
        turn.execution(event, copy.origin, f"{event.leg}/detached")
    memory.touch(copy, turn)
