"""Positions with our tags: each is a leg of a copy, or it is closed.

Also what comes when nobody waits for it any more: the fill of an open that was given up, and a
second fill of one that stood. A late answer is evidence: it is followed while the master is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from copypro.messages import CopyIncreased
from copypro.trading import ClosedOrder, OpenOrder, OpenRequest
from copypro.values import AttemptId, Lots, Price, Ticket

from copypro_account_watcher import unresolved
from copypro_account_watcher.accepting import about
from copypro_account_watcher.alerts import raise_alert
from copypro_account_watcher.claims import Claim, is_of, whose
from copypro_account_watcher.evidence import from_ticket
from copypro_account_watcher.following import pending_removed, tie
from copypro_account_watcher.reconcile import Found, found_open
from copypro_account_watcher.state import Copy, Leg, LegStatus
from copypro_account_watcher.turn import Turn

if TYPE_CHECKING:
    from copypro_account_watcher.agent import AccountAgent

FURTHER = (LegStatus.OPEN, LegStatus.ENDED)
"""What an order of a leg fills further is the leg's; of one that was left it is left as well."""


def claim(
    agent: AccountAgent,
    orders: Sequence[OpenOrder],
    ended: Sequence[ClosedOrder] | None,
    turn: Turn,
) -> None:
    """By a whole list that was asked for, since a frame may be late; `ended`: history, if it was read."""
    listed = {order.ticket for order in orders}
    formers = (from_ticket(order.comment) for order in orders)
    standing = listed | {former for former in formers if former is not None}  # MT4: by its rest
    copies = dict(agent.copies)
    for order in orders:
        tagged = agent.tagged(order)
        if tagged is None or order.ticket in agent.market.live.just_ended:
            continue
        copy, leg = tagged
        copies[copy.copy] = copy
        match whose(order, copy, leg, agent.book, standing):
            case Claim.KNOWN:
                continue
            case Claim.MOVED:
                leg.ticket = order.ticket
                tie(agent.book, copy, leg)
            case Claim.LATE:
                evidence = f"open order {order.ticket} carries the tag {leg.tag}, late"
                _late(agent, copy, leg, found_open(order, evidence), turn)
            case Claim.EXTRA:
                agent.know(copy)
                unresolved.close_duplicate(agent, copy, leg, order.ticket, turn)
            case Claim.REST:
                _rest(agent, copy, leg, order, turn)
        agent.touch(copy, turn)
    for copy in copies.values():
        _late_add(agent, copy, orders, turn)
        _filled_further(agent, copy, orders, turn)
    if ended is not None:
        _end_what_went_unseen(agent, listed, ended, turn)


def _rest(agent: AccountAgent, copy: Copy, leg: Leg, order: OpenOrder, turn: Turn) -> None:
    """Nobody would follow what it fills: it is deleted."""
    agent.know(copy)
    leg.status, leg.ticket, leg.lots, leg.closed = LegStatus.PLACED, order.ticket, order.lots, None
    copy.closing = copy.closing or copy.detached or "REST_OF_ORDER"
    copy.closing_since_utc, copy.detached, copy.not_before_utc = turn.now, "", None


def _late_add(agent: AccountAgent, copy: Copy, orders: Sequence[OpenOrder], turn: Turn) -> None:
    """Netting: the tag of what is added is nowhere. That the position grew by exactly what was given up
    tells that it was executed after all.
    """
    lost = [leg for leg in copy.legs if leg.lost is not None and leg.lost.kind == "open"]
    is_free = bool(lost) and copy.attempt is None
    more = unresolved.grown(agent, copy, orders) if is_free else None
    if more is None or more.ticket in agent.market.live.just_changed:
        return
    for leg in lost:
        request = leg.lost.request if leg.lost is not None else None
        if isinstance(request, OpenRequest) and request.lots == more.lots:
            evidence = f"position {more.ticket} grew by the {more.lots} lots that were given up"
            _late(agent, copy, leg, Found(more, True, evidence), turn)
            return


def _late(agent: AccountAgent, copy: Copy, leg: Leg, late: Found, turn: Turn) -> None:
    _takes_up(agent, copy, late.answer.ticket, "filled after its open was given up", turn)
    copy.attempt, leg.lost, leg.status = leg.lost, None, LegStatus.WAITING
    copy.denied = None
    unresolved.found(agent, copy, late, turn)


