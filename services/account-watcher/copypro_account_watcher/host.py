"""What an account's agent needs of the process it runs in; `service.Owner` is one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

from copypro.ports import Clock, Monotonic, ShortOfRoom, TerminalFactory, Vault
from copypro.values import Platform

from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.seen.clock import HostClock
from copypro_account_watcher.turn import Turn

Act = Callable[[Turn], Awaitable[None]]
"""Gives every copy that has a reason its next steps, and records the turn with them."""


class Host(Protocol):
    clock: Clock
    monotonic: Monotonic
    limits: WatcherLimits
    terminals: Mapping[Platform, TerminalFactory]
    vault: Vault
    short_of_room: ShortOfRoom
    host_clock: HostClock
    draining: bool
    """No call is begun any more."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """What it does not expect ends the owner, never just the work."""
        ...

    async def commit(self, turn: Turn) -> None:
        """Records the turn, then lets its effects start. Called in the same breath as the changes
        it records, so that commits take effect in the order of the changes.
        """
        ...
