"""What to do next for a copy, from what is wanted and what stands: every rule of it in one place.

Pure. Asked again after every input, it needs no memory of its own: a burst of changes ends in one
step, a restart continues where the ledger stands, and closes come before everything else.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from copypro.codes import Denial, denied
from copypro.messages import OpenCopy
from copypro.protection import CODE as EQUITY_PROTECTION
from copypro.trading import CloseRequest, DeleteRequest, ModifyRequest, Quote
from copypro.values import Lots, Mode
from msgspec.structs import replace

from copypro_account_watcher.planned import pendings
from copypro_account_watcher.planned.before import awaits_history, copied_before
from copypro_account_watcher.planned.levels import Levels, modified_levels, wants_stop
from copypro_account_watcher.planned.live import Live, NeedSpec
from copypro_account_watcher.planned.opening import Opening, plan_open
from copypro_account_watcher.planned.step import (
    Asks,
    Denies,
    Queues,
    Rests,
    Sends,
    Step,
    Waits,
    ask_for_terms,
    ask_or_wait,
    backing_off,
)
from copypro_account_watcher.planned.targets import target_lots, to_close
from copypro_account_watcher.state import Copy, Leg, LegStatus

CLOSE_SLIPPAGE_POINTS = 10_000
"""A refused exit costs more than a bad one."""
LACKS_STOP = ("NO_STOP", "REVERSE_NO_STOP")
"""What the master may set a moment after its open."""


def next_step(copy: Copy, live: Live) -> Step:
    """One attempt at a time within a copy: while one is under way, everything else waits."""
    if not live.connected:  # nobody could set a stop, whatever else is waited for
        for leg in copy.legs:
            leg.naked_since_utc = None
    step = _next_step(copy, live)
    if isinstance(step, Rests):
        return _until_nothing_can_come(copy, live)
    if isinstance(step, Waits) and not copy.closing:
        return Waits(min(step.until, _naked_until(copy, live) or step.until))
    return step


def _next_step(copy: Copy, live: Live) -> Step:
    if copy.attempt is not None:
        return Rests()
    if copy.closing and not copy.detached:
        return _close_everything(copy, live)
    if copy.detached:
        unsent = _deny_waiting(copy, "DETACHED", reason=copy.detached)
        return unsent or _reduce(copy, live) or Rests()
    step = (
        _without_the_first(copy)
        or (_deny_waiting(copy, "COPIER_STOPPED") if copy.stopped else None)
        or _waiting_too_long(copy, live)
        or (_not_the_masters(copy, live) if copy.pending_gone else None)
        or _naked(copy, live)
        or _reduce(copy, live)
        or _open(copy, live)
        or pendings.next_pending_step(copy, live)
    )
    if step is None:
        return _modify(copy, live) or Rests()
    if isinstance(step, Sends | Denies | Asks):
        return step
    # What waits holds back no stop of what stands.
    levels = _modify(copy, live)
    if isinstance(levels, Waits) and isinstance(step, Waits | Queues):
        return replace(step, until=min(step.until, levels.until))
    return levels if isinstance(levels, Sends | Asks) else step


def _until_nothing_can_come(copy: Copy, live: Live) -> Step:
    """What was given up may still fill for some time, and so may the rest of what was filled in part."""
    lost = [leg for leg in copy.legs if leg.lost is not None]
    limit = timedelta(seconds=live.limits.late_fill_s)
    for leg in lost:
        if leg.lost is not None and live.now >= leg.lost.started_at_utc + limit:
            leg.status, leg.lost = LegStatus.ENDED, None
    left = [leg.lost.started_at_utc + limit for leg in lost if leg.lost is not None]
    if copy.closing_since_utc is not None and any(leg.due_lots > 0 for leg in copy.legs):
        further_until = copy.closing_since_utc + timedelta(seconds=live.limits.absence_wait_mt5_s)
        left += [further_until] if live.now < further_until else []
    return Waits(min(left)) if left else Rests()


# --- less: closes, never blocked ---------------------------------------------------------------


def _close_everything(copy: Copy, live: Live) -> Step:
    code = copy.closing if copy.closing == EQUITY_PROTECTION else "MASTER_FLAT"
    unsent = _deny_waiting(copy, code, reason=copy.closing, **copy.closing_numbers)
    if unsent is not None:
        return unsent
    standing = copy.live_legs
    if not standing or not live.connected:
        return Rests()
    if (pause := backing_off(copy, live)) is not None:
        return pause
    known = [leg for leg in standing if not leg.moved]
    if not known:
        return Rests()  # the next look shows the rest's ticket
    leg = known[copy.tries % len(known)]  # one that is refused keeps no other one open
    assert leg.ticket is not None
    if leg.status is LegStatus.PLACED:
        return Sends(
            kind="delete",
            leg=leg.number,
            request=DeleteRequest(ticket=leg.ticket),
            numbers={"why": copy.closing, **copy.closing_numbers},
        )
    return _close(copy, leg, Decimal(0), live)


def _close(copy: Copy, leg: Leg, target: Lots, live: Live) -> Step:
    """All of a leg (target 0) by its ticket, or so much that the target is left."""
    if not live.connected:
        return Rests()
    if (pause := backing_off(copy, live)) is not None:
        return pause
    assert leg.ticket is not None
    position, held = live.positions.get(leg.ticket), _held(copy, leg, live)
    if target == 0 and live.mode is Mode.NETTING and live.is_by_frame:
        held = leg.lots  # it may be of before it grew: what that leaves is closed next
    elif held > 0:
        leg.lots = held  # what is told of it later is counted already
    lots: Lots | None = held - target if target else leg.lots
    if target == 0 and live.mode is Mode.HEDGING:
        lots = None
    elif position is not None and lots is not None:
        # Never more than the ledger says is ours, never more than there is (no flip on netting), whose
        # owner may have added to it since.
        lots = min(lots, position.lots)
    quote = live.quote(copy.symbol)
    request = CloseRequest(
        ticket=leg.ticket,
        symbol=copy.symbol,
        lots=lots,
        price=quote.to_close(copy.side) if quote is not None else None,
        slippage_points=CLOSE_SLIPPAGE_POINTS,
    )
    numbers = {
        "original_lots": str(leg.original_lots),
        "open_lots": str(leg.lots),
        "fraction": str(Decimal(0) if copy.closing else copy.left_of(leg)),
        "target_lots": str(target),
        "why": copy.closing or "master reduced",
        **copy.closing_numbers,
    }
    return Sends(
        kind="close",
        leg=leg.number,
        request=request,
        numbers=numbers,
        quote=quote,
        expected_lots=target,
        held_lots=held,
    )


def _reduce(copy: Copy, live: Live) -> Step | None:
    """Every leg down to its original × what is left of it, rounded down: cumulative, so no dust; and
    all of a position too many.
    """
    due = [(leg, Decimal(0)) for leg in copy.legs if leg.is_extra and leg.is_live]
    is_told_soon = False
    for leg in _standing(copy):
        left = copy.left_of(leg)
        if left == 1 or leg.moved:
            continue
        spec = live.any_spec(copy.symbol)
        if spec is None:
            if _held(copy, leg, live) <= leg.original_lots * left:
                continue  # whatever the step is
            far = live.now + timedelta(seconds=live.limits.later_close_cap_s)
            lacking = None
            if live.connected:
                lacking = ask_or_wait(copy, (NeedSpec(copy.symbol),), live, far)
                copy.reduction_late_since_utc = copy.reduction_late_since_utc or live.now
            if not due or isinstance(lacking, Asks):
                return lacking
            continue
        has_stop = leg.set_stop_loss is not None
        target = target_lots(leg.original_lots, left, spec, has_stop, copy.options.small_rest)
        held = _held(copy, leg, live)
        piece = to_close(held, target, spec)
        if piece > 0:
            due.append((leg, held - piece))
        elif to_close(leg.lots, target, spec) > 0:  # the list and the ledger agree in a moment
            is_told_soon = True
    if due:
        leg, target = due[copy.tries % len(due)]  # one that is refused keeps no other one whole
        return _close(copy, leg, target, live)
    if is_told_soon:
        return Waits(live.now + timedelta(seconds=live.limits.later_close_first_s))
    copy.reduction_late_since_utc = None
    return None


def _standing(copy: Copy) -> list[Leg]:
    """The copy's own legs that are open: of a position too many nothing is wanted but its close."""
    return [leg for leg in copy.legs if leg.status is LegStatus.OPEN and not leg.is_extra]


