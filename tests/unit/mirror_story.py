"""The small stories of one pending order of a master's, and of its mirror on a slave whose broker fills
it whole, in part or further, before anything is answered, beside its deletion, or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from copypro import messages as m
from copypro import topics
from copypro.errors import OutcomeUnknown, Refused
from copypro.trading import (
    ClosedOrder,
    CloseRequest,
    DeleteRequest,
    Done,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
    TradeRequest,
)
from copypro.values import Lots, OrderKind, Platform, Ticket
from copypro_account_watcher.state import Copy, LegStatus
from msgspec.structs import replace

from tests.unit import slave_story
from tests.unit.slave_builders import D, places
from tests.unit.slave_story import (
    OF,
    PRICE,
    STEP,
    Broker,
    Master,
    _at,
    _part,
    for_a_person,
    ledger,
)
from tests.unit.watched import ACCOUNT, REGISTRATION, Watched, now

LOTS = D("0.10")
EXPIRES_S = 20.0
AHEAD = timedelta(hours=14)
"""The broker's clock, where its quotes tell it."""
OUTCOMES = (
    *slave_story.OUTCOMES,
    "refused for good",
    "filled beside",
    "lost, filled beside",
    "restart, filled beside",
    "restart, filled in part",
)
MASTERS = (
    "move", "protect", "fill", "part", "remove", "reduce", "stop", "open", "close",
    "copier ends", "fills unseen, copier ends",
)  # fmt: skip
OURS = ("ours fills", "ours fills in part", "ours is gone")
ACTS = (*MASTERS, *OURS, "restart", "short list")


