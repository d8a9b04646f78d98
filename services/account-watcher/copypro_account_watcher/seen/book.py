"""What an account's diff remembers between two looks: its open roots, and what is over.

A root is one state record, and once it is over another one; everything else of the book is one small
record. Indexes, doubts and rows that wait for their list are memory only: a snapshot with history
brings them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
from copypro.messages import PositionClosed, PositionReduced
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

RowKey = tuple[datetime, int]
"""(closed at, deal): the order in which the pieces of one position were closed."""
Change = tuple[Lots, datetime, datetime | None, bool]
"""Netting: of a position's volume, signed, when a list first had it, its deal's time where one tells, and
whether it opened the position.
"""
RowName = tuple[Ticket, int, datetime | None]
Shape = tuple[str, Side, Price, datetime, int]
"""Symbol, side, open price, open time, magic: what MT4 keeps when it changes a ticket."""
PAST_VOLUMES = 4
PAST_CHANGES = 8
SPENT_ROWS = 64


class Made(Struct, frozen=True, omit_defaults=True):
    """A closing that was told with a made deal: history owes its figures."""

    told: PositionReduced | PositionClosed
    """With the figures of the rows that came since."""
    left: Lots
    """So much of it has no row yet."""
    value: Decimal = Decimal(0)
    """Price by lots of what has."""


class Owed(Struct, frozen=True, omit_defaults=True):
    """A made closing of before its account was removed: history, read for the next time, may have it."""

    made: Made
    deals: tuple[int, ...] = ()
    """Of its root those that were told with rows."""

    def is_of(self, row: ClosedOrder) -> bool:
        """Of as many lots, under its number, and no later one."""
        told = self.made.told
        number, at = max(told.deal.ticket, 0) or told.ticket, told.deal.time_broker
        if at is None or row.closed_at_broker > at + CLOCKS_APART or row.cancelled:
            return False
        return (row.ticket, row.lots) == (number, self.made.left) and row.deal not in self.deals


class Root(Struct, kw_only=True, omit_defaults=True):
    """The checkpoint of one root: all that is needed to tell what changed since."""

    root: RootId
    ticket: Ticket
    """The one it has now."""
    tickets: list[Ticket]
    """All it ever had, first one first; with the ticket by which history may name it."""
    symbol: str
    kind: OrderKind
    """Buy or Sell: a position; else the pending order it still is."""
    open_lots: Lots
    ever_lots: Lots
    open_price: Price
    opened_at_broker: datetime
    first_seen_at_utc: datetime
    stop_loss: Price | None = None
    take_profit: Price | None = None
    stop_limit_price: Price | None = None
    expires_at_broker: datetime | None = None
    magic: int = 0
    comment: str = ""
    identifier: int | None = None
    deal: int | None = None
    """The last one that opened some of it, where the bridge gives it."""
    copy: CopyId | None = None
    deals: int = 0
    """So many were recorded: the next one's sequence."""
    increases: int = 0
    revision: int = 0
    """Counts changes of levels, so that A → B → A are two facts."""
    rows_until: RowKey | None = None
    """Rows of history up to this one are spent,"""
    spent: list[RowKey] = []
    """and of the later ones these: they come in any order."""
    unrowed_lots: Lots = Decimal(0)
    """Recorded as closed without a row: rows that come later are already counted,"""
    made: list[Made] = []
    """and these were told meanwhile."""
    unproved_lots: Lots = Decimal(0)
    """Of its growths what only frames have shown, which may be late."""
    rest_lots: Lots = Decimal(0)
    """MT5: of the pending order that it was, what has not filled and may still fill."""
    past: list[tuple[Lots, Price]] = []
    """Its last volumes and prices: a late frame that shows one of them is no increase."""

    @property
    def side(self) -> Side:
        return self.kind.side

    @property
    def is_pending(self) -> bool:
        return self.kind.is_pending

    @property
    def newest_row(self) -> RowKey | None:
        return max((*self.spent, *([self.rows_until] if self.rows_until else [])), default=None)

    def spend(self, row: RowKey) -> None:
        self.spent = sorted((*self.spent, row))
        while len(self.spent) > SPENT_ROWS:
            self.rows_until = self.spent.pop(0)

    @property
    def shape(self) -> Shape:
        return (self.symbol, self.side, self.open_price, self.opened_at_broker, self.magic)


