"""A broker that changes a symbol's terms of trade while the account is watched."""

from __future__ import annotations

import asyncio

import pytest
from copypro import messages as m
from copypro.adapters.memory_log import MemoryLog
from copypro.options import CopierOptions, SmallRest
from copypro.values import Mode, OrderKind
from copypro_standalone.backtest.virtual_time import run

from tests.unit.diff_builders import order
from tests.unit.slave_story import ledger
from tests.unit.test_renamed_symbols import OF, copied
from tests.unit.watched import ACCOUNT, D, watched

HOUR_S = 3600.0


@pytest.mark.parametrize("kind", [OrderKind.BUY, OrderKind.BUY_LIMIT])
def test_a_trade_is_told_with_the_terms_of_now(kind: OrderKind) -> None:
    """By its contract all slaves size it: after a tenth of it, ten times too much."""

    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            bridge.orders = (order(7),)
            await account.until(lambda: account.told(m.PositionOpened))
            await asyncio.sleep(HOUR_S)
            bridge.contract = "10000"
            bridge.orders = (order(7), order(8, kind=kind))
            bridge.frame()
            told = m.PendingPlaced if kind.is_pending else m.PositionOpened
            await account.until(lambda: any(each.ticket == 8 for each in account.told(told)))
            assert account.told(told)[-1].context.spec.contract_size == D("10000")

    run(work())


@pytest.mark.parametrize("mode", [Mode.HEDGING, Mode.NETTING])
def test_terms_that_were_known_hold_up_nothing_where_they_cannot_be_read_anew(mode: Mode) -> None:
    """A new trade, and on netting what is added to one."""

    async def work() -> None:
        async with watched(mode=mode) as account:
            bridge, loop = account.bridge, asyncio.get_running_loop()
            bridge.orders = (order(7),)
            await account.until(lambda: account.told(m.PositionOpened))
            await asyncio.sleep(HOUR_S)
            bridge.silent_on, begun = {"EURUSD"}, loop.time()
            adds = mode is Mode.NETTING
            bridge.orders = (order(7, "0.20"),) if adds else (order(7), order(8))
            bridge.frame()
            told = m.PositionIncreased if adds else m.PositionOpened
            await account.until(lambda: len(account.told(told)) == (1 if adds else 2))
            assert loop.time() - begun < 1.5
            assert account.told(told)[-1].context.spec is not None

    run(work())


@pytest.mark.parametrize("how", ["silent_on", "gone"])
def test_a_part_that_cannot_be_closed_without_its_symbols_terms_is_told(how: str) -> None:
    """Nothing said it, however long that lasted."""

    async def work() -> None:
        async with watched() as account:
            bridge, asked = account.bridge, await copied(account)
            setattr(bridge, how, {"EURUSD"})
            bridge.ends_session(reconnects_s=1.0)
            await account.looked()
            await account.order(m.ReduceCopy(copy=OF, slave=ACCOUNT, fraction=D("0.5")))
            await account.until(lambda: account.told(m.AlertRaised))
            (alert,) = account.told(m.AlertRaised)
            assert alert.code == "CLOSE_FAILS"
            setattr(bridge, how, set())
            await account.until(lambda: account.told(m.AlertCleared))
            (close,) = asked
            assert close.lots == D("0.05")

    run(work())


@pytest.mark.parametrize("how", ["silent_on", "gone"])
def test_a_stop_that_cannot_be_set_without_its_symbols_terms_is_told(how: str) -> None:
    """The former one stood, and nobody knew."""

    async def work() -> None:
        async with watched() as account:
            bridge, asked = account.bridge, await copied(account, stop_loss=D("1.04"))
            setattr(bridge, how, {"EURUSD"})
            bridge.ends_session(reconnects_s=1.0)
            await account.looked()
            stop = m.ModifyCopy(copy=OF, slave=ACCOUNT, stop_loss=D("1.05"), take_profit=None)
            await account.order(stop)
            await account.until(lambda: account.told(m.AlertRaised))
            (alert,) = account.told(m.AlertRaised)
            assert alert.code == "STOP_NOT_SET"
            setattr(bridge, how, set())
            await account.until(lambda: account.told(m.AlertCleared))
            (modify,) = asked
            assert modify.stop_loss == D("1.05")

    run(work())


def test_a_part_that_is_closed_waits_for_no_terms() -> None:
    async def work() -> None:
        async with watched() as account:
            bridge, asked = account.bridge, await copied(account)
            await account.order(m.ReduceCopy(copy=OF, slave=ACCOUNT, fraction=D("0.5")))
            await account.until(lambda: asked)
            bridge.orders = (order(50, "0.05"),)
            await account.until(lambda: account.told(m.PositionReduced))
            bridge.gone = {"EURUSD"}
            bridge.ends_session(reconnects_s=1.0)
            await asyncio.sleep(300.0)
            assert len(asked) == 1
            assert not account.told(m.AlertRaised)

    run(work())


def test_terms_that_came_in_the_end_leave_nothing_late() -> None:
    """What is left is as little as may be. The restart that followed raised CLOSE_FAILS for it."""
    log, reduced = MemoryLog(), m.ReduceCopy(copy=OF, slave=ACCOUNT, fraction=D("0.05"))

    async def work() -> None:
        async with watched(log=log) as account:
            bridge = account.bridge
            asked = await copied(account, options=CopierOptions(small_rest=SmallRest.KEEP_MIN))
            await account.order(reduced)
            await account.until(lambda: asked)
            bridge.orders = (order(50, "0.01"),)
            await account.until(lambda: account.told(m.PositionReduced))
            bridge.answers_in_s = {"EURUSD": 20.0}
            bridge.ends_session(reconnects_s=1.0)
            await account.looked()
            await account.order(reduced)
            await asyncio.sleep(5.0)
            waits = ledger(log)
            await asyncio.sleep(30.0)
        copy = ledger(log)
        assert waits is not None
        assert waits.reduction_late_since_utc is not None
        assert copy is not None
        assert copy.reduction_late_since_utc is None

    run(work())
