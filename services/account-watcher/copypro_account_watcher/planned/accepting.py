"""Slave orders into copies: what is wanted, never what is done about it.

Pure. An order is accepted at once, whatever the broker is doing; `steps` then finds the way from
what stands to what is wanted, so a burst of modifies is one modify, and a close overtakes all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_never

from copypro.codes import CODES
from copypro.messages import (
    CloseCopy,
    CopyDenied,
    CopyDetached,
    DetachCopy,
    ExecutionEvent,
    ModifyCopy,
    ModifyPendingCopy,
    OpenCopy,
    PlacePendingCopy,
    ReduceCopy,
    RemovePendingCopy,
    SlaveOrder,
)
from copypro.protection import CODE as EQUITY_PROTECTION
from copypro.values import Side, leg_tag
from msgspec.structs import replace

from copypro_account_watcher.state import Attempt, Copy, Leg, LegStatus, Origin

PENDING_LEG = 0
"""A mirrored pending order is the copy's first leg before it is a position."""
SENT = ("BROKER_REFUSED", "NOT_RESENT")
"""Why an order is not mirrored that was sent; nothing was where there is another reason."""


def accept(
    copy: Copy | None, order: SlaveOrder, origin: Origin, now: datetime, *, is_over: bool = False
) -> tuple[Copy | None, list[ExecutionEvent]]:
    """The copy as it is now wanted, and what is decided by that alone.

    An order for a copy that is not known (denied and forgotten long ago) changes nothing. `is_over`:
    the copy was here and has ended; whatever may ask for it again, it is never opened twice.
    """
    match order:
        case OpenCopy() if is_over:
            return None, [deny_unknown(order, "ALREADY_COPIED", {"by_copier": order.copier})]
        case PlacePendingCopy() if is_over:
            return None, []
        case OpenCopy():
            return _accept_open(copy, order, origin, now)
        case PlacePendingCopy():
            return _accept_pending(copy or _new_copy(order, origin), order, origin), []
    if copy is None:
        return None, []
    copy.origin = origin
    match order:
        case ModifyCopy():
            copy.stop_loss, copy.take_profit = order.stop_loss, order.take_profit
            for leg in copy.legs:
                leg.levels_asked_at_utc = now
            _fresh_start(copy)
        case ReduceCopy():
            copy.fraction = order.fraction
            _fresh_start(copy)
        case CloseCopy():
            copy.forget = copy.forget or order.forget
            if not copy.closing:
                copy.close(order.reason, now)
                _fresh_start(copy)
        case DetachCopy():
            return copy, detach(copy, order.reason, forget=True)
        case ModifyPendingCopy():
            if copy.pending is not None:
                copy.pending = replace(
                    copy.pending,
                    price=order.price,
                    stop_limit_price=order.stop_limit_price,
                    stop_loss=order.stop_loss,
                    take_profit=order.take_profit,
                    expires_at_utc=order.expires_at_utc,
                )
                copy.stop_loss, copy.take_profit = order.stop_loss, order.take_profit
                copy.leg(PENDING_LEG).levels_asked_at_utc = now
                _fresh_start(copy)
        case RemovePendingCopy():
            copy.stopped = copy.stopped or order.opens_nothing
            _accept_removal(copy, order, now)
        case _:
            assert_never(order)
    return copy, []


def detach(copy: Copy, reason: str, *, forget: bool) -> list[ExecutionEvent]:
    """Leave everything as it stands and manage it no more. What waits is denied by the next step; what
    is under way is left when it stands.
    """
    events: list[ExecutionEvent] = []
    for leg in copy.live_legs:
        if leg.is_extra:
            continue
        if leg.status is not LegStatus.WAITING:
            leg.status = LegStatus.LEFT
        elif copy.attempt is None or copy.attempt.leg != leg.number:
            continue
        events.append(CopyDetached(**about(copy, leg.number), ticket=leg.ticket, reason=reason))
    copy.detached, copy.forget = reason, copy.forget or forget
    return events


def about(copy: Copy, leg: int) -> dict[str, Any]:
    """The fields that every event of a copy carries."""
    return {
        "copy": copy.copy,
        "copier": copy.copier,
        "master": copy.master,
        "slave": copy.slave,
        "root": copy.root,
        "leg": leg,
    }


def about_call(copy: Copy, attempt: Attempt) -> dict[str, Any]:
    """Those of what is told of an attempt."""
    return about(copy, attempt.leg) | {"attempt": attempt.id}


