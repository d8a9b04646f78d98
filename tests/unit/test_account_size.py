"""All registrations of an account are one record: commands never make it larger than a log takes."""

from __future__ import annotations

import msgspec
import pytest
from copypro import messages as m
from copypro import topics
from copypro.adapters.kafka_client import KafkaLimits
from copypro.adapters.kafka_writer import RECORD_OVERHEAD
from copypro.values import Platform, RegistrationId, UserId
from copypro_account_watcher import commands
from copypro_standalone.backtest.virtual_time import run

from tests.unit.watched import ACCOUNT, LOGIN, REGISTRATION, SERVER, TRADES, Watched, watched

LONGEST = m.SymbolChoice(
    on=tuple(f"{number:04}{'𝔘' * 60}" for number in range(1000)),
    off=tuple(f"{number:04}{'𝔘' * 60}" for number in range(1000, 2000)),
)
"""As many and as long as one call may name."""


async def registered(account: Watched, number: int) -> RegistrationId:
    id_ = RegistrationId(f"{number:032x}")
    await account.command(
        m.RegisterAccount(
            account=ACCOUNT,
            registration=id_,
            user=UserId(f"user {number}"),
            platform=Platform.MT5,
            server=SERVER,
            login=LOGIN,
            name="too",
            sealed_password=TRADES,
        )
    )
    return id_


def answers(account: Watched) -> int:
    """Not decoded: they are large."""
    told = account.log.all(topics.ORDER_EVENTS.name)
    commands = account.log.all(topics.ACCOUNT_COMMANDS.name)
    return len({r.headers.get("cause") for r in told} & {r.headers["id"] for r in commands})


def largest(account: Watched) -> int:
    (state,) = account.log.state(topics.WATCHER_STATE.name)
    return max(len(record.value or b"") for record in state.values())


def test_symbols_that_an_accounts_record_has_no_room_for_are_refused_by_name() -> None:
    async def work() -> None:
        async with watched() as account:
            for number in range(12):
                id_ = await registered(account, number)
                choice = m.UpdateAccount(account=ACCOUNT, registration=id_, symbols=LONGEST)
                await account.command(choice)
            await account.until(lambda: answers(account) == 1 + 2 * 12)
            denied = account.told(m.CommandDenied)[0]
            assert denied.code == "INVALID_PARAMETER"
            assert denied.message.startswith("on: ")
            kept = [event for event in account.told(m.AccountUpdated) if event.symbols == LONGEST]
            assert kept, "as many as there is room for"
            assert largest(account) < KafkaLimits().record_bytes - RECORD_OVERHEAD
            assert len(msgspec.json.encode(LONGEST)) < largest(account)
            less = m.UpdateAccount(
                account=ACCOUNT, registration=kept[0].registration, symbols=m.SymbolChoice()
            )
            await account.command(less)
            await account.until(lambda: answers(account) == 2 + 2 * 12)
            assert account.told(m.AccountUpdated)[-1].symbols == m.SymbolChoice()

    run(work())


def test_what_makes_a_full_record_no_larger_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account can be switched off whatever the others of it have named."""

    async def work() -> None:
        async with watched() as account:
            monkeypatch.setattr(commands, "MOST_BYTES", 1)
            off = m.UpdateAccount(account=ACCOUNT, registration=REGISTRATION, enabled=False)
            await account.command(off)
            await account.until(lambda: not account.told(m.AccountUpdated)[-1].enabled)
            assert account.told(m.CommandDenied) == []

    run(work())
