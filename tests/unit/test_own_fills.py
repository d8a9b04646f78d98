"""Frames that show nothing but what our own calls opened: looked at together, a moment later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.errors import OutcomeUnknown
from copypro.trading import (
    ClosedOrder,
    CloseReason,
    Done,
    OpenOrder,
    OpenRequest,
    TradeRequest,
)
from copypro.values import CopyId, Mode, OrderKind, RootId, Side, Ticket
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.diff_builders import order as listed
from tests.unit.slave_builders import D, live, opens
from tests.unit.watched import ACCOUNT, EASTERN, REGISTRATION, Watched, now, watched

LONG_S = 1000.0
CALL_S = 0.01
PUT_OFF = WatcherLimits(own_fills_wait_s=LONG_S, snapshot_every_s=10 * LONG_S)
"""Whatever is told within the test's time was looked at by itself."""


class Broker:
    """Fills at once and says so by a frame; its answer comes a moment later."""

    def __init__(self, account: Watched) -> None:
        self.account = account
        self.is_silent = False
        account.bridge.does = self.does

    async def does(self, request: TradeRequest) -> Done:
        assert isinstance(request, OpenRequest)
        bridge = self.account.bridge
        bridge.margin += D("100")
        order = self.shows(request.lots, request.comment)
        await asyncio.sleep(CALL_S)
        if self.is_silent:
            raise OutcomeUnknown("TIMEOUT", "no answer")
        return Done(ticket=order.ticket, lots=request.lots, price=D("1.10002"))

    def shows(
        self, lots: str | object, comment: str = "", kind: OrderKind = OrderKind.BUY
    ) -> OpenOrder:
        bridge = self.account.bridge
        order = OpenOrder(
            ticket=Ticket(100 + len(bridge.orders)),
            symbol="EURUSD",
            kind=kind,
            lots=D(str(lots)),
            open_price=D("1.10002"),
            opened_at_broker=now().replace(tzinfo=None) + EASTERN,
            comment=comment,
        )
        bridge.orders = (*bridge.orders, order)
        bridge.frame()
        return order


async def is_copied(account: Watched, copies: int = 1) -> None:
    """So many orders are given at once, and filled."""
    for number in range(copies):
        await order(account, number)
    await account.until(lambda: len(account.told(m.CopyOpened, topics.EXECUTIONS)) == copies)


async def order(account: Watched, number: int) -> None:
    ours = replace(
        opens(risk_value=D(1)),
        copy=CopyId(f"{number:032x}"),
        root=RootId(str(number)),
        slave=ACCOUNT,
        registration=REGISTRATION,
        seen_at_utc=now(),
        fresh_from_utc=now(),
    )
    await account.order(ours)


def story(
    of: Callable[[Watched, Broker], Awaitable[None]], limits: WatcherLimits = PUT_OFF
) -> None:
    async def told() -> None:
        async with watched(limits) as account:
            await of(account, Broker(account))

    run(told())


def test_the_fills_of_a_burst_are_told_by_few_looks() -> None:
    async def burst(account: Watched, _: Broker) -> None:
        await is_copied(account, 20)
        await account.until(lambda: len(account.told(m.PositionOpened)) == 20)
        opened = account.told(m.PositionOpened)
        assert len({event.ticket for event in opened}) == 20
        assert {event.seen for event in opened} == {m.Seen.LIVE}
        assert len({event.seen_at_utc for event in opened}) <= 5

    story(burst, replace(PUT_OFF, own_fills_wait_s=5 * CALL_S))


def test_what_another_hand_opens_is_told_at_once_and_what_waits_with_it() -> None:
    async def by_hand(account: Watched, broker: Broker) -> None:
        await is_copied(account)
        assert account.told(m.PositionOpened) == []
        broker.shows("0.50")
        await account.until(lambda: account.told(m.PositionOpened))
        assert [event.lots for event in account.told(m.PositionOpened)] == [D("0.10"), D("0.50")]

    story(by_hand)


def test_what_closes_is_told_at_once() -> None:
    async def closes(account: Watched, broker: Broker) -> None:
        await is_copied(account)
        (order,) = account.bridge.orders
        account.bridge.orders = ()
        row = ClosedOrder(
            ticket=order.ticket,
            deal=900,
            symbol="EURUSD",
            kind=OrderKind.BUY,
            lots=order.lots,
            open_price=order.open_price,
            close_price=D("1.1"),
            opened_at_broker=order.opened_at_broker,
            closed_at_broker=order.opened_at_broker + timedelta(seconds=1),
            profit=D("-1"),
            reason=CloseReason.CLIENT,
            comment=order.comment,
        )
        account.bridge.frame(row)
        await account.until(lambda: account.told(m.PositionClosed))
        assert account.told(m.PositionOpened)
        await account.until(lambda: account.told(m.CopyDetached, topics.EXECUTIONS))

    story(closes)


def test_a_stop_that_another_hand_sets_is_told_at_once() -> None:
    async def sets(account: Watched, _: Broker) -> None:
        await is_copied(account)
        (order,) = account.bridge.orders
        account.bridge.orders = (replace(order, stop_loss=D("1.05")),)
        account.bridge.frame()
        await account.until(lambda: account.told(m.PositionOpened))

    story(sets)


