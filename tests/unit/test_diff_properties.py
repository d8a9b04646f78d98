"""A small broker makes up an account's day; its frames are lost, doubled and late, snapshots and
history repair. Whatever the delivery: the same roots, volumes and levels, and no fact twice.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from copypro.messages import (
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    Seen,
)
from copypro.trading import ClosedOrder, OpenOrder
from copypro.values import Mode, OrderKind, Platform
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from tests.examples import examples
from tests.unit.diff_builders import D, Watch, broker, order, row

SYMBOLS = ("EURUSD", "XAUUSD")
LOTS = ("0.10", "0.20", "0.30")


class Frame(Struct, frozen=True):
    orders: tuple[OpenOrder, ...]
    closed: tuple[ClosedOrder, ...]


class Broker:
    """Enough of one: every action changes the list, and leaves frames and rows behind."""

    def __init__(self, platform: Platform, mode: Mode, *, tags: bool, seconds: float = 3.0) -> None:
        """`seconds` between two acts."""
        self.platform, self.mode, self.tags, self.seconds = platform, mode, tags, seconds
        self.open: dict[int, OpenOrder] = {}
        self.roots: dict[int, int] = {}
        """Ticket → the first ticket of its chain."""
        self.positions: set[int] = set()
        self.rows: list[ClosedOrder] = []
        self.ticket, self.deal, self.at = 100, 9000, 1.0

    def act(self, action: tuple[str, int, str, str, int]) -> list[Frame]:
        what, which, symbol, lots, price = action
        self.at += self.seconds
        tickets = sorted(self.open)
        chosen = self.open[tickets[which % len(tickets)]] if tickets else None
        rows: list[ClosedOrder] = []
        if what in ("buy", "sell") or chosen is None:
            kind = OrderKind.SELL if what == "sell" else OrderKind.BUY
            self._market(symbol, kind, D(lots), f"1.{price}", rows)
        elif what == "pending":
            self._add(symbol, OrderKind.BUY_LIMIT, D(lots), f"0.{price}")
        elif what == "levels":
            target = D(f"2.{price}") if which % 3 else None
            self.open[chosen.ticket] = replace(
                chosen, stop_loss=D(f"0.{price}"), take_profit=target
            )
        elif chosen.kind.is_pending:
            self._pending(what, chosen, rows)
        elif what == "part" and chosen.lots > D("0.01"):
            self._close(chosen, D("0.01") * (1 + which % 3), rows)
        else:
            self._close(chosen, chosen.lots, rows)
        self.rows += rows
        frame = Frame(tuple(self.open.values()), tuple(rows))
        if len(rows) == 1 and self.platform is Platform.MT4 and which % 2:
            return [replace(frame, closed=()), frame]  # the rest's frame first
        return [frame]

    def _add(self, symbol: str, kind: OrderKind, lots: Decimal, price: str) -> None:
        self.ticket += 1
        self.open[self.ticket] = order(
            self.ticket, str(lots), kind, symbol=symbol, price=price, opened=self.at
        )
        self.roots[self.ticket] = self.ticket
        if not kind.is_pending:
            self.positions.add(self.ticket)

    def _market(
        self, symbol: str, kind: OrderKind, lots: Decimal, price: str, rows: list[ClosedOrder]
    ) -> None:
        net = next(
            (o for o in self.open.values() if o.symbol == symbol and not o.kind.is_pending), None
        )
        if self.mode is Mode.HEDGING or net is None:
            self._add(symbol, kind, lots, price)
        elif net.kind is kind:
            total = net.lots + lots
            average = (net.open_price * net.lots + D(price) * lots) / total
            self.open[net.ticket] = replace(net, lots=total, open_price=average)
        elif lots < net.lots:
            self._close(net, lots, rows)
        else:
            self._close(net, net.lots, rows)
            if lots > net.lots:
                self._add(symbol, kind, lots - net.lots, price)

    def _pending(self, what: str, pending: OpenOrder, rows: list[ClosedOrder]) -> None:
        del self.open[pending.ticket]
        net = [
            o for o in self.open.values() if o.symbol == pending.symbol and not o.kind.is_pending
        ]
        if what == "fill" and (self.mode is Mode.HEDGING or not net):
            filled = replace(pending, kind=OrderKind.BUY, opened_at_broker=broker(self.at))
            self.open[pending.ticket] = filled
            self.positions.add(pending.ticket)
        else:
            rows.append(self._row(pending, D(0), cancelled=True))

    def _close(self, position: OpenOrder, lots: Decimal, rows: list[ClosedOrder]) -> None:
        lots = min(lots, position.lots)
        piece = self._row(position, lots)
        left = position.lots - lots
        if left and self.platform is Platform.MT4:
            del self.open[position.ticket]
            self.ticket += 1
            comment = f"from #{position.ticket}" if self.tags else ""
            self.open[self.ticket] = replace(
                position, ticket=self.ticket, lots=left, comment=comment
            )
            self.roots[self.ticket] = self.roots[position.ticket]
            piece = replace(piece, comment=f"to #{self.ticket}" if self.tags else "")
        elif left:
            self.open[position.ticket] = replace(position, lots=left)
        else:
            del self.open[position.ticket]
        rows.append(piece)

    def _row(self, of: OpenOrder, lots: Decimal, *, cancelled: bool = False) -> ClosedOrder:
        self.deal += 1
        return replace(
            row(
                of.ticket,
                str(lots),
                of.kind,
                deal=of.ticket if self.platform is Platform.MT4 else self.deal,
                symbol=of.symbol,
                price=str(of.open_price),
                closed=self.at,
                cancelled=cancelled,
                profit=D(0) if cancelled else D(2 ** (self.deal - 9000)),
                comment=of.comment,
            ),
            opened_at_broker=of.opened_at_broker,
        )


ACTIONS = st.tuples(
    st.sampled_from(["buy", "sell", "buy", "part", "part", "close", "levels", "pending", "fill"]),
    st.integers(0, 9),
    st.sampled_from(SYMBOLS),
    st.sampled_from(LOTS),
    st.integers(1, 3),
)
FATES = st.sampled_from(["seen", "seen", "lost", "twice", "late", "snapshot", "history"])


def deliver(
    maker: Broker,
    watch: Watch,
    story: list[tuple[tuple[str, int, str, str, int], str]],
    *,
    reads_history: bool = True,
) -> None:
    """`reads_history`: as the agent does, at once when something is missing; else only at the end."""
    watch.starts()
    late: list[Frame] = []
    later: list[Frame] = []
    for action, fate in story:
        for frame in maker.act(action):
            watch.at = max(watch.at, maker.at)
            held, late, later = late, later, []
            match fate:
                case "seen" | "twice":
                    for _ in range(1 + (fate == "twice")):
                        watch.sees(*frame.orders, closed=frame.closed)
                case "late":
                    late = [*late, frame]
                case "very late":
                    later = [frame]
                case "snapshot":
                    watch.snapshot(*maker.open.values())
                case "history":
                    watch.reads_history(*maker.open.values(), closed=tuple(maker.rows))
                case "slow history":
                    watch.snapshot(*maker.open.values())
                    watch.later(2).snapshot(*maker.open.values())
            for former in held:
                watch.sees(*former.orders, closed=former.closed)
            if watch.result.missing and reads_history:
                watch.snapshot(*maker.open.values())
                watch.reads_history(*maker.open.values(), closed=tuple(maker.rows))
    watch.snapshot(*maker.open.values())
    for _ in range(6):
        watch.later(1.5).reads_history(*maker.open.values(), closed=tuple(maker.rows))


def check_state(maker: Broker, watch: Watch) -> None:
    known = {
        root.ticket: (root.symbol, root.kind, root.open_lots, root.stop_loss, root.take_profit)
        for root in watch.book.roots.values()
    }
    assert known == {
        o.ticket: (o.symbol, o.kind, o.lots, o.stop_loss, o.take_profit)
        for o in maker.open.values()
    }
    assert watch.result.missing == ()


def check_told(watch: Watch) -> None:
    """No fact twice; the lots that the events tell are the lots that the book has."""
    twice = [identity for identity, count in Counter(watch.identities).items() if count > 1]
    assert twice == []
    lots: dict[str, Decimal] = {}
    deals: dict[str, list[int]] = {}
    for event in watch.all:
        match event:
            case PositionOpened():
                assert event.root not in lots, "opened twice"
                lots[event.root] = event.lots
            case PositionIncreased():
                lots[event.root] += event.lots
                assert lots[event.root] == event.open_lots
            case PositionReduced():
                assert event.open_lots < lots[event.root]
                lots[event.root] = event.open_lots
            case PositionClosed():
                lots[event.root] = D(0)
            case _:
                continue
        deals.setdefault(event.root, []).append(event.deal.sequence)
    for event in watch.all_late:
        if event.root.startswith("late:"):
            continue
        assert isinstance(event, PositionReduced | PositionClosed)
        if event.deal.sequence not in deals[event.root]:
            deals[event.root].append(event.deal.sequence)
    assert all(sorted(numbers) == list(range(len(numbers))) for numbers in deals.values())
    positions = {r.root: r.open_lots for r in watch.book.roots.values() if not r.is_pending}
    assert {root: left for root, left in lots.items() if left} == positions


def check_money(maker: Broker, watch: Watch) -> None:
    """What the broker booked is told, whether its deals were told at once or late: each once."""
    told: dict[tuple[object, ...], Decimal] = {}
    for event in (*watch.all, *watch.all_late):
        if isinstance(event, PositionReduced | PositionClosed):
            deal = event.deal
            told[event.root, deal.ticket, deal.time_broker] = deal.profit
    booked = sum((piece.profit for piece in maker.rows), D(0))
    assert sum(told.values()) == booked
    assert watch.book.rows_owed() == []


def first_ticket(root: str) -> int:
    """On netting a root is named by its symbol and a number as well."""
    return int(root.rpartition(":")[2])


def check_roots(maker: Broker, watch: Watch) -> None:
    """Every position that ever stood was opened once under its first ticket, and closed if it is."""
    ever = {maker.roots[ticket] for ticket in maker.positions}
    still = {maker.roots[o.ticket] for o in maker.open.values() if not o.kind.is_pending}
    opened = {first_ticket(e.root) for e in watch.all if isinstance(e, PositionOpened)}
    closed = {first_ticket(e.root) for e in watch.all if isinstance(e, PositionClosed)}
    assert opened == ever
    assert closed == ever - still


def check_chains(maker: Broker, watch: Watch) -> None:
    """Without comments, or before history, a rest may be seen before what it is the rest of, and then is
    a root by itself: every position is told all the same, and nothing is told open that is closed.
    """
    ever = {maker.roots[ticket] for ticket in maker.positions}
    still = {maker.roots[o.ticket] for o in maker.open.values() if not o.kind.is_pending}
    opened = {e.root for e in watch.all if isinstance(e, PositionOpened)}
    closed = {e.root for e in watch.all if isinstance(e, PositionClosed)}
    assert {maker.roots[first_ticket(root)] for root in opened} == ever
    assert {maker.roots[first_ticket(root)] for root in opened - closed} == still


STORIES = st.lists(st.tuples(ACTIONS, FATES), max_size=25)
VERY_LATE = st.lists(st.tuples(ACTIONS, FATES | st.just("very late")), max_size=25)


@examples(450)
@given(VERY_LATE)
def test_mt5_hedging(story: list[tuple[tuple[str, int, str, str, int], str]]) -> None:
    maker, watch = Broker(Platform.MT5, Mode.HEDGING, tags=True), Watch()
    deliver(maker, watch, story)
    check_state(maker, watch)
    check_told(watch)
    check_roots(maker, watch)


@examples(450)
@given(STORIES)
def test_the_money_of_mt5_hedging(
    story: list[tuple[tuple[str, int, str, str, int], str]],
) -> None:
    maker, watch = Broker(Platform.MT5, Mode.HEDGING, tags=True), Watch()
    deliver(maker, watch, story)
    check_money(maker, watch)


@examples(450)
@given(STORIES)
def test_the_money_of_mt4(story: list[tuple[tuple[str, int, str, str, int], str]]) -> None:
    maker, watch = Broker(Platform.MT4, Mode.HEDGING, tags=True), Watch(Platform.MT4)
    deliver(maker, watch, story)
    check_money(maker, watch)


UNSEEN = st.sampled_from(["lost", "snapshot", "history"])


@examples(450)
@given(st.lists(st.tuples(ACTIONS, UNSEEN), max_size=25))
def test_the_money_of_mt5_netting(
    story: list[tuple[tuple[str, int, str, str, int], str]],
) -> None:
    """Without frames: what grew and shrank between two lists only history tells apart."""
    maker, watch = Broker(Platform.MT5, Mode.NETTING, tags=True), Watch(mode=Mode.NETTING)
    deliver(maker, watch, story)
    check_money(maker, watch)


@examples(450)
@given(STORIES)
def test_mt4_with_tags(story: list[tuple[tuple[str, int, str, str, int], str]]) -> None:
    maker, watch = Broker(Platform.MT4, Mode.HEDGING, tags=True), Watch(Platform.MT4)
    deliver(maker, watch, story)
    check_state(maker, watch)
    check_told(watch)
    check_roots(maker, watch)


AWAY = st.sampled_from(["lost", "lost", "snapshot", "history", "slow history"])


@examples(450)
@given(st.lists(st.tuples(ACTIONS, AWAY), max_size=25))
def test_mt4_trades_of_one_second(
    story: list[tuple[tuple[str, int, str, str, int], str]],
) -> None:
    """Many are alike. Nobody watches for a while, and then lists may come long before history."""
    maker = Broker(Platform.MT4, Mode.HEDGING, tags=True, seconds=0)
    watch = Watch(Platform.MT4)
    deliver(maker, watch, story)
    check_state(maker, watch)
    check_told(watch)
    check_chains(maker, watch)


@examples(450)
@given(STORIES, st.booleans())
def test_mt4_with_tags_lost(
    story: list[tuple[tuple[str, int, str, str, int], str]], reads_history: bool
) -> None:
    maker, watch = Broker(Platform.MT4, Mode.HEDGING, tags=False), Watch(Platform.MT4)
    deliver(maker, watch, story, reads_history=reads_history)
    check_state(maker, watch)
    check_told(watch)
    check_chains(maker, watch)


@examples(450)
@given(STORIES, st.booleans())
def test_mt5_netting(
    story: list[tuple[tuple[str, int, str, str, int], str]], reads_history: bool
) -> None:
    maker, watch = Broker(Platform.MT5, Mode.NETTING, tags=True), Watch(mode=Mode.NETTING)
    deliver(maker, watch, story, reads_history=reads_history)
    check_state(maker, watch)
    check_told(watch)
    if reads_history:  # else a close and a new open may look like a position under another ticket
        check_roots(maker, watch)


@examples(50)
@given(STORIES)
def test_the_same_looks_always_lead_to_the_same_facts(
    story: list[tuple[tuple[str, int, str, str, int], str]],
) -> None:
    watches = [Watch(Platform.MT4), Watch(Platform.MT4)]
    for watch in watches:
        deliver(Broker(Platform.MT4, Mode.HEDGING, tags=False), watch, story)
    assert watches[0].all == watches[1].all
    assert watches[0].identities == watches[1].identities


@examples(300)
@given(STORIES, st.sampled_from([Platform.MT4, Platform.MT5]))
def test_lists_alone_never_close_anything(
    story: list[tuple[tuple[str, int, str, str, int], str]], platform: Platform
) -> None:
    """Whatever the lists say, short or empty: without rows no hedging position is closed."""
    maker, watch = Broker(platform, Mode.HEDGING, tags=True), Watch(platform)
    watch.starts()
    for action, fate in story:
        for frame in maker.act(action):
            shown = frame.orders[: len(frame.orders) // 2] if fate == "lost" else frame.orders
            watch.sees(*shown, seen=Seen.MISSED if fate == "snapshot" else Seen.LIVE)
    watch.later(60).sees()
    assert [e for e in watch.all if isinstance(e, PositionClosed)] == []
