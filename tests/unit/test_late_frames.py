"""Frames that are lost, and others that come late and in the wrong order: no copy loses its position."""

from __future__ import annotations

import asyncio

import pytest
from copypro import messages as m
from copypro import topics
from copypro.trading import ClosedOrder, CloseRequest, Done, OpenOrder, OpenRequest, TradeRequest
from copypro.values import OrderKind, Ticket
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.slave_builders import D, opens
from tests.unit.watched import ACCOUNT, EASTERN, Watched, now, watched

TICKET = Ticket(100)
OF = opens().copy
ONLY_WANTED_LISTS = WatcherLimits(snapshot_every_s=3600.0)
FREQUENT_LISTS = WatcherLimits(snapshot_every_s=2.0)


class Broker:
    """Sends no frame of an opening, and after that of a partial close one of before it opened."""

    def __init__(self, account: Watched) -> None:
        self.bridge = account.bridge
        self.requests: list[TradeRequest] = []
        self.bridge.does = self.does

    async def does(self, request: TradeRequest) -> Done:
        self.requests.append(request)
        lots = D("0.10")
        match request:
            case OpenRequest():
                self.bridge.orders = (_position(request.comment),)
            case CloseRequest(lots=None):
                self.bridge.orders = ()
            case CloseRequest():
                assert request.lots is not None
                (whole,), lots = self.bridge.orders, request.lots
                before, rest = (), (replace(whole, lots=whole.lots - lots),)
                self.bridge.orders = rest
                self.bridge.frame(_piece(whole, lots))
                self.bridge.orders = before
                self.bridge.frame()
                self.bridge.orders = rest
        return Done(ticket=TICKET, lots=lots, price=D("1.1"))


def _position(tag: str) -> OpenOrder:
    return OpenOrder(
        ticket=TICKET,
        symbol="EURUSD",
        kind=OrderKind.BUY,
        lots=D("0.10"),
        open_price=D("1.1"),
        opened_at_broker=now().replace(tzinfo=None) + EASTERN,
        magic=1,
        comment=tag,
    )


def _piece(of: OpenOrder, lots: D) -> ClosedOrder:
    return ClosedOrder(
        ticket=of.ticket,
        deal=900,
        symbol=of.symbol,
        kind=of.kind,
        lots=lots,
        open_price=of.open_price,
        close_price=of.open_price,
        opened_at_broker=of.opened_at_broker,
        closed_at_broker=now().replace(tzinfo=None) + EASTERN,
        comment=of.comment,
    )


def test_a_copy_that_was_closed_in_part_before_any_list_showed_it_is_not_taken_for_closed() -> None:
    """Its rest was left open for ever, and its copier halted."""

    async def told() -> None:
        async with watched(ONLY_WANTED_LISTS) as account:
            broker = Broker(account)
            await account.open()
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            await account.order(m.ReduceCopy(copy=OF, slave=ACCOUNT, fraction=D("0.6")))
            await account.until(lambda: account.told(m.CopyReduced, topics.EXECUTIONS))
            await account.until(lambda: account.told(m.PositionOpened))
            await account.order(m.CloseCopy(copy=OF, slave=ACCOUNT, reason="MASTER_CLIENT"))
            await account.until(lambda: account.told(m.CopyClosed, topics.EXECUTIONS))
            lots = [r.lots for r in broker.requests if isinstance(r, CloseRequest)]
            assert lots == [D("0.04"), None]
            assert account.told(m.AlertRaised) == []

    run(told())


@pytest.mark.parametrize("stands_s", [20.0, 40.0])
def test_what_was_told_as_closed_and_stands_at_the_broker_is_told_to_a_person(
    stands_s: float,
) -> None:
    """Nothing follows it any more, whatever took it for closed. A moment is a list of before its end."""

    async def told() -> None:
        async with watched(FREQUENT_LISTS) as account:
            bridge, position = account.bridge, _position("")
            bridge.orders = (position,)
            bridge.frame()
            await account.until(lambda: account.told(m.PositionOpened))
            bridge.orders = ()
            bridge.frame(_piece(position, position.lots))
            await account.until(lambda: account.told(m.PositionClosed))
            bridge.orders = (position,)
            await asyncio.sleep(stands_s)
            bridge.orders = ()
            looked = bridge.snapshots + 2
            await account.until(lambda: bridge.snapshots >= looked)
            raised = [each.code for each in account.told(m.AlertRaised)]
            cleared = [each.cause for each in account.told(m.AlertCleared)]
            is_long = stands_s > FREQUENT_LISTS.close_alert_after_s
            assert raised == ["STILL_OPEN"] * is_long
            assert cleared == [f"still-open/{TICKET}"] * is_long

    run(told())


def test_what_stood_and_is_gone_after_a_restart_is_no_alert_any_more() -> None:
    async def told() -> None:
        position = _position("")
        async with watched(FREQUENT_LISTS, orders=(position,)) as account:
            bridge = account.bridge
            await account.until(lambda: account.told(m.PositionOpened))
            bridge.orders = ()
            bridge.frame(_piece(position, position.lots))
            await account.until(lambda: account.told(m.PositionClosed))
            bridge.orders = (position,)
            await account.until(lambda: account.told(m.AlertRaised))
        async with watched(FREQUENT_LISTS, log=account.log) as again:
            await again.looked()
            cleared = [each.cause for each in again.told(m.AlertCleared)]
            assert cleared == [f"still-open/{TICKET}"]

    run(told())
