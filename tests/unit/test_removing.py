"""An account that is removed while its broker is away."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
import pytest
from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.envelope import STATE_HEADERS
from copypro.ports import Record
from copypro.trading import Done, TradeRequest
from copypro.values import CopyId, Platform, RegistrationId, Ticket, UserId
from copypro_account_watcher import service
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.state import Account, Registration, account_key, copy_key
from copypro_standalone.backtest.virtual_time import run

from tests.unit.diff_builders import order, row
from tests.unit.slave_builders import TICKET, D, standing
from tests.unit.watched import (
    ACCOUNT,
    LOGIN,
    REGISTRATION,
    SERVER,
    TRADES,
    Bridge,
    Vault,
    Watched,
    now,
    watched,
)

STATE = topics.WATCHER_STATE.name
OTHERS = RegistrationId("d" * 32)


def test_a_removal_that_closes_waits_for_no_broker_where_nothing_was_ever_sent() -> None:
    async def work() -> None:
        log = MemoryLog()
        account, remembered = Watched(Bridge(), log), log.state(STATE)[0]
        remembered[account_key(ACCOUNT)] = proved()
        away: dict[Platform, Any] = {}
        time = asyncio.get_running_loop().time
        running = asyncio.create_task(
            service.run(log, away, cast(Any, Vault()), now, time, WatcherLimits())
        )
        try:
            await account.open()
            await account.until(lambda: any(key.startswith("copy/") for key in remembered))
            removal = m.RemoveAccount(account=ACCOUNT, registration=REGISTRATION, close_trades=True)
            await account.command(removal)
            await account.until(lambda: account.told(m.AccountRemoved))
            (denied,) = account.told(m.CopyDenied, topics.EXECUTIONS)
            assert denied.numbers["reason"] == "ACCOUNT_REMOVED"
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run(work())


def test_a_removal_that_closes_is_answered_when_a_later_one_leaves_everything_open() -> None:
    """Its broker is away, and its user thinks better of it."""

    async def work() -> None:
        log = MemoryLog()
        account, remembered = Watched(Bridge(), log), log.state(STATE)[0]
        remembered[account_key(ACCOUNT)] = proved()
        copy = standing()
        copy.slave, copy.registration = ACCOUNT, REGISTRATION
        key = copy_key(ACCOUNT, copy.copy)
        remembered[key] = Record(STATE, 0, 0, key, msgspec.json.encode(copy), STATE_HEADERS)
        away: dict[Platform, Any] = {}
        time = asyncio.get_running_loop().time
        running = asyncio.create_task(
            service.run(log, away, cast(Any, Vault()), now, time, WatcherLimits())
        )
        try:
            for closes in (True, False):
                await account.command(
                    m.RemoveAccount(account=ACCOUNT, registration=REGISTRATION, close_trades=closes)
                )
            await account.until(lambda: len(account.told(m.AccountRemoved)) == 2)
            left = {event.left_open for event in account.told(m.AccountRemoved)}
            assert left == {(TICKET,), ()}
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run(work())


def test_a_removal_that_closes_is_done_with_the_last_close_and_waits_for_no_look() -> None:
    async def work() -> None:
        async with watched(WatcherLimits(snapshot_every_s=3600.0)) as account:

            async def does(request: TradeRequest) -> Done:
                account.bridge.orders = ()
                return Done(ticket=TICKET, lots=D("0.10"), price=D("1.1"))

            account.bridge.does = does
            await account.open()
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            removal = m.RemoveAccount(account=ACCOUNT, registration=REGISTRATION, close_trades=True)
            await account.command(removal)
            await account.until(lambda: account.told(m.AccountRemoved))
            assert account.told(m.CopyClosed, topics.EXECUTIONS)

    run(work())


@pytest.mark.parametrize("closes", [True, False])
def test_a_removal_that_is_asked_for_twice_is_none_of_those_who_stay(closes: bool) -> None:
    """The account has another user, whose copy stands: it was waited for, and left with the others."""

    async def work() -> None:
        log = MemoryLog()
        remembered = log.state(STATE)[0]
        remembered[account_key(ACCOUNT)] = proved(OTHERS)
        for number, (whose, ticket) in enumerate(((REGISTRATION, 7), (OTHERS, 8))):
            copy = standing()
            copy.copy, copy.legs[0].ticket = CopyId(f"{number}" * 32), Ticket(ticket)
            copy.slave, copy.registration = ACCOUNT, whose
            key = copy_key(ACCOUNT, copy.copy)
            remembered[key] = Record(STATE, 0, 0, key, msgspec.json.encode(copy), STATE_HEADERS)
        async with watched(log=log, orders=(order(7), order(8))) as account:

            async def does(request: TradeRequest) -> Done:
                await asyncio.sleep(1.0)
                account.bridge.orders = (order(8),)
                return Done(ticket=Ticket(7), lots=D("0.10"), price=D("1.1"))

            account.bridge.does = does
            for again in (True, closes):
                await account.command(
                    m.RemoveAccount(account=ACCOUNT, registration=REGISTRATION, close_trades=again)
                )
            await account.until(lambda: len(account.told(m.AccountRemoved)) == 2)
            left = [
                ticket for event in account.told(m.AccountRemoved) for ticket in event.left_open
            ]
            assert left == ([] if closes else [7])
            assert 8 not in [e.ticket for e in account.told(m.CopyDetached, topics.EXECUTIONS)]

    run(work())


def proved(*others: RegistrationId) -> Record:
    """The account as it is remembered: its password has logged in before."""

    def one(id_: RegistrationId, user: str) -> Registration:
        return Registration(
            registration=id_,
            user=UserId(user),
            name="away",
            sealed_password=TRADES,
            rights=m.Rights.TRADE,
        )

    account = Account(
        account=ACCOUNT,
        platform=Platform.MT5,
        server=SERVER,
        login=LOGIN,
        generation=1,
        registrations={
            REGISTRATION: one(REGISTRATION, "u"),
            **{each: one(each, each) for each in others},
        },
    )
    key = account_key(ACCOUNT)
    return Record(STATE, 0, 0, key, msgspec.json.encode(account), STATE_HEADERS)


def test_what_is_over_is_known_after_a_restart_and_forgotten_with_its_account() -> None:
    async def work() -> None:
        log = MemoryLog()
        stood = (order(1), order(2))
        async with watched(orders=stood, log=log) as account:
            await account.looked()
            account.bridge.orders, account.bridge.closed = (), (row(1), row(2))
            await account.until(lambda: len(account.told(m.PositionClosed)) == 2)
            await account.until(lambda: len(closed_records(log)) == 2)
        async with watched(orders=(), closed=(row(1), row(2)), log=log) as account:
            await account.looked()
            assert len(account.told(m.PositionClosed)) == 2
            removal = m.RemoveAccount(account=ACCOUNT, registration=REGISTRATION)
            await account.command(removal)
            await account.until(lambda: account.told(m.AccountRemoved))
            assert closed_records(log) == []

    run(work())


def closed_records(log: MemoryLog) -> list[str]:
    return [key for key in log.state(STATE)[0] if key.startswith("closed/")]
