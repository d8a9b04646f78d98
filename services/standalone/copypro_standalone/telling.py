"""One sentence per message, for people; its numbers beside it. Pure."""

from __future__ import annotations

from copypro import messages as m
from copypro.codes import CODES
from copypro.trading import CloseRequest, DeleteRequest, ModifyRequest, OpenRequest, TradeRequest

Numbers = dict[str, str]


def sentence(message: object) -> str:
    """What happened, in one line. A type not told of here is its name."""
    match message:
        case m.OpenCopy() | m.PlacePendingCopy() | m.ModifyCopy() | m.ReduceCopy() | m.CloseCopy():
            return _order(message)
        case m.DetachCopy() | m.ModifyPendingCopy() | m.RemovePendingCopy():
            return _order(message)
        case m.CopyPlanned():
            kind = "a pending order" if message.pending else "a trade"
            return f"planned as {kind}, leg {message.leg}"
        case m.CopySkipped() | m.CopyDenied():
            word = "skipped" if isinstance(message, m.CopySkipped) else "denied"
            return f"{word}: {message.code}, {meaning(message.code)}"
        case m.Execution():
            return _execution(message)
        case _:
            return _seen(message)


def meaning(code: str) -> str:
    return CODES[code][0] if code in CODES else code


def numbers(message: object) -> Numbers:
    """What a decision was made from, by name."""
    found: Numbers = dict(getattr(message, "numbers", None) or {})
    if isinstance(message, m.Execution):
        found = {name: value for name, value in found.items() if value != "None"}
    if isinstance(message, m.AttemptStarted):
        for name, value in (("bid", message.bid), ("ask", message.ask)):
            if value is not None:
                found[name] = f"{value:f}"
    if isinstance(message, m.CopyOpened) and message.slippage is not None:
        found["slippage"] = f"{message.slippage:f}"
    return found


def outcome(message: object) -> str:
    """How a copy stands after this message, in a word or a code."""
    match message:
        case m.CopySkipped() | m.CopyDenied():
            return message.code
        case m.CopyRejected():
            return f"rejected {message.code}" if message.final else "copying"
        case m.CopyUnresolved():
            return "unresolved"
        case m.CopyNeedsPerson():
            return "needs a person"
        case m.CopyReconciled():
            return "copied" if message.found is not None else "NOT_RESENT"
        case m.CopyDetached():
            return f"detached: {message.reason}"
        case m.CopyClosed():
            return "copied and closed"
        case m.CopyPendingPlaced():
            return "pending order placed"
        case _:
            return "copied"


def _order(message: m.SlaveOrder) -> str:
    match message:
        case m.OpenCopy():
            return (
                f"asked to open leg {message.leg}: {message.side.value} {message.symbol},"
                f" the master's {message.lots:f} lots at {message.master_price:f}"
            )
        case m.PlacePendingCopy():
            return f"asked to place {message.kind.value} {message.symbol} at {message.price:f}"
        case m.ModifyCopy():
            return f"asked to set {_levels(message.stop_loss, message.take_profit)}"
        case m.ReduceCopy():
            return f"asked to reduce to {message.fraction:f} of what was opened"
        case m.CloseCopy():
            return f"asked to close: {message.reason}"
        case m.DetachCopy():
            return f"asked to leave it alone: {message.reason}"
        case m.ModifyPendingCopy():
            return f"asked to move the pending order to {message.price:f}"
        case m.RemovePendingCopy():
            return f"asked to remove the pending order: {message.reason}"


def _execution(message: m.Execution) -> str:
    match message:
        case m.AttemptStarted():
            return (
                f"attempt {message.tries + 1} recorded before sending: {_request(message.request)}"
            )
        case m.CopyOpened():
            word = "increased" if isinstance(message, m.CopyIncreased) else "opened"
            return (
                f"{word} #{message.ticket}: {message.side.value} {message.lots:f}"
                f" {message.symbol} at {message.price:f}"
            )
        case m.CopyPendingPlaced():
            return f"placed #{message.ticket}: {message.kind.value} {message.lots:f} at {message.price:f}"
        case m.CopyPendingRemoved():
            return f"removed the pending order #{message.ticket}: {message.reason}"
        case m.CopyModified():
            return f"set #{message.ticket}: {_levels(message.stop_loss, message.take_profit)}"
        case m.CopyReduced():
            return (
                f"closed {message.closed_lots:f} at {message.price:f};"
                f" {message.open_lots:f} left as #{message.ticket}"
            )
        case m.CopyClosed():
            return (
                f"closed #{message.ticket}: {message.closed_lots:f} at {message.price:f},"
                f" profit {message.profit:f} ({message.reason})"
            )
        case m.CopyRejected():
            end = "given up" if message.final else "tried again"
            return f"the broker refused: {message.code} {message.message}; {end}"
        case m.CopyNotSent():
            return f"nothing was sent: {message.reason}"
        case m.CopyUnresolved():
            return f"nobody knows whether it happened: {message.reason}"
        case m.CopyReconciled():
            if message.found is None:
                return f"proven absent, and not sent again: {message.evidence}"
            sure = "taken to be" if message.inferred else "found as"
            return f"{sure} #{message.found.ticket}: {message.evidence}"
        case m.CopyNeedsPerson():
            return f"needs a person's decision (`copypro settle`): {message.evidence}"
        case m.CopyDetached():
            return f"detached: {message.reason}"
        case _:
            return type(message).__name__


def _seen(message: object) -> str:
    match message:
        case m.PositionOpened():
            return (
                f"seen {message.seen.value}: opened #{message.ticket} {message.side.value}"
                f" {message.lots:f} {message.symbol} at {message.open_price:f},"
                f" {_levels(message.stop_loss, message.take_profit)}"
            )
        case m.PositionIncreased():
            return f"seen {message.seen.value}: {message.lots:f} more, {message.open_lots:f} open"
        case m.PositionModified():
            return f"levels changed: {_levels(message.stop_loss, message.take_profit)}"
        case m.PositionReduced():
            return (
                f"{message.deal.lots:f} closed at {message.deal.price:f};"
                f" {message.open_lots:f} left as #{message.ticket}"
            )
        case m.PositionClosed():
            return (
                f"seen {message.seen.value}: closed at {message.deal.price:f},"
                f" profit {message.deal.profit:f} ({message.reason.value})"
            )
        case m.PendingPlaced():
            return (
                f"seen {message.seen.value}: {message.kind.value} {message.lots:f}"
                f" {message.symbol} at {message.price:f} placed as #{message.ticket}"
            )
        case m.PendingModified():
            return f"pending order moved to {message.price:f}"
        case m.PendingRemoved():
            return f"pending order gone: {message.reason}"
        case m.PendingFilled():
            return f"pending order #{message.ticket} filled"
        case m.AlertRaised():
            return f"alert {message.code}: {message.text}"
        case _:
            return type(message).__name__


def _request(request: TradeRequest) -> str:
    match request:
        case OpenRequest():
            return f"{request.kind.value} {request.lots:f} {request.symbol}"
        case ModifyRequest():
            return f"#{request.ticket} {_levels(request.stop_loss, request.take_profit)}"
        case CloseRequest():
            lots = "all" if request.lots is None else f"{request.lots:f}"
            return f"close {lots} of #{request.ticket}"
        case DeleteRequest():
            return f"delete #{request.ticket}"


def _levels(stop_loss: object, take_profit: object) -> str:
    return f"stop {stop_loss or 'none'}, target {take_profit or 'none'}"
