"""Whether anything may be opened on an account, and why not. Closes never ask."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from copypro.codes import Denial, denied
from copypro.values import CopierId, Ticket

from copypro_account_watcher.alerts import clear_alert, raise_alert
from copypro_account_watcher.turn import Turn

if TYPE_CHECKING:
    from copypro_account_watcher.agent import AccountAgent

MOST_UNRESOLVED = 2
"""So many attempts that nobody has settled, and nothing more is opened."""
OF_THIS_MACHINE = {
    "CLOCK_OFF": ("clock", "this machine's clock is wrong: nothing is opened until it is right"),
    "DISK_FULL": (
        "disk",
        "this machine's disk is nearly full: nothing is opened until there is room, closes go on",
    ),
}
"""Code: (the alert's cause, its text)."""


class Permission:
    """The circuit breaker of one account, and everything else that pauses its opens."""

    def __init__(self, agent: AccountAgent) -> None:
        self._agent = agent
        self._marks: list[tuple[datetime, str]] = []
        self._paused_until: datetime | None = None
        self._broker_stop = ""

    def refresh(self, turn: Turn) -> None:
        """Decides anew, for the steps of this turn."""
        agent = self._agent
        if self._paused_until is not None and turn.now >= self._paused_until:
            self._paused_until = None
            clear_alert(agent, turn, "breaker")
        agent.market.live.account = agent.account
        off = agent.market.live.opens_off = self._opens_off()
        for code, (cause, text) in OF_THIS_MACHINE.items():
            if off is None or off.code != code:
                clear_alert(agent, turn, cause)
            elif agent.copies:
                raise_alert(agent, turn, code, cause, text, **dict(off.numbers))

    def stopped_by_broker(self, code: str, turn: Turn) -> None:
        """Until the next session: the broker said that nothing will be opened."""
        self._broker_stop = code
        text = f"the broker answered {code}: nothing is opened on this account"
        raise_alert(self._agent, turn, "OPENS_PAUSED", "broker-stop", text)

    def halt(self, copier: CopierId, ticket: Ticket, code: str, text: str, turn: Turn) -> None:
        """Something that must not happen did: this copier opens nothing more here until a person has
        looked at the ticket and settled it.
        """
        account = self._agent.known
        account.halted[ticket] = copier
        self._agent.save_account(turn)
        raise_alert(self._agent, turn, code, f"halt/{ticket}", text, ticket=ticket, copier=copier)

    def settled(self, ticket: Ticket, turn: Turn) -> bool:
        """False: there was nothing to settle."""
        if self._agent.known.halted.pop(ticket, None) is None:
            return False
        clear_alert(self._agent, turn, f"halt/{ticket}")
        return True

    def reconnected(self, turn: Turn) -> None:
        """A new session: what the broker refused for good may have been put right."""
        self._broker_stop = ""
        clear_alert(self._agent, turn, "broker-stop")

    def count(self, what: str, turn: Turn) -> None:
        """Too many refusals ("stop") or unclear answers ("unknown") in a minute pause opens."""
        limits = self._agent.owner.limits
        since = turn.now - timedelta(seconds=limits.breaker_window_s)
        self._marks = [mark for mark in self._marks if mark[0] > since] + [(turn.now, what)]
        stops = sum(1 for _, kind in self._marks if kind == "stop")
        unknowns = len(self._marks) - stops
        if stops >= limits.breaker_stops or unknowns >= limits.breaker_unknowns:
            until = turn.now + timedelta(seconds=limits.breaker_pause_s)
            self._paused_until = until
            self._marks.clear()
            text = (
                f"{stops} refusals and {unknowns} unclear answers in {limits.breaker_window_s:g} s"
            )
            raise_alert(self._agent, turn, "OPENS_PAUSED", "breaker", text, until=until)

    def _opens_off(self) -> Denial | None:
        agent = self._agent
        account, watching = agent.account, agent.watching
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
        if self._broker_stop:
            return denied("OPENS_PAUSED", broker=self._broker_stop)
        free_bytes = agent.owner.short_of_room()
        if free_bytes is not None:
            return denied("DISK_FULL", free_mb=free_bytes >> 20)
        off_s = agent.owner.host_clock.off_s(agent.owner.monotonic())
        if off_s is not None:
            return denied("CLOCK_OFF", off_s=f"{off_s:.1f}")
        if (unresolved := agent.unresolved) >= MOST_UNRESOLVED:
            return denied("OPENS_PAUSED", unresolved=unresolved)
        if self._paused_until is not None:
            return denied("OPENS_PAUSED", until=self._paused_until.isoformat())
        if watching.connected and account.info is not None and account.info.investor:
            return denied("READ_ONLY")
        return None
