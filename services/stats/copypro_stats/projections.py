"""Events into read models: which documents an event changes, and how. Pure.

A patch sets fields of its source's part of a document; the service merges it with what the source
wrote before. Commands are patched last, so that a caller who sees one done sees what it did.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from copypro import collections as c
from copypro import messages as m
from copypro.account_history import ADDED
from copypro.callbacks import Callback
from copypro.envelope import Envelope
from copypro.ports import Record
from copypro.protection import Protector
from copypro.trading import (
    CloseRequest,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
)
from copypro.values import OrderKind
from msgspec import Struct

Fields = dict[str, Any]


class Patch(Struct, frozen=True):
    """`fields` None removes the source's part; `builds_on` names one that the patch is laid over."""

    collection: str
    id: str
    fields: Fields | None
    builds_on: tuple[str, str] | None = None
    """(collection, id) whose fields of the same source are laid under these."""


def patches(record: Record, envelope: Envelope) -> list[Patch]:
    """All changes of one event, in the order in which they must become visible."""
    event = envelope.message
    at = envelope.time
    changed = _of_event(event, envelope, record)
    moved = history_of(event)
    if moved is not None:
        # What statistics were made of moves on: those of an earlier version are no longer current.
        changed.append(Patch(c.ACCOUNTS, moved, {"history": record.offset}))
    if isinstance(event, m.Decided | m.Execution):
        # What copy quality was made of moves on; both kinds come by a partition of their own.
        moved_by = "decided" if isinstance(event, m.Decided) else "executed"
        changed.append(Patch(c.COPY_QUALITY, event.copier, {moved_by: record.offset}))
    answers = isinstance(event, _ANSWERS) and envelope.cause is not None
    if answers and envelope.cause is not None:
        changed.append(Patch(c.COMMANDS, envelope.cause, _answer(event, at)))
    return changed


_ANSWERS = (
    m.AccountRegistered,
    m.AccountUpdated,
    m.AccountRemoved,
    m.EquityProtectorUpdated,
    m.EquityProtectorCallbackSet,
    m.HistoryImported,
    m.CommandDenied,
    m.Settled,
    m.CopierStarted,
    m.CopierUpdated,
    m.CopierPaused,
    m.CopierResumed,
    m.CopierStopped,
)


_HISTORY = (m.PositionReduced, m.PositionClosed, m.BalanceChanged)
_ENTRY_COST = "EntryCost"
"""As imported statements call it, too."""


def history_of(event: Any) -> str | None:
    """The account whose statistics an event changes. Of recorded equity only the first minute of an
    hour counts: statistics are made from the whole history, and not every minute.
    """
    if isinstance(event, _HISTORY):
        return event.account
    if isinstance(event, m.PositionOpened) and event.deal.entry_cost:
        return event.account
    if isinstance(event, m.EquityRecorded) and event.time_utc.minute == 0:
        return event.account
    return None


def _answer(event: Any, at: datetime) -> Fields:
    fields: Fields = {"done": True, "event": type(event).__name__, "at": iso(at)}
    match event:
        case m.CommandDenied(code=code, message=message):
            fields |= {"code": code, "message": message}
        case m.CopierStarted(state=state):
            fields["copier"] = state.copier
        case m.AccountUpdated(leaving=True):
            fields["leaving"] = True
        case m.AccountRemoved(left_open=left):
            fields["left_open"] = list(left)
        case m.HistoryImported(added=added, same=same, contradictions=contradictions):
            fields |= {"added": added, "same": same, "contradictions": list(contradictions)}
    return fields


