"""Whose doing a deal is: one of our closes asked for it, or the slave's owner made it. Pure.

No deal says so. What our closes of so many lots were to take is kept by leg (`Leg.asked_pieces`) until a
deal of as many is seen; a deal that took more than it was asked for halts the copier.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from copypro.messages import PositionClosed, PositionReduced
from copypro.trading import CloseReason, CloseRequest, Done
from copypro.values import Lots, Ticket

from copypro_account_watcher.alerts import halt
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.targets import target_lots
from copypro_account_watcher.settled.ties import legs_of, lots_of
from copypro_account_watcher.state import Attempt, Copy, Leg, LegStatus, without
from copypro_account_watcher.turn import Turn

BY_BROKER = (CloseReason.STOP_LOSS, CloseReason.TAKE_PROFIT, CloseReason.STOP_OUT)


def settle_asked(
    memory: Memory,
    copy: Copy,
    legs: Sequence[Leg],
    event: PositionReduced | PositionClosed,
    turn: Turn,
) -> bool:
    """What our closes of these legs asked for is told by this deal. True: one of them asked for so many
    lots, also one that was given up; or it took more than any of them: that the rest is what it should be
    is asserted once for each. A deal that was made from what a list shows may be several. What a stop
    closed whole was none of ours, and none of ours closes anything after it.
    """
    lots, asked = event.deal.lots, [piece for leg in legs for piece in leg.asked_pieces]
    if event.reason in BY_BROKER:
        if isinstance(event, PositionClosed):
            _all_told(legs)
        return False
    if not asked:
        return False
    is_made = event.deal.ticket < 0
    if lots in asked:
        _told(legs, lots)
        return True
    if is_made and lots <= sum(asked):
        _all_told(legs)
        return lots == sum(asked)
    if lots <= max(asked):
        _told(legs, next(piece for piece in asked if piece > lots))
        return False
    if any(leg.asked_lots == 0 for leg in legs if leg.status is LegStatus.OPEN):
        return False  # a close of all that there was came after them
    if isinstance(event, PositionReduced) and event.open_lots >= lots_of(legs):
        return False  # it was never ours: a late frame's growth, or on netting the owner's own
    is_close = any(copy.is_calling(leg, "close") for leg in legs)
    if isinstance(event, PositionClosed) and is_close and not copy.is_unresolved:
        return False  # its answer tells whose doing that was
    _all_told(legs)
    _halt(memory, copy, event.ticket, _took_more(asked[-1], lots), turn)
    return True


def note_taken(copy: Copy, leg: Leg, event: PositionReduced) -> None:
    """A deal of ours, of the close of a part that is under way."""
    attempt, deal = copy.attempt, event.deal
    if attempt is None or not attempt.expected_lots or not copy.is_calling(leg, "close"):
        return
    if isinstance(attempt.request, CloseRequest) and attempt.request.lots == deal.lots:
        attempt.taken = Done(
            ticket=event.ticket, lots=deal.lots, price=deal.price, profit=deal.profit
        )


def is_unanswered(copy: Copy, leg: Leg, lots: Lots) -> bool:
    """A close of it that asked for so much."""
    request = None if copy.attempt is None else copy.attempt.request
    is_it = isinstance(request, CloseRequest) and request.lots == lots
    return is_it and copy.is_unresolved and copy.is_calling(leg, "close")


def are_all_told(memory: Memory, leg: Leg) -> bool:
    """Netting: a close that an add hid from every list has no deal that will be told. What the lists
    have told is what our ledger says, or more that its owner added, and they are of after our last call:
    nothing is left to be told, but of a close that was given up, or that a further fill of ours hid.
    """
    root = None if leg.slave_root is None else memory.book.roots.get(leg.slave_root)
    just_called = memory.live.just_changed.keys() | memory.live.just_ended.keys()
    if root is None or leg.closes_late or leg.closes_hidden or leg.ticket in just_called:
        return False
    held = lots_of([leg for _, leg in legs_of(memory, root.root)])
    listed = memory.live.positions.get(root.ticket)
    is_as_listed = memory.book.is_netting and listed is not None and listed.lots == root.open_lots
    return root.open_lots == held or (is_as_listed and root.open_lots > held)


def owned_beside(
    copy: Copy, legs: Sequence[Leg], together: Sequence[Leg], event: PositionReduced
) -> Lots:
    """Netting: what a position had, before this deal, beside what the legs hold and what closes of theirs
    took that are answered and not told yet. What was given up is still in the ledger.
    """
    answered = [piece for leg in legs for piece in leg.answered_pieces]
    if copy.attempt is not None and isinstance(copy.attempt.request, CloseRequest):
        answered = without(answered, copy.attempt.request.lots or Decimal(0))
    untold = sum(answered, Decimal(0))
    return max(Decimal(0), event.open_lots + event.deal.lots - lots_of(together) - untold)


def is_below_target(
    memory: Memory, copy: Copy, together: list[Leg], event: PositionReduced
) -> bool:
    """Less is left than the master's part of it, and than any close of ours was to leave: its effect
    may show long after its answer, or instead of one.
    """
    if event.reason is CloseReason.STOP_OUT:
        return False
    if copy.closing or (copy.attempt is not None and copy.attempt.kind == "close"):
        return False
    if any(copy.is_calling(leg, "delete") for leg in together):
        return False  # MT5: of an order that filled in part it closes the position
    spec, least = memory.live.any_spec(copy.symbol), Decimal(0)
    for leg in together:
        left, target = copy.left_of(leg), leg.original_lots
        if spec is None and leg.lots > leg.original_lots * left:
            continue  # so much is still to be closed that nothing of it need be left
        if spec is not None and left < 1:
            has_stop, rest = leg.set_stop_loss is not None, copy.options.small_rest
            target = target_lots(leg.original_lots, left, spec, has_stop, rest)
        least += min(target, leg.lots, target if leg.asked_lots is None else leg.asked_lots)
    return event.open_lots < least


def is_our_fault(
    memory: Memory, legs: Sequence[Leg], event: PositionReduced | PositionClosed
) -> bool:
    """A close of ours took more than it was asked, as was just told, or was given up and may have been
    executed after all; else what is less than it should be its owner took.
    """
    return event.ticket in memory.known.halted or any(leg.closes_late for leg in legs)


def halt_if_it_took_more(memory: Memory, copy: Copy, attempt: Attempt, turn: Turn) -> None:
    """A close of ours that was done, by its answer or as far as anybody can tell, and with it all of a leg
    of which it was asked for a part. Where that part was told by itself, its owner closed the rest.
    """
    request, leg = attempt.request, copy.leg(attempt.leg)
    closed = leg.closed
    if closed is None or not isinstance(request, CloseRequest) or request.lots is None:
        return
    is_untold = request.lots in leg.asked_pieces
    if is_untold and leg.status is LegStatus.ENDED and closed.lots > request.lots:
        copy.detached = leg.closed_by = ""
        _halt(memory, copy, closed.ticket, _took_more(request.lots, closed.lots), turn)


def _took_more(asked: Lots, closed: Lots) -> str:
    return f"a close of {asked} lots closed {closed}"


def halt_late_close(memory: Memory, copy: Copy, ticket: Ticket, turn: Turn) -> None:
    _halt(memory, copy, ticket, "a close that was given up was executed after all", turn)


def _halt(memory: Memory, copy: Copy, ticket: Ticket, why: str, turn: Turn) -> None:
    halt(memory, copy.copier, ticket, "CLOSED_TOO_MUCH", f"{why}, of ticket {ticket}", turn)


def _told(legs: Sequence[Leg], piece: Lots) -> None:
    next(leg for leg in legs if piece in leg.asked_pieces).tell(piece)


def _all_told(legs: Sequence[Leg]) -> None:
    for leg in legs:
        leg.tell_all()
