"""A broker that gives a symbol another name, while what was copied in it stands."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.options import SymbolMapping
from copypro.trading import CloseRequest, Done, ModifyRequest, OpenRequest, TradeRequest
from copypro.values import CopyId, Mode, Ticket
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.diff_builders import order
from tests.unit.slave_builders import opens
from tests.unit.watched import ACCOUNT, D, Watched, watched

OF = opens().copy
NEW = "EURUSD.a"
PAIRS = ("EURUSD", "GBPUSD", "USDJPY", "USDCHF", "AUDUSD", "USDCAD", "NZDUSD", "EURJPY")


def renames(account: Watched) -> None:
    """Over a weekend, say: the old name is refused, what stands has the new one."""
    bridge = account.bridge
    bridge.names, bridge.gone = [NEW], {"EURUSD"}
    bridge.orders = tuple(
        replace(each, symbol=NEW) if each.symbol in bridge.gone else each for each in bridge.orders
    )


async def copied(account: Watched, **more: Any) -> list[TradeRequest]:
    """A copy of 0.10 lots stands. What the broker is asked for from then on."""
    asked: list[TradeRequest] = []
    bridge = account.bridge

    async def does(request: TradeRequest) -> Done:
        asked.append(request)
        if isinstance(request, OpenRequest):
            lots = sum((each.lots for each in bridge.orders), request.lots)
            bridge.orders = (order(50, str(lots), symbol=request.symbol, comment=request.comment),)
        done = getattr(request, "lots", D("0.10"))
        return Done(ticket=Ticket(50), lots=done, price=D("1.10002"))

    bridge.does = does
    await account.open(**more)
    await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
    await account.looked()
    asked.clear()
    return asked


@pytest.mark.parametrize("reconnects", [False, True])
@pytest.mark.parametrize("mode", [Mode.HEDGING, Mode.NETTING])
def test_what_its_master_reduces_is_reduced_under_the_new_name(
    mode: Mode, reconnects: bool
) -> None:
    async def work() -> None:
        async with watched(mode=mode) as account:
            asked = await copied(account)
            renames(account)
            if reconnects:
                account.bridge.ends_session(reconnects_s=1.0)
            await account.looked()
            await account.order(m.ReduceCopy(copy=OF, slave=ACCOUNT, fraction=D("0.5")))
            await account.until(lambda: asked)
            (close,) = asked
            assert isinstance(close, CloseRequest)
            assert (close.symbol, close.lots) == (NEW, D("0.05"))

    run(work())


@pytest.mark.parametrize("mode", [Mode.HEDGING, Mode.NETTING])
def test_the_stops_of_its_master_are_set_under_the_new_name(mode: Mode) -> None:
    async def work() -> None:
        async with watched(mode=mode) as account:
            asked = await copied(account)
            renames(account)
            account.bridge.ends_session(reconnects_s=1.0)
            await account.looked()
            modify = m.ModifyCopy(copy=OF, slave=ACCOUNT, stop_loss=D("1.05"), take_profit=None)
            await account.order(modify)
            await account.until(lambda: asked)
            assert isinstance(asked[0], ModifyRequest)

    run(work())


@pytest.mark.parametrize("reconnects", [False, True])
def test_what_its_master_adds_has_the_lots_of_its_mapping(reconnects: bool) -> None:
    mapping = SymbolMapping(master_symbol="EURUSD", slave_symbol="EURUSD", slave_lots=D("0.03"))

    async def work() -> None:
        async with watched() as account:
            asked = await copied(account, mapping=mapping)
            renames(account)
            if reconnects:
                account.bridge.ends_session(reconnects_s=1.0)
            await account.looked()
            await account.open(mapping=mapping, leg=1)
            await account.until(lambda: asked or account.told(m.CopyDenied, topics.EXECUTIONS))
            (add,) = asked
            assert isinstance(add, OpenRequest)
            assert (add.symbol, add.lots) == (NEW, D("0.03"))

    run(work())


def test_the_next_trade_is_copied_under_the_new_name() -> None:
    async def work() -> None:
        async with watched() as account:
            asked = await copied(account)
            renames(account)
            account.bridge.names = [f"{pair}.a" for pair in PAIRS]
            await account.looked()
            await asyncio.sleep(60)
            await account.open(copy=CopyId("1" * 32), root="r2")
            await account.until(lambda: asked or account.told(m.CopyDenied, topics.EXECUTIONS))
            (opened,) = asked
            assert isinstance(opened, OpenRequest)
            assert opened.symbol == NEW

    run(work())


def test_the_quotes_of_the_others_are_streamed_on() -> None:
    """Nothing asks for it: each later trade would read a price first."""

    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            bridge.orders = (order(7), order(8, symbol="GBPUSD"))
            await account.until(lambda: bridge.subscribed == {"EURUSD", "GBPUSD"})
            renames(account)
            bridge.subscribed.clear()
            bridge.ends_session(reconnects_s=1.0)
            await account.looked()
            assert bridge.subscribed == {"GBPUSD"}

    run(work())
