"""An account's open roots as last recorded: the checkpoint that every look is compared with."""

from __future__ import annotations

from datetime import datetime

import msgspec
from copypro.trading import ClosedOrder, OpenOrder
from copypro.values import (
    AccountId,
    CopyId,
    Lots,
    Mode,
    OrderKind,
    Platform,
    Price,
    RootId,
    Side,
    Ticket,
)
from msgspec import Struct

TOMBSTONES = 256
"""Closed tickets that are remembered: an open that is seen late for one of them is dropped."""


class Root(Struct, kw_only=True, omit_defaults=True):
    """One trade idea: from its first ticket to flat."""

    root: RootId
    tickets: list[Ticket]
    """MT4's chain, the present one last; elsewhere one, or netting's latest."""
    symbol: str
    kind: OrderKind
    """A pending order's kind until it fills, then Buy or Sell."""
    open_lots: Lots
    ever_lots: Lots
    open_price: Price
    opened_at_broker: datetime
    stop_loss: Price | None = None
    take_profit: Price | None = None
    stop_limit_price: Price | None = None
    expires_at_broker: datetime | None = None
    magic: int = 0
    comment: str = ""
    copy: CopyId | None = None
    legs: int = 0
    """Increases so far."""
    deals: int = 1
    closing_deals: list[int] = []
    revision: int = 0
    stranger: bool = False
    """Carries a copier's tag that is not ours."""

    @property
    def ticket(self) -> Ticket:
        return self.tickets[-1]

    @property
    def side(self) -> Side:
        return self.kind.side


class Rest(Struct, kw_only=True, omit_defaults=True):
    """What a book knows besides its open roots."""

    tombstones: list[Ticket] = []
    lifecycles: dict[str, int] = {}
    operations: list[Ticket] = []


class Book:
    """Changed in place by `diff`, one look after another; each root is a state record of its own."""

    def __init__(
        self, account: AccountId, platform: Platform = Platform.MT5, mode: Mode = Mode.HEDGING
    ) -> None:
        self.account, self.platform, self.mode = account, platform, mode
        self.roots: dict[RootId, Root] = {}
        self.by_ticket: dict[Ticket, RootId] = {}
        self.by_symbol: dict[str, RootId] = {}
        self.strangers: set[RootId] = set()
        self.partly: dict[Ticket, ClosedOrder] = {}
        """MT4 tickets of which part was closed and whose rest no look has shown yet."""
        self._rest = Rest()
        self._dead = set(self._rest.tombstones)

    def follow(self, platform: Platform, mode: Mode) -> None:
        """How the account keeps positions, as its session says; roots restored before are indexed."""
        self.platform, self.mode = platform, mode
        self.by_symbol.clear()
        for root in list(self.roots.values()):
            self.add(root)

    # --- restoring ----------------------------------------------------------------------------

    def restore_root(self, root: Root) -> None:
        self.add(root)

    def restore_rest(self, value: bytes) -> None:
        self._rest = msgspec.json.decode(value, type=Rest)
        self._dead = set(self._rest.tombstones)

    def rest(self) -> Rest:
        return self._rest

    # --- asking -------------------------------------------------------------------------------

    def tickets(self) -> set[Ticket]:
        return set(self.by_ticket)

    def root_of(self, ticket: Ticket) -> RootId | None:
        return self.by_ticket.get(ticket)

    def of_order(self, order: OpenOrder) -> Root | None:
        """By ticket; a netting position also by its symbol, since its ticket may change."""
        root = self.by_ticket.get(order.ticket)
        if root is None and self.mode is Mode.NETTING and not order.kind.is_pending:
            root = self.by_symbol.get(order.symbol)
        return None if root is None else self.roots[root]

    def is_dead(self, ticket: Ticket) -> bool:
        return ticket in self._dead

    def knows_operation(self, ticket: Ticket) -> bool:
        return ticket in self._rest.operations

    # --- changing -----------------------------------------------------------------------------

    def add(self, root: Root) -> None:
        self.roots[root.root] = root
        for ticket in root.tickets:
            self.by_ticket[ticket] = root.root
        if self.mode is Mode.NETTING and not root.kind.is_pending:
            self.by_symbol[root.symbol] = root.root
        if root.stranger:
            self.strangers.add(root.root)

    def move(self, root: Root, ticket: Ticket) -> None:
        """Its rest has another ticket now."""
        root.tickets.append(ticket)
        self.by_ticket[ticket] = root.root

    def remove(self, root: Root) -> None:
        del self.roots[root.root]
        self.strangers.discard(root.root)
        for ticket in root.tickets:
            self.by_ticket.pop(ticket, None)
            self.bury(ticket)
        if self.by_symbol.get(root.symbol) == root.root:
            del self.by_symbol[root.symbol]

    def bury(self, ticket: Ticket) -> None:
        if self.mode is Mode.NETTING:
            return  # a netting position's ticket lives on through a reversal
        self._dead.add(ticket)
        self._rest.tombstones.append(ticket)
        if len(self._rest.tombstones) > TOMBSTONES:
            self._dead.discard(self._rest.tombstones.pop(0))

    def next_lifecycle(self, symbol: str) -> int:
        number = self._rest.lifecycles.get(symbol, 0) + 1
        self._rest.lifecycles[symbol] = number
        return number

    def note_operation(self, ticket: Ticket) -> None:
        self._rest.operations.append(ticket)
        if len(self._rest.operations) > TOMBSTONES:
            self._rest.operations.pop(0)
