"""What could not be read is listed, and put back by an operator and by nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from copypro import topics
from copypro.envelope import dead_letter, encode, fact, utc_now
from copypro.errors import BadRecord
from copypro.messages import SettleOtherCopier
from copypro.ports import Outgoing, Record
from copypro.values import AccountId, Ticket, digest

from tests.journey.commands import copypro
from tests.journey.world import OPERATOR, World

pytestmark = pytest.mark.slow
ACCOUNT = AccountId(digest("an account"))


def a_command() -> Outgoing:
    wish = SettleOtherCopier(account=ACCOUNT, ticket=Ticket(7), by="somebody")
    return encode(topics.ACCOUNT_COMMANDS, ACCOUNT, fact(wish, utc_now(), "it"))


async def append(world: World, *messages: Outgoing) -> None:
    assert world.ring is not None
    await world.ring.stores.log.append(messages)


async def listed(world: World) -> list[dict[str, Any]]:
    code, text = await copypro(world, "dead-letters", "list", "--json")
    assert code == 0, text
    found: list[dict[str, Any]] = json.loads(text)
    return found


async def replay(world: World, place: list[str], key: str = OPERATOR) -> tuple[int, str]:
    assert world.ring is not None
    options = ("--url", world.ring.url, "--key", key)
    return await copypro(world, "dead-letters", "replay", *place, *options)


async def test_what_nobody_can_read_is_listed_and_listed_anew_after_a_replay(world: World) -> None:
    good = a_command()
    await append(world, Outgoing(good.topic, good.key, b'{"type":"Tomorrows"}', good.headers))

    async def is_listed() -> bool:
        return len(await listed(world)) == 1

    await world.eventually(is_listed)
    (row,) = await listed(world)
    place = [row["topic"], str(row["partition"]), str(row["offset"])]
    assert place == ["account-commands", "0", "0"]
    assert "Tomorrows" in row["reason"]
    _, text = await copypro(world, "dead-letters", "list")
    assert " ".join(place) in text
    assert await replay(world, place) == (0, "replayed\n")

    async def is_another() -> bool:
        return [row["offset"] > 0 for row in await listed(world)] == [True]

    await world.eventually(is_another)
    code, text = await replay(world, place)
    assert code == 2
    assert "dead-letters list" in text


async def test_a_record_put_back_is_acted_on_as_if_it_came_now(world: World) -> None:
    command = a_command()
    record = Record(command.topic, 0, 5, command.key, command.value, command.headers)
    error = BadRecord(record.topic, 0, 5, "this version could not read it")
    await append(world, dead_letter(record, error, utc_now()))
    assert (await replay(world, ["account-commands", "0", "5"]))[0] == 0

    async def answered() -> bool:
        async with world.http.get(f"/Commands/{command.headers['id']}") as response:
            return bool((await response.json()).get("code") == "UNKNOWN_TICKET")

    await world.eventually(answered)
    assert await listed(world) == []


@pytest.mark.parametrize("key", ["", "somebody-else"])
async def test_only_an_operator_replays(world: World, key: str) -> None:
    key = key or world.key
    code, text = await replay(world, ["account-commands", "0", "0"], key)
    assert code == 2
    assert "COPYPRO_MANAGER_KEY" in text
    code, text = await copypro(world, "dead-letters", "replay", "order-events", "0", "0")
    assert code == 2
    assert "COPYPRO_MANAGER_KEY" in text
