"""Commands of an account: each ends in exactly one event that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import msgspec
from copypro import topics
from copypro.envelope import Envelope
from copypro.messages import (
    AccountRegistered,
    AccountRemoved,
    AccountUpdated,
    CommandDenied,
    ImportHistory,
    Message,
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
from copypro.values import Mode, RegistrationId, Ticket

from copypro_account_watcher import unresolved
from copypro_account_watcher.accepting import detach
from copypro_account_watcher.alerts import clear_alert
from copypro_account_watcher.reconcile import Absent, Found
from copypro_account_watcher.state import (
    Account,
    Attempt,
    Copy,
    Origin,
    Registration,
    Removal,
    closed_key,
    root_key,
)
from copypro_account_watcher.turn import Turn

if TYPE_CHECKING:
    from copypro_account_watcher.agent import AccountAgent


MOST_BYTES = 2_000_000
"""Of an account's record, as commands may make it: half of what a log takes for one record."""


def decide(agent: AccountAgent, envelope: Envelope, turn: Turn) -> None:
    command = envelope.message
    origin = Origin(envelope.id, envelope.correlation)
    match command:
        case RegisterAccount() | UpdateAccount() if not _has_room(agent, command):
            if isinstance(command, RegisterAccount):
                doom(agent, command.registration, turn)
            _deny(agent, turn, origin, "INVALID_PARAMETER", _no_room(command))
        case RegisterAccount():
            _register(agent, command, origin, turn)
        case UpdateAccount():
            _update(agent, command, origin, turn)
        case RemoveAccount():
            _remove(agent, command, origin, turn)
        case UpdateEquityProtector():
            agent.protecting.update(command, origin, turn)
        case SetEquityProtectorCallback():
            agent.protecting.set_callback(command, origin, turn)
        case SettleUnresolved():
            _settle_unresolved(agent, command, origin, turn)
        case SettleOtherCopier():
            _settle_other_copier(agent, command, origin, turn)
        case ImportHistory():
            text = "this account is connected: its history is read from its broker"
            _deny(agent, turn, origin, "LIVE_ACCOUNT", text)
        case _:
            assert_never(command)


def _answer(agent: AccountAgent, turn: Turn, origin: Origin, event: Message) -> None:
    turn.consequence(topics.ORDER_EVENTS, agent.id, origin, "", event)


def _deny(agent: AccountAgent, turn: Turn, origin: Origin, code: str, message: str) -> None:
    _answer(agent, turn, origin, CommandDenied(code=code, message=message))


def _has_room(agent: AccountAgent, command: RegisterAccount | UpdateAccount) -> bool:
    """All registrations of an account are one record, and each change writes it anew. Fewer symbols, a
    password or a switch always have room.
    """
    kept = {} if agent.account is None else agent.account.registrations
    if isinstance(command, RegisterAccount):
        return _size(kept) + _size(command) <= MOST_BYTES
    known = kept.get(command.registration)
    if command.symbols is None or known is None:
        return True
    added = _size(command.symbols) - _size(known.symbols)
    return added <= 0 or _size(kept) + added <= MOST_BYTES


def _size(kept: object) -> int:
    return len(msgspec.json.encode(kept))


def _no_room(command: RegisterAccount | UpdateAccount) -> str:
    if isinstance(command, RegisterAccount):
        return "server: the account has as many registrations as it can hold"
    return "on: the account's registrations have no room for as many symbols: name fewer"


