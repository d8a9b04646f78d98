"""A stop whose call nobody answered: the broker's list tells whether it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from copypro import messages as m
from copypro import topics
from copypro.errors import OutcomeUnknown
from copypro.trading import Done, ModifyRequest, OpenOrder, OpenRequest, TradeRequest
from copypro.values import OrderKind, Ticket
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.slave_builders import D, opens
from tests.unit.watched import ACCOUNT, EASTERN, Watched, now, watched

LIMITS = WatcherLimits()
TICKET = Ticket(100)


class Broker:
    """Opens, and answers no modify within the longest call; `sets`: but it does as it was told."""

    def __init__(self, account: Watched, *, sets: bool) -> None:
        self.account, self.sets = account, sets
        self.requests: list[TradeRequest] = []
        account.bridge.does = self.does

    async def does(self, request: TradeRequest) -> Done:
        self.requests.append(request)
        bridge = self.account.bridge
        match request:
            case OpenRequest():
                bridge.orders = (_listed(request),)
            case ModifyRequest():
                if self.sets:
                    bridge.orders = (replace(bridge.orders[0], stop_loss=request.stop_loss),)
                await asyncio.sleep(LIMITS.longest_call_s)
                raise OutcomeUnknown("NO_ANSWER", "nobody answered")
        return Done(ticket=TICKET, lots=D("0.10"), price=D("1.10002"))

    @property
    def closes(self) -> list[TradeRequest]:
        return [r for r in self.requests if not isinstance(r, OpenRequest | ModifyRequest)]


def _listed(request: OpenRequest) -> OpenOrder:
    return OpenOrder(
        ticket=TICKET,
        symbol=request.symbol,
        kind=OrderKind.BUY,
        lots=request.lots,
        open_price=request.price,
        opened_at_broker=now().replace(tzinfo=None) + EASTERN,
        magic=request.magic,
        comment=request.comment,
    )


def told_a_stop(sets: bool, is_over: Callable[[Watched, Broker], bool]) -> Broker:
    """The master sets a first one; until so."""

    async def story() -> Broker:
        async with watched() as account:
            broker = Broker(account, sets=sets)
            await account.open()
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            of = opens()
            level = D("1.05")
            await account.order(
                m.ModifyCopy(copy=of.copy, slave=ACCOUNT, stop_loss=level, take_profit=None)
            )
            await account.until(lambda: is_over(account, broker))
            await account.looked()
            return broker

    return run(story())


def is_settled(account: Watched, _: Broker) -> bool:
    return bool(account.told(m.CopyReconciled, topics.EXECUTIONS))


def test_a_copy_whose_stop_stands_is_not_closed_for_the_lack_of_it() -> None:
    broker = told_a_stop(sets=True, is_over=is_settled)
    assert broker.closes == []


def test_a_copy_whose_stop_does_not_stand_is_closed() -> None:
    broker = told_a_stop(sets=False, is_over=lambda _, broker: bool(broker.closes))
    assert len(broker.closes) == 1
