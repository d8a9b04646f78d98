"""Data keys of registrations that are gone: destroyed once that is durable, however often it takes."""

from __future__ import annotations

import asyncio

import structlog
from copypro.errors import StoreUnavailable
from copypro.values import RegistrationId

from copypro_account_watcher.host import Host
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.turn import Turn

logger = structlog.get_logger("account-watcher")


class Keys:
    def __init__(self, memory: Memory, host: Host) -> None:
        self._memory, self._host = memory, host

    def start(self) -> None:
        """What was cut short before."""
        if self._memory.account is not None:
            for registration in self._memory.account.doomed:
                self._begin(registration)

    def doom(self, registration: RegistrationId, turn: Turn) -> None:
        """Its data key is destroyed once this turn is durable, and after a restart if it was not yet."""
        account = self._memory.account
        if account is not None and registration not in account.doomed:
            account.doomed.append(registration)
            self._memory.save_account(turn)
        turn.then(lambda _: self._begin(registration))

    def _begin(self, registration: RegistrationId) -> None:
        self._host.spawn(self._destroy(registration), f"key-{registration[:8]}")

    async def _destroy(self, registration: RegistrationId) -> None:
        try:
            await self._host.vault.destroy(registration)
        except StoreUnavailable as error:
            logger.warning("a data key is not destroyed yet", reason=str(error))
            await asyncio.sleep(self._host.limits.retry_log_s)
            self._begin(registration)
            return
        account = self._memory.account
        if account is None or registration not in account.doomed:
            return
        turn = Turn(self._host.clock())
        account.doomed.remove(registration)
        self._memory.save_account(turn)
        await self._host.commit(turn)
