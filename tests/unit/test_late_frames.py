"""Frames that are lost, and others that come late and in the wrong order: no copy loses its position."""

from __future__ import annotations

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