def _of_event(event: Any, envelope: Envelope, record: Record) -> list[Patch]:
    at = envelope.time
    match event:
        case m.AccountRegistered():
            shown = {
                "user": event.user,
                "account": event.account,
                "name": event.name,
                "platform": event.platform.value,
                "server": event.server,
                "login": event.login,
                "rights": "none",
                "enabled": True,
                "proof": "pending",
                "connect_error": None,
            }
            account = {
                "platform": event.platform.value,
                "server": event.server,
                "login": event.login,
            }
            return [
                Patch(c.REGISTRATIONS, event.registration, shown),
                Patch(c.ACCOUNTS, event.account, account),
            ]
        case m.HistoryImported():
            return _imported(event)
        case m.BalanceChanged():
            return [Patch(c.OPERATIONS, _operation_id(event), _operation(event))]
        case m.EquityRecorded():
            offset = event.clock_offset_minutes
            recorded = Patch(c.EQUITY, f"{event.account}/{iso(event.time_utc)}", _equity(event))
            if offset is None:
                return [recorded]
            # It is learned after the account connected, and moves twice a year while it stays so.
            return [recorded, Patch(c.ACCOUNTS, event.account, {"clock_offset_minutes": offset})]
        case m.AccountUpdated():
            return [Patch(c.REGISTRATIONS, event.registration, _updated(event))]
        case m.EquityProtectorUpdated() | m.EquityProtectorReset() | m.EquityProtectorTriggered():
            protector = {"protector": protector_fields(event.protector)}
            return [Patch(c.REGISTRATIONS, event.registration, protector)]
        case m.EquityProtectorCallbackSet():
            told = {"callback_shown": where_told(event.callback)}
            return [
                Patch(c.REGISTRATIONS, event.registration, told),
                Patch(c.CALLBACKS, event.registration, callback_fields(event.callback)),
            ]
        case m.AccountConnected():
            info = event.info
            return [
                Patch(
                    c.ACCOUNTS,
                    event.account,
                    {
                        "status": "connected",
                        "code": None,
                        "message": None,
                        "currency": info.currency,
                        "mode": info.mode.value,
                        "company": info.company,
                        "leverage": info.leverage,
                        "clock_offset_minutes": event.clock_offset_minutes,
                    },
                )
            ]
        case m.AccountDisconnected():
            fields = {"status": "disconnected", "code": event.code, "message": event.message}
            return [Patch(c.ACCOUNTS, event.account, fields)]
        case m.AccountRefused():
            refused = {
                "proof": "refused",
                "rights": event.rights.value,
                "connect_error": {"code": event.code, "message": event.message},
            }
            return [Patch(c.REGISTRATIONS, event.registration, refused)]
        case m.ProofDelayed():
            error = {"code": event.code, "message": event.message}
            return [Patch(c.REGISTRATIONS, event.registration, {"connect_error": error})]
        case m.AccountRemoved():
            removed = [
                Patch(c.REGISTRATIONS, event.registration, None),
                Patch(c.CALLBACKS, event.registration, None),
            ]
            if event.last:
                removed.append(Patch(c.ACCOUNTS, event.account, None))
            return removed
        case m.AccountSnapshot():
            return _snapshot(event)
        case m.AccountSymbols():
            piece = {
                "account": event.account,
                "piece": event.piece,
                "pieces": event.pieces,
                "names": list(event.names),
            }
            return [Patch(c.SYMBOLS, f"{event.account}/{event.piece}", piece)]
        case m.SymbolLearned():
            return [Patch(c.TERMS, f"{event.account}/{event.spec.name}", _terms(event))]
        case m.PositionOpened() | m.PositionReduced() | m.PositionClosed():
            return _position(event)
        case m.PositionIncreased() | m.PositionModified():
            known = (c.ROOTS, f"{event.account}/{event.root}")
            return [Patch(*known, _changed(event), builds_on=known)]
        case m.AlertRaised():
            alert = {
                "account": event.account,
                "code": event.code,
                "text": event.text,
                "numbers": event.numbers,
                "open": True,
                "time": iso(at),
            }
            return [Patch(c.ALERTS, _alert_id(event), alert)]
        case m.AlertCleared():
            return [Patch(c.ALERTS, _alert_id(event), {"open": False, "cleared_at": iso(at)})]
        case m.CopierStarted() | m.CopierUpdated() | m.CopierPaused() | m.CopierResumed():
            fields = copier_fields(event.state)
            if isinstance(event, m.CopierStarted):
                fields["started_at"] = iso(event.started_at_utc)
            known = (c.COPIERS, event.state.copier)
            changed = [Patch(*known, fields, builds_on=known)]
            if isinstance(event, m.CopierUpdated):
                callback = callback_fields(event.state.callback)
                changed.append(Patch(c.CALLBACKS, event.state.copier, callback))
            return changed
        case m.CopierStopped():
            ended = {"removed_at": iso(at), "removed_because": event.reason.value}
            known = (c.COPIERS, event.copier)
            return [
                Patch(c.REMOVED_COPIERS, event.copier, ended, builds_on=known),
                Patch(c.COPIERS, event.copier, None),
                Patch(c.CALLBACKS, event.copier, None),
            ]
        case m.Decided():
            return _decided(event, at, record)
        case m.Execution():
            return _executed(event, at, record)
    return []


