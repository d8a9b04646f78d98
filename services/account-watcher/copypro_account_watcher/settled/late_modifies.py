"""Modifies that nobody answered and that were given up: a broker may execute one long after, and puts the
levels of then in the place of the latest.
"""

from __future__ import annotations

from datetime import timedelta

from copypro.trading import Done, ModifyRequest, OpenOrder

from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.live import Live
from copypro_account_watcher.settled.outcomes import set_as_listed
from copypro_account_watcher.state import Attempt, Leg, LegStatus
from copypro_account_watcher.turn import Turn

MOST_MODIFIES = 16
"""Of a leg so many are remembered, the newest."""


def give_up(leg: Leg, attempt: Attempt, live: Live) -> Done | None:
    """What a list of after it shows is what stands, and the call may be executed yet. None: that is not
    what it asked for.
    """
    order = _listed(leg, live)
    if order is not None:
        former = _late(leg, order, live)
        if former is not None and not _asks_for(attempt, order):
            _overtaken(leg)
        set_as_listed(leg, order)
    leg.late_modifies = [*leg.late_modifies, attempt][-MOST_MODIFIES:]
    if order is None or not _asks_for(attempt, order):
        return None
    return Done(ticket=order.ticket, lots=order.lots, price=order.open_price)


def set_right(memory: Memory, turn: Turn, *, is_whole: bool) -> None:
    """What stands is what such a modify asked for, and not what was set: the latest levels are due again,
    once for each. A frame, or a list of before our last call, may show what stood before.
    """
    live = memory.live
    for copy in memory.copies.values():
        for leg in copy.legs if copy.attempt is None else ():
            order = _listed(leg, live) if leg.late_modifies else None
            late = None if order is None else _late(leg, order, live)
            if order is None or late is None or _is_as_set(leg, order):
                continue
            if not is_whole or leg.ticket in live.just_modified:
                memory.wants_look = True
                continue
            leg.late_modifies = [each for each in leg.late_modifies if each is not late]
            for other in copy.legs:
                if other.ticket == leg.ticket and other.status is leg.status:
                    _overtaken(other)
                    set_as_listed(other, order)
                    other.levels_refused = False
            copy.settled_levels = None
            memory.touch(copy, turn)


def _overtaken(leg: Leg) -> None:
    leg.overtaken_stop_loss = leg.overtaken_stop_loss or leg.set_stop_loss


def _listed(leg: Leg, live: Live) -> OpenOrder | None:
    order = None if leg.ticket is None else live.positions.get(leg.ticket)
    if order is None or leg.status not in (LegStatus.OPEN, LegStatus.PLACED):
        return None
    return order if order.kind.is_pending is (leg.status is LegStatus.PLACED) else None


def _late(leg: Leg, order: OpenOrder, live: Live) -> Attempt | None:
    """The first one that may have been executed and that asked for what the order has."""
    since = live.now - timedelta(seconds=live.limits.late_fill_s)
    may_be = (each for each in leg.late_modifies if each.started_at_utc >= since)
    return next((each for each in may_be if _asks_for(each, order)), None)


def _asks_for(attempt: Attempt, order: OpenOrder) -> bool:
    """A position has its levels alone, also where it was an order when this was asked."""
    request = attempt.request
    assert isinstance(request, ModifyRequest)
    asked = (request.stop_loss, request.take_profit)
    if not order.kind.is_pending:
        return asked == (order.stop_loss, order.take_profit)
    of_order = (request.price, request.stop_limit_price, request.expires_at_broker)
    return (*asked, *of_order) == _of(order)


def _is_as_set(leg: Leg, order: OpenOrder) -> bool:
    levels = (leg.set_stop_loss, leg.set_take_profit)
    if not order.kind.is_pending:
        return levels == (order.stop_loss, order.take_profit)
    of_order = (leg.open_price, leg.set_stop_limit_price, leg.set_expires_at_broker)
    return (*levels, *of_order) == _of(order)


def _of(order: OpenOrder) -> tuple[object, ...]:
    return (
        order.stop_loss,
        order.take_profit,
        order.open_price,
        order.stop_limit_price,
        order.expires_at_broker,
    )
