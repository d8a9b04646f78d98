"""What a master did, into what one of its slaves is asked to do. Pure: nothing given is changed.

A root is decided on once per pair of accounts, when its position opens. What was planned holds
until the root is flat, whatever becomes of the copier: later legs, levels, reductions and the
close only follow it. Nothing here knows a slave's balance, symbol or price; that is its agent's part.

A pending order is decided on when it is placed, as an order to mirror. If it was not mirrored,
nothing was sent, and its fill is a new position like any other, decided on by the rules of then.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from copypro import messages as m
from copypro.codes import Denial, denied
from copypro.messages import Context, Market, Seen
from copypro.options import MagicMode, PendingMode
from copypro.values import AccountId, CopyId, Price, copy_id
from msgspec import Struct

from copypro_replicator.refusals import is_a_copy, is_existing, not_joined, refuses_now
from copypro_replicator.state import Decision, LiveCopier, RootRecord

WHOLE = Decimal(1)
LOOK_AGE_S = 5.0
"""The quote of a look that is older than this is not what the market is now."""


class Planned(Struct, frozen=True, gc=False):
    """One outcome: what the pair's decision now is (None: as before), what is recorded, what is asked."""

    decision: Decision | None
    event: m.CopyPlanned | m.CopySkipped
    order: m.SlaveOrder | None = None


# --- a position opened: decided once ------------------------------------------------------------


def decide_opened(
    root: RootRecord, copier: LiveCopier, context: Context | None, market: Market | None = None
) -> Planned | None:
    """Plan a copy of an open position, or say why not. None: nothing to decide now, because this
    copier has decided already, or waits to be resumed before it joins what is there.

    `context` is the event's, perhaps encoded already; `market` is what came with the command that
    made the copier join.
    """
    event = root.opened
    assert event is not None
    former = root.pairs.get(copier.slave)
    if former is not None and not former.skipped:
        if former.pending and former.copier == copier.id and not former.ended:
            return _fill_of_mirrored(root, copier, context)
        return _skip_decided(root, copier, former, pending=False)
    if former is not None and not former.pending and former.copier == copier.id:
        return None
    a_copy = is_a_copy(event)
    if a_copy is not None:
        return skip(root, copier, a_copy)
    options = copier.state.options
    if event.from_pending and options.pending_mode is PendingMode.IGNORE:
        return skip(root, copier, denied("PENDING_IGNORED"))
    joined = is_existing(root, copier)
    if joined and not options.copy_existing_trades:
        return skip(root, copier, not_joined(root, copier))
    if joined and copier.record.joined_at_utc is None:
        return None
    denial = refuses_now(event, event.side, copier)
    if denial is not None:
        return skip(root, copier, denial)
    assert context is not None
    if not joined:
        return plan_open(root, copier, context)
    price = market_price(event, copier, market or {})
    if price is None:
        return skip(root, copier, denied("NO_MARKET_PRICE", symbol=event.symbol))
    return plan_open(root, copier, context, joined_at=price)


def plan_open(
    root: RootRecord,
    copier: LiveCopier,
    context: Context,
    *,
    joined_at: Price | None = None,
    mirrored: bool = False,
) -> Planned:
    """Leg 0, of what is open now. `joined_at`: it was there before the copier took effect, so its age
    counts from then, and its slippage from this price. `mirrored`: the slave may have filled the whole order by itself, so the leg
    is the whole, and reductions count from it.
    """
    event, record = root.opened, copier.record
    assert event is not None
    state = record.state
    copy = copy_id(state.master, copier.slave, root.root)
    seen_at = event.seen_at_utc
    fresh_from = seen_at if event.seen is Seen.LIVE else event.opened_at_utc
    decision = Decision(copier=copier.id, copy=copy)
    if joined_at is not None and record.joined_at_utc is not None:
        fresh_from = seen_at = record.joined_at_utc
    if not mirrored:
        decision.base = root.fraction
    order = m.OpenCopy(
        copy=copy,
        copier=copier.id,
        master=state.master,
        slave=copier.slave,
        root=root.root,
        leg=0,
        symbol=event.symbol,
        side=event.side,
        lots=root.ever_lots if mirrored else root.open_lots,
        fraction=WHOLE,
        master_price=event.open_price,
        stop_loss=root.stop_loss,
        take_profit=root.take_profit,
        context=context,
        options=copier.options_json,
        same_server=state.same_server,
        fresh_from_utc=fresh_from,
        seen_at_utc=seen_at,
        magic=_magic(copier, event.magic),
        mapping=copier.mappings.get(event.symbol),
        registration=state.slave_registration,
        from_pending=event.from_pending,
        joined=joined_at is not None,
        market_price=joined_at,
    )
    return Planned(decision, _planned(root, copier, copy), order)


