"""Passwords prove themselves: each by a login of its own, tried once, beside the session that works.

What REST names is a registration, and it has the rights that its own password has proved. A password
that is refused takes nothing from the one before it, nor from anybody else's.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog
from copypro.errors import CredentialsRefused, SecretsError, StoreUnavailable, TerminalError
from copypro.messages import AccountRefused, AccountUpdated, ProofDelayed, Rights
from copypro.ports import Credentials, Terminal, Vault
from copypro.values import RegistrationId

from copypro_account_watcher.alerts import clear_alert, raise_alert
from copypro_account_watcher.host import Act, Host
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.protecting import Protecting
from copypro_account_watcher.session import Session
from copypro_account_watcher.state import Account, Registration
from copypro_account_watcher.turn import Turn

logger = structlog.get_logger("account-watcher")
UNREADABLE = "PASSWORD_UNREADABLE"
Holders = dict[RegistrationId, int]
"""Who has proved a password, and how often they had proved theirs when a try of it began: its answer
says nothing of what was proved since.
"""


class Proving:
    def __init__(
        self, memory: Memory, host: Host, session: Session, protecting: Protecting, act: Act
    ) -> None:
        self._memory, self._host, self._session = memory, host, session
        self._protecting, self._act = protecting, act
        self._wanted = asyncio.Event()
        self._delayed: dict[RegistrationId, str] = {}
        """Why a password could not be tried, as last recorded."""
        self._proofs: Counter[RegistrationId] = Counter()

    def start(self) -> None:
        self._host.spawn(self._run(), f"prove-{self._memory.id[:8]}")

    def look(self) -> None:
        """There may be a password that has not been tried."""
        self._wanted.set()

    def changed(self, registration: RegistrationId) -> None:
        """What was said of it before no longer shows: why it is not tried is to be said again."""
        self._delayed.pop(registration, None)

    async def _run(self) -> None:
        limits = self._host.limits
        failures = 0
        while True:
            self._wanted.clear()
            tried = [await self._prove(registration) for registration in self._unproved()]
            failures = 0 if all(tried) else failures + 1
            await self._wait(limits.reconnect_s(failures) if failures else None)

    async def _wait(self, pause_s: float | None) -> None:
        if pause_s is None and self._unproved():
            return
        try:
            async with asyncio.timeout(pause_s):
                await self._wanted.wait()
        except TimeoutError:
            return

    def _unproved(self) -> list[Registration]:
        account = self._memory.account
        if account is None:
            return []
        return [r for r in account.registrations.values() if r.unproved]

    async def _prove(self, registration: Registration) -> bool:
        """One try. False: it could not be made."""
        sealed = registration.unproved
        if not sealed:
            return True  # it was refused to another one that has the same
        holders = self.alone(registration)
        try:
            password = await unseal(self._host.vault, registration, sealed)
            holders = await self.holders(password)
            server = self._memory.known.server_of(registration)
            info = await self.terminal(password, server).prove()
        except CredentialsRefused as error:
            if not self._is_current(registration, sealed):
                return True
            if registration.sealed_password == sealed:
                await self.refused_to_all(holders, error)
            else:
                await self._refused(registration, sealed, error)
            return True
        except TerminalError as error:
            if self._is_current(registration, sealed):
                await self._delay(registration, error)
            return False
        if self._is_current(registration, sealed):
            await self._proved(
                registration, Rights.READ if info.investor else Rights.TRADE, holders
            )
        return True

    def _is_current(self, registration: Registration, sealed: str) -> bool:
        """It was neither removed nor given another password while this one was tried."""
        account = self._memory.account
        known = account and account.registrations.get(registration.registration)
        return known is registration and registration.unproved == sealed

    def alone(self, registration: Registration) -> Holders:
        return {registration.registration: self._proofs[registration.registration]}

    async def holders(self, password: str) -> Holders:
        """Errors: TerminalError (the vault does not answer now)."""
        found: Holders = {}
        proved = [r for r in self._memory.known.registrations.values() if r.sealed_password]
        for known in proved:
            try:
                theirs = await unseal(self._host.vault, known, known.sealed_password)
            except CredentialsRefused:
                continue
            if theirs == password:
                found |= self.alone(known)
        return found

    def terminal(self, password: str, server: str) -> Terminal:
        """Errors: TerminalError where the platform has no bridge."""
        account = self._memory.known
        factory = self._host.terminals.get(account.platform)
        if factory is None:
            text = f"Api{account.platform} is not set: {account.platform} accounts are off"
            raise TerminalError("PLATFORM_OFF", text)
        return factory(Credentials(server=server, login=account.login, password=password))

    # --- outcomes -----------------------------------------------------------------------------

    async def _proved(self, registration: Registration, rights: Rights, holders: Holders) -> None:
        """An account has one password for each kind of right: who has the same right by another one
        than these `holders` has to prove that again.
        """
        memory, account = self._memory, self._memory.known
        turn = Turn(self._host.clock())
        account.server = account.server_of(registration)
        self._proofs[registration.registration] += 1
        # What it had before may have been refused to the session while this one was tried.
        is_known = bool(registration.sealed_password) and registration.registration in holders
        if not is_known:
            account.proofs += 1
            registration.sealed_password, registration.age = registration.unproved, account.proofs
            for whose, other in account.registrations.items():
                if other is not registration and whose not in holders and other.rights is rights:
                    other.unproved = other.unproved or other.sealed_password
        registration.unproved, registration.refused, registration.rights = "", "", rights
        self._delayed.pop(registration.registration, None)
        clear_alert(memory, turn, _cause(registration))
        self._protecting.follow_rights(registration, turn)
        account.serial += 1
        event = updated(account, registration)
        turn.fact(memory.id, event, registration.registration, account.serial)
        memory.save_account(turn)
        memory.touch_all()
        await self._act(turn)
        self._session.credentials_changed.set()

    async def refused_to_all(self, holders: Holders, error: CredentialsRefused) -> None:
        """A password that logged in before does so no more: it is not tried once for each of them."""
        for whose, proofs in holders.items():
            registration = self._memory.known.registrations.get(whose)
            sealed = "" if registration is None else registration.sealed_password
            if registration is not None and sealed and self._proofs[whose] == proofs:
                await self._refused(registration, sealed, error)

    async def _refused(
        self, registration: Registration, sealed: str, error: CredentialsRefused
    ) -> None:
        """One try: a password that was refused is not tried again until it is changed."""
        memory, account = self._memory, self._memory.known
        turn = Turn(self._host.clock())
        if registration.unproved == sealed:
            registration.unproved = ""
        if registration.sealed_password == sealed:
            registration.sealed_password, registration.rights = "", Rights.NONE
            _alert(memory, registration, error, turn)
            self._protecting.follow_rights(registration, turn)
        registration.refused = error.code
        self._delayed.pop(registration.registration, None)
        account.serial += 1
        event = AccountRefused(
            account=memory.id,
            registration=registration.registration,
            code=error.code,
            message=error.message,
            rights=registration.rights,
        )
        turn.fact(memory.id, event, registration.registration, account.serial)
        if registration.unproved:
            # Nobody needs to set another one: it is being tried.
            pending = updated(account, registration)
            turn.fact(memory.id, pending, registration.registration, account.serial)
        memory.save_account(turn)
        memory.touch_all()
        await self._act(turn)
        self._session.credentials_changed.set()

    async def _delay(self, registration: Registration, error: TerminalError) -> None:
        """Recorded and said once per cause, however many tries follow."""
        memory, account = self._memory, self._memory.known
        whose = registration.registration
        if self._delayed.get(whose) == error.code:
            return
        logger.warning(
            "a password cannot be tried",
            account=memory.id,
            registration=whose,
            code=error.code,
            message=error.message,
        )
        self._delayed[whose] = error.code
        account.serial += 1
        turn = Turn(self._host.clock())
        event = ProofDelayed(
            account=memory.id,
            registration=registration.registration,
            code=error.code,
            message=error.message,
        )
        turn.fact(memory.id, event, registration.registration, account.serial)
        memory.save_account(turn)
        await self._host.commit(turn)


def updated(account: Account, registration: Registration) -> AccountUpdated:
    return AccountUpdated(
        account=account.account,
        registration=registration.registration,
        name=registration.name,
        enabled=registration.enabled,
        rights=registration.rights,
        proving=bool(registration.unproved),
        refused=registration.refused,
        consider_balance=registration.consider_balance,
        symbols=registration.symbols,
        leaving=account.staying(registration.registration) is None,
        server=account.server_of(registration),
    )


async def unseal(vault: Vault, registration: Registration, sealed: str) -> str:
    """Errors: CredentialsRefused (it opens no more), TerminalError (the vault does not answer now)."""
    try:
        return await vault.unseal(registration.registration, sealed)
    except SecretsError:
        text = "the stored password cannot be opened; set it again"
        raise CredentialsRefused(UNREADABLE, text) from None
    except StoreUnavailable as error:
        raise TerminalError("STORE_UNAVAILABLE", str(error)) from None


def _cause(registration: Registration) -> str:
    return f"refused/{registration.registration}"


def _alert(
    memory: Memory, registration: Registration, error: CredentialsRefused, turn: Turn
) -> None:
    """The password had logged in before: whoever relies on it must know."""
    standing = sum(1 for copy in memory.copies.values() if copy.standing)
    refused = f"the broker refuses the password of {registration.name} that it took before"
    unreadable = f"the stored password of {registration.name} cannot be opened here any more"
    why = unreadable if error.code == UNREADABLE else refused
    text = f"{why} ({error.code}): set the right one; open copies: {standing}"
    numbers = {"registration": registration.registration, "open_copies": standing}
    raise_alert(memory, turn, "ACCOUNT_REFUSED", _cause(registration), text, **numbers)
