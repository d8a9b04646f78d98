"""What the owner of a slave's account does there by his own hands, in the middle of copying: to our
positions and orders, beside them, and to the account.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from copypro import messages as m
from copypro import topics
from copypro.trading import (
    BalanceOperation,
    ClosedOrder,
    CloseReason,
    CloseRequest,
    Done,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
    TradeRequest,
)
from copypro.values import Lots, Mode, OrderKind, Platform, Price, Ticket, tag_in
from copypro_account_watcher.state import Copy, Leg, LegStatus
from msgspec.structs import replace

from tests.unit import mirror_story
from tests.unit.mirror_story import LOTS, MirrorBroker, MirroredMaster
from tests.unit.slave_builders import D
from tests.unit.slave_story import OF, PRICE, _at, _part, ledger, standing_alerts
from tests.unit.watched import ACCOUNT, REGISTRATION, TRADES, Watched

ON_OURS = (
    "hand closes",
    "hand closes a part",
    "hand moves the stop",
    "hand drops the stop",
    "hand's stop fires",
    "hand cancels",
    "hand moves the order",
)
BESIDE = ("hand trades alike", "hand trades as we do")
OF_HEDGING = ("hand closes by less", "hand closes by as much", "hand closes by more")
OF_NETTING = ("hand adds", "hand reduces", "hand reverses", "hand begins anew")
OF_ACCOUNT = ("hand pays in", "hand takes out", "session lost", "password changed")
HANDS = (*ON_OURS, *BESIDE, *OF_HEDGING, *OF_NETTING, *OF_ACCOUNT)
MASTERS = ("reduce", "stop", "stop and back", "open", "close", "move", "fill", "part", "remove")
ACTS = (*HANDS, *MASTERS, *mirror_story.OURS, "restart", "short list")
OUTCOMES = mirror_story.OUTCOMES
SOON_S = 25.0
"""By then a look has shown what was done."""
NEVER = {"VANISHED", "OTHER_COPIER"}
"""Whose alert would not be true at rest: history has all that closed, and no tag is another's."""
DONE = (
    m.CopyOpened,
    m.CopyPendingPlaced,
    m.CopyPendingRemoved,
    m.CopyModified,
    m.CopyReduced,
    m.CopyClosed,
)
INSTEAD = (m.CopyRejected, m.CopyNotSent, m.CopyReconciled)


