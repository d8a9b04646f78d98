"""What a broker or a bridge leaves unclear: one position at most, and a reason for everything."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.journey.shown import dated, has
from tests.journey.world import FAST, Account, Stack, World, a_world

pytestmark = [pytest.mark.slow, pytest.mark.brokers]


async def two(world: World, slave_server: str = "Beta-MT5") -> tuple[Account, Account, str]:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account(slave_server, 2001)
    return master, slave, await world.copier(master, slave)


async def sends(world: World, account: Account) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = await world.control.ledger("OrderSend", account.login)
    return entries


async def is_sent(world: World, account: Account) -> None:
    async def there() -> bool:
        return bool(await sends(world, account))

    await world.eventually(there)


async def outcome(world: World, copier: str, *wanted: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = [r for r in await world.logs(copier) if r["outcome"] in wanted]
        return bool(found)

    await world.eventually(there)
    return found[0]


UNCLEAR = {
    "answer lost after execution": {"cut": "before", "execute": True},
    "answer cut in the middle": {"cut": "mid", "execute": True},
    "no answer in time": {"silent": True, "execute": True},
    "500 after execution": {"status": 500, "body": "oops", "execute": True},
    "unreadable after execution": {"body": "<html>", "execute": True},
    "TRADE_TIMEOUT after execution": {"error": "TRADE_TIMEOUT", "execute": True},
    "unlisted name after execution": {"error": "SOMETHING_NEW", "execute": True},
    "executed after the time-out": {"silent": True, "late_s": 0.9},
}


@pytest.mark.parametrize("server", ["Beta-MT4", "Beta-MT5"])
@pytest.mark.parametrize("name", list(UNCLEAR))
async def test_an_open_that_stands_is_adopted_once(world: World, name: str, server: str) -> None:
    master, slave, copier = await two(world, server)
    await world.control.script(server[-3:], endpoint="OrderSend", login=2001, **UNCLEAR[name])
    ticket = await master.open("EURUSD", "Buy", "0.10")
    await outcome(world, copier, "opened")
    assert len(await sends(world, slave)) == 1
    assert await slave.lots() == [Decimal("0.10")]
    await master.close(ticket)

    await world.eventually(slave.is_flat)
    assert len(await slave.trades()) == 1


@pytest.mark.parametrize("server", ["Beta-MT4", "Beta-MT5"])
@pytest.mark.parametrize("cut", [{"cut": "before"}, {"silent": True}, {"error": "TIMEOUT"}])
async def test_an_open_that_does_not_stand_is_never_sent_twice(
    world: World, server: str, cut: dict[str, Any]
) -> None:
    master, slave, copier = await two(world, server)
    await world.control.script(server[-3:], endpoint="OrderSend", login=2001, **cut)
    await master.open("EURUSD", "Buy", "0.10")
    assert await world.code(copier) in ("NOT_RESENT", "NO_ANSWER")
    row = await outcome(world, copier, "denied")
    assert row["exceptionCode"] == "NOT_RESENT"
    assert len(await sends(world, slave)) == 1
    assert await slave.positions() == []


@pytest.mark.parametrize(
    "cut",
    [
        {"cut": "before"},
        {"cut": "before", "execute": True},
        {"silent": True},
        {"error": "MARKET_CLOSED"},
        {"error": "NO_CONNECTION"},
    ],
)
async def test_a_close_is_pursued_until_it_is_done(world: World, cut: dict[str, Any]) -> None:
    master, slave, _ = await two(world)
    ticket = await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    await world.control.script("MT5", endpoint="OrderClose", login=2001, times=2, **cut)
    await master.close(ticket)

    await world.eventually(slave.is_flat)
    assert len(await slave.trades()) == 1


@pytest.mark.parametrize("cut", [{"cut": "before", "execute": True}, {"cut": "before"}])
@pytest.mark.parametrize("server", ["Beta-MT4", "Beta-MT5"])
async def test_an_unclear_partial_close_never_closes_too_much(
    world: World, server: str, cut: dict[str, Any]
) -> None:
    master, slave, copier = await two(world, server)
    ticket = await master.open("EURUSD", "Buy", "1.00")
    await world.eventually(slave.positions)
    await world.control.script(server[-3:], endpoint="OrderClose", login=2001, **cut)
    await master.close(ticket, "0.40")

    async def reduced() -> bool:
        return await slave.lots() == [Decimal("0.60")]

    await world.eventually(reduced)
    await asyncio.sleep(0.6)
    assert await slave.lots() == [Decimal("0.60")]
    assert "detached" not in {row["outcome"] for row in await world.logs(copier)}


@pytest.mark.parametrize("mode", ["Hedging", "Netting"])
@pytest.mark.parametrize("early", [False, True])
async def test_a_part_that_is_closed_and_not_told_yet_is_not_closed_again(
    world: World, mode: str, early: bool
) -> None:
    """The list shows less, its deal is waited for, and the answer was unclear: nothing more to close."""
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001, mode=mode)
    copier = await world.copier(master, slave)
    if early:  # before any look showed the position
        await world.control.stream("Beta-MT5", 2001, lose=9)
    knob = {"endpoint": "OrderClose", "login": 2001, "error": "SOMETHING_NEW", "execute": True}
    await world.control.script("MT5", **knob)
    ticket = await master.open("EURUSD", "Buy", "1.00")
    await is_sent(world, slave)
    if not early:
        await world.eventually(slave.positions)
        await outcome(world, copier, "opened")
        await world.control.stream("Beta-MT5", 2001, lose=9)
    await master.close(ticket, "0.40")
    # What was closed before any look showed the position has no deal of its own.
    await outcome(world, copier, "reduced", *(["absent"] if early else []))
    await asyncio.sleep(1.0)
    assert await slave.lots() == [Decimal("0.60")]
    assert len(await world.control.ledger("OrderClose", 2001)) == 1


@pytest.mark.parametrize("mode", ["Hedging", "Netting"])
async def test_a_part_closed_before_any_look_is_no_proof_of_a_close_later(
    world: World, mode: str
) -> None:
    """Half was closed before any list showed the position; its row explains the other half as well,
    if an empty list is believed.
    """
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001, mode=mode)
    copier = await world.copier(master, slave)
    await world.control.stream("Beta-MT5", 2001, lose=9)
    ticket = await master.open("EURUSD", "Buy", "1.00")
    await is_sent(world, slave)
    await master.close(ticket, "0.50")
    await outcome(world, copier, "reduced")
    await asyncio.sleep(0.5)
    await world.control.bridge("MT5", empty_lists=6)
    await asyncio.sleep(1.5)
    assert await slave.lots() == [Decimal("0.50")]
    assert "detached" not in {row["outcome"] for row in await world.logs(copier)}


async def test_a_copy_reduced_before_any_look_showed_it_is_still_ours(world: World) -> None:
    """MT4 gives the rest another ticket, without our tag; nothing was seen under the first one."""
    master, slave, copier = await two(world, "Beta-MT4")
    await world.control.stream("Beta-MT4", 2001, lose=4)
    ticket = await master.open("EURUSD", "Buy", "1.00")
    await is_sent(world, slave)
    rest = await master.close(ticket, "0.40")
    await outcome(world, copier, "reduced")
    assert await slave.lots() == [Decimal("0.60")]
    await master.close(rest)

    await world.eventually(slave.is_flat)


async def test_a_trade_of_a_moment_without_a_stream_is_told(world: World) -> None:
    """Opened and closed while the stream was lost: history tells, and the log says why no copy."""
    master, slave, copier = await two(world)
    first = await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    for _ in range(11):  # MT4 tells whole seconds: not in the one of the first look
        await asyncio.sleep(0.1)
        await world.control.tick_again()
    await world.control.stream("Alpha-MT4", 1001, drop_socket=1)
    await master.close(await master.open("GBPUSD", "Buy", "0.20"))

    async def told() -> bool:
        rows = await world.logs(copier)
        return any(row["outcome"] == "skipped" for row in rows)

    await world.eventually(told)
    await master.close(first)
    assert {piece["order"]["symbol"] for piece in await slave.trades()} <= {"EURUSD"}


async def test_a_list_that_a_frame_overtook_shows_no_growth(world: World) -> None:
    """Read together with history, and older than the frame of the master's partial close."""
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account("Beta-MT4", 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "1.00")
    await outcome(world, copier, "opened")
    slow = {"login": 1001, "delay_before_s": 0.3}
    await world.control.script("MT5", endpoint="OrderHistoryPagination", **slow)
    before = await asked(world, "OrderHistoryPagination", 1001)
    await world.control.forget_sessions("MT5")  # the next session reads history
    await asked(world, "OrderHistoryPagination", 1001, before + 1)
    await world.control.script("MT5", endpoint="OpenedOrders", login=1001, delay_after_s=0.6)
    before = await asked(world, "OpenedOrders", 1001)
    await asked(world, "OpenedOrders", 1001, before + 1)
    await master.close(ticket, "0.40")
    await outcome(world, copier, "reduced")
    await asyncio.sleep(1.2)
    assert await slave.lots() == [Decimal("0.60")]
    assert len(await sends(world, slave)) == 1


