"""As clients of the original call: their spellings, their old form of Start, their reading of answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.documented import problems
from tests.journey.test_gateway import get
from tests.journey.world import CANARY, World

pytestmark = pytest.mark.slow


async def bare(world: World, path: str, **query: str) -> tuple[int, Any]:
    """No header at all: everything is in the address."""
    async with world.http.get(path, params=query) as response:
        assert response.content_type == "application/json", path
        return response.status, await response.json()


async def ask(world: World, name: str, key: str | None, **body: Any) -> tuple[int, Any, bool]:
    headers = {"Authorization": f"Bearer {world.key}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    async with world.http.post(f"/{name}", json=body, headers=headers) as response:
        replayed = response.headers.get("Idempotency-Replayed") == "true"
        return response.status, await response.json(), replayed


@pytest.mark.parametrize("require_key", [False, True], ids=["by id", "by key"])
async def test_a_client_of_the_original_from_sign_up_to_removal(
    world: World, require_key: bool
) -> None:
    """By query only, keys in the address, names in its own case, empty optional parameters; where the
    original documents no key, without one, or with one where COPYPRO_REQUIRE_KEY asks for it.
    """
    if require_key:
        await world.stop()
        await world.start(require_key=True)
    master = {"server": "Alpha-MT4", "platform": "MT4", "login": 1001}
    slave = {"server": "Beta-MT5", "platform": "MT5", "login": 2001}
    for account in (master, slave):
        await world.control.add_account(**account, password=CANARY, balance="100000")
    _, signed = await bare(
        world, "/SignUp", email="old@example.com", passwordHash="7" * 64, managerKey="whatever"
    )
    key = signed["userKey"]

    async def by_id(path: str, **query: str) -> tuple[int, Any]:
        """What the original documents without a key."""
        if not require_key:
            return await bare(world, path, **query)
        status, refused = await bare(world, path, **query)
        assert (status, refused["code"]) == (401, "USER_KEY_REQUIRED"), path
        assert "userKey" in refused["message"]
        return await bare(world, path, **query, UserKey=key)

    sides = {
        f"{role}{name}": str(value)
        for role, given in (("master", master), ("slave", slave))
        for name, value in (
            ("Type", given["platform"]),
            ("User", given["login"]),
            ("Password", CANARY),
            ("Server", given["server"]),
            ("Name", f"my {role}"),
        )
    }
    wish = {
        **sides, "userkey": key, "RISKTYPE": "LotMultiplier", "riskvalue": "0.5", "copySl": "true",
        "copyTP": "", "fixedSlPips": "", "masterApiId": "", "riskMultiply": "",
    }  # fmt: skip
    status, started = await bare(world, "/Start", **wish)
    assert status == 200, started
    copier, master_id, slave_id = started["copierId"], started["srcId"], started["dstId"]
    status, again = await bare(world, "/Start", **wish)
    assert (status, again["copierId"]) == (200, copier), "the same pair is the same copier"
    status, of_ids = await bare(
        world, "/StartByAccountId", userKey=key, masterAccountId=master_id, slaveAccountId=slave_id,
        riskType="LotMultiplier", riskValue="0.5", managerKey="",
    )  # fmt: skip
    assert (status, of_ids) == (200, again)
    wish = {"type": "MT4", "user": "1001", "password": CANARY, "server": "Alpha-MT4"}
    _, added = await bare(world, "/AddAccount", name="again", userKey=key, apiId="theirs", **wish)
    assert (added["accountId"], added["id"], added["password"]) == (master_id, master_id, "***")

    await world.control.open("Alpha-MT4", 1001, "EURUSD", "Buy", "0.20")

    async def logged() -> bool:
        _, rows = await by_id("/TradeLogs", copierId=copier, limit="1000")
        return [row["success"] for row in rows] == [True]

    await world.eventually(logged)
    _, [row] = await bare(world, "/TradeLogsAll", userKey=key)
    assert (row["masterUser"], row["masterServer"], row["masterName"], row["masterApiType"]) == (
        1001, "Alpha-MT4", "again", "MT4",
    )  # fmt: skip
    assert (row["slaveName"], row["masterApiId"], row["slaveApiId"]) == (
        "my slave", master_id, slave_id,
    )  # fmt: skip
    for path, query in (
        ("/GetCopier", {"COPIERID": copier}),
        ("/Logs", {"Id": copier, "logLevel": ""}),
        ("/MappedSymbols", {"copierId": copier}),
        ("/OpenOrders", {"APIID": slave_id}),
        ("/ClosedOrders", {"accountId": slave_id, "from": "2026-01-01", "to": "2036-01-01T00:00:00Z"}),
        ("/TradeStatsByApiId", {"apiId": slave_id, "type": "MT5", "from": ""}),
        ("/ServerNames", {"mt5": ""}),
    ):  # fmt: skip
        status, answer = await by_id(path, **query)
        assert status == 200, (path, answer)
        assert CANARY not in str(answer), path
    status, answer = await by_id(
        "/AddSymbolMapping", id=copier, masterSymbol="XAUUSD", slaveSymbol="GOLD__0.2"
    )
    assert (status, answer) == (200, {"result": "OK"})
    _, mapped = await by_id("/MappedSymbols", id=copier)
    assert mapped["mappedSymbols"] == [
        {"masterSymbol": "XAUUSD", "slaveSymbol": "GOLD", "slaveLots": 0.2}
    ]
    unmapped = await by_id("/DeleteSymbolMapping", copierId=copier, masterSymbol="XAUUSD")
    assert unmapped == (200, {"result": "OK"})
    assert (await bare(world, "/Accounts"))[0] == 401, "the original asks for a key here"
    assert (await by_id("/Remove", id=copier, closeTrades="true"))[0] == 200
    assert (await bare(world, "/RemoveAccount", apiId=slave_id, userKey=key))[0] == 200


async def test_errors_look_like_the_originals_where_that_is_set(world: World) -> None:
    for style, wrapped, require_key in (("array", True, False), ("object", False, True)):
        await world.stop()
        await world.start(errors_as_201=style, require_key=require_key)
        for path, code in (
            ("/GetAccount", "INVALID_PARAMETER"),
            ("/GetAccount?accountId=7", "UNKNOWN_ACCOUNT"),
            ("/NoSuchCall", "UNKNOWN_CALL"),
        ):
            headers = {"Authorization": f"Bearer {world.key}"}
            async with world.http.get(path, headers=headers) as response:
                answer = await response.json()
            assert response.status == 201, (style, path)
            error = answer[0] if wrapped else answer
            assert error["code"] == code
            assert set(error) == {"code", "message", "stackTrace"}


async def test_the_same_idempotency_key_and_call_happen_once(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    wish = {"masterAccountId": master.id, "slaveAccountId": slave.id, "riskValue": "0.5"}
    first, *others = await asyncio.gather(
        *(ask(world, "Start", "one", **wish) for _ in range(4))
    )  # one of them is made
    answers = [first, *others]
    made = [answer for answer in answers if answer[0] == 200]
    assert made, answers
    assert {answer[1]["code"] for answer in answers if answer[0] != 200} <= {
        "IDEMPOTENCY_KEY_RUNNING"
    }
    started = made[0][1]
    assert await ask(world, "Start", "one", **wish) == (200, started, True)
    status, answer, _ = await ask(world, "Start", "one", **{**wish, "riskValue": "0.6"})
    assert (status, answer["code"]) == (409, "IDEMPOTENCY_KEY_USED")
    removed = {"id": started["copierId"]}
    assert await ask(world, "Remove", "two", **removed) == (200, {"result": "OK"}, False)
    unknown = await ask(world, "Remove", "three", **removed)
    assert unknown[0] == 404
    assert (await ask(world, "Remove", None, **removed))[:2] == unknown[:2]

    await world.stop()
    await world.start(require_key=True)
    assert await ask(world, "Remove", "two", **removed) == (200, {"result": "OK"}, True)
    assert await ask(world, "Remove", "three", **removed) == (*unknown[:2], True)
    assert await ask(world, "Start", "one", **wish) == (200, started, True)
    assert await world.call("UserCopiers") == [], "an answer was given again, and nothing done"
    for wrong in ("", " ", "k" * 201):
        status, answer, _ = await ask(world, "Remove", wrong, **removed)
        assert (status, answer["code"]) == (400, "INVALID_PARAMETER"), wrong

    signed = await world.call("SignUp", email="b@example.com", passwordHash="1" * 64)
    mine, world.key = world.key, signed["userKey"]
    status, answer, replayed = await ask(world, "Start", "one", **wish)
    assert (status, answer["code"], replayed) == (404, "UNKNOWN_ACCOUNT", False), (
        "keys are a user's own"
    )
    world.key = mine


async def test_a_call_that_is_not_visible_in_time_says_where_its_answer_will_be(
    world: World,
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    await world.stop()
    await world.start(visible_within_s=0.0)
    status, answer, replayed = await ask(
        world, "UpdateAccount", "late", accountId=master.id, accountName="later"
    )
    assert (status, answer["done"], replayed) == (202, False, False)

    async def done() -> bool:
        _, told = await get(world, f"Commands/{answer['commandId']}")
        assert problems("Commands/{command}", 200, told) == []
        return bool(told["done"] and told["event"] == "AccountUpdated")

    await world.eventually(done)
    assert await ask(world, "UpdateAccount", "late", accountId=master.id, accountName="later") == (
        202, answer, True,
    )  # fmt: skip
    assert (await get(world, "Commands/nobodys"))[1] == {"id": "nobodys", "done": False}