class OwnersBroker(MirrorBroker):
    acts = (*mirror_story.OURS, *HANDS)

    def __init__(self, kind: str, outcomes: Sequence[str], shows: Sequence[str]) -> None:
        super().__init__(kind, outcomes, shows)
        self.own: dict[Ticket, OpenOrder] = {}
        """Trades of the owner's; not on netting, where"""
        self.own_lots = D(0)
        """of the one position so much is his."""
        self.operations: list[BalanceOperation] = []
        self.level = D("1.04")
        self.by_hand: dict[Ticket, Price | None] = {}
        """The stops that the owner set or removed, and that nobody else did since."""
        self.master_stop: Price | None = None
        self.asked_at = 0.0
        self.is_undecided = False
        """The owner moved a stop so soon after the master that no list tells who was first."""
        self.flat_since: float | None = None
        self.is_doubtful = False
        """On netting nothing tells whose what is added is, where an open of ours was not answered in full
        or some of ours was closed by hand.
        """
        self.was_cut = self.was_reduced = False
        """Some of ours was closed: by its owner, by us. An add that no list shows by itself hides it."""
        self.is_mixed = False
        self.late_closes = 0
        self.answered_at = 0.0

    # --- what stands --------------------------------------------------------------------------

    @property
    def is_netting(self) -> bool:
        return self.mode is Mode.NETTING

    @property
    def position(self) -> Lots:
        return sum((order.lots for order in self.open.values()), D(0))

    @property
    def held(self) -> Lots:
        return self.position - self.own_lots

    @property
    def stands(self) -> bool:
        """Judged at rest, by who was told of it."""
        return False

    @property
    def listed(self) -> tuple[OpenOrder, ...]:
        return (*super().listed, *self.own.values())

    def attach(self, account: Watched) -> None:
        account.bridge.operations = tuple(self.operations)
        super().attach(account)

    def _stands(self) -> None:
        super()._stands()
        if self.held > 0 or self.waiting:
            self.flat_since = None
        elif self.flat_since is None:
            self.flat_since = asyncio.get_running_loop().time()

    # --- what is asked ------------------------------------------------------------------------

    async def does(self, request: TradeRequest) -> Done:
        if isinstance(request, OpenRequest):
            self._never_anew(request)
            if self.outcomes and self.outcomes[0] not in ("full", "refused", "refused for good"):
                self.is_doubtful |= self.is_netting
        elif self.outcomes and "part" in self.outcomes[0]:
            self.is_doubtful |= self.is_netting  # as well it may be he who closed that part
        if not isinstance(request, OpenRequest) and request.ticket in self.own:
            self.wrong.append(f"the owner's own: {request}")
        try:
            return await super().does(request)
        finally:
            self.answered_at = asyncio.get_running_loop().time()

    def _never_anew(self, request: OpenRequest) -> None:
        now, copy = asyncio.get_running_loop().time(), ledger(self.account.log)
        was_opened = any(leg.original_lots > 0 for leg in ([] if copy is None else copy.legs))
        is_by_hand = "hand" in " ".join(self.story[-6:])
        if was_opened and is_by_hand and self.flat_since is not None:
            is_known = now - max(self.flat_since, self.answered_at) > SOON_S
            if is_known and not request.kind.is_pending:
                self.wrong.append(f"opened anew: {request}")

    def _execute(self, request: TradeRequest, *, is_part: bool) -> Done:
        done = super()._execute(request, is_part=is_part)
        if self.is_netting and self.held < 0 and not self.is_doubtful:
            self.wrong.append(f"more than the copy's own: {request}")
        self.own_lots = min(self.own_lots, self.position)
        self.was_reduced |= isinstance(request, CloseRequest)
        if isinstance(request, ModifyRequest):
            self.by_hand.pop(request.ticket, None)
        return done

    def _add(self, request: OpenRequest, ticket: Ticket) -> Ticket:
        stood = {order.kind.side for order in self.open.values()}
        self.is_mixed |= self.is_netting and bool(stood - {request.kind.side})
        return super()._add(request, ticket)

    def _close(self, request: CloseRequest, *, is_part: bool) -> Done:
        done = super()._close(request, is_part=is_part)
        rest = Ticket(self.number)
        if request.ticket in self.by_hand and rest in self.open:
            self.by_hand[rest] = self.by_hand.pop(request.ticket)
        return done

    async def _silent(self, outcome: str) -> Done:
        self.late_closes += 1
        return await super()._silent(outcome)

    # --- the owner's hands --------------------------------------------------------------------

    async def moves(self, act: str) -> None:
        if act in mirror_story.OURS:
            self.is_doubtful |= self.is_netting and "part" in act
            await super().moves(act)
            return
        how = self._how()
        if act in OF_ACCOUNT:
            self._of_account(act)
        elif act in ("hand cancels", "hand moves the order"):
            self._on_orders(act)
        elif act in BESIDE:
            self._beside(act)
        else:
            self._on_positions(act)
        self._stands()
        await self._tell(how, before=True)
        self._tell_later(how)

    def _of_account(self, act: str) -> None:
        if act in ("hand pays in", "hand takes out"):
            self.bridge.pays("500" if act == "hand pays in" else "-500")
            self.operations = list(self.bridge.operations)
            self.balance = self.bridge.balance
            return
        self.bridge.ends_session(8.0)
        if act == "password changed":
            self.bridge.refused.add(TRADES)
            self._spawn(self._sets_it_again())

    async def _sets_it_again(self) -> None:
        await asyncio.sleep(40.0)
        self.account.bridge.refused.discard(TRADES)
        update = m.UpdateAccount(
            account=ACCOUNT,
            registration=REGISTRATION,
            sealed_password=f"{TRADES}#{len(self.story)}",
        )
        await self.account.command(update)

    def _on_orders(self, act: str) -> None:
        for order in list(self.waiting.values())[:1]:
            if act == "hand cancels":
                self._cancel(order)
                self.gone += order.lots
            else:
                self.waiting[order.ticket] = replace(order, open_price=D("1.09500"))

    def _beside(self, act: str) -> None:
        if self.is_netting:
            self._adds(LOTS)
            return
        ours = next(iter(self.open.values()), None)
        self.number += 1
        twin = OpenOrder(
            ticket=Ticket(self.number),
            symbol="EURUSD",
            kind=OrderKind.BUY,
            lots=LOTS,
            open_price=PRICE,
            opened_at_broker=_at() if ours is None else ours.opened_at_broker,
            comment=ours.comment if act == "hand trades as we do" and ours is not None else "",
            identifier=None if self.platform is Platform.MT4 else Ticket(self.number),
        )
        if tag_in(twin.comment) is None:
            self.own[twin.ticket] = twin
        else:
            self.open[twin.ticket] = twin
            self.ours.add(twin.ticket)

    def _adds(self, lots: Lots, kind: OrderKind = OrderKind.BUY) -> None:
        """To the netting position, whichever side it has."""
        stood = next(iter(self.open.values()), None)
        if stood is not None and stood.kind is not kind:
            kind = stood.kind
        self.is_doubtful |= self.was_cut or self.was_reduced
        self.number += 1
        request = OpenRequest(
            symbol="EURUSD", kind=kind, lots=lots, comment="", magic=0, price=PRICE
        )
        self._add(request, Ticket(self.number))
        self.own_lots += lots

    def _on_positions(self, act: str) -> None:
        order = next(iter(self.open.values()), None)
        if order is None:
            if act == "hand adds" and self.is_netting:
                self._adds(D("0.05"))
            return
        match act:
            case "hand closes":
                self._takes(order, None)
            case "hand closes a part" | "hand reduces":
                self._takes(order, _part(order.lots) if act.endswith("part") else D("0.03"))
            case "hand moves the stop":
                self.level += D("0.0001")
                self._stop(order, self.level)
            case "hand drops the stop":
                self._stop(order, None)
            case "hand's stop fires":
                self._takes(order, None, CloseReason.STOP_LOSS)
            case "hand closes by less" | "hand closes by as much" | "hand closes by more":
                self._closes_by(order, act)
            case "hand adds" if self.is_netting:
                self._adds(D("0.05"))
            case "hand reverses" if self.is_netting:
                self._reverses(order)
            case "hand begins anew" if self.is_netting:
                self._takes(order, None)
                self._adds(LOTS)

    def _takes(
        self, order: OpenOrder, lots: Lots | None, reason: CloseReason = CloseReason.UNKNOWN
    ) -> None:
        """His own lots first."""
        if lots is not None:
            lots = min(lots, order.lots)
        self._close(
            CloseRequest(ticket=order.ticket, symbol=order.symbol, lots=lots), is_part=False
        )
        row = self.rows[-1]
        if reason is not CloseReason.UNKNOWN and self.platform is Platform.MT4:
            self.rows[-1] = replace(row, comment=f"{row.comment}[sl]")
        elif self.platform is Platform.MT5:
            known = CloseReason.CLIENT if reason is CloseReason.UNKNOWN else reason
            self.rows[-1] = replace(row, reason=known)
        self.was_cut |= self.is_netting and row.lots > self.own_lots and self.position > 0
        self.own_lots = max(D(0), min(self.own_lots - row.lots, self.position))

    def _stop(self, order: OpenOrder, level: Price | None) -> None:
        is_settled = order.stop_loss == self.by_hand.get(order.ticket, self.master_stop)
        if is_settled and order.stop_loss != level:
            self.by_hand[order.ticket] = level
            self.is_undecided |= asyncio.get_running_loop().time() - self.asked_at < SOON_S
        self.open[order.ticket] = replace(order, stop_loss=level)

    def _closes_by(self, order: OpenOrder, act: str) -> None:
        if self.is_netting:
            return
        sizes = {"less": order.lots - D("0.01"), "much": order.lots}
        against = sizes.get(act.split()[-1], order.lots + D("0.05"))
        lots = min(order.lots, against)
        if lots <= 0:
            return
        is_mt4 = self.platform is Platform.MT4
        self.number += 1
        his = OpenOrder(
            ticket=Ticket(self.number),
            symbol=order.symbol,
            kind=OrderKind.SELL,
            lots=against,
            open_price=PRICE,
            opened_at_broker=_at(),
            identifier=None if is_mt4 else Ticket(self.number),
        )
        self.own[his.ticket] = his
        larger, smaller = (his, order) if his.lots > order.lots else (order, his)
        self._end(larger, lots, smaller.ticket)
        self._end(smaller, lots, larger.ticket, is_zero=is_mt4)

    def _end(
        self, order: OpenOrder, lots: Lots, by_ticket: Ticket, *, is_zero: bool = False
    ) -> None:
        is_mt4, rest = self.platform is Platform.MT4, order.lots - lots
        self.number += 1
        comment = f"close hedge by #{by_ticket}" if is_zero else order.comment
        row = ClosedOrder(
            ticket=order.ticket,
            deal=order.ticket if is_mt4 else self.number,
            symbol=order.symbol,
            kind=order.kind,
            lots=D(0) if is_zero else lots,
            open_price=order.open_price,
            close_price=PRICE,
            opened_at_broker=order.opened_at_broker,
            closed_at_broker=_at(),
            profit=D(0),
            magic=order.magic,
            comment=f"to #{self.number}" if is_mt4 and rest else comment,
            reason=CloseReason.CLOSE_BY if not is_mt4 or is_zero else CloseReason.UNKNOWN,
            by_ticket=by_ticket if not is_mt4 or is_zero else None,
        )
        self.rows.append(row)
        where = self.own if order.ticket in self.own else self.open
        del where[order.ticket]
        if rest:
            left = replace(order, lots=rest)
            if is_mt4:
                left = replace(left, ticket=Ticket(self.number), comment=f"from #{order.ticket}")
            where[left.ticket] = left
            if where is self.open:
                self.ours.add(left.ticket)
            if order.ticket in self.by_hand:
                self.by_hand[left.ticket] = self.by_hand.pop(order.ticket)

    def _reverses(self, order: OpenOrder) -> None:
        self._takes(order, None)
        self.rows[-1] = replace(self.rows[-1], reason=CloseReason.REVERSED)
        other = OrderKind.SELL if order.kind is OrderKind.BUY else OrderKind.BUY
        self._adds(D("0.05"), other)
        (anew,) = self.open.values()
        self.open[anew.ticket] = replace(anew, identifier=order.identifier)


