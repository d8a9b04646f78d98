"""What an execution says in the trade log of its call or its leg. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import assert_never

from copypro import messages as m
from copypro.trading import CloseRequest, DeleteRequest, ModifyRequest, OpenRequest
from copypro.values import OrderKind, Side

from copypro_stats.patch import Fields, iso, number, plain

Succeeded = (
    m.CopyOpened
    | m.CopyIncreased
    | m.CopyPendingPlaced
    | m.CopyPendingRemoved
    | m.CopyModified
    | m.CopyReduced
    | m.CopyClosed
    | m.CopyDetached
)
Failed = (
    m.CopyDenied
    | m.CopyRejected
    | m.CopyNotSent
    | m.CopyUnresolved
    | m.CopyReconciled
    | m.CopyNeedsPerson
)
NO_REFUSAL: Fields = {"code": None, "numbers": {}, "remedy": None}
"""Of what was refused before and is no more."""


def refusal(event: m.CopySkipped | m.CopyDenied) -> Fields:
    return {"code": event.code, "numbers": event.numbers, "remedy": event.remedy}


def said(event: m.ExecutionEvent, at: datetime) -> Fields:
    if isinstance(event, m.AttemptStarted):
        return _started(event, at)
    if isinstance(event, Succeeded):
        return {"success": True, "code": None} | _succeeded(event)
    return _failed(event)


def _started(event: m.AttemptStarted, at: datetime) -> Fields:
    request = event.request
    return {
        "attempt": event.attempt,
        "request": plain(request),
        "numbers_sent": event.numbers,
        "update": _asked(event),
        "sending_at": iso(at),
        "slave_symbol": getattr(request, "symbol", None),
    }


def _succeeded(event: Succeeded) -> Fields:
    match event:
        case m.CopyOpened():
            slippage = {"slippage": number(event.slippage)}
            return {"outcome": "opened"} | _stands(event, event.side) | slippage | NO_REFUSAL
        case m.CopyPendingPlaced():
            return {"outcome": "placed"} | _stands(event, event.kind)
        case m.CopyPendingRemoved():
            return {"outcome": "removed", "removed": event.reason}
        case m.CopyModified():
            stops = {"stop_loss": event.stop_loss, "take_profit": event.take_profit}
            levels = {name: number(price) for name, price in stops.items()}
            update = {"update": _modifies(event.price), "slave_ticket": event.ticket}
            return {"outcome": "modified"} | update | levels
        case m.CopyReduced():
            return {"outcome": "reduced", "update": "PartialClose"} | _ended(event)
        case m.CopyClosed():
            result = {"profit": str(event.profit), "reason": event.reason}
            return {"outcome": "closed", "update": "MarketClose"} | _ended(event) | result
        case m.CopyDetached():
            text = f"{event.reason}: {event.left}" if event.left else event.reason
            ticket = {} if event.ticket is None else {"slave_ticket": event.ticket}
            return {"outcome": "detached", "text": text} | ticket
        case _:
            assert_never(event)


def _failed(event: Failed) -> Fields:
    match event:
        case m.CopyDenied():
            return {"success": False, "outcome": "denied", "recorded": True} | refusal(event)
        case m.CopyRejected():
            outcome = "rejected" if event.final else "refused, tried again"
            why = {"code": event.code, "text": event.message}
            return {"success": False, "outcome": outcome} | why | _was_to_open(event)
        case m.CopyNotSent():
            not_sent = {"success": False, "outcome": "not sent", "text": event.reason}
            return not_sent | _was_to_open(event)
        case m.CopyUnresolved():
            return {"success": False, "outcome": "unresolved", "text": event.reason}
        case m.CopyReconciled():
            found = event.found is not None
            outcome = "reconciled" if found else "absent"
            return {"success": found, "outcome": outcome, "evidence": event.evidence}
        case m.CopyNeedsPerson():
            return {"outcome": "needs a person", "evidence": event.evidence}
        case _:
            assert_never(event)


def _stands(event: m.CopyOpened | m.CopyPendingPlaced, side: Side | OrderKind) -> Fields:
    return {
        "slave_ticket": event.ticket,
        "slave_symbol": event.symbol,
        "slave_lots": str(event.lots),
        "slave_side": side.value,
        "slave_price": str(event.price),
    }


def _ended(event: m.CopyReduced | m.CopyClosed) -> Fields:
    return {
        "slave_ticket": event.ticket,
        "slave_lots": str(event.closed_lots),
        "slave_price": str(event.price),
    }


# --- the original's words for what a call was to do -----------------------------------------------


def opens(*, pending: bool) -> str:
    return "PendingOpen" if pending else "MarketOpen"


def _was_to_open(event: m.CopyRejected | m.CopyNotSent) -> Fields:
    """Of any other call its start said what it was to do, in the same row."""
    return {} if event.kind is None else {"update": opens(pending=event.kind.is_pending)}


def _asked(event: m.AttemptStarted) -> str:
    match event.request:
        case OpenRequest(kind=kind):
            return opens(pending=kind.is_pending)
        case ModifyRequest(price=trigger):
            return _modifies(trigger)
        case CloseRequest():
            is_part = Decimal(event.numbers.get("target_lots", "0")) > 0
            return "PartialClose" if is_part else "MarketClose"
        case DeleteRequest():
            return "PendingClose"


def _modifies(trigger: Decimal | None) -> str:
    """Only pending orders have a trigger."""
    return "MarketModify" if trigger is None else "PendingModify"
