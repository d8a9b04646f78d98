"""What became of an attempt that nobody answered clearly: only the broker's books can tell.

Pure. Presence is believed at once; absence only after a wait and two reads, because a broker may
execute long after the answer was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from copypro.trading import ClosedOrder, CloseRequest, Done, OpenOrder, OpenRequest
from copypro.values import Lots, Mode, Ticket, tag_in
from msgspec import Struct
from msgspec.structs import replace

from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.memory import Doubt
from copypro_account_watcher.seen.evidence import from_ticket, to_ticket
from copypro_account_watcher.state import Attempt, Leg, LegStatus


class Found(Struct, frozen=True):
    answer: Done
    inferred: bool
    evidence: str
    duplicates: tuple[Ticket, ...] = ()
    """Further tickets with the same leg's tag: to be closed at once."""


class Absent(Struct, frozen=True):
    evidence: str


class Ambiguous(Struct, frozen=True):
    evidence: str


class NotYet(Struct, frozen=True):
    """Look again, with history, not before this time of the monotonic clock."""

    look_at: float


Finding = Found | Absent | Ambiguous | NotYet


def settle_open(
    attempt: Attempt,
    doubt: Doubt,
    leg: Leg,
    *,
    orders: Sequence[OpenOrder],
    ended: Sequence[ClosedOrder] | None,
    unclaimed: Iterable[Ticket],
    now: float,
    limits: WatcherLimits,
    grown: Done | None = None,
    shown: Done | None = None,
) -> Finding:
    """`ended`: history since a minute before the attempt, None if this look had none.
    `unclaimed`: open tickets that are neither a known root nor a known leg. `grown`: what a netting
    position has that no other leg of the copy accounts for; the tag of what is added is nowhere.
    `shown`: what an earlier look took for the leg, all that ever opened of it.
    """
    request = attempt.request
    assert isinstance(request, OpenRequest)
    tagged = [order for order in orders if tag_in(order.comment) == leg.tag]
    gone = [piece for piece in ended or () if tag_in(piece.comment) == leg.tag]
    if attempt.kind == "open":
        # A mirrored order that was deleted before the market was asked had the same tag.
        tagged = [order for order in tagged if not order.kind.is_pending]
        gone = [p for p in gone if not p.cancelled and p.ticket != leg.replaced]
    its_own = [order for order in tagged if order.magic == request.magic]
    is_shown_elsewhere = shown is not None and shown.ticket not in {o.ticket for o in tagged}
    if its_own or is_shown_elsewhere or any(piece.magic == request.magic for piece in gone):
        tagged = its_own  # what has the tag and not its magic is the owner's
    free = set(unclaimed)
    alike = [order for order in orders if order.ticket in free and _same_shape(order, request)]
    if tagged:
        first, *more = sorted(tagged, key=lambda order: order.ticket)
        untagged = [order for order in alike if tag_in(order.comment) is None]
        if untagged and all(order.magic != request.magic for order in tagged):
            return Ambiguous(
                f"open order {first.ticket} carries the tag {leg.tag} and not its magic,"
                f" {untagged[0].ticket} its magic and shape"
            )
        evidence = f"open order {first.ticket} carries the tag {leg.tag}"
        # A pending order that filled in part is listed twice under one ticket: it and its position.
        others = dict.fromkeys(order.ticket for order in more if order.ticket != first.ticket)
        lots = sum((order.lots for order in tagged if order.ticket == first.ticket), Decimal(0))
        if shown is not None and shown.ticket == first.ticket:
            lots = max(lots, shown.lots)  # a part may be closed by now
        lots = min(
            lots, request.lots
        )  # on netting its owner may have added to it, or a copy's order
        if grown is not None and grown.ticket == first.ticket:
            lots = min(lots, grown.lots)
        return found_open(replace(first, lots=lots), evidence, *others)
    if gone:
        piece = gone[0]
        answer = Done(ticket=piece.ticket, lots=piece.lots, price=piece.open_price)
        return Found(answer, False, f"history holds {piece.ticket} with the tag {leg.tag}")
    if shown is not None:
        return Found(shown, False, f"a list showed {shown.ticket} with the tag {leg.tag}")
    settled_at = doubt.since + attempt.wait_s
    if now < settled_at:
        return NotYet(settled_at)
    if ended is None:
        return NotYet(now)
    if len(alike) > 1:
        tickets = ", ".join(str(order.ticket) for order in alike)
        return Ambiguous(f"several open orders have its magic and shape: {tickets}")
    if grown is not None:
        evidence = f"position {grown.ticket} has {grown.lots} lots more than the copy's other legs"
        return Found(grown, True, evidence)
    if alike:
        order = alike[0]
        evidence = f"open order {order.ticket} has its magic and shape, and no tag"
        lots = min(request.lots, _ever_lots(order, ended))
        return Found(_as_done(replace(order, lots=lots)), True, evidence)
    again_at = _read_again_at(doubt, now, limits)
    if again_at is not None:
        return NotYet(again_at)
    return Absent(
        f"neither open orders nor history show tag {leg.tag} or its shape, read twice,"
        f" {attempt.wait_s:g} s after the last answer could have come"
    )


