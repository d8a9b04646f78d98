"""Why a copier does not copy a trade, by what is known on the master's side. Pure."""

from __future__ import annotations

from decimal import Decimal

from copypro import messages as m
from copypro.codes import Denial, denied
from copypro.messages import Seen
from copypro.options import CopierOptions, FilterMode, SideFilter
from copypro.values import Side, tag_in

from copypro_replicator.state import LiveCopier, RootRecord

_LIVE = Seen.LIVE
"""Asked for each copier of each trade, and a name of an enum is slow to find."""


def is_a_copy(event: m.PositionOpened | m.PendingPlaced) -> Denial | None:
    """By our own records, or by the tag of another installation: what is a copy is never copied."""
    comment = event.comment
    if event.copy is not None or (comment and tag_in(comment) is not None):
        return denied("IS_A_COPY", comment=comment)
    return None


def is_existing(root: RootRecord, copier: LiveCopier) -> bool:
    """It was there before the copier took effect, or nothing proves that it was not."""
    if root.offset < copier.record.order_offset:
        return True
    event = root.opened or root.placed
    assert event is not None
    if event.seen is _LIVE:
        return False
    at = event.opened_at_utc if isinstance(event, m.PositionOpened) else event.placed_at_utc
    return at is None or at <= copier.record.started_at_utc


def not_joined(root: RootRecord, copier: LiveCopier) -> Denial:
    event, record = root.opened or root.placed, copier.record
    assert event is not None
    at = event.opened_at_utc if isinstance(event, m.PositionOpened) else event.placed_at_utc
    if root.offset >= record.order_offset and event.seen is Seen.MISSED and at is None:
        return denied("MISSED", seen=event.seen.value, opened_at="unknown")
    opened_at = "unknown" if at is None else at.isoformat()
    started_at = record.started_at_utc.isoformat()
    return denied("EXISTING", started_at=started_at, opened_at=opened_at, seen=event.seen.value)


def refuses_now(
    event: m.PositionOpened | m.PendingPlaced, side: Side, copier: LiveCopier
) -> Denial | None:
    state = copier.state
    if state.paused:
        return denied("PAUSED", reason=state.pause_reason or "ByUser")
    if event.context is None:
        return denied("MISSED", seen=event.seen.value, context="none")
    if not copier.has_filters:
        return None
    return filtered(state.options, side, event.lots, event.magic, event.comment)


def filtered(
    options: CopierOptions, side: Side, lots: Decimal, magic: int, comment: str
) -> Denial | None:
    """The copier's filters, on the master's own side, lots, magic and comment."""
    only = _ONLY.get(options.filter_side)
    if only is not None and side is not only:
        return denied("FILTER_SIDE", side=side.value, filter=options.filter_side.value)
    if options.filter_magic is not FilterMode.NONE:
        wanted = options.filter_magic_value
        if (magic == wanted) is (options.filter_magic is FilterMode.IGNORE):
            mode = options.filter_magic.value
            return denied("FILTER_MAGIC", magic=magic, filter=wanted, mode=mode)
    if options.filter_comment is not FilterMode.NONE:
        text = options.filter_comment_value
        if (text in comment) is (options.filter_comment is FilterMode.IGNORE):
            mode = options.filter_comment.value
            return denied("FILTER_COMMENT", comment=comment, filter=text, mode=mode)
    if options.filter_lots:
        lowest, highest = options.filter_lots_min, options.filter_lots_max
        if lots < lowest or (highest > 0 and lots > highest):
            return denied("FILTER_LOTS", lots=lots, minimum=lowest, maximum=highest)
    return None


_ONLY = {SideFilter.BUY_ONLY: Side.BUY, SideFilter.SELL_ONLY: Side.SELL}
