"""The watcher's loop: a fault of ours in one account's agent starts its partition over, and says so."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.sqlite_log import SqliteLog
from copypro.envelope import encode, fact
from copypro.errors import SecretsError
from copypro.messages import RegisterAccount
from copypro.ports import Credentials, EventLog, Terminal
from copypro.readiness import Readiness
from copypro.values import AccountId, Platform, RegistrationId, UserId
from copypro_account_watcher import service
from copypro_account_watcher.limits import WatcherLimits

ACCOUNT = AccountId("a" * 32)


class FaultyOnce:
    """A Vault with a fault at the first look, and with a destroyed key ever after."""

    def __init__(self) -> None:
        self.asked = 0

    async def seal(self, registration: RegistrationId, secret: str) -> str:
        raise AssertionError("nobody seals here")

    async def unseal(self, registration: RegistrationId, sealed: str) -> str:
        self.asked += 1
        if self.asked == 1:
            raise ZeroDivisionError("what nobody expects")
        raise SecretsError("the key is gone")

    async def destroy(self, registration: RegistrationId) -> None:
        raise AssertionError("nobody destroys here")

    async def close(self) -> None:
        return


def no_terminal(_: Credentials) -> Terminal:
    raise AssertionError("without a password nobody connects")


@pytest.fixture(params=["memory", "sqlite"])
async def log(request: pytest.FixtureRequest, tmp_path):  # type: ignore[no-untyped-def]
    made = MemoryLog() if request.param == "memory" else await SqliteLog.open(tmp_path)
    yield made
    await made.close()


async def test_an_agent_that_breaks_starts_its_partition_over_and_others_go_on(
    log: EventLog,
) -> None:
    vault = FaultyOnce()
    watched = service.Watched()
    register = RegisterAccount(
        account=ACCOUNT,
        registration=RegistrationId("b" * 32),
        user=UserId("u"),
        platform=Platform.MT5,
        server="S",
        login=1,
        name="n",
        sealed_password="sealed",
    )
    now = datetime.now(UTC)
    running = asyncio.create_task(
        service.run(
            log,
            {Platform.MT5: no_terminal},
            vault,
            lambda: datetime.now(UTC),
            time.monotonic,
            WatcherLimits(),
            Readiness("account-watcher", first_wait_s=0.01),
            watched=watched,
        )
    )
    await log.append([encode(topics.ACCOUNT_COMMANDS, ACCOUNT, fact(register, now, 1))])
    async with asyncio.timeout(60):
        while watched.sessions() != {"refused": 1}:
            assert not running.done(), running
            await asyncio.sleep(0.01)
    assert vault.asked == 2
    running.cancel()
    await asyncio.wait([running])
