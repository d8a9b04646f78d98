"""Attempts that nobody answered clearly, settled by what a look at the broker's books shows."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from copypro.messages import CopyNeedsPerson, CopyReconciled
from copypro.trading import (
    ClosedOrder,
    CloseRequest,
    Done,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
    TradeRequest,
)
from copypro.values import Lots, Mode, Price, Ticket
from msgspec.structs import replace

from copypro_account_watcher.alerts import clear_alert, halt, raise_alert
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.accepting import about_call, deny
from copypro_account_watcher.seen.made import rounded
from copypro_account_watcher.settled import late_modifies, outcomes
from copypro_account_watcher.settled.applying import apply
from copypro_account_watcher.settled.asked import halt_if_it_took_more
from copypro_account_watcher.settled.claims import unclaimed
from copypro_account_watcher.settled.reconcile import (
    Absent,
    Ambiguous,
    Found,
    NotYet,
    settle_change,
    settle_open,
)
from copypro_account_watcher.settled.ties import lots_of
from copypro_account_watcher.state import Attempt, Copy, Leg, LegStatus
from copypro_account_watcher.turn import Turn


def settle(
    memory: Memory,
    orders: Sequence[OpenOrder],
    ended: Sequence[ClosedOrder] | None,
    asked_at: float | None,
    turn: Turn,
) -> float | None:
    """Settle what this look can settle; when to look again, with history, for the rest.

    Times on the monotonic clock. `asked_at`: before which the list shows everything; None: a frame,
    which may be late.
    """
    again: float | None = None
    for copy in list(memory.copies.values()):
        attempt = copy.attempt
        if attempt is None or attempt.unresolved_at_utc is None:
            continue
        look_at = _settle_one(memory, copy, attempt, orders, ended, asked_at, turn)
        if copy.attempt is not attempt:
            memory.certain(attempt)
        if look_at is not None:
            again = look_at if again is None else min(again, look_at)
    return again


def _settle_one(
    memory: Memory,
    copy: Copy,
    attempt: Attempt,
    orders: Sequence[OpenOrder],
    ended: Sequence[ClosedOrder] | None,
    asked_at: float | None,
    turn: Turn,
) -> float | None:
    now, doubt = memory.live.mono, memory.doubt(attempt, memory.live.mono)
    leg, request = copy.leg(attempt.leg), attempt.request
    if not isinstance(request, OpenRequest):
        if asked_at is None:
            return now
        wait_until = settle_change(
            attempt,
            doubt,
            leg,
            memory.live.mode,
            asked_at=asked_at,
            ended=ended,
            now=now,
            limits=memory.limits,
        )
        if wait_until is None and _is_shown_untold(memory, leg, request):
            wait_until = now + memory.limits.row_wait_s
        if wait_until is None:
            planned_anew(memory, copy, "a later look shows what stands", turn)
        return wait_until
    more = grown(memory, copy, orders)
    finding = settle_open(
        attempt,
        doubt,
        leg,
        orders=orders,
        ended=ended,
        unclaimed=unclaimed(orders, memory.book, _legs(memory)),
        now=now,
        limits=memory.limits,
        grown=None if more is None else replace(more, lots=min(more.lots, request.lots)),
        shown=_shown(memory, leg, request),
    )
    match finding:
        case Found():
            found(memory, copy, finding, turn)
        case Absent():
            absent(memory, copy, finding, turn)
        case Ambiguous():
            _needs_person(memory, copy, attempt, finding, turn)
        case NotYet(look_at):
            memory.touch(copy, turn)
            return look_at
    return None


def _is_shown_untold(memory: Memory, leg: Leg, request: TradeRequest) -> bool:
    """A part is gone from the list, and its deal is waited for: it will tell whose close that was."""
    if not isinstance(request, CloseRequest) or request.lots not in leg.asked_pieces:
        return False
    root = None if leg.slave_root is None else memory.book.roots.get(leg.slave_root)
    listed = memory.live.positions.get(request.ticket)
    return root is not None and listed is not None and listed.lots < root.open_lots


def _shown(memory: Memory, leg: Leg, request: OpenRequest) -> Done | None:
    """What a look took for the leg by its tag, which MT4 drops where the owner closes a part; of an order
    with what had not filled of it.
    """
    root = None if leg.slave_root is None else memory.book.roots.get(leg.slave_root)
    if root is not None and not root.is_pending and not memory.book.is_netting:
        lots = root.ever_lots + root.rest_lots
        return Done(ticket=root.ticket, lots=lots, price=root.open_price)
    if leg.closed is None:
        return None
    price = leg.closed.price if request.price is None else request.price
    return Done(ticket=leg.closed.ticket, lots=request.lots, price=price)


def grown(memory: Memory, copy: Copy, orders: Sequence[OpenOrder]) -> Done | None:
    """Netting: what the position has more than the copy's legs. Before an add is sent they account for
    all of it, or it is denied.
    """
    legs = copy.open_legs
    order = next((o for o in orders if o.symbol == copy.symbol and not o.kind.is_pending), None)
    if memory.live.mode is not Mode.NETTING or not legs or order is None:
        return None
    more = order.lots - lots_of(legs)
    if more <= 0 or order.kind.side is not copy.side:
        return None
    return Done(ticket=order.ticket, lots=more, price=price_of(more, order, legs))


def price_of(more: Lots, order: OpenOrder, legs: Sequence[Leg]) -> Price:
    """Of what a position has more than these legs, by its own price and theirs."""
    paid = order.open_price * order.lots - sum(leg.open_price * leg.lots for leg in legs)
    price = rounded(paid / more, order.open_price, order.digits) if more else Decimal(0)
    return price if price > 0 else order.open_price


def _shrunk(memory: Memory, copy: Copy, leg: Leg, request: CloseRequest) -> None:
    """What the position has less than the copy's legs, where no look told of a reduction: it was first
    seen after it, or an add hid it.
    """
    live = memory.live
    listed = live.positions.get(request.ticket)
    if leg.status is not LegStatus.OPEN or listed is None or listed.kind.is_pending:
        return
    if request.ticket in live.just_changed:
        return
    legs = [each for each in copy.open_legs if each.ticket == leg.ticket]
    gone = lots_of(legs) - listed.lots
    taken = min(leg.lots, max(Decimal(0), gone))
    leg.lots -= taken
    if taken > 0 and leg.lots == 0:
        price = request.price or listed.open_price
        leg.closed = Done(ticket=request.ticket, lots=taken, price=price)
        leg.status = LegStatus.ENDED


def _legs(memory: Memory) -> set[Ticket]:
    tickets = (leg.ticket for copy in memory.copies.values() for leg in copy.legs)
    return {ticket for ticket in tickets if ticket is not None}


def found(memory: Memory, copy: Copy, finding: Found, turn: Turn) -> None:
    """It stands: adopted with the broker's ticket, volume and price."""
    attempt = copy.attempt
    assert attempt is not None
    leg = copy.leg(attempt.leg)
    reconciled = CopyReconciled(
        **about_call(copy, attempt),
        found=finding.answer,
        inferred=finding.inferred,
        evidence=finding.evidence,
    )
    platform = memory.known.platform
    result = outcomes.done(copy, attempt, finding.answer, platform, {})
    result.events.insert(0, reconciled)
    apply(memory, copy, attempt, result, turn)
    cause = f"attempt/{attempt.id}"
    clear_alert(memory, turn, cause)
    if finding.inferred:
        text = f"ticket {finding.answer.ticket} was taken for ours by its shape: {finding.evidence}"
        raise_alert(memory, turn, "INFERRED", f"inferred/{copy.copy}", text)
    for ticket in finding.duplicates:
        close_duplicate(memory, copy, leg, ticket, turn)
    if finding.answer.ticket in memory.live.positions:
        memory.wants_look = True
    else:
        memory.wants_history = True  # it has ended already, which history alone tells
        memory.live.found_ended.add(finding.answer.ticket)


