"""The life of a copier: each command ends in exactly one event that it caused. Pure."""

from __future__ import annotations

from typing import assert_never

from copypro import messages as m
from copypro.codes import denied
from copypro.messages import Copier, Market, OpenCopies, StopReason
from copypro.options import SymbolMapping
from copypro.protection import PAUSE_REASON as PROTECTED
from msgspec.structs import replace

from copypro_replicator import copying, trades
from copypro_replicator.following import remove_pending
from copypro_replicator.state import REMOVED, CopierRecord, Decision, LiveCopier, RootRecord
from copypro_replicator.turn import Turn

WRONG_PASSWORD = "WrongMasterPassword"
DISABLED = "MasterAccountDisable"
"""The original's words for them."""
BY_USER = "ByUser"


def command(turn: Turn, wish: m.CopierCommand) -> None:
    if isinstance(wish, m.StartCopier):
        _start(turn, wish)
        return
    copier = turn.memory.copier(wish.copier)
    if copier is None or copier.state.master != wish.master:
        _deny(turn, wish, "UNKNOWN_COPIER", "there is no such copier: it was stopped, or never was")
        return
    state = copier.state
    match wish:
        case m.UpdateCopier():
            _updated(turn, copier, replace(state, options=wish.options))
        case m.MapSymbol():
            kept = _mappings_but(state, wish.mapping.master_symbol)
            _updated(turn, copier, replace(state, mappings=(*kept, wish.mapping)))
        case m.UnmapSymbol():
            _updated(
                turn, copier, replace(state, mappings=_mappings_but(state, wish.master_symbol))
            )
        case m.SetTradeLogCallback():
            _updated(turn, copier, replace(state, callback=wish.callback))
        case m.PauseCopier() if wish.unless_paused and state.paused:
            _deny(turn, wish, "ALREADY_PAUSED", f"it is paused already: {state.pause_reason}")
        case m.ResumeCopier() if wish.only_from not in ("", state.pause_reason):
            _deny(turn, wish, "PAUSED_OTHERWISE", f"it is not paused for {wish.only_from}")
        case m.PauseCopier():
            paused = replace(state, paused=True, pause_reason=_reason(wish))
            _change(turn, copier, paused)
            turn.tell(state.master, "", m.CopierPaused(state=paused))
        case m.ResumeCopier() if why := turn.memory.barred(state.master, state.master_registration):
            # As if it had come before that: what ends the pause is the same.
            paused = replace(state, paused=True, pause_reason=why)
            _change(turn, copier, paused)
            turn.tell(state.master, "", m.CopierPaused(state=paused))
        case m.ResumeCopier():
            running = replace(state, paused=False, pause_reason="")
            turn.tell(state.master, "", m.CopierResumed(state=running))
            _join_when_running(turn, _change(turn, copier, running), wish.market)
        case m.StopCopier():
            _stop(turn, wish, copier)
        case _:
            assert_never(wish)


def _reason(wish: m.PauseCopier) -> str:
    """A person may give the very words for what ends by itself: that pause is a person's all the same.
    A protector's pause is the only one that leaves what is paused already.
    """
    ends_itself = wish.reason in (WRONG_PASSWORD, DISABLED, REMOVED)
    given_by_hand = wish.reason == PROTECTED and not wish.unless_paused
    return BY_USER if ends_itself or given_by_hand else wish.reason


