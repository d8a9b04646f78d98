"""A master's trades and its copier's life, through the replicator to a slave whose broker does as little as a
broker may, stops it out, or is out of reach.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from copypro import messages as m
from copypro import topics
from copypro.messages import OpenCopies, Seen
from copypro.options import CopierOptions, SmallRest
from copypro.trading import CloseReason, CloseRequest, OpenOrder, OpenRequest
from copypro.values import (
    CopierId,
    CopyId,
    Lots,
    Mode,
    Platform,
    RootId,
    Side,
    Ticket,
    copy_of,
    pair_of,
)
from copypro_account_watcher.state import Copy, LegStatus
from msgspec.structs import replace

from tests.unit import copying_builders as given
from tests.unit import mirror_story
from tests.unit.copying_builders import MASTER, Desk
from tests.unit.mirror_story import MirrorBroker
from tests.unit.slave_builders import D, context
from tests.unit.slave_story import STEP, Broker, Master, _part, for_a_person
from tests.unit.watched import ACCOUNT, REGISTRATION, Watched, now

LOTS = D("0.10")
MARKET = {"EURUSD": D("1.10001")}
TRADES = (
    "begin", "place", "fill", "part", "fill unseen", "part unseen", "move", "remove", "open",
    "open unseen", "reduce", "reduce twice", "stop", "reverse", "close",
)  # fmt: skip
COPIERS = ("pause", "resume", "update", "follow", "close copies", "leave", "start", "start joining")
OURS = (*mirror_story.OURS, "stop out", "session lost", "away for long")
ACTS = (*TRADES, *COPIERS, *OURS, "replicator restarts", "restart")
OUTCOMES = mirror_story.OUTCOMES
NEVER = {"VANISHED", "OTHER_COPIER", "DUPLICATE", "CLOSED_TOO_MUCH", "STILL_OPEN"}
"""Whose alert would not be true: history has all that closed, and all lists are whole."""
FATES = {
    "follow": OpenCopies.FOLLOW,
    "close copies": OpenCopies.CLOSE,
    "leave": OpenCopies.LEAVE,
}


class PairBroker(MirrorBroker):
    acts = OURS
    away_until = 0.0

    @property
    def stands(self) -> bool:
        """Judged at rest: what was left stands on."""
        return False

    async def moves(self, act: str) -> None:
        if act in mirror_story.OURS:
            await super().moves(act)
        elif act == "stop out":
            how = self._how()
            for order in list(self.open.values()):
                self._stops_out(order)
            await self._tell(how, before=True)
            self._tell_later(how)
        else:
            self._away(90.0 if act == "away for long" else 8.0)

    def _away(self, seconds: float) -> None:
        """Without effect while it is."""
        at = asyncio.get_running_loop().time()
        if at >= self.away_until:
            self.away_until = at + seconds
            self.bridge.ends_session(seconds)

    def _stops_out(self, order: OpenOrder) -> None:
        whole = CloseRequest(ticket=order.ticket, symbol=order.symbol, lots=None)
        self._close(whole, is_part=False)
        is_mt4, row = self.platform is Platform.MT4, self.rows[-1]
        self.rows[-1] = (
            replace(row, comment="so: 50%/1.0/2.0")
            if is_mt4
            else replace(row, reason=CloseReason.STOP_OUT)
        )
        self._stands()

    def _add(self, request: OpenRequest, ticket: Ticket) -> Ticket:
        stood = {order.kind for order in self.open.values()}
        if self.mode is Mode.NETTING and stood - {request.kind}:
            self.wrong.append(f"against what stands: {request}")
        return super()._add(request, ticket)


class Trade:
    """A root of the master's."""

    def __init__(self, number: int, side: Side) -> None:
        self.root, self.side = RootId(f"{500 + number}"), side
        self.open = self.ever = self.waiting = D(0)
        self.legs = 0
        self.is_opened = self.is_over = False
        self.stop_loss: Decimal | None = None
        self.price = D("1.09900")

    @property
    def copy(self) -> CopyId:
        return copy_of(pair_of(MASTER, ACCOUNT), self.root)

    def ends(self) -> None:
        self.is_over, self.open, self.waiting = True, D(0), D(0)