def close_duplicate(memory: Memory, copy: Copy, leg: Leg, ticket: Ticket, turn: Turn) -> None:
    """Two tickets with one leg's tag: the later one becomes a leg of its own that is closed at once."""
    order = memory.live.positions.get(ticket)
    text = f"ticket {ticket} carries the tag of a leg that has its position: it is closed"
    halt(memory, copy.copier, ticket, "DUPLICATE", text, turn)
    extra = Leg(
        number=-ticket,
        tag=leg.tag,
        status=LegStatus.OPEN,
        origin=leg.origin,
        ticket=ticket,
        original_lots=Decimal(0),
        lots=order.lots if order is not None else Decimal(0),
        slave_root=memory.book.root_of(ticket),
    )
    copy.legs.append(extra)
    memory.touch(copy, turn)


def absent(memory: Memory, copy: Copy, finding: Absent, turn: Turn) -> None:
    """It does not stand, and an open is never sent twice."""
    attempt, leg = _not_found(copy, finding.evidence, turn)
    origin = copy.origin_of(leg)
    denied = deny(copy, leg, "NOT_RESENT", {"attempt": attempt.id})
    turn.execution(denied, origin, f"{leg.number}")
    if attempt.kind == "place" and not denied.pending:
        # That is of the fill of the master's, which came meanwhile.
        turn.execution(replace(denied, pending=True), origin, f"{leg.number}/pending")
    leg.status, leg.lost = LegStatus.LOST, attempt
    clear_alert(memory, turn, f"attempt/{attempt.id}")
    memory.touch(copy, turn)