def deny_unknown(order: OpenCopy, code: str, numbers: dict[str, str]) -> CopyDenied:
    """Of a copy that is none here."""
    return CopyDenied(
        copy=order.copy,
        copier=order.copier,
        master=order.master,
        slave=order.slave,
        root=order.root,
        leg=order.leg,
        code=code,
        numbers=numbers,
        remedy=CODES[code][1],
    )


def deny(copy: Copy, leg: Leg, code: str, numbers: dict[str, str]) -> CopyDenied:
    """Ends a leg that was never sent; a denied first leg denies the whole root. One that has nothing to
    open is a mirrored order.
    """
    is_pending = leg.order is None
    leg.status, leg.order = LegStatus.ENDED, None
    if leg.number == PENDING_LEG:
        copy.denied = (code, numbers)
    return CopyDenied(
        **about(copy, leg.number),
        code=code,
        numbers=numbers,
        remedy=CODES[code][1],
        pending=is_pending,
    )


def unplaced(copy: Copy) -> CopyDenied | None:
    """The master's order has filled, and ours could not be placed before: the market takes its place."""
    if copy.pending is None or copy.pending_filled_at_utc is None or copy.attempt is not None:
        return None
    leg = copy.leg(PENDING_LEG)
    if leg.status is not LegStatus.WAITING or leg.ticket is not None or leg.order is None:
        return None
    copy.pending, leg.offset = None, None
    code = "PENDING_FILLED"
    return CopyDenied(
        **about(copy, leg.number), code=code, numbers={}, remedy=CODES[code][1], pending=True
    )


def _accept_open(
    copy: Copy | None, order: OpenCopy, origin: Origin, now: datetime
) -> tuple[Copy, list[ExecutionEvent]]:
    if copy is None:
        copy = _new_copy(order, origin)
    known = next((leg for leg in copy.legs if leg.number == order.leg), None)
    if known is not None and order.from_pending and _is_unsent(copy, known):
        # As it was never sent: its fill is decided on anew.
        copy.options, copy.side, copy.magic = order.options, _side_of(order), order.magic
    order = _as_begun(copy, order)
    copy.origin = origin
    copy.stop_loss, copy.take_profit = order.stop_loss, order.take_profit
    if known is not None and order.from_pending:
        if (ended := _ended_unfilled(copy, known)) is not None:
            status, known.order = known.status, order  # which is what is denied
            denied = deny(copy, known, *ended)
            known.status = status  # a lost one may still show
            return copy, [denied]
        # The mirrored order may have filled already, or fill in a moment: it gets a short grace.
        if copy.denied is not None:
            known.status, known.offset = LegStatus.WAITING, None
            copy.denied = copy.pending = None
        if known.status in (LegStatus.WAITING, LegStatus.PLACED):
            known.order, known.origin = order, origin
        copy.pending_filled_at_utc, copy.pending_filled_lots = now, order.lots
        known.base = order.fraction
        _fresh_start(copy)
        return copy, []
    if known is not None:
        return copy, []
    leg = Leg(
        number=order.leg,
        tag=leg_tag(copy.copy, order.leg),
        order=order,
        origin=origin,
        base=order.fraction,
    )
    copy.legs.append(leg)
    if copy.denied is not None:
        return copy, [deny(copy, leg, *copy.denied)]
    if copy.detached:
        return copy, [deny(copy, leg, "DETACHED", {"reason": copy.detached})]
    if _is_further_fill(copy, order):
        mirrored, filled = copy.leg(PENDING_LEG), copy.pending_filled_lots
        copy.pending_filled_lots += order.lots
        # Of each part only what was closed after it had filled is gone: together as if all had at once.
        parts = filled / mirrored.base + order.lots / order.fraction
        mirrored.base = copy.pending_filled_lots / parts
        if mirrored.order is not None:  # what goes to the market in its place is all of it
            mirrored.order = replace(
                mirrored.order, lots=copy.pending_filled_lots, fraction=mirrored.base
            )
        return copy, [deny(copy, leg, "ALREADY_COPIED", {"by_leg": str(PENDING_LEG)})]
    return copy, []


def _is_unsent(copy: Copy, mirrored: Leg) -> bool:
    """The master's order was to be mirrored, and that was refused here or still waits."""
    if copy.denied is not None:
        return _ended_unfilled(copy, mirrored) is None
    is_waiting = mirrored.status is LegStatus.WAITING and mirrored.placed_by is None
    return is_waiting and copy.attempt is None