class MirrorBroker(Broker):
    acts = OURS

    def __init__(
        self, kind: str, outcomes: Sequence[str], shows: Sequence[str], *, has_clock: bool = False
    ) -> None:
        super().__init__(kind, outcomes, shows)
        self.has_clock = has_clock
        self.tells_rest = True
        """With its deletion."""
        self.waiting: dict[Ticket, OpenOrder] = {}
        self.tags: set[str] = set()
        """Of what was placed."""
        self.wrong: list[str] = []
        self.gone = D(0)
        """Lots that will never fill."""

    def attach(self, account: Watched) -> None:
        super().attach(account)
        if self.has_clock:
            self._spawn(self._ticks())

    async def _ticks(self) -> None:
        for _ in range(3):
            self.bridge.tick(AHEAD)
            await asyncio.sleep(0.5)

    @property
    def stands(self) -> bool:
        return super().stands or bool(self.waiting)

    @property
    def listed(self) -> tuple[OpenOrder, ...]:
        return (*super().listed, *self.waiting.values())

    async def moves(self, act: str) -> None:
        how = self._how()
        for order in list(self.waiting.values()):
            if act == "ours is gone":
                self._cancel(order)
                self.gone += order.lots
            else:
                self._fills(order, is_part="part" in act)
        await self._tell(how, before=True)
        self._tell_later(how)

    async def does(self, request: TradeRequest) -> Done:
        if isinstance(request, OpenRequest):
            self._asked_once(request)
        if self.outcomes and self.outcomes[0] == "accepted" and _is_placing(request):
            self.outcomes[0] = "full"
        if self.outcomes and self.outcomes[0] == "refused for good":
            self.outcomes.pop(0)
            self.story.append(f"refused for good ({self._how()}): {request}")
            raise Refused("TRADE_DISABLED", "not now")
        self.is_beside = bool(self.outcomes) and "beside" in self.outcomes[0]
        done = await super().does(request)
        if isinstance(request, DeleteRequest) and not done.filled:
            raise OutcomeUnknown("UNREADABLE", "a position was closed in the order's place")
        return done

    def _asked_once(self, request: OpenRequest) -> None:
        waiting = any(order.comment == request.comment for order in self.waiting.values())
        if waiting and not request.kind.is_pending:
            self.wrong.append(f"the market was asked beside our order: {request}")

    def _execute(self, request: TradeRequest, *, is_part: bool) -> Done:
        if isinstance(request, OpenRequest):
            if request.kind.is_pending:
                return self._place(request, is_part=is_part)
            if request.comment in self.tags:
                self.tags.remove(request.comment)
                del self.ever[request.comment]
            return super()._execute(request, is_part=is_part)
        order = self.waiting.get(request.ticket)
        is_amid = (self.is_beside or is_part) and not isinstance(request, CloseRequest)
        if order is not None and is_amid:
            self._fills(order, is_part=is_part)
        if isinstance(request, ModifyRequest):
            return self._modify(request)
        if isinstance(request, CloseRequest) and request.ticket in self.open:
            return super()._execute(request, is_part=is_part)
        return self._delete(request.ticket)

    def _place(self, request: OpenRequest, *, is_part: bool) -> Done:
        assert request.comment not in self.ever, "sent twice"
        self.ever[request.comment] = request.lots
        self.tags.add(request.comment)
        self.number += 1
        ticket = Ticket(self.number)
        self.waiting[ticket] = OpenOrder(
            ticket=ticket,
            symbol=request.symbol,
            kind=request.kind,
            lots=request.lots,
            open_price=request.price,
            opened_at_broker=_at(),
            magic=request.magic,
            comment=request.comment,
            stop_loss=request.stop_loss,
            take_profit=request.take_profit,
            expires_at_broker=request.expires_at_broker,
        )
        if request.expires_at_broker is not None:
            self._spawn(self._expires(ticket, request.expires_at_broker))
        if self.is_beside or is_part:
            self._fills(self.waiting[ticket], is_part=is_part)
        self._stands()
        return Done(ticket=ticket, lots=request.lots, price=request.price)

    async def _expires(self, ticket: Ticket, at_broker: datetime) -> None:
        """What has not filled by then; a call may have set another time."""
        how = self._how()
        await asyncio.sleep((at_broker - AHEAD - now().replace(tzinfo=None)).total_seconds())
        order = self.waiting.get(ticket)
        if order is not None and order.expires_at_broker == at_broker:
            self.story.append(f"expired ({how}): {ticket}")
            self._cancel(order)
            self.gone += order.lots
            await self._tell(how, before=True)
            self._tell_later(how)

    def owner_adds(self, lots: Lots) -> None:
        """Netting, by hand, to the position that there is."""
        (order,) = self.open.values()
        self.open[order.ticket] = replace(order, lots=order.lots + lots)
        self._frame()

    def _fills(self, order: OpenOrder, *, is_part: bool) -> None:
        lots = order.lots
        if is_part and self.platform is Platform.MT5:
            lots = _part(lots)
        del self.waiting[order.ticket]
        if lots < order.lots:
            self.waiting[order.ticket] = replace(order, lots=order.lots - lots)
        filled = OpenRequest(
            symbol=order.symbol,
            kind=OrderKind.BUY,
            lots=lots,
            comment=order.comment,
            magic=order.magic,
            price=order.open_price,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
        )
        self._add(filled, order.ticket)

    def _further(self, request: OpenRequest, done: Done, how: str) -> None:
        if not request.kind.is_pending:
            super()._further(request, done, how)
            return

        async def later() -> None:
            await asyncio.sleep(0.1)
            if (order := self.waiting.get(done.ticket)) is not None:
                self._fills(order, is_part=False)
            self._tell_later(how)

        self._spawn(later())

    def _modify(self, request: ModifyRequest) -> Done:
        order = self.waiting.get(request.ticket)
        if order is None:
            return super()._execute(request, is_part=False)
        self.waiting[order.ticket] = replace(
            order,
            stop_loss=request.stop_loss,
            take_profit=request.take_profit,
            open_price=request.price or order.open_price,
            expires_at_broker=request.expires_at_broker,
        )
        if order.ticket in self.open:
            return super()._execute(request, is_part=False)
        self._stands()
        return Done(ticket=order.ticket, lots=order.lots, price=order.open_price)

    def _delete(self, ticket: Ticket) -> Done:
        """MT5's bridge closes whatever the ticket is; MT4's knows an order from a position."""
        if ticket in self.open and self.platform is Platform.MT5:
            whole = CloseRequest(ticket=ticket, symbol="EURUSD", lots=None)
            return replace(super()._execute(whole, is_part=False), filled=False)
        order = self.waiting.get(ticket)
        if order is None:
            is_mt4 = self.platform is Platform.MT4
            raise Refused("INVALID_TICKET" if is_mt4 else "POSITION_CLOSED", f"{ticket}")
        self._cancel(order)
        rest = order.lots if self.tells_rest else D(0)
        return Done(ticket=ticket, lots=rest, price=order.open_price)

    def _cancel(self, order: OpenOrder) -> None:
        del self.waiting[order.ticket]
        row = ClosedOrder(
            ticket=order.ticket,
            deal=order.ticket,
            symbol=order.symbol,
            kind=order.kind,
            lots=order.lots,
            open_price=order.open_price,
            close_price=PRICE,
            opened_at_broker=order.opened_at_broker,
            closed_at_broker=_at(),
            magic=order.magic,
            comment=order.comment,
            cancelled=True,
        )
        self.rows.append(row)
        self._stands()


