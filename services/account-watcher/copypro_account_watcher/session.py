"""The connection of one account as it is now, for all that works on it."""

from __future__ import annotations

import asyncio

from copypro.ports import Terminal

from copypro_account_watcher.host import Host
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.said import Said
from copypro_account_watcher.seen.clock import ClockOffset


class Session:
    def __init__(self, memory: Memory, host: Host) -> None:
        self.terminal: Terminal | None = None
        self.ended_by = ""
        """The code that the last session ended with, or that there was none for."""
        self.offset = ClockOffset()
        """The broker's clock: it outlives the session."""
        self.said = Said(host)
        """It outlives the session too: what each one meets anew is not news."""
        self.look_wanted = asyncio.Event()
        self.credentials_changed = asyncio.Event()
        self._memory = memory
        self._generation = 0

    def look_soon(self) -> None:
        self.look_wanted.set()

    def begin(self) -> None:
        """Of the account as it is now. Of one that was added again nothing has been told yet."""
        generation = self._memory.known.generation
        if self._generation != generation:
            self._generation, self.ended_by = generation, ""

    @property
    def is_current(self) -> bool:
        """It is of the account as it is now. One whose account was removed, or removed and added again,
        ends in a moment and tells nothing any more.
        """
        account = self._memory.account
        is_here = account is not None and not account.removed
        return is_here and self._memory.known.generation == self._generation
