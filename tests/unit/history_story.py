"""A broker whose account's trades open and end by their owner's hand while the account is watched, removed,
added again and restarted; whose clock is put back and forward, and whose history comes late, cut or empty.
What each position's closings were is told once, as the broker has it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any

from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.account_history import listed_ticket_of
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.errors import Unavailable
from copypro.trading import (
    BalanceOperation,
    ClosedOrder,
    CloseReason,
    History,
    OpenOrder,
)
from copypro.values import Lots, Mode, OrderKind, Platform, Ticket
from copypro_stats.batch import Parts, batch_of
from msgspec import Struct
from msgspec.structs import replace

from tests.unit.slave_builders import D
from tests.unit.slave_story import KINDS, _fence
from tests.unit.watched import ACCOUNT, REGISTRATION, Watched, now, watched

REST_S = 400.0
"""Longer than history lags, and than anything waits for it."""
TICK_S = 3.0
TRADES = (
    "open",
    "open other",
    "close",
    "close part",
    "close all",
    "in and out",
    "pay in",
    "pay out",
)
OF_HEDGING = ("close by",)
OF_NETTING = ("add", "reverse")
CLOCKS = ("clock back", "clock forward")
ACCOUNTS = ("remove", "add", "again", "restart", "session lost")
BRIDGES = ("history late", "history cut", "history empty", "history away", "short list")
ACTS = (*TRADES, *OF_HEDGING, *OF_NETTING, *CLOCKS, *ACCOUNTS, *BRIDGES)
SHOWS = ("lists", "frame", "bare")
"""A frame that tells of the change: none, one with what it closed, one without."""
HOUR = timedelta(hours=1)
LAGS_S = 4.0
CUT_S = 30.0
SEEN = timedelta(seconds=12)
SOON_S = 12.0
"""By then a look was taken, and history read where that wanted it."""
COST = D("-0.07")
PRICES = (D("1.10000"), D("1.20000"))


class Position(Struct):
    """As the broker knows it, whatever tickets it has had."""

    number: int
    order: OpenOrder
    opened_at: datetime
    """By UTC."""
    is_paid: bool = False


class HistoryBroker:
    def __init__(self, kind: str, shows: Sequence[str], *, is_dated: bool = True) -> None:
        self.platform, self.mode = KINDS[kind]
        self.is_mt4, self.is_netting = self.platform is Platform.MT4, self.mode is Mode.NETTING
        self.apart_s = 0.3 if self.is_netting else 0.0
        self.is_dated = is_dated and not self.is_mt4
        """Its bridge tells when it was by UTC, too."""
        self.shows = list(shows)
        self.offset = timedelta(hours=2)
        self.number, self.profits = 100, 0
        self.open: dict[int, Position] = {}
        """By its ticket."""
        self.position_of: dict[int, int] = {}
        """By ticket; the rests of MT4's tickets are of the first one's."""
        self.rows: list[tuple[float, ClosedOrder]] = []
        """And since when history has them."""
        self.operations: list[tuple[float, BalanceOperation]] = []
        self.costs = D(0)
        self.balance = D(0)
        self.lags_s = 0.0
        self.cut = ""
        self.misbehaved = False
        self.story: list[str] = []
        self.added_at: list[float] = []
        self.closed_at: dict[int, float] = {}
        self.dies = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    # --- the bridge ---------------------------------------------------------------------------

    def attach(self, account: Watched) -> None:
        self.account, self.bridge = account, account.bridge
        self.bridge.tells = self._history
        self.dies = asyncio.Event()
        self._stands()
        self._spawn(self._ticks(account))

    @property
    def listed(self) -> tuple[OpenOrder, ...]:
        return tuple(position.order for position in self.open.values())

    def _stands(self) -> None:
        self.bridge.orders = self.listed
        self.bridge.balance = self.bridge.equity = self.balance

    async def _ticks(self, account: Watched) -> None:
        while self.account is account:
            account.bridge.tick(self.offset)
            await asyncio.sleep(TICK_S)

    def _history(self, since: datetime, until: datetime) -> History:
        moment = asyncio.get_running_loop().time()
        is_import = until - since > timedelta(days=30)
        if self.cut == "history away":
            raise Unavailable("HISTORY", "not now")
        rows = [
            row for at, row in self.rows if at <= moment and since <= row.closed_at_broker <= until
        ]
        paid = [
            one for at, one in self.operations if at <= moment and since <= one.time_broker <= until
        ]
        if is_import:
            return History(closed=tuple(rows), operations=tuple(paid))
        if self.cut == "history empty":
            rows, paid = [], []
        elif self.cut == "history cut":
            rows, paid = rows[: len(rows) // 2], paid[: len(paid) // 2]
        return History(closed=tuple(rows), operations=tuple(paid))

    def _at(self) -> datetime:
        return now().replace(tzinfo=None) + self.offset

    def _seen_from(self) -> float:
        return asyncio.get_running_loop().time() + self.lags_s

    def _spawn(self, what: Any) -> None:
        task = asyncio.create_task(what)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # --- what happens -------------------------------------------------------------------------

    async def does(self, act: str) -> None:
        self.story.append(f"{asyncio.get_running_loop().time():.1f} {act}")
        told = len(self.rows)
        if act in CLOCKS:
            await self._is_told()
            self._turns(act)
        elif act in ACCOUNTS:
            await self._of_account(act)
        elif act in BRIDGES:
            self._misbehaves(act)
        elif act != "settle":
            self._trades(act)
            self._show([row for _, row in self.rows[told:]])

    async def _is_told(self) -> None:
        """Until history has told all that the list shows: by another clock it may seem older than the first
        look.
        """
        await asyncio.sleep(2 * CUT_S if self.misbehaved else SOON_S)

    def _turns(self, act: str) -> None:
        self.offset += HOUR if act == "clock forward" else -HOUR

    async def _of_account(self, act: str) -> None:
        if act == "restart":
            self.dies.set()
        elif act == "session lost":
            self.bridge.ends_session(2.0)
        if act in ("remove", "again"):
            await self.account.command(m.RemoveAccount(account=ACCOUNT, registration=REGISTRATION))
        if act in ("add", "again"):
            self.added_at.append(asyncio.get_running_loop().time())
            await self.account.register()

    def _misbehaves(self, act: str) -> None:
        self.misbehaved = True
        if act == "history late":
            self.lags_s = LAGS_S
        elif act == "short list":
            self._spawn(self._is_short())
        else:
            self._spawn(self._is_cut(act))

    async def _is_cut(self, act: str) -> None:
        self.cut = act
        await asyncio.sleep(CUT_S)
        self.cut = "" if self.cut == act else self.cut

    async def _is_short(self) -> None:
        account, bridge = self.account, self.bridge
        bridge.orders, taken = (), bridge.snapshots
        await account.until(lambda: bridge.snapshots > taken or self.account is not account)
        self._stands()

    def _show(self, closed: Sequence[ClosedOrder]) -> None:
        how = self.shows.pop(0) if self.shows else "lists"
        if self.is_netting:  # what frames miss of one position is another story
            how = "frame"
        self.story[-1] += f" ({how})"
        row = closed[-1] if closed else None
        self._stands()
        if how == "frame":
            self.bridge.frame(row)
        elif how == "bare":
            self.bridge.frame()

    def _trades(self, act: str) -> None:
        first = next(iter(self.open.values()), None)
        match act:
            case "open":
                self._opens(OrderKind.BUY)
            case "open other":
                self._opens(OrderKind.SELL)
            case "add":
                self._opens(OrderKind.BUY if first is None else first.order.kind)
            case "in and out":
                if not (self.is_netting and self.open):
                    position = self._opens(OrderKind.BUY)
                    self._closes(position, position.order.lots)
            case "pay in":
                self._pays(D(500))
            case "pay out":
                self._pays(D(-200))
        if first is None:
            return
        if act == "close":
            self._closes(first, first.order.lots)
        elif act == "close part" and (self.is_mt4 or now() - first.opened_at > SEEN):
            self._closes(first, max(D("0.01"), (first.order.lots / 3).quantize(D("0.01"))))
        elif act == "close all":
            for position in list(self.open.values()):
                self._closes(position, position.order.lots)
        elif act == "close by" and not self.is_netting:
            self._closes_by(first)
        elif act == "reverse" and self.is_netting:
            self._reverses(first)

    def _pays(self, amount: Decimal) -> None:
        self.number += 1
        operation = BalanceOperation(
            ticket=Ticket(self.number), kind="Balance", amount=amount, time_broker=self._at()
        )
        self.operations.append((self._seen_from(), operation))
        self.balance += amount

    def _opens(self, kind: OrderKind) -> Position:
        self.number += 1
        standing = next(iter(self.open.values()), None) if self.is_netting else None
        lots, price = D("0.30"), PRICES[self.number % 2]
        if standing is not None and standing.order.kind is kind:
            order = standing.order
            total = order.lots + lots
            average = (order.open_price * order.lots + price * lots) / total
            standing.order = replace(order, lots=total, open_price=average, deal=self.number)
            return standing
        if standing is not None:
            self._closes(standing, min(standing.order.lots, lots))
            return standing
        return self._new(kind, lots, price)

    def _new(self, kind: OrderKind, lots: Lots, price: Decimal) -> Position:
        ticket = Ticket(self.number)
        has_cost = not self.is_mt4 and not self.is_netting
        order = OpenOrder(
            ticket=ticket,
            symbol="EURUSD",
            kind=kind,
            lots=lots,
            open_price=price,
            opened_at_broker=self._at(),
            opened_at_utc=now() if self.is_dated else None,
            commission=COST if has_cost else D(0),
            identifier=None if self.is_mt4 else ticket,
            digits=5,
        )
        if has_cost:
            self.balance += COST
            self.costs += COST
        position = Position(ticket, order, now())
        self.open[ticket] = position
        self.position_of[ticket] = position.number
        return position

    def _closes(
        self, position: Position, lots: Lots, price: Decimal | None = None, **more: Any
    ) -> ClosedOrder:
        order, rest = position.order, position.order.lots - lots
        self.number += 1
        self.profits += 1
        has_cost = not self.is_mt4 and not self.is_netting
        row = ClosedOrder(
            ticket=order.ticket,
            deal=order.ticket if self.is_mt4 else self.number,
            symbol=order.symbol,
            kind=order.kind,
            lots=lots,
            open_price=order.open_price,
            close_price=price or PRICES[self.number % 2] + D("0.00001") * self.number,
            opened_at_broker=order.opened_at_broker,
            closed_at_broker=self._at(),
            opened_at_utc=order.opened_at_utc,
            closed_at_utc=now() if self.is_dated else None,
            profit=D(self.profits),
            entry_cost=COST if has_cost and not position.is_paid else D(0),
            comment=f"to #{self.number}" if self.is_mt4 and rest else order.comment,
        )
        row = replace(row, **more)
        position.is_paid = True
        self.balance += row.profit
        self.rows.append((self._seen_from(), row))
        self.closed_at[row.deal] = asyncio.get_running_loop().time()
        del self.open[order.ticket]
        if rest:
            position.order = replace(order, lots=rest)
            if self.is_mt4:
                ticket = Ticket(self.number)
                comment = f"from #{order.ticket}"
                position.order = replace(position.order, ticket=ticket, comment=comment)
                self.position_of[ticket] = position.number
            self.open[position.order.ticket] = position
        return row

    def _closes_by(self, first: Position) -> None:
        others = (p for p in self.open.values() if p.order.kind is not first.order.kind)
        other = next(others, None)
        if other is None:
            return
        lots = min(first.order.lots, other.order.lots)
        tickets = first.order.ticket, other.order.ticket
        by = {"reason": CloseReason.CLOSE_BY}
        self._closes(first, lots, by_ticket=tickets[1], **by)
        self._closes(other, lots, by_ticket=tickets[0], **by)

    def _reverses(self, first: Position) -> None:
        price = PRICES[self.number % 2]
        self._closes(first, first.order.lots, price, reason=CloseReason.REVERSED)
        side = OrderKind.SELL if first.order.kind is OrderKind.BUY else OrderKind.BUY
        self.number += 1
        self._new(side, D("0.20"), price)

    # --- at rest ------------------------------------------------------------------------------

    async def at_rest(self) -> None:
        models = await documents(self.account)
        shown: Any = await models.get(c.OPEN_ORDERS, ACCOUNT) or {}
        stand = Counter((order.ticket, order.lots) for order in self.listed)
        listed = Counter((o["ticket"], D(o["lots"])) for o in shown.get("orders", ()))
        assert listed == stand, (self.story, listed, stand)
        closed = await models.find(c.CLOSED_ORDERS, {"account": ACCOUNT}, limit=10_000)
        ours = _summed(
            (
                self._of(listed_ticket_of(doc, self.platform)),
                D(doc["lots"]),
                D(doc["close_price"]),
                D(doc["profit"]),
                D(doc["open_price"]),
            )
            for doc in closed
        )
        if self.is_netting:
            for sums in ours.values():
                sums[3] = D(0)
        lost = self._may_be_lost()
        untold = (some for n in range(len(lost) + 1) for some in combinations(lost, n))
        assert any(self._theirs(some) == ours for some in untold), (
            self.story,
            self._theirs(()),
            ours,
            self.rows,
        )

    async def has_paid(self) -> None:
        """Once history was read: what is paid just before a trade's frame waits for that."""
        models = await documents(self.account)
        operations = await models.find(c.OPERATIONS, {"account": ACCOUNT}, limit=10_000)
        paid = Counter(D(o["amount"]) for o in operations if o["kind"] != "EntryCost")
        assert paid == Counter(o.amount for _, o in self.operations), (self.story, paid)
        costs = sum((D(o["amount"]) for o in operations if o["kind"] == "EntryCost"), D(0))
        assert costs == self.costs, (self.story, costs, self.costs)

    def _of(self, ticket: int) -> int:
        return 0 if self.is_netting else self.position_of[ticket]

    def _theirs(self, but: Sequence[ClosedOrder]) -> dict[int, list[Decimal]]:
        return _summed(
            (
                self._of(row.ticket),
                row.lots,
                row.close_price,
                row.profit,
                D(0) if self.is_netting else row.open_price,
            )
            for _, row in self.rows
            if row not in but
        )

    def _may_be_lost(self) -> list[ClosedOrder]:
        """MT5: parts of what stood when the account was added that closed in the minute before, by clocks
        that differ; or whenever, by a clock that nobody knew.
        """
        rows = [] if self.is_mt4 else [row for _, row in self.rows]
        return [row for row in rows if any(self._is_of_then(row, at) for at in self.added_at)]

    def _is_of_then(self, row: ClosedOrder, added_at: float) -> bool:
        ended = [self.closed_at[one.deal] for _, one in self.rows if one.ticket == row.ticket]
        stood = row.ticket in self.open or max(ended) > added_at
        is_near = added_at - self.closed_at[row.deal] <= 62 or not self.is_dated
        return stood and is_near and self.closed_at[row.deal] <= added_at + 3


