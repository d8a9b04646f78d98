"""What the replicator remembers: a record per copier, and one per open root of a master."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from copypro.messages import Copier, Numbers, PendingPlaced, PositionOpened
from copypro.values import AccountId, CopierId, CopyId, Lots, Price, RootId
from msgspec import Struct


class CopierRecord(Struct, kw_only=True, omit_defaults=True):
    state: Copier
    order_offset: int
    """Of its master's order events: what opened before it was there already."""
    started_at_utc: datetime


class Decision(Struct, kw_only=True, omit_defaults=True):
    """What was decided for one pair on one root; it holds for the root's whole life."""

    copier: CopierId
    copy: CopyId
    skipped: str = ""
    numbers: Numbers = {}
    waits_for_fill: bool = False
    """A pending order that this copier copies when it fills."""
    joined_lots: Lots | None = None
    """Of an existing trade: open when it was joined; fractions count from there."""
    joined_ever_lots: Lots = Decimal(0)
    ended: bool = False
    """Closed or left on request: nothing more is sent."""


class RootRecord(Struct, kw_only=True, omit_defaults=True):
    """An open root of a watched account, with every pair's decision on it."""

    account: AccountId
    root: RootId
    opened: PositionOpened | None = None
    placed: PendingPlaced | None = None
    """The pending order it was, or still is."""
    offset: int
    open_lots: Lots = Decimal(0)
    ever_lots: Lots = Decimal(0)
    stop_loss: Price | None = None
    take_profit: Price | None = None
    pairs: dict[AccountId, Decision] = {}


def copier_key(copier: CopierId) -> str:
    return f"copier/{copier}"


def root_key(account: AccountId, root: RootId) -> str:
    return f"root/{account}/{root}"