def _updated(event: m.AccountUpdated) -> Fields:
    fields: Fields = {
        "name": event.name,
        "enabled": event.enabled,
        "rights": event.rights.value,
        "consider_balance": event.consider_balance,
        "symbols": {
            "all": event.symbols.all,
            "on": list(event.symbols.on),
            "off": list(event.symbols.off),
        },
    }
    if event.proving or not event.refused:
        fields["connect_error"] = None
        fields["proof"] = "pending" if event.proving else "done"
    return fields


def protector_fields(protector: Protector) -> Fields:
    """As JSON is: decimals and times as text."""
    fields: Fields = msgspec.to_builtins(protector, str_keys=True)
    return fields


def _terms(event: m.SymbolLearned) -> Fields:
    spec = event.spec
    return {
        "account": event.account,
        "symbol": spec.name,
        "lot_min": str(spec.lot_min),
        "lot_max": str(spec.lot_max),
        "trade_mode": spec.trade_mode.value,
    }


def _alert_id(event: m.AlertRaised | m.AlertCleared) -> str:
    return f"{event.account}/{event.cause}"


def copier_fields(state: m.Copier) -> Fields:
    return {
        "user": state.user,
        "master": state.master,
        "slave": state.slave,
        "master_registration": state.master_registration,
        "slave_registration": state.slave_registration,
        "paused": state.paused,
        "pause_reason": state.pause_reason,
        "options": plain(msgspec.structs.asdict(state.options)),
        "mappings": [plain(msgspec.structs.asdict(mapping)) for mapping in state.mappings],
        "callback_shown": where_told(state.callback),
    }


def where_told(callback: Callback | None) -> str | None:
    return None if callback is None else callback.shown


def callback_fields(callback: Callback | None) -> Fields | None:
    """Sealed as it came: whoever posts opens it."""
    return None if callback is None else msgspec.structs.asdict(callback)


# --- history ------------------------------------------------------------------------------------


def _imported(event: m.HistoryImported) -> list[Patch]:
    """An account that is only looked at: proved by nothing, so it is its importer's alone."""
    shown = {
        "user": event.user,
        "account": event.account,
        "name": event.name,
        "platform": event.platform.value,
        "server": event.server,
        "login": event.login,
        "kind": "imported",
        "rights": "read",
        "enabled": True,
        "connect_error": None,
    }
    account: Fields = {
        "platform": event.platform.value,
        "server": event.server,
        "login": event.login,
        "kind": "imported",
        "status": "imported",
        "currency": event.currency,
    }
    if event.balance is not None:
        balance = str(event.balance)
        account["figures"] = {"balance": balance, "equity": balance}
    return [
        Patch(c.REGISTRATIONS, event.registration, shown),
        Patch(c.ACCOUNTS, event.account, account),
    ]


def _operation_id(event: m.BalanceChanged) -> str:
    at = broker_time(event.time_broker)
    return f"{event.account}/{event.kind}/{event.ticket}/{'' if event.ticket else at}"


def _operation(event: m.BalanceChanged) -> Fields:
    return {
        "account": event.account,
        "ticket": event.ticket,
        "kind": event.kind,
        "amount": str(event.amount),
        "time": broker_time(event.time_broker),
        "comment": event.comment,
    }


def _equity(event: m.EquityRecorded) -> Fields:
    return {
        "account": event.account,
        "time": iso(event.time_utc),
        "balance": str(event.balance),
        "equity": str(event.equity),
        "high": str(event.equity_high),
        "low": str(event.equity_low),
        "profit_high": {root: str(value) for root, value in event.profit_high.items()},
        "profit_low": {root: str(value) for root, value in event.profit_low.items()},
        "clock_offset_minutes": event.clock_offset_minutes,
    }


# --- accounts ------------------------------------------------------------------------------------


def _snapshot(event: m.AccountSnapshot) -> list[Patch]:
    figures = plain(msgspec.structs.asdict(event.figures))
    alive = {
        "seen_alive_at": iso(event.seen_alive_at_utc),
        "figures": figures,
        "open_trades": sum(not order.kind.is_pending for order in event.orders),
    }
    orders = [order_fields(order) for order in event.orders]
    return [
        Patch(c.ACCOUNTS, event.account, alive),
        Patch(c.OPEN_ORDERS, event.account, {"account": event.account, "orders": orders}),
    ]


