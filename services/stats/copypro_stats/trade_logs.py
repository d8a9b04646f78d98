"""Trade logs: what was decided on each leg of a copy, and what came of it. Pure.

A leg's opening has one row, which its decision begins and a fill or a last refusal ends; every other
call has a row of its own, and so has an open that is tried again.
"""

from __future__ import annotations

from datetime import UTC, datetime

from copypro import collections as c
from copypro import messages as m
from copypro.ports import Record
from copypro.trading import OpenRequest
from copypro.values import OrderKind

from copypro_stats import logs
from copypro_stats.executions import NO_REFUSAL, opens, refusal, said
from copypro_stats.patch import Event, Fields, Patch, iso

_COPIED_BEFORE = "ALREADY_COPIED"
_OPENINGS = (".open", ".pending")


def decided(event: m.CopyPlanned | m.CopySkipped, at: datetime, record: Record) -> list[Patch]:
    fields = _whose(event) | {
        "time": iso(at),
        "update": opens(pending=event.pending),
        "master_symbol": event.symbol,
        "master_side": event.order_type.value,
        "master_lots": str(event.lots),
        "master_price": str(event.price),
        "seen_at": iso(event.seen_at_utc),
        "planned_at": iso(at),
        "success": False,
    }
    line = []
    if isinstance(event, m.CopySkipped):
        fields |= {"outcome": "skipped"} | refusal(event)
        line.append(logs.skipped(event, at, record))
    else:  # what a former copier of the pair skipped, this one may join
        fields |= {"outcome": "planned"} | NO_REFUSAL
    quality = Patch(c.COPY_QUALITY, event.copier, {"decided": record.offset})
    return [Patch(c.TRADE_LOGS, _row_decided(event), fields), *line, quality]


def executed(event: m.ExecutionEvent, at: datetime, record: Record) -> list[Patch]:
    fields = said(event, at)
    changed = [*_rows(event, fields, at, record), *logs.executed(event, fields, at, record)]
    if isinstance(event, m.CopyUnresolved | m.CopyReconciled | m.CopyNeedsPerson):
        changed.append(_unresolved(event, at))
    return [*changed, Patch(c.COPY_QUALITY, event.copier, {"executed": record.offset})]


def trade_log_told_by(event: Event) -> str | None:
    """The id of the trade log of which this event says how it came out; None: it says nothing final."""
    match event:
        case m.CopySkipped():
            return _row_decided(event)
        case m.AttemptStarted() | m.CopyNotSent() | m.CopyRejected(final=False):
            return None
        case m.Execution():
            return _row_executed(event)
    return None


# --- rows -------------------------------------------------------------------------------------------


def _rows(event: m.ExecutionEvent, fields: Fields, at: datetime, record: Record) -> list[Patch]:
    row, times = _row_executed(event), _times(event, record)
    if not row.endswith(_OPENINGS):
        fields = _whose(event) | fields | times | {"time": iso(at)}
        return [Patch(c.TRADE_LOGS, row, fields)]
    leg = {"copier": event.copier, "copy": event.copy, "leg": event.leg, "success": False}
    if isinstance(event, m.CopyPendingRemoved) and event.sent_at_utc is not None:
        # The times are the deletion's, not the placing's.
        deletion = Patch(c.TRADE_LOGS, event.attempt, fields | times)
        return [Patch(c.TRADE_LOGS, row, leg | fields), deletion]
    if _is_filled_order(event):
        times |= {"time": iso(at), "update": opens(pending=False)}
    return [Patch(c.TRADE_LOGS, row, leg | fields | times)]


def _row_decided(event: m.Decided) -> str:
    """The copy's own, which its executions go on with. A later copier of the pair that copies nothing
    of it says so in a row of its own: what was copied keeps its times and its outcome.
    """
    if isinstance(event, m.CopySkipped) and event.code == _COPIED_BEFORE:
        return _opening(f"{event.copy}.{event.leg}.{event.copier}", pending=event.pending)
    return _opening(_leg(event), pending=event.pending)


def _row_executed(event: m.ExecutionEvent) -> str:
    leg = _leg(event)
    match event:
        case m.AttemptStarted(request=OpenRequest(kind=kind)):
            return _opening(leg, pending=kind.is_pending)
        case m.CopyPendingPlaced() | m.CopyPendingRemoved():
            return _opening(leg, pending=True)
        case m.CopyDenied():
            return _opening(leg, pending=event.pending)
        case m.CopyOpened():
            return _opening(leg, pending=False)
        case m.CopyRejected(final=True, kind=OrderKind() as kind):
            return _opening(leg, pending=kind.is_pending)
        case m.CopyDetached():
            return f"{leg}.detached"
    # A leg that ended before our close was sent has no attempt that a row could be named by.
    return str(event.attempt) or f"{leg}.closed"


def _leg(event: m.Decided | m.Execution) -> str:
    return f"{event.copy}.{event.leg}"


def _opening(of: str, *, pending: bool) -> str:
    return f"{of}.{'pending' if pending else 'open'}"


# --- fields -----------------------------------------------------------------------------------------


def _whose(event: m.Decided | m.Execution) -> Fields:
    return {
        "copier": event.copier,
        "copy": event.copy,
        "master": event.master,
        "slave": event.slave,
        "root": event.root,
        "leg": event.leg,
    }


def _is_filled_order(event: m.ExecutionEvent) -> bool:
    """A mirrored order became a position: no call of ours, and no decision until the master's does."""
    if not isinstance(event, m.CopyOpened):
        return False
    return event.sent_at_utc is None and event.answered_at_utc is not None


def _times(event: m.ExecutionEvent, record: Record) -> Fields:
    """When it was sent, answered and recorded; the plan's part has seen and planned."""
    if not isinstance(event, m.Outcome):
        return {}
    times: Fields = {}
    if event.sent_at_utc is not None:
        times["sent_at"] = iso(event.sent_at_utc)
    if event.answered_at_utc is not None and not _is_given_up(event):
        times["filled_at"] = iso(event.answered_at_utc)
    if record.recorded_at:
        recorded = datetime.fromtimestamp(record.recorded_at, UTC).replace(tzinfo=None)
        times["recorded_at"] = f"{recorded.isoformat()}Z"
    return times


def _is_given_up(event: m.Outcome) -> bool:
    """An open, for good."""
    return isinstance(event, m.CopyRejected) and event.final and event.kind is not None


def _unresolved(
    event: m.CopyUnresolved | m.CopyReconciled | m.CopyNeedsPerson, at: datetime
) -> Patch:
    is_settled = isinstance(event, m.CopyReconciled)
    fields: Fields = {
        "account": event.slave,
        "copier": event.copier,
        "copy": event.copy,
        "leg": event.leg,
        "open": not is_settled,
        "settled_at" if is_settled else "since": iso(at),
        "evidence": event.reason if isinstance(event, m.CopyUnresolved) else event.evidence,
    }
    if isinstance(event, m.CopyNeedsPerson):
        fields["needs_person"] = True
    return Patch(c.UNRESOLVED, event.attempt, fields)
