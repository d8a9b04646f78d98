"""What an attempt led to: the answer, or its absence, into the copy's ledger and into events.

Pure. A certain refusal is answered by class (`copypro.retcodes`); an unclear one freezes the copy
until `reconcile` has proof. Volumes seen in the broker's list win over volumes computed here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from copypro.errors import OutcomeUnknown, Refused
from copypro.messages import (
    CopyClosed,
    CopyDetached,
    CopyIncreased,
    CopyModified,
    CopyNotSent,
    CopyOpened,
    CopyPendingPlaced,
    CopyPendingRemoved,
    CopyReduced,
    CopyRejected,
    CopyUnresolved,
    ExecutionEvent,
)
from copypro.retcodes import CallKind, Class, Verdict, classify, is_listed
from copypro.trading import CloseRequest, Done, ModifyRequest, OpenOrder, OpenRequest
from copypro.values import Lots, OrderKind, Platform, Ticket
from msgspec import Struct

from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.planned.accepting import about, about_call, deny
from copypro_account_watcher.state import Attempt, Copy, Leg, LegStatus, without

CALLS = {
    "open": CallKind.OPEN,
    "place": CallKind.OPEN,
    "modify": CallKind.MODIFY,
    "close": CallKind.CLOSE,
    "delete": CallKind.DELETE,
}


class Consequence(Struct, kw_only=True):
    """What the agent must do besides recording the events."""

    events: list[ExecutionEvent]
    look: bool = False
    """Look at the broker's books now."""
    refresh_symbol: bool = False
    """Cached terms of trade may be wrong."""
    pause_opens: str = ""
    """The broker's code: nothing more is opened on this account."""
    counts_as: str = ""
    """For the circuit breaker: 'stop', 'unknown' or nothing."""


def done(
    copy: Copy, attempt: Attempt, answer: Done, platform: Platform, times: dict[str, Any]
) -> Consequence:
    """A positive answer. The attempt is over."""
    leg = copy.leg(attempt.leg)
    common = about_call(copy, attempt) | times
    copy.attempt, copy.refusal = None, None
    copy.begin_step()
    request = attempt.request
    match request:
        case OpenRequest() if attempt.kind == "place":
            leg.status = LegStatus.LEFT if copy.detached else LegStatus.PLACED
            leg.ticket, leg.lots = answer.ticket, answer.lots
            leg.placed_by = attempt.id
            _set(leg, attempt)
            placed = CopyPendingPlaced(
                **common,
                ticket=answer.ticket,
                symbol=request.symbol,
                kind=request.kind,
                lots=answer.lots,
                price=request.price,
            )
            return Consequence(events=[placed, *_left(copy, leg)])
        case OpenRequest():
            opened = stands(copy, attempt, answer, common)
            return Consequence(events=[opened, *_left(copy, leg)], look=leg.due_lots > 0)
        case ModifyRequest():
            _set(leg, attempt)
            _levels_set(copy)
            modified = CopyModified(
                **common,
                ticket=request.ticket,
                stop_loss=request.stop_loss,
                take_profit=request.take_profit,
                price=request.price,
            )
            return Consequence(events=[modified])
        case CloseRequest():
            return _closed(copy, attempt, request.ticket, answer, platform, common)
    rest = answer.lots or (Decimal(0) if leg.closed is None else leg.closed.lots)
    return Consequence(events=[_removed(copy, leg, request.ticket, rest, common)], look=True)


def _left(copy: Copy, leg: Leg) -> list[ExecutionEvent]:
    """Its copy was left while this was under way: that was told without its ticket."""
    if leg.status is not LegStatus.LEFT:
        return []
    return [CopyDetached(**about(copy, leg.number), ticket=leg.ticket, reason=copy.detached)]