class PairMaster(Master):
    acts = (*TRADES, *COPIERS, "replicator restarts")

    def __init__(self, multiplier: str, **options: Any) -> None:
        super().__init__()
        self.desk, self.multiplier = Desk(), D(multiplier)
        free = {"margin_reserve": D(0), "min_margin_level": D(0)}
        self.options = options | free | {"risk_value": self.multiplier}
        self.trades: list[Trade] = []
        self.copier: CopierId | None = None
        self.generation = 0

    def does(self, act: str) -> list[m.SlaveOrder]:
        self.desk.now = now()
        if act == "replicator restarts":
            self.desk.restart()
            return []
        first = [] if self.generation else [self._starts(joins=False)]
        command = self._commands(act) if act in COPIERS else None
        events = [] if act in COPIERS else self._trades(act)
        told = self.desk.each(*first, *([command] if command else ()))
        told += self.desk.when(*events) if events else []
        return [order for order in told if isinstance(order, m.SlaveOrder)]

    # --- the copier ---------------------------------------------------------------------------

    def _starts(self, *, joins: bool) -> m.StartCopier:
        self.generation += 1
        self.copier = CopierId(f"{self.generation:032x}")
        wish = given.start(
            self.copier,
            slave=ACCOUNT,
            market=MARKET,
            copy_existing_trades=joins,
            **self.options,
        )
        return replace(wish, slave_registration=REGISTRATION)

    def _commands(self, act: str) -> m.CopierCommand | None:
        if self.copier is None:
            return self._starts(joins="joining" in act) if act.startswith("start") else None
        of: dict[str, Any] = {"copier": self.copier, "master": MASTER}
        match act:
            case "pause":
                return m.PauseCopier(**of, reason="ByUser")
            case "resume":
                return m.ResumeCopier(**of, market=MARKET)
            case "update":
                rests = list(SmallRest)
                at = rests.index(self.options["small_rest"])
                self.options["small_rest"] = rests[at - 1]
                return m.UpdateCopier(**of, options=CopierOptions(**self.options))
            case "follow" | "close copies" | "leave":
                ended, self.copier = self.copier, None
                return given.stop(ended, FATES[act])
        return None

    # --- its trades ---------------------------------------------------------------------------

    def _trades(self, act: str) -> Sequence[m.OrderEvent]:
        standing = [trade for trade in self.trades if not trade.is_over]
        if act == "begin" and len(standing) < 2:
            return [self._opens_one(self._new(Side.BUY), LOTS)]
        if act == "place" and not standing:
            return [self._places(self._new(Side.BUY))]
        if act == "close":
            return [self._closes(trade) for trade in standing]
        if not standing:
            return []
        trade = standing[-1]
        return self._of_position(act, trade) if trade.is_opened else self._of_order(act, trade)

    def _of_order(self, act: str, trade: Trade) -> Sequence[m.OrderEvent]:
        match act.split()[0]:
            case "fill" | "part":
                return [self._opens_one(trade, self._filled(act, trade), is_unseen="un" in act)]
            case "move":
                trade.price -= D("0.001")
                return [_of(trade, given.pending_modified(str(trade.price)))]
            case "remove":
                return [self._closes(trade)]
        return []

    def _of_position(self, act: str, trade: Trade) -> Sequence[m.OrderEvent]:
        match act.split()[0]:
            case "fill" | "part" if trade.waiting > 0:
                return [self._adds(trade, self._filled(act, trade), is_unseen="un" in act)]
            case "remove" if trade.waiting > 0:
                trade.waiting = D(0)
                return [_of(trade, given.pending_removed())]
            case "open":
                return [self._adds(trade, LOTS, is_unseen="un" in act)]
            case "reduce":
                times = 2 if act.endswith("twice") else 1
                return [self._reduces(trade) for _ in range(times) if trade.open > STEP]
            case "stop":
                trade.stop_loss = (trade.stop_loss or D("1.05")) + D("0.001")
                return [_of(trade, given.modified(str(trade.stop_loss), None))]
            case "reverse":
                other = self._new(trade.side.opposite)
                return [self._closes(trade), self._opens_one(other, LOTS)]
        return []

    def _new(self, side: Side) -> Trade:
        self.trades.append(Trade(len(self.trades), side))
        return self.trades[-1]

    def _filled(self, act: str, trade: Trade) -> Lots:
        lots = _part(trade.waiting) if "part" in act else trade.waiting
        trade.waiting -= lots
        return lots

    def _places(self, trade: Trade) -> m.OrderEvent:
        trade.waiting = LOTS
        return given.placed(
            trade.root,
            lots=LOTS,
            price=trade.price,
            expires_at_utc=None,
            seen_at_utc=now(),
            placed_at_utc=now(),
            context=context(),
        )

    def _opens_one(self, trade: Trade, lots: Lots, *, is_unseen: bool = False) -> m.OrderEvent:
        is_order = self._is_order(trade)
        trade.is_opened, trade.open, trade.ever = True, lots, lots
        return given.opened(
            trade.root,
            side=trade.side,
            lots=lots,
            open_price=D("1.10002"),
            stop_loss=None,
            from_pending=is_order,
            **_seen(is_unseen=is_unseen),
            opened_at_utc=now(),
        )

    def _is_order(self, trade: Trade) -> bool:
        root = self.desk.replicating.memory.root(MASTER, trade.root)
        return root is not None and root.placed is not None

    def _adds(self, trade: Trade, lots: Lots, *, is_unseen: bool) -> m.OrderEvent:
        trade.legs += 1
        trade.open, trade.ever = trade.open + lots, trade.ever + lots
        added: m.OrderEvent = given.increased(
            trade.legs,
            str(lots),
            str(trade.ever),
            root=trade.root,
            side=trade.side,
            open_lots=trade.open,
            stop_loss=trade.stop_loss,
            deal=given.deal(str(lots), "1.10002"),
            **_seen(is_unseen=is_unseen),
        )
        return added

    def _reduces(self, trade: Trade) -> m.OrderEvent:
        trade.open = max(STEP, (trade.open / 2).quantize(STEP))
        return _of(trade, given.reduced(str(trade.open), str(trade.ever)))

    def _closes(self, trade: Trade) -> m.OrderEvent:
        trade.ends()
        return _of(trade, given.closed() if trade.is_opened else given.pending_removed())

    # --- what must hold -----------------------------------------------------------------------

    def at_rest(self, account: Watched, broker: Broker) -> None:
        assert isinstance(broker, PairBroker)
        copies = _copies(account)
        why = (broker.story, broker.open, broker.waiting, copies, [vars(t) for t in self.trades])
        alerts = account.told(m.AlertRaised)
        assert not broker.wrong, (broker.wrong, *why)
        assert not {alert.code for alert in alerts} & NEVER, (alerts, *why)
        if for_a_person(account) or any(copy.is_unresolved for copy in copies.values()):
            return
        if not account.told(m.CopyDetached, topics.EXECUTIONS):
            self._is_known(broker, copies, why)
        for trade in self.trades:
            copy = copies.get(trade.copy)
            if copy is not None and not copy.detached:
                self._is_as_its_masters(trade, copy, broker, why)

    def _is_known(
        self, broker: PairBroker, copies: dict[CopyId, Copy], why: tuple[object, ...]
    ) -> None:
        legs = [leg for copy in copies.values() for leg in copy.legs]
        held = sum((leg.lots for leg in legs if leg.status is LegStatus.OPEN), D(0))
        assert held == broker.held, (held, *why)
        placed = {leg.ticket for leg in legs if leg.status is LegStatus.PLACED}
        assert placed <= broker.waiting.keys(), why
        if not any(leg.due_lots for leg in legs):
            assert broker.waiting.keys() <= placed, why

    def _is_as_its_masters(
        self, trade: Trade, copy: Copy, broker: PairBroker, why: tuple[object, ...]
    ) -> None:
        """No more than that, but for what rounding leaves. One whose fill nobody saw waits on."""
        ours = sum((leg.lots for leg in copy.legs if leg.status is LegStatus.OPEN), D(0))
        placed = {leg.ticket for leg in copy.legs if leg.status is LegStatus.PLACED}
        waits = sum((o.lots for ticket, o in broker.waiting.items() if ticket in placed), D(0))
        if trade.is_over:
            assert not ours + waits, why
        assert not (waits and copy.stopped), why
        if not (waits and trade.is_opened):
            few = STEP * len(copy.legs)
            assert ours + waits <= self.multiplier * (trade.open + trade.waiting) + few, why


def _copies(account: Watched) -> dict[CopyId, Copy]:
    found = [
        msgspec.json.decode(record.value, type=Copy)
        for part in account.log.state(topics.WATCHER_STATE.name)
        for key, record in part.items()
        if key.startswith("copy/") and record.value
    ]
    return {copy.copy: copy for copy in found}


def _seen(*, is_unseen: bool) -> dict[str, Any]:
    seen, told = (Seen.MISSED, None) if is_unseen else (Seen.LIVE, context())
    return {"seen": seen, "context": told, "seen_at_utc": now()}


def _of(trade: Trade, event: Any) -> Any:
    return replace(event, root=trade.root, seen_at_utc=now())