def planned_anew(memory: Memory, copy: Copy, evidence: str, turn: Turn) -> None:
    """A change whose effect, if it had one, is in the books by now: what is left to do is done."""
    attempt, leg = _not_found(copy, evidence, turn)
    if isinstance(attempt.request, CloseRequest):
        leg.closes_late = bool(leg.asked_pieces)
        if (lots := attempt.request.lots) in leg.answered_pieces and lots is not None:
            leg.given_up_pieces = [*leg.given_up_pieces, lots]
        _shrunk(memory, copy, leg, attempt.request)
    platform, done = memory.known.platform, attempt.taken
    if isinstance(attempt.request, ModifyRequest):
        done = late_modifies.give_up(leg, attempt, memory.live)
    if done is not None:
        result = outcomes.done(copy, attempt, done, platform, {})
        apply(memory, copy, attempt, result, turn)
    elif outcomes.is_done(leg, attempt.kind):
        halt_if_it_took_more(memory, copy, attempt, turn)
        ended = outcomes.ended_meanwhile(copy, attempt, about_call(copy, attempt))
        result = outcomes.Consequence(events=ended, look=attempt.kind == "delete")
        apply(memory, copy, attempt, result, turn)
    clear_alert(memory, turn, f"attempt/{attempt.id}")
    memory.touch(copy, turn)


def _not_found(copy: Copy, evidence: str, turn: Turn) -> tuple[Attempt, Leg]:
    """Its attempt is over: the books show nothing of it, or not what became of it."""
    attempt = copy.attempt
    assert attempt is not None
    leg, copy.attempt = copy.leg(attempt.leg), None
    reconciled = CopyReconciled(**about_call(copy, attempt), found=None, evidence=evidence)
    turn.execution(reconciled, copy.origin_of(leg), attempt.id)
    return attempt, leg


def _needs_person(
    memory: Memory, copy: Copy, attempt: Attempt, finding: Ambiguous, turn: Turn
) -> None:
    if attempt.person:
        return
    attempt.person = True
    leg = copy.leg(attempt.leg)
    asked = attempt.request
    assert isinstance(asked, OpenRequest)
    evidence = f"a call to open {asked.lots} {asked.symbol} {asked.kind}: {finding.evidence}"
    event = CopyNeedsPerson(**about_call(copy, attempt), evidence=evidence)
    turn.execution(event, copy.origin_of(leg), attempt.id)
    text = f"{evidence}; see what it opened in the terminal, then `copypro settle`"
    raise_alert(memory, turn, "NEEDS_PERSON", f"attempt/{attempt.id}", text, attempt=attempt.id)
    memory.touch(copy, turn)