def _held(copy: Copy, leg: Leg, live: Live) -> Lots:
    """What a leg may still close: the ledger's lots, or fewer if the latest list shows fewer. An
    earlier part may be closed already and not told yet, since its deal is waited for. On netting a
    list of before our last open shows fewer as well.
    """
    position = live.positions.get(leg.ticket) if leg.ticket is not None else None
    is_outdated = live.mode is Mode.NETTING and leg.ticket in live.just_changed
    if position is None or is_outdated:
        return leg.lots
    others = (other.lots for other in _shares(copy, leg))
    return min(leg.lots, position.lots - sum(others, Decimal(0)))


def _shares(copy: Copy, leg: Leg) -> list[Leg]:
    """The other legs of its position: the latest list may not show them yet."""
    return [
        other
        for other in copy.legs
        if other is not leg and other.status is LegStatus.OPEN and other.ticket == leg.ticket
    ]


def _not_the_masters(copy: Copy, live: Live) -> Step | None:
    """A mirrored order filled and the master's was removed: a position that the master does not have."""
    if copy.pending is None or not _standing(copy):
        return None
    copy.close("MASTER_PENDING_REMOVED", live.now)
    return _close_everything(copy, live)


def _naked(copy: Copy, live: Live) -> Step | None:
    """The master has a stop, ours could not be set in time: the leg is closed. Time counts while there
    is a session to set it in.
    """
    for leg in copy.legs:
        is_naked = leg.set_stop_loss is None and wants_stop(copy) and live.connected
        if leg.is_extra or leg.status is not LegStatus.OPEN or not is_naked:
            leg.naked_since_utc = None
            continue
        leg.naked_since_utc = leg.naked_since_utc or live.now
        if leg.levels_refused or live.now >= leg.naked_since_utc + _may_be_naked(live):
            copy.close("STOP_NOT_SET", live.now)
            return _close_everything(copy, live)
    return None


