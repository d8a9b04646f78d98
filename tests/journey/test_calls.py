"""The calls that the original added later, each by what it changes."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.journey.test_gateway import get
from tests.journey.world import CANARY, OPERATOR, Account, World

pytestmark = pytest.mark.slow


async def shown(world: World, account: Account) -> Any:
    return await world.call("GetAccount", accountId=account.id)


async def paused(world: World, copier: str) -> tuple[bool, str]:
    doc = await world.call("GetCopier", id=copier)
    return doc["paused"], doc["pauseReason"]


async def test_an_account_is_renamed_disabled_and_enabled_again(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    first = await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    await world.call("UpdateAccount", accountId=master.id, accountName="Mine")
    await world.call("UpdateAccount", accountId=master.id, considerAccountBalance=True)
    account = await shown(world, master)
    assert (account["name"], account["considerAccountBalance"]) == ("Mine", True)

    await world.call("AccountSetEnabled", accountId=slave.id, enabled=False)
    assert await paused(world, copier) == (True, "SlaveAccountDisable")
    await master.open("GBPUSD", "Buy", "0.10")
    assert await world.code(copier) == "ACCOUNT_DISABLED"
    await world.call("AccountSetEnabled", accountId=slave.id, enabled=True)
    assert await paused(world, copier) == (False, "None")

    await world.call("AccountSetEnabled", accountId=master.id, enabled=False)

    async def stopped() -> bool:
        return await paused(world, copier) == (True, "MasterAccountDisable")

    await world.eventually(stopped)
    answer = await world.call("CopierPause", expect=409, id=copier, paused=False)
    assert answer["code"] == "ACCOUNT_DISABLED"
    await master.open("AUDUSD", "Buy", "0.10")
    await master.close(first)

    await world.eventually(slave.is_flat)
    await world.call("AccountSetEnabled", accountId=master.id, enabled=True)

    async def runs() -> bool:
        return await paused(world, copier) == (False, "None")

    await world.eventually(runs)
    await master.open("USDCHF", "Buy", "0.10")
    await world.eventually(slave.positions)
    assert [order["symbol"] for order in await slave.positions()] == ["USDCHF"]


async def test_a_slaves_symbol_that_is_off_opens_nothing_and_still_closes(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    off = {"accountId": slave.id, "enableAllSymbols": True, "off": ["EURUSD", "XAUUSD"]}
    await world.call("SymbolsEnable", **off)
    settings = (await shown(world, slave))["symbolEnableSettings"]
    assert settings == {"enableAllSymbols": True, "on": [], "off": ["EURUSD", "XAUUSD"]}
    await master.open("EURUSD", "Buy", "0.20")
    assert await world.code(copier) == "SYMBOL_OFF"
    await master.close(ticket)

    await world.eventually(slave.is_flat)
    names = await world.call("SymbolList", apiId=slave.id, type="MT5")
    assert {"EURUSD", "XAUUSD"} <= set(names)

    async def known() -> bool:
        terms = await world.call("SymbolParamsLite", apiId=slave.id, type="MT5")
        assert [each["symbol"] for each in terms] == names
        found = {each["symbol"]: each for each in terms}["EURUSD"]
        return bool((found["lotMin"], found["tradeMode"]) == (0.01, "Full"))

    await world.eventually(known)


async def test_accounts_with_their_figures_and_orders(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    wrong = await world.register("Beta-MT4", 77, "nothing of the sort")
    open_ticket = await master.open("EURUSD", "Buy", "0.10")
    closed_ticket = await master.open("GBPUSD", "Buy", "0.20")
    await master.close(closed_ticket)

    async def projected() -> bool:
        one = await world.call("AccountWithTradeSummary", accountId=master.id)
        closed = await world.call("ClosedOrders", accountId=master.id)
        return one["tradeSummary"]["openTrades"] == 1 and len(closed) == 1

    await world.eventually(projected)
    detailed = await world.call("AccountWithSummary", accountId=master.id)
    assert detailed["connected"]
    assert detailed["seenAliveAgeSeconds"] < 90
    assert detailed["accountDetails"]["currency"] == "USD"
    assert detailed["accountSummary"]["balance"] > 0
    for name in ("AccountsWithSummary", "AccountsWithTradeSummary"):
        listed = {each["id"]: each for each in await world.call(name)}
        assert listed[wrong.id]["accountDetails"] is None, name
        assert listed[master.id]["accountDetails"]["currency"] == "USD"
    summary = listed[master.id]["tradeSummary"]
    assert summary.keys() == {
        "openTrades", "openProfit", "dayProfit", "weekProfit", "monthProfit", "totalProfit",
    }  # fmt: skip
    (opened,) = await world.call("OpenOrdersAll")
    assert (opened["id"], opened["user"]) == (master.id, 1001)
    assert [order["ticket"] for order in opened["orders"]] == [open_ticket]
    status, answer = await get(world, "ClosedOrdersAll", **{"from": "2000-01-01", "to": ""})
    assert status == 200
    assert [order["ticket"] for order in answer[0]["orders"]] == [closed_ticket]
    assert answer[0]["nextTo"] is None


async def test_a_new_password_is_tried_and_a_wrong_one_said(world: World) -> None:
    await world.control.add_account(server="Alpha-MT4", platform="MT4", login=5, password="right")
    account = await world.register("Alpha-MT4", 5, "wrong")

    async def refused() -> bool:
        return bool((await shown(world, account))["connectError"])

    await world.eventually(refused)
    await world.call("ChangePassword", accountId=account.id, type="MT4", newPassword="right")
    await world.eventually(lambda: world.is_connected(account))
    again = await world.call("ChangePasswordByApiId", apiId=account.id, newPassword="wrong")
    assert again == {"result": "OK"}
    await world.eventually(refused)
    assert (await shown(world, account))["rights"] == "trade", "the one that works stays"


async def test_lines_of_a_level_and_above(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave, riskValue="0.1")
    await master.open("EURUSD", "Buy", "0.01")
    assert await world.code(copier) == "BELOW_MIN_LOT"
    assert len(await world.call("Logs", id=copier, logLevel="Warning")) == 1
    assert await world.call("Logs", id=copier, logLevel="Error") == []
    assert await world.call("Logs", id=copier, logLevel="None") == []
    assert (await world.call("Logs", expect=400, id=copier, logLevel="Loud"))["message"].startswith(
        "logLevel:"
    )


async def test_what_the_service_says_of_itself(world: World) -> None:
    await world.account("Alpha-MT4", 1001)
    assert await world.call("ServerNames") == ["Alpha-MT4"]
    assert (await get(world, "ServerNames", mt5="true"))[1] == []
    status, seen = await get(world, "Headers")
    assert (status, seen["authorization"]) == (200, "***")
    assert world.key not in str(seen)
    async with world.http.get("/ReadMe") as response:
        page = await response.text()
        assert response.content_type == "text/html"
        assert "OpenOrdersAll" in page
        ends = {
            told.rstrip()[-1:] for told in re.findall(r"<td>(.*?)(?=<tr>|</table>)", page, re.S)
        }
        assert ends <= {".", ""}, "no sentence is cut where its line ends"


async def test_a_client_that_does_not_hash_signs_up_and_in(world: World) -> None:
    signed = await world.call("SignUpNonHashed", email="n@example.com", password="correct horse")
    assert (await get(world, "Accounts", key=signed["userKey"]))[0] == 200
    hashed = "4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631"
    again = await world.call("SignIn", email="n@example.com", passwordHash=hashed)
    assert (await get(world, "Accounts", key=again["userKey"]))[0] == 200


async def test_an_operator_sees_everybodys_and_pauses_what_must_be(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    for name in ("Manager/Accounts", "Manager/Copiers"):
        assert (await world.call(name, expect=401))["code"] == "OPERATOR_KEY_INVALID"
    mine, world.key = world.key, ""

    async def ask(name: str, **fields: Any) -> Any:
        return await world.call(name, managerKey=OPERATOR, **fields)

    user = await ask("GetUserByEmail", email="A@example.com")
    assert await ask("Manager/Users", search="EXAMPLE") == [user]
    assert (user["email"], user["passwordHash"]) == ("a@example.com", "***")
    accounts = await ask("Manager/Accounts", search="alpha")
    assert [each["id"] for each in accounts] == [master.id]
    assert accounts[0]["password"] == "***"
    both = await ask("Manager/UserAccounts", userId=user["id"])
    assert {each["id"] for each in both} == {master.id, slave.id}
    pages = [await ask("Manager/Accounts", pageSize=1, page=page) for page in range(3)]
    assert [len(page) for page in pages] == [1, 1, 0]
    assert {page[0]["id"] for page in pages[:2]} == {master.id, slave.id}

    await ask("Manager/TogglePauseCopier", copierId=copier, paused=True)
    assert await paused(world, copier) == (True, "ByOperator")
    (listed,) = await ask("Manager/Copiers", showOnlyPaused=True)
    assert listed["id"] == copier
    assert (await ask("Manager/UnPauseAll"))["resumed"] == 1
    assert await ask("Manager/UserCopiers", userId=user["id"], showOnlyPaused=True) == []
    assert await ask("Manager/CopierLogs", id=copier) == []
    await failures_are_listed(world, ask, mine, user["id"], master)
    assert await ask("Manager/CopierTradeLogs", id=copier) == []
    world.key = mine


async def failures_are_listed(
    world: World, ask: Callable[..., Awaitable[Any]], key: str, user: str, master: Account
) -> None:
    world.key = key
    own, nobodys = master.id, "f" * 32
    await world.call(
        "Start", expect=400, masterAccountId=own, slaveAccountId=own, riskValue="0.5"
    )  # fmt: skip
    await world.call("StartByAccountId", expect=404, masterAccountId=own, slaveAccountId=nobodys)
    await world.stop()
    await world.start(most_accounts=2)
    third = {"type": "MT4", "user": 7, "password": CANARY, "server": "Alpha-MT4"}
    await world.call("AddAccount", expect=409, **third)
    world.key = ""
    starts = await ask("Manager/UserFailedStarts", userId=user)
    assert [(row["call"], row["status"], row["code"]) for row in starts] == [
        ("StartByAccountId", 404, "UNKNOWN_ACCOUNT"),
        ("Start", 400, "INVALID_PARAMETER"),
    ]
    assert starts[1]["parameters"]["riskValue"] == "0.5"
    assert await ask("Manager/UserFailedStarts", userId=user, page=1, pageSize=1) == starts[1:]
    assert await ask("Manager/UserFailedStarts", userId=user, search="nobody's") == []
    assert await ask("Manager/UserFailedStarts", userId=nobodys) == []
    (added,) = await ask("Manager/UserFailedAddAccounts", userId=user)
    assert (added["code"], added["userId"]) == ("TOO_MANY_ACCOUNTS", user)
    assert (added["parameters"]["user"], added["parameters"]["password"]) == ("7", "***")
    assert CANARY not in str(added)
    assert key not in str(starts)


async def test_a_forgotten_password_is_set_anew_by_a_letter(world: World) -> None:
    answer = await world.call("PasswordForgot", expect=403, email="a@example.com")
    assert answer["code"] == "MAIL_OFF"
    await world.stop()
    await world.start(mail="file", reset_url="https://mine.example.com")
    mine, world.key = world.key, ""
    named = (await world.call("AddKey", name="robot", userKey=mine))["userKey"]
    page = "https://mine.example.com/reset?key="
    known = await world.call("PasswordForgot", email="A@example.com", frontEndResetUrl=page)
    nobody = await world.call("PasswordForgot", email="b@example.com", frontEndResetUrl=page)
    assert known == nobody == {"result": "OK"}
    for host in (
        "theirs.example",
        "mine.example.com.theirs.example",
        "mine.example.com@theirs.example",
    ):
        theirs = {"email": "a@example.com", "frontEndResetUrl": f"https://{host}/reset?key="}
        answer = await world.call("PasswordForgot", expect=400, **theirs)
        assert answer["message"].startswith("frontEndResetUrl:"), host
    letters = world.data / "mail.jsonl"

    async def written() -> bool:
        return letters.exists()

    await world.eventually(written)
    (letter,) = [json.loads(line) for line in letters.read_text().splitlines()]
    assert letter["to"] == "a@example.com"
    (key,) = re.findall(r"reset\?key=(\w{64})", letter["text"])
    fields = {"resetKey": key, "newPasswordHash": "9" * 64}
    assert await get(world, "PasswordReset", key="", **fields) == (200, {"result": "OK"})
    status, answer = await get(world, "PasswordReset", key="", **fields)
    assert (status, answer["code"]) == (403, "RESET_KEY_INVALID"), "it works once"
    signed = await world.call("SignIn", email="a@example.com", passwordHash="9" * 64)
    await world.call("SignIn", expect=401, email="a@example.com", passwordHash="0" * 64)
    assert (await get(world, "Accounts", key=mine))[0] == 401, "the sign-in of before is over"
    assert (await get(world, "Accounts", key=named))[0] == 200
    world.key = signed["userKey"]