def market_price(event: m.PositionOpened, copier: LiveCopier, market: Market) -> Price | None:
    """What a joined trade's symbol costs when it is joined: as told with the command, else by the
    look that found the trade, if that is of now.
    """
    told, joined_at = market.get(event.symbol), copier.record.joined_at_utc
    if told is not None or joined_at is None:
        return told
    quote = event.context.quote if event.context is not None else None
    is_of_now = joined_at - event.seen_at_utc <= timedelta(seconds=LOOK_AGE_S)
    return quote.mid if quote is not None and is_of_now else None


def decide_missed(root: RootRecord, copier: LiveCopier, context: Context | None) -> Planned | None:
    """It was opened and closed between two looks: there is nothing to copy."""
    planned = decide_opened(root, copier, context)
    if planned is None or planned.order is None:
        return planned
    return skip(root, copier, denied("MISSED", seen=Seen.MISSED.value, closed=True))


def _fill_of_mirrored(
    root: RootRecord, copier: LiveCopier, context: Context | None
) -> Planned | None:
    """The copy was decided on when the order was placed: pauses and filters come too late for it."""
    if context is None:
        known = root.pairs[copier.slave]
        event = _skipped(root, copier, known.copy, denied("MISSED", context="none"))
        return Planned(_settled(known), event)
    return plan_open(root, copier, context, mirrored=True)


def _settled(known: Decision) -> Decision:
    return Decision(copier=known.copier, copy=known.copy)


def _skip_decided(
    root: RootRecord, copier: LiveCopier, former: Decision, *, pending: bool
) -> Planned | None:
    """The pair has copied this root under a copier that is gone; for this one it is over."""
    if former.copier == copier.id and not former.ended:
        return None
    denial = denied("ALREADY_COPIED", by_copier=former.copier)
    return Planned(None, _skipped(root, copier, former.copy, denial, pending=pending))


def is_open_question(root: RootRecord, copier: LiveCopier) -> bool:
    """This copier has not decided on the root: it waits to be resumed, or for the rest of a look."""
    known = root.pairs.get(copier.slave)
    if known is None or (known.skipped and known.copier != copier.id):
        return True
    return bool(known.skipped) and known.pending and root.opened is not None


# --- what follows the decision --------------------------------------------------------------------


def decide_increased(
    root: RootRecord, event: m.PositionIncreased, copier: LiveCopier, context: Context | None
) -> Planned | None:
    """A further leg: copied or skipped as the first one was. No pause or lost context adds one."""
    known = root.pairs.get(copier.slave)
    if known is None:
        return None  # the copier joins this root when it is first resumed, and then what is open
    denial = _refuses_leg(known, event, copier)
    if denial is not None:
        return Planned(None, _skipped(root, copier, known.copy, denial, event))
    assert context is not None
    state = copier.state
    order = m.OpenCopy(
        copy=known.copy,
        copier=copier.id,
        master=root.account,
        slave=copier.slave,
        root=root.root,
        leg=event.leg,
        symbol=event.symbol,
        side=event.side,
        lots=event.lots,
        fraction=fraction_of(root, known),
        master_price=event.deal.price,
        stop_loss=root.stop_loss,
        take_profit=root.take_profit,
        context=context,
        options=copier.options_json,
        same_server=state.same_server,
        fresh_from_utc=event.seen_at_utc if event.seen is Seen.LIVE else None,
        seen_at_utc=event.seen_at_utc,
        magic=_magic(copier, root.opened.magic if root.opened is not None else 0),
        mapping=copier.mappings.get(event.symbol),
        registration=state.slave_registration,
    )
    return Planned(None, _planned(root, copier, known.copy, event), order)


def _refuses_leg(known: Decision, event: m.PositionIncreased, copier: LiveCopier) -> Denial | None:
    if known.skipped:
        return denied(known.skipped, **known.numbers)
    if known.copier != copier.id or known.ended:
        return denied("ALREADY_COPIED", by_copier=known.copier)
    if event.copy is not None:
        return denied("IS_A_COPY", copy=event.copy)
    if copier.state.paused:
        return denied("PAUSED", reason=copier.state.pause_reason or "ByUser")
    if event.context is None:
        return denied("MISSED", seen=event.seen.value, context="none")
    return None


def stopped_leg(
    root: RootRecord, slave: AccountId, known: Decision, event: m.PositionIncreased
) -> m.CopySkipped:
    """A stopped copier follows what it opened, and adds nothing to it."""
    denial = denied("COPIER_STOPPED")
    return m.CopySkipped(
        copy=known.copy,
        copier=known.copier,
        master=root.account,
        slave=slave,
        root=root.root,
        leg=event.leg,
        **_trade(root, event),
        code=denial.code,
        numbers=dict(denial.numbers),
        remedy=denial.remedy,
    )


def fraction_of(root: RootRecord, decision: Decision) -> Decimal:
    """What the master has left of what the copy's first leg stands for."""
    return min(WHOLE, root.fraction / decision.base)


# --- pending orders -------------------------------------------------------------------------------