def follow_rights(turn: Turn, event: m.AccountUpdated | m.AccountRefused) -> None:
    """A copier whose user may no longer read the master, or has disabled it, is paused until that is
    over. One that the user paused stays as it is; one that the slave's equity protector paused is
    paused for this too, since the protector's next day would resume it. Resumed earlier than that it
    opens nothing: the slave's agent denies it.
    """
    why = _why_not(event)
    barred = turn.memory.barred(event.account, event.registration)
    if barred != REMOVED and (why or _is_whole(event) or barred == WRONG_PASSWORD):
        turn.memory.bar(event.account, event.registration, why)
    for copier in list(turn.memory.copiers_of(event.account).values()):
        state = copier.state
        if state.master_registration != event.registration:
            continue
        by_itself = state.pause_reason in (WRONG_PASSWORD, DISABLED)
        is_ours = by_itself or not state.paused or state.pause_reason == PROTECTED
        if why and is_ours and state.pause_reason != why:
            paused = replace(state, paused=True, pause_reason=why)
            _change(turn, copier, paused)
            turn.tell(event.account, copier.id, m.CopierPaused(state=paused))
        elif not why and (state.pause_reason == WRONG_PASSWORD or (by_itself and _is_whole(event))):
            running = replace(state, paused=False, pause_reason="")
            turn.tell(event.account, copier.id, m.CopierResumed(state=running))
            _join_when_running(turn, _change(turn, copier, running), {})


def follow_removal(turn: Turn, event: m.AccountRemoved) -> None:
    """A copier of a registration that is gone copies nothing more, also where another user's goes on or
    the account is added again. It is paused, not stopped: the removal's own command for it, which may
    come later, says what becomes of its copies.
    """
    turn.memory.bar(event.account, event.registration, REMOVED)
    for copier in list(turn.memory.copiers_of(event.account).values()):
        state = copier.state
        if state.master_registration == event.registration and state.pause_reason != REMOVED:
            paused = replace(state, paused=True, pause_reason=REMOVED)
            _change(turn, copier, paused)
            turn.tell(event.account, copier.id, m.CopierPaused(state=paused))


def _why_not(event: m.AccountUpdated | m.AccountRefused) -> str:
    if event.rights is m.Rights.NONE:
        return WRONG_PASSWORD
    return DISABLED if isinstance(event, m.AccountUpdated) and not event.enabled else ""


def _is_whole(event: m.AccountUpdated | m.AccountRefused) -> bool:
    """A refusal says nothing of whether the account is enabled."""
    return isinstance(event, m.AccountUpdated)


# --- start ----------------------------------------------------------------------------------------


def _start(turn: Turn, wish: m.StartCopier) -> None:
    known = turn.memory.copiers_of(wish.master).get(wish.slave)
    refused = _refuses(turn, wish, known)
    if refused is not None:
        _deny(turn, wish, *refused)
        return
    why = turn.memory.barred(wish.master, wish.master_registration)
    state = Copier(
        copier=wish.copier if known is None else known.id,
        user=wish.user,
        master=wish.master,
        slave=wish.slave,
        master_registration=wish.master_registration,
        slave_registration=wish.slave_registration,
        same_server=wish.same_server,
        options=wish.options,
        mappings=wish.mappings or (() if known is None else known.state.mappings),
        paused=wish.paused or bool(why),
        pause_reason="" if wish.paused else why,
        callback=None if known is None else known.state.callback,
    )
    if known is not None:
        copier = _change(turn, known, state)
    else:
        waits = state.paused and wish.options.copy_existing_trades
        record = CopierRecord(
            state=state,
            order_offset=turn.end_offset,
            started_at_utc=turn.now,
            joined_at_utc=None if waits else turn.now,
        )
        copier = turn.memory.put_copier(record)
    started = m.CopierStarted(
        state=state,
        order_offset=copier.record.order_offset,
        started_at_utc=copier.record.started_at_utc,
    )
    turn.tell(wish.master, "", started)
    if known is None:
        for root in turn.memory.roots_of(wish.master):
            _decide(turn, root, copier, wish.market)
    else:
        _join_when_running(turn, copier, wish.market)


def _refuses(turn: Turn, wish: m.StartCopier, known: LiveCopier | None) -> tuple[str, str] | None:
    if wish.master == wish.slave:
        return "SAME_ACCOUNT", "master and slave are the same account: choose two"
    if known is not None and known.state.user != wish.user:
        return "PAIR_IN_USE", "another user's copier links these two accounts"
    other = turn.memory.copier(wish.copier)
    if other is not None and other is not known:
        return "COPIER_IN_USE", "this copier's id belongs to another pair: choose a new one"
    return None