def order_fields(order: OpenOrder) -> Fields:
    return {
        "ticket": order.ticket,
        "open_time": broker_time(order.opened_at_broker),
        "type": order.kind.value,
        "lots": str(order.lots),
        "symbol": order.symbol,
        "open_price": str(order.open_price),
        "stop_loss": number(order.stop_loss),
        "take_profit": number(order.take_profit),
        "close_price": number(order.market_price),
        "magic": order.magic,
        "swap": str(order.swap),
        "commission": str(order.commission),
        "comment": order.comment,
        "profit": str(order.profit),
        "digits": order.digits or 0,
        "expiration": broker_time(order.expires_at_broker) if order.expires_at_broker else None,
    }


def _position(event: m.PositionOpened | m.PositionReduced | m.PositionClosed) -> list[Patch]:
    root = f"{event.account}/{event.root}"
    if isinstance(event, m.PositionOpened):
        opened = {
            "account": event.account,
            "root": event.root,
            "ticket": event.deal.ticket,
            "opened_as": event.ticket,
            "type": event.side.value,
            "symbol": event.symbol,
            "open_time": broker_time(event.opened_at_broker),
            "time": broker_time(event.opened_at_broker),
            "open_price": str(event.open_price),
            "magic": event.magic,
            "comment": event.comment,
            "stop_loss": number(event.stop_loss),
            "take_profit": number(event.take_profit),
            # What stands when its account is added again shows the average of what it grew by.
            f"{ADDED}1": None,
        }
        return [Patch(c.ROOTS, root, opened), *_entry_cost(event)]
    deal = event.deal
    closed: Fields = {
        "account": event.account,
        "root": event.root,
        "ticket": event.ticket,
        "flat": isinstance(event, m.PositionClosed),
        "deal": deal.ticket,
        "lots": str(deal.lots),
        "close_price": str(deal.price),
        "closed_at": broker_time(deal.time_broker)
        if deal.time_broker
        else iso(event.seen_at_utc)[:23],
        "profit": str(deal.profit),
        "swap": str(deal.swap),
        "commission": str(deal.commission),
        "fee": str(deal.fee),
        "reason": event.reason.value,
    }
    if isinstance(event, m.PositionClosed):
        closed |= {"symbol": event.symbol, "type": event.side.value}
        if deal.entry_cost:
            closed["entry_cost"] = str(deal.entry_cost)
    else:
        closed["entry_cost"] = None  # told with the piece that ends the position
    entry = _entry_cost(event)
    # Not by its sequence, which begins anew when the account is removed and added again.
    row = Patch(
        c.CLOSED_ORDERS,
        f"{root}/{deal.ticket}/{closed['closed_at']}",
        closed,
        builds_on=(c.ROOTS, root),
    )
    if isinstance(event, m.PositionReduced):
        return [*entry, row]
    return [*entry, row, Patch(c.ROOTS, root, None)]


def _changed(event: m.PositionIncreased | m.PositionModified) -> Fields:
    """What its closings will tell besides the opening: its last stops, and what it grew by."""
    if isinstance(event, m.PositionModified):
        return {"stop_loss": number(event.stop_loss), "take_profit": number(event.take_profit)}
    grown = {"lots": event.lots, "open_lots": event.open_lots, "price": event.deal.price}
    return {f"{ADDED}{event.leg}": plain(grown)}


def _entry_cost(event: m.PositionOpened | m.PositionReduced | m.PositionClosed) -> list[Patch]:
    """What opening cost moves the balance when the position opens, and belongs to no trade. A broker
    may tell it then, when it closes, or both times: it is one operation, at the time of the opening.
    """
    deal, root = event.deal, f"{event.account}/{event.root}"
    if not deal.entry_cost:
        return []
    amount = str(deal.entry_cost)
    cost: Fields = {"account": event.account, "kind": _ENTRY_COST, "amount": amount, "comment": ""}
    if isinstance(event, m.PositionOpened):
        cost |= {"ticket": deal.ticket, "time": broker_time(event.opened_at_broker)}
    place = f"{event.account}/{_ENTRY_COST}/{event.root}"
    moved = Patch(c.OPERATIONS, place, cost, builds_on=(c.ROOTS, root))
    if isinstance(event, m.PositionClosed):  # its root ends here, and is changed once by one event
        return [moved]
    return [Patch(c.ROOTS, root, {"entry_cost": amount}, builds_on=(c.ROOTS, root)), moved]


