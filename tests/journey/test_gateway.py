"""The gateway as a client of the original meets it: GET and POST, keys, foreign ids, repeats."""

from __future__ import annotations

from typing import Any

import pytest
from copypro.errors import SettingsError
from copypro_standalone.demo_rings import running
from rich.console import Console

from tests.journey.world import CANARY, Account, World

pytestmark = pytest.mark.slow


async def get(world: World, name: str, *, key: str | None = None, **query: Any) -> tuple[int, Any]:
    token = world.key if key is None else key
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    params = {field: str(value) for field, value in query.items()}
    async with world.http.get(f"/{name}", params=params, headers=headers) as response:
        return response.status, await response.json()


async def copied(world: World) -> tuple[Account, Account, str]:
    """A copier with one trade open, one closed, and one that was too small."""
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave, riskType="LotMultiplier", riskValue="0.5")
    over = await master.open("EURUSD", "Buy", "0.20")

    async def stands() -> bool:
        return len(await slave.positions()) == 1

    await world.eventually(stands)
    await master.close(over)

    await world.eventually(slave.is_flat)
    await master.open("GBPUSD", "Sell", "0.20")
    await world.eventually(stands)
    await master.open("EURUSD", "Buy", "0.01")
    assert await world.code(copier) == "BELOW_MIN_LOT"

    async def projected() -> bool:
        closed = await world.call("ClosedOrders", accountId=slave.id)
        shown = await world.call("OpenOrders", accountId=slave.id)
        return len(closed) >= 1 and len(shown) == 1

    await world.eventually(projected)
    return master, slave, copier


async def test_every_read_answers_alike_by_get_and_post(world: World) -> None:
    master, slave, copier = await copied(world)
    reads: dict[str, dict[str, Any]] = {
        "UserCopiers": {},
        "GetCopier": {"id": copier},
        "OpenOrders": {"accountId": slave.id},
        "ClosedOrders": {"accountId": slave.id, "from": "2000-01-01T00:00:00"},
        "TradeLogs": {"id": copier},
        "TradeLogsAll": {},
        "Logs": {"id": copier},
        "GetAccount": {"accountId": master.id},
    }
    for name, fields in reads.items():
        posted = await world.call(name, **fields)
        status, answer = await get(world, name, **fields)
        assert status == 200, (name, answer)
        if name not in ("GetAccount",):  # the proof of life goes on between the two
            assert answer == posted, name
        assert answer, name
    accounts = (await get(world, "Accounts"))[1]
    assert {account["id"] for account in accounts} == {master.id, slave.id}


