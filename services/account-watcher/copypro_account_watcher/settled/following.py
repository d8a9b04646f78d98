"""What happened on the slave's own account, into the ledger of our legs. Pure.

The account's diff speaks of roots; a leg is (part of) a root on its slave (`ties.py`). What our own call
did is reported by its answer; what nobody here asked for (`asked.py`) detaches the leg.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from copypro.messages import (
    OrderEvent,
    PendingPlaced,
    PendingRemoved,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
)
from copypro.trading import OpenRequest
from copypro.values import TAG_LENGTH, Lots, RootId
from msgspec.structs import replace

from copypro_account_watcher.alerts import raise_alert
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.seen.book import Book
from copypro_account_watcher.seen.evidence import from_ticket
from copypro_account_watcher.settled.asked import (
    BY_BROKER,
    are_all_told,
    halt_late_close,
    is_below_target,
    is_our_fault,
    is_unanswered,
    note_taken,
    owned_beside,
    settle_asked,
)
from copypro_account_watcher.settled.ends import leave_alone, leg_closed, parts_of
from copypro_account_watcher.settled.mirrored import merged, pending_filled, pending_removed
from copypro_account_watcher.settled.ties import legs_of, lots_of, open_legs_of, tie, tie_by_ticket
from copypro_account_watcher.state import Copy, Leg, LegStatus
from copypro_account_watcher.turn import Turn


def follow(memory: Memory, event: OrderEvent, turn: Turn) -> None:
    """One fact of the account, for the legs that it is about."""
    if isinstance(event, PositionReduced | PositionClosed) and not memory.book.is_netting:
        tie_by_ticket(memory, event)
    match event:
        case PositionOpened() | PendingPlaced():
            _opened(memory, event, turn)
        case PositionIncreased():
            for _, leg in legs_of(memory, event.root):
                _ask_what_stands(memory, leg)
        case PositionReduced():
            for copy, legs in open_legs_of(memory, event.root):
                _reduced(memory, copy, legs, event, turn)
            for copy, leg in legs_of(memory, event.root):
                if leg.status is LegStatus.WAITING:
                    _reduced_unanswered(memory, copy, leg, event, turn)
        case PositionClosed():
            of_root = legs_of(memory, event.root)
            parts = iter(parts_of(event, [leg.lots for _, leg in of_root if leg.is_live]))
            for copy, leg in of_root:
                if leg.is_live:
                    leg_closed(memory, copy, leg, event, next(parts), turn)
                else:
                    _left_ended(memory, copy, leg, turn)
        case PendingRemoved() if event.root not in memory.book.roots:
            for copy, leg in legs_of(memory, event.root):
                if leg.status is LegStatus.PLACED:
                    _order_gone(memory, copy, leg, event, turn)
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
    for copy, legs in open_legs_of(memory, event.root):
        asked = [leg for leg in legs for piece in leg.asked_pieces if piece == lots]
        if not asked:
            continue
        leg = min(asked, key=lambda leg: is_unanswered(copy, leg, lots))
        leg.tell(lots)
        if len(asked) == 1 and is_unanswered(copy, leg, lots):
            note_taken(copy, leg, event)
            _take_off(memory, copy, leg, [leg], leg.lots - lots, event, turn)
        memory.touch(copy, turn)


def follow_names(memory: Memory, changed: Iterable[RootId], turn: Turn) -> None:
    """The server may open a position anew under another ticket, and give its symbol another name: the leg
    is addressed by that one, and its terms and prices are asked for by this one.
    """
    for root in (memory.book.roots[root] for root in changed):
        for copy, leg in legs_of(memory, root.root):
            if leg.ticket != root.ticket:
                leg.ticket, leg.moved = root.ticket, False
                memory.touch(copy, turn)
            if copy.symbol != root.symbol:
                _rename(copy, root.symbol)
                memory.live.forget_names()
                memory.touch(copy, turn)


def _rename(copy: Copy, symbol: str) -> None:
    mapping = copy.mapping
    if mapping is not None and mapping.slave_symbol == copy.symbol:
        copy.mapping = replace(mapping, slave_symbol=symbol)
    copy.symbol = symbol


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
            if leg.asked_pieces and are_all_told(memory, leg):
                leg.tell_all()
                memory.touch(copy, turn)
            order = listed.get(leg.ticket) if leg.ticket is not None else None
            if leg.status is LegStatus.PLACED and order is not None and not order.kind.is_pending:
                pending_filled(memory, copy, leg, order, turn)
                memory.touch(copy, turn)


def _opened(memory: Memory, event: PositionOpened | PendingPlaced, turn: Turn) -> None:
    copy = None if event.copy is None else memory.copies.get(event.copy)
    leg = None if copy is None else _leg_of(memory, copy, event)
    if copy is None or leg is None:
        return
    leg.slave_root = event.root
    _tie_others(memory.book, copy, event)
    if isinstance(event, PositionOpened) and leg.status is LegStatus.PLACED:
        pending_filled(memory, copy, leg, event, turn)
    elif leg.status is LegStatus.OPEN:
        _ask_what_stands(memory, leg)
        is_alone = len(copy.live_legs) == 1 and event.ticket not in memory.live.just_changed
        if is_alone and event.lots < leg.lots:  # part of it was closed before it was first seen
            leg.tell(leg.lots - event.lots)
            leg.lots = event.lots
    memory.touch(copy, turn)


def _leg_of(memory: Memory, copy: Copy, event: PositionOpened | PendingPlaced) -> Leg | None:
    leg = next((leg for leg in copy.legs if _is_it(memory.book, leg, event)), None)
    if leg is None:
        leg = _unanswered(memory, copy, event)
    if leg is None and isinstance(event, PositionOpened):
        leg = _rest_of(copy, event)
    return leg


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


def _tie_others(book: Book, copy: Copy, event: PositionOpened | PendingPlaced) -> None:
    """On netting those that were added before any look showed the first."""
    for other in copy.legs:
        if other.status is LegStatus.OPEN:
            if other.ticket == event.ticket:  # also where this look shows that it has ended since
                other.slave_root = event.root
            tie(book, copy, other)
            is_free = other.slave_root is None and other.replaced != event.ticket
            if book.is_netting and is_free:
                other.slave_root = event.root  # which may be over by now


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
    owned = owned_beside(copy, of_root, together, event)
    is_ours = settle_asked(memory, copy, of_root, event, turn)
    # Of several legs it may be of before the last one was opened.
    is_outdated = len(together) > 1 and event.ticket in memory.live.just_changed
    is_too_much = not is_outdated and is_below_target(memory, copy, together, event)
    if is_too_much and is_ours and is_our_fault(memory, of_root, event):
        halt_late_close(memory, copy, event.ticket, turn)
    elif is_too_much and not copy.options.strict_close:
        leave_alone(memory, copy, "VOLUME_CHANGED", turn)
        return
    taken, left = _taken(copy, together), event.open_lots
    if is_ours:
        note_taken(copy, taken, event)
    if is_ours and memory.book.is_netting and copy.is_calling(taken, "close"):
        left -= owned
        if owned > 0 and event.deal.ticket < 0:
            _tell_taken_for_owners(memory, owned, event, turn)
    if len(together) == 1 and left > 0:
        # What is told may be older than our last answer.
        taken.lots = min(taken.lots, left)
    elif copy.is_calling(taken, "close") or not is_outdated:
        _take_off(memory, copy, taken, together, left, event, turn)
    for leg in together:
        leg.ticket, leg.moved = event.ticket, False
    memory.touch(copy, turn)


def _taken(copy: Copy, together: list[Leg]) -> Leg:
    """Of the legs of one position the one that a reduction is of: told before its call is answered, that
    of the close that is under way.
    """
    under_way = (leg for leg in together if copy.is_calling(leg, "close"))
    return next(under_way, together[-1])


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
    gone = lots_of(together) - left
    legs = (first, *(other for other in reversed(together) if other is not first))
    pieces = []
    for leg in legs:
        pieces.append(min(leg.lots, max(Decimal(0), gone)))
        leg.lots, gone = leg.lots - pieces[-1], gone - pieces[-1]
    for leg, part in zip(legs, parts_of(event, pieces), strict=True):
        if part.lots > 0 and leg.lots == 0:
            leg_closed(memory, copy, leg, event, part, turn)


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


def _order_gone(memory: Memory, copy: Copy, leg: Leg, event: PendingRemoved, turn: Turn) -> None:
    if event.reason != "merged":
        known = memory.book.closed.get(event.root)
        rest = leg.lots if known is None else known.lots
        pending_removed(memory, copy, leg, event.ticket, event.reason, rest, turn)
    elif not merged(memory, copy, leg, turn):
        pending_removed(memory, copy, leg, event.ticket, event.reason, leg.lots, turn)


def _left_ended(memory: Memory, copy: Copy, leg: Leg, turn: Turn) -> None:
    if leg.status is LegStatus.LEFT:
        leg.status = LegStatus.ENDED
        memory.touch(copy, turn)
