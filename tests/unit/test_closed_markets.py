"""Markets that are closed while others trade: at weekends what is paid in euros, and not the euro itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.options import CopierOptions, RiskType
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace
from structlog.testing import capture_logs

from tests.unit.slave_builders import context, opens
from tests.unit.watched import ACCOUNT, LIMITS, REGISTRATION, Watched, now, watched

WEEKEND_S = 40 * 3600.0
SIZED = (m.AttemptStarted, m.CopyDenied)


async def told_of_a_trade(account: Watched, symbol: str) -> list[Any]:
    """Of a master whose account is in euros; the slave's is in dollars."""
    order = opens(
        symbol=symbol,
        master=context(currency="EUR"),
        risk_type=RiskType.BALANCE_MULTIPLIER,
    )
    fresh = replace(
        order, slave=ACCOUNT, registration=REGISTRATION, seen_at_utc=now(), fresh_from_utc=now()
    )
    await account.order(fresh)
    executions = topics.EXECUTIONS
    await account.until(lambda: [e for kind in SIZED for e in account.told(kind, executions)])
    return [e for kind in SIZED for e in account.told(kind, executions)]


def test_a_currency_that_has_not_moved_since_friday_is_converted_as_of_then() -> None:
    """As the broker itself does it, for margins and profits."""

    async def work() -> None:
        async with watched() as account:
            account.bridge.names = ["EURUSD", "BTCUSD"]
            account.bridge.quiet_s = {"EURUSD": WEEKEND_S}
            began = now()
            (event,) = await told_of_a_trade(account, "BTCUSD")
            assert isinstance(event, m.AttemptStarted), event
            assert (now() - began).total_seconds() < 5

    run(work())


@pytest.mark.parametrize("quiet_s", [60.0, WEEKEND_S])
def test_what_is_traded_itself_has_a_price_of_now(quiet_s: float) -> None:
    async def work() -> None:
        async with watched() as account:
            account.bridge.quiet_s = {"EURUSD": quiet_s}
            events = await told_of_a_trade(account, "EURUSD")
            assert [event.code for event in events] == ["EXPIRED"]

    run(work())


@pytest.mark.parametrize("symbol", ["EURUSD", "BTCUSD"])
def test_a_market_that_stays_closed_fills_no_log(symbol: str) -> None:
    """A line each few seconds for each symbol, the whole weekend."""

    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            bridge.names = ["EURUSD", "BTCUSD"]
            bridge.quiet_s = {"EURUSD": WEEKEND_S, "BTCUSD": WEEKEND_S}
            quarter_s = LIMITS.say_again_s

            async def said(seconds: float) -> list[str]:
                with capture_logs() as lines:
                    await asyncio.sleep(seconds)
                return [line["need"] for line in lines if line["event"] == "a read failed"]

            await account.open(symbol=symbol, options=CopierOptions(max_age_s=WEEKEND_S))
            assert await said(quarter_s / 2) == [f"a price of {symbol}"]
            assert await said(quarter_s) == [f"a price of {symbol}"]
            bridge.gone = {symbol}
            assert await said(quarter_s / 2) != [], "it is another cause"

    run(work())
