"""What stays of a removed account: nothing that opens its password, whenever and however it went."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from copypro import topics
from copypro.callbacks import Callback
from copypro.envelope import Envelope, encode, utc_now
from copypro.messages import SetEquityProtectorCallback, UpdateAccount
from copypro.values import AccountId, MessageId, RegistrationId

from tests.journey.commands import run_command
from tests.journey.world import CANARY, EMBEDDED, OPERATOR, Account, Stack, World

pytestmark = pytest.mark.slow


@pytest.fixture
def stack() -> Stack:
    """The files of the data folder are looked into."""
    return EMBEDDED


def keys(world: World) -> set[str]:
    """The registrations whose passwords can still be opened."""
    connection = sqlite3.connect(f"file:{world.data}/vault.db?mode=ro", uri=True)
    try:
        return {row[0] for row in connection.execute("SELECT registration FROM keys")}
    finally:
        connection.close()


async def copied(world: World) -> tuple[Account, Account]:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    return master, slave


async def test_what_a_removed_master_leaves_open_on_its_slaves_is_told_by_ticket(
    world: World,
) -> None:
    """RemoveAccount's own answer names what stands on the account that is removed: a master has none."""
    master, slave = await copied(world)
    ((ticket, copier),) = [
        (position["ticket"], shown["id"])
        for position in await slave.positions()
        for shown in await world.call("UserCopiers")
    ]
    answer = await world.call("RemoveAccountByApiId", apiId=master.id)
    assert answer == {"result": "OK", "leftOpen": []}

    async def alerts() -> list[dict[str, str]]:
        return [alert for alert in await world.call("Alerts") if alert["code"] == "LEFT_OPEN"]

    await world.eventually(alerts)
    (alert,) = await alerts()
    assert f"ticket {ticket} is left open" in alert["text"]
    assert alert["numbers"] == {"ticket": str(ticket), "copier": copier}
    code, text = await run_command("alerts", COPYPRO_DATA=str(world.data))
    assert (code, str(slave.login) in text, str(ticket) in text) == (0, True, True)
    await slave.close(ticket)

    async def is_over() -> bool:
        return await alerts() == []

    await world.eventually(is_over)


async def test_the_key_goes_with_the_account_though_its_removal_took_longer_than_the_call(
    world: World,
) -> None:
    master, slave = await copied(world)
    await world.control.script(
        "MT5", endpoint="OrderClose", login=2001, times=-1, error="MARKET_CLOSED"
    )
    answer = await world.call("RemoveAccount", expect=202, accountId=slave.id, closeTrades=True)
    assert keys(world) == {master.id, slave.id}, "its password still closes what is open"
    again = {"type": "MT5", "user": 2001, "password": CANARY, "server": slave.server}
    refused = await world.call("AddAccount", expect=409, **again)
    assert refused["code"] == "ACCOUNT_LEAVING"
    await world.control.clear_scripts()

    async def gone() -> bool:
        async with world.http.get(f"/Commands/{answer['commandId']}") as response:
            return bool((await response.json())["done"]) and keys(world) == {master.id}

    await world.eventually(gone)
    assert await slave.positions() == []


async def test_a_key_that_could_not_be_destroyed_is_destroyed_after_the_next_start(
    world: World,
) -> None:
    master, slave = await copied(world)
    lock = sqlite3.connect(world.data / "vault.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    await world.call("RemoveAccount", accountId=slave.id)
    await world.stop()
    assert keys(world) == {master.id, slave.id}
    lock.execute("ROLLBACK")
    lock.close()
    await world.start()

    async def gone() -> bool:
        return keys(world) == {master.id}

    await world.eventually(gone)


async def test_each_users_key_goes_with_that_users_registration(world: World) -> None:
    slave = await world.account("Beta-MT5", 2001)
    answer = await world.call("SignUp", email="b@example.com", passwordHash="1" * 64)
    world.key = answer["userKey"]
    too = await world.register("Beta-MT5", 2001)
    await world.eventually(lambda: world.is_connected(too))
    assert keys(world) == {slave.id, too.id}
    await world.call("RemoveAccount", accountId=too.id)

    async def gone() -> bool:
        return keys(world) == {slave.id}

    await world.eventually(gone)


@pytest.mark.parametrize("what", ["password", "callback"])
async def test_a_secret_sealed_for_an_account_that_was_just_removed_leaves_no_key(
    world: World, what: str
) -> None:
    """AddAccount of a known account and a callback seal first; the removal may be recorded in between."""
    account = await world.account("Beta-MT5", 2001)
    registered = await registration(world, account)
    await world.call("RemoveAccount", accountId=account.id)
    assert world.ring is not None
    stores = world.ring.stores
    id_ = RegistrationId(account.id)
    removed, sealed = AccountId(registered["account"]), await stores.vault.seal(id_, "late")
    late: UpdateAccount | SetEquityProtectorCallback
    if what == "password":
        late = UpdateAccount(account=removed, registration=id_, sealed_password=sealed)
    else:
        callback = Callback(registration=id_, sealed=sealed, shown="https://example.com")
        late = SetEquityProtectorCallback(account=removed, registration=id_, callback=callback)
    command = MessageId("f" * 32)
    envelope = Envelope(id=command, correlation=command, time=utc_now(), message=late)
    await stores.log.append([encode(topics.ACCOUNT_COMMANDS, late.account, envelope)])

    async def gone() -> bool:
        async with world.http.get(f"/Commands/{command}") as response:
            return (await response.json()).get("code") == "UNKNOWN_ACCOUNT" and not keys(world)

    await world.eventually(gone)


async def registration(world: World, account: Account) -> dict[str, Any]:
    assert world.ring is not None
    found = await world.ring.stores.models.get("registrations", account.id)
    assert found is not None
    return dict(found)


async def test_a_copier_that_is_started_while_its_slave_is_being_removed_ends_with_it(
    world: World,
) -> None:
    """The removal has stopped the copiers that there were, and waits for the market to close a copy."""
    _, slave = await copied(world)
    other = await world.account("Alpha-MT5", 3001)
    await world.control.script(
        "MT5", endpoint="OrderClose", login=2001, times=-1, error="MARKET_CLOSED"
    )
    answer = await world.call("RemoveAccount", expect=202, accountId=slave.id, closeTrades=True)
    started = await world.copier(other, slave)
    await world.control.clear_scripts()

    async def gone() -> bool:
        async with world.http.get(f"/Commands/{answer['commandId']}") as response:
            return bool((await response.json())["done"]) and not await world.call("UserCopiers")

    await world.eventually(gone)
    world.key = OPERATOR
    removed = await world.call("Manager/RemovedCopiers")
    why = {copier["id"]: copier["removedBecause"] for copier in removed}
    assert why[started] == "SlaveRemoved"