def _naked_until(copy: Copy, live: Live) -> datetime | None:
    """When the first leg without a stop has been so for too long, if that is still to come."""
    naked = [leg.naked_since_utc for leg in copy.legs if leg.naked_since_utc is not None]
    ends = [since + _may_be_naked(live) for since in naked]
    return min((end for end in ends if end > live.now), default=None)


def _may_be_naked(live: Live) -> timedelta:
    return timedelta(seconds=live.limits.stops_within_s)


# --- more: opens, which expire ------------------------------------------------------------------


def _open(copy: Copy, live: Live) -> Step | None:
    for leg in copy.legs:
        if leg.status is not LegStatus.WAITING or leg.order is None:
            continue
        if copy.pending_filled_at_utc is not None and leg.ticket is not None:
            continue
        return _open_leg(copy, leg, leg.order, live)
    return None


def _open_leg(copy: Copy, leg: Leg, order: OpenCopy, live: Live) -> Step:
    """One that is not too late, in the order of what is cheapest to know: permission, symbol, price,
    size, margin.
    """
    expires_at = _expires_at(order)
    assert expires_at is not None
    if (refused := live.refuses(copy.copier, order.registration)) is not None:
        return Denies(leg.number, refused)
    start_at = order.seen_at_utc + timedelta(milliseconds=order.options.trade_delay_ms)
    if live.now < start_at:
        return Waits(min(start_at, expires_at))
    if not live.connected:
        return Waits(expires_at)
    if (pause := backing_off(copy, live)) is not None:
        return Waits(min(pause.until, expires_at))
    before = copied_before(leg, order.fresh_from_utc, expires_at, live)
    if before is not None:
        return before
    if any(_is_ended_untold(each, live) for each in copy.legs):
        # Perhaps its owner closed it, which the next look is about to tell.
        return Waits(min(live.now + timedelta(seconds=live.limits.later_close_first_s), expires_at))
    if live.is_opening_another(copy.copy):
        return Queues(expires_at)
    if any(other.status is LegStatus.OPEN and live.misses(other.ticket) for other in copy.legs):
        # Its owner may have closed it, after which nothing is added: that is looked for.
        again_at = live.now + timedelta(seconds=live.limits.missing_every_s)
        return Waits(min(again_at, expires_at))
    plan = plan_open(copy, leg, order, live)
    match plan:
        case Denial() if plan.numbers.get("copy") in live.leaving:
            # A reversal on netting: what is closed for it is still there.
            return Waits(min(live.now + timedelta(seconds=live.limits.room_poll_s), expires_at))
        case Denial() if plan.code in LACKS_STOP and live.now < (stop_by := _stop_by(order, live)):
            return Waits(min(stop_by, expires_at))
        case Denial():
            return Denies(leg.number, plan)
        case Opening():
            return Sends(
                kind="open",
                leg=leg.number,
                request=plan.request,
                numbers=plan.numbers,
                quote=plan.quote,
            )
    return ask_or_wait(copy, plan, live, expires_at)


def _stop_by(order: OpenCopy, live: Live) -> datetime:
    return order.seen_at_utc + timedelta(seconds=live.limits.stop_wait_s)