# --- copies ------------------------------------------------------------------------------------------


def _decided(event: m.Decided, at: datetime, record: Record) -> list[Patch]:
    fields: Fields = {
        "copier": event.copier,
        "copy": event.copy,
        "master": event.master,
        "slave": event.slave,
        "root": event.root,
        "leg": event.leg,
        "time": iso(at),
        "update": "PendingOpen" if event.pending else "MarketOpen",
        "master_symbol": event.symbol,
        "master_side": event.order_type.value,
        "master_lots": str(event.lots),
        "master_price": str(event.price),
        "seen_at": iso(event.seen_at_utc),
        "planned_at": iso(at),
    }
    changed: list[Patch] = []
    if isinstance(event, m.CopySkipped):
        fields |= {
            "success": False,
            "outcome": "skipped",
            "code": event.code,
            "numbers": event.numbers,
            "remedy": event.remedy,
        }
        text = (
            f"{event.symbol} {event.order_type} {event.lots}: skipped {event.code}, {event.remedy}"
        )
        changed.append(_log(event.copier, at, record, "Information", text))
    else:  # what a former copier of the pair skipped, this one may join
        fields |= {"success": False, "outcome": "planned"}
        fields |= {"code": None, "numbers": {}, "remedy": None}
    return [Patch(c.TRADE_LOGS, _row_decided(event), fields), *changed]


def _row_decided(event: m.Decided) -> str:
    """The copy's own, which its executions go on with. A later copier of the pair that copies nothing
    of it says so in a row of its own: what was copied keeps its times and its outcome.
    """
    kind = "pending" if event.pending else "open"
    if isinstance(event, m.CopySkipped) and event.code == _COPIED_BEFORE:
        return f"{event.copy}.{event.leg}.{event.copier}.{kind}"
    return f"{event.copy}.{event.leg}.{kind}"


_COPIED_BEFORE = "ALREADY_COPIED"


def _executed(event: Any, at: datetime, record: Record) -> list[Patch]:
    common: Fields = {
        "copier": event.copier,
        "copy": event.copy,
        "master": event.master,
        "slave": event.slave,
        "root": event.root,
        "leg": event.leg,
    }
    outcome, level = _outcome(event, at)
    if outcome is None:
        return []
    row = _row_of(event)
    times: Fields = {}
    if "recorded" not in outcome and isinstance(event, m.Outcome):
        times = _times(event, record)
    removed_by_call = isinstance(event, m.CopyPendingRemoved) and event.sent_at_utc is not None
    if not removed_by_call:  # its times are the deletion's, not the placing's
        outcome |= times
    if row.endswith((".open", ".pending")):
        common = {"copier": event.copier, "copy": event.copy, "leg": event.leg}
        if not outcome.get("success"):
            outcome.setdefault("success", False)
        if _is_filled_order(event):
            outcome |= {"time": iso(at), "update": "MarketOpen"}
    else:
        outcome["time"] = iso(at)
    changed = [Patch(c.TRADE_LOGS, row, common | outcome)]
    if removed_by_call:
        deleted = {"success": True, "outcome": "removed", "removed": event.reason}
        changed.append(Patch(c.TRADE_LOGS, event.attempt, deleted | times))
    if level:
        changed.append(_log(event.copier, at, record, level, _sentence(event, outcome)))
    if isinstance(event, m.CopyUnresolved | m.CopyNeedsPerson | m.CopyReconciled):
        changed.append(_unresolved(event, at))
    return changed


def _is_filled_order(event: m.ExecutionEvent) -> bool:
    """A mirrored order became a position: no call of ours, and no decision until the master's does."""
    if not isinstance(event, m.CopyOpened):
        return False
    return event.sent_at_utc is None and event.answered_at_utc is not None


_TOLD = (
    m.CopySkipped,
    m.CopyOpened,
    m.CopyPendingPlaced,
    m.CopyPendingRemoved,
    m.CopyModified,
    m.CopyReduced,
    m.CopyClosed,
    m.CopyDenied,
    m.CopyUnresolved,
    m.CopyReconciled,
    m.CopyNeedsPerson,
    m.CopyDetached,
)