def found_open(order: OpenOrder, evidence: str, *duplicates: Ticket) -> Found:
    return Found(_as_done(order), False, evidence, duplicates)


def settle_change(
    attempt: Attempt,
    doubt: Doubt,
    leg: Leg,
    mode: Mode,
    *,
    asked_at: float,
    ended: Sequence[ClosedOrder] | None,
    now: float,
    limits: WatcherLimits,
) -> float | None:
    """When a modify, close or delete without an answer may be planned anew from the books as
    they then are; None: now. A full close by ticket may be repeated after any later look; a
    partial or a netting close may still come, and is waited out. On netting an add hides it from
    the lists: that it was not executed only history tells, read twice.
    """
    since = doubt.since
    is_netting = mode is Mode.NETTING
    if isinstance(attempt.request, CloseRequest) and (attempt.expected_lots or is_netting):
        since += attempt.wait_s
    if asked_at <= since:
        return since
    if not (is_netting and _is_untold(attempt, leg)):
        return None
    return now if ended is None else _read_again_at(doubt, now, limits)


def _is_untold(attempt: Attempt, leg: Leg) -> bool:
    """A close of a leg that stands, of which no deal was seen."""
    request = attempt.request
    if not isinstance(request, CloseRequest) or leg.status is not LegStatus.OPEN:
        return False
    return request.lots in leg.asked_pieces


def _read_again_at(doubt: Doubt, now: float, limits: WatcherLimits) -> float | None:
    """An absence is read for the first time, or once more; None: so long after that it is believed."""
    if doubt.absent_read_at is None:
        doubt.absent_read_at = now
    again_at = doubt.absent_read_at + limits.absence_reads_apart_s
    return again_at if now < again_at else None


def _same_shape(order: OpenOrder, request: OpenRequest) -> bool:
    return (
        order.symbol == request.symbol
        and order.kind.side is request.kind.side
        and order.magic == request.magic
        and order.lots <= request.lots
    )


def _ever_lots(order: OpenOrder, ended: Sequence[ClosedOrder]) -> Lots:
    """MT4: with what was closed of it before, under the tickets that led to this one."""
    lots, ticket, origin = order.lots, order.ticket, from_ticket(order.comment)
    for row in sorted(ended, key=lambda row: row.ticket, reverse=True):
        if row.ticket < ticket and (row.ticket == origin or to_ticket(row.comment) == ticket):
            lots += row.lots
            ticket, origin = row.ticket, from_ticket(row.comment)
    return lots


def _as_done(order: OpenOrder) -> Done:
    return Done(ticket=order.ticket, lots=order.lots, price=order.open_price)
