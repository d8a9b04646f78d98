"""An account that is out of reach, and how long it may be: looked at by the clock, since nothing happens
that would tell. The alert is cleared when it is reached again.
"""

from __future__ import annotations

import asyncio

from copypro_account_watcher.alerts import clear_alert, raise_alert
from copypro_account_watcher.host import Host
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.turn import Turn

DOWN = "account-down"


class Overdue:
    def __init__(self, memory: Memory, host: Host) -> None:
        self._memory, self._host = memory, host
        self._timer: asyncio.TimerHandle | None = None
        self._down_since: float | None = None
        """On the monotonic clock."""
        self._down_code = ""

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # --- told by the agent --------------------------------------------------------------------

    def down(self, code: str) -> None:
        """The account is not followed, from now on or still."""
        self._down_code = code
        if self._down_since is None:
            self._down_since = self._host.monotonic()
        self._look_in(self._look_again_s)

    def up(self, turn: Turn) -> None:
        self._down_since, self._down_code = None, ""
        clear_alert(self._memory, turn, DOWN)

    # --- the clock ----------------------------------------------------------------------------

    @property
    def _look_again_s(self) -> float:
        return self._host.limits.close_alert_after_s

    def _look_in(self, delay_s: float) -> None:
        """One timer: it is early enough for whatever comes first."""
        loop = asyncio.get_running_loop()
        if self._timer is not None and not self._timer.cancelled():
            if self._timer.when() <= loop.time() + delay_s:
                return
            self._timer.cancel()
        self._timer = loop.call_later(delay_s, self._due)

    def _due(self) -> None:
        self._timer = None
        self._host.spawn(self._look(), f"overdue-{self._memory.id[:8]}")

    async def _look(self) -> None:
        turn = Turn(self._host.clock())
        if self._down_since is not None:
            self._down_for(self._host.monotonic() - self._down_since, turn)
        await self._host.commit(turn)

    def _down_for(self, span_s: float, turn: Turn) -> None:
        """A refused login is an alert of its own, as long as there is no other."""
        memory = self._memory
        if memory.account is None or memory.account.removed:
            return
        standing = sum(1 for copy in memory.copies.values() if copy.standing)
        limits = self._host.limits
        limit_s = limits.close_alert_after_s if standing else limits.away_alert_after_s
        if span_s < limit_s or memory.account.refused:
            self._look_in(self._look_again_s)
            return
        what = f"open copies: {standing}" if standing else "what it trades is not seen"
        text = f"the account cannot be reached ({self._down_code}); {what}"
        raise_alert(memory, turn, "ACCOUNT_DOWN", DOWN, text, open_copies=standing)