def _as_begun(copy: Copy, order: OpenCopy) -> OpenCopy:
    """The copier may have other options by now: what is open has its side, its stops and its magic by
    those of before, and what is added follows it.
    """
    begun = copy.options
    if order.options == begun:
        return order
    options = replace(
        order.options,
        reverse_copy=begun.reverse_copy,
        copy_sl=begun.copy_sl,
        copy_tp=begun.copy_tp,
        sl_mode=begun.sl_mode,
        fixed_sl_pips=begun.fixed_sl_pips,
        fixed_tp_pips=begun.fixed_tp_pips,
        sl_refinement_pips=begun.sl_refinement_pips,
        tp_refinement_pips=begun.tp_refinement_pips,
        copy_magic_number=begun.copy_magic_number,
        magic_number=begun.magic_number,
    )
    return replace(order, options=options, magic=copy.magic)


def _ended_unfilled(copy: Copy, mirrored: Leg) -> tuple[str, dict[str, str]] | None:
    """Why a mirrored order is gone, or given up, that never was a position: the master's fill is not
    copied for it. Of one that was never sent, the fill is a trade like any other.
    """
    is_over = mirrored.status in (LegStatus.ENDED, LegStatus.LOST)
    if not is_over or mirrored.original_lots > 0:
        return None
    if copy.denied is not None:
        is_of_placing = copy.pending is not None and copy.denied[0] not in SENT
        return None if is_of_placing else copy.denied
    if copy.closing:
        code = EQUITY_PROTECTION if copy.closing == EQUITY_PROTECTION else "MASTER_FLAT"
        return code, {"reason": copy.closing, **copy.closing_numbers}
    return ("DETACHED", {"reason": copy.detached}) if copy.detached else None


def _is_further_fill(copy: Copy, order: OpenCopy) -> bool:
    """Of the master's order that ours mirrors, which is for all of it."""
    pending, attempt = copy.pending, copy.attempt
    if pending is None or copy.pending_filled_lots + order.lots > pending.lots:
        return False
    if copy.pending_share < 1:  # its rest is gone: this is another order's
        return False
    if attempt is not None and attempt.kind == "place":
        return True
    mirrored = copy.leg(PENDING_LEG)
    is_filled = mirrored.status is LegStatus.OPEN and mirrored.placed_by is not None
    return is_filled or mirrored.status is LegStatus.PLACED


def _accept_removal(copy: Copy, order: RemovePendingCopy, now: datetime) -> None:
    """Of the master's order, or of what was left of it when it had filled in part. With the end of its
    copier, a fill that nobody saw is told as well: what ours has filled is followed.
    """
    if copy.pending is None or copy.pending_gone:
        return
    is_unfilled = copy.pending_filled_at_utc is None
    if is_unfilled and order.opens_nothing and copy.leg(PENDING_LEG).is_live:
        copy.pending_filled_at_utc, copy.pending_filled_lots = now, copy.pending.lots
    elif is_unfilled:
        copy.pending_gone = order.reason
    else:
        copy.pending_share = copy.pending_filled_lots / copy.pending.lots
    _fresh_start(copy)


def _accept_pending(copy: Copy, order: PlacePendingCopy, origin: Origin) -> Copy:
    copy.pending, copy.origin = order, origin
    copy.stop_loss, copy.take_profit = order.stop_loss, order.take_profit
    if not copy.legs:
        tag = leg_tag(copy.copy, PENDING_LEG)
        copy.legs.append(Leg(number=PENDING_LEG, tag=tag, origin=origin))
    return copy


def _new_copy(order: OpenCopy | PlacePendingCopy, origin: Origin) -> Copy:
    return Copy(
        copy=order.copy,
        copier=order.copier,
        registration=order.registration,
        master=order.master,
        slave=order.slave,
        root=order.root,
        master_symbol=order.symbol,
        side=_side_of(order),
        options=order.options,
        same_server=order.same_server,
        magic=order.magic,
        origin=origin,
    )


def _side_of(order: OpenCopy | PlacePendingCopy) -> Side:
    """The slave's."""
    side = order.side if isinstance(order, OpenCopy) else order.kind.side
    return side.opposite if order.options.reverse_copy else side


def _fresh_start(copy: Copy) -> None:
    """What is wanted changed."""
    copy.begin_step()
    copy.settled_levels, copy.refusal = None, None
    for leg in copy.legs:
        leg.levels_refused = False