def _join_when_running(turn: Turn, copier: LiveCopier, market: Market) -> None:
    """A copier that was started paused joins what was there when it first runs."""
    record = copier.record
    if record.joined_at_utc is not None or record.state.paused:
        return
    record.joined_at_utc = turn.now
    turn.memory.put_copier(record)
    for root in turn.memory.roots_of(record.state.master):
        if copying.is_open_question(root, copier):
            _decide(turn, root, copier, market)


def _decide(turn: Turn, root: RootRecord, copier: LiveCopier, market: Market) -> None:
    """On a root that was there; one that was found late is decided on when its look is over."""
    if root.undecided is not None:
        return
    if root.opened is not None:
        planned = copying.decide_opened(root, copier, trades.opened(root), market)
    elif root.placed is not None:
        planned = copying.decide_placed(root, copier, trades.placed(root))
    else:
        return
    turn.outcome(root, planned)
    turn.memory.put_root(root)


# --- stop -----------------------------------------------------------------------------------------


def _stop(turn: Turn, wish: m.StopCopier, copier: LiveCopier) -> None:
    state = copier.state
    turn.memory.remove_copier(copier)
    stopped = m.CopierStopped(
        copier=state.copier,
        master=state.master,
        slave=state.slave,
        user=state.user,
        reason=wish.reason,
        open_copies=wish.open_copies,
    )
    turn.tell(state.master, "", stopped)
    for root in turn.memory.roots_of(state.master):
        if copying.is_open_question(root, copier):
            denial = denied("COPIER_STOPPED")
            pending = root.opened is None
            turn.outcome(root, copying.skip(root, copier, denial, pending=pending))
            turn.memory.put_root(root)
            continue
        known = root.pairs.get(copier.slave)
        if known is not None and known.is_followed:
            _let_go(turn, wish, root, copier, known)
            turn.memory.put_root(root)


def _let_go(
    turn: Turn, wish: m.StopCopier, root: RootRecord, copier: LiveCopier, known: Decision
) -> None:
    slave = copier.slave
    reason = "COPIER_STOPPED" if wish.reason is StopReason.BY_USER else "ACCOUNT_REMOVED"
    fate = wish.open_copies
    is_told_of = root.is_seen and wish.reason is not StopReason.MASTER_REMOVED
    if fate is OpenCopies.FOLLOW and not is_told_of:
        fate = OpenCopies.LEAVE  # a removed master tells nothing that could be followed
    if fate is OpenCopies.LEAVE and root.is_seen and known.copier != copier.id:
        return  # a former copier of the pair left it to be followed
    match fate:
        case OpenCopies.FOLLOW if not known.pending:
            stop = m.RemovePendingCopy(
                copy=known.copy, slave=slave, reason=reason, opens_nothing=True
            )
            turn.ask(stop)
            return
        case OpenCopies.FOLLOW:  # a mirrored order that has not filled opens nothing any more
            remove_pending(turn, slave, known, reason)
        case OpenCopies.CLOSE:
            turn.ask(m.CloseCopy(copy=known.copy, slave=slave, reason=reason))
        case OpenCopies.LEAVE:
            turn.ask(m.DetachCopy(copy=known.copy, slave=slave, reason=reason))
    known.ended = True


# --- the parts --------------------------------------------------------------------------------------


def _updated(turn: Turn, copier: LiveCopier, state: Copier) -> None:
    _change(turn, copier, state)
    turn.tell(state.master, "", m.CopierUpdated(state=state))


def _change(turn: Turn, copier: LiveCopier, state: Copier) -> LiveCopier:
    record = copier.record
    record.state = state
    return turn.memory.put_copier(record)


def _mappings_but(state: Copier, master_symbol: str) -> tuple[SymbolMapping, ...]:
    return tuple(known for known in state.mappings if known.master_symbol != master_symbol)


def _deny(turn: Turn, wish: m.CopierCommand, code: str, message: str) -> None:
    turn.tell(wish.master, "", m.CommandDenied(code=code, message=message))
