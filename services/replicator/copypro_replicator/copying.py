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

from copypro import messages as m
from copypro.codes import Denial, denied
from copypro.messages import Market, Seen
from copypro.options import PendingMode
from copypro.values import AccountId, CopierId, CopyId, Price, copy_of
from msgspec import Struct
from msgspec.structs import replace

from copypro_replicator.refusals import is_a_copy, is_existing, not_joined, refuses_now
from copypro_replicator.state import Decision, LiveCopier, RootRecord
from copypro_replicator.trades import WHOLE, Trade, of_trade

LOOK_AGE_S = 5.0
"""The quote of a look that is older than this is not what the market is now."""


class Planned(Struct, frozen=True, gc=False):
    """One outcome: what the pair's decision now is (None: as before), what is recorded, what is asked."""

    decision: Decision | None
    event: m.CopyPlanned | m.CopySkipped
    order: m.SlaveOrder | None = None


# --- a position opened: decided once ------------------------------------------------------------


def decide_opened(
    root: RootRecord,
    copier: LiveCopier,
    trade: Trade[m.OpenCopy] | None,
    market: Market | None = None,
) -> Planned | None:
    """Plan a copy of an open position, or say why not. None: nothing to decide now, because this
    copier has decided already, or waits to be resumed before it joins what is there.

    `trade` is the root's, `market` what came with the command that made the copier join.
    """
    event = root.opened
    assert event is not None
    former = root.pairs.get(copier.slave)
    if former is not None and not former.skipped:
        if former.pending and former.copier == copier.id and not former.ended:
            return _fill_of_mirrored(root, copier, trade)
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
    assert trade is not None
    if not joined:
        return plan_open(root, copier, trade)
    price = market_price(event, copier, market or {})
    if price is None:
        return skip(root, copier, denied("NO_MARKET_PRICE", symbol=event.symbol))
    return plan_open(root, copier, trade, joined_at=price)


def plan_open(
    root: RootRecord,
    copier: LiveCopier,
    trade: Trade[m.OpenCopy],
    *,
    joined_at: Price | None = None,
    mirrored: bool = False,
) -> Planned:
    """Leg 0, of what is open now. `joined_at`: it was there before the copier took effect, so its age
    counts from then, and its slippage from this price. `mirrored`: the slave may have filled the whole order by itself, so the leg
    is the whole, and reductions count from it.
    """
    copy = copy_of(copier.pair, root.root)
    order = trade.order_for(copier, copy)
    base = trade.fraction
    joined_at_utc = copier.record.joined_at_utc
    if joined_at is not None and joined_at_utc is not None:
        order = replace(
            order,
            fresh_from_utc=joined_at_utc,
            seen_at_utc=joined_at_utc,
            joined=True,
            market_price=joined_at,
        )
    if mirrored:
        order, base = replace(order, lots=root.ever_lots), WHOLE
    decision = Decision(copier=copier.id, copy=copy, base=base)
    return Planned(decision, trade.event_for(copier, copy), order)


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


def decide_missed(
    root: RootRecord,
    copier: LiveCopier,
    trade: Trade[m.OpenCopy] | None,
    closed: m.PositionClosed,
) -> Planned | None:
    """It was opened and closed between two looks: there is nothing to copy."""
    planned = decide_opened(root, copier, trade)
    if planned is None or not _would_copy(planned):
        return planned
    assert root.opened is not None
    began, ended = root.opened.opened_at_broker, closed.deal.time_broker
    lasted_s = "unknown" if ended is None else (ended - began).total_seconds()
    denial = denied("MISSED", seen=Seen.MISSED.value, closed=True, lasted_s=lasted_s)
    return skip(root, copier, denial)


def _would_copy(planned: Planned) -> bool:
    """Or would, had the trade been seen: history has no account beside it."""
    if isinstance(planned.event, m.CopySkipped):
        return planned.event.code == "MISSED"
    return planned.order is not None