async def test_the_list_that_a_bridge_had_before_it_started_anew_shows_no_growth(
    world: World,
) -> None:
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account("Beta-MT4", 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "1.00")
    await outcome(world, copier, "opened")
    before = await asked(world, "OpenedOrders", 1001)
    await asked(world, "OpenedOrders", 1001, before + 1)  # the list that it will have
    await world.control.bridge("MT5", stale_lists=1)
    await master.close(ticket, "0.40")
    await outcome(world, copier, "reduced")
    await world.control.forget_sessions("MT5")
    before = await asked(world, "OpenedOrders", 1001)
    await asked(world, "OpenedOrders", 1001, before + 3)
    assert await slave.lots() == [Decimal("0.60")]
    assert len(await sends(world, slave)) == 1


async def asked(world: World, endpoint: str, login: int, times: int = 0) -> int:
    """How often, once it was so many times."""

    async def so_often() -> bool:
        return len(await world.control.ledger(endpoint, login)) >= times

    await world.eventually(so_often)
    return len(await world.control.ledger(endpoint, login))


@pytest.mark.parametrize("mode", ["Hedging", "Netting"])
async def test_a_frame_of_an_earlier_partial_close_closes_nothing_more(
    tmp_path: Path, stack: Stack, mode: str
) -> None:
    """It comes when the next one has been answered: the ledger never goes back up."""
    limits = msgspec.structs.replace(FAST, snapshot_every_s=30.0)
    async with a_world(tmp_path / "data", limits, stack) as world:
        master = await world.account("Alpha-MT4", 1001)
        slave = await world.account("Beta-MT5", 2001, mode=mode)
        copier = await world.copier(master, slave)
        ticket = await master.open("EURUSD", "Buy", "1.00")
        await outcome(world, copier, "opened")
        await asyncio.sleep(0.5)
        await world.control.stream("Beta-MT5", 2001, delay_s=0.6)
        ticket = await master.close(ticket, "0.20")
        await outcome(world, copier, "reduced")
        await master.close(ticket, "0.30")
        await has(world, slave, "0.50")
        await asyncio.sleep(2.0)
        assert await slave.lots() == [Decimal("0.50")]
        assert len(await world.control.ledger("OrderClose", 2001)) == 2
        assert "detached" not in {row["outcome"] for row in await world.logs(copier)}