def trade_log_told_by(event: Any) -> str | None:
    """The id of the trade log of which this event says how it came out; None: it says nothing final."""
    if isinstance(event, m.CopySkipped):
        return _row_decided(event)
    if isinstance(event, _TOLD) or (isinstance(event, m.CopyRejected) and event.final):
        return _row_of(event)
    return None


def _row_of(event: Any) -> str:
    """Opens have a row of their own per leg, which the plan began and a fill or a last refusal ends;
    other calls, and refusals after which it is tried again, one per attempt.
    """
    if isinstance(event, m.AttemptStarted):
        request = event.request
        if isinstance(request, OpenRequest):
            return f"{event.copy}.{event.leg}.{'pending' if request.kind.is_pending else 'open'}"
        return f"{event.attempt}"
    if isinstance(event, m.CopyPendingPlaced | m.CopyPendingRemoved):
        return f"{event.copy}.{event.leg}.pending"
    if isinstance(event, m.CopyDenied):
        return f"{event.copy}.{event.leg}.{'pending' if event.pending else 'open'}"
    if isinstance(event, m.CopyOpened):
        return f"{event.copy}.{event.leg}.open"
    if _is_given_up(event):
        return f"{event.copy}.{event.leg}.{'pending' if event.kind.is_pending else 'open'}"
    if isinstance(event, m.CopyDetached):
        return f"{event.copy}.{event.leg}.detached"
    # A leg that ended before our close was sent has no attempt that a row could be named by.
    return str(event.attempt) or f"{event.copy}.{event.leg}.closed"


def _outcome(event: Any, at: datetime) -> tuple[Fields | None, str]:
    match event:
        case m.AttemptStarted():
            started: Fields = {
                "attempt": event.attempt,
                "request": plain(msgspec.structs.asdict(event.request)),
                "numbers_sent": event.numbers,
                "update": _update_of(event),
                "sending_at": iso(at),
                "slave_symbol": getattr(event.request, "symbol", None),
            }
            return started, ""
        case m.CopyOpened():
            return {
                "success": True,
                "outcome": "opened",
                "slave_ticket": event.ticket,
                "slave_symbol": event.symbol,
                "slave_lots": str(event.lots),
                "slave_side": event.side.value,
                "slave_price": str(event.price),
                "slippage": number(event.slippage),
                "code": None,
                "numbers": {},
                "remedy": None,
            }, "Information"
        case m.CopyPendingPlaced():
            return {
                "success": True,
                "outcome": "placed",
                "slave_ticket": event.ticket,
                "slave_symbol": event.symbol,
                "slave_lots": str(event.lots),
                "slave_side": event.kind.value,
                "slave_price": str(event.price),
            }, "Information"
        case m.CopyPendingRemoved():
            removed = {"outcome": "removed", "removed": event.reason, "success": True}
            return removed, "Information"
        case m.CopyModified():
            return {
                "success": True,
                "outcome": "modified",
                "update": _modify_of(event.price),
                "slave_ticket": event.ticket,
                "stop_loss": number(event.stop_loss),
                "take_profit": number(event.take_profit),
            }, ""
        case m.CopyReduced():
            return {
                "success": True,
                "outcome": "reduced",
                "update": "PartialClose",
                "slave_ticket": event.ticket,
                "slave_lots": str(event.closed_lots),
                "slave_price": str(event.price),
            }, "Information"
        case m.CopyClosed():
            return {
                "success": True,
                "outcome": "closed",
                "update": "MarketClose",
                "slave_ticket": event.ticket,
                "slave_lots": str(event.closed_lots),
                "slave_price": str(event.price),
                "profit": str(event.profit),
                "reason": event.reason,
            }, "Information"
        case m.CopyDenied():
            return {
                "success": False,
                "outcome": "denied",
                "code": event.code,
                "numbers": event.numbers,
                "remedy": event.remedy,
                "recorded": True,
            }, "Warning"
        case m.CopyRejected():
            outcome = "rejected" if event.final else "refused, tried again"
            rejected: Fields = {"outcome": outcome, "code": event.code, "text": event.message}
            return rejected | _update_of_open(event) | {"success": False}, "Warning"
        case m.CopyNotSent():
            not_sent: Fields = {"outcome": "not sent", "text": event.reason, "success": False}
            return not_sent | _update_of_open(event), "Warning"
        case m.CopyUnresolved():
            return {"outcome": "unresolved", "text": event.reason, "success": False}, "Error"
        case m.CopyReconciled():
            found = event.found is not None
            return {
                "outcome": "reconciled" if found else "absent",
                "evidence": event.evidence,
                "success": found,
            }, "Warning"
        case m.CopyNeedsPerson():
            return {"outcome": "needs a person", "evidence": event.evidence}, "Error"
        case m.CopyDetached():
            text = f"{event.reason}: {event.left}" if event.left else event.reason
            told = {"outcome": "detached", "text": text, "success": True}
            if event.ticket is not None:
                told["slave_ticket"] = event.ticket
            return told, "Warning" if event.left else "Information"
    return None, ""


