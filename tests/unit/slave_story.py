"""A slave's broker that fills in parts, refuses, answers late or never, and whose stream tells of it before
the answer, after it, or not at all; and the small stories of one trade of a master's there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.errors import OutcomeUnknown, Refused
from copypro.trading import (
    ClosedOrder,
    CloseRequest,
    Done,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
    OrdersSeen,
    TradeRequest,
)
from copypro.values import Lots, Mode, OrderKind, Platform, Ticket
from copypro_account_watcher.planned.targets import target_lots
from copypro_account_watcher.state import Copy, LegStatus, copy_key
from msgspec.structs import replace

from tests.unit.slave_builders import D, opens, spec
from tests.unit.watched import ACCOUNT, EASTERN, REGISTRATION, Watched, now, watched

OF = opens().copy
PRICE = D("1.10002")
STEP = D("0.01")
REST_S = 240.0
"""Longer than anything may stay unclear."""
KINDS = {
    "MT4": (Platform.MT4, Mode.HEDGING),
    "MT5 hedging": (Platform.MT5, Mode.HEDGING),
    "MT5 netting": (Platform.MT5, Mode.NETTING),
}
FOR_A_PERSON = {"STILL_OPEN", "LEFT_OPEN", "VANISHED", "UNRESOLVED", "NEEDS_PERSON"}
OUTCOMES = (
    "full",
    "part",
    "refused",
    "lost",
    "lost, filled",
    "lost, filled in part",
    "lost, filled late",
    "answered late",
    "fills further",
    "accepted",
    "unlisted",
    "unlisted, filled",
    "restart, filled",
    "restart, not filled",
    "restart, filled late",
)
ACTS = ("open", "reduce", "stop", "close", "restart", "short list")
SHOWS = ("lists", "before", "after", "stale")


class Broker:
    """One account, and whether its calls are answered. `outcomes`: of the calls to come; then all is well."""

    acts: Sequence[str] = ()
    """What happens there by itself."""

    def __init__(self, kind: str, outcomes: Sequence[str], shows: Sequence[str]) -> None:
        self.platform, self.mode = KINDS[kind]
        self.open: dict[Ticket, OpenOrder] = {}
        self.others: tuple[OpenOrder, ...] = ()
        self.ours: set[Ticket] = set()
        self.rows: list[ClosedOrder] = []
        self.outcomes, self.shows = list(outcomes), list(shows)
        self.balance = D("10000")
        self.number = 100
        self.ever: dict[str, Lots] = {}
        """By tag, what was asked to be opened."""
        self.story: list[str] = []
        self.dies = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    def attach(self, account: Watched) -> None:
        self.account, self.bridge = account, account.bridge
        self.bridge.does = self.does
        self.dies = asyncio.Event()
        self.others = self.others or (_an_owners_own(),)
        self._stands()

    @property
    def held(self) -> Lots:
        return sum((self.open[t].lots for t in self.ours if t in self.open), D(0))

    @property
    def stands(self) -> bool:
        """Something of ours does."""
        return self.held > 0

    @property
    def listed(self) -> tuple[OpenOrder, ...]:
        return (*self.others, *self.open.values())

    async def does(self, request: TradeRequest) -> Done:
        outcome = self.outcomes.pop(0) if self.outcomes else "full"
        how = self._how()
        if outcome == "fills further" and not self._may_fill_further(request):
            outcome = "part"
        self.story.append(f"{outcome} ({how}): {request}")
        if outcome == "refused":
            raise Refused("REQUOTE", "another price")
        if outcome == "accepted" and isinstance(request, OpenRequest):
            self._later(2.0, request, how)
            return Done(
                ticket=Ticket(self.number + 1), lots=request.lots, price=PRICE, filled=False
            )
        if outcome in ("lost", "unlisted", "restart, not filled"):
            return await self._silent(outcome)
        if outcome.endswith("late") and outcome != "answered late":
            self._later(5.0, request, how)
            return await self._silent(outcome)
        done = self._execute(request, is_part="part" in outcome or "further" in outcome)
        await self._tell(how, before=True)
        if outcome == "answered late":
            await asyncio.sleep(40.0)
        if outcome.startswith(("lost", "unlisted", "restart")):
            self._tell_later(how)
            return await self._silent(outcome)
        if outcome == "fills further":
            assert isinstance(request, OpenRequest)
            self._further(request, done, how)
        self._tell_later(how)
        return done

    def _how(self) -> str:
        return self.shows.pop(0) if self.shows else "lists"

    async def _silent(self, outcome: str) -> Done:
        if outcome.startswith("restart"):
            self.dies.set()
            await asyncio.Event().wait()
        if outcome.startswith("unlisted"):
            raise OutcomeUnknown("ODD_NAME", "in no table")
        await asyncio.sleep(1.0)
        raise OutcomeUnknown("TIMEOUT", "no answer")

    def _may_fill_further(self, request: TradeRequest) -> bool:
        return isinstance(request, OpenRequest) and self.platform is Platform.MT5

    async def moves(self, act: str) -> None:
        """One of `acts`."""

    # --- what the stream tells ----------------------------------------------------------------

    async def _tell(self, how: str, *, before: bool) -> None:
        if how == "before" and before:
            self._frame()
            await asyncio.sleep(0.5)

    def _tell_later(self, how: str) -> None:
        if how == "after":
            asyncio.get_running_loop().call_later(0.2, self._frame)
        elif how == "stale":
            seen = OrdersSeen(orders=self.listed, figures=self.bridge.figures)
            put = self.bridge._frames.put_nowait
            asyncio.get_running_loop().call_later(3.0, put, seen)

    def _frame(self) -> None:
        self._stands()
        self.bridge.frame(self.rows[-1] if self.rows else None)

    def _stands(self) -> None:
        self.bridge.orders, self.bridge.closed = self.listed, tuple(self.rows)
        self.bridge.balance = self.bridge.equity = self.balance

    def hides(self) -> None:
        """The next list is without what is ours."""

        async def until_listed() -> None:
            account, bridge = self.account, self.bridge
            bridge.orders, taken = self.others, bridge.snapshots
            await account.until(lambda: bridge.snapshots > taken or self.account is not account)
            self._stands()

        self._spawn(until_listed())

    # --- what is done -------------------------------------------------------------------------

    def _later(self, seconds: float, request: TradeRequest, how: str) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            try:
                self._execute(request, is_part=False)
            except Refused:
                return
            self._tell_later(how)

        self._spawn(later())

    def _further(self, request: OpenRequest, done: Done, how: str) -> None:
        async def later() -> None:
            await asyncio.sleep(0.1)
            self._add(replace(request, lots=request.lots - done.lots), done.ticket)
            self._tell_later(how)

        if done.lots < request.lots:
            self._spawn(later())

    def _spawn(self, what: Any) -> None:
        task = asyncio.create_task(what)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _execute(self, request: TradeRequest, *, is_part: bool) -> Done:
        match request:
            case OpenRequest():
                tag = request.comment
                assert tag not in self.ever, "sent twice"
                self.ever[tag] = request.lots
                lots = _part(request.lots) if is_part else request.lots
                self.number += 1
                ticket = self._add(replace(request, lots=lots), Ticket(self.number))
                return Done(ticket=ticket, lots=lots, price=PRICE)
            case CloseRequest():
                return self._close(request, is_part=is_part)
            case ModifyRequest():
                order = self._position(request.ticket)
                self.open[order.ticket] = replace(
                    order, stop_loss=request.stop_loss, take_profit=request.take_profit
                )
                self._stands()
                return Done(ticket=order.ticket, lots=order.lots, price=PRICE)
        raise AssertionError(request)

    def _add(self, request: OpenRequest, ticket: Ticket) -> Ticket:
        standing = next(iter(self.open.values()), None)
        if ticket in self.open:
            standing = self.open[ticket]
        elif self.mode is Mode.HEDGING:
            standing = None
        if standing is not None:
            order = replace(standing, lots=standing.lots + request.lots)
        else:
            order = OpenOrder(
                ticket=ticket,
                symbol=request.symbol,
                kind=request.kind,
                lots=request.lots,
                open_price=PRICE,
                opened_at_broker=_at(),
                magic=request.magic,
                comment=request.comment,
                stop_loss=request.stop_loss,
                take_profit=request.take_profit,
                identifier=None if self.platform is Platform.MT4 else ticket,
            )
        self.open[order.ticket] = order
        self.ours.add(order.ticket)
        self._stands()
        return order.ticket

    def _position(self, ticket: Ticket) -> OpenOrder:
        if ticket not in self.open:
            is_mt4 = self.platform is Platform.MT4
            raise Refused("INVALID_TICKET" if is_mt4 else "POSITION_CLOSED", f"{ticket}")
        return self.open[ticket]

    def _close(self, request: CloseRequest, *, is_part: bool) -> Done:
        order = self._position(request.ticket)
        lots = order.lots if request.lots is None else request.lots
        if lots > order.lots:
            raise Refused("INVALID_VOLUME", f"{lots} of {order.lots}")
        lots = _part(lots) if is_part else lots
        self.number += 1
        is_mt4, rest = self.platform is Platform.MT4, order.lots - lots
        row = ClosedOrder(
            ticket=order.ticket,
            deal=order.ticket if is_mt4 else self.number,
            symbol=order.symbol,
            kind=order.kind,
            lots=lots,
            open_price=order.open_price,
            close_price=PRICE,
            opened_at_broker=order.opened_at_broker,
            closed_at_broker=_at(),
            profit=D(-1),
            magic=order.magic,
            comment=f"to #{self.number}" if is_mt4 and rest else order.comment,
        )
        del self.open[order.ticket]
        if rest:
            left = replace(order, lots=rest)
            if is_mt4:
                left = replace(left, ticket=Ticket(self.number), comment=f"from #{order.ticket}")
            self.open[left.ticket] = left
            self.ours.add(left.ticket)
        self.rows.append(row)
        self.balance -= 1
        self._stands()
        return Done(ticket=order.ticket, lots=lots, price=PRICE, profit=D(-1))


def _part(lots: Lots) -> Lots:
    return max(STEP, (lots / 2).quantize(STEP))


def _an_owners_own() -> OpenOrder:
    return OpenOrder(
        ticket=Ticket(50),
        symbol="GBPUSD",
        kind=OrderKind.SELL,
        lots=D("0.30"),
        open_price=D("1.3"),
        opened_at_broker=_at(),
    )


def _at() -> Any:
    return now().replace(tzinfo=None) + EASTERN


class Master:
    """What it does to one trade, as orders for the slave."""

    acts: Sequence[str] = ("open", "reduce", "stop", "close")

    def __init__(self) -> None:
        self.fraction, self.legs = D(1), 0

    def does(self, act: str) -> list[m.SlaveOrder]:
        match act:
            case "open":
                return [self._opens("0.10")]
            case "reduce":
                self.fraction /= 2
                return [m.ReduceCopy(copy=OF, slave=ACCOUNT, fraction=self.fraction)]
            case "stop":
                return [m.ModifyCopy(copy=OF, slave=ACCOUNT, stop_loss=D("1.05"), take_profit=None)]
        return [m.CloseCopy(copy=OF, slave=ACCOUNT, reason="MASTER_CLIENT")]

    def _opens(self, lots: str) -> m.OpenCopy:
        self.legs += 1
        return replace(
            opens(lots),
            leg=self.legs - 1,
            slave=ACCOUNT,
            registration=REGISTRATION,
            fraction=self.fraction,
            seen_at_utc=now(),
            fresh_from_utc=now(),
        )

    def at_rest(self, account: Watched, broker: Broker) -> None:
        at_rest(account, broker)


def ledger(log: MemoryLog) -> Copy | None:
    key = copy_key(ACCOUNT, OF)
    parts = log.state(topics.WATCHER_STATE.name)
    value = next((part[key].value for part in parts if key in part), None)
    return None if value is None else msgspec.json.decode(value, type=Copy)


def for_a_person(account: Watched) -> list[m.AlertRaised]:
    """Of what stands at the broker and is not as it should be."""
    return [alert for alert in standing_alerts(account) if alert.code in FOR_A_PERSON]


def standing_alerts(account: Watched) -> list[m.AlertRaised]:
    """Those that nothing has cleared yet."""
    found: dict[str, m.AlertRaised] = {}
    for told in account.told(m.Message):
        if isinstance(told, m.AlertRaised):
            found[told.cause] = told
        elif isinstance(told, m.AlertCleared):
            found.pop(told.cause, None)
    return list(found.values())


def at_rest(account: Watched, broker: Broker) -> None:
    copy = ledger(account.log)
    legs = [] if copy is None else copy.legs
    held = sum((leg.lots for leg in legs if leg.ticket is not None), D(0))
    if for_a_person(account) or (copy is not None and copy.is_unresolved):
        return
    assert held == broker.held, (broker.story, broker.open, copy)
    for leg in legs if copy is not None and not copy.detached else ():
        if leg.status is not LegStatus.OPEN or copy is None:
            continue
        has_stop, rest = leg.set_stop_loss is not None, copy.options.small_rest
        target = target_lots(leg.original_lots, copy.left_of(leg), spec(), has_stop, rest)
        assert leg.lots <= target, (broker.story, leg)


async def lives(
    broker: Broker, acts: Sequence[tuple[str, float]], master: Master | None = None
) -> list[str]:
    """Each act, and so many seconds until the next one; restarted as often as calls ask for it. What
    alerts were raised.
    """
    log, master = MemoryLog(), master or Master()
    left = [*acts, ("", REST_S), ("close", REST_S)]
    while left:
        async with watched(mode=broker.mode, platform=broker.platform, log=log) as account:
            broker.attach(account)
            while left and not broker.dies.is_set():
                act, seconds = left.pop(0)
                if act in master.acts:
                    for order in master.does(act):
                        await account.order(order)
                elif act in broker.acts:
                    await broker.moves(act)
                elif act == "restart":
                    broker.dies.set()
                elif act == "short list":
                    broker.hides()
                broker.story.append(act)
                try:
                    async with asyncio.timeout(seconds):
                        await broker.dies.wait()
                except TimeoutError:
                    if seconds == REST_S:
                        master.at_rest(account, broker)
                else:
                    broker.story.append("restart")
                    if seconds == REST_S:
                        left.insert(0, ("", REST_S))
            if not left and not broker.dies.is_set():
                told = for_a_person(account)
                assert not broker.stands or told, (broker.story, broker.open, ledger(log))
            _fence(log)
    return [alert.code for alert in account.told(m.AlertRaised)]


def _fence(log: MemoryLog) -> None:
    """What a process that is gone leaves in this one's loop records nothing any more."""
    for owner in log._owners.values():
        owner.fenced = True