@pytest.mark.parametrize("server", ["Beta-MT4", "Beta-MT5"])
async def test_a_list_from_before_a_close_is_not_a_late_fill(world: World, server: str) -> None:
    """The list was asked for before our close and comes after it: nothing fills, nothing is closed twice."""
    master, _, copier = await two(world, server)
    ticket = await master.open("EURUSD", "Buy", "0.10")
    await outcome(world, copier, "opened")
    await world.control.stream(server, 2001, lose=9)
    await world.control.script(
        server[-3:], endpoint="OpenedOrders", login=2001, delay_after_s=0.5, times=2
    )

    async def asked() -> bool:
        ledger = await world.control.ledger("OpenedOrders", 2001)
        return len(ledger) > before

    before = len(await world.control.ledger("OpenedOrders", 2001))
    await world.eventually(asked)
    await master.close(ticket)
    await outcome(world, copier, "closed")
    await asyncio.sleep(1.2)
    assert len(await world.control.ledger("OrderClose", 2001)) == 1
    assert [row["code"] for row in await world.call("Alerts")] == []


SLOW_S = 0.7
"""Of a broker's answer; less than a call may take."""


async def sent_at(world: World, call: str, login: int, symbol: str = "") -> float:
    calls = await world.control.ledger(call, login)
    (sent,) = [c for c in calls if symbol in c["parameters"].get("symbol", "")]
    return float(sent["at"])