async def test_changes_work_by_get_and_a_repeat_changes_nothing(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    wish = {"masterAccountId": master.id, "slaveAccountId": slave.id, "riskType": "FixedLot"}
    status, first = await get(world, "Start", **wish, riskValue="0.03")
    assert status == 200, first
    status, second = await get(world, "Start", **wish, riskValue="0.03")
    assert (status, second) == (200, first), "the same pair is the same copier"
    assert len(await world.call("UserCopiers")) == 1
    status, answer = await get(world, "Remove", id=first["copierId"])
    assert status == 200, answer
    assert await world.call("UserCopiers") == []
    status, answer = await get(world, "RemoveAccountByApiId", apiId=slave.id)
    assert status == 200, answer

    async def gone() -> bool:
        return [a["id"] for a in await world.call("Accounts")] == [master.id]

    await world.eventually(gone)
    status, answer = await get(world, "RemoveAccountByApiId", apiId=slave.id)
    assert status == 404


async def test_a_stranger_sees_and_changes_nothing(world: World) -> None:
    master, slave, copier = await copied(world)
    mine = world.key
    signed = await world.call("SignUp", email="b@example.com", passwordHash="1" * 64)
    theirs = signed["userKey"]
    assert (await get(world, "Accounts", key=theirs))[1] == []
    assert (await get(world, "UserCopiers", key=theirs))[1] == []
    assert (await get(world, "TradeLogsAll", key=theirs))[1] == []
    for name, fields in {
        "GetAccount": {"accountId": master.id},
        "OpenOrders": {"accountId": slave.id},
        "ClosedOrders": {"accountId": slave.id},
        "RemoveAccount": {"accountId": slave.id},
        "GetCopier": {"id": copier},
        "TradeLogs": {"id": copier},
        "Logs": {"id": copier},
        "Remove": {"id": copier},
        "UpdateCopier": {"id": copier, "riskType": "FixedLot", "riskValue": "9"},
        "Start": {"masterAccountId": master.id, "slaveAccountId": slave.id},
    }.items():
        status, answer = await get(world, name, key=theirs, **fields)
        assert status == 404, (name, status, answer)
        assert answer["code"].startswith("UNKNOWN_"), (name, answer)
    assert (await get(world, "Accounts", key="f" * 64))[0] == 401
    assert (await get(world, "Accounts", key=""))[0] == 401
    world.key = mine
    assert len(await world.call("UserCopiers")) == 1


async def test_signing_in_gives_another_key_and_a_wrong_password_none(world: World) -> None:
    await world.call("SignUp", email="c@example.com", passwordHash="2" * 64)
    again = await world.call("SignIn", email="C@Example.com", passwordHash="2" * 64)
    assert (await get(world, "Accounts", key=again["userKey"]))[0] == 200
    wrong = await world.call("SignIn", expect=401, email="c@example.com", passwordHash="3" * 64)
    nobody = await world.call("SignIn", expect=401, email="d@example.com", passwordHash="3" * 64)
    assert wrong == nobody, "who has an account here is nobody's business"
    taken = await world.call("SignUp", expect=409, email="c@example.com", passwordHash="4" * 64)
    assert taken["code"] == "EMAIL_TAKEN"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": "MT6", "user": 1, "password": CANARY, "server": "s"}, "type"),
        ({"type": "MT4", "user": 0, "password": CANARY, "server": "s"}, "user"),
        ({"type": "MT4", "user": "me", "password": CANARY, "server": "s"}, "user"),
        ({"type": "MT4", "user": 1, "password": "", "server": "s"}, "password"),
        ({"type": "MT4", "user": 1, "password": CANARY}, "server"),
    ],
)
async def test_bad_parameters_are_named_and_never_quoted(
    world: World, fields: dict[str, Any], field: str
) -> None:
    for status, answer in (
        await get(world, "AddAccount", **fields),
        (400, await world.call("AddAccount", expect=400, **fields)),
    ):
        assert status == 400
        assert answer["code"] == "INVALID_PARAMETER"
        assert answer["message"].startswith(f"{field}:"), answer
        assert CANARY not in str(answer)
    assert await world.call("Accounts") == []


async def test_closed_orders_are_the_newest_and_say_where_older_ones_go_on(world: World) -> None:
    account = await world.account("Beta-MT5", 2001)
    tickets = []
    for _ in range(3):
        tickets.append(await account.open("EURUSD", "Buy", "0.10"))
        await account.close(tickets[-1])

    async def all_there() -> bool:
        return len(await world.call("ClosedOrders", accountId=account.id)) == 3

    await world.eventually(all_there)
    seen: list[int] = []
    query = {"accountId": account.id, "limit": "1"}
    headers = {"Authorization": f"Bearer {world.key}"}
    while True:
        async with world.http.get("/ClosedOrders", params=query, headers=headers) as response:
            page = await response.json()
            seen += [order["ticket"] for order in page]
            if "X-Next-To" not in response.headers:
                break
            query["to"] = response.headers["X-Next-To"]
            assert query["to"] == page[-1]["closeTime"]
    assert seen == list(reversed(tickets))
    answer = await world.call(
        "ClosedOrders",
        expect=400,
        accountId=account.id,
        **{"from": "2026-02-01", "to": "2026-01-01"},
    )
    assert answer["message"].startswith("from:")


async def test_a_demo_is_refused_where_the_brokers_are_real(world: World) -> None:
    with pytest.raises(SettingsError, match="is not SIMULATED"):
        async with running(world.ring.url, "")(Console()):
            pass