class OwnedMaster(MirroredMaster):
    """Whose trade is in its slave's owner's hands."""

    acts = ("begin", "stop and back", *MirroredMaster.acts)

    def __init__(self, broker: OwnersBroker, *, is_strict: bool = False) -> None:
        super().__init__()
        self.broker, self.is_strict = broker, is_strict

    def does(self, act: str) -> list[m.SlaveOrder]:
        if act == "begin":
            self.open += LOTS
            return [self._as_set(self._opens(str(LOTS)))]
        if act in ("stop", "stop and back") and self.is_open and not self.is_over:
            former, self.stop_loss = self.stop_loss, (self.stop_loss or D("1.05")) + D("0.001")
            orders: list[m.SlaveOrder] = [self._protects()]
            if act == "stop and back":
                self.stop_loss = former
                orders.append(self._protects())
            self.broker.master_stop = self.stop_loss
            self.broker.by_hand.clear()
            self.broker.is_undecided = False
            self.broker.asked_at = asyncio.get_running_loop().time()
            return orders
        return [self._as_set(order) for order in super().does(act)]

    def _protects(self) -> m.ModifyCopy:
        return m.ModifyCopy(copy=OF, slave=ACCOUNT, stop_loss=self.stop_loss, take_profit=None)

    def _as_set(self, order: m.SlaveOrder) -> m.SlaveOrder:
        if not isinstance(order, m.OpenCopy | m.PlacePendingCopy):
            return order
        return replace(order, options=replace(order.options, strict_close=self.is_strict))

    # --- what must hold -----------------------------------------------------------------------

    def at_rest(self, account: Watched, broker: object) -> None:
        assert broker is self.broker
        self.why = (self.broker.story, self.broker.open, self.broker.waiting, self.broker.own_lots)
        codes = Counter(alert.code for alert in account.told(m.AlertRaised))
        one_outcome_each(account, self.why)
        _no_end_twice(account, codes, self.why)
        if "INFERRED" not in codes or not self.broker.is_netting:
            assert not self.broker.wrong, (self.broker.wrong, *self.why)
        if self.broker.is_mixed:
            return
        copy = ledger(account.log)
        standing = standing_alerts(account)
        self._are_true(standing, codes, copy)
        if copy is not None and copy.is_unresolved:
            assert standing, (*self.why, copy)
            return
        self._is_followed(account, copy, standing)

    def _are_true(
        self, standing: Sequence[m.AlertRaised], codes: Counter[str], copy: Copy | None
    ) -> None:
        untrue = [alert for alert in standing if alert.code in NEVER]
        if self.broker.is_netting and self.broker.own_lots:
            untrue = []  # a mirrored order that fills into what is the owner's leaves no trace of its own
        assert not untrue, (untrue, *self.why, copy)
        listed = {str(order.ticket) for order in self.broker.listed}
        over = [alert for alert in standing if alert.code == "STILL_OPEN"]
        assert all(alert.numbers["ticket"] in listed for alert in over), (over, *self.why)
        if codes["CLOSED_TOO_MUCH"]:
            assert self.broker.late_closes, (codes, *self.why, copy)

    def _is_followed(
        self, account: Watched, copy: Copy | None, standing: Sequence[m.AlertRaised]
    ) -> None:
        broker, legs = self.broker, [] if copy is None else copy.legs
        why = (*self.why, copy, standing)
        followed = {leg.ticket: leg for leg in legs if leg.status is LegStatus.OPEN}
        left = {leg.ticket for leg in legs if leg.status is LegStatus.LEFT}
        his = {ticket for ticket, order in broker.open.items() if _is_his(order)}
        assert left - his <= _told_left(account), why
        told = " ".join(alert.text for alert in standing)
        if broker.is_netting:
            held = sum((leg.lots for leg in legs if leg.status is LegStatus.OPEN), D(0))
            is_told = bool(left) or broker.is_doubtful or bool(standing)
            assert min(held, broker.position) == max(D(0), broker.held) or is_told, why
        else:
            ours = {ticket: order for ticket, order in broker.open.items() if ticket not in left}
            unknown = [t for t in ours.keys() - his if t not in followed and str(t) not in told]
            assert not unknown, (unknown, *why)
            assert followed.keys() <= ours.keys(), why
            assert all(ours[t].lots <= leg.lots for t, leg in followed.items() if t), why
        placed = {leg.ticket: leg for leg in legs if leg.status is LegStatus.PLACED}
        assert placed.keys() <= broker.waiting.keys(), why
        if self.is_over:
            assert not followed, why
            assert not placed, why
            due = {leg.ticket for leg in legs if leg.due_lots > 0}
            assert not broker.waiting.keys() - left - due or standing, why
        if not broker.is_netting:
            for ticket, leg in followed.items():
                if ticket is not None and len(followed) == 1:
                    self._has_its_stop(broker.open[ticket], leg, standing, why)

    def _has_its_stop(
        self, order: OpenOrder, leg: Leg, standing: Sequence[m.AlertRaised], why: object
    ) -> None:
        by_hand = self.broker.by_hand
        wanted = by_hand.get(order.ticket, self.stop_loss)
        if self.broker.is_undecided and order.stop_loss == self.stop_loss:
            return
        assert order.stop_loss == wanted or standing, (order, wanted, by_hand, leg, why)