async def test_a_slow_broker_delays_no_other_account(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slow = await world.account("Beta-MT5", 2001)
    quick = await world.account("Beta-MT4", 2002)
    await world.copier(master, slow)
    await world.copier(master, quick)
    await world.control.script("MT5", endpoint="OrderSend", login=2001, delay_before_s=SLOW_S)
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slow.positions)
    await world.eventually(quick.positions)
    slow_at, quick_at = [await sent_at(world, "OrderSend", login) for login in (2001, 2002)]
    assert quick_at < slow_at + SLOW_S


async def test_a_close_is_not_behind_another_copys_unanswered_open(world: World) -> None:
    master, slave, _ = await two(world)
    first = await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    await world.control.script("MT5", endpoint="OrderSend", login=2001, delay_before_s=SLOW_S)
    await master.open("GBPUSD", "Buy", "0.20")
    await master.close(first)

    async def only_the_second() -> bool:
        return await slave.lots() == [Decimal("0.20")]

    await world.eventually(only_the_second)
    opened = await sent_at(world, "OrderSend", 2001, "GBPUSD")
    assert await sent_at(world, "OrderClose", 2001) < opened + SLOW_S


async def test_a_close_never_overtakes_its_own_open(world: World) -> None:
    master, slave, _ = await two(world)
    await world.control.script("MT5", endpoint="OrderSend", login=2001, delay_before_s=0.4)
    ticket = await master.open("EURUSD", "Buy", "0.10")

    async def sent() -> bool:
        return len(await sends(world, slave)) == 1

    await world.eventually(sent)
    await master.close(ticket)

    async def closed() -> bool:
        return len(await slave.trades()) == 1 and await slave.positions() == []

    await world.eventually(closed)
    assert len(await sends(world, slave)) == 1


@pytest.mark.parametrize("knob", ["empty_lists", "error_lists"])
async def test_an_empty_or_failed_list_is_never_a_close(world: World, knob: str) -> None:
    master, slave, _ = await two(world)
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    for platform in ("MT4", "MT5"):
        await world.control.bridge(platform, **{knob: 6})
    await asyncio.sleep(1.5)
    assert await slave.lots() == [Decimal("0.10")]


async def test_lost_frames_are_found_by_the_next_snapshot(world: World) -> None:
    master, slave, _ = await two(world)
    first = await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    await world.control.stream("Alpha-MT4", 1001, lose=1)
    await master.close(first)

    await world.eventually(slave.is_flat)


async def test_a_trade_that_only_a_snapshot_shows_is_still_copied(world: World) -> None:
    master, slave, _ = await two(world)
    await world.control.stream("Alpha-MT4", 1001, lose=1)
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)


