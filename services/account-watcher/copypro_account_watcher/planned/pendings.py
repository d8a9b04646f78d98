"""Mirrored pending orders: placed, kept like the master's, removed, or replaced by the market.

Pure. Never both: when the master's order filled and ours lags, ours is deleted and the deletion
confirmed before anything goes to the market. A list of after the grace must still show it: MT5's
bridge deletes by closing, and would close the position that an unseen fill has made of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from copypro.codes import Denial, denied
from copypro.messages import PlacePendingCopy
from copypro.trading import DeleteRequest, ModifyRequest, OpenRequest

from copypro_account_watcher.planned import levels as stops
from copypro_account_watcher.planned import sizing
from copypro_account_watcher.planned.before import copied_before
from copypro_account_watcher.planned.live import Live, NeedList
from copypro_account_watcher.planned.opening import Market, check_margin, find_market, magic_of
from copypro_account_watcher.planned.step import (
    Denies,
    Queues,
    Sends,
    Step,
    Waits,
    ask_for_terms,
    ask_or_wait,
    backing_off,
)
from copypro_account_watcher.state import Copy, Leg, LegStatus


def next_pending_step(copy: Copy, live: Live) -> Step | None:
    pending, leg = copy.pending, copy.legs[0] if copy.legs else None
    is_removed = live.account is not None and live.account.removed
    if pending is None or leg is None or not (live.connected or is_removed):
        return None
    if (pause := backing_off(copy, live)) is not None:
        return pause
    if leg.status is LegStatus.PLACED:
        assert leg.ticket is not None
        delete = Sends(kind="delete", leg=leg.number, request=DeleteRequest(ticket=leg.ticket))
        if copy.pending_gone:
            return delete
        if copy.pending_filled_at_utc is not None:
            grace = timedelta(seconds=live.limits.pending_grace_s)
            late_at = copy.pending_filled_at_utc + grace
            if live.now < late_at:
                return Waits(late_at)
            if not live.is_listed_since(late_at):
                return ask_or_wait(copy, (NeedList(),), live, live.now + grace)
            if leg.ticket not in live.positions:
                # How it ended, history is about to tell.
                return Waits(live.now + timedelta(seconds=live.limits.missing_every_s))
            return delete
        return _modify(copy, leg, pending, live)
    if leg.status is LegStatus.WAITING and leg.order is None:
        return _place(copy, leg, pending, live)
    return None


def _place(copy: Copy, leg: Leg, pending: PlacePendingCopy, live: Live) -> Step:
    if copy.pending_gone:
        return Denies(leg.number, denied("MASTER_FLAT", reason=copy.pending_gone))
    if (refused := live.refuses(copy.copier, pending.registration)) is not None:
        return Denies(leg.number, refused)
    start_at = pending.seen_at_utc + timedelta(milliseconds=pending.options.trade_delay_ms)
    if live.now < start_at:
        return Waits(start_at)
    wait_until = pending.seen_at_utc + timedelta(seconds=pending.options.max_age_s)
    before = copied_before(leg, None, wait_until, live)
    if before is not None:
        return before
    far = live.now + timedelta(seconds=live.limits.later_close_cap_s)
    if live.is_opening_another(copy.copy):
        return Queues(far)
    age_s = max(0.0, (live.now - pending.seen_at_utc).total_seconds())
    found = find_market(copy, pending, live)
    if isinstance(found, Denial):
        return Denies(leg.number, _of_two_moments(found, age_s) or found)
    if not isinstance(found, Market):
        return ask_or_wait(copy, found, live, far)
    placed = stops.pending_levels(
        pending,
        found.spec,
        found.quote,
        live.platform,
        leg.offset,  # that of the first try
        master_quote_age_s=age_s,
    )
    if isinstance(placed, Denial):
        return Denies(leg.number, placed)
    entry = placed.price if placed.stop_limit_price is None else placed.stop_limit_price
    sized = sizing.size(pending, found.slave, placed.wanted_stop_loss, entry)
    if isinstance(sized, Denial):
        return Denies(leg.number, sized)
    margin = check_margin(placed.kind, sized.lots, found, pending.options, live)
    if isinstance(margin, Denial):
        return Denies(leg.number, margin)
    if not isinstance(margin, dict):
        return ask_or_wait(copy, margin, live, far)
    copy.symbol, copy.mapping = found.symbol, pending.mapping
    leg.offset, leg.master_price = placed.offset, pending.price
    request = OpenRequest(
        symbol=found.symbol,
        kind=placed.kind,
        lots=sized.lots,
        comment=leg.tag,
        magic=magic_of(pending),
        price=placed.price,
        stop_loss=placed.stop_loss,
        take_profit=placed.take_profit,
        stop_limit_price=placed.stop_limit_price,
        expires_at_broker=_expiry(copy, pending, live),
    )
    leg.open_price = placed.price
    numbers = {
        "symbol": found.symbol,
        "symbol_by": found.how,
        **found.checks,
        **placed.numbers,
        **sized.numbers,
        **margin,
    }
    return Sends(kind="place", leg=leg.number, request=request, numbers=numbers, quote=found.quote)


def _of_two_moments(found: Denial, master_quote_age_s: float) -> Denial | None:
    """The prices alone disagree, and they are of two moments: that shows how the market moved, not that
    the symbols differ. Nor does it show that they are the same; the master's fill brings its price.
    """
    is_price = found.numbers.get("failed") == "check_price" and "price_off" in found.numbers
    if not is_price or master_quote_age_s <= stops.SAME_MOMENT_S:
        return None
    age = f"{master_quote_age_s:.1f}"
    return denied("PENDING_STALE", **found.numbers, master_quote_age_s=age)


def _modify(copy: Copy, leg: Leg, pending: PlacePendingCopy, live: Live) -> Step | None:
    wanted = (pending.stop_loss, pending.take_profit)
    if copy.settled_levels == wanted and leg.master_price == pending.price:
        return None
    spec, quote = live.any_spec(copy.symbol), live.quote(copy.symbol)
    if spec is None or quote is None:
        return ask_for_terms(copy, leg, live)
    placed = stops.pending_levels(
        pending,
        spec,
        quote,
        live.platform,
        offset=leg.offset,
        stop_distance=_stop_distance(leg),
    )
    if isinstance(placed, Denial) and placed.code == "PENDING_PRICE":
        # The market may go away again, and ours must not stay where the master's is no more.
        copy.levels_late_since_utc = copy.levels_late_since_utc or live.now
        return Waits(live.now + timedelta(seconds=live.limits.quote_age_s))
    if isinstance(placed, Denial):
        copy.settled_levels, leg.master_price = wanted, pending.price
        copy.levels_late_since_utc = None
        return None
    expires_at = _expiry(copy, pending, live)
    is_so_already = (
        placed.price,
        placed.stop_loss,
        placed.take_profit,
        placed.stop_limit_price,
        expires_at,
    ) == (
        leg.open_price,
        leg.set_stop_loss,
        leg.set_take_profit,
        leg.set_stop_limit_price,
        leg.set_expires_at_broker,
    )
    asked_at = leg.levels_asked_at_utc
    if is_so_already and (asked_at is None or not _is_changed_by_hand(leg, live)):
        if asked_at is not None and not live.is_listed_since(asked_at):
            # What its owner made of it just before, the next list shows.
            return Waits(live.now + timedelta(seconds=live.limits.snapshot_every_s))
        leg.levels_asked_at_utc = None
        copy.settled_levels, leg.master_price = wanted, pending.price
        copy.levels_late_since_utc = None
        return None
    assert leg.ticket is not None
    request = ModifyRequest(
        ticket=leg.ticket,
        stop_loss=placed.stop_loss,
        take_profit=placed.take_profit,
        price=placed.price,
        stop_limit_price=placed.stop_limit_price,
        expires_at_broker=expires_at,
    )
    return Sends(
        kind="modify", leg=leg.number, request=request, numbers=placed.numbers, quote=quote
    )


def _is_changed_by_hand(leg: Leg, live: Live) -> bool:
    """Its owner moved it or its stops: until the master changes its own order, that stands."""
    listed = None if leg.ticket is None else live.positions.get(leg.ticket)
    if listed is None or not listed.kind.is_pending:
        return False
    ours = (leg.open_price, leg.set_stop_loss, leg.set_take_profit)
    return (listed.open_price, listed.stop_loss, listed.take_profit) != ours


def _stop_distance(leg: Leg) -> Decimal | None:
    """Of our order as it was last right: a modify that was executed late set another trigger and stop."""
    if leg.overtaken_stop_loss is not None:
        return leg.overtaken_stop_loss - leg.master_price - (leg.offset or Decimal(0))
    return None if leg.set_stop_loss is None else leg.set_stop_loss - leg.open_price


def _expiry(copy: Copy, pending: PlacePendingCopy, live: Live) -> datetime | None:
    """The master's expiry on the slave's clock; with that clock unknown none is set, and the
    master's own expiry removes the copy.
    """
    offset = live.clock_offset_minutes
    is_wanted = pending.options.copy_expiry_time and not copy.no_expiry
    if not is_wanted or pending.expires_at_utc is None or offset is None:
        return None
    return (pending.expires_at_utc + timedelta(minutes=offset)).replace(tzinfo=None)