def one_outcome_each(account: Watched, why: object) -> None:
    """Of an attempt: what was done, or what took the place of an answer and then perhaps what had been
    done after all.
    """
    copy = ledger(account.log)
    under_way = None if copy is None or copy.attempt is None else copy.attempt.id
    outcomes: dict[str, list[str]] = {}
    placed: set[str] = set()
    """What becomes of a mirrored order is told with the attempt that placed it as well."""
    for event in account.told(m.Execution, topics.EXECUTIONS):
        if isinstance(event, m.AttemptStarted):
            outcomes[event.attempt] = []
        elif isinstance(event, (*DONE, *INSTEAD)) and event.attempt in outcomes:
            if event.attempt not in placed:
                outcomes[event.attempt].append(type(event).__name__)
            if isinstance(event, m.CopyPendingPlaced):
                placed.add(event.attempt)
    for attempt, found in outcomes.items():
        kinds = Counter("done" if name not in _INSTEAD else "instead" for name in found)
        assert found or attempt == under_way, (attempt, why)
        assert max(kinds.values(), default=0) <= 1, (found, why)


def _is_his(order: OpenOrder) -> bool:
    """With our comment or, where MT4 dropped that, without."""
    return order.magic == 0


_INSTEAD = {kind.__name__ for kind in INSTEAD}


def _no_end_twice(account: Watched, codes: Counter[str], why: object) -> None:
    """What its owner closed was not closed by us as well."""
    if codes["LATE_FILL"] or codes["DUPLICATE"]:
        return
    detached = account.told(m.CopyDetached, topics.EXECUTIONS)
    gone = {event.leg for event in detached if event.reason.startswith("CLOSED_BY")}
    closed = {event.leg for event in account.told(m.CopyClosed, topics.EXECUTIONS)}
    assert not gone & closed, (detached, why)


def _told_left(account: Watched) -> set[Ticket | None]:
    """And what MT4 made of it since."""
    told = {event.ticket for event in account.told(m.CopyDetached, topics.EXECUTIONS)}
    for event in account.told(m.PositionReduced):
        if event.deal.ticket in told:
            told.add(event.ticket)
    return told