@pytest.mark.parametrize("server", ["Alpha-MT4", "Alpha-MT5"])
async def test_what_opened_and_closed_between_two_looks_is_recorded_with_its_reason(
    world: World, server: str
) -> None:
    master = await world.account(server, 1001)
    slave = await world.account("Beta-MT5", 2001)
    first = await master.open("EURUSD", "Buy", "0.10")  # its quotes tell the broker's clock
    await dated(world, server, 1001)
    await master.close(first)
    copier = await world.copier(master, slave)
    await world.control.stream(server, 1001, lose=1000)  # none of its frames arrives

    async def unseen() -> dict[str, Any]:
        """The log's row of a trade that lived between two looks; one that a look saw is copied, or
        closed before it could be. MT4 tells whole seconds: what opened in the second of the start may
        have been there before.
        """
        while True:
            ticket = await master.open("EURUSD", "Buy", "0.10")
            await master.close(ticket)
            rows = await rows_of(ticket)
            if {row["exceptionCode"] for row in rows} & {"MISSED", "EXISTING"}:
                (row,) = rows
                return row

    async def rows_of(ticket: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            rows = await world.logs(copier)
            planned = [r for r in rows if r["masterOrder"]]  # the slave's half may come first
            found[:] = [r for r in planned if r["masterOrder"]["ticket"] == str(ticket)]
            return bool(found)

        await world.eventually(there)
        return found

    row = await asyncio.wait_for(unseen(), 60.0)
    assert not row["success"]
    copied = [r for r in await world.logs(copier) if r["outcome"] == "opened"]
    assert len(await sends(world, slave)) == len(copied)


async def test_the_status_shown_is_never_fresher_than_its_proof(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)

    async def shown() -> dict[str, Any]:
        (account,) = await world.call("Accounts")
        assert account["id"] == master.id
        return dict(account)

    await world.control.script("MT4", endpoint="*", times=-1, silent=True)
    silent_since = datetime.now(UTC)

    async def old() -> bool:
        return float((await shown())["seenAliveAgeSeconds"]) >= 1.5

    await world.eventually(old)
    asked_at = datetime.now(UTC)
    account = await shown()
    proof = datetime.fromisoformat(account["seenAliveAt"])
    assert proof <= silent_since + timedelta(seconds=1), "what was answered just before"
    age = timedelta(seconds=float(account["seenAliveAgeSeconds"]))
    rounded = timedelta(seconds=0.1)
    assert asked_at - proof - rounded <= age <= datetime.now(UTC) - proof + rounded
    await world.control.clear_scripts()

    async def alive() -> bool:
        return datetime.fromisoformat((await shown())["seenAliveAt"]) > silent_since

    await world.eventually(alive, within_s=30)  # the silent read must first give up


@pytest.mark.parametrize("knob", ["duplicate", "hold", "malformed", "huge", "drop_socket"])
async def test_nasty_frames_change_nothing(world: World, knob: str) -> None:
    """Whether an open's frame is nasty or a close's: each trade is copied once and closed once."""
    master, slave, copier = await two(world)

    async def has(*lots: str) -> None:
        async def there() -> bool:
            return await slave.lots() == [Decimal(volume) for volume in lots]

        await world.eventually(there)

    await world.control.stream("Alpha-MT4", 1001, **{knob: 1})
    one = await master.open("EURUSD", "Buy", "0.10")
    other = await master.open("GBPUSD", "Buy", "0.20")
    await has("0.10", "0.20")
    await world.control.stream("Alpha-MT4", 1001, **{knob: 1})
    await master.close(one)
    await has("0.20")
    await world.control.stream("Alpha-MT4", 1001, **{knob: 1})
    await master.close(other)
    await has()
    assert len(await sends(world, slave)) == 2
    assert sorted(Decimal(piece["lots"]) for piece in await slave.trades()) == [
        Decimal("0.10"),
        Decimal("0.20"),
    ]

    async def told() -> bool:
        outcomes = [row["outcome"] for row in await world.logs(copier) if row["success"]]
        return sorted(outcomes) == ["closed", "closed", "opened", "opened"]

    await world.eventually(told)


async def test_invalid_utf8_in_a_comment_is_survived(world: World) -> None:
    await world.control.bridge("MT5", bad_utf8_comment=True)
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account("Beta-MT4", 2001)
    await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "0.10", comment="x")
    await world.eventually(slave.positions)