def _removed(
    copy: Copy, leg: Leg, ticket: Ticket, rest: Lots, common: dict[str, Any]
) -> CopyPendingRemoved:
    """Our deletion is done, by its answer or by the broker's books. `rest`: what it had not filled."""
    filled_in_part(copy, leg, ticket, rest)
    reason, leg.closed = copy.pending_gone or copy.closing, None
    if leg.order is not None and not copy.pending_gone:
        # The master's order filled and ours was in the way: now the market, or why not.
        leg.to_the_market()
        copy.pending, reason = None, reason or "MASTER_FILLED"
    else:
        leg.status, reason = LegStatus.ENDED, reason or "COPIER_STOPPED"
    return CopyPendingRemoved(**common, ticket=ticket, reason=reason)


def filled_in_part(copy: Copy, leg: Leg, ticket: Ticket, rest: Lots) -> None:
    """A mirrored order is gone. What it had filled may stand, on netting as part of a position that was
    there: a list will tell, and it is closed as one too many. `rest`: what it had not filled; 0: nobody
    says.
    """
    part = leg.lots - rest
    if not 0 < part < leg.lots or any(other.number == -ticket for other in copy.legs):
        return
    extra = Leg(
        number=-ticket,
        tag=leg.tag,
        status=LegStatus.ENDED,
        origin=leg.origin,
        ticket=ticket,
        due_lots=part,
    )
    copy.legs.append(extra)


def stands(copy: Copy, attempt: Attempt, answer: Done, common: dict[str, Any]) -> CopyOpened:
    """An open that certainly stands, by its answer or by the broker's books."""
    request = attempt.request
    assert isinstance(request, OpenRequest)
    leg = copy.leg(attempt.leg)
    if leg.is_live:
        leg.status = LegStatus.LEFT if copy.detached else LegStatus.OPEN
    if leg.ticket is None:
        leg.ticket = answer.ticket
    leg.original_lots = answer.lots
    leg.due_lots = max(Decimal(0), request.lots - answer.lots)
    leg.lots = leg.lots or answer.lots
    _set(leg, attempt)
    leg.open_price = answer.price
    _settle_opened(copy, leg)
    worse = copy.side.along(answer.price - leg.master_price - (leg.offset or 0))
    leg.order = None
    kind = CopyIncreased if leg.number else CopyOpened
    return kind(
        **common,
        ticket=answer.ticket,
        symbol=request.symbol,
        side=copy.side,
        lots=answer.lots,
        price=answer.price,
        slippage=worse if leg.master_price else None,
        stop_loss=request.stop_loss,
        take_profit=request.take_profit,
    )


def _set(leg: Leg, attempt: Attempt) -> None:
    """What its request says is what stands at the broker."""
    request = attempt.request
    assert isinstance(request, OpenRequest | ModifyRequest)
    leg.set_stop_loss, leg.set_take_profit = request.stop_loss, request.take_profit
    leg.overtaken_stop_loss = None
    if leg.levels_asked_at_utc is not None and leg.levels_asked_at_utc <= attempt.started_at_utc:
        leg.levels_asked_at_utc = None
    leg.set_stop_limit_price = request.stop_limit_price
    leg.set_expires_at_broker = request.expires_at_broker
    if request.price is not None:
        leg.open_price = request.price


def set_as_listed(leg: Leg, order: OpenOrder) -> None:
    """What the broker's list shows is what stands, whatever became of the call that was to set it."""
    leg.set_stop_loss, leg.set_take_profit = order.stop_loss, order.take_profit
    if order.kind.is_pending:
        leg.open_price = order.open_price
        leg.set_stop_limit_price = order.stop_limit_price
        leg.set_expires_at_broker = order.expires_at_broker


def _settle_opened(copy: Copy, leg: Leg) -> None:
    """A leg that opened with the latest levels needs no more; but another one may still lack them, and
    a broker that takes stops only afterwards has set none. One that opened with former ones does.
    """
    wanted = (copy.stop_loss, copy.take_profit)
    levels = None if leg.order is None else (leg.order.stop_loss, leg.order.take_profit)
    is_alone = all(other is leg or other.status is not LegStatus.OPEN for other in copy.legs)
    if copy.bare_open or (levels is not None and levels != wanted):
        copy.settled_levels = None
    elif levels is not None and is_alone:
        copy.settled_levels = wanted