def decide_placed(root: RootRecord, copier: LiveCopier, context: Context | None) -> Planned | None:
    """Mirrored, copied when it fills, or ignored: recorded either way. None: as for a position."""
    event = root.placed
    assert event is not None
    former = root.pairs.get(copier.slave)
    if former is not None and not former.skipped:
        return _skip_decided(root, copier, former, pending=True)
    if former is not None and former.copier == copier.id:
        return None
    a_copy = is_a_copy(event)
    if a_copy is not None:
        return skip(root, copier, a_copy, pending=True)
    options = copier.state.options
    if options.pending_mode is PendingMode.IGNORE:
        return skip(root, copier, denied("PENDING_IGNORED"), pending=True)
    if options.pending_mode is PendingMode.MARKET_ON_FILL:
        return skip(root, copier, denied("PENDING_ON_FILL"), pending=True)
    existing = is_existing(root, copier)
    if existing and not options.copy_existing_trades:
        return skip(root, copier, not_joined(root, copier), pending=True)
    if existing and copier.record.joined_at_utc is None:
        return None
    denial = refuses_now(event, event.kind.side, copier)
    if denial is not None:
        return skip(root, copier, denial, pending=True)
    assert context is not None
    return _plan_pending(root, event, copier, context)


def _plan_pending(
    root: RootRecord, event: m.PendingPlaced, copier: LiveCopier, context: Context
) -> Planned:
    state = copier.state
    copy = copy_id(state.master, copier.slave, root.root)
    order = m.PlacePendingCopy(
        copy=copy,
        copier=copier.id,
        master=state.master,
        slave=copier.slave,
        root=root.root,
        symbol=event.symbol,
        kind=event.kind,
        lots=event.lots,
        price=event.price,
        stop_limit_price=event.stop_limit_price,
        stop_loss=event.stop_loss,
        take_profit=event.take_profit,
        expires_at_utc=event.expires_at_utc,
        context=context,
        options=copier.options_json,
        same_server=state.same_server,
        seen_at_utc=event.seen_at_utc,
        magic=_magic(copier, event.magic),
        mapping=copier.mappings.get(event.symbol),
        registration=state.slave_registration,
    )
    decision = Decision(copier=copier.id, copy=copy, pending=True)
    return Planned(decision, _planned(root, copier, copy, pending=True), order)


# --- the parts --------------------------------------------------------------------------------------


def skip(root: RootRecord, copier: LiveCopier, denial: Denial, *, pending: bool = False) -> Planned:
    """The first leg is not copied, and so none is."""
    copy = copy_id(root.account, copier.slave, root.root)
    decision = Decision(
        copier=copier.id,
        copy=copy,
        skipped=denial.code,
        numbers=dict(denial.numbers),
        pending=pending,
    )
    return Planned(decision, _skipped(root, copier, copy, denial, pending=pending))


def _trade(root: RootRecord, event: m.PositionIncreased | None = None) -> dict[str, Any]:
    """The master's trade (of a further leg: that addition), as the decision's record shows it."""
    opened = event or root.opened
    if opened is not None:
        return {
            "symbol": opened.symbol,
            "side": opened.side,
            "lots": opened.lots,
            "price": opened.deal.price,
            "seen_at_utc": opened.seen_at_utc,
        }
    placed = root.placed
    assert placed is not None
    return {
        "symbol": placed.symbol,
        "side": placed.kind.side,
        "lots": placed.lots,
        "price": placed.price,
        "seen_at_utc": placed.seen_at_utc,
    }


def _planned(
    root: RootRecord,
    copier: LiveCopier,
    copy: CopyId,
    event: m.PositionIncreased | None = None,
    *,
    pending: bool = False,
) -> m.CopyPlanned:
    return m.CopyPlanned(
        copy=copy,
        copier=copier.id,
        master=root.account,
        slave=copier.slave,
        root=root.root,
        leg=event.leg if event is not None else 0,
        **_trade(root, event),
        pending=pending,
    )


def _skipped(
    root: RootRecord,
    copier: LiveCopier,
    copy: CopyId,
    denial: Denial,
    event: m.PositionIncreased | None = None,
    *,
    pending: bool = False,
) -> m.CopySkipped:
    return m.CopySkipped(
        copy=copy,
        copier=copier.id,
        master=root.account,
        slave=copier.slave,
        root=root.root,
        leg=event.leg if event is not None else 0,
        **_trade(root, event),
        code=denial.code,
        numbers=dict(denial.numbers),
        remedy=denial.remedy,
        pending=pending,
    )


def _magic(copier: LiveCopier, masters: int) -> int:
    """The pair's own, by which an order without its tag is still found; the master's where the
    copier carries it over and MT4 can hold it.
    """
    is_carried = copier.state.options.copy_magic_number is MagicMode.YES
    return masters if is_carried and 0 < masters < 2**31 else copier.magic
