"""What the log says of each event: level, words and fields. Pure.

Never what a person wrote (names, comments, addresses), and no secret: no message carries one.
History that is read at a first look is no news and has no line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from copypro import messages as m
from copypro.messages import Message, Seen

INFO, WARNING, ERROR = "info", "warning", "error"


class Line(Struct, frozen=True):
    level: str
    what: str
    fields: dict[str, Any]


def line_of(event: Message) -> Line | None:
    """None: nothing that an operator reads. `AlertRaised` is told by whoever delivers alerts."""
    match event:
        case m.Execution():
            return _execution(event)
        case m.CommandDenied():
            return Line(INFO, "command denied", {"code": event.code, "message": event.message})
        case m.CopierStopped():
            return Line(INFO, "copier stopped", _pair(event) | {"reason": event.reason})
        case m.CopierStarted() | m.CopierUpdated() | m.CopierPaused() | m.CopierResumed():
            return Line(INFO, _words(event), _pair(event.state))
        case _:
            return _of_account(event)


def line_of_decisions(code: str, decided: Sequence[m.Decided]) -> Line:
    """Of one cause and with one code ("": planned): each copy by name where there is one only."""
    first = decided[0]
    fields: dict[str, Any] = {"account": first.master, "root": first.root, "copies": len(decided)}
    if len(decided) == 1:
        fields |= {"slave": first.slave, "copier": first.copier, "copy": first.copy}
    if first.leg:
        fields["leg"] = first.leg
    return Line(INFO, "skipped" if code else "planned", fields | ({"code": code} if code else {}))


# --- executions ---------------------------------------------------------------------------------


def _execution(event: m.Execution) -> Line:
    fields: dict[str, Any] = {"account": event.slave, "copy": event.copy}
    if event.leg:
        fields["leg"] = event.leg
    attempt = getattr(event, "attempt", "")
    if attempt:
        fields["attempt"] = attempt
    level, what, more = _happened(event)
    return Line(level, what, fields | {name: value for name, value in more.items() if value != ""})


def _happened(event: m.Execution) -> tuple[str, str, dict[str, Any]]:
    match event:
        case m.AttemptStarted():
            call = type(event.request).__name__.removesuffix("Request").lower()
            return INFO, "attempt", {"call": call, "root": event.root, "tries": event.tries or ""}
        case m.CopyOpened():
            filled = {"ticket": event.ticket, "symbol": event.symbol, "side": event.side}
            return INFO, "filled", filled | {"lots": str(event.lots), "price": str(event.price)}
        case m.CopyPendingPlaced():
            return INFO, "order placed", {"ticket": event.ticket, "symbol": event.symbol}
        case m.CopyPendingRemoved():
            return INFO, "order removed", {"ticket": event.ticket, "reason": event.reason}
        case m.CopyModified():
            return INFO, "levels set", {"ticket": event.ticket}
        case m.CopyReduced():
            closed = str(event.closed_lots)
            return INFO, "reduced", {"ticket": event.ticket, "closed_lots": closed}
        case m.CopyClosed():
            closed = str(event.closed_lots)
            return INFO, "closed", {
                "ticket": event.ticket, "closed_lots": closed, "reason": event.reason,
            }  # fmt: skip
        case m.CopyDenied():
            return INFO, "denied", {"code": event.code, "root": event.root}
        case m.CopyRejected():
            level = WARNING if event.final else INFO
            told = {"code": event.code, "message": event.message, "final": event.final}
            return level, "rejected", told
        case m.CopyNotSent():
            return WARNING, "not sent", {"reason": event.reason}
        case m.CopyUnresolved():
            return WARNING, "unresolved", {"reason": event.reason}
        case m.CopyReconciled():
            ticket = event.found.ticket if event.found is not None else "none"
            return INFO, "reconciled", {"ticket": ticket, "evidence": event.evidence}
        case m.CopyNeedsPerson():
            return ERROR, "needs a person", {"evidence": event.evidence}
        case m.CopyDetached():
            level, what = (WARNING, "left open") if event.left else (INFO, "detached")
            return level, what, {"ticket": event.ticket, "reason": event.reason}
        case _:
            return INFO, _words(event), {}


# --- what the broker and the owner did ---------------------------------------------------------------


def _of_account(event: Message) -> Line | None:
    account = {"account": getattr(event, "account", "")}
    match event:
        case m.AccountRegistered() | m.AccountUpdated() | m.AccountRemoved():
            registration = {"registration": event.registration}
            return Line(INFO, _words(event), account | registration)
        case m.AccountConnected():
            known = {"login": event.info.login, "server": event.info.server}
            return Line(INFO, "account connected", account | known)
        case m.AccountDisconnected() | m.AccountRefused():
            why = {"code": event.code, "message": event.message}
            return Line(WARNING, _words(event), account | why)
        case m.EquityProtectorUpdated() | m.EquityProtectorReset() | m.EquityProtectorCallbackSet():
            return Line(INFO, _words(event), account | {"registration": event.registration})
        case m.EquityProtectorTriggered():
            numbers = event.protector.numbers
            fields = account | {"registration": event.registration} | numbers
            return Line(WARNING, "equity protector triggered", fields)
        case m.Settled():
            return Line(INFO, "settled by a person", account | {"item": event.what})
        case m.AlertCleared():
            return Line(INFO, "alert over", account | {"cause": event.cause})
        case m.PositionOpened() | m.PositionIncreased():
            return None if _is_old(event.seen) or event.copy else _position(event)
        case m.PositionClosed():
            return None if _is_old(event.seen) else _position(event)
        case m.PositionReduced() | m.PendingFilled() | m.PendingRemoved():
            return _position(event)
        case m.PendingPlaced():
            return None if _is_old(event.seen) or event.copy else _position(event)
        case _:
            return None


def _is_old(seen: Seen) -> bool:
    return seen is Seen.BASELINE or seen is Seen.IMPORTED


def _position(event: Any) -> Line:
    fields: dict[str, Any] = {"account": event.account, "root": event.root, "ticket": event.ticket}
    for name in ("symbol", "side", "kind", "lots", "open_lots"):
        value = getattr(event, name, None)
        if value is not None:
            fields[name] = str(value)
    return Line(INFO, _words(event), fields)


def _pair(copier: Any) -> dict[str, Any]:
    return {"account": copier.master, "slave": copier.slave, "copier": copier.copier}


def _words(event: Message) -> str:
    """PositionOpened: "position opened"."""
    name = type(event).__name__
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()