def _closed(
    copy: Copy,
    attempt: Attempt,
    asked: Ticket,
    answer: Done,
    platform: Platform,
    common: dict[str, Any],
) -> Consequence:
    leg = copy.leg(attempt.leg)
    ticket = leg.ticket if leg.ticket is not None else answer.ticket
    left = _rest(leg, attempt, answer)
    _took_less(leg, attempt, answer)
    # On MT4 the rest has another ticket by now.
    is_unseen = platform is Platform.MT4 and leg.ticket == asked
    if attempt.expected_lots is None or attempt.expected_lots == 0:
        closed = CopyClosed(
            **common,
            ticket=ticket,
            closed_lots=answer.lots,
            price=answer.price,
            profit=answer.profit,
            reason=closing_reason(copy, leg),
        )
        if left > 0:
            leg.lots, leg.moved = left, is_unseen
        else:
            leg.lots, leg.status = Decimal(0), LegStatus.ENDED
        return Consequence(events=[closed], look=leg.moved)
    ended = ended_meanwhile(copy, attempt, common)
    if ended and not (leg.closed_by or attempt.taken):
        return Consequence(events=ended)
    if leg.lots > attempt.expected_lots:
        leg.lots = left if answer.lots else attempt.expected_lots
        leg.moved = is_unseen
    reduced = CopyReduced(
        **common,
        ticket=leg.ticket or ticket,
        closed_lots=answer.lots,
        open_lots=leg.lots,
        price=answer.price,
    )
    return Consequence(events=[reduced, *ended], look=leg.moved)


def _took_less(leg: Leg, attempt: Attempt, answer: Done) -> None:
    """Than was asked, by its answer: that is the deal that will come."""
    request, asked = attempt.request, leg.asked_pieces
    wanted = request.lots if isinstance(request, CloseRequest) else None
    if wanted is not None and wanted in asked and 0 < answer.lots < wanted:
        leg.asked_pieces = [*without(asked, wanted), answer.lots]


def _rest(leg: Leg, attempt: Attempt, answer: Done) -> Lots:
    """Of what was held when the close was sent; a look may have shown already that it is less."""
    if not answer.lots:
        return Decimal(0)
    held = leg.lots if attempt.held_lots is None else attempt.held_lots
    return min(leg.lots, held - answer.lots)


def closing_reason(copy: Copy, leg: Leg) -> str:
    if leg.is_extra:
        return "LATE_FILL" if leg.original_lots else "DUPLICATE"
    return copy.closing or "reduced"


def not_sent(
    copy: Copy,
    attempt: Attempt,
    reason: str,
    now: datetime,
    limits: WatcherLimits,
    times: dict[str, Any],
) -> Consequence:
    """Certainly nothing left this machine: the same step may be tried again."""
    copy.attempt = None
    _not_taken(copy, attempt)
    _later(copy, attempt, now, limits, 0.0)
    if attempt.kind == "modify":
        copy.levels_late_since_utc = copy.levels_late_since_utc or now
    if attempt.expected_lots:
        copy.reduction_late_since_utc = copy.reduction_late_since_utc or now
    common = about_call(copy, attempt) | times
    event = CopyNotSent(**common, reason=reason, kind=_kind(attempt))
    return Consequence(events=[event, *ended_meanwhile(copy, attempt, common)])


def unknown(
    copy: Copy,
    attempt: Attempt,
    error: OutcomeUnknown,
    platform: Platform,
    now: datetime,
    limits: WatcherLimits,
    times: dict[str, Any],
) -> Consequence:
    """Nobody knows. The copy waits; everything else goes on.

    An error body with a name that is in no table, without any trouble of the transport, is settled
    by two reads, and does not count towards pausing the account.
    """
    listed = is_listed(error.code)
    attempt.unresolved_at_utc = now
    attempt.wait_s = absence_wait_s(platform, limits) if listed else 0.0
    common = about_call(copy, attempt) | times
    event = CopyUnresolved(**common, reason=str(error))
    return Consequence(events=[event], look=True, counts_as="unknown" if listed else "")


def absence_wait_s(platform: Platform, limits: WatcherLimits) -> float:
    return limits.absence_wait_mt4_s if platform is Platform.MT4 else limits.absence_wait_mt5_s


