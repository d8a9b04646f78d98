"""What is from before this start: with an older log, brought back, it may have been copied by what is
lost of that, and be over. Pure.

Positions that stand tell by themselves (OTHER_COPIER); what ended, history alone tells.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from copypro.codes import denied
from copypro.trading import ClosedOrder
from copypro.values import Ticket, tag_in

from copypro_account_watcher.planned.live import Live
from copypro_account_watcher.planned.step import Denies, Step, Waits
from copypro_account_watcher.state import Leg


def copied_before(leg: Leg, since_utc: datetime | None, until: datetime, live: Live) -> Step | None:
    """A position with the leg's tag has ended, or this start has read no history yet, which is waited
    for. `since_utc`: when the leg could be sent first; None: unknown. `until`: it waits no longer.
    """
    if not _is_of_before(since_utc, live):
        return None
    if live.over_by_tag is None:
        return Waits(until) if live.now < until else None
    ticket = live.over_by_tag.get(leg.tag)
    if ticket is None or ticket == leg.replaced:
        return None
    return Denies(leg.number, denied("ALREADY_COPIED", ticket=ticket))


def awaits_history(since_utc: datetime | None, live: Live) -> bool:
    """Nobody knows yet whether it was copied before the start."""
    return _is_of_before(since_utc, live) and live.over_by_tag is None


def _is_of_before(since_utc: datetime | None, live: Live) -> bool:
    started_at = live.started_at_utc
    return started_at is not None and (since_utc is None or since_utc <= started_at)


def over_by_tag(ended: Iterable[ClosedOrder]) -> dict[str, Ticket]:
    """Positions of history that carried a leg's tag."""
    tags = ((tag_in(row.comment), row.ticket) for row in ended if not row.cancelled)
    return {tag: ticket for tag, ticket in tags if tag is not None}
