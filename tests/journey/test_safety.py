"""The gateway on a network: keys and their scopes, sign-up, guessing, limits, the audit trail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from copypro.envelope import utc_now
from copypro.ports import UserKey
from copypro.topics import AUDIT
from copypro_gateway.entry.auth import hash_of

from tests.journey.commands import copypro
from tests.journey.world import CANARY, OPERATOR, World

pytestmark = pytest.mark.slow
embedded = pytest.mark.parametrize("stack", ["embedded"], indirect=True)


async def answer(world: World, name: str, key: str = "", **how: Any) -> tuple[int, Any, Any]:
    """Status, headers, body of a POST."""
    headers = how.pop("headers", {}) | ({"Authorization": f"Bearer {key}"} if key else {})
    how.setdefault("json", {})
    if "data" in how:
        how.pop("json")
    async with world.http.post(f"/{name}", headers=headers, **how) as response:
        return response.status, response.headers, await response.json()


async def events(world: World) -> list[dict[str, Any]]:
    return [msgspec.json.decode(record.value or b"") for record in await world.records(AUDIT)]


# --- keys ---------------------------------------------------------------------------------------


async def test_a_key_may_do_what_its_scope_says_until_it_is_removed(world: World) -> None:
    master, slave = await world.account("Alpha-MT4", 1001), await world.account("Beta-MT5", 2001)
    admin = world.key
    made = {
        scope: await world.call("AddKey", name=f"my {scope}", scope=scope, days=30)
        for scope in ("read", "trade")
    }
    listed = await world.call("Keys")
    assert [(key["name"], key["scope"], key["current"]) for key in listed] == [
        ("SignUp", "admin", True),
        ("my read", "read", False),
        ("my trade", "trade", False),
    ]
    assert not [key for key in listed if "userKey" in key]
    pair = {"masterAccountId": master.id, "slaveAccountId": slave.id}
    inline = {"masterType": "MT4", "masterUser": 7, "masterPassword": "p", "masterServer": "s"}
    world.key = made["read"]["userKey"]
    assert len(await world.call("Accounts")) == 2
    for name, body in (("Start", pair), ("Keys", {}), ("AddAccount", ADDED), ("AddKey", NAMED)):
        assert (await world.call(name, expect=403, **body))["code"] == "SCOPE"
    world.key = made["trade"]["userKey"]
    started = await world.call("Start", **pair)
    for name, body in (("AddKey", NAMED), ("AddAccount", ADDED), ("Start", pair | inline)):
        assert (await world.call(name, expect=403, **body))["code"] == "SCOPE"
    async with world.http.get("/UserCopiers", params={"userKey": world.key}) as response:
        assert [copier["id"] for copier in await response.json()] == [started["copierId"]]
    world.key = admin
    await world.call("RemoveKey", id=made["trade"]["id"])
    assert (await answer(world, "UserCopiers", made["trade"]["userKey"]))[0] == 401
    assert (await world.call("RemoveKey", expect=404, id=made["trade"]["id"]))["code"] == (
        "UNKNOWN_KEY"
    )
    over = await world.call("SignUp", email="b@example.com", passwordHash="1" * 64)
    theirs = (await answer(world, "Keys", over["userKey"]))[2][0]["id"]
    assert (await world.call("RemoveKey", expect=404, id=theirs))["code"] == "UNKNOWN_KEY"


ADDED = {"type": "MT4", "user": 5, "password": "p", "server": "s"}
NAMED = {"name": "n"}


async def test_a_key_that_is_over_is_no_key_and_an_operator_can_revoke_one(world: World) -> None:
    assert world.ring is not None
    past = utc_now() - timedelta(seconds=1)
    users = world.ring.stores.users
    user = await users.by_email("a@example.com")
    assert user is not None
    kept = UserKey(hash=hash_of("k"), user=user.id, name="old", created_at=past, expires_at=past)
    await users.add_key(kept)
    status, _, body = await answer(world, "Accounts", "k")
    assert (status, body["code"]) == (401, "USER_KEY_INVALID")
    code, text = await copypro(world, "users", "keys", "a@example.com", "--json")
    assert code == 0, text
    (listed,) = json.loads(text)
    code, text = await copypro(world, "users", "revoke", "a@example.com", "x")
    assert code == 2
    assert text == (
        "copypro: a@example.com has no key x: `copypro users keys a@example.com` lists the ids\n"
    )
    code, text = await copypro(world, "users", "revoke", "a@example.com", listed["id"])
    assert (code, text) == (0, "revoked\n")

    async def refused() -> bool:
        return (await answer(world, "Accounts", world.key))[0] == 401

    await world.eventually(refused)  # another process removed it: within the age of what is known


# --- signing up and in --------------------------------------------------------------------------


async def test_where_sign_up_is_by_invite_a_code_lets_one_user_in(world: World) -> None:
    await world.stop()
    await world.start(sign_up="invite")
    code, invite = await copypro(world, "users", "invite")
    assert code == 0, invite
    body = {"email": "b@example.com", "passwordHash": "1" * 64}
    status, _, refused = await answer(world, "SignUp", json=body)
    assert (status, refused["code"]) == (403, "INVITE_REQUIRED")
    status, _, refused = await answer(world, "SignUp", json=body | {"invite": "wrong"})
    assert (status, refused["code"]) == (403, "INVITE_INVALID")
    body["invite"] = invite.strip()
    status, _, taken = await answer(world, "SignUp", json=body | {"email": "a@example.com"})
    assert (status, taken["code"]) == (409, "EMAIL_TAKEN"), "and the code is still good"
    assert (await answer(world, "SignUp", json=body))[0] == 200
    status, _, used = await answer(world, "SignUp", json=body | {"email": "c@example.com"})
    assert (status, used["code"]) == (403, "INVITE_INVALID")
    noted = json.dumps(await events(world))
    assert "c@example.com" in noted
    assert invite.strip() not in noted


async def test_guessing_on_many_connections_is_stopped_and_keys_go_on_working(
    world: World,
) -> None:
    async def guess(email: str) -> tuple[int, Any, Any]:
        return await answer(world, "SignIn", json={"email": email, "passwordHash": "f" * 64})

    for email in ("a@example.com", "nobody@example.com"):
        answers = await asyncio.gather(*(guess(email) for _ in range(8)))
        statuses = sorted(status for status, _, _ in answers)
        assert statuses == [401] * 5 + [429] * 3, "known or not, it answers alike"
        texts = {body["message"] for status, _, body in answers if status == 401}
        assert texts == {"email or passwordHash is wrong"}
        waits = {headers.get("Retry-After") for status, headers, _ in answers if status == 429}
        assert all(wait is not None and int(wait) >= 1 for wait in waits)
    status, _, body = await answer(
        world, "SignIn", json={"email": "a@example.com", "passwordHash": "0" * 64}
    )
    assert (status, body["code"]) == (429, "TOO_MANY_TRIES")
    assert await world.call("Accounts") == []


# --- limits and headers ---------------------------------------------------------------------------


@embedded
async def test_what_is_too_much_is_refused_with_a_code_and_when_to_come_again(
    world: World,
) -> None:
    await world.account("Alpha-MT4", 1001)
    await world.stop()
    await world.start(most_accounts=1, cors_origins="https://app.example.com")
    refused = await world.call(
        "AddAccount", expect=409, type="MT5", user=2001, password=CANARY, server="Beta-MT5"
    )
    assert refused["code"] == "TOO_MANY_ACCOUNTS"
    status, headers, body = await answer(world, "Accounts", world.key, data=b" " * 1_000_001)
    assert (status, body["code"]) == (413, "BODY_TOO_LARGE")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(101):
            yield b" " * 10_000

    status, headers, body = await answer(world, "Accounts", world.key, data=pieces())
    assert (status, body["code"]) == (413, "BODY_TOO_LARGE")
    async with world.http.get("/Accounts", params={"x": "y" * 20_000}) as response:
        assert (response.status, (await response.json())["code"]) == (414, "QUERY_TOO_LONG")
    for origin, allowed in (("https://app.example.com", True), ("https://evil.example.com", False)):
        status, headers, _ = await answer(world, "Accounts", world.key, headers={"Origin": origin})
        assert status == 200
        assert ("Access-Control-Allow-Origin" in headers) is allowed
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers
    await world.stop()
    await world.start(requests_per_s=0.1, cors_origins="")
    answers = [await answer(world, "Accounts", world.key) for _ in range(2)]
    assert [status for status, _, _ in answers] == [200, 429]
    assert answers[1][2]["code"] == "RATE_LIMITED"
    assert int(answers[1][1]["Retry-After"]) >= 1
    await world.stop()
    await world.start(requests_per_s=100, address_requests_per_s=0.2)
    statuses = [(await answer(world, "Unknown"))[0] for _ in range(3)]
    assert statuses == [404, 404, 429], "before any key is looked at"


@embedded
async def test_a_forwarded_address_is_believed_from_a_named_proxy_alone(world: World) -> None:
    forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}
    for proxies, seen in (("", "127.0.0.1"), ("10.0.0.0/8, 127.0.0.1", "203.0.113.9")):
        await world.stop()
        await world.start(trusted_proxies=proxies)
        body = {"email": "nobody@example.com", "passwordHash": "f" * 64}
        await answer(world, "SignIn", headers=forwarded, json=body)
        begun = [event for event in await events(world) if event["type"] == "CallBegun"]
        assert begun[-1]["address"] == seen


# --- the audit trail ------------------------------------------------------------------------------


async def test_every_change_is_noted_with_who_where_what_and_its_outcome(
    world: World, tmp_path: Path
) -> None:
    signed = await world.call("SignUp", email="b@example.com", passwordHash="1" * 64)
    world.key = signed["userKey"]
    master, slave = await world.account("Alpha-MT4", 1001), await world.account("Beta-MT5", 2001)
    robot = await world.call("AddKey", name="my robot", scope="trade")
    admin, world.key = world.key, robot["userKey"]
    copier = await world.copier(master, slave, riskValue="0.5")
    await world.call("Remove", expect=404, id="f" * 32)
    world.key = admin
    await world.stop()
    await world.start()
    world.key = ""
    await world.call("Remove", id=copier)
    world.key = OPERATOR
    await world.call("ReplayDeadLetter", expect=404, topic="x", partition=0, offset=0)
    file = tmp_path / "audit.jsonl"
    code, text = await copypro(world, "audit", "export", str(file))
    assert code == 0, text
    last = text.split()[-1]
    text = "".join(lines_of(file))
    lines = [json.loads(line) for line in text.splitlines()]
    begun = {line["id"]: line["event"] for line in lines if line["event"]["type"] == "CallBegun"}
    ended = {line["cause"]: line["event"] for line in lines if line["event"]["type"] == "CallEnded"}
    assert begun.keys() == ended.keys(), "each has its outcome"
    told = [(event["call"], ended[id_].get("code", "")) for id_, event in begun.items()]
    assert told == [
        ("SignUp", ""),
        ("AddAccount", ""),
        ("AddAccount", ""),
        ("AddKey", ""),
        ("Start", ""),
        ("Remove", "UNKNOWN_COPIER"),
        ("Remove", ""),
        ("ReplayDeadLetter", "UNKNOWN_LETTER"),
    ], "in their order, across a restart, and no reads"
    start, unknown, by_id, operators = list(begun.values())[-4:]
    assert start["key_name"] == "my robot"
    assert start["parameters"]["riskValue"] == "0.5"
    assert start["parameters"]["masterAccountId"] == master.id
    assert unknown["address"] == "127.0.0.1"
    assert "user" not in by_id
    assert operators["operator"] is True
    added = list(begun.values())[1]
    assert added["parameters"]["password"] == "***"
    assert added["user"] == start["user"]
    for secret in (CANARY, admin, robot["userKey"], "1" * 64, OPERATOR):
        assert secret not in text
    await check_of(world, file, last)


async def check_of(world: World, file: Path, last: str) -> None:
    code, text = await copypro(world, "audit", "check", str(file), "--last", last)
    assert code == 0, text
    whole = lines_of(file)
    rewrite(file, [*whole[:2], whole[2].replace("AddAccount", "Accounts"), *whole[3:]])
    code, text = await copypro(world, "audit", "check", str(file))
    assert (code, text) == (1, "line 3 was changed\n")
    rewrite(file, whole[:-1])
    code, text = await copypro(world, "audit", "check", str(file), "--last", last)
    assert code == 1
    assert "the end is missing" in text


def lines_of(file: Path) -> list[str]:
    return file.read_text().splitlines(keepends=True)


def rewrite(file: Path, lines: list[str]) -> None:
    file.write_text("".join(lines))


@embedded
async def test_what_cannot_be_noted_is_not_done(world: World) -> None:
    assert world.ring is not None
    await world.ring.stores.log.limit_pages(1)
    made = 1
    status, _, body = await answer(world, "AddKey", world.key, json=NAMED)
    while status == 200 and made < 50:  # the file's last page has room for some lines
        made += 1
        status, _, body = await answer(world, "AddKey", world.key, json=NAMED)
    assert (status, body["code"]) == (507, "DISK_FULL")
    assert len(await world.call("Keys")) == made
    await world.ring.stores.log.limit_pages(10_000_000)
    await world.call("AddKey", **NAMED)


# --- the secret keys ------------------------------------------------------------------------------


@embedded
async def test_the_secret_key_is_changed_while_the_program_runs(world: World) -> None:
    """With the key file; with COPYPRO_SECRET_KEYS it is the vaults' contract."""
    first = await world.account("Alpha-MT4", 1001)
    old = lines_of(world.data / "secret.key")
    code, text = await copypro(world, "keys", "rotate", "--dry-run")
    assert (code, text) == (0, "1 of 1 data keys would be wrapped anew\n")
    assert lines_of(world.data / "secret.key") == old
    code, text = await copypro(world, "keys", "rotate")
    assert (code, text) == (0, "1 of 1 data keys wrapped anew\n")
    (new,) = lines_of(world.data / "secret.key")
    assert [new] != old
    second = await world.account("Beta-MT5", 2001)  # sealed and opened by the program that runs
    await world.stop()
    await world.start()
    for account in (first, second):
        await world.eventually(lambda account=account: world.is_connected(account))
