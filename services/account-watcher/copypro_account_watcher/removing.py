"""A registration leaves its account, and the account ends with its last one."""

from __future__ import annotations

from copypro.messages import AccountRemoved
from copypro.values import RegistrationId, Ticket

from copypro_account_watcher.alerts import clear_alert
from copypro_account_watcher.keys import Keys
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.accepting import detach
from copypro_account_watcher.session import Session
from copypro_account_watcher.state import Account, Copy, Removal, closed_key, root_key
from copypro_account_watcher.turn import Turn


def copies_of(memory: Memory, registration: RegistrationId) -> list[Copy]:
    """Those in its name; all of them where it is the account's last. It may be gone already: its removal
    was asked for twice.
    """
    is_last = memory.known.registrations.keys() == {registration}
    return [c for c in memory.copies.values() if is_last or c.registration == registration]


def finish_removals(memory: Memory, keys: Keys, session: Session, turn: Turn) -> bool:
    """A registration is gone when nothing of its own stands any more, or at once when that is left
    open, also by a later wish; with the last one goes the account. False: none went.
    """
    account = memory.account
    if account is None or not account.removals:
        return False
    waiting = len(account.removals)
    leaving = {removal.registration for removal in account.removals if not removal.close_trades}
    for removal in list(account.removals):
        registration = removal.registration
        copies = copies_of(memory, registration)
        if registration not in leaving and any(copy.live_legs for copy in copies):
            continue
        account.removals.remove(removal)
        for cause in ("refused", "equity-protector", "equity-protector-off"):
            clear_alert(memory, turn, f"{cause}/{registration}")
        left = _leave(memory, copies, removal, turn)
        is_last = account.registrations.keys() <= {registration}
        event = AccountRemoved(
            account=memory.id, registration=registration, last=is_last, left_open=tuple(left)
        )
        turn.answer(memory.id, removal.origin, event)
        if account.registrations.pop(registration, None) is not None and is_last:
            _end(memory, account, turn)
        keys.doom(registration, turn)
        memory.save_account(turn)
        turn.then(lambda _: session.credentials_changed.set())
    return len(account.removals) < waiting


def _leave(memory: Memory, copies: list[Copy], removal: Removal, turn: Turn) -> list[Ticket]:
    """They stay where they are and are managed no more; their tickets."""
    left: list[Ticket] = []
    for copy in copies:
        left.extend(leg.ticket for leg in copy.live_legs if leg.ticket is not None)
        for detached in detach(copy, "ACCOUNT_REMOVED", forget=True):
            turn.execution(detached, removal.origin, f"{copy.copy}/{detached.leg}")
        for leg in copy.legs:
            leg.slave_root = None  # added again, the account is looked at afresh
        memory.touch(copy, turn)
    return left


def _end(memory: Memory, account: Account, turn: Turn) -> None:
    """The account is watched no more: what was known of it is forgotten. Its name remains, and which of
    its closed trades were told.
    """
    for cause in list(account.alerts):
        clear_alert(memory, turn, cause)
    for root in memory.book.roots:
        turn.remember(root_key(memory.id, root), None)
    for root in memory.book.closed:
        turn.remember(closed_key(memory.id, root), None)
    memory.book = memory.book.after_removal(is_past_told=account.history_done)
    memory.save_book(turn)
    memory.account = Account(
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
