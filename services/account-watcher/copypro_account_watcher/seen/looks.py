"""What goes into the diff of an account, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime

from copypro.messages import Context, OrderEvent, Seen
from copypro.trading import BalanceOperation, ClosedOrder, OpenOrder
from copypro.values import CopyId, RootId, Side, Ticket
from msgspec import Struct


class Look(Struct, frozen=True, kw_only=True):
    """One look at an account. `closed` and `operations` are evidence, from a frame or from history."""

    orders: tuple[OpenOrder, ...]
    seen: Seen
    at_utc: datetime
    whole: bool = True
    """The full list, of a synchronised session or of a frame; else what is not listed is unknown."""
    closed: tuple[ClosedOrder, ...] = ()
    operations: tuple[BalanceOperation, ...] = ()
    contexts: Mapping[str, Context] = {}
    """By symbol; `new_symbols` says which are needed."""
    copies: Mapping[Ticket, CopyId] = {}
    """Tickets that are known to be legs of our copies."""
    withheld: AbstractSet[tuple[str, Side]] = frozenset()
    """An open of ours is unanswered: new unmatched orders of these are not announced yet."""
    unread: AbstractSet[Ticket] = frozenset()
    """Orders that are new, grew or filled, and whose symbol's terms or price are still being read: that is
    not announced yet either.
    """
    clock_offset_minutes: int | None = None
    missed_since_utc: datetime | None = None
    """For a book whose record was never written: since when the account has been watched."""
    row_wait_s: float = 1.0
    """How long a change that only the list shows waits for its deal (profit, commission, price).

    Frames of one action come one after another, and the deal is mostly in the last of them; a
    frame that comes late shows a change that never was. The next look after this wait settles it.
    """
    has_history: bool = False
    """It was read for this look."""
    history_asked_at_utc: datetime | None = None
    """When the newest that was read, for this look or before it, was asked for."""
    history_lag_s: float = 5.0
    """So long after a list shows a change history may still not have it."""

    def withholds(self, ticket: int, symbol: str, side: Side) -> bool:
        """What is not known yet of this order is told by a later look."""
        is_perhaps_ours = (symbol, side) in self.withheld and ticket not in self.copies
        return is_perhaps_ours or ticket in self.unread


class Fact(Struct, frozen=True):
    """`identity` and the message's type name one fact: from a frame, a snapshot or another owner
    of the account it is the same.
    """

    identity: tuple[str | int, ...]
    message: OrderEvent


class Result(Struct, frozen=True, kw_only=True):
    late: tuple[Fact, ...]
    """Told before, with a made deal, and now with its figures: for those who count money alone."""
    facts: tuple[Fact, ...]
    """In the order in which to record them: closes, then changes, then opens."""
    changed: tuple[RootId, ...]
    """Roots whose record must be written again."""
    gone: tuple[RootId, ...]
    """Roots whose record must be removed."""
    missing: tuple[Ticket, ...]
    """Tickets that vanished, or shrank, without proof: history may have it. Nothing is closed."""
    unknown_tags: tuple[OpenOrder, ...]
    """Orders with a valid leg tag that no copy of ours has: another installation trades here."""