def _register(agent: AccountAgent, command: RegisterAccount, origin: Origin, turn: Turn) -> None:
    account = agent.account
    if account is not None and any(
        known.user == command.user for known in account.registrations.values()
    ):
        doom(agent, command.registration, turn)
        text = "this user has registered the account already: AddAccount again changes that one"
        return _deny(agent, turn, origin, "ALREADY_REGISTERED", text)
    if account is None or account.removed:
        generation = 1 if account is None else account.generation + 1
        account = agent.account = Account(
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
    _answer(agent, turn, origin, event)
    agent.save_account(turn)
    turn.then(lambda _: agent.start())
    turn.then(lambda _: agent.proving.look())
    return None


def _update(agent: AccountAgent, command: UpdateAccount, origin: Origin, turn: Turn) -> None:
    account = agent.account
    registration = None if account is None else account.registrations.get(command.registration)
    if account is None or registration is None:
        if command.sealed_password is not None:
            doom(agent, command.registration, turn)  # sealing it made its data key anew
        return _deny(agent, turn, origin, "UNKNOWN_ACCOUNT", "no such account")
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
        agent.touch_all()
    if command.sealed_password is not None:
        registration.unproved, registration.refused = command.sealed_password, ""
        turn.then(lambda _: agent.proving.look())
    agent.proving.changed(command.registration)
    _answer(agent, turn, origin, updated(account, registration))
    agent.save_account(turn)
    return None


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


def _remove(agent: AccountAgent, command: RemoveAccount, origin: Origin, turn: Turn) -> None:
    account = agent.account
    if account is None or command.registration not in account.registrations:
        return _deny(agent, turn, origin, "UNKNOWN_ACCOUNT", "no such account")
    account.removals.append(Removal(command.registration, command.close_trades, origin))
    agent.save_account(turn)
    for copy in _copies_of(agent, account, command.registration):
        if command.close_trades:
            copy.closing = copy.closing or "ACCOUNT_REMOVED"
            copy.closing_since_utc = copy.closing_since_utc or turn.now
            copy.forget = True
            copy.not_before_utc = None
        agent.touch(copy, turn)
    if command.close_trades:
        # What was never sent is denied: the removal waits for no session because of it.
        agent.pump(turn)
    finish_removal(agent, turn)
    return None


def _copies_of(agent: AccountAgent, account: Account, registration: RegistrationId) -> list[Copy]:
    """Those in its name; all of them where it is the account's last."""
    is_last = len(account.registrations) == 1
    return [c for c in agent.copies.values() if is_last or c.registration == registration]


def finish_removal(agent: AccountAgent, turn: Turn) -> None:
    """A registration is gone when nothing of its own stands any more, or at once when that is left
    open, also by a later wish; with the last one goes the account.
    """
    account = agent.account
    if account is None:
        return
    leaving = {removal.registration for removal in account.removals if not removal.close_trades}
    for removal in list(account.removals):
        copies = _copies_of(agent, account, removal.registration)
        is_left = removal.registration in leaving
        if not is_left and any(copy.live_legs for copy in copies):
            continue
        account.removals.remove(removal)
        for cause in ("refused", "equity-protector", "equity-protector-off"):
            clear_alert(agent, turn, f"{cause}/{removal.registration}")
        left = _leave(agent, copies, removal, turn)
        is_last = account.registrations.keys() <= {removal.registration}
        event = AccountRemoved(
            account=agent.id,
            registration=removal.registration,
            last=is_last,
            left_open=tuple(left),
        )
        _answer(agent, turn, removal.origin, event)
        if account.registrations.pop(removal.registration, None) is not None and is_last:
            _end(agent, account, turn)
        doom(agent, removal.registration, turn)
        agent.save_account(turn)
        turn.then(lambda _: agent.watching.credentials_changed())


def _leave(agent: AccountAgent, copies: list[Copy], removal: Removal, turn: Turn) -> list[Ticket]:
    """They stay where they are and are managed no more; their tickets."""
    left: list[Ticket] = []
    for copy in copies:
        left.extend(leg.ticket for leg in copy.live_legs if leg.ticket is not None)
        for detached in detach(copy, "ACCOUNT_REMOVED", forget=True):
            turn.execution(detached, removal.origin, f"{copy.copy}/{detached.leg}")
        for leg in copy.legs:
            leg.slave_root = None  # added again, the account is looked at afresh
        agent.touch(copy, turn)
    return left


def _end(agent: AccountAgent, account: Account, turn: Turn) -> None:
    """The account is watched no more: what was known of it is forgotten. Its name remains, and which of
    its closed trades were told.
    """
    for cause in list(account.alerts):
        clear_alert(agent, turn, cause)
    for root in agent.book.roots:
        turn.remember(root_key(agent.id, root), None)
    for root in agent.book.closed:
        turn.remember(closed_key(agent.id, root), None)
    agent.book = agent.book.after_removal(is_past_told=account.history_done)
    agent.save_book(turn)
    agent.account = Account(
        account=account.account,
        platform=account.platform,
        server=account.server,
        login=account.login,
        generation=account.generation,
        serial=account.serial,
        removals=account.removals,
        doomed=account.doomed,
        removed=True,
    )


def doom(agent: AccountAgent, registration: RegistrationId, turn: Turn) -> None:
    """Its data key is destroyed once this turn is durable, and after a restart if it was not yet."""
    account = agent.account
    if account is not None and registration not in account.doomed:
        account.doomed.append(registration)
        agent.save_account(turn)
    turn.then(lambda _: agent.destroy_keys((registration,)))


def _settle_unresolved(
    agent: AccountAgent, command: SettleUnresolved, origin: Origin, turn: Turn
) -> None:
    copy = next((c for c in agent.copies.values() if _has_attempt(c, command)), None)
    if copy is None or copy.attempt is None:
        text = "no unresolved attempt has this id; `copypro unresolved` lists them"
        return _deny(agent, turn, origin, "UNKNOWN_ATTEMPT", text)
    if command.ticket is not None and _is_anothers(agent, copy.attempt, command.ticket):
        text = f"ticket: {command.ticket} is another copy's position"
        return _deny(agent, turn, origin, "INVALID_PARAMETER", text)
    request = copy.attempt.request
    evidence = f"settled by {command.by}"
    if isinstance(request, OpenRequest) and command.ticket is not None:
        order = agent.market.live.positions.get(command.ticket)
        if order is None or not _could_be(order, request, agent.market.live.mode):
            side = request.kind.side
            text = f"ticket: {command.ticket} is no open {side} {request.symbol} of this account"
            help_ = "is it closed already, nothing stands: settle without a ticket"
            return _deny(agent, turn, origin, "INVALID_PARAMETER", f"{text}; {help_}")
        answer = Done(ticket=command.ticket, lots=order.lots, price=order.open_price)
        unresolved.found(agent, copy, Found(answer, False, evidence), turn)
    elif isinstance(request, OpenRequest):
        unresolved.absent(agent, copy, Absent(evidence), turn)
    else:
        unresolved.planned_anew(agent, copy, evidence, turn)
    settled = Settled(account=agent.id, what=f"attempt {command.attempt}", by=command.by)
    _answer(agent, turn, origin, settled)
    return None


def _could_be(order: OpenOrder, request: OpenRequest, mode: Mode) -> bool:
    """What a slip of the pen names would be closed with the master's trade, or never be found."""
    is_side = mode is Mode.NETTING or order.kind.side is request.kind.side
    return is_side and order.symbol == request.symbol


def _is_anothers(agent: AccountAgent, attempt: Attempt, ticket: Ticket) -> bool:
    """Two copies that follow one position would close it for each other; on netting it is shared."""
    if agent.market.live.mode is Mode.NETTING:
        return False
    return any(
        leg.ticket == ticket and leg.is_live
        for copy in agent.copies.values()
        for leg in copy.legs
        if copy.attempt is not attempt or leg.number != attempt.leg
    )


def _has_attempt(copy: Copy, command: SettleUnresolved) -> bool:
    attempt = copy.attempt
    return (
        attempt is not None
        and attempt.unresolved_at_utc is not None
        and attempt.id == command.attempt
    )


def _settle_other_copier(
    agent: AccountAgent, command: SettleOtherCopier, origin: Origin, turn: Turn
) -> None:
    account = agent.account
    is_stranger = account is not None and command.ticket in account.strangers
    if account is None or not (is_stranger or agent.permission.settled(command.ticket, turn)):
        text = "no alert is about this ticket: `copypro alerts` lists them"
        return _deny(agent, turn, origin, "UNKNOWN_TICKET", text)
    if is_stranger:
        account.strangers.remove(command.ticket)
        account.settled_tickets.append(command.ticket)
        clear_alert(agent, turn, f"other-copier/{command.ticket}")
    agent.save_account(turn)
    agent.touch_all()
    settled = Settled(account=agent.id, what=f"ticket {command.ticket}", by=command.by)
    _answer(agent, turn, origin, settled)
    return None
