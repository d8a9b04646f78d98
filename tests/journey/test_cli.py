"""What an operator reads on the command line while the program runs: real processes, real output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from copypro.topics import EXECUTIONS

from tests.journey.commands import copypro
from tests.journey.world import CANARY, Account, World

pytestmark = pytest.mark.slow


async def two(world: World) -> tuple[Account, Account, str]:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    return master, slave, await world.copier(master, slave)


async def test_explain_tells_a_copied_trade_by_either_ticket(world: World) -> None:
    master, slave, _ = await two(world)
    ticket = await master.open("EURUSD", "Buy", "0.10")

    async def copied() -> bool:
        return len(await slave.positions()) == 1

    await world.eventually(copied)
    (position,) = await slave.positions()
    await master.close(ticket)

    await world.eventually(slave.is_flat)

    async def told() -> bool:
        code, text = await copypro(world, "explain", str(slave.login), str(position["ticket"]))
        wanted = (f"ticket {ticket} opened", "planned a copy", "attempt started", "closed")
        return code == 0 and all(part in text for part in wanted)

    await world.eventually(told)
    code, text = await copypro(world, "explain", master.id, str(ticket), "--json")
    story = json.loads(text)
    assert code == 0
    events = [line["event"] for line in story["lines"]]
    for event in ("PositionOpened", "CopyPlanned", "AttemptStarted", "CopyOpened", "CopyClosed"):
        assert event in events
    assert events.index("CopyPlanned") < events.index("AttemptStarted") < events.index("CopyOpened")
    (legs,) = story["legs_ms"].values()
    assert set(legs) >= {"seen → planned", "planned → sent", "sent → filled"}


async def test_explain_tells_why_a_trade_was_not_copied(world: World) -> None:
    master, _, copier = await two(world)
    await world.call("UpdateCopier", id=copier, riskType="LotMultiplier", riskValue="0.01")
    ticket = await master.open("EURUSD", "Buy", "0.10")
    assert await world.code(copier) == "BELOW_MIN_LOT"
    code, text = await copypro(world, "explain", str(master.login), str(ticket))
    assert code == 0
    assert "BELOW_MIN_LOT" in text
    assert "lot_min" in text, "the numbers that decided are told"


async def attempts(world: World) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(record.value or b"")
        for record in await world.records(EXECUTIONS, "AttemptStarted")
    ]


async def test_what_nobody_can_settle_is_listed_explained_and_settled_by_a_person(
    world: World,
) -> None:
    """No answer, and then two positions that could both be it: only a person can tell."""
    master, slave, _ = await two(world)
    await world.control.script("MT5", endpoint="OrderSend", login=2001, silent=True)
    ticket = await master.open("EURUSD", "Buy", "0.10")

    async def sent() -> bool:
        return bool(await world.control.ledger("OrderSend", 2001))

    await world.eventually(sent)
    (attempt,) = await attempts(world)
    magic = attempt["request"].get("magic", 0)
    mine = [await slave.open("EURUSD", "Buy", "0.10", magic=magic) for _ in range(2)]

    async def listed() -> bool:
        code, text = await copypro(world, "unresolved")
        return code == 0 and attempt["attempt"] in text and str(mine[0]) in text

    await world.eventually(listed)
    code, text = await copypro(world, "explain", str(master.login), str(ticket))
    assert code == 0
    assert "unresolved" in text
    assert str(mine[0]) in text, "the evidence is told"
    _, text = await copypro(world, "alerts")
    assert "NEEDS_PERSON" in text

    (shown,) = [a for a in await world.call("Accounts") if a["id"] == slave.id]
    assert world.ring is not None
    said = await copypro(
        world,
        "settle",
        shown["id"],
        "--attempt",
        attempt["attempt"],
        "--ticket",
        str(mine[1]),
        "--url",
        world.ring.url,
        key=world.key,
    )
    assert said == (0, "recorded\n")

    async def settled() -> bool:
        return (await copypro(world, "unresolved"))[1] == "nothing is unresolved\n"

    await world.eventually(settled)
    await master.close(ticket)

    async def closed() -> bool:
        return [position["ticket"] for position in await slave.positions()] == [mine[0]]

    await world.eventually(closed)


async def test_what_cannot_be_found_is_said_with_the_place(world: World, tmp_path: Path) -> None:
    await two(world)
    code, text = await copypro(world, "explain", "1001", "424242")
    assert code == 2
    assert "424242" in text
    empty = tmp_path / "empty"
    empty.mkdir()
    if not world.stack:
        code, text = await copypro(world, "unresolved", data=empty)
        assert code == 2
        assert str(empty) in text
        assert "COPYPRO_DATA" in text
    code, text = await copypro(world, "settle", "any", "--attempt", "x")
    assert code == 2
    assert "COPYPRO_KEY" in text


async def test_an_operator_makes_a_user_while_the_program_runs(world: World) -> None:
    password = f"{CANARY}\n{CANARY}\n"
    code, text = await copypro(world, "users", "add", "b@example.com", answers=password)
    assert code == 0, text
    world.key = text.split()[-1]
    assert await world.call("Accounts") == []
    code, text = await copypro(world, "users", "add", "b@example.com", answers=password)
    assert code == 2
    assert "sign in" in text
    code, text = await copypro(world, "users", "add", "c@example.com", answers="\n\n")
    assert code != 0, "an empty answer is asked again, and then there is none"
    code, text = await copypro(world, "users", "add", "c@example.com", "--password", "")
    assert code == 2
    assert "password" in text
    code, text = await copypro(world, "users", "add", "nobody", answers=password)
    assert code == 2
    assert "e-mail" in text