def refused(
    copy: Copy,
    attempt: Attempt,
    error: Refused,
    platform: Platform,
    now: datetime,
    limits: WatcherLimits,
    times: dict[str, Any],
) -> Consequence:
    """The broker certainly did not do it: again at once, later, corrected, or never."""
    verdict = classify(platform, error.code, CALLS[attempt.kind])
    copy.attempt, copy.refusal = None, (attempt.kind, _said(error))
    _not_taken(copy, attempt)
    common = about_call(copy, attempt) | times

    def rejected(final: bool) -> CopyRejected:
        return CopyRejected(
            **common, code=error.code, message=error.message, final=final, kind=_kind(attempt)
        )

    refresh = verdict.class_ is Class.FIX
    if ended := ended_meanwhile(copy, attempt, common):
        return Consequence(events=[rejected(final=True), *ended])
    if attempt.expected_lots:
        copy.reduction_late_since_utc = copy.reduction_late_since_utc or now
    if attempt.kind in ("close", "delete"):
        # A close is never given up: whatever the code, it is tried again after a look.
        _later(copy, attempt, now, limits, verdict.wait_s)
        return Consequence(events=[rejected(final=False)], look=True, refresh_symbol=refresh)
    if attempt.kind == "modify":
        return _modify_refused(copy, attempt, verdict, now, limits, rejected)
    match verdict.class_:
        case Class.NOW if _may_try_now(copy, attempt, now, limits):
            return Consequence(events=[rejected(final=False)], refresh_symbol=True)
        case Class.LATER:
            _later(copy, attempt, now, limits, verdict.wait_s)
            return Consequence(events=[rejected(final=False)])
        case Class.FIX if verdict.about_expiry and not copy.no_expiry:
            copy.no_expiry = True
            return Consequence(events=[rejected(final=False)])
        case Class.FIX if copy.corrections == 0:
            copy.corrections = 1
            return Consequence(events=[rejected(final=False)], refresh_symbol=True)
        case Class.FIX if verdict.about_stops and not copy.bare_open and _has_stops(attempt):
            # Brokers of the market-execution kind take stops only afterwards.
            copy.bare_open = True
            return Consequence(events=[rejected(final=False)], refresh_symbol=True)
    leg, final = copy.leg(attempt.leg), rejected(final=True)
    # An order too near the market says nothing against a copy of the master's fill.
    is_too_near = attempt.kind == "place" and verdict.class_ is Class.NOW
    why = "PENDING_PRICE" if is_too_near else "BROKER_REFUSED"
    denied = deny(copy, leg, why, {"code": error.code})
    stop_account = verdict.class_ is Class.STOP_ACCOUNT
    is_of_fill = attempt.kind == "place" and not denied.pending
    return Consequence(
        # The fill of the master's that came meanwhile has an outcome of its own.
        events=[final, denied] if is_of_fill else [final],
        refresh_symbol=True,
        pause_opens=error.code if stop_account else "",
        counts_as="stop",
    )


def _said(error: Refused) -> str:
    says_more = error.message not in ("", error.code)
    return f"{error.code} ({error.message})" if says_more else error.code


def _kind(attempt: Attempt) -> OrderKind | None:
    return attempt.request.kind if isinstance(attempt.request, OpenRequest) else None


def _not_taken(copy: Copy, attempt: Attempt) -> None:
    """A partial close that was certainly not executed: its deal will not come."""
    request, leg = attempt.request, copy.leg(attempt.leg)
    if isinstance(request, CloseRequest) and request.lots is not None:
        leg.asked_pieces = without(leg.asked_pieces, request.lots)


def is_done(leg: Leg, kind: str) -> bool:
    """The broker's books told the end that our close or deletion was to bring, before its answer."""
    wanted = {"close": LegStatus.ENDED, "delete": LegStatus.PLACED}.get(kind)
    return leg.closed is not None and leg.status is wanted


