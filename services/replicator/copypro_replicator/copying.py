"""What a master did, into what each of its slaves is asked to do. Pure: state and input in, output out.

A root is decided on once per pair of accounts, when its first leg opens, and that decision holds
until it is flat, whatever becomes of the copier: later legs, levels, reductions and the close only
follow it. Nothing here knows a slave's balance, symbol or price; that is its agent's part.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from copypro import messages as m
from copypro.codes import Denial, denied
from copypro.messages import Copier, Seen
from copypro.options import CopierOptions, FilterMode, PendingMode, SideFilter, SymbolMapping
from copypro.values import AccountId, CopyId, Lots, Side, copy_id, magic_of, tag_in
from msgspec import Struct

from copypro_replicator.state import CopierRecord, Decision, RootRecord


class Planned(Struct, frozen=True):
    """One decision: what is recorded for the pair, and what its slave is asked to do."""

    event: m.CopyPlanned | m.CopySkipped | None
    order: m.SlaveOrder | None


# --- the first leg: decided once ----------------------------------------------------------------


def decide_opened(
    root: RootRecord, event: m.PositionOpened, copier: CopierRecord, offset: int
) -> Planned:
    """Plan a copy of a new position, or say why not; the decision is left in the root's pairs."""
    slave = copier.state.slave
    former = root.pairs.get(slave)
    if former is not None and not former.waits_for_fill:
        return _follow_fill(root, event, copier, former)
    denial = _refuses(copier, event, offset)
    if denial is not None:
        return skip(root, copier.state, denial, leg=0)
    return plan_open(root, event, copier, joined=False)


def plan_open(
    root: RootRecord, event: m.PositionOpened, copier: CopierRecord, *, joined: bool
) -> Planned:
    """`joined`: the trade was open already; its open rest is copied, and its age counts from the start."""
    state = copier.state
    copy = copy_id(state.master, state.slave, root.root)
    decision = Decision(copier=state.copier, copy=copy)
    if joined:
        decision.joined_lots, decision.joined_ever_lots = root.open_lots, root.ever_lots
    root.pairs[state.slave] = decision
    assert event.context is not None
    fresh_from = event.seen_at_utc if event.seen is Seen.LIVE else event.opened_at_utc
    order = m.OpenCopy(
        copy=copy,
        copier=state.copier,
        master=state.master,
        slave=state.slave,
        root=root.root,
        leg=0,
        symbol=event.symbol,
        side=event.side,
        lots=root.open_lots if joined else event.lots,
        fraction=Decimal(1),
        master_price=event.open_price,
        stop_loss=root.stop_loss,
        take_profit=root.take_profit,
        context=event.context,
        options=state.options,
        same_server=state.same_server,
        fresh_from_utc=copier.started_at_utc if joined else fresh_from,
        seen_at_utc=copier.started_at_utc if joined else event.seen_at_utc,
        magic=magic_of(state.master, state.slave),
        mapping=mapping_of(state, event.symbol),
        from_pending=event.from_pending,
        joined=joined,
    )
    return Planned(_planned(state, copy, root, event, leg=0), order)


def skip(
    root: RootRecord, state: Copier, denial: Denial, *, leg: int, pending: bool = False
) -> Planned:
    copy = copy_id(state.master, state.slave, root.root)
    waits = denial.code == "PENDING_ON_FILL"
    if leg == 0:
        root.pairs[state.slave] = Decision(
            copier=state.copier,
            copy=copy,
            skipped=denial.code,
            numbers=dict(denial.numbers),
            waits_for_fill=waits,
        )
    skipped = m.CopySkipped(
        copy=copy,
        copier=state.copier,
        master=state.master,
        slave=state.slave,
        root=root.root,
        leg=leg,
        **_trade(root.opened or root.placed),
        code=denial.code,
        numbers=dict(denial.numbers),
        remedy=denial.remedy,
        pending=pending,
    )
    return Planned(skipped, None)


