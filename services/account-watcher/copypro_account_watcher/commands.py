"""Commands of an account: each ends in exactly one event that names it."""

from __future__ import annotations

from typing import assert_never

import msgspec
from copypro.envelope import Envelope
from copypro.messages import (
    AccountRegistered,
    CommandDenied,
    ImportHistory,
    RegisterAccount,
    RemoveAccount,
    SetEquityProtectorCallback,
    Settled,
    SettleOtherCopier,
    SettleUnresolved,
    UpdateAccount,
    UpdateEquityProtector,
)
from copypro.trading import Done, OpenOrder, OpenRequest
from copypro.values import Mode, Ticket

from copypro_account_watcher.alerts import clear_alert, settle_halt
from copypro_account_watcher.keys import Keys
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.protecting import Protecting
from copypro_account_watcher.proving import Proving, updated
from copypro_account_watcher.removing import copies_of
from copypro_account_watcher.settled import unresolved
from copypro_account_watcher.settled.reconcile import Absent, Found
from copypro_account_watcher.state import Account, Attempt, Copy, Origin, Registration, Removal
from copypro_account_watcher.turn import Turn

MOST_BYTES = 2_000_000
"""Of an account's record, as commands may make it: half of what a log takes for one record."""


class Commands:
    def __init__(
        self, memory: Memory, keys: Keys, protecting: Protecting, proving: Proving
    ) -> None:
        self._memory, self._keys = memory, keys
        self._protecting, self._proving = protecting, proving

    def decide(self, envelope: Envelope, turn: Turn) -> None:
        command = envelope.message
        origin = Origin(envelope.id, envelope.correlation)
        match command:
            case RegisterAccount() | UpdateAccount() if not self._has_room(command):
                if isinstance(command, RegisterAccount):
                    self._keys.doom(command.registration, turn)
                self._deny(turn, origin, "INVALID_PARAMETER", _no_room(command))
            case RegisterAccount():
                self._register(command, origin, turn)
            case UpdateAccount():
                self._update(command, origin, turn)
            case RemoveAccount():
                self._remove(command, origin, turn)
            case UpdateEquityProtector():
                self._protecting.update(command, origin, turn)
            case SetEquityProtectorCallback():
                self._protecting.set_callback(command, origin, turn)
            case SettleUnresolved():
                self._settle_unresolved(command, origin, turn)
            case SettleOtherCopier():
                self._settle_other_copier(command, origin, turn)
            case ImportHistory():
                text = "this account is connected: its history is read from its broker"
                self._deny(turn, origin, "LIVE_ACCOUNT", text)
            case _:
                assert_never(command)

    def _deny(self, turn: Turn, origin: Origin, code: str, message: str) -> None:
        turn.answer(self._memory.id, origin, CommandDenied(code=code, message=message))

    def _has_room(self, command: RegisterAccount | UpdateAccount) -> bool:
        """All registrations of an account are one record, and each change writes it anew. Fewer symbols, a
        password or a switch always have room.
        """
        memory = self._memory
        kept = {} if memory.account is None else memory.account.registrations
        if isinstance(command, RegisterAccount):
            return _size(kept) + _size(command) <= MOST_BYTES
        known = kept.get(command.registration)
        if command.symbols is None or known is None:
            return True
        added = _size(command.symbols) - _size(known.symbols)
        return added <= 0 or _size(kept) + added <= MOST_BYTES

    def _register(self, command: RegisterAccount, origin: Origin, turn: Turn) -> None:
        memory, account = self._memory, self._memory.account
        if account is not None and any(
            known.user == command.user for known in account.registrations.values()
        ):
            self._keys.doom(command.registration, turn)
            text = "this user has registered the account already: AddAccount again changes that one"
            return self._deny(turn, origin, "ALREADY_REGISTERED", text)
        if account is None or account.removed:
            generation = 1 if account is None else account.generation + 1
            account = memory.account = Account(
                account=command.account,
                platform=command.platform,
                server=command.server,
                login=command.login,
                generation=generation,
                serial=0 if account is None else account.serial,
                doomed=[] if account is None else account.doomed,
            )
        account.registrations[command.registration] = Registration(
            registration=command.registration,
            user=command.user,
            name=command.name,
            server=command.server,
            unproved=command.sealed_password,
        )
        event = AccountRegistered(
            account=command.account,
            registration=command.registration,
            user=command.user,
            platform=command.platform,
            server=command.server,
            login=command.login,
            name=command.name,
            generation=account.generation,
        )
        turn.answer(self._memory.id, origin, event)
        memory.save_account(turn)
        turn.then(lambda _: self._proving.look())
        return None

    def _update(self, command: UpdateAccount, origin: Origin, turn: Turn) -> None:
        memory, account = self._memory, self._memory.account
        registration = None if account is None else account.registrations.get(command.registration)
        if account is None or registration is None:
            if command.sealed_password is not None:
                self._keys.doom(command.registration, turn)  # sealing it made its data key anew
            return self._deny(turn, origin, "UNKNOWN_ACCOUNT", "no such account")
        if command.name is not None:
            registration.name = command.name
        if command.server is not None:
            registration.server = command.server
        if command.consider_balance is not None:
            registration.consider_balance = command.consider_balance
        if command.symbols is not None:
            registration.symbols = command.symbols
        if command.enabled is not None:
            registration.enabled = command.enabled
            memory.touch_all()
        if command.sealed_password is not None:
            registration.unproved, registration.refused = command.sealed_password, ""
            turn.then(lambda _: self._proving.look())
        self._proving.changed(command.registration)
        turn.answer(self._memory.id, origin, updated(account, registration))
        memory.save_account(turn)
        return None

    def _remove(self, command: RemoveAccount, origin: Origin, turn: Turn) -> None:
        memory, account = self._memory, self._memory.account
        if account is None or command.registration not in account.registrations:
            return self._deny(turn, origin, "UNKNOWN_ACCOUNT", "no such account")
        account.removals.append(Removal(command.registration, command.close_trades, origin))
        memory.save_account(turn)
        for copy in copies_of(memory, command.registration):
            if command.close_trades:
                copy.close(copy.closing or "ACCOUNT_REMOVED", copy.closing_since_utc or turn.now)
                copy.forget = True
            memory.touch(copy, turn)
        return None

    def _settle_unresolved(self, command: SettleUnresolved, origin: Origin, turn: Turn) -> None:
        memory = self._memory
        copy = next((c for c in memory.copies.values() if _has_attempt(c, command)), None)
        if copy is None or copy.attempt is None:
            text = "no unresolved attempt has this id; `copypro unresolved` lists them"
            return self._deny(turn, origin, "UNKNOWN_ATTEMPT", text)
        if command.ticket is not None and self._is_anothers(copy.attempt, command.ticket):
            text = f"ticket: {command.ticket} is another copy's position"
            return self._deny(turn, origin, "INVALID_PARAMETER", text)
        request = copy.attempt.request
        evidence = f"settled by {command.by}"
        if isinstance(request, OpenRequest) and command.ticket is not None:
            order = memory.live.positions.get(command.ticket)
            if order is None and not memory.live.connected:
                text = (
                    f"the account is out of reach, so whether {command.ticket} is open is not known;"
                    " settle again when Accounts shows it connected"
                )
                return self._deny(turn, origin, "ACCOUNT_CONNECTING", text)
            if order is None or not _could_be(order, request, memory.live.mode):
                side = request.kind.side
                text = (
                    f"ticket: {command.ticket} is no open {side} {request.symbol} of this account"
                )
                help_ = "is it closed already, nothing stands: settle without a ticket"
                return self._deny(turn, origin, "INVALID_PARAMETER", f"{text}; {help_}")
            answer = Done(ticket=command.ticket, lots=order.lots, price=order.open_price)
            unresolved.found(memory, copy, Found(answer, False, evidence), turn)
        elif isinstance(request, OpenRequest):
            unresolved.absent(memory, copy, Absent(evidence), turn)
        else:
            unresolved.planned_anew(memory, copy, evidence, turn)
        settled = Settled(account=memory.id, what=f"attempt {command.attempt}", by=command.by)
        turn.answer(self._memory.id, origin, settled)
        return None

    def _is_anothers(self, attempt: Attempt, ticket: Ticket) -> bool:
        """Two copies that follow one position would close it for each other; on netting it is shared."""
        memory = self._memory
        if memory.live.mode is Mode.NETTING:
            return False
        return any(
            leg.ticket == ticket and leg.is_live
            for copy in memory.copies.values()
            for leg in copy.legs
            if copy.attempt is not attempt or leg.number != attempt.leg
        )

    def _settle_other_copier(self, command: SettleOtherCopier, origin: Origin, turn: Turn) -> None:
        memory, account = self._memory, self._memory.account
        is_stranger = account is not None and command.ticket in account.strangers
        if account is None or not (is_stranger or settle_halt(memory, command.ticket, turn)):
            text = "no alert is about this ticket: `copypro alerts` lists them"
            return self._deny(turn, origin, "UNKNOWN_TICKET", text)
        if is_stranger:
            account.strangers.remove(command.ticket)
            account.settled_tickets.append(command.ticket)
            clear_alert(memory, turn, f"other-copier/{command.ticket}")
        memory.save_account(turn)
        memory.touch_all()
        settled = Settled(account=memory.id, what=f"ticket {command.ticket}", by=command.by)
        turn.answer(self._memory.id, origin, settled)
        return None


def _size(kept: object) -> int:
    return len(msgspec.json.encode(kept))


def _no_room(command: RegisterAccount | UpdateAccount) -> str:
    if isinstance(command, RegisterAccount):
        return "server: the account has as many registrations as it can hold"
    return "on: the account's registrations have no room for as many symbols: name fewer"


def _could_be(order: OpenOrder, request: OpenRequest, mode: Mode) -> bool:
    """What a slip of the pen names would be closed with the master's trade, or never be found."""
    is_side = mode is Mode.NETTING or order.kind.side is request.kind.side
    return is_side and order.symbol == request.symbol


def _has_attempt(copy: Copy, command: SettleUnresolved) -> bool:
    attempt = copy.attempt
    return (
        attempt is not None
        and attempt.unresolved_at_utc is not None
        and attempt.id == command.attempt
    )
