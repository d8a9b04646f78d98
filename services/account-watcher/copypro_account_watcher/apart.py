"""Clocks of two machines: the one that saw a master's trade, and this one, where it is copied.

An order cannot have been seen after it came here. If it says so, the other clock is ahead of this one
by at least the difference: left as it is, the copy would wait for that moment and count as fresh for
that much longer. The other way round nothing can be told: a clock that is behind looks like an order
that took long, and is EXPIRED when that was too long (decision 44).
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from copypro.messages import OpenCopy, SlaveOrder

from copypro_account_watcher.alerts import clear_alert, raise_alert
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.turn import Turn


def as_received(order: SlaveOrder, now: datetime) -> SlaveOrder:
    """Seen, and fresh, no later than now."""
    if not isinstance(order, OpenCopy) or order.seen_at_utc <= now:
        return order
    fresh = order.fresh_from_utc
    return msgspec.structs.replace(
        order, seen_at_utc=now, fresh_from_utc=None if fresh is None else min(fresh, now)
    )


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
