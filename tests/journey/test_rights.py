"""Whose account it is: what a registration shows and may do, by what its own password has proved."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from copypro.topics import ORDER_EVENTS

from tests.journey.world import CANARY, Account, World

pytestmark = pytest.mark.slow
WRONG = "wr0ng-p4ssw0rd"


async def another_user(world: World, email: str = "b@example.com") -> None:
    answer = await world.call("SignUp", email=email, passwordHash="1" * 64)
    world.key = answer["userKey"]


async def shown(world: World, account: Account) -> dict[str, Any]:
    (found,) = [a for a in await world.call("Accounts") if a["id"] == account.id]
    return dict(found)


async def refused(world: World, account: Account) -> None:
    async def is_refused() -> bool:
        return (await shown(world, account))["connectError"] is not None

    await world.eventually(is_refused)


async def session_events(world: World) -> Counter[str]:
    types = [record.headers["type"] for record in await world.records(ORDER_EVENTS)]
    return Counter(t for t in types if t in ("AccountConnected", "AccountDisconnected"))


async def test_a_wrong_password_is_tried_once_and_gives_nothing_of_somebody_elses_account(
    world: World,
) -> None:
    theirs = await world.account("Beta-MT5", 2001)
    await theirs.open("EURUSD", "Buy", "0.10")
    await another_user(world)
    mine = await world.account("Alpha-MT4", 1001)
    before = await session_events(world)
    tries = len(await world.control.ledger("ConnectEx", 2001))
    claimed = await world.register("Beta-MT5", 2001, WRONG)
    await refused(world, claimed)
    seen = await shown(world, claimed)
    assert seen["connectError"]["code"] == "INVALID_ACCOUNT"
    assert (seen["status"], seen["connected"], seen["rights"]) == ("refused", False, "none")
    assert seen["accountSummary"] is None
    assert seen["seenAliveAt"] is None
    for master, slave in ((mine, claimed), (claimed, mine)):
        answer = await world.call(
            "Start", expect=403, masterAccountId=master.id, slaveAccountId=slave.id
        )
        assert answer["code"] == "NOT_PROVED"
        assert "INVALID_ACCOUNT" in answer["message"]
    for name in ("OpenOrders", "ClosedOrders"):
        assert (await world.call(name, expect=403, accountId=claimed.id))["code"] == "NOT_PROVED"
    settled = await world.call("Settle", expect=403, accountId=claimed.id, ticket=1)
    assert settled["code"] == "NOT_PROVED"
    assert await world.call("Unresolved") == []
    assert len(await world.control.ledger("ConnectEx", 2001)) == tries + 1
    assert await session_events(world) == before, "somebody's wrong password cut a working session"


async def test_alerts_and_unresolved_attempts_are_for_those_who_may_read(world: World) -> None:
    slave = await world.account("Beta-MT5", 2001)
    from copypro.values import CopyId, leg_tag

    await slave.open("GBPUSD", "Buy", "0.30", comment=leg_tag(CopyId("0" * 32), 0))

    async def alerted() -> bool:
        return [alert["code"] for alert in await world.call("Alerts")] == ["OTHER_COPIER"]

    await world.eventually(alerted)
    owner = world.key
    await another_user(world)
    claimed = await world.register("Beta-MT5", 2001, WRONG)
    await refused(world, claimed)
    assert await world.call("Alerts") == []
    await world.register("Beta-MT5", 2001)
    await world.eventually(alerted)
    world.key = owner
    assert await alerted()


async def test_two_users_with_the_right_password_share_an_account_but_not_a_pair(
    world: World,
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    await another_user(world)
    master_too = await world.register("Alpha-MT4", 1001)
    slave_too = await world.register("Beta-MT5", 2001)
    assert {master_too.id, slave_too.id}.isdisjoint({master.id, slave.id})
    answer = await world.call(
        "Start", expect=409, masterAccountId=master_too.id, slaveAccountId=slave_too.id
    )
    assert answer["code"] == "PAIR_IN_USE"
    other = await world.account("Beta-MT4", 3001)
    await world.copier(master_too, other)
    ticket = await master.open("EURUSD", "Buy", "0.10")
    for account in (slave, other):
        await world.eventually(account.positions)
    assert len(await slave.positions()) == 1, "one pair, one copy"
    assert (await shown(world, slave_too))["connected"]
    assert len(await world.call("OpenOrders", accountId=slave_too.id)) >= 0
    await world.call("GetCopier", expect=404, id=copier)
    await world.call("RemoveAccount", accountId=slave_too.id)
    await world.call("RemoveAccount", accountId=master_too.id)
    await master.close(ticket)

    await world.eventually(slave.is_flat)  # what one user removed is still the other one's


async def test_start_right_after_add_account_waits_for_the_logins(world: World) -> None:
    for platform in ("MT4", "MT5"):
        await world.control.script(platform, endpoint="ConnectEx", times=-1, delay_before_s=1.0)
    for server, login in (("Alpha-MT4", 1001), ("Beta-MT5", 2001)):
        await world.control.add_account(
            server=server, platform=server[-3:], login=login, password=CANARY, balance="10000"
        )
    master = await world.register("Alpha-MT4", 1001)
    slave = await world.register("Beta-MT5", 2001)
    assert (await shown(world, slave))["status"] == "connecting"
    await world.copier(master, slave)

    async def both() -> bool:
        return all([await world.is_connected(account) for account in (master, slave)])

    await world.eventually(both)
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)


async def test_start_with_both_accounts_inline_works_at_once(world: World) -> None:
    for server, login in (("Alpha-MT4", 1001), ("Beta-MT5", 2001)):
        await world.control.add_account(
            server=server, platform=server[-3:], login=login, password=CANARY, balance="10000"
        )
    fields = {
        f"{role}{name}": value
        for role, (kind, login, server) in {
            "master": ("MT4", 1001, "Alpha-MT4"),
            "slave": ("MT5", 2001, "Beta-MT5"),
        }.items()
        for name, value in {
            "Type": kind, "User": login, "Password": CANARY, "Server": server
        }.items()
    }  # fmt: skip
    await world.call("Start", **fields)


async def test_start_is_refused_by_name_while_a_login_cannot_be_tried(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    await world.control.add_account(server="Beta-MT5", platform="MT5", login=2001, password=CANARY)
    await world.control.bridge("MT5", down=True)
    slave = await world.register("Beta-MT5", 2001)

    async def refused_with_the_reason() -> bool:
        answer = await world.call(
            "Start", expect=409, masterAccountId=master.id, slaveAccountId=slave.id
        )
        assert answer["code"] == "ACCOUNT_CONNECTING"
        assert answer["message"].startswith("slaveAccountId:")
        return "UNREACHABLE" in answer["message"]

    await world.eventually(refused_with_the_reason)
    assert (await shown(world, slave))["status"] == "connecting"
    await world.control.bridge("MT5", down=False)
    await world.eventually(lambda: world.is_connected(slave))
    await world.copier(master, slave)


async def test_a_typo_leaves_the_password_that_works_in_use(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    before = await session_events(world)
    again = await world.register("Beta-MT5", 2001, WRONG)
    assert again.id == slave.id
    await refused(world, slave)
    seen = await shown(world, slave)
    assert (seen["connected"], seen["rights"]) == (True, "trade")
    assert seen["connectError"]["code"] == "INVALID_ACCOUNT"
    await master.close(ticket)

    await world.eventually(slave.is_flat)
    assert await session_events(world) == before
    assert await world.call("Alerts") == []
    await world.register("Beta-MT5", 2001)

    async def clean() -> bool:
        return (await shown(world, slave))["connectError"] is None

    await world.eventually(clean)
    assert await session_events(world) == before, "the same password needs no new session"


async def test_an_investor_password_beside_a_trading_one_takes_nothing_from_it(
    world: World,
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001, investor_password="look")
    await world.copier(master, slave)
    owner = world.key
    await another_user(world)
    watched = await world.register("Beta-MT5", 2001, "look")

    async def reads() -> bool:
        return bool((await shown(world, watched))["rights"] == "read")

    await world.eventually(reads)
    assert (await shown(world, watched))["connected"]
    assert (await world.call("Settle", expect=400, accountId=watched.id, ticket=1))[
        "code"
    ] == "READ_ONLY"
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)

    async def listed() -> bool:
        return len(await world.call("OpenOrders", accountId=watched.id)) == 1

    await world.eventually(listed)
    world.key = owner
    assert (await shown(world, slave))["rights"] == "trade"


async def test_who_only_knew_the_former_password_loses_the_account(world: World) -> None:
    """Its owner changed it at the broker and told us: a broker's account has one trading password."""
    slave = await world.account("Beta-MT5", 2001)
    owner = world.key
    await another_user(world)
    master = await world.account("Alpha-MT4", 1001)
    former = await world.register("Beta-MT5", 2001)
    copier = await world.copier(master, former)
    await world.control.set_account("Beta-MT5", 2001, password="changed")
    other_user, world.key = world.key, owner
    await world.register("Beta-MT5", 2001, "changed")

    async def only_owner() -> bool:
        world.key = other_user
        theirs = (await shown(world, former))["rights"]
        world.key = owner
        return bool(theirs == "none" and (await shown(world, slave))["rights"] == "trade")

    await world.eventually(only_owner)
    world.key = other_user
    await master.open("EURUSD", "Buy", "0.10")
    assert await world.code(copier) == "ACCOUNT_REFUSED"
    assert await slave.positions() == []
    assert (await world.call("MappedSymbols", id=copier))["slaveSymbols"] == []