def _follow_fill(
    root: RootRecord, event: m.PositionOpened, copier: CopierRecord, former: Decision
) -> Planned:
    """A pending order that was decided on when it was placed has filled."""
    if former.skipped:
        denial = denied(former.skipped, **former.numbers)
        return skip(root, copier.state, denial, leg=0)
    if former.ended:
        return skip(root, copier.state, denied("COPIER_STOPPED"), leg=0)
    if event.context is None:
        return skip(root, copier.state, denied("MISSED"), leg=0)
    return plan_open(root, event, copier, joined=False)


# --- why not ------------------------------------------------------------------------------------


def is_existing(
    copier: CopierRecord, event: m.PositionOpened | m.PendingPlaced, offset: int
) -> bool:
    """It was there before the copier took effect, or nothing proves that it was not."""
    if offset < copier.order_offset:
        return True
    if event.seen is Seen.LIVE:
        return False
    at = event.opened_at_utc if isinstance(event, m.PositionOpened) else event.placed_at_utc
    return at is None or at <= copier.started_at_utc


def _refuses(
    copier: CopierRecord, event: m.PositionOpened | m.PendingPlaced, offset: int
) -> Denial | None:
    state = copier.state
    if event.copy is not None or (event.comment and tag_in(event.comment) is not None):
        return denied("IS_A_COPY", comment=event.comment)
    if is_existing(copier, event, offset):
        return denied("EXISTING", started_at=copier.started_at_utc.isoformat())
    if state.paused:
        return denied("PAUSED", reason=state.pause_reason or "ByUser")
    if event.context is None:
        return denied("MISSED", seen=event.seen.value)
    kind_side = event.side if isinstance(event, m.PositionOpened) else event.kind.side
    return filtered(state.options, kind_side, event.lots, event.magic, event.comment)


def filtered(
    options: CopierOptions, side: Side, lots: Lots, magic: int, comment: str
) -> Denial | None:
    """The copier's filters, on the master's own side, lots, magic and comment."""
    allowed = {SideFilter.BUY_ONLY: Side.BUY, SideFilter.SELL_ONLY: Side.SELL}
    only = allowed.get(options.filter_side)
    if only is not None and side is not only:
        return denied("FILTER_SIDE", side=side, filter=options.filter_side)
    if _leaves_out(options.filter_magic, magic == options.filter_magic_value):
        return denied("FILTER_MAGIC", magic=magic, filter=options.filter_magic_value)
    if _leaves_out(options.filter_comment, options.filter_comment_value in comment):
        return denied("FILTER_COMMENT", comment=comment, filter=options.filter_comment_value)
    if options.filter_lots:
        lowest, highest = options.filter_lots_min, options.filter_lots_max
        if lots < lowest or (highest > 0 and lots > highest):
            return denied("FILTER_LOTS", lots=lots, minimum=lowest, maximum=highest)
    return None


def _leaves_out(mode: FilterMode, matches: bool) -> bool:
    if mode is FilterMode.COPY:
        return not matches
    return mode is FilterMode.IGNORE and matches


# --- what follows the decision --------------------------------------------------------------------


def active(root: RootRecord) -> Iterator[tuple[AccountId, Decision]]:
    """The pairs that copy this root."""
    for slave, decision in root.pairs.items():
        if not decision.skipped and not decision.ended:
            yield slave, decision


def increase(
    root: RootRecord, event: m.PositionIncreased, copier: CopierRecord | None, slave: AccountId
) -> Planned:
    """A further leg: copied or skipped as the first one was. Without its copier nothing is added."""
    decision = root.pairs[slave]
    if copier is None or copier.state.paused or event.context is None:
        code = "COPIER_STOPPED" if copier is None else "PAUSED"
        if event.context is None:
            code = "MISSED"
        return Planned(_skipped(root, decision, slave, denied(code), event), None)
    state = copier.state
    fresh_from = event.seen_at_utc if event.seen is Seen.LIVE else None
    order = m.OpenCopy(
        copy=decision.copy,
        copier=decision.copier,
        master=root.account,
        slave=slave,
        root=root.root,
        leg=event.leg,
        symbol=event.symbol,
        side=event.side,
        lots=event.lots,
        fraction=Decimal(1),
        master_price=event.deal.price,
        stop_loss=root.stop_loss,
        take_profit=root.take_profit,
        context=event.context,
        options=state.options,
        same_server=state.same_server,
        fresh_from_utc=fresh_from,
        seen_at_utc=event.seen_at_utc,
        magic=magic_of(root.account, slave),
        mapping=mapping_of(state, event.symbol),
    )
    return Planned(_planned(state, decision.copy, root, event, leg=event.leg), order)


