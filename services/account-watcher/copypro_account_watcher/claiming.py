"""Positions with our tags: each is a leg of a copy, or it is closed.

Also what comes when nobody waits for it any more: the fill of an open that was given up, and a
second fill of one that stood. A late answer is evidence: it is followed while the master is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from copypro.trading import ClosedOrder, OpenOrder, OpenRequest
from copypro.values import Ticket

from copypro_account_watcher import unresolved
from copypro_account_watcher.alerts import raise_alert
from copypro_account_watcher.claims import Claim, whose
from copypro_account_watcher.following import pending_removed, tie
from copypro_account_watcher.reconcile import Found, found_open
from copypro_account_watcher.state import Copy, Leg, LegStatus
from copypro_account_watcher.turn import Turn

if TYPE_CHECKING:
    from copypro_account_watcher.agent import AccountAgent


def claim(
    agent: AccountAgent,
    orders: Sequence[OpenOrder],
    ended: Sequence[ClosedOrder] | None,
    turn: Turn,
) -> None:
    """By a whole list that was asked for, since a frame may be late; `ended`: history, if it was read."""
    listed = {order.ticket for order in orders}
    for order in orders:
        tagged = agent.tagged(order)
        if tagged is None or order.ticket in agent.market.live.just_ended:
            continue
        copy, leg = tagged
        match whose(order, copy, leg, agent.book, listed):
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
    for copy in list(agent.copies.values()):
        _late_add(agent, copy, orders, turn)
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
    """Managed from here on as it would have been; closed if the master is flat or nobody follows."""
    is_followed, ticket = not copy.closing and not copy.detached, late.answer.ticket
    text = f"ticket {ticket} filled after its open was given up: it is " + (
        "followed" if is_followed else "closed"
    )
    raise_alert(agent, turn, "LATE_FILL", f"late/{copy.copy}", text, ticket=ticket)
    copy.attempt, leg.lost, leg.status = leg.lost, None, LegStatus.WAITING
    copy.denied, copy.settled_levels = None, None
    if not is_followed:
        copy.closing, copy.closing_since_utc = copy.closing or "LATE_FILL", turn.now
        copy.detached, copy.not_before_utc = "", None
    unresolved.found(agent, copy, late, turn)


def _end_what_went_unseen(
    agent: AccountAgent, listed: set[Ticket], ended: Sequence[ClosedOrder], turn: Turn
) -> None:
    """What no look ever showed: what was left and ended while its account was not watched, as after a
    removal, and a mirrored order that came and went, which history alone tells.
    """
    cancelled = {row.ticket: row for row in ended if row.cancelled}
    for copy in list(agent.copies.values()):
        for leg in copy.legs:
            is_known = leg.slave_root is not None and leg.slave_root in agent.book.roots
            if is_known or leg.ticket is None or leg.ticket in listed:
                continue
            if leg.status is LegStatus.LEFT:
                leg.status = LegStatus.ENDED
                agent.touch(copy, turn)
            elif leg.status is LegStatus.PLACED and leg.ticket in cancelled:
                reason = cancelled[leg.ticket].comment
                pending_removed(agent, copy, leg, leg.ticket, reason, turn)
