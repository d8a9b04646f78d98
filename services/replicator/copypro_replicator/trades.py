"""What all copies of one trade share, made once for all copiers of its master. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from copypro import messages as m
from copypro.envelope import encoded
from copypro.messages import Seen
from copypro.options import CopierOptions
from copypro.values import AccountId, CopierId, CopyId, Lots, Price
from msgspec import Struct
from msgspec.structs import replace

from copypro_replicator.state import LiveCopier, RootRecord

WHOLE = Decimal(1)
Order = TypeVar("Order", m.OpenCopy, m.PlacePendingCopy)

# Where a pair's own fields will be.
_COPY, _COPIER, _SLAVE, _OPTIONS = CopyId(""), CopierId(""), AccountId(""), CopierOptions()
_WHOLE = encoded(WHOLE)


class Trade(Struct, Generic[Order], frozen=True, gc=False):
    """A trade as each copier is asked and told of it, still without what is a pair's own; the master's
    magic stands where the copy's will be, and its context, lots and price are encoded already.
    """

    order: Order
    event: m.CopyPlanned
    fraction: Decimal
    """What is left of the root's first leg."""

    def order_for(self, copier: LiveCopier, copy: CopyId) -> Order:
        order, state = self.order, copier.state
        return replace(
            order,
            copy=copy,
            copier=copier.id,
            slave=copier.slave,
            options=copier.options_json,
            same_server=state.same_server,
            magic=_magic(copier, order.magic),
            mapping=copier.mappings.get(order.symbol),
            registration=state.slave_registration,
        )

    def event_for(self, copier: LiveCopier, copy: CopyId) -> m.CopyPlanned:
        return replace(self.event, copy=copy, copier=copier.id, slave=copier.slave)


def opened(root: RootRecord) -> Trade[m.OpenCopy] | None:
    """What is open now, as leg 0. None: nobody knows the account as it was, so nothing is sized by it."""
    event = root.opened
    assert event is not None
    if event.context is None:
        return None
    fresh_from = event.seen_at_utc if event.seen is Seen.LIVE else event.opened_at_utc
    return _leg(
        root,
        event,
        event.context,
        lots=root.open_lots,
        master_price=event.open_price,
        fresh_from_utc=fresh_from,
        from_pending=event.from_pending,
    )


def increased(root: RootRecord, event: m.PositionIncreased) -> Trade[m.OpenCopy] | None:
    """What was added, as a further leg. None: as above."""
    if event.context is None:
        return None
    return _leg(
        root,
        event,
        event.context,
        lots=event.lots,
        master_price=event.deal.price,
        fresh_from_utc=event.seen_at_utc if event.seen is Seen.LIVE else None,
    )


def _leg(
    root: RootRecord,
    event: m.PositionOpened | m.PositionIncreased,
    context: m.Context,
    *,
    lots: Lots,
    master_price: Price,
    fresh_from_utc: datetime | None,
    from_pending: bool = False,
) -> Trade[m.OpenCopy]:
    """With the root's levels as they now are, and its magic."""
    further = event if isinstance(event, m.PositionIncreased) else None
    order = m.OpenCopy(
        copy=_COPY,
        copier=_COPIER,
        master=root.account,
        slave=_SLAVE,
        root=root.root,
        leg=0 if further is None else further.leg,
        symbol=event.symbol,
        side=event.side,
        lots=encoded(lots),
        fraction=_WHOLE,
        master_price=encoded(master_price),
        stop_loss=root.stop_loss,
        take_profit=root.take_profit,
        context=encoded(context),
        options=_OPTIONS,
        same_server=False,
        fresh_from_utc=fresh_from_utc,
        seen_at_utc=event.seen_at_utc,
        magic=root.opened.magic if root.opened is not None else 0,
        from_pending=from_pending,
    )
    return Trade(order, _event(root, further), root.fraction)


def placed(root: RootRecord) -> Trade[m.PlacePendingCopy] | None:
    """The pending order, to be mirrored. None: as above."""
    event = root.placed
    assert event is not None
    if event.context is None:
        return None
    order = m.PlacePendingCopy(
        copy=_COPY,
        copier=_COPIER,
        master=root.account,
        slave=_SLAVE,
        root=root.root,
        symbol=event.symbol,
        kind=event.kind,
        lots=event.lots,
        price=event.price,
        stop_limit_price=event.stop_limit_price,
        stop_loss=event.stop_loss,
        take_profit=event.take_profit,
        expires_at_utc=event.expires_at_utc,
        context=encoded(event.context),
        options=_OPTIONS,
        same_server=False,
        seen_at_utc=event.seen_at_utc,
        magic=event.magic,
    )
    return Trade(order, _event(root, pending=True), root.fraction)


def of_trade(root: RootRecord, event: m.PositionIncreased | None = None) -> dict[str, Any]:
    """The root's leg (none given: its first) as a decision's record shows it."""
    about = {
        "master": root.account,
        "root": root.root,
        "leg": 0 if event is None else event.leg,
    }
    opened = event or root.opened
    if opened is not None:
        return about | {
            "symbol": opened.symbol,
            "side": opened.side,
            "lots": opened.lots,
            "price": opened.deal.price,
            "seen_at_utc": opened.seen_at_utc,
        }
    placed = root.placed
    assert placed is not None
    return about | {
        "symbol": placed.symbol,
        "side": placed.kind.side,
        "kind": placed.kind,
        "lots": placed.lots,
        "price": placed.price,
        "seen_at_utc": placed.seen_at_utc,
    }


def _event(
    root: RootRecord, event: m.PositionIncreased | None = None, *, pending: bool = False
) -> m.CopyPlanned:
    about = of_trade(root, event)
    return m.CopyPlanned(copy=_COPY, copier=_COPIER, slave=_SLAVE, **about, pending=pending)


def _magic(copier: LiveCopier, masters: int) -> int:
    """The pair's own, by which an order without its tag is still found; the master's where the
    copier carries it over and MT4 can hold it.
    """
    return masters if copier.carries_magic and 0 < masters < 2**31 else copier.magic