def skipped_again(root: RootRecord, event: m.PositionIncreased, slave: AccountId) -> m.CopySkipped:
    decision = root.pairs[slave]
    return _skipped(root, decision, slave, denied(decision.skipped, **decision.numbers), event)


def fraction_of(root: RootRecord, decision: Decision) -> Decimal:
    """Open / ever opened; for a joined trade, of what was open when it was joined and added since."""
    if decision.joined_lots is None:
        ever = root.ever_lots
    else:
        ever = decision.joined_lots + root.ever_lots - decision.joined_ever_lots
    return min(Decimal(1), root.open_lots / ever) if ever > 0 else Decimal(0)


def mapping_of(state: Copier, symbol: str) -> SymbolMapping | None:
    if not state.mappings:
        return None
    return next((known for known in state.mappings if known.master_symbol == symbol), None)


# --- pending orders -------------------------------------------------------------------------------


def decide_placed(
    root: RootRecord, event: m.PendingPlaced, copier: CopierRecord, offset: int
) -> Planned:
    """Mirrored, copied when it fills, or ignored: recorded either way."""
    state = copier.state
    if state.slave in root.pairs:
        return Planned(None, None)
    denial = _refuses(copier, event, offset)
    mode = state.options.pending_mode
    if denial is None and mode is PendingMode.IGNORE:
        denial = denied("PENDING_IGNORED")
    if denial is None and mode is PendingMode.MARKET_ON_FILL:
        denial = denied("PENDING_ON_FILL")
    if denial is not None:
        return skip(root, state, denial, leg=0, pending=True)
    assert event.context is not None
    copy = copy_id(state.master, state.slave, root.root)
    root.pairs[state.slave] = Decision(copier=state.copier, copy=copy)
    order = m.PlacePendingCopy(
        copy=copy,
        copier=state.copier,
        master=state.master,
        slave=state.slave,
        root=root.root,
        symbol=event.symbol,
        kind=event.kind,
        lots=event.lots,
        price=event.price,
        stop_limit_price=event.stop_limit_price,
        stop_loss=event.stop_loss,
        take_profit=event.take_profit,
        expires_at_utc=event.expires_at_utc,
        context=event.context,
        options=state.options,
        same_server=state.same_server,
        seen_at_utc=event.seen_at_utc,
        magic=magic_of(state.master, state.slave),
        mapping=mapping_of(state, event.symbol),
    )
    return Planned(_planned(state, copy, root, event, leg=0, pending=True), order)


# --- the parts --------------------------------------------------------------------------------------


Trade = m.PositionOpened | m.PositionIncreased | m.PendingPlaced


def _trade(event: Trade | None) -> dict[str, Any]:
    """The master's trade, as the decision's record shows it."""
    assert event is not None
    side = event.kind.side if isinstance(event, m.PendingPlaced) else event.side
    price = event.price if isinstance(event, m.PendingPlaced) else event.deal.price
    return {
        "symbol": event.symbol,
        "side": side,
        "lots": event.lots,
        "price": price,
        "seen_at_utc": event.seen_at_utc,
    }


def _planned(
    state: Copier, copy: CopyId, root: RootRecord, event: Trade, *, leg: int, pending: bool = False
) -> m.CopyPlanned:
    return m.CopyPlanned(
        copy=copy,
        copier=state.copier,
        master=state.master,
        slave=state.slave,
        root=root.root,
        leg=leg,
        pending=pending,
        **_trade(event),
    )


def _skipped(
    root: RootRecord,
    decision: Decision,
    slave: AccountId,
    denial: Denial,
    event: m.PositionIncreased,
) -> m.CopySkipped:
    return m.CopySkipped(
        copy=decision.copy,
        copier=decision.copier,
        master=root.account,
        slave=slave,
        root=root.root,
        leg=event.leg,
        code=denial.code,
        numbers=dict(denial.numbers),
        remedy=denial.remedy,
        **_trade(event),
    )
