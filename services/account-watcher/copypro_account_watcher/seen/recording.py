"""One diff at work: every fact is made here, and the root it is about moves on with it.

Identities hold nothing that depends on how a fact was seen: a root opens and ends once; a growth
is named by the lots ever opened, a reduction by the lots closed so far, a change of levels by its
number and content.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from copypro.messages import (
    BalanceChanged,
    Deal,
    OrderEvent,
    PendingFilled,
    PendingModified,
    PendingPlaced,
    PendingRemoved,
    PositionClosed,
    PositionIncreased,
    PositionModified,
    PositionOpened,
    PositionReduced,
    Seen,
)
from copypro.trading import BalanceOperation, CloseReason, OpenOrder
from copypro.values import CopyId, Lots, Platform, Price, RootId, Side, Ticket, digest
from msgspec.structs import replace

from copypro_account_watcher.seen import evidence
from copypro_account_watcher.seen.book import PAST_CHANGES, PAST_VOLUMES, Book, Made, Root
from copypro_account_watcher.seen.clock import to_broker, to_utc
from copypro_account_watcher.seen.doubts import Doubts
from copypro_account_watcher.seen.evidence import Piece
from copypro_account_watcher.seen.looks import Fact, Look
from copypro_account_watcher.seen.made import made_number, plain, rounded, with_row


class Recording:
    def __init__(self, book: Book, look: Look) -> None:
        self.book, self.look = book, look
        self.doubts = Doubts(book, look)
        self.is_mt5 = book.platform is Platform.MT5
        self.changed: dict[RootId, None] = {}
        self.gone: dict[RootId, None] = {}
        self.missing: dict[Ticket, None] = {}
        self.late: list[Fact] = []
        """What was told before, with the figures that history gives it now."""
        self._closes: list[Fact] = []
        self._changes: list[Fact] = []
        self._opens: list[Fact] = []
        self._opened_now: set[RootId] = set()

    def facts(self) -> tuple[Fact, ...]:
        """Closes first, then changes, then opens: whoever follows takes risk off before adding any."""
        return (*self._closes, *self._changes, *self._opens)

    def finish(self) -> None:
        self.doubts.finish()
        for root in self.gone:
            self.changed.pop(root, None)

    def is_withheld(self, order: OpenOrder) -> bool:
        return self.look.withholds(order.ticket, order.symbol, order.kind.side)

    # --- positions ----------------------------------------------------------------------------

    def opened(
        self,
        order: OpenOrder,
        root_id: RootId,
        *,
        seen: Seen | None = None,
        pending: Root | None = None,
        copy: CopyId | None = None,
    ) -> Root:
        """A position; of a pending order that filled, `pending`, under the same root."""
        look = self.look
        copy = copy or look.copies.get(order.ticket)
        if pending is not None:
            root, copy = pending, pending.copy or copy
            own = root.open_lots
            self._fill(root, order)
            grown, is_opening = max(Decimal(0), order.lots - own), False
        else:
            root = self._new_root(order, root_id)
            grown, is_opening = order.lots, True
        since = self.doubts.settle("grown", root.root)
        self.moved(root.symbol, root.side, grown, since, is_opening=is_opening)
        root.copy = copy
        opened_at_utc = order.opened_at_utc or to_utc(
            order.opened_at_broker, look.clock_offset_minutes
        )
        message = PositionOpened(
            account=self.book.account,
            root=root.root,
            ticket=order.ticket,
            symbol=order.symbol,
            side=order.kind.side,
            lots=order.lots,
            open_price=order.open_price,
            opened_at_broker=order.opened_at_broker,
            opened_at_utc=opened_at_utc,
            seen=seen or look.seen,
            seen_at_utc=look.at_utc,
            deal=Deal(
                ticket=order.deal or order.ticket,
                sequence=_count(root),
                lots=order.lots,
                price=order.open_price,
                # MT5 charges on entry; MT4 writes the whole commission on the row of the close.
                commission=order.commission if self.is_mt5 else Decimal(0),
                entry_cost=order.commission if self.is_mt5 else Decimal(0),
                time_broker=order.opened_at_broker,
                time_utc=opened_at_utc,
            ),
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            magic=order.magic,
            comment=order.comment,
            from_pending=pending is not None,
            copy=copy,
            context=look.contexts.get(order.symbol),
        )
        self._tell(self._opens, root, message, "opened", root.root)
        return root

    def increased(self, root: Root, order: OpenOrder) -> None:
        """By the list; the price of what was added follows from the two averages."""
        look, lots = self.look, order.lots
        added = lots - root.open_lots
        price = (order.open_price * lots - root.open_price * root.open_lots) / added
        if price <= 0:
            price = order.open_price
        self._remember_volume(root)
        root.increases += 1
        root.ever_lots += added
        root.rest_lots = max(Decimal(0), root.rest_lots - added)
        root.open_lots, root.open_price = lots, order.open_price
        self.moved(root.symbol, root.side, added, self.doubts.settle("grown", root.root))
        root.deal = order.deal or root.deal
        message = PositionIncreased(
            account=self.book.account,
            root=root.root,
            ticket=order.ticket,
            symbol=root.symbol,
            side=root.side,
            leg=root.increases,
            lots=added,
            open_lots=lots,
            ever_lots=root.ever_lots,
            seen=look.seen,
            seen_at_utc=look.at_utc,
            deal=Deal(
                ticket=made_number("in", root, root.ever_lots),
                sequence=_count(root),
                lots=added,
                price=rounded(price, order.open_price, order.digits),
                time_broker=self._now_at_broker(),
                time_utc=look.at_utc,
            ),
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            copy=root.copy,
            context=look.contexts.get(root.symbol),
        )
        self._tell(self._opens, root, message, "increased", root.root, plain(root.ever_lots))

    def reduced(
        self,
        root: Root,
        lots_left: Lots,
        *,
        piece: Piece | None,
        ticket: Ticket | None = None,
        price: Price | None = None,
        made_ticket: int | None = None,
    ) -> None:
        """Without a piece, its deal is made from what is known."""
        closed = root.open_lots - lots_left
        proved = piece.lots if piece is not None else Decimal(0)
        root.unrowed_lots += max(Decimal(0), closed - proved)
        at = None if piece is None else piece.row.closed_at_broker
        self.took(root, closed, proved, at, is_over=False)
        self._remember_volume(root)
        root.open_lots = lots_left
        if ticket is not None:
            self.book.retickets(root, ticket)
        message = self.reduction(root, *self.closing_deal(root, closed, piece, price, made_ticket))
        if piece is None:
            root.made = [*root.made, Made(message, closed)]
        closed_so_far = plain(root.ever_lots - lots_left)
        self._tell(self._closes, root, message, "reduced", root.root, closed_so_far)

    def reduction(self, root: Root, deal: Deal, reason: CloseReason) -> PositionReduced:
        return PositionReduced(
            account=self.book.account,
            root=root.root,
            ticket=root.ticket,
            open_lots=root.open_lots,
            ever_lots=root.ever_lots,
            seen_at_utc=self.look.at_utc,
            deal=deal,
            reason=reason,
        )

    def closed(
        self,
        root: Root,
        *,
        piece: Piece | None,
        price: Price | None = None,
        reason: CloseReason | None = None,
        seen: Seen | None = None,
    ) -> None:
        deal, told = self.closing_deal(root, root.open_lots, piece, price)
        if CloseReason.REVERSED not in (reason, told):  # else by what opened the other side
            at = None if piece is None else deal.time_broker
            self.took(root, root.open_lots, deal.lots, at, is_over=True)
        message = PositionClosed(
            account=self.book.account,
            root=root.root,
            ticket=root.ticket,
            symbol=root.symbol,
            side=root.side,
            seen=seen or self.look.seen,
            seen_at_utc=self.look.at_utc,
            deal=deal,
            reason=told if reason is None or told is not CloseReason.UNKNOWN else reason,
        )
        if piece is None:
            root.unrowed_lots += root.open_lots
            root.made = [*root.made, Made(message, root.open_lots)]
        self._tell(self._closes, root, message, "closed", root.root)
        self._remove(root, deal.time_broker)

    def closed_in_pieces(self, root: Root, pieces: Sequence[Piece]) -> None:
        """All but the last as reductions, as far as they leave something open. One row for all that was
        closed is also that of what was told without any; its money is told once.
        """
        more = pieces[-1].row.lots - root.open_lots
        if self.is_mt5 and len(pieces) == 1 and 0 < more == root.unrowed_lots:
            row, none = pieces[0].row, Decimal(0)
            pieces = [Piece(row, root.open_lots)]
            paid = replace(row, lots=more, profit=none, swap=none, commission=none, fee=none)
            made = with_row(root.made, paid) or []
            root.made = list(self.tell_whole(made, root.ticket, root.open_lots))
            root.unrowed_lots = none
        for at, piece in enumerate(pieces[:-1]):
            later = sum((other.lots for other in pieces[at + 1 :]), Decimal(0))
            if Decimal(0) < later < root.open_lots:
                self.reduced(root, later, piece=piece)
        self.closed(root, piece=pieces[-1])

    def tell_whole(self, made: Sequence[Made], ticket: Ticket, open_lots: Lots) -> Iterator[Made]:
        """What still lacks rows; the others are told again, by the name that they have."""
        for one in made:
            told = one.told
            if one.left > 0:
                yield one
                continue
            if isinstance(told, PositionReduced):
                told = replace(told, ticket=ticket, open_lots=open_lots)
            self.late.append(Fact(("late", told.root, told.deal.ticket), told))

    def levels(self, root: Root, order: OpenOrder) -> None:
        """Of a position: its stops, where they changed."""
        if order.stop_loss == root.stop_loss and order.take_profit == root.take_profit:
            return
        root.stop_loss, root.take_profit = order.stop_loss, order.take_profit
        message = PositionModified(
            account=self.book.account,
            root=root.root,
            ticket=root.ticket,
            stop_loss=root.stop_loss,
            take_profit=root.take_profit,
            seen_at_utc=self.look.at_utc,
        )
        self._tell(self._changes, root, message, "modified", root.root, *_revision(root))

    def took(
        self, root: Root, known: Lots, proved: Lots, at_broker: datetime | None, *, is_over: bool
    ) -> None:
        """A deal of more lots than a list showed less tells of a growth that no list showed; where
        something is left it may be newer than the deal. What was in doubt is one change: what is told
        with it is newer.
        """
        is_new = is_over or not known
        since = self.look.at_utc if is_new else self.doubts.settle("shrunk", root.root)
        hidden = max(Decimal(0), proved - known)
        self.moved(root.symbol, root.side, hidden, since, at_broker if is_over else None)
        self.moved(root.symbol, root.side, -max(known, proved), since, at_broker)

    def moved(
        self,
        symbol: str,
        side: Side,
        lots: Lots,
        since_utc: datetime | None = None,
        at_broker: datetime | None = None,
        *,
        is_opening: bool = False,
    ) -> None:
        """Netting: by how much, for the pending orders that became part of it; as it was first seen."""
        if not lots or not self.book.is_netting:
            return
        former = self.book.deltas.get(symbol, [])
        change = (lots * side.sign, since_utc or self.look.at_utc, at_broker, is_opening)
        self.book.deltas[symbol] = [*former, change][-PAST_CHANGES:]

    # --- pending orders -----------------------------------------------------------------------

    def placed(self, order: OpenOrder) -> Root:
        look = self.look
        root = self._new_root(order, RootId(str(order.ticket)))
        root.copy = look.copies.get(order.ticket)
        offset = look.clock_offset_minutes
        message = PendingPlaced(
            account=self.book.account,
            root=root.root,
            ticket=order.ticket,
            symbol=order.symbol,
            kind=order.kind,
            lots=order.lots,
            price=order.open_price,
            placed_at_broker=order.opened_at_broker,
            placed_at_utc=order.opened_at_utc or to_utc(order.opened_at_broker, offset),
            seen=look.seen,
            seen_at_utc=look.at_utc,
            stop_limit_price=order.stop_limit_price,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            expires_at_broker=order.expires_at_broker,
            expires_at_utc=_utc(order.expires_at_broker, offset),
            magic=order.magic,
            comment=order.comment,
            copy=root.copy,
            context=look.contexts.get(order.symbol),
        )
        self._tell(self._opens, root, message, "placed", root.root)
        return root

    def pending_levels(self, root: Root, order: OpenOrder) -> None:
        """Where they changed. A stop-limit whose stop was reached is from then on a limit."""
        before = (root.kind, *_state(root))
        after = (order.kind, *_state(order))
        if before == after:
            return
        root.kind, root.open_price = order.kind, order.open_price
        root.stop_limit_price = order.stop_limit_price
        root.stop_loss, root.take_profit = order.stop_loss, order.take_profit
        root.expires_at_broker = order.expires_at_broker
        message = PendingModified(
            account=self.book.account,
            root=root.root,
            ticket=root.ticket,
            price=root.open_price,
            seen_at_utc=self.look.at_utc,
            stop_limit_price=root.stop_limit_price,
            stop_loss=root.stop_loss,
            take_profit=root.take_profit,
            expires_at_broker=root.expires_at_broker,
            expires_at_utc=_utc(root.expires_at_broker, self.look.clock_offset_minutes),
        )
        self._tell(self._changes, root, message, "modified", root.root, *_revision(root))

    def pending_removed(self, root: Root, reason: str, at_broker: datetime | None) -> None:
        self._tell_removed(root, reason)
        self._remove(root, at_broker)

    def merged(self, root: Root) -> None:
        """Into the symbol's position, which is told of it: its order is gone."""
        self._tell_removed(root, "merged")
        self._remove(root, None, merged=True)

    def never_merged(self, ticket: Ticket, symbol: str, side: Side) -> None:
        """It was cancelled, or is a trade of its own: the change that it was taken for is another's."""
        closed = self.book.closed.get(self.book.closed_tickets.get(ticket, RootId("")))
        if closed is not None and closed.merged:
            self.book.bury(replace(closed, merged=False))
            self.moved(symbol, side, closed.lots)

    def rest_removed(self, root: Root, reason: str) -> None:
        """Of an order that filled in part: the position stands."""
        root.rest_lots = Decimal(0)
        self._tell_removed(root, reason or "deleted")

    def _tell_removed(self, root: Root, reason: str) -> None:
        message = PendingRemoved(
            account=self.book.account,
            root=root.root,
            ticket=root.ticket,
            seen_at_utc=self.look.at_utc,
            reason=reason,
        )
        self._tell(self._closes, root, message, "removed", root.root)

    # --- money --------------------------------------------------------------------------------

    def balance(self, operation: BalanceOperation) -> None:
        """The identity is the import's as well: one ticket, one fact."""
        message = BalanceChanged(
            account=self.book.account,
            ticket=operation.ticket,
            kind=operation.kind,
            amount=operation.amount,
            time_broker=operation.time_broker,
            seen=self.look.seen,
            seen_at_utc=self.look.at_utc,
            comment=operation.comment,
        )
        self._closes.append(Fact(("balance", operation.ticket), message))

    # --- inner --------------------------------------------------------------------------------

    def touch(self, root: Root) -> None:
        self.changed[root.root] = None

    def _new_root(self, order: OpenOrder, root_id: RootId) -> Root:
        root = Root(
            root=root_id,
            ticket=order.ticket,
            tickets=[order.ticket],
            symbol=order.symbol,
            kind=order.kind,
            open_lots=order.lots,
            ever_lots=order.lots,
            open_price=order.open_price,
            opened_at_broker=order.opened_at_broker,
            first_seen_at_utc=self.look.at_utc,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            stop_limit_price=order.stop_limit_price,
            expires_at_broker=order.expires_at_broker,
            magic=order.magic,
            comment=order.comment,
            identifier=order.identifier,
            deal=order.deal,
        )
        self.book.add(root)
        return root

    def _fill(self, root: Root, order: OpenOrder) -> None:
        message = PendingFilled(
            account=self.book.account,
            root=root.root,
            ticket=root.ticket,
            seen_at_utc=self.look.at_utc,
        )
        self._tell(self._opens, root, message, "filled", root.root)
        root.kind = order.kind
        if self.is_mt5:
            root.rest_lots = max(Decimal(0), root.open_lots - order.lots)
        root.open_lots = root.ever_lots = order.lots
        root.open_price, root.opened_at_broker = order.open_price, order.opened_at_broker
        root.stop_loss, root.take_profit = order.stop_loss, order.take_profit
        root.stop_limit_price = root.expires_at_broker = None
        root.identifier = order.identifier or root.identifier
        root.deal = order.deal or root.deal
        self.book.retickets(root, order.ticket)
        self.book.add(root)

    def closing_deal(
        self,
        root: Root,
        lots: Lots,
        piece: Piece | None,
        price: Price | None = None,
        made_ticket: int | None = None,
    ) -> tuple[Deal, CloseReason]:
        look = self.look
        if piece is None:
            name = made_number("out", root, root.ever_lots - root.open_lots)
            deal = Deal(
                ticket=made_ticket if made_ticket is not None else name,
                sequence=_count(root),
                lots=lots,
                price=price if price is not None else root.open_price,
                time_broker=self._now_at_broker(),
                time_utc=look.at_utc,
            )
            return deal, CloseReason.UNKNOWN
        row = piece.row
        deal = Deal(
            ticket=row.deal,
            sequence=_count(root),
            lots=piece.lots,
            price=row.close_price,
            profit=row.profit,
            swap=row.swap,
            commission=row.commission,
            fee=row.fee,
            entry_cost=row.entry_cost,
            time_broker=row.closed_at_broker,
            time_utc=evidence.closed_at_utc(row, look.clock_offset_minutes),
        )
        root.spend(evidence.key(row))
        self.book.name(root, row.ticket)
        return deal, evidence.reason(row)

    def _now_at_broker(self) -> datetime | None:
        """While its clock is not known: when the newest of what stands there was opened, no later."""
        known = to_broker(self.look.at_utc, self.look.clock_offset_minutes)
        return known or max((r.opened_at_broker for r in self.book.roots.values()), default=None)

    def _remember_volume(self, root: Root) -> None:
        root.past = [*root.past, (root.open_lots, root.open_price)][-PAST_VOLUMES:]

    def _remove(self, root: Root, at_broker: datetime | None, *, merged: bool = False) -> None:
        look = self.look
        at_broker = at_broker or to_broker(look.at_utc, look.clock_offset_minutes)
        self.book.remove(root, at_broker, merged=merged)
        self.gone[root.root] = None
        if self.book.is_netting and not root.is_pending:
            self.book.lifecycle(root.symbol).rows_until = root.newest_row

    def _tell(
        self, phase: list[Fact], root: Root, message: OrderEvent, *identity: str | int
    ) -> None:
        if isinstance(message, PositionOpened | PendingPlaced):
            self._opened_now.add(root.root)
        elif root.root in self._opened_now:
            phase = self._opens
        phase.append(Fact(identity, message))
        self.changed[root.root] = None


def _count(root: Root) -> int:
    root.deals += 1
    return root.deals - 1


def _revision(root: Root) -> tuple[int, str]:
    root.revision += 1
    state = _state(root) if root.is_pending else (root.stop_loss, root.take_profit)
    parts = (plain(part) if isinstance(part, Decimal) else part for part in state)
    return root.revision, digest(*parts)


def _state(of: Root | OpenOrder) -> tuple[object, ...]:
    return (of.open_price, of.stop_limit_price, of.stop_loss, of.take_profit, of.expires_at_broker)


def _utc(broker: datetime | None, offset_minutes: int | None) -> datetime | None:
    return None if broker is None else to_utc(broker, offset_minutes)