@pytest.mark.parametrize(
    "change",
    [
        {"open_price": D("1.08")},
        {"stop_limit_price": D("1.07")},
        {"expires_at_broker": datetime(2026, 3, 5)},
    ],
)
def test_a_pending_order_that_its_owner_moves_is_told_at_once(change: dict[str, Any]) -> None:
    async def moves(account: Watched, broker: Broker) -> None:
        pending = broker.shows("0.20", kind=OrderKind.BUY_LIMIT)
        await account.until(lambda: account.told(m.PendingPlaced))
        account.bridge.orders = (replace(pending, **change),)
        account.bridge.frame()
        await account.until(lambda: account.told(m.PendingModified))

    story(moves)


def test_the_next_open_is_checked_by_the_figures_of_the_frame_that_waits() -> None:
    async def next_one(account: Watched, _: Broker) -> None:
        account.bridge.equity = D("100.50")
        await is_copied(account)
        assert account.told(m.PositionOpened) == []
        await order(account, 1)
        await account.until(lambda: account.told(m.CopyDenied, topics.EXECUTIONS))
        (denied,) = account.told(m.CopyDenied, topics.EXECUTIONS)
        assert denied.code == "NOT_ENOUGH_MARGIN"
        assert denied.numbers["free_margin"] == "0.50"

    story(next_one)


def test_what_was_opened_and_closed_between_two_lists_takes_no_margin() -> None:
    market = live()
    free = market.figures()
    market.just_changed[Ticket(100)] = market.mono
    market.learn_opened(Ticket(100), "EURUSD", Side.BUY, D("0.10"), D("0.10"))
    taken = market.figures()
    assert free is not None
    assert taken is not None
    assert (taken.free_margin, taken.margin) == (free.free_margin - 100, free.margin + 100)
    market.just_ended[Ticket(100)] = market.mono
    assert market.figures() == free


def test_what_is_added_on_netting_takes_margin_until_a_list_shows_it() -> None:
    """Also where the position itself is not shown yet."""
    market = live(mode=Mode.NETTING)
    free = market.figures()
    assert free is not None
    ticket = Ticket(100)
    for held in ("0.10", "0.20", "0.30"):
        market.just_changed[ticket] = market.mono
        market.learn_opened(ticket, "EURUSD", Side.BUY, D("0.10"), D(held))
    for shown, taken in (("0.10", 300), ("0.20", 300), ("0.30", 0)):
        market.looked((replace(listed(7), ticket=ticket, lots=D(shown)),), None)
        figures = market.figures()
        assert figures is not None
        assert figures.margin == free.margin + taken, shown
    market.just_changed[ticket] = market.mono
    market.learn_opened(ticket, "EURUSD", Side.BUY, D("0.10"), D("0.40"))
    added = market.figures()
    assert added is not None
    assert added.free_margin == free.free_margin - 100


@pytest.mark.parametrize("is_shown", [False, True])
def test_the_next_open_is_checked_with_what_the_one_before_took_where_no_list_shows_that_yet(
    is_shown: bool,
) -> None:
    """Its frame may come after its answer. The margin of both is more than is free of the equity."""

    async def next_one(account: Watched, broker: Broker) -> None:
        bridge = account.bridge
        bridge.equity = D("2")
        bridge.frame()
        await account.until(lambda: bridge.has_shown_all)

        async def does(request: TradeRequest) -> Done:
            assert isinstance(request, OpenRequest)
            if is_shown:
                bridge.margin += D("1")
                return Done(
                    ticket=broker.shows(request.lots, request.comment).ticket,
                    lots=request.lots,
                    price=D("1.10002"),
                )
            return Done(ticket=Ticket(100), lots=request.lots, price=D("1.10002"))

        bridge.does = does
        for number in range(2):
            await order(account, number)
        executions = (m.CopyOpened, m.CopyDenied)
        await account.until(
            lambda: sum(len(account.told(kind, topics.EXECUTIONS)) for kind in executions) == 2
        )
        (denied,) = account.told(m.CopyDenied, topics.EXECUTIONS)
        assert (denied.code, denied.numbers["free_margin"]) == ("NOT_ENOUGH_MARGIN", "1")

    story(next_one)


def test_a_fill_that_nobody_answered_is_looked_at_at_once() -> None:
    async def silent(account: Watched, broker: Broker) -> None:
        broker.is_silent = True
        await is_copied(account)
        await account.until(lambda: account.told(m.PositionOpened))

    story(silent)


def test_an_equity_protector_judges_every_frame() -> None:
    async def protected(account: Watched, _: Broker) -> None:
        await account.protect(stop_loss_absolute=D("1"))
        await is_copied(account)
        await account.until(lambda: account.told(m.PositionOpened))

    story(protected)


def test_a_list_that_is_newer_outdates_the_frame_that_waits() -> None:
    async def outdated(account: Watched, _: Broker) -> None:
        await is_copied(account)
        await account.until(lambda: account.told(m.PositionOpened))
        snapshots = account.bridge.snapshots
        await account.until(lambda: account.bridge.snapshots > snapshots + 10)
        assert len(account.told(m.PositionOpened)) == 1

    story(outdated, replace(PUT_OFF, own_fills_wait_s=5.0, snapshot_every_s=1.0))


def test_nothing_is_shown_as_alive_by_a_frame_of_a_session_that_ended() -> None:
    async def ended(account: Watched, _: Broker) -> None:
        await is_copied(account)
        account.bridge.ends_session(reconnects_s=100.0)
        await account.until(lambda: account.told(m.AccountDisconnected))
        known = account.told(m.AccountSnapshot, topics.ACCOUNT_SNAPSHOTS)
        await asyncio.sleep(60.0)  # of the virtual clock: longer than anything waits
        assert account.told(m.AccountSnapshot, topics.ACCOUNT_SNAPSHOTS) == known

    story(ended, replace(PUT_OFF, own_fills_wait_s=1.0))