def _fill_of_mirrored(
    root: RootRecord, copier: LiveCopier, trade: Trade[m.OpenCopy] | None
) -> Planned | None:
    """The copy was decided on when the order was placed: pauses and filters come too late for it."""
    if trade is None:
        known = root.pairs[copier.slave]
        event = _skipped(
            root, copier.id, copier.slave, known.copy, denied("MISSED", context="none")
        )
        return Planned(Decision(copier=known.copier, copy=known.copy), event)
    return plan_open(root, copier, trade, mirrored=True)


def _skip_decided(
    root: RootRecord, copier: LiveCopier, former: Decision, *, pending: bool
) -> Planned | None:
    """The pair has copied this root under a copier that is gone; for this one it is over."""
    if former.copier == copier.id and not former.ended:
        return None
    denial = denied("ALREADY_COPIED", by_copier=former.copier)
    return Planned(
        None, _skipped(root, copier.id, copier.slave, former.copy, denial, pending=pending)
    )


def is_open_question(root: RootRecord, copier: LiveCopier) -> bool:
    """This copier has not decided on the root: it waits to be resumed, or for the rest of a look."""
    if not root.is_seen:
        return False
    known = root.pairs.get(copier.slave)
    if known is None or (known.skipped and known.copier != copier.id):
        return True
    return bool(known.skipped) and known.pending and root.opened is not None


# --- what follows the decision --------------------------------------------------------------------


def decide_increased(
    root: RootRecord,
    event: m.PositionIncreased,
    copier: LiveCopier,
    trade: Trade[m.OpenCopy] | None,
) -> Planned | None:
    """A further leg: copied or skipped as the first one was. No pause or lost context adds one."""
    known = root.pairs.get(copier.slave)
    if known is None or is_open_question(root, copier):
        return None  # the copier joins this root when it is first resumed, and then what is open
    denial = _refuses_leg(known, event, copier)
    if denial is not None:
        return Planned(None, _skipped(root, copier.id, copier.slave, known.copy, denial, event))
    assert trade is not None
    order = trade.order_for(copier, known.copy)
    order = replace(order, fraction=fraction_of(root, known))
    return Planned(None, trade.event_for(copier, known.copy), order)


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
    return _skipped(root, known.copier, slave, known.copy, denied("COPIER_STOPPED"), event)


def fraction_of(root: RootRecord, decision: Decision) -> Decimal:
    """What the master has left of what the copy's first leg stands for."""
    return min(WHOLE, root.fraction / decision.base)


# --- pending orders -------------------------------------------------------------------------------


def decide_placed(
    root: RootRecord, copier: LiveCopier, trade: Trade[m.PlacePendingCopy] | None
) -> Planned | None:
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
    assert trade is not None
    copy = copy_of(copier.pair, root.root)
    decision = Decision(copier=copier.id, copy=copy, pending=True)
    return Planned(decision, trade.event_for(copier, copy), trade.order_for(copier, copy))


# --- the parts --------------------------------------------------------------------------------------


def skip(root: RootRecord, copier: LiveCopier, denial: Denial, *, pending: bool = False) -> Planned:
    """The first leg is not copied, and so none is."""
    copy = copy_of(copier.pair, root.root)
    decision = Decision(
        copier=copier.id,
        copy=copy,
        skipped=denial.code,
        numbers=dict(denial.numbers),
        pending=pending,
    )
    return Planned(decision, _skipped(root, copier.id, copier.slave, copy, denial, pending=pending))


def _skipped(
    root: RootRecord,
    copier: CopierId,
    slave: AccountId,
    copy: CopyId,
    denial: Denial,
    event: m.PositionIncreased | None = None,
    *,
    pending: bool = False,
) -> m.CopySkipped:
    return m.CopySkipped(
        copy=copy,
        copier=copier,
        slave=slave,
        **of_trade(root, event),
        code=denial.code,
        numbers=dict(denial.numbers),
        remedy=denial.remedy,
        pending=pending,
    )