def _is_given_up(event: Any) -> bool:
    """An open, for good."""
    return isinstance(event, m.CopyRejected) and event.final and event.kind is not None


def _update_of_open(event: m.CopyRejected | m.CopyNotSent) -> Fields:
    """Of any other call its start said what it was to do, in the same row."""
    return {} if event.kind is None else {"update": _opens(event.kind)}


def _opens(kind: OrderKind) -> str:
    return "PendingOpen" if kind.is_pending else "MarketOpen"


def _update_of(event: m.AttemptStarted) -> str:
    request = event.request
    match request:
        case OpenRequest():
            return _opens(request.kind)
        case ModifyRequest():
            return _modify_of(request.price)
        case CloseRequest():
            is_part = Decimal(event.numbers.get("target_lots", "0")) > 0
            return "PartialClose" if is_part else "MarketClose"
    return "PendingClose"


def _modify_of(trigger: Decimal | None) -> str:
    """Only pending orders have a trigger."""
    return "MarketModify" if trigger is None else "PendingModify"


def _times(event: m.Outcome, record: Record) -> Fields:
    """When it was sent, answered and recorded; the plan's part has seen and planned."""
    times: Fields = {}
    if event.sent_at_utc is not None:
        times["sent_at"] = iso(event.sent_at_utc)
    if event.answered_at_utc is not None and not _is_given_up(event):
        times["filled_at"] = iso(event.answered_at_utc)
    if record.recorded_at:
        times["recorded_at"] = f"{datetime.utcfromtimestamp(record.recorded_at).isoformat()}Z"  # noqa: DTZ004
    return times


def _unresolved(event: Any, at: datetime) -> Patch:
    settled = isinstance(event, m.CopyReconciled)
    fields: Fields = {
        "account": event.slave,
        "copier": event.copier,
        "copy": event.copy,
        "leg": event.leg,
        "open": not settled,
        "settled_at" if settled else "since": iso(at),
        "evidence": getattr(event, "evidence", None) or getattr(event, "reason", ""),
    }
    if isinstance(event, m.CopyNeedsPerson):
        fields["needs_person"] = True
    return Patch(c.UNRESOLVED, event.attempt, fields)


def _log(copier: str, at: datetime, record: Record, level: str, text: str) -> Patch:
    fields = {"copier": copier, "time": iso(at), "level": level, "text": text}
    return Patch(c.LOGS, f"{record.topic}/{record.partition}/{record.offset:012d}", fields)


def _sentence(event: Any, outcome: Fields) -> str:
    parts = [f"{type(event).__name__}"]
    for name in (
        "slave_symbol",
        "slave_side",
        "slave_lots",
        "slave_ticket",
        "slave_price",
        "code",
        "text",
        "evidence",
        "removed",
    ):
        value = outcome.get(name)
        if value is not None:
            parts.append(f"{name.removeprefix('slave_')}={value}")
    return " ".join(parts)


# --- text ------------------------------------------------------------------------------------------


def iso(moment: datetime) -> str:
    """UTC in fixed width, so that it sorts as text."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def broker_time(moment: datetime) -> str:
    """The broker's clock, no zone, fixed width."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


def number(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def plain(fields: Fields) -> Fields:
    """Decimals and enums as text; what a document can hold."""
    return {
        name: str(value)
        if isinstance(value, Decimal)
        else getattr(value, "value", value)
        if not isinstance(value, datetime)
        else broker_time(value)
        for name, value in fields.items()
    }