async def test_a_servers_name_is_spelled_anew_until_a_password_has_logged_in_by_it(
    world: World,
) -> None:
    """Names in another letter case are one account, and bridges know one spelling."""
    values = {"password": CANARY, "balance": "100000"}
    await world.control.add_account(server="Beta-MT5", platform="MT5", login=2001, **values)

    async def added(server: str) -> Account:
        fields = {"type": "MT5", "user": 2001, "password": CANARY, "server": server}
        return Account(world, server, 2001, (await world.call("AddAccount", **fields))["accountId"])

    stranger = await added("BETA-mt5")
    await refused(world, stranger)
    assert (await shown(world, stranger))["connectError"]["code"] == "SERVER_NOT_FOUND"
    await another_user(world)
    await refused(world, await added("beta-mt5"))
    mine = await added("Beta-MT5")
    await world.eventually(lambda: world.is_connected(mine))
    assert (await shown(world, mine))["server"] == "Beta-MT5"
    await added("beta-MT5")
    await world.eventually(lambda: world.is_connected(mine))
    assert (await shown(world, mine))["server"] == "Beta-MT5"


async def test_a_removed_registrations_copies_are_closed_first_though_another_user_stays(
    world: World,
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    owner = world.key
    await another_user(world)
    await world.register("Beta-MT5", 2001, WRONG)
    world.key = owner
    await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    await world.call("RemoveAccount", accountId=slave.id, closeTrades=True)
    assert await slave.positions() == []
    await world.call("OpenOrders", expect=404, accountId=slave.id)


async def test_a_login_that_its_broker_takes_no_more_is_an_alert_until_it_is_put_right(
    world: World,
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    await world.control.set_account("Beta-MT5", 2001, password="changed")
    await world.control.forget_sessions("MT5")

    async def alerted() -> bool:
        return "ACCOUNT_REFUSED" in [alert["code"] for alert in await world.call("Alerts")]

    await world.eventually(alerted)
    assert (await shown(world, slave))["status"] == "refused"
    await master.close(ticket)
    await world.register("Beta-MT5", 2001, "changed")

    async def put_right() -> bool:
        return await slave.positions() == [] and await world.call("Alerts") == []

    await world.eventually(put_right)


async def test_who_may_no_longer_read_the_master_is_copied_nothing_of_it(world: World) -> None:
    theirs = await world.account("Alpha-MT5", 1001, investor_password="look")
    await another_user(world)
    watched = await world.register("Alpha-MT5", 1001, "look")
    slave = await world.account("Beta-MT4", 2001)
    copier = await world.copier(watched, slave)
    await theirs.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    await world.control.set_account("Alpha-MT5", 1001, investor_password="other")
    await world.register("Alpha-MT5", 1001, "look again")  # a typo: what worked before is not tried

    async def paused() -> bool:
        return str((await world.call("GetCopier", id=copier))["pauseReason"]) != "None"

    assert not await paused()
    other = await third_user(world, "Alpha-MT5", 1001, "other")
    await world.eventually(paused)
    assert (await world.call("GetCopier", id=copier))["pauseReason"] == "WrongMasterPassword"
    await theirs.open("GBPUSD", "Buy", "0.10")
    assert await world.code(copier) == "PAUSED"
    answer = await world.call("CopierPause", expect=403, id=copier, paused=False)
    assert answer["code"] == "NOT_PROVED"
    await world.register("Alpha-MT5", 1001, "other")

    async def runs() -> bool:
        return not await paused()

    await world.eventually(runs)
    assert other != watched.id


async def third_user(world: World, server: str, login: int, password: str) -> str:
    """Knows the account's present password of that kind."""
    key = world.key
    await another_user(world, "c@example.com")
    account = await world.register(server, login, password)
    world.key = key
    return account.id