class Closed(Struct, frozen=True, omit_defaults=True):
    """A root that is over: what comes later for it is late, and dropped."""

    root: RootId
    tickets: tuple[Ticket, ...]
    at_broker: datetime | None = None
    shape: Shape | None = None
    """Only while rows of it may still come (`unrowed_lots`)."""
    unrowed_lots: Lots = Decimal(0)
    lots: Lots = Decimal(0)
    """What its end closed."""
    made: tuple[Made, ...] = ()
    rows_until: RowKey | None = None
    """MT5: what is not among its rows that are told is a part that nobody has seen yet."""
    spent: tuple[RowKey, ...] = ()
    merged: bool = False
    """A pending order that was taken for part of a position, by volume: history may tell otherwise."""
    unfilled: bool = False
    """Hedging: a pending order that ended as an order; what filled of it history may tell later."""


class Lifecycle(Struct, omit_defaults=True):
    """A netting symbol: how often it was opened, and up to where its rows are spent."""

    count: int = 0
    rows_until: RowKey | None = None


NEVER = datetime(1, 1, 1)  # noqa: DTZ001  a broker's clock has no zone


class Cost(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a lot of a symbol was last charged, in the account's currency; and when, at the broker."""

    entry: Decimal = Decimal(0)
    """By its opening, where the broker books that by itself (MT5)."""
    entry_at: datetime = NEVER
    exit: Decimal | None = None
    """By its closing; on MT4 this is all of it. None: none was seen."""
    exit_at: datetime = NEVER


class Rest(Struct, kw_only=True, omit_defaults=True):
    """The book's record beside its roots, open and closed; bounded."""

    since_utc: datetime | None = None
    closed: tuple[Closed, ...] = ()
    """Of an older version, which kept them here."""
    forgotten_until_broker: datetime | None = None
    lifecycles: dict[str, Lifecycle] = {}
    operations: dict[Ticket, datetime] = {}
    operations_forgotten_until_broker: datetime | None = None
    told: dict[Ticket, datetime] = {}
    told_deals: dict[Ticket, tuple[int, ...]] = {}
    told_until_broker: datetime | None = None
    owed: tuple[Owed, ...] = ()
    costs: dict[str, Cost] = {}


CLOCKS_APART = timedelta(minutes=1)
"""So far a broker's clock may be from ours."""
AT_ALL = datetime(9999, 12, 31)  # noqa: DTZ001


class BookLimits(Struct, frozen=True, kw_only=True):
    closed_roots: int = 200
    operations: int = 100
    waiting_rows: int = 200
    told_tickets: int = 1000
    owed: int = 100
    costs: int = 100


def _closed_at(closed: Closed) -> datetime:
    """Forgotten first is what closed first, whatever its ticket: history that comes late and tells of
    something newer than all that is forgotten is then still news.
    """
    return closed.at_broker or NEVER


def _told_of(of: Root | Closed, *ended: datetime) -> tuple[datetime, Sequence[int]]:
    """MT5: until when, and the numbers of its deals, where all are known. On netting the rows up to its
    first one are of those that had the symbol before it, and told as theirs.
    """
    numbers = [deal for _, deal in of.spent]
    own_until = of.rows_until if len(numbers) >= SPENT_ROWS else None
    until = NEVER if own_until is None else own_until[0]
    is_owed = bool(of.made) or of.unrowed_lots > 0 or own_until is not None
    is_numbered = not is_owed and set(numbers).isdisjoint(of.tickets)
    return max(until, *ended, *(at for at, _ in of.spent), NEVER), numbers if is_numbered else ()


class Book:
    """The known roots of one account.

    `diff` changes it in place; who cannot commit what a diff led to throws the book away.
    """

    def __init__(
        self,
        account: AccountId,
        platform: Platform = Platform.MT5,
        mode: Mode = Mode.HEDGING,
        limits: BookLimits | None = None,
    ) -> None:
        self.account = account
        self._set_mode(platform, mode)
        self.limits = limits or BookLimits()
        self.roots: dict[RootId, Root] = {}
        self.since_utc: datetime | None = None
        """The first look: what ended before it belongs to the import of the account's past."""
        self.closed: dict[RootId, Closed] = {}
        self.closed_tickets: dict[Ticket, RootId] = {}
        self._unsaved: dict[RootId, None] = {}
        """Those of the closed whose records are not as they are here."""
        self.forgotten_until_broker: datetime | None = None
        self.lifecycles: dict[str, Lifecycle] = {}
        self.operations: dict[Ticket, datetime] = {}
        self.operations_forgotten_until_broker: datetime | None = None
        self.told: dict[Ticket, datetime] = {}
        """What closed of these up to then was told when the account was here before, or is imported;"""
        self.told_deals: dict[Ticket, tuple[int, ...]] = {}
        """of these, where rows have numbers, these deals: a clock goes through an hour twice."""
        self.told_until_broker: datetime | None = None
        """And everything that closed up to then."""
        self.owed: tuple[Owed, ...] = ()
        """What was told then without its figures."""
        self.costs: dict[str, Cost] = {}
        """By symbol; what was learned last is last."""
        self.by_ticket: dict[Ticket, Root] = {}
        self.by_symbol: dict[str, Root] = {}
        """Netting positions."""
        self.waiting_rows: dict[RowName, ClosedOrder] = {}
        """Closes that a frame told and no list has shown yet."""
        self.parts: set[RowName] = set()
        """Of those what closed a part of a position before any list showed it: its frame listed the rest."""
        self.ends: set[RowName] = set()
        """And what came with a list that had its position no more."""
        self.doubts: dict[tuple[str, str], datetime] = {}
        """What the last look showed without proof, and since when."""
        self.listed: AbstractSet[Ticket] = frozenset()
        """What the last look showed."""
        self.deltas: dict[str, list[Change]] = {}
        """Netting: the last signed changes of a symbol's volume."""
        self.listed_at: dict[RootId, datetime] = {}
        """When a pending order was last in a list."""

    def _set_mode(self, platform: Platform, mode: Mode) -> None:
        self.platform, self.mode = platform, mode
        self.is_netting = mode is Mode.NETTING and platform is Platform.MT5

    def follow(self, platform: Platform, mode: Mode) -> None:
        """How the account keeps positions, as its session says; roots restored before are indexed."""
        self._set_mode(platform, mode)
        self.by_symbol.clear()
        for root in list(self.roots.values()):
            self.add(root)

    # --- state --------------------------------------------------------------------------------

    def restore_root(self, root: Root) -> None:
        self.add(root)

    def restore_closed(self, closed: Closed) -> None:
        self._bury(closed)

    def restore_rest(self, value: bytes) -> None:
        rest = msgspec.json.decode(value, type=Rest)
        self.since_utc = rest.since_utc
        self.forgotten_until_broker = rest.forgotten_until_broker
        self.lifecycles = dict(rest.lifecycles)
        self.operations = dict(rest.operations)
        self.operations_forgotten_until_broker = rest.operations_forgotten_until_broker
        self.told, self.told_deals = dict(rest.told), dict(rest.told_deals)
        self.told_until_broker, self.owed = rest.told_until_broker, rest.owed
        self.costs = dict(rest.costs)
        for closed in rest.closed:
            self.bury(closed)

    def unsaved_closed(self) -> dict[RootId, Closed | None]:
        """The records that changed since this was last asked; None: it is forgotten."""
        unsaved, self._unsaved = self._unsaved, {}
        return {root: self.closed.get(root) for root in unsaved}

    def rest(self) -> Rest:
        """The record beside the roots; a copy that later looks do not change."""
        return Rest(
            since_utc=self.since_utc,
            forgotten_until_broker=self.forgotten_until_broker,
            lifecycles={
                symbol: Lifecycle(life.count, life.rows_until)
                for symbol, life in self.lifecycles.items()
            },
            operations=dict(self.operations),
            operations_forgotten_until_broker=self.operations_forgotten_until_broker,
            told=dict(self.told),
            told_deals=dict(self.told_deals),
            told_until_broker=self.told_until_broker,
            owed=self.owed,
            costs=dict(self.costs),
        )

    def after_removal(self, *, is_past_told: bool) -> Book:
        """What is still known once the account is removed: which closings were told, so that none is
        told again if it is added again. `is_past_told`: the import of its past had ended.
        """
        until = self.told_until_broker or NEVER
        if is_past_told:
            until = max(until, self.forgotten_until_broker or NEVER)
        told, deals = dict(self.told), dict(self.told_deals)
        for ticket, at, numbers in self._told_here():
            former = told.pop(ticket, NEVER)
            told[ticket] = max(at, former)
            if numbers and (ticket in deals or former == NEVER):
                deals[ticket] = tuple(dict.fromkeys((*deals.get(ticket, ()), *numbers)))
            elif at > NEVER:
                deals.pop(ticket, None)
        left = Book(self.account, limits=self.limits)
        left.told = dict(list(told.items())[-self.limits.told_tickets :])
        left.told_deals = {ticket: deals[ticket] for ticket in left.told if ticket in deals}
        left.told_until_broker = until if until > NEVER else None
        left.owed = (*self.owed, *self._owed_here())[-self.limits.owed :]
        left.costs = dict(self.costs)
        return left

    def _owed_here(self) -> Iterator[Owed]:
        known: list[Closed | Root] = [*self.closed.values(), *self.roots.values()]
        for of in known:
            deals = tuple(deal for _, deal in of.spent)
            yield from (Owed(made, deals) for made in of.made)

    def _told_here(self) -> Iterator[tuple[Ticket, datetime, Sequence[int]]]:
        """Of each ticket, up to when what closed was told, and deals. On MT4 each part has a ticket."""
        is_mt4 = self.platform is Platform.MT4
        for closed in sorted(self.closed.values(), key=_closed_at):
            ended = closed.at_broker or AT_ALL
            until, deals = (AT_ALL, ()) if is_mt4 else _told_of(closed, ended)
            yield from ((ticket, until, deals) for ticket in closed.tickets)
        for root in self.roots.values():
            if is_mt4:
                yield from (
                    (ticket, AT_ALL, ()) for ticket in root.tickets if ticket != root.ticket
                )
                yield root.ticket, NEVER, ()
                yield from ((Ticket(deal), at, ()) for at, deal in root.spent)
                continue
            made = [one.told.deal.time_broker for one in root.made]
            until, deals = _told_of(root, *(at + CLOCKS_APART for at in made if at is not None))
            yield from ((ticket, until, deals) for ticket in root.tickets)

    def tell(self, row: ClosedOrder) -> None:
        """It is imported, and no news."""
        self.told[row.ticket] = max(self.told.get(row.ticket, NEVER), row.closed_at_broker)
        if row.ticket in self.told_deals:
            self.told_deals[row.ticket] = (*self.told_deals[row.ticket], row.deal)

    # --- questions ----------------------------------------------------------------------------

    def rows_owed(self) -> list[int]:
        """The deals that were made up and whose figures history still owes."""
        made = [one for root in self.roots.values() for one in root.made]
        made += [one for closed in self.closed.values() for one in closed.made]
        return [one.told.deal.ticket for one in made]

    def tickets(self) -> AbstractSet[Ticket]:
        """Every ticket of every known root, the recently closed ones included."""
        return self.by_ticket.keys() | self.closed_tickets.keys()

    def was_told(self, row: ClosedOrder) -> bool:
        """Before the account was removed and added again, or as its imported past."""
        if row.closed_at_broker <= (self.told_until_broker or NEVER):
            return True
        deals = self.told_deals.get(row.ticket)
        if deals is not None and row.deal != row.ticket:
            return row.deal in deals
        return row.closed_at_broker <= self.told.get(row.ticket, NEVER)

    def is_over(self, ticket: Ticket) -> bool:
        """It was a position's. The number of an order that only seems to be part of one may still be."""
        closed = self.closed.get(self.closed_tickets.get(ticket, RootId("")))
        if closed is None or not closed.merged:
            return closed is not None
        return any(ticket in other.tickets for other in self.closed.values() if other is not closed)

    def ended_too_soon(self, listed: OpenOrder) -> bool:
        """A position of a list that is not late, whose end has been told."""
        is_known = listed.kind.is_pending or self.of_order(listed) is not None
        return not is_known and self.is_over(listed.ticket)

    def root_of(self, ticket: Ticket) -> RootId | None:
        """The open root that has, or had, this ticket."""
        root = self.by_ticket.get(ticket)
        return None if root is None else root.root

    def root_ever_of(self, ticket: Ticket) -> RootId | None:
        """Or the one that is over."""
        return self.root_of(ticket) or self.closed_tickets.get(ticket)

    def of_order(self, order: OpenOrder) -> Root | None:
        """The open root of an entry of the list: by its symbol where that has one position only."""
        if self.is_netting and not order.kind.is_pending:
            root = self.by_symbol.get(order.symbol)
            if root is not None:
                return root
        return self.by_ticket.get(order.ticket)

    def filled_by(self, order: OpenOrder) -> Root | None:
        """The pending order that became this position, also where the server gave that another ticket."""
        root = self.by_ticket.get(order.ticket)
        if root is None and order.identifier is not None:
            root = self.by_ticket.get(Ticket(order.identifier))
        return root if root is not None and root.is_pending and not order.kind.is_pending else None

    # --- changes ------------------------------------------------------------------------------

    def add(self, root: Root) -> None:
        self.roots[root.root] = root
        for ticket in root.tickets:
            self.by_ticket[ticket] = root
        if root.identifier is not None:
            self.by_ticket.setdefault(Ticket(root.identifier), root)
        if self.is_netting_position(root):
            # One that history tells of late never takes the place of the one that is open.
            self.by_symbol.setdefault(root.symbol, root)

    def is_netting_position(self, root: Root) -> bool:
        return self.is_netting and not root.is_pending

    def retickets(self, root: Root, ticket: Ticket) -> None:
        root.ticket = ticket
        self.name(root, ticket)

    def name(self, root: Root, ticket: Ticket) -> None:
        if ticket not in root.tickets:
            root.tickets.append(ticket)
        self.by_ticket[ticket] = root

    def rename(self, root: Root, symbol: str) -> None:
        """Its symbol has another one from now on."""
        if self.by_symbol.get(root.symbol) is root:
            del self.by_symbol[root.symbol]
            self.by_symbol[symbol] = root
        root.symbol = symbol

    def remove(self, root: Root, at_broker: datetime | None, *, merged: bool = False) -> None:
        """The root is over; its tombstone stays until newer ones need the place."""
        del self.roots[root.root]
        self.listed_at.pop(root.root, None)
        names = [*root.tickets]
        if root.identifier is not None and root.identifier not in names:
            names.append(Ticket(root.identifier))
        for ticket in names:
            if self.by_ticket.get(ticket) is root:
                del self.by_ticket[ticket]
        if self.by_symbol.get(root.symbol) is root:
            del self.by_symbol[root.symbol]
        unrowed = root.unrowed_lots
        shape = root.shape if unrowed else None
        made = tuple(root.made)
        is_asked = bool(made) or self.platform is Platform.MT5
        closed = Closed(
            root.root,
            tuple(names),
            at_broker,
            shape,
            unrowed,
            lots=root.open_lots,
            made=made,
            rows_until=root.rows_until if is_asked else None,
            spent=tuple(root.spent) if is_asked else (),
            merged=merged,
            unfilled=root.is_pending and not self.is_netting,
        )
        self.bury(closed)
        while len(self.closed) > self.limits.closed_roots:
            self._forget(min(self.closed.values(), key=_closed_at))

    def bury(self, closed: Closed) -> None:
        self._unsaved[closed.root] = None
        self._bury(closed)

    def _bury(self, closed: Closed) -> None:
        self.closed[closed.root] = closed
        for ticket in closed.tickets:
            self.closed_tickets[ticket] = closed.root

    def _forget(self, closed: Closed) -> None:
        del self.closed[closed.root]
        self._unsaved[closed.root] = None
        for ticket in closed.tickets:
            if self.closed_tickets.get(ticket) == closed.root:
                del self.closed_tickets[ticket]
        if closed.at_broker is not None:
            self.forget_until(closed.at_broker)

    def forget_until(self, at_broker: datetime) -> None:
        """What closed up to then is told, and its tickets are not kept."""
        self.forgotten_until_broker = max(at_broker, self.forgotten_until_broker or NEVER)

    def remember_operation(self, ticket: Ticket, at_broker: datetime) -> None:
        self.operations[ticket] = at_broker
        while len(self.operations) > self.limits.operations:
            oldest = next(iter(self.operations))
            at, until = self.operations.pop(oldest), self.operations_forgotten_until_broker
            self.operations_forgotten_until_broker = at if until is None else max(at, until)

    def set_back(self, now: datetime) -> None:
        """The clock was: neither a look nor any doubt is of later than now."""
        if self.since_utc is not None:
            self.since_utc = min(self.since_utc, now)
        self.doubts = {doubt: min(since, now) for doubt, since in self.doubts.items()}
        self.listed_at = {root: min(at, now) for root, at in self.listed_at.items()}
        for root in self.roots.values():
            root.first_seen_at_utc = min(root.first_seen_at_utc, now)
        for symbol, changes in self.deltas.items():
            self.deltas[symbol] = [(c[0], min(c[1], now), *c[2:]) for c in changes]

    def learn_cost(self, symbol: str, cost: Cost) -> None:
        self.costs.pop(symbol, None)
        self.costs[symbol] = cost
        while len(self.costs) > self.limits.costs:
            del self.costs[next(iter(self.costs))]

    def lifecycle(self, symbol: str) -> Lifecycle:
        return self.lifecycles.setdefault(symbol, Lifecycle())
