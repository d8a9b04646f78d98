"""Whether anything may be opened on an account, and why not. Closes never ask."""

from __future__ import annotations

from datetime import datetime, timedelta

from copypro.codes import Denial, denied

from copypro_account_watcher.alerts import clear_alert, raise_alert
from copypro_account_watcher.host import Host
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.turn import Turn

MOST_UNRESOLVED = 2
"""So many attempts that nobody has settled, and nothing more is opened."""
OF_THIS_MACHINE = {
    "CLOCK_OFF": ("clock", "this machine's clock is wrong: nothing is opened until it is right"),
    "DISK_FULL": (
        "disk",
        "this machine's disk is nearly full, or the data folder is not where it was: nothing is opened"
        " until there is room in it, closes go on",
    ),
}
"""Code: (the alert's cause, its text)."""


class Permission:
    """The circuit breaker of one account, and everything else that pauses its opens."""

    def __init__(self, memory: Memory, host: Host) -> None:
        self._memory, self._host = memory, host
        self._marks: list[tuple[float, str]] = []
        """On the monotonic clock, as is the end of the pause: a clock that is set back prolongs neither."""
        self._paused_until: datetime | None = None
        self._pause_ends = 0.0

    def refresh(self, turn: Turn) -> None:
        """Decides anew, for the steps of this turn."""
        memory, account = self._memory, self._memory.account
        if account is not None and account.removed:
            self._start_over()
        if self._paused_until is not None and self._host.monotonic() >= self._pause_ends:
            self._paused_until = None
        if self._paused_until is None:
            # Also that of a pause which a restart ended.
            clear_alert(memory, turn, "breaker")
        for what in memory.refusals:
            self._count(what, turn)
        memory.refusals.clear()
        if code := memory.broker_stop:
            text = f"the broker answered {code}: nothing is opened on this account"
            raise_alert(memory, turn, "OPENS_PAUSED", "broker-stop", text)
        memory.live.account = account
        off = memory.live.opens_off = self._opens_off()
        for code, (cause, text) in OF_THIS_MACHINE.items():
            if off is None or off.code != code:
                clear_alert(memory, turn, cause)
            elif memory.copies:
                raise_alert(memory, turn, code, cause, text, **dict(off.numbers))

    def _start_over(self) -> None:
        """The account is gone, and its alerts with it: what is still answered is no alert any more, and
        pauses nothing when it is added again.
        """
        self._memory.broker_stop, self._paused_until = "", None
        self._memory.refusals.clear()
        self._marks.clear()

    def reconnected(self, turn: Turn) -> None:
        """A new session: what the broker refused for good may have been put right."""
        self._memory.broker_stop = ""
        clear_alert(self._memory, turn, "broker-stop")

    def _count(self, what: str, turn: Turn) -> None:
        """Too many refusals ("stop") or unclear answers ("unknown") in a minute pause opens."""
        limits, now = self._host.limits, self._host.monotonic()
        since = now - limits.breaker_window_s
        self._marks = [mark for mark in self._marks if mark[0] > since] + [(now, what)]
        stops = sum(1 for _, kind in self._marks if kind == "stop")
        unknowns = len(self._marks) - stops
        if stops >= limits.breaker_stops or unknowns >= limits.breaker_unknowns:
            until = turn.now + timedelta(seconds=limits.breaker_pause_s)
            self._paused_until, self._pause_ends = until, now + limits.breaker_pause_s
            self._marks.clear()
            counts = {"refusals": stops, "unclear answers": unknowns}
            of = ", ".join(f"{name}: {number}" for name, number in counts.items() if number)
            text = (
                f"{of}, in {limits.breaker_window_s:g} s:"
                f" nothing is opened for {limits.breaker_pause_s:g} s, closes go on"
            )
            raise_alert(self._memory, turn, "OPENS_PAUSED", "breaker", text, until=until)

    def _opens_off(self) -> Denial | None:
        memory, host = self._memory, self._host
        account = memory.account
        if account is None:
            return None
        if account.removed:
            return denied("ACCOUNT_REMOVED")
        if account.is_disabled:
            return denied("ACCOUNT_DISABLED")
        if account.refused:
            return denied("ACCOUNT_REFUSED", broker=account.refused)
        if account.strangers:
            return denied("OTHER_COPIER", ticket=account.strangers[0])
        if memory.broker_stop:
            return denied("OPENS_PAUSED", broker=memory.broker_stop)
        free_bytes = host.short_of_room()
        if free_bytes is not None:
            return denied("DISK_FULL", free_mb=free_bytes >> 20)
        off_s = host.host_clock.off_s(host.monotonic())
        if off_s is not None:
            return denied("CLOCK_OFF", off_s=f"{off_s:.1f}")
        if (unresolved := memory.unresolved) >= MOST_UNRESOLVED:
            return denied("OPENS_PAUSED", unresolved=unresolved)
        if self._paused_until is not None:
            return denied("OPENS_PAUSED", until=self._paused_until.isoformat())
        if memory.live.connected and account.info is not None and account.info.investor:
            return denied("READ_ONLY")
        return None
