"""Clocks of two machines: the one that saw a master's trade, and this one, where it is copied.

An order cannot have been seen after it came here. If it says so, the other clock is ahead of this one
by at least the difference: left as it is, the copy would wait for that moment and count as fresh for
that much longer. The other way round nothing can be told: a clock that is behind looks like an order
that took long, and is EXPIRED when that was too long (decision 44).

And this machine's own clock, when it is set back.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from copypro.messages import OpenCopy, PlacePendingCopy, SlaveOrder

from copypro_account_watcher.alerts import clear_alert, raise_alert
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.state import Copy, root_key
from copypro_account_watcher.turn import Turn


def as_received(order: SlaveOrder, now: datetime) -> SlaveOrder:
    """Seen, and fresh, no later than now."""
    match order:
        case OpenCopy() if order.seen_at_utc > now:
            return _opened_by(order, now)
        case PlacePendingCopy() if order.seen_at_utc > now:
            return _placed_by(order, now)
    return order


def _opened_by(order: OpenCopy, now: datetime) -> OpenCopy:
    return msgspec.structs.replace(
        order,
        seen_at_utc=min(order.seen_at_utc, now),
        fresh_from_utc=_by(order.fresh_from_utc, now),
    )


def _placed_by(order: PlacePendingCopy, now: datetime) -> PlacePendingCopy:
    return msgspec.structs.replace(order, seen_at_utc=min(order.seen_at_utc, now))


def see_time(memory: Memory, turn: Turn, mono: float) -> None:
    live = memory.live
    back, live.now, live.mono = live.now - turn.now, turn.now, mono
    if back <= timedelta(seconds=memory.limits.clock_off_s):
        return
    set_back(memory, turn.now)
    for root in memory.book.roots.values():
        turn.remember(root_key(memory.id, root.root), root)
    for copy in memory.copies.values():
        memory.touch(copy, turn)


def set_back(memory: Memory, now: datetime) -> None:
    """The clock was, or may have been while nobody watched: nothing has begun later than now, and what was
    put off waits no longer. It would wait until the clock is as late again as it was.
    """
    memory.book.set_back(now)
    if memory.account is not None:
        memory.account.alive_at_utc = _by(memory.account.alive_at_utc, now)
    for copy in memory.copies.values():
        _set_back(copy, now)


def _set_back(copy: Copy, now: datetime) -> None:
    copy.not_before_utc = None
    copy.closing_since_utc = _by(copy.closing_since_utc, now)
    copy.levels_late_since_utc = _by(copy.levels_late_since_utc, now)
    copy.reduction_late_since_utc = _by(copy.reduction_late_since_utc, now)
    copy.pending_filled_at_utc = _by(copy.pending_filled_at_utc, now)
    if copy.pending is not None:
        copy.pending = _placed_by(copy.pending, now)
    if copy.attempt is not None:
        copy.attempt.unresolved_at_utc = _by(copy.attempt.unresolved_at_utc, now)
    for leg in copy.legs:
        leg.naked_since_utc = _by(leg.naked_since_utc, now)
        leg.levels_asked_at_utc = _by(leg.levels_asked_at_utc, now)
        if leg.order is not None:
            leg.order = _opened_by(leg.order, now)


def _by(moment: datetime | None, now: datetime) -> datetime | None:
    return None if moment is None else min(moment, now)


def compare_clocks(memory: Memory, order: SlaveOrder, turn: Turn) -> None:
    """An alert while a master's orders come from the future."""
    account = memory.account
    if not isinstance(order, OpenCopy) or account is None or account.removed:
        return
    ahead_s, cause = (order.seen_at_utc - turn.now).total_seconds(), f"clocks/{order.master}"
    if ahead_s > memory.limits.clock_off_s:
        text = (
            "the clock of the machine that watches the master is ahead of this one's:"
            " the age of trades is wrong"
        )
        raise_alert(memory, turn, "CLOCK_OFF", cause, text, ahead_s=f"{ahead_s:.1f}")
    else:
        clear_alert(memory, turn, cause)
