"""SetTradeLogCallback and UpdateEquityProtectorCallback, from the call to the receiver."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.journey.conftest import Stack
from tests.journey.receiver import Receiver, a_receiver
from tests.journey.test_protection import protect, triggered
from tests.journey.world import FAST, World, a_world

pytestmark = pytest.mark.slow


@pytest.fixture
async def world(tmp_path: Path, stack: Stack) -> AsyncIterator[World]:
    fast = msgspec.structs.replace(FAST, protect_every_s=0.05)
    async with a_world(tmp_path / "data", fast, stack) as made:
        yield made


def verified(receiver: Receiver, secret: str) -> list[dict[str, Any]]:
    """Every post, checked as docs/api.md says."""
    found = []
    for headers, body in receiver.posts:
        signed = headers["X-CopyPro-Timestamp"].encode() + b"." + body
        expected = "v1=" + hmac.new(secret.encode(), signed, sha256).hexdigest()
        assert hmac.compare_digest(expected, headers["X-CopyPro-Signature"])
        found.append(msgspec.json.decode(body))
    return found


async def test_trade_logs_and_protectors_are_told_signed_and_their_addresses_never_shown(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    async with a_receiver() as trades, a_receiver() as limits:
        master = await world.account("Alpha-MT5", 1001)
        slave = await world.account("Beta-MT4", 2001, balance="10000")
        copier = await world.copier(master, slave)
        refused = await world.call(
            "SetTradeLogCallback", expect=400, id=copier, callbackUrl=trades.url
        )
        assert "COPYPRO_CALLBACK_PRIVATE" in refused["message"]
        named = trades.url.replace("127.0.0.1", "localhost")
        await world.call("SetTradeLogCallback", id=copier, callbackUrl=named)
        tried = await world.call("TestTradeLogCallback", expect=502, copierId=copier)
        assert "private" in tried["message"]
        assert trades.posts == []
        await world.stop()
        await world.start(callback_private=True)

        for bad in ({}, {"callbackUrl": "ftp://x"}, {"callbackUrl": "https://u:p@x.org"}):
            answer = await world.call("SetTradeLogCallback", expect=400, id=copier, **bad)
            assert answer["message"].startswith("callbackUrl: ")
        told = await world.call("SetTradeLogCallback", id=copier, callbackUrl=trades.url)
        assert told["callbackUrl"] == "http://127.0.0.1/***"
        await world.call("TestTradeLogCallback", copierId=copier)
        assert verified(trades, told["secret"])[0]["test"] is True
        about = await world.call(
            "UpdateEquityProtectorCallback", accountId=slave.id, callbackUrl=limits.url
        )
        await world.call("TestEquityProtectorCallback", copierId=copier)
        trades.statuses = [503]
        await master.open("EURUSD", "Buy", "1.00")
        await protect(world, slave, stopLossValue=500, closeCopiedTrades=True)

        async def is_copied() -> bool:
            return not await slave.is_flat()

        await world.eventually(is_copied)
        await world.quote("EURUSD", "1.09400", "1.09410")
        await triggered(world, slave)

        async def all_told() -> bool:
            return len(trades.taken) == 3 and len(limits.taken) == 2

        await world.eventually(all_told)
        posts = verified(trades, told["secret"])[1:]
        assert [post["outcome"] for post in posts] == ["opened", "opened", "closed"]
        assert posts[0] == posts[1], "the one that was not taken, once more"
        assert posts[2]["tradeReason"] == "EquityProtector"
        listed = {row["id"]: row for row in await world.logs(copier)}
        assert all(listed[post["id"]] == post for post in posts)
        for role, account, name in (("master", master, "MT5"), ("slave", slave, "MT4")):
            sides = {
                field: posts[2][f"{role}{field}"]
                for field in ("User", "Server", "ApiType", "ApiId")
            }
            assert sides == {
                "User": account.login, "Server": account.server, "ApiType": name, "ApiId": account.id,
            }  # fmt: skip
        acted = verified(limits, about["secret"])[1]
        assert (acted["type"], acted["accountId"]) == ("EquityProtectorTriggered", slave.id)
        assert (acted["rule"], acted["level"]) == ("stopLossValue", 9500)

        shown = [await world.call("GetCopier", id=copier)]
        shown.append(await world.call("GetAccount", accountId=slave.id))
        shown.append(await world.call("UserCopiers"))
        assert shown[0]["tradeLogCallbackUrl"] == "http://127.0.0.1/***"
        assert "c4n4ry-t0ken" not in str(shown)
        assert told["secret"] not in str(shown)
        await world.call("SetTradeLogCallback", id=copier, remove=True)
        gone = await world.call("TestTradeLogCallback", expect=404, copierId=copier)
        assert gone["code"] == "UNKNOWN_CALLBACK"
        await world.stop()
        said = "".join(capfd.readouterr())
        kept = b"".join(file.read_bytes() for file in world.data.rglob("*") if file.is_file())
        for secret in ("c4n4ry-t0ken", told["secret"], about["secret"]):
            assert secret not in said
            assert secret.encode() not in kept
