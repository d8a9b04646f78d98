"""Events into read models: which documents an event changes, and whose part it is to say how. Pure.

A patch sets fields of its source's part of a document; the service merges it with what the source
wrote before. Commands are patched last, so that a caller who sees one done sees what it did.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from copypro import collections as c
from copypro import messages as m
from copypro.envelope import Envelope
from copypro.ports import Record

from copypro_stats import accounts, copiers, history, orders, registrations, trade_logs
from copypro_stats.answers import ANSWERS, answered
from copypro_stats.patch import Event, Patch

Pending = m.PendingPlaced | m.PendingModified | m.PendingRemoved | m.PendingFilled


def patches(record: Record, envelope: Envelope) -> list[Patch]:
    """All changes of one event, in the order in which they must become visible."""
    event, at = envelope.message, envelope.time
    changed = _of_event(event, at, record)
    account = history.history_of(event)
    if account is not None:
        # What statistics were made of moves on: those of an earlier version are no longer current.
        changed.append(Patch(c.ACCOUNTS, account, {"history": record.offset}))
    if envelope.cause is not None and isinstance(event, ANSWERS):
        changed.append(answered(event, envelope.cause, at))
    return changed


def _of_event(event: Event, at: datetime, record: Record) -> list[Patch]:
    match event:
        case m.AccountSnapshot():
            return [accounts.alive(event), orders.listed(event)]
        case m.AccountSymbols():
            return [accounts.symbols(event)]
        case m.SymbolLearned():
            return [accounts.terms(event)]
        case m.CopierStarted() | m.CopierUpdated() | m.CopierPaused() | m.CopierResumed():
            return copiers.changed(event)
        case m.CopierStopped():
            return copiers.stopped(event, at)
        case m.CopyPlanned() | m.CopySkipped():
            return trade_logs.decided(event, at, record)
        case m.Execution():
            return trade_logs.executed(event, at, record)
        case _:
            return _of_order_event(event, at)


def _of_order_event(event: m.OrderEvent, at: datetime) -> list[Patch]:
    match event:
        case m.AccountRegistered():
            return registrations.registered(event)
        case m.HistoryImported():
            return registrations.imported(event)
        case m.AccountUpdated():
            return [registrations.updated(event)]
        case m.AccountRefused():
            return [registrations.refused(event)]
        case m.ProofDelayed():
            return [registrations.delayed(event)]
        case m.AccountRemoved():
            return registrations.removed(event)
        case m.EquityProtectorUpdated() | m.EquityProtectorReset() | m.EquityProtectorTriggered():
            return [registrations.protected(event)]
        case m.EquityProtectorCallbackSet():
            return registrations.callback_set(event)
        case m.AccountConnected():
            return [accounts.connected(event)]
        case m.AccountDisconnected():
            return [accounts.disconnected(event)]
        case m.AlertRaised() | m.AlertCleared():
            return [accounts.alert(event, at)]
        case m.BalanceChanged():
            return [history.operation(event)]
        case m.EquityRecorded():
            return history.equity(event)
        case m.CommandDenied() | m.Settled():
            return []  # an answer, and nothing else
        case _:
            return _of_order(event)


def _of_order(event: orders.Positioned | Pending) -> list[Patch]:
    match event:
        case m.PositionOpened():
            return orders.opened(event)
        case m.PositionIncreased():
            return [orders.increased(event)]
        case m.PositionModified():
            return [orders.modified(event)]
        case m.PositionReduced():
            return orders.reduced(event)
        case m.PositionClosed():
            return orders.closed(event)
        case m.PendingPlaced() | m.PendingModified() | m.PendingRemoved() | m.PendingFilled():
            return []  # the account's list has them
        case _:
            assert_never(event)
