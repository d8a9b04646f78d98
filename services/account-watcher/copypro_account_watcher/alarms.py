"""What an operator must know of a copy now, by what it is, and when time alone changes that. Pure.

Asked after every input and whenever the time comes: an alert does not wait for an answer that may
never be given.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.state import Copy, Leg

ALARMS = ("close", "stop", "unresolved")
"""The causes; of one copy each stands at most once."""


class Alarm(Struct, frozen=True):
    code: str
    text: str


def alarms(
    copy: Copy, now: datetime, limits: WatcherLimits, *, is_connected: bool = True
) -> tuple[dict[str, Alarm], datetime | None]:
    """By cause, and when to ask again. `is_connected`: else no call can be sent."""
    if not _may_be_late(copy):
        return {}, None
    found: dict[str, Alarm] = {}
    times: list[datetime] = []
    for cause, since, after_s, alarm in (
        ("close", *_close(copy, limits, is_connected)),
        ("stop", *_stop(copy, limits, is_connected)),
        ("unresolved", *_unresolved(copy, limits)),
    ):
        if since is None:
            continue
        at = since + timedelta(seconds=after_s)
        if now >= at:
            found[cause] = alarm
        else:
            times.append(at)
    return found, min(times, default=None)


def _may_be_late(copy: Copy) -> bool:
    """Something has a time since when it should be otherwise; most copies have nothing."""
    is_closing = copy.closing_since_utc is not None
    late = (copy.levels_late_since_utc, copy.reduction_late_since_utc)
    return copy.is_unresolved or is_closing or any(since is not None for since in late)


Possible = tuple[datetime | None, float, Alarm]
"""Since when (None: not at all), after how long, and what."""
NOTHING = Alarm("", "")


def _close(copy: Copy, limits: WatcherLimits, is_connected: bool) -> Possible:
    if not copy.live_legs:
        return None, 0.0, NOTHING
    since, what = copy.closing_since_utc, _opened(copy)
    if since is None and not copy.detached:
        since, what = copy.reduction_late_since_utc, f"a part of {what}"
    text = f"{what} should be closed and is not{_why(copy, is_connected, 'close', 'delete')}"
    alarm = Alarm("CLOSE_FAILS", text)
    return since, limits.close_alert_after_s, alarm


def _stop(copy: Copy, limits: WatcherLimits, is_connected: bool) -> Possible:
    if copy.closing == "STOP_NOT_SET" and not copy.detached:
        text = (
            f"the stop of {_tickets(copy.legs)} could not be set, so it is closed"
            f"{_answered(copy, 'modify')}"
        )
        return copy.closing_since_utc, 0.0, Alarm("STOP_NOT_SET", text)
    standing = [leg for leg in copy.live_legs if leg.ticket is not None]
    if not standing or copy.closing or copy.detached:
        return None, 0.0, NOTHING
    text = (
        f"the master's latest levels are not set on {_tickets(standing)}: the former ones stand"
        f"{_why(copy, is_connected, 'modify')}"
    )
    return copy.levels_late_since_utc, limits.stops_within_s, Alarm("STOP_NOT_SET", text)


def _unresolved(copy: Copy, limits: WatcherLimits) -> Possible:
    attempt = copy.attempt
    if attempt is None or attempt.person:
        return None, 0.0, NOTHING
    text = f"nobody knows yet what became of a call to {attempt.kind} {copy.symbol}"
    since = attempt.unresolved_at_utc
    return since, limits.unresolved_alert_after_s, Alarm("UNRESOLVED", text)


def _why(copy: Copy, is_connected: bool, *kinds: str) -> str:
    if not is_connected:
        return ": the account is not connected"
    is_calling = copy.attempt is not None and copy.attempt.kind in kinds
    return _answered(copy, *kinds) or (": a call for it has no answer yet" if is_calling else "")


def _answered(copy: Copy, *kinds: str) -> str:
    """What its broker has against such a call; nothing where none was answered."""
    kind, said = copy.refusal or ("", "")
    return f": the broker answered {said}" if kind in kinds else ""


def _opened(copy: Copy) -> str:
    """Its tickets; one whose call has no answer yet has none, or none that is known."""
    named = [_tickets(copy.live_legs)]
    if any(leg.ticket is None for leg in copy.live_legs):
        named.append(f"what a call to open {copy.symbol} may have opened")
    return " and ".join(filter(None, named))


def _tickets(legs: list[Leg]) -> str:
    return ", ".join(str(leg.ticket) for leg in legs if leg.ticket is not None)
