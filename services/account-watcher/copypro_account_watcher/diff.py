"""What changed between the checkpoint and a look at the broker: order events, platform-neutral.

Pure, but for the book, which is changed in place. The list of open orders is the truth; a ticket
that vanished is closed only on positive evidence (a close in the frame, or in history), since an
empty or short list proves nothing. MT4's chains of tickets, netting's one position per symbol and
partly filled orders end here: what comes out speaks of roots.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from decimal import Decimal

from copypro import messages as m
from copypro.messages import Context, Deal, OrderEvent, Seen
from copypro.trading import BalanceOperation, ClosedOrder, CloseReason, OpenOrder
from copypro.values import AccountId, CopyId, Lots, Mode, Platform, RootId, Side, Ticket, tag_in
from msgspec import Struct

from copypro_account_watcher.book import Book, Root
from copypro_account_watcher.clock import to_utc

__all__ = ["Book", "Fact", "Look", "Result", "Root", "diff", "new_symbols"]

_FROM = re.compile(r"from #(\d+)")


class Look(Struct, kw_only=True):
    """One look: the whole list of open orders, and whatever evidence of closes came with it."""

    orders: tuple[OpenOrder, ...]
    seen: Seen
    at_utc: datetime
    closed: tuple[ClosedOrder, ...] = ()
    operations: tuple[BalanceOperation, ...] = ()
    contexts: Mapping[str, Context] = {}
    copies: Mapping[Ticket, CopyId] = {}
    """Tickets that are legs of our own copies."""
    withheld: Set[tuple[str, Side]] = frozenset()
    """While an attempt to open is unanswered, unmatched positions of its symbol and side wait."""
    clock_offset_minutes: int | None = None
    missed_since_utc: datetime | None = None
    """Unknown trades in `closed` that opened after this were missed; older ones are the past."""


class Fact(Struct, frozen=True):
    identity: tuple[str | int, ...]
    message: OrderEvent


class Result(Struct, frozen=True, kw_only=True):
    facts: tuple[Fact, ...]
    changed: tuple[RootId, ...]
    gone: tuple[RootId, ...]
    missing: tuple[Ticket, ...]
    """Vanished without evidence: nothing is said of them until history shows what happened."""
    unknown_tags: tuple[OpenOrder, ...]


def new_symbols(book: Book, orders: Sequence[OpenOrder]) -> set[str]:
    """Symbols of orders that are not known yet: their context is needed before `diff`."""
    known = book.by_ticket
    return {order.symbol for order in orders if order.ticket not in known}


def diff(book: Book, look: Look) -> Result:
    return _Diff(book, look).run()


class _Diff:
    def __init__(self, book: Book, look: Look) -> None:
        self.book, self.look = book, look
        self.facts: list[Fact] = []
        self.changed: dict[RootId, None] = {}
        self.gone: dict[RootId, None] = {}
        self.listed = {order.ticket: order for order in look.orders}
        self.unknown_tags: list[OpenOrder] = []

    def run(self) -> Result:
        for operation in self.look.operations:
            self._operation(operation)
        self._follow_chains()
        for piece in self.look.closed:
            self._closed_piece(piece)
        for order in self.look.orders:
            self._order(order)
        missing = self._missing()
        if self.book.strangers:
            strangers = {self.book.roots[root].ticket for root in self.book.strangers}
            self.unknown_tags = [o for o in self.look.orders if o.ticket in strangers]
        return Result(
            facts=tuple(self.facts),
            changed=tuple(root for root in self.changed if root not in self.gone),
            gone=tuple(self.gone),
            missing=missing,
            unknown_tags=tuple(self.unknown_tags),
        )

    # --- MT4: the rest of a partly closed ticket has another ticket ---------------------------

    def _follow_chains(self) -> None:
        """Before anything is taken for new or vanished: link rests to the tickets they came from."""
        if self.book.platform is not Platform.MT4:
            return
        vanished = [
            root
            for root in self.book.roots.values()
            if not root.kind.is_pending and root.ticket not in self.listed
        ]
        if not vanished:
            return
        for order in self.look.orders:
            if order.ticket in self.book.by_ticket or self.book.is_dead(order.ticket):
                continue
            root = self._root_of_rest(order, vanished)
            if root is not None:
                vanished.remove(root)
                self._continued(root, order)

    def _root_of_rest(self, order: OpenOrder, vanished: list[Root]) -> Root | None:
        origin = _FROM.search(order.comment)
        if origin is not None:
            ticket = Ticket(int(origin.group(1)))
            return next((root for root in vanished if root.ticket == ticket), None)
        return next(
            (
                root
                for root in vanished
                if root.symbol == order.symbol
                and root.kind is order.kind
                and root.open_price == order.open_price
                and root.opened_at_broker == order.opened_at_broker
                and root.magic == order.magic
                and order.lots < root.open_lots
            ),
            None,
        )

    def _continued(self, root: Root, order: OpenOrder) -> None:
        old = root.ticket
        piece = next((p for p in self.look.closed if p.ticket == old), None)
        piece = piece or self.book.partly.pop(old, None)
        closed_lots = root.open_lots - order.lots
        self.book.move(root, order.ticket)
        if closed_lots > 0:
            deal = self._closing_deal(root, closed_lots, piece, order)
            self._reduced(root, order, deal, piece.reason if piece else CloseReason.UNKNOWN)
        root.closing_deals.append(old)
        self.changed[root.root] = None

    # --- evidence of closes --------------------------------------------------------------------

    def _closed_piece(self, piece: ClosedOrder) -> None:
        book = self.book
        root_id = book.by_ticket.get(piece.ticket)
        if root_id is None and book.mode is Mode.NETTING and not piece.cancelled:
            root_id = book.by_symbol.get(piece.symbol)
        if root_id is None and book.platform is Platform.MT4:
            root_id = self._chained(piece)
        if root_id is None:
            self._unknown_piece(piece)
            return
        root = book.roots[root_id]
        if piece.deal in root.closing_deals:
            return
        if root.kind.is_pending:
            if piece.cancelled and piece.ticket not in self.listed:
                self._pending_removed(root, piece.comment)
            return
        if piece.cancelled or self._still_stands(root):
            return  # what is left is in the list, and the list says how much
        if book.platform is Platform.MT4 and 0 < piece.lots < root.open_lots:
            # Part of it: the rest has another ticket, which this look does not show.
            book.partly[piece.ticket] = piece
            return
        if piece.closed_at_broker < root.opened_at_broker:
            return
        self._closed(root, piece)

    def _chained(self, piece: ClosedOrder) -> RootId | None:
        """MT4: the piece is a rest that was opened and closed again between two looks."""
        origin = _FROM.search(piece.comment)
        for ticket, first in self.book.partly.items():
            root_id = self.book.by_ticket.get(ticket)
            if root_id is None:
                continue
            root = self.book.roots[root_id]
            same = (
                piece.symbol == root.symbol
                and piece.kind is root.kind
                and piece.open_price == root.open_price
                and piece.opened_at_broker == root.opened_at_broker
            )
            if root.ticket == ticket and (
                same or (origin is not None and int(origin.group(1)) == ticket)
            ):
                del self.book.partly[ticket]
                self.book.move(root, piece.ticket)
                root.open_lots -= first.lots
                root.closing_deals.append(ticket)
                self.changed[root.root] = None
                return root.root
        return None

    def _still_stands(self, root: Root) -> bool:
        if root.ticket in self.listed:
            return True
        if self.book.mode is not Mode.NETTING:
            return False
        return any(
            order.symbol == root.symbol and not order.kind.is_pending for order in self.look.orders
        )

    def _unknown_piece(self, piece: ClosedOrder) -> None:
        """Opened and closed between two looks: recorded as missed, never copied."""
        since, look = self.look.missed_since_utc, self.look
        if piece.cancelled or piece.kind.is_pending or self.book.is_dead(piece.ticket):
            return
        if self.book.mode is Mode.NETTING or since is None or piece.lots <= 0:
            return
        opened_at = piece.opened_at_utc or to_utc(
            piece.opened_at_broker, look.clock_offset_minutes, look.at_utc
        )
        if opened_at is None or opened_at < since or piece.ticket in look.copies:
            return
        if _FROM.search(piece.comment) is not None:
            return
        root = RootId(str(piece.ticket))
        opened = m.PositionOpened(
            account=self._account,
            root=root,
            ticket=piece.ticket,
            symbol=piece.symbol,
            side=piece.kind.side,
            lots=piece.lots,
            open_price=piece.open_price,
            opened_at_broker=piece.opened_at_broker,
            opened_at_utc=opened_at,
            seen=Seen.MISSED,
            seen_at_utc=look.at_utc,
            deal=Deal(ticket=piece.ticket, sequence=0, lots=piece.lots, price=piece.open_price),
            magic=piece.magic,
            comment=piece.comment,
        )
        self._fact(("opened", root, 0), opened)
        closed = m.PositionClosed(
            account=self._account,
            root=root,
            ticket=piece.ticket,
            symbol=piece.symbol,
            side=piece.kind.side,
            seen=Seen.MISSED,
            seen_at_utc=look.at_utc,
            deal=_deal(piece, 1, piece.lots, look),
            reason=piece.reason,
        )
        self._fact(("closed", root), closed)
        self.book.bury(piece.ticket)

    # --- the list -------------------------------------------------------------------------------

    def _order(self, order: OpenOrder) -> None:
        root = self.book.of_order(order)
        if root is None:
            self._new(order)
        elif root.kind.is_pending and not order.kind.is_pending:
            self._filled(root, order)
        elif root.kind.is_pending:
            self._pending_changed(root, order)
        elif order.kind.is_pending:
            return
        elif root.kind.side is not order.kind.side:
            self._reversed(root, order)
        else:
            self._position_changed(root, order)

    def _new(self, order: OpenOrder) -> None:
        book, look = self.book, self.look
        if book.is_dead(order.ticket):
            return
        if book.platform is Platform.MT4:
            origin = _FROM.search(order.comment)
            if origin is not None and book.is_dead(Ticket(int(origin.group(1)))):
                return
        copy = look.copies.get(order.ticket)
        if copy is None and (order.symbol, order.kind.side) in look.withheld:
            return
        root = Root(
            root=self._root_id(order),
            tickets=[order.ticket],
            symbol=order.symbol,
            kind=order.kind,
            open_lots=order.lots,
            ever_lots=order.lots,
            open_price=order.open_price,
            opened_at_broker=order.opened_at_broker,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            stop_limit_price=order.stop_limit_price,
            expires_at_broker=order.expires_at_broker,
            magic=order.magic,
            comment=order.comment,
            copy=copy,
            stranger=copy is None and tag_in(order.comment) is not None,
        )
        book.add(root)
        self.changed[root.root] = None
        if order.kind.is_pending:
            self._fact(("placed", root.root), self._placed(root, order))
        else:
            self._opened(root, order, from_pending=False)

    def _root_id(self, order: OpenOrder) -> RootId:
        if self.book.mode is Mode.NETTING and not order.kind.is_pending:
            lifecycle = self.book.next_lifecycle(order.symbol)
            return RootId(f"{order.symbol}:{lifecycle}:{order.ticket}")
        return RootId(str(order.identifier or order.ticket))

    def _opened(self, root: Root, order: OpenOrder, *, from_pending: bool) -> None:
        look = self.look
        opened = m.PositionOpened(
            account=self._account,
            root=root.root,
            ticket=order.ticket,
            symbol=order.symbol,
            side=order.kind.side,
            lots=order.lots,
            open_price=order.open_price,
            opened_at_broker=order.opened_at_broker,
            opened_at_utc=self._utc(order),
            seen=look.seen,
            seen_at_utc=look.at_utc,
            deal=self._opening_deal(order, 0, order.lots, order.open_price),
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            magic=order.magic,
            comment=order.comment,
            from_pending=from_pending,
            copy=root.copy,
            context=look.contexts.get(order.symbol),
        )
        self._fact(("opened", root.root, 0), opened)

    def _filled(self, root: Root, order: OpenOrder) -> None:
        if self.book.mode is Mode.NETTING:
            existing = self.book.by_symbol.get(order.symbol)
            if existing is not None and existing != root.root:
                self._pending_removed(root, "MERGED")
                self._order(order)
                return
        filled = m.PendingFilled(
            account=self._account,
            root=root.root,
            ticket=order.ticket,
            seen_at_utc=self.look.at_utc,
        )
        self._fact(("filled", root.root), filled)
        root.kind, root.open_price = order.kind, order.open_price
        root.open_lots = root.ever_lots = order.lots
        root.opened_at_broker = order.opened_at_broker
        root.stop_loss, root.take_profit = order.stop_loss, order.take_profit
        self.book.add(root)
        self.changed[root.root] = None
        self._opened(root, order, from_pending=True)

    def _position_changed(self, root: Root, order: OpenOrder) -> None:
        if order.ticket != root.ticket:
            self.book.move(root, order.ticket)
            self.changed[root.root] = None
        if order.lots > root.open_lots:
            self._increased(root, order)
        elif order.lots < root.open_lots:
            piece = next((p for p in self.look.closed if p.ticket == order.ticket), None)
            deal = self._closing_deal(root, root.open_lots - order.lots, piece, order)
            self._reduced(root, order, deal, piece.reason if piece else CloseReason.UNKNOWN)
        if (order.stop_loss, order.take_profit) != (root.stop_loss, root.take_profit):
            root.stop_loss, root.take_profit = order.stop_loss, order.take_profit
            root.revision += 1
            self.changed[root.root] = None
            modified = m.PositionModified(
                account=self._account,
                root=root.root,
                ticket=order.ticket,
                stop_loss=order.stop_loss,
                take_profit=order.take_profit,
                seen_at_utc=self.look.at_utc,
            )
            self._fact(("modified", root.root, root.revision), modified)

    def _increased(self, root: Root, order: OpenOrder) -> None:
        added = order.lots - root.open_lots
        # The average moved from the old price to the new one: what the addition must have cost.
        spent = order.open_price * order.lots - root.open_price * root.open_lots
        price = spent / added if self.book.mode is Mode.NETTING else order.open_price
        root.open_lots, root.ever_lots = order.lots, root.ever_lots + added
        root.open_price = order.open_price
        root.legs += 1
        root.deals += 1
        self.changed[root.root] = None
        increased = m.PositionIncreased(
            account=self._account,
            root=root.root,
            ticket=order.ticket,
            symbol=root.symbol,
            side=root.side,
            leg=root.legs,
            lots=added,
            open_lots=root.open_lots,
            ever_lots=root.ever_lots,
            seen=self.look.seen,
            seen_at_utc=self.look.at_utc,
            deal=self._opening_deal(order, root.deals - 1, added, price),
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            copy=root.copy,
            context=self.look.contexts.get(order.symbol),
        )
        self._fact(("increased", root.root, str(root.ever_lots)), increased)

    def _reduced(self, root: Root, order: OpenOrder, deal: Deal, reason: CloseReason) -> None:
        root.open_lots = order.lots
        root.deals += 1
        if deal.ticket != order.ticket:
            root.closing_deals.append(deal.ticket)
        self.changed[root.root] = None
        reduced = m.PositionReduced(
            account=self._account,
            root=root.root,
            ticket=order.ticket,
            open_lots=order.lots,
            ever_lots=root.ever_lots,
            seen_at_utc=self.look.at_utc,
            deal=deal,
            reason=reason,
        )
        self._fact(("reduced", root.root, str(order.lots), str(root.ever_lots)), reduced)

    def _reversed(self, root: Root, order: OpenOrder) -> None:
        """Netting's INOUT: the old lifecycle ends, the excess is a new root."""
        deal = Deal(
            ticket=order.deal or order.ticket,
            sequence=root.deals,
            lots=root.open_lots,
            price=order.open_price,
        )
        self._close(root, deal, CloseReason.REVERSED)
        self._new(order)

    def _closed(self, root: Root, piece: ClosedOrder) -> None:
        lots = root.open_lots
        self._close(root, _deal(piece, root.deals, lots, self.look), piece.reason)

    def _close(self, root: Root, deal: Deal, reason: CloseReason) -> None:
        closed = m.PositionClosed(
            account=self._account,
            root=root.root,
            ticket=root.ticket,
            symbol=root.symbol,
            side=root.side,
            seen=self.look.seen,
            seen_at_utc=self.look.at_utc,
            deal=deal,
            reason=reason,
        )
        self._fact(("closed", root.root), closed)
        self.book.remove(root)
        self.gone[root.root] = None

    # --- pending orders ----------------------------------------------------------------------

    def _placed(self, root: Root, order: OpenOrder) -> m.PendingPlaced:
        look = self.look
        return m.PendingPlaced(
            account=self._account,
            root=root.root,
            ticket=order.ticket,
            symbol=order.symbol,
            kind=order.kind,
            lots=order.lots,
            price=order.open_price,
            placed_at_broker=order.opened_at_broker,
            placed_at_utc=self._utc(order),
            seen=look.seen,
            seen_at_utc=look.at_utc,
            stop_limit_price=order.stop_limit_price,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            expires_at_broker=order.expires_at_broker,
            expires_at_utc=to_utc(order.expires_at_broker, look.clock_offset_minutes, look.at_utc),
            magic=order.magic,
            comment=order.comment,
            copy=root.copy,
            context=look.contexts.get(order.symbol),
        )

    def _pending_changed(self, root: Root, order: OpenOrder) -> None:
        now = (
            order.open_price,
            order.stop_limit_price,
            order.stop_loss,
            order.take_profit,
            order.expires_at_broker,
        )
        known = (
            root.open_price,
            root.stop_limit_price,
            root.stop_loss,
            root.take_profit,
            root.expires_at_broker,
        )
        if now == known:
            return
        root.open_price, root.stop_limit_price = order.open_price, order.stop_limit_price
        root.stop_loss, root.take_profit = order.stop_loss, order.take_profit
        root.expires_at_broker = order.expires_at_broker
        root.revision += 1
        self.changed[root.root] = None
        look = self.look
        modified = m.PendingModified(
            account=self._account,
            root=root.root,
            ticket=order.ticket,
            price=order.open_price,
            seen_at_utc=look.at_utc,
            stop_limit_price=order.stop_limit_price,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            expires_at_broker=order.expires_at_broker,
            expires_at_utc=to_utc(order.expires_at_broker, look.clock_offset_minutes, look.at_utc),
        )
        self._fact(("pending modified", root.root, root.revision), modified)

    def _pending_removed(self, root: Root, reason: str) -> None:
        removed = m.PendingRemoved(
            account=self._account,
            root=root.root,
            ticket=root.ticket,
            seen_at_utc=self.look.at_utc,
            reason=reason,
        )
        self._fact(("removed", root.root), removed)
        self.book.remove(root)
        self.gone[root.root] = None

    # --- the rest ---------------------------------------------------------------------------

    def _missing(self) -> tuple[Ticket, ...]:
        if self.book.mode is Mode.NETTING:
            return tuple(
                root.ticket
                for root in self.book.roots.values()
                if (
                    root.ticket not in self.listed
                    if root.kind.is_pending
                    else not self._still_stands(root)
                )
            )
        return tuple(
            root.ticket for root in self.book.roots.values() if root.ticket not in self.listed
        )

    def _operation(self, operation: BalanceOperation) -> None:
        if self.book.knows_operation(operation.ticket):
            return
        self.book.note_operation(operation.ticket)
        changed = m.BalanceChanged(
            account=self._account,
            ticket=operation.ticket,
            kind=operation.kind,
            amount=operation.amount,
            time_broker=operation.time_broker,
            seen=self.look.seen,
            seen_at_utc=self.look.at_utc,
            comment=operation.comment,
        )
        self._fact(("balance", operation.ticket), changed)

    def _closing_deal(
        self, root: Root, lots: Lots, piece: ClosedOrder | None, order: OpenOrder
    ) -> Deal:
        if piece is not None:
            return _deal(piece, root.deals, lots, self.look)
        price = order.market_price or order.open_price
        return Deal(ticket=order.ticket, sequence=root.deals, lots=lots, price=price)

    def _opening_deal(self, order: OpenOrder, sequence: int, lots: Lots, price: Decimal) -> Deal:
        return Deal(
            ticket=order.deal or order.ticket,
            sequence=sequence,
            lots=lots,
            price=price,
            commission=order.commission if sequence == 0 else Decimal(0),
            time_broker=order.opened_at_broker,
            time_utc=self._utc(order),
        )

    def _utc(self, order: OpenOrder) -> datetime | None:
        return order.opened_at_utc or to_utc(
            order.opened_at_broker, self.look.clock_offset_minutes, self.look.at_utc
        )

    @property
    def _account(self) -> AccountId:
        return self.book.account

    def _fact(self, identity: tuple[str | int, ...], message: OrderEvent) -> None:
        self.facts.append(Fact(identity, message))


def _deal(piece: ClosedOrder, sequence: int, lots: Lots, look: Look) -> Deal:
    return Deal(
        ticket=piece.deal,
        sequence=sequence,
        lots=lots,
        price=piece.close_price,
        profit=piece.profit,
        swap=piece.swap,
        commission=piece.commission,
        fee=piece.fee,
        time_broker=piece.closed_at_broker,
        time_utc=piece.closed_at_utc
        or to_utc(piece.closed_at_broker, look.clock_offset_minutes, look.at_utc),
    )