def _takes_up(agent: AccountAgent, copy: Copy, ticket: Ticket, what: str, turn: Turn) -> None:
    """Managed from here on as it would have been; closed if the master is flat or nobody follows."""
    is_followed = not copy.closing and not copy.detached
    text = f"ticket {ticket} {what}: it is " + ("followed" if is_followed else "closed")
    raise_alert(agent, turn, "LATE_FILL", f"late/{copy.copy}", text, ticket=ticket)
    copy.settled_levels = None
    if not is_followed:
        copy.closing, copy.closing_since_utc = copy.closing or "LATE_FILL", turn.now
        copy.detached, copy.not_before_utc = "", None


def _filled_further(
    agent: AccountAgent, copy: Copy, orders: Sequence[OpenOrder], turn: Turn
) -> None:
    """An order of ours that was filled in part may fill further, also when its leg is over: what its
    position has more than its legs hold. On netting nothing tells it from what an owner adds; but what
    stands there under another ticket, or on the other side, may be another position.
    """
    live = agent.market.live
    due = [leg for leg in copy.legs if leg.due_lots > 0 and leg.status in FURTHER]
    for order in orders if due and copy.attempt is None else ():
        root = agent.book.of_order(order)
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
                agent.know(copy)
                _takes_up(agent, copy, order.ticket, "filled further after it was closed", turn)
                leg.status, leg.ticket, leg.slave_root = LegStatus.OPEN, order.ticket, root.root
                leg.closed = None
            _fill(agent, copy, leg, part, price, turn)
            more -= part


def _fill(agent: AccountAgent, copy: Copy, leg: Leg, more: Lots, price: Price, turn: Turn) -> None:
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
    agent.touch(copy, turn)


def unseen(agent: AccountAgent, orders: Sequence[OpenOrder]) -> list[Ticket]:
    """Mirrored orders and positions that were gone before any list showed them: no root of theirs is
    missed.
    """
    standing = [
        leg.ticket
        for copy in agent.copies.values()
        for leg in copy.legs
        if copy.attempt is None
        and leg.ticket is not None
        and not _is_known(agent, leg)
        and (leg.status is LegStatus.PLACED or _should_stand(agent, copy, leg))
    ]
    listed = {order.ticket for order in orders} if standing else ()
    return [ticket for ticket in standing if ticket not in listed]


def _is_known(agent: AccountAgent, leg: Leg) -> bool:
    return leg.slave_root is not None and leg.slave_root in agent.book.roots


def _should_stand(agent: AccountAgent, copy: Copy, leg: Leg) -> bool:
    """A position by itself, in a list of after our last call. On netting an add is part of the one that is
    known, whatever number its answer had.
    """
    if leg.status is not LegStatus.OPEN or leg.ticket in agent.market.live.just_changed:
        return False
    known = agent.book.by_symbol.get(copy.symbol)
    return known is None or all(other.slave_root != known.root for other in copy.legs)


def _end_what_went_unseen(
    agent: AccountAgent, listed: set[Ticket], ended: Sequence[ClosedOrder], turn: Turn
) -> None:
    """What no look ever showed: what was left and ended while its account was not watched, as after a
    removal, and a mirrored order that came and went, which history alone tells.
    """
    cancelled = {row.ticket: row for row in ended if row.cancelled}
    shown = (
        listed | agent.market.live.just_changed.keys()
    )  # the list may be of before our last call
    for copy in list(agent.copies.values()):
        for leg in copy.legs:
            if _is_known(agent, leg) or leg.ticket is None or leg.ticket in shown:
                continue
            if leg.status is LegStatus.LEFT:
                leg.status = LegStatus.ENDED
                agent.touch(copy, turn)
            elif leg.status is LegStatus.PLACED and leg.ticket in cancelled:
                reason = cancelled[leg.ticket].comment
                pending_removed(agent, copy, leg, leg.ticket, reason, turn)
            elif leg.status is LegStatus.PLACED and agent.book.is_over(leg.ticket):
                # The rest of an order whose filled part was told: it filled, and was closed, unseen.
                pending_removed(agent, copy, leg, leg.ticket, "", turn)
