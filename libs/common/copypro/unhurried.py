"""Journals that wait until what trades has had its turn: a line is for people, and may be later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from copypro.ports import Journal, Told

AFTER_S = 0.01
MOST = 1000
"""Turns that wait to be told; above it they are told at once."""


class Unhurried:
    """One for all journals of a process, so that what was told first is told first, whichever service
    told it. No line stands between a commit and the calls that wait for it.
    """

    def __init__(self, after_s: float = AFTER_S, most: int = MOST) -> None:
        self._after_s, self._most = after_s, most
        self._waiting: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def journal(self, journal: Journal) -> Journal:
        return _Later(journal, self)

    def put(self, tell: Callable[[], None]) -> None:
        self._waiting.append(tell)
        if len(self._waiting) >= self._most:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._after_s, self.flush)

    def flush(self) -> None:
        """All that waits is told now."""
        waiting, self._waiting = self._waiting, []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for tell in waiting:
            tell()


class _Later:
    def __init__(self, journal: Journal, unhurried: Unhurried) -> None:
        self._journal, self._unhurried = journal, unhurried

    def tell(self, told: Sequence[Told], decided_at: datetime, recorded_at: datetime) -> None:
        self._unhurried.put(lambda: self._journal.tell(told, decided_at, recorded_at))
