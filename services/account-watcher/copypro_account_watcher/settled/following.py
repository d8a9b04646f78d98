"""What happened on the slave's own account, into the ledger of our legs.

The account's diff speaks of roots; a leg is (part of) a root on its slave. What our own call did
is reported by its answer; what nobody here asked for detaches the leg.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from copypro.messages import (
    CopyClosed,
    CopyDetached,
    CopyOpened,
    CopyPendingRemoved,
    OrderEvent,
    PendingPlaced,
    PendingRemoved,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
)
from copypro.trading import (
    ClosedOrder,
    CloseReason,
    CloseRequest,
    Done,
    OpenOrder,
    OpenRequest,
)
from copypro.values import TAG_LENGTH, AttemptId, CopyId, Lots, RootId, Ticket
from msgspec.structs import replace

from copypro_account_watcher.alerts import halt, raise_alert
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.accepting import about, detach
from copypro_account_watcher.planned.targets import target_lots
from copypro_account_watcher.seen.book import Book
from copypro_account_watcher.seen.evidence import from_ticket, reason
from copypro_account_watcher.settled.outcomes import filled_in_part
from copypro_account_watcher.state import Attempt, Copy, Leg, LegStatus, without
from copypro_account_watcher.turn import Turn

CENT = Decimal("0.01")
BY_BROKER = (CloseReason.STOP_LOSS, CloseReason.TAKE_PROFIT, CloseReason.STOP_OUT)


def follow(memory: Memory, event: OrderEvent, turn: Turn) -> None:
    if isinstance(event, PositionReduced | PositionClosed) and not memory.book.is_netting:
        _tie_by_ticket(memory, event)
    match event:
        case PositionOpened() | PendingPlaced():
            _opened(memory, event, turn)
        case PositionIncreased():
            for _, leg in _legs(memory, event.root):
                _ask_what_stands(memory, leg)
        case PositionReduced():
            for copy, legs in _open_legs(memory, event.root):
                _reduced(memory, copy, legs, event, turn)
            for copy, leg in _legs(memory, event.root):
                if leg.status is LegStatus.WAITING:
                    _reduced_unanswered(memory, copy, leg, event, turn)
        case PositionClosed():
            of_root = _legs(memory, event.root)
            parts = iter(_parts(event, [leg.lots for _, leg in of_root if leg.is_live]))
            for copy, leg in of_root:
                if leg.is_live:
                    _closed(memory, copy, leg, event, next(parts), turn)
                else:
                    _left_ended(memory, copy, leg, turn)
        case PendingRemoved() if event.root not in memory.book.roots:
            for copy, leg in _legs(memory, event.root):
                if leg.status is LegStatus.PLACED and event.reason == "merged":
                    if not merged(memory, copy, leg, turn):
                        pending_removed(memory, copy, leg, event.ticket, "merged", leg.lots, turn)
                elif leg.status is LegStatus.PLACED:
                    known = memory.book.closed.get(event.root)
                    rest = leg.lots if known is None else known.lots
                    pending_removed(memory, copy, leg, event.ticket, event.reason, rest, turn)
                else:
                    _left_ended(memory, copy, leg, turn)


def follow_hidden(memory: Memory, event: OrderEvent, turn: Turn) -> None:
    """Netting: a part that history alone tells, since an add hid it from the lists. Of our closes that
    asked for so much the answered ones are in the ledger already, and came first.
    """
    if not isinstance(event, PositionReduced) or not memory.book.is_netting:
        return
    root, at, lots = memory.book.roots.get(event.root), event.deal.time_utc, event.deal.lots
    is_of_before = root is None or (at is not None and at <= root.first_seen_at_utc)
    if is_of_before or event.deal.ticket < 0 or event.reason in BY_BROKER:
        return
    for copy, legs in _open_legs(memory, event.root):
        asked = [leg for leg in legs for piece in leg.asked_pieces if piece == lots]
        if not asked:
            continue
        leg = min(asked, key=lambda leg: _is_unanswered(copy, leg, lots))
        leg.tell(lots)
        if len(asked) == 1 and _is_unanswered(copy, leg, lots):
            _take_off(memory, copy, leg, [leg], leg.lots - lots, event, turn)
        memory.touch(copy, turn)


def _is_unanswered(copy: Copy, leg: Leg, lots: Lots) -> bool:
    """A close of it that asked for so much."""
    request = None if copy.attempt is None else copy.attempt.request
    is_asked = isinstance(request, CloseRequest) and request.lots == lots
    return is_asked and copy.is_unresolved and _is_at(leg, "close", copy.attempt)


def follow_tickets(memory: Memory, changed: Iterable[RootId], turn: Turn) -> None:
    """The server may open a position anew under another ticket: the leg is addressed by that one."""
    for root in (memory.book.roots[root] for root in changed):
        for copy, leg in _legs(memory, root.root):
            if leg.ticket != root.ticket:
                leg.ticket, leg.moved = root.ticket, False
                memory.touch(copy, turn)


def _legs(memory: Memory, root: RootId) -> list[tuple[Copy, Leg]]:
    return [
        (copy, leg)
        for copy in memory.copies.values()
        for leg in copy.legs
        if leg.slave_root == root
    ]


def _tie_by_ticket(memory: Memory, event: PositionReduced | PositionClosed) -> None:
    """A leg that was found under the ticket of a rest, before any look told whose rest that is."""
    for copy in memory.copies.values():
        for leg in copy.legs:
            is_free = leg.slave_root is None and leg.status is LegStatus.OPEN
            if is_free and leg.ticket == event.ticket:
                leg.slave_root = event.root


def _open_legs(memory: Memory, root: RootId) -> list[tuple[Copy, list[Leg]]]:
    """By copy; on netting a copy has several of one position."""
    of_copy: dict[CopyId, list[Leg]] = {}
    for copy, leg in _legs(memory, root):
        if leg.status is LegStatus.OPEN:
            of_copy.setdefault(copy.copy, []).append(leg)
    return [(memory.copies[copy], legs) for copy, legs in of_copy.items()]


def tie(book: Book, copy: Copy, leg: Leg) -> None:
    """The root that a leg is, and that root's present ticket. A netting add is (part of) the root of
    the legs before it, whatever number its answer had; an order that waits is none yet.
    """
    if leg.ticket is None:
        return
    root = book.by_ticket.get(leg.ticket)
    if root is None and book.is_netting and leg.status is not LegStatus.PLACED:
        together = book.by_symbol.get(copy.symbol)
        others = {other.slave_root for other in copy.legs if other is not leg}
        root = together if together is not None and together.root in others else None
    if root is not None and root.side is copy.side:  # netting: the other side keeps the number
        leg.slave_root, leg.ticket = root.root, root.ticket


def _left_ended(memory: Memory, copy: Copy, leg: Leg, turn: Turn) -> None:
    if leg.status is LegStatus.LEFT:
        leg.status = LegStatus.ENDED
        memory.touch(copy, turn)


def _opened(memory: Memory, event: PositionOpened | PendingPlaced, turn: Turn) -> None:
    if event.copy is None:
        return
    copy = memory.copies.get(event.copy)
    if copy is None:
        return
    leg = next((leg for leg in copy.legs if _is_it(memory.book, leg, event)), None)
    if leg is None:
        leg = _unanswered(memory, copy, event)
    if leg is None and isinstance(event, PositionOpened):
        leg = _rest_of(copy, event)
    if leg is None:
        return
    leg.slave_root = event.root
    for other in copy.legs:  # on netting those that were added before any look showed the first
        if other.status is LegStatus.OPEN:
            if other.ticket == event.ticket:  # also where this look shows that it has ended since
                other.slave_root = event.root
            tie(memory.book, copy, other)
            is_free = other.slave_root is None and other.replaced != event.ticket
            if memory.book.is_netting and is_free:
                other.slave_root = event.root  # which may be over by now
    if isinstance(event, PositionOpened) and leg.status is LegStatus.PLACED:
        _filled(memory, copy, leg, event, turn)
    elif leg.status is LegStatus.OPEN:
        _ask_what_stands(memory, leg)
        if len(copy.live_legs) == 1 and event.ticket not in memory.live.just_changed:
            leg.lots = min(leg.lots, event.lots)  # part of it was closed before it was first seen
    memory.touch(copy, turn)


def _is_it(book: Book, leg: Leg, event: PositionOpened | PendingPlaced) -> bool:
    """MT4: also under a later ticket of its chain, by which it was found; it may have ended since."""
    if leg.ticket == event.ticket or leg.slave_root == event.root:
        return True
    if leg.ticket is None or leg.slave_root is not None or book.is_netting:
        return False
    return book.root_ever_of(leg.ticket) == event.root


def _unanswered(memory: Memory, copy: Copy, event: PositionOpened | PendingPlaced) -> Leg | None:
    """By the tag, while no answer or look has named the leg's ticket. The first one that is seen, for
    now: of two with one tag the ticket that is settled on decides (`tie`).
    """
    tagged = memory.by_tag.get(event.comment[:TAG_LENGTH])
    if tagged is None or tagged[0] is not copy:
        return None
    leg = tagged[1]
    is_free = leg.slave_root is None or leg.slave_root == event.root
    is_it = leg.is_live and leg.ticket is None and event.ticket != leg.replaced
    return leg if is_it and is_free else None


def _rest_of(copy: Copy, event: PositionOpened) -> Leg | None:
    """MT4: a leg that was partly closed before any look showed it. Its rest, under another ticket
    and without our tag, is the first that is seen of it.
    """
    former = from_ticket(event.comment)
    unseen = (leg for leg in copy.legs if leg.status is LegStatus.OPEN and leg.slave_root is None)
    leg = next((leg for leg in unseen if former is not None and leg.ticket == former), None)
    if leg is not None:
        leg.ticket, leg.lots, leg.moved = event.ticket, min(leg.lots, event.lots), False
    return leg


def settle_fills(memory: Memory, turn: Turn) -> None:
    """A mirrored order that the list shows as a position has filled, also where that was told before
    its placing was answered. And what our closes took is settled.
    """
    listed = memory.live.positions
    for copy in memory.copies.values():
        for leg in copy.legs if copy.attempt is None else ():
            if leg.status is LegStatus.OPEN and leg.slave_root is None:
                tie(memory.book, copy, leg)  # it was found before any look told its root
                memory.touch(copy, turn)
            if leg.asked_pieces and _are_all_told(memory, leg):
                leg.tell_all()
                memory.touch(copy, turn)
            order = listed.get(leg.ticket) if leg.ticket is not None else None
            if leg.status is LegStatus.PLACED and order is not None and not order.kind.is_pending:
                _filled(memory, copy, leg, order, turn)
                memory.touch(copy, turn)


def _are_all_told(memory: Memory, leg: Leg) -> bool:
    """Netting: a close that an add hid from every list has no deal that will be told. What the lists
    have told is what our ledger says, or more that its owner added, and they are of after our last call:
    nothing is left to be told, but of a close that was given up, or that a further fill of ours hid.
    """
    root = None if leg.slave_root is None else memory.book.roots.get(leg.slave_root)
    just_called = memory.live.just_changed.keys() | memory.live.just_ended.keys()
    if root is None or leg.closes_late or leg.closes_hidden or leg.ticket in just_called:
        return False
    held = _lots([leg for _, leg in _legs(memory, root.root)])
    listed = memory.live.positions.get(root.ticket)
    is_as_listed = memory.book.is_netting and listed is not None and listed.lots == root.open_lots
    return root.open_lots == held or (is_as_listed and root.open_lots > held)


def _filled(
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
    others = [
        other
        for other in copy.legs
        if other is not leg and other.status is LegStatus.OPEN and other.ticket == event.ticket
    ]
    own = event.lots - _lots(others)
    return min(own if own > 0 else event.lots, max(leg.lots - rest, Decimal(0)) or event.lots)


def merged(memory: Memory, copy: Copy, leg: Leg, turn: Turn) -> bool:
    """Netting: a mirrored order is part of the position that is there, as far as that has more than the
    copy's other legs; False: it has not.
    """
    root = memory.book.by_symbol.get(copy.symbol)
    position = None if root is None else memory.live.positions.get(root.ticket)
    others = _lots([other for other in copy.legs if other.status is LegStatus.OPEN])
    if root is None or position is None or position.lots <= others:
        return False
    leg.slave_root = root.root
    own_price = leg.set_stop_limit_price or leg.open_price
    _filled(memory, copy, leg, replace(position, open_price=own_price), turn)
    memory.touch(copy, turn)
    return True


def _ask_what_stands(memory: Memory, leg: Leg) -> None:
    """An order of ours that was filled in part may have filled further; a frame that shows more of it may
    be of before a part was closed.
    """
    if leg.due_lots > 0:
        memory.wants_look = True


def _reduced(
    memory: Memory, copy: Copy, together: list[Leg], event: PositionReduced, turn: Turn
) -> None:
    """The rest is what the broker shows; on netting only what no other leg, and nobody else, can account
    for.
    """
    of_root = [leg for leg in copy.legs if leg.slave_root == event.root]
    owned = _owned_beside(copy, of_root, together, event)
    is_ours = _is_asked(memory, copy, of_root, event, turn)
    # Of several legs it may be of before the last one was opened.
    is_outdated = len(together) > 1 and event.ticket in memory.live.just_changed
    is_too_much = not is_outdated and _is_below_target(memory, copy, together, event)
    if is_too_much and is_ours and _is_fault(memory, of_root, event):
        _halt(memory, copy, event.ticket, "a close that was given up was executed after all", turn)
    elif is_too_much and not copy.options.strict_close:
        leave_alone(memory, copy, "VOLUME_CHANGED", turn)
        return
    taken, left = _taken(copy, together), event.open_lots
    if is_ours and memory.book.is_netting and _is_at(taken, "close", copy.attempt):
        left -= owned
        if owned > 0 and event.deal.ticket < 0:
            _tell_taken_for_owners(memory, owned, event, turn)
    if len(together) == 1 and left > 0:
        # What is told may be older than our last answer.
        taken.lots = min(taken.lots, left)
    elif _is_at(taken, "close", copy.attempt) or not is_outdated:
        _take_off(memory, copy, taken, together, left, event, turn)
    for leg in together:
        leg.ticket, leg.moved = event.ticket, False
    memory.touch(copy, turn)


def _tell_taken_for_owners(memory: Memory, owned: Lots, event: PositionReduced, turn: Turn) -> None:
    """What a late frame showed more, and never was, looks like an add of the owner's, with which a close of
    ours was done that no history tells yet. It is not touched.
    """
    text = (
        f"a close of {event.deal.lots} lots was not answered, and no history shows it: it is taken for"
        f" done, and {owned} lots of position {event.ticket} for its owner's"
    )
    cause = f"left/{event.root}"
    raise_alert(memory, turn, "LEFT_OPEN", cause, text, ticket=event.ticket, lots=owned)


def _reduced_unanswered(
    memory: Memory, copy: Copy, leg: Leg, event: PositionReduced, turn: Turn
) -> None:
    """By its owner, before its open was answered: so much stands, whatever the answer says."""
    request = None if copy.attempt is None else copy.attempt.request
    if isinstance(request, OpenRequest):
        leg.lots = min(request.lots, event.open_lots)
        memory.touch(copy, turn)


def _owned_beside(
    copy: Copy, legs: Sequence[Leg], together: Sequence[Leg], event: PositionReduced
) -> Lots:
    """Netting: what a position had, before this deal, beside what the legs hold and what closes of theirs
    took that are answered and not told yet. What was given up is still in the ledger.
    """
    answered = [piece for leg in legs for piece in leg.answered_pieces]
    if copy.attempt is not None and isinstance(copy.attempt.request, CloseRequest):
        answered = without(answered, copy.attempt.request.lots or Decimal(0))
    untold = sum(answered, Decimal(0))
    return max(Decimal(0), event.open_lots + event.deal.lots - _lots(together) - untold)


def _take_off(
    memory: Memory,
    copy: Copy,
    first: Leg,
    together: list[Leg],
    left: Lots,
    event: PositionReduced,
    turn: Turn,
) -> None:
    """From this leg, then from the newest ones, until so much is left of them."""
    gone = sum((leg.lots for leg in together), Decimal(0)) - left
    legs = (first, *(other for other in reversed(together) if other is not first))
    pieces = []
    for leg in legs:
        pieces.append(min(leg.lots, max(Decimal(0), gone)))
        leg.lots, gone = leg.lots - pieces[-1], gone - pieces[-1]
    for leg, part in zip(legs, _parts(event, pieces), strict=True):
        if part.lots > 0 and leg.lots == 0:
            _closed(memory, copy, leg, event, part, turn)


def _parts(event: PositionReduced | PositionClosed, lots: Sequence[Lots]) -> list[Done]:
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


def _taken(copy: Copy, together: list[Leg]) -> Leg:
    """Of the legs of one position the one that a reduction is of: told before its call is answered, that
    of the close that is under way.
    """
    under_way = (leg for leg in together if _is_at(leg, "close", copy.attempt))
    return next(under_way, together[-1])


def _is_asked(
    memory: Memory,
    copy: Copy,
    legs: Sequence[Leg],
    event: PositionReduced | PositionClosed,
    turn: Turn,
) -> bool:
    """A deal that one of our closes of so many lots of these legs asked for, also one that was given up;
    or that took more than any of them: that the rest is what it should be is asserted once for each. A
    deal that was made from what a list shows may be several.
    """
    lots, asked = event.deal.lots, [piece for leg in legs for piece in leg.asked_pieces]
    if not asked or event.reason in BY_BROKER:
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
    if isinstance(event, PositionReduced) and event.open_lots >= _lots(legs):
        return False  # it was never ours: a late frame's growth, or on netting the owner's own
    is_close = any(_is_at(leg, "close", copy.attempt) for leg in legs)
    if isinstance(event, PositionClosed) and is_close and not copy.is_unresolved:
        return False  # its answer tells whose doing that was
    _all_told(legs)
    _halt(memory, copy, event.ticket, _took_more(asked[-1], lots), turn)
    return True


def _is_fault(memory: Memory, legs: Sequence[Leg], event: PositionReduced | PositionClosed) -> bool:
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
        copy.detached = ""
        _halt(memory, copy, closed.ticket, _took_more(request.lots, closed.lots), turn)


def _took_more(asked: Lots, closed: Lots) -> str:
    return f"a close of {asked} lots closed {closed}"


def _lots(legs: Sequence[Leg]) -> Lots:
    return sum((leg.lots for leg in legs if leg.is_live), Decimal(0))


def _told(legs: Sequence[Leg], piece: Lots) -> None:
    next(leg for leg in legs if piece in leg.asked_pieces).tell(piece)


def _all_told(legs: Sequence[Leg]) -> None:
    for leg in legs:
        leg.tell_all()


def _halt(memory: Memory, copy: Copy, ticket: Ticket, why: str, turn: Turn) -> None:
    halt(memory, copy.copier, ticket, "CLOSED_TOO_MUCH", f"{why}, of ticket {ticket}", turn)


def _is_below_target(
    memory: Memory, copy: Copy, together: list[Leg], event: PositionReduced
) -> bool:
    """Less is left than the master's part of it, and than any close of ours was to leave: its effect
    may show long after its answer, or instead of one.
    """
    if event.reason is CloseReason.STOP_OUT:
        return False
    if copy.closing or (copy.attempt is not None and copy.attempt.kind == "close"):
        return False
    if any(_is_at(leg, "delete", copy.attempt) for leg in together):
        return False  # MT5: of an order that filled in part it closes the position
    spec = memory.live.any_spec(copy.symbol)
    if spec is None:
        return False
    least = Decimal(0)
    for leg in together:
        has_stop, rest = leg.set_stop_loss is not None, copy.options.small_rest
        target = target_lots(leg.original_lots, copy.left_of(leg), spec, has_stop, rest)
        least += min(target, leg.lots, target if leg.asked_lots is None else leg.asked_lots)
    return event.open_lots < least


def leave_alone(memory: Memory, copy: Copy, reason: str, turn: Turn) -> None:
    """Its owner took it in hand: it is managed no more."""
    for event in detach(copy, reason, forget=False):
        turn.execution(event, copy.origin, f"{event.leg}/detached")
    memory.touch(copy, turn)


def _closed(
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
    is_ours = _is_asked(memory, copy, [leg], event, turn)
    leg.status, leg.lots, leg.moved = LegStatus.ENDED, Decimal(0), False
    memory.touch(copy, turn)
    if attempt is not None and _is_at(leg, "close", attempt):
        # Our own call did it, or will say that it is gone: also where it was to close less.
        is_owners = isinstance(event, PositionClosed) and bool(attempt.expected_lots)
        if is_owners and not (is_ours or copy.closing or copy.may_stand):
            copy.detached = f"CLOSED_BY_{event.reason.name}"
        return
    is_fault = is_ours and _is_fault(memory, [leg], event)
    if is_fault and not copy.closing:
        _halt(memory, copy, event.ticket, "a close that was given up was executed after all", turn)
    is_deleted = _is_at(leg, "delete", attempt)
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


def over(memory: Memory, copy: Copy, leg: Leg, row: ClosedOrder, turn: Turn) -> None:
    """Netting: with its position, as history tells; no look knew that the leg was part of that."""
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
    why = f"CLOSED_BY_{by.name}"
    detached = CopyDetached(**about(copy, leg.number), ticket=ticket, reason=why)
    turn.execution(detached, copy.origin, f"{leg.number}/detached")
    if not copy.may_stand and not leg.is_extra:
        copy.detached = why


def pending_removed(
    memory: Memory, copy: Copy, leg: Leg, ticket: Ticket, why: str, rest: Lots, turn: Turn
) -> None:
    """A mirrored order is gone; `rest`: what it had not filled."""
    if _is_at(leg, "delete", copy.attempt):
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


def _is_at(leg: Leg, kind: str, attempt: Attempt | None) -> bool:
    """A call of ours of this kind on this leg is under way, or nobody knows what became of it."""
    return attempt is not None and attempt.kind == kind and attempt.leg == leg.number