def ended_meanwhile(copy: Copy, attempt: Attempt, common: dict[str, Any]) -> list[ExecutionEvent]:
    """Its own stop or target was faster than our close, or an earlier try of ours was executed: the
    leg's end is recorded all the same.
    """
    leg = copy.leg(attempt.leg)
    if leg.closed is None or not is_done(leg, attempt.kind):
        return []
    copy.begin_step()
    ticket = leg.closed.ticket
    if attempt.kind == "delete":
        return [_removed(copy, leg, ticket, leg.closed.lots, common)]
    if leg.closed_by:
        return [CopyDetached(**about(copy, leg.number), ticket=ticket, reason=leg.closed_by)]
    closed = CopyClosed(
        **common,
        ticket=ticket,
        closed_lots=leg.closed.lots,
        price=leg.closed.price,
        profit=leg.closed.profit,
        reason=closing_reason(copy, leg),
    )
    return [closed]


def _modify_refused(
    copy: Copy,
    attempt: Attempt,
    verdict: Verdict,
    now: datetime,
    limits: WatcherLimits,
    rejected: Callable[[bool], CopyRejected],
) -> Consequence:
    class_, request = verdict.class_, attempt.request
    assert isinstance(request, ModifyRequest)
    leg = copy.leg(attempt.leg)
    if class_ is Class.OK:  # nothing to change: that is what was wanted
        _set(leg, attempt)
        _levels_set(copy)
        copy.begin_step()
        return Consequence(events=[rejected(False)], look=True)
    copy.levels_late_since_utc = copy.levels_late_since_utc or now
    if class_ is Class.FIX:
        copy.corrections += 1
        copy.no_expiry = copy.no_expiry or verdict.about_expiry
    is_final = class_ in (Class.STOP, Class.STOP_ACCOUNT)
    if is_final or copy.corrections > limits.stops_tries:
        _settle_levels(copy, leg)
        copy.begin_step()
        return Consequence(events=[rejected(True)], refresh_symbol=True)
    if class_ is Class.NOW and _may_try_now(copy, attempt, now, limits):
        return Consequence(events=[rejected(False)], refresh_symbol=True)
    _later(copy, attempt, now, limits, verdict.wait_s)
    return Consequence(events=[rejected(False)], look=verdict.is_gone, refresh_symbol=True)


def _settle_levels(copy: Copy, leg: Leg) -> None:
    """The broker wants none of them for this leg, nor for the others of its position on netting: the
    master's next ones are tried again.
    """
    pending = copy.pending
    if leg.status is LegStatus.PLACED and pending is not None:
        copy.settled_levels = (pending.stop_loss, pending.take_profit)
        leg.master_price = pending.price
        return
    for other in copy.legs:
        if other.ticket == leg.ticket:
            other.levels_refused = True


def _levels_set(copy: Copy) -> None:
    """Of a leg; another one's may be refused, which stays to be told."""
    if not copy.levels_refused:
        copy.levels_late_since_utc = None


def _may_try_now(copy: Copy, attempt: Attempt, now: datetime, limits: WatcherLimits) -> bool:
    first = copy.first_try_at_utc
    if first is None:
        first, copy.tries = attempt.started_at_utc, 0
    copy.first_try_at_utc = first
    copy.tries += 1
    copy.not_before_utc = None
    in_time = now - first <= timedelta(seconds=limits.now_within_s)
    return copy.tries < limits.now_tries and in_time


def _later(
    copy: Copy, attempt: Attempt, now: datetime, limits: WatcherLimits, at_least_s: float
) -> None:
    if attempt.opens:
        copy.first_try_at_utc = None  # what is then tried at once is a series of its own
        steps = limits.later_open_s
        wait_s = steps[min(copy.tries, len(steps) - 1)]
    else:
        copy.first_try_at_utc = copy.first_try_at_utc or attempt.started_at_utc
        wait_s = min(
            limits.later_close_first_s * 2 ** min(copy.tries, 16), limits.later_close_cap_s
        )
    copy.tries += 1
    copy.not_before_for = attempt.kind
    copy.not_before_utc = now + timedelta(seconds=max(wait_s, at_least_s * limits.code_wait_share))


def _has_stops(attempt: Attempt) -> bool:
    request = attempt.request
    return isinstance(request, OpenRequest) and not (
        request.stop_loss is None and request.take_profit is None
    )