def _summed(
    pieces: Iterable[tuple[int, Lots, Decimal, Decimal, Decimal]],
) -> dict[int, list[Decimal]]:
    """By position: lots, what they were worth, and profit."""
    found: dict[int, list[Decimal]] = {}
    for position, lots, price, profit, open_price in pieces:
        sums = found.setdefault(position, [D(0), D(0), D(0), D(0)])
        sums[0] += lots
        sums[1] = round(sums[1] + lots * price, 4)
        sums[2] += profit
        sums[3] = round(sums[3] + lots * open_price, 3)
    return found


async def documents(account: Watched) -> MemoryReadModels:
    models = MemoryReadModels()
    parts = Parts(models)
    for topic in (topics.ORDER_EVENTS, topics.ACCOUNT_SNAPSHOTS):
        for record in account.log.all(topic.name):
            await parts.write(await batch_of([record], parts))
    return models


async def lives(broker: HistoryBroker, acts: Sequence[tuple[str, float]]) -> None:
    """Each act, and so many seconds until the next one."""
    log = MemoryLog()
    left = [("settle", 12.0), *acts, ("", REST_S)]
    while left:
        async with watched(mode=broker.mode, platform=broker.platform, log=log) as account:
            broker.attach(account)
            while left and not broker.dies.is_set():
                act, seconds = left.pop(0)
                if act:
                    await broker.does(act)
                else:
                    broker.added_at.append(asyncio.get_running_loop().time())
                    await account.register()
                try:
                    async with asyncio.timeout(seconds or broker.apart_s):
                        await broker.dies.wait()
                except TimeoutError:
                    pass
            if not left:
                if not broker.is_netting and not broker.misbehaved:
                    await broker.at_rest()
                account.bridge.ends_session(1.0)
                await asyncio.sleep(60.0)
                await broker.at_rest()
                await broker.has_paid()
            _fence(log)
