"""Order events: what a master's trades become for each of its copiers. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from copypro import messages as m
from copypro.codes import denied
from copypro.envelope import Envelope
from copypro.messages import Seen
from copypro.trading import CloseReason
from copypro.values import AccountId
from msgspec.structs import replace

from copypro_replicator import copying, trades
from copypro_replicator.state import Decision, RootRecord, Undecided
from copypro_replicator.turn import Turn


def follow(turn: Turn, envelope: Envelope, offset: int) -> None:
    """Imported facts are history: nothing follows from them."""
    event = envelope.message
    match event:
        case m.PositionOpened():
            if event.seen is not Seen.IMPORTED:
                _opened(turn, envelope, event, offset)
        case m.PositionIncreased():
            if event.seen is not Seen.IMPORTED:
                _increased(turn, envelope, event)
        case m.PositionModified():
            _modified(turn, envelope, event)
        case m.PositionReduced():
            _reduced(turn, envelope, event)
        case m.PositionClosed():
            if event.seen is not Seen.IMPORTED:
                _closed(turn, envelope, event)
        case m.PendingPlaced():
            if event.seen is not Seen.IMPORTED:
                _placed(turn, event, offset)
        case m.PendingModified():
            _pending_modified(turn, event)
        case m.PendingRemoved():
            _pending_removed(turn, event)
        case m.AccountRemoved():
            if event.last:
                _account_removed(turn, event.account)


def settle(turn: Turn, root: RootRecord) -> None:
    """The look that found it late is over, and it is still open: decide on it now."""
    undecided = root.undecided
    if undecided is None:
        return
    root.undecided = None
    turn.memory.put_root(root)
    turn.because_of(undecided.cause, undecided.correlation)
    _decide_for_all(turn, root)


def _settle_for_later_look(turn: Turn, root: RootRecord, envelope: Envelope) -> None:
    """An event of a later look proves that the root outlived the look that found it. All facts of
    a look have its time.
    """
    if root.undecided is None or root.opened is None:
        return
    if root.opened.seen_at_utc != envelope.message.seen_at_utc:
        settle(turn, root)
        turn.because_of(envelope.id, envelope.correlation)


def _decide_for_all(turn: Turn, root: RootRecord) -> None:
    copiers = turn.memory.copiers_of(root.account)
    trade = trades.opened(root) if copiers else None
    for copier in copiers.values():
        turn.outcome(root, copying.decide_opened(root, copier, trade))


# --- positions ----------------------------------------------------------------------------------


def _opened(turn: Turn, envelope: Envelope, event: m.PositionOpened, offset: int) -> None:
    root = turn.memory.root(event.account, event.root)
    if root is None:
        root = RootRecord(account=event.account, root=event.root, offset=offset)
    elif root.opened is None:
        root.offset = offset  # an order that filled, or was seen again: a position from here on
    elif any(root.followed):
        return
    if root.grown_lots > 0:  # its account was added again: what is left of a former copy goes on
        root.grown_fraction = root.fraction
    root.opened = event
    root.open_lots = root.ever_lots = root.grown_lots = event.lots
    root.stop_loss, root.take_profit = event.stop_loss, event.take_profit
    if event.seen is Seen.MISSED and offset + 1 < turn.end_offset:
        root.undecided = Undecided(
            until_offset=turn.end_offset,
            cause=turn.cause,
            correlation=turn.correlation,
            look_at=envelope.time,
        )
    turn.memory.put_root(root)
    if root.undecided is None:
        _decide_for_all(turn, root)


def _increased(turn: Turn, envelope: Envelope, event: m.PositionIncreased) -> None:
    root = turn.memory.root(event.account, event.root)
    if root is None or root.opened is None:
        return
    _settle_for_later_look(turn, root, envelope)
    root.grown_fraction, root.grown_lots = root.fraction, event.open_lots
    root.open_lots, root.ever_lots = event.open_lots, event.ever_lots
    turn.memory.put_root(root)
    copiers = turn.memory.copiers_of(event.account)
    trade = trades.increased(root, event) if copiers else None
    uncopied: set[AccountId] = set()
    for copier in copiers.values():
        planned = copying.decide_increased(root, event, copier, trade)
        turn.outcome(root, planned)
        if planned is not None and planned.order is None:
            uncopied.add(copier.slave)
    for slave, known in root.followed:
        copier_now = copiers.get(slave)
        if copier_now is None or copier_now.id != known.copier:
            skipped = copying.stopped_leg(root, slave, known, event)
            turn.tell(root.account, f"{known.copy}/{known.copier}", skipped)
            uncopied.add(slave)
        if slave in uncopied and root.placed is not None and root.opened.context is not None:
            # A mirrored order may have filled whole: it is held to the part that is copied.
            turn.ask(m.RemovePendingCopy(copy=known.copy, slave=slave, reason="NOT_COPIED"))


def _modified(turn: Turn, envelope: Envelope, event: m.PositionModified) -> None:
    root = turn.memory.root(event.account, event.root)
    if root is None:
        return
    _settle_for_later_look(turn, root, envelope)
    root.stop_loss, root.take_profit = event.stop_loss, event.take_profit
    turn.memory.put_root(root)
    for slave, known in root.followed:
        modify = m.ModifyCopy(
            copy=known.copy,
            slave=slave,
            stop_loss=event.stop_loss,
            take_profit=event.take_profit,
        )
        turn.ask(modify)


def _reduced(turn: Turn, envelope: Envelope, event: m.PositionReduced) -> None:
    root = turn.memory.root(event.account, event.root)
    if root is None:
        return
    _settle_for_later_look(turn, root, envelope)
    root.open_lots, root.ever_lots = event.open_lots, event.ever_lots
    turn.memory.put_root(root)
    for slave, known in root.followed:
        fraction = copying.fraction_of(root, known)
        turn.ask(m.ReduceCopy(copy=known.copy, slave=slave, fraction=fraction))


def _closed(turn: Turn, envelope: Envelope, event: m.PositionClosed) -> None:
    root = turn.memory.root(event.account, event.root)
    if root is None:
        return
    _settle_for_later_look(turn, root, envelope)
    followed = list(root.followed)
    if root.undecided is not None and root.opened is not None:
        turn.because_of(root.undecided.cause, root.undecided.correlation)
        trade = trades.opened(root)
        for copier in turn.memory.copiers_of(root.account).values():
            turn.outcome(root, copying.decide_missed(root, copier, trade, event))
        turn.because_of(envelope.id, envelope.correlation)
    _never_joined(turn, root)
    turn.memory.remove_root(root)
    _close(turn, followed, _why_closed(event.reason))


def _why_closed(reason: CloseReason) -> str:
    """MT4 tells only of stops and of what the broker closed, no list tells anything."""
    return "MASTER_Closed" if reason is CloseReason.UNKNOWN else f"MASTER_{reason.value}"


def _close(turn: Turn, followed: Iterable[tuple[AccountId, Decision]], reason: str) -> None:
    for slave, known in followed:
        turn.ask(m.CloseCopy(copy=known.copy, slave=slave, reason=reason))


def _never_joined(turn: Turn, root: RootRecord) -> None:
    """It ended while a copier that meant to join it was paused."""
    for copier in turn.memory.copiers_of(root.account).values():
        if copying.is_open_question(root, copier):
            denial = denied("PAUSED", reason=copier.state.pause_reason or "ByUser")
            planned = copying.skip(root, copier, denial, pending=root.opened is None)
            turn.outcome(root, planned)


# --- pending orders -------------------------------------------------------------------------------


def _placed(turn: Turn, event: m.PendingPlaced, offset: int) -> None:
    root = turn.memory.root(event.account, event.root)
    if root is None:
        root = RootRecord(account=event.account, root=event.root, offset=offset)
    elif not root.is_seen:
        root.offset = offset
    elif root.opened is not None or any(root.followed):
        return
    root.placed = event
    turn.memory.put_root(root)
    copiers = turn.memory.copiers_of(event.account)
    trade = trades.placed(root) if copiers else None
    for copier in copiers.values():
        turn.outcome(root, copying.decide_placed(root, copier, trade))


def _pending_modified(turn: Turn, event: m.PendingModified) -> None:
    root = turn.memory.root(event.account, event.root)
    if root is None or root.placed is None or root.opened is not None:
        return
    root.placed = replace(
        root.placed,
        price=event.price,
        stop_limit_price=event.stop_limit_price,
        stop_loss=event.stop_loss,
        take_profit=event.take_profit,
        expires_at_broker=event.expires_at_broker,
        expires_at_utc=event.expires_at_utc,
    )
    turn.memory.put_root(root)
    for slave, known in root.followed:
        modify = m.ModifyPendingCopy(
            copy=known.copy,
            slave=slave,
            price=event.price,
            stop_limit_price=event.stop_limit_price,
            stop_loss=event.stop_loss,
            take_profit=event.take_profit,
            expires_at_utc=event.expires_at_utc,
        )
        turn.ask(modify)


def _pending_removed(turn: Turn, event: m.PendingRemoved) -> None:
    root = turn.memory.root(event.account, event.root)
    if root is None:
        return
    reason = f"MASTER_{event.reason or 'removed'}"
    if root.opened is not None:  # it filled in part: the slave's own may have filled whole
        for slave, known in root.followed if root.placed is not None else ():
            turn.ask(m.RemovePendingCopy(copy=known.copy, slave=slave, reason=reason))
        return
    _never_joined(turn, root)
    turn.memory.remove_root(root)
    for slave, known in root.followed:
        remove_pending(turn, slave, known, reason)


def remove_pending(turn: Turn, slave: AccountId, known: Decision, reason: str) -> None:
    """The slave's order goes; if it filled on its own meanwhile, the position goes."""
    turn.ask(m.RemovePendingCopy(copy=known.copy, slave=slave, reason=reason))
    turn.ask(m.CloseCopy(copy=known.copy, slave=slave, reason=reason))


# --- the account ----------------------------------------------------------------------------------


def _account_removed(turn: Turn, account: AccountId) -> None:
    """Nobody will tell of its roots any more. What was copied is remembered, since the account may
    be added again; its copiers are stopped by commands of their own, which say what becomes of it.
    """
    copiers = turn.memory.copiers_of(account)
    for root in turn.memory.roots_of(account):
        _never_joined(turn, root)
        if all(known.skipped for known in root.pairs.values()):
            turn.memory.remove_root(root)
            continue
        root.opened = root.placed = root.undecided = None
        for slave, known in list(root.followed):
            if slave not in copiers:
                known.ended = True
                turn.ask(m.DetachCopy(copy=known.copy, slave=slave, reason="ACCOUNT_REMOVED"))
        turn.memory.put_root(root)