def _is_ended_untold(leg: Leg, live: Live) -> bool:
    is_gone = leg.ticket in live.found_ended and leg.ticket not in live.positions
    return leg.status is LegStatus.OPEN and is_gone


def expired(order: OpenCopy, live: Live) -> Denial:
    since = order.fresh_from_utc
    age = "unknown" if since is None else f"{(live.now - since).total_seconds():.3f}"
    is_unread = since is not None and live.connected and awaits_history(since, live)
    waited = {"waited_for": "history"} if is_unread else {}
    return denied("EXPIRED", age_s=age, max_age_s=order.options.max_age_s, **waited)


def _expires_at(order: OpenCopy) -> datetime | None:
    if order.fresh_from_utc is None:
        return None
    return order.fresh_from_utc + timedelta(seconds=order.options.max_age_s)


def _without_the_first(copy: Copy) -> Step | None:
    """A root whose first leg was denied is not joined by a later one that came while it waited."""
    if copy.denied is None:
        return None
    waiting = (leg for leg in copy.legs if leg.status is LegStatus.WAITING)
    leg = next(waiting, None)
    return None if leg is None else Denies(leg.number, Denial(*copy.denied))


def _waiting_too_long(copy: Copy, live: Live) -> Step | None:
    """An open that is late is denied, even behind something else that takes its time."""
    for leg in copy.legs:
        if leg.status is LegStatus.WAITING and leg.order is not None:
            expires_at = _expires_at(leg.order)
            if expires_at is None or live.now >= expires_at:
                return Denies(leg.number, expired(leg.order, live))
    return None


# --- levels --------------------------------------------------------------------------------------


def _modify(copy: Copy, live: Live) -> Step | None:
    """The latest levels only; ones that the broker refused for good are not tried again. A back-off is
    theirs only where they were tried.
    """
    wanted = (copy.stop_loss, copy.take_profit)
    if copy.settled_levels == wanted or not live.connected:
        return None
    due: list[tuple[Leg, Levels, Quote]] = []
    standing = _standing(copy)
    for leg in standing:
        if leg.levels_refused:
            continue
        if leg.moved or leg.ticket is None:
            return None  # the next look shows the rest's ticket
        spec, quote = live.any_spec(copy.symbol), live.quote(copy.symbol)
        if spec is None or quote is None:
            return ask_for_terms(copy, leg, live)
        levels = modified_levels(copy, leg, spec, quote)
        is_set = (levels.stop_loss, levels.take_profit) == (leg.set_stop_loss, leg.set_take_profit)
        is_asked = leg.levels_asked_at_utc is not None
        if is_set and not (is_asked and _is_changed_by_hand(leg, live)):
            continue
        due.append((leg, levels, quote))
    if due:
        if copy.not_before_for == "modify" and (pause := backing_off(copy, live)) is not None:
            return pause
        # One that is refused keeps no other one from its stop.
        leg, levels, quote = due[copy.tries % len(due)]
        assert leg.ticket is not None
        request = ModifyRequest(
            ticket=leg.ticket, stop_loss=levels.stop_loss, take_profit=levels.take_profit
        )
        return Sends(
            kind="modify", leg=leg.number, request=request, numbers=levels.numbers, quote=quote
        )
    if standing:
        if not copy.levels_refused:
            copy.levels_late_since_utc = None
        kept = [leg for leg in standing if not leg.levels_refused]
        asked = [leg.levels_asked_at_utc for leg in kept if leg.levels_asked_at_utc is not None]
        if asked and not live.is_listed_since(max(asked)):
            # What its owner made of them just before, the next list shows.
            return Waits(live.now + timedelta(seconds=live.limits.snapshot_every_s))
        copy.settled_levels = wanted
        for leg in copy.legs:
            leg.levels_asked_at_utc = None
    return None


def _is_changed_by_hand(leg: Leg, live: Live) -> bool:
    """Its owner set other stops, or took them away: until the master changes its own, that stands."""
    listed = None if leg.ticket is None else live.positions.get(leg.ticket)
    if listed is None:
        return False
    return (listed.stop_loss, listed.take_profit) != (leg.set_stop_loss, leg.set_take_profit)


# --- common --------------------------------------------------------------------------------------


def _deny_waiting(copy: Copy, code: str, **numbers: object) -> Denies | None:
    for leg in copy.legs:
        if leg.status is LegStatus.WAITING:
            return Denies(leg.number, denied(code, **numbers))
    return None