def _is_placing(request: TradeRequest) -> bool:
    return isinstance(request, OpenRequest) and request.kind.is_pending


class MirroredMaster(Master):
    """One pending order, and what becomes of it."""

    acts = ("place", "place to expire", *MASTERS)

    def __init__(self) -> None:
        super().__init__()
        self.open = self.waiting = D(0)
        self.price, self.stop_loss = D("1.09900"), None
        self.expires_at: datetime | None = None
        self.is_over = self.is_let_go = False

    @property
    def is_open(self) -> bool:
        return self.legs > 0

    def does(self, act: str) -> list[m.SlaveOrder]:
        """What expired is told with whatever it does next."""
        is_due = self.expires_at is not None and now() >= self.expires_at
        gone = self._removes("expired") if is_due and self.waiting > 0 else []
        return [*gone, *self._does(act)]

    def _does(self, act: str) -> list[m.SlaveOrder]:
        if self.is_over:
            return []
        match act:
            case "place" | "place to expire":
                self.waiting = LOTS
                if act != "place":
                    self.expires_at = now() + timedelta(seconds=EXPIRES_S)
                about = {"slave": ACCOUNT, "registration": REGISTRATION, "seen_at_utc": now()}
                placed = places(OrderKind.BUY_LIMIT, str(self.price), copy_expiry_time=True)
                return [replace(placed, **about, expires_at_utc=self.expires_at)]
            case "move" if not self.is_open:
                self.price -= D("0.001")
                return [self._modifies()]
            case "protect" if not self.is_open:
                self.stop_loss = D("1.05")
                return [self._modifies()]
            case "copier ends" if self.is_open:
                return self._lets_go()
            case "fills unseen, copier ends" if self.waiting > 0:
                self._fills(self.waiting)
                return self._lets_go()
            case "fill" | "part" | "open" if self.is_let_go:
                return []
            case "fill" | "part" if self.waiting > 0:
                return [self._fills(_part(self.waiting) if act == "part" else self.waiting)]
            case "remove" if self.waiting > 0:
                return self._removes()
            case "reduce" if self.is_open:
                self.open /= 2
                return super().does(act)
            case "stop" if self.is_open:
                self.stop_loss = D("1.05")
                return super().does(act)
            case "open" if self.is_open:
                self.open += LOTS
                return [replace(self._opens(str(LOTS)), stop_loss=self.stop_loss)]
            case "close" if self.is_open:
                self.open, self.is_over = D(0), True
                self.waiting = D(0)
                return super().does(act)
            case "close":
                return self._removes()
        return []

    def _modifies(self) -> m.SlaveOrder:
        return m.ModifyPendingCopy(
            copy=OF,
            slave=ACCOUNT,
            price=self.price,
            stop_limit_price=None,
            stop_loss=self.stop_loss,
            take_profit=None,
            expires_at_utc=self.expires_at,
        )

    def _fills(self, lots: Lots) -> m.SlaveOrder:
        self.waiting -= lots
        self.open += lots
        order = replace(self._opens(str(lots)), stop_loss=self.stop_loss)
        return replace(order, from_pending=order.leg == 0)

    def _lets_go(self) -> list[m.SlaveOrder]:
        self.is_let_go = True
        ended = m.RemovePendingCopy(copy=OF, slave=ACCOUNT, reason="ENDED", opens_nothing=True)
        return [ended]

    def _removes(self, why: str = "deleted") -> list[m.SlaveOrder]:
        self.waiting, self.is_over = D(0), not self.is_open
        gone = m.RemovePendingCopy(copy=OF, slave=ACCOUNT, reason=f"MASTER_{why}")
        if self.is_open:
            return [gone]
        return [gone, m.CloseCopy(copy=OF, slave=ACCOUNT, reason=f"MASTER_{why}")]

    def at_rest(self, account: Watched, broker: Broker) -> None:
        assert isinstance(broker, MirrorBroker)
        assert not broker.wrong, (broker.story, broker.wrong)
        copy = ledger(account.log)
        told = for_a_person(account)
        if told or (copy is not None and copy.is_unresolved):
            return
        why = (broker.story, broker.open, broker.waiting, copy)
        legs = [] if copy is None else copy.legs
        standing = (LegStatus.OPEN, LegStatus.LEFT)
        held = sum((leg.lots for leg in legs if leg.status in standing), D(0))
        assert held == broker.held, why
        placed = {leg.ticket for leg in legs if leg.status is LegStatus.PLACED}
        left = {leg.ticket for leg in legs if leg.status is LegStatus.LEFT}
        filled = {leg.ticket for leg in legs if leg.status is LegStatus.OPEN and leg.due_lots > 0}
        filled |= {Ticket(broker.number)} if broker.mode.value == "Netting" and filled else set()
        assert broker.waiting.keys() <= placed | filled | left, why
        assert placed <= broker.waiting.keys(), why
        assert not (placed and self.is_let_go), why
        if copy is None or copy.detached:
            return
        few = STEP * len(legs)
        whole = [order.lots for ticket, order in broker.waiting.items() if ticket in placed]
        both = broker.held + sum(whole, D(0))
        assert both <= self.open + self.waiting + few, (*why, self.open, self.waiting)
        if not self._is_explained(account, copy):
            due = sum((leg.due_lots for leg in legs), D(0))
            assert both + due + broker.gone >= self.open - few, (*why, self.open)
        for leg in legs:
            if leg.ticket in placed and leg.ticket is not None and not self.is_open:
                order = broker.waiting[leg.ticket]
                at = (order.open_price, order.stop_loss)
                assert at == (self.price, self.stop_loss) or _is_told(account), why
            if leg.status is LegStatus.OPEN and leg.ticket in broker.open and self.is_open:
                stop = broker.open[leg.ticket].stop_loss
                assert stop == self.stop_loss or _is_told(account), why

    def _is_explained(self, account: Watched, copy: Copy) -> bool:
        denied = account.told(m.CopyDenied, topics.EXECUTIONS)
        is_denied = any(not d.pending and d.code != "ALREADY_COPIED" for d in denied)
        refused = account.told(m.CopyRejected, topics.EXECUTIONS)
        is_denied |= any(each.final for each in refused)
        return bool(copy.closing or copy.stopped or is_denied or account.told(m.AlertRaised))


def _is_told(account: Watched) -> bool:
    return bool(account.told(m.AlertRaised))
