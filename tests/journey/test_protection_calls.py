"""UpdateEquityProtector: who may, and with which numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.journey.world import World, a_world

pytestmark = pytest.mark.slow
GOOD: dict[str, Any] = {"stopLossPercent": 5, "closeAllTrades": True}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "enabled: needs a limit"),
    ({"stopLossPercent": 5}, "enabled: needs something to do"),
    (GOOD | {"stopLossPercent": 0}, "enabled: needs a limit"),
    (GOOD | {"stopLossValue": 5}, "stopLossValue: contradicts stopLossPercent"),
    (GOOD | {"stopLossPercent": -5}, "stopLossPercent: -5 is not above 0"),
    (GOOD | {"stopLossPercent": 100}, "stopLossPercent: 100 % can never be lost"),
    (GOOD | {"stopLossPercent": "NaN"}, "stopLossPercent: "),
    (GOOD | {"stopLossPercent": "five"}, "stopLossPercent: "),
    (GOOD | {"takeProfitAbsolute": 1, "startBalance": 2}, "takeProfitAbsolute: 1 is not above"),
    (GOOD | {"dailyReset": "perhaps"}, "dailyReset: "),
    (GOOD | {"startBalance": "1e99"}, "startBalance: "),
]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path / "data") as made:
        yield made


async def test_only_whoever_may_trade_on_the_account_sets_it_and_only_to_what_can_be_followed(
    world: World,
) -> None:
    slave = await world.account("Beta-MT5", 2001, investor_password="l00k-0nly")
    for fields, said in REFUSED:
        answer = await world.call("UpdateEquityProtector", expect=400, accountId=slave.id, **fields)
        assert answer["message"].startswith(said), answer
    shown = await world.call("GetAccount", accountId=slave.id)
    assert shown["equityProtector"] is None
    owner, world.key = world.key, ""
    unkeyed = await world.call("UpdateEquityProtector", expect=401, accountId=slave.id, **GOOD)
    assert unkeyed["code"] == "USER_KEY_REQUIRED"
    signed = await world.call("SignUp", email="b@example.com", passwordHash="1" * 64)
    world.key = signed["userKey"]
    foreign = await world.call("UpdateEquityProtector", expect=404, accountId=slave.id, **GOOD)
    assert foreign["code"] == "UNKNOWN_ACCOUNT"
    looker = await world.register("Beta-MT5", 2001, "l00k-0nly")
    await world.eventually(lambda: world.is_connected(looker))
    read = await world.call("UpdateEquityProtector", expect=400, accountId=looker.id, **GOOD)
    assert read["code"] == "READ_ONLY"
    world.key = owner
    await world.call("UpdateEquityProtector", apiId=slave.id, **GOOD, takeProfitValue="")
    shown = await world.call("GetAccount", accountId=slave.id)
    assert shown["equityProtector"]["stopLossPercent"] == 5
    assert shown["equityProtector"]["closeAllTrades"] is True
    await world.call("UpdateEquityProtector", accountId=slave.id, enabled=False)
    shown = await world.call("GetAccount", accountId=slave.id)
    assert shown["equityProtector"]["enabled"] is False
