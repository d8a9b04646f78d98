"""Whatever a bridge's build does differently, a trade is copied through its life.

One world for all cases: each sets its knobs, trades on accounts of its own and puts them back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from mt_simulator.knobs import FaceKnobs

from tests.journey.lives import FROM_NETTING, PAIRINGS, Pair, a_pair
from tests.journey.world import World, a_world

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
BOTH = ("MT4→MT4", "hedging→netting")
"""Together they have both platforms on both sides."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_world(tmp_path_factory.mktemp("world") / "data") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def world(shared: World) -> AsyncIterator[World]:
    yield shared
    usual = {name: getattr(FaceKnobs(), name) for name in FaceKnobs.__struct_fields__}
    for platform in ("MT4", "MT5"):
        await shared.control.bridge(platform, **usual)
    await shared.control.clear_scripts()


async def set_knobs(world: World, **knobs: Any) -> None:
    for platform in ("MT4", "MT5"):
        await world.control.bridge(platform, **knobs)


async def live_through(pair: Pair) -> None:
    """Opened with a stop, its stop moved, partly closed, closed: once with a refusal on the way, once
    with the frame of the close lost, so that only history proves it.
    """
    master, slave, control = pair.master, pair.slave, pair.world.control
    ticket = await master.open("EURUSD", "Buy", "0.50", stop_loss="1.08")
    await pair.has("0.50")
    await pair.has_levels("1.08", "0")
    await master.modify(ticket, "1.085", "1.13")
    await pair.has_levels("1.085", "1.13")
    await control.script(
        slave.server[-3:], endpoint="OrderClose", login=slave.login, error="OFF_QUOTES"
    )
    ticket = await master.close(ticket, "0.20")
    await pair.has("0.30")
    await pair.answered("reduced")
    await control.stream(master.server, master.login, lose=9)
    await master.close(ticket)
    await pair.has()
    await control.stream(master.server, master.login)
    await pair.logged(("opened", "0.50"), ("reduced", "0.20"), ("closed", "0.30"))
    refused = await pair.answered("refused, tried again")
    assert refused["exceptionCode"] == "OFF_QUOTES"


KNOBS: dict[str, dict[str, Any]] = {
    "errors with status 200": {"error_status": 200},
    "errors with status 400": {"error_status": 400},
    "bare tokens and OKs": {"scalars": "bare"},
    "quoted tokens and OKs": {"scalars": "quoted"},
    "an own id is not honoured": {"honours_own_id": False},
    "another token each time": {"random_tokens": True},
    "one frame an action": {"noise": False},
    "the last frame of a position with its lots": {"full_close_lots_zero": False},
    "only the last closed order is listed": {"closed_orders_cap": 1},
    "not synchronised at first": {"unsynced_calls": 4},
    "no call to delete, no pages": {"lacks": ["orderdelete", "orderhistorypagination"]},
}


@pytest.mark.parametrize("name", list(KNOBS))
async def test_a_trade_is_copied_whatever_the_build_does(world: World, name: str) -> None:
    await set_knobs(world, **KNOBS[name])
    await asyncio.gather(*(live_on(world, PAIRINGS[pairing]) for pairing in BOTH))


async def live_on(world: World, pairing: tuple[str, str, str, str]) -> None:
    async with a_pair(world, pairing) as pair:
        await live_through(pair)


# --- sessions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forgets", "call"), [(False, "ConnectByToken"), (True, "ConnectEx")], ids=["kept", "forgotten"]
)
@pytest.mark.parametrize("end", ["expired", "disconnected"])
async def test_a_session_that_ended_is_taken_up_again(
    world: World, end: str, forgets: bool, call: str
) -> None:
    """By its token where the bridge still knows it, else by the password."""
    async with a_pair(world, PAIRINGS["MT4→MT5"]) as pair:
        accounts = (pair.master, pair.slave)
        await world.control.clear_ledger()
        await set_knobs(world, forget_tokens=forgets)
        if end == "expired":
            await set_knobs(world, idle_expiry_s=0.001)
        else:
            for account in accounts:
                await world.control.disconnect(account.server, account.login)

        async def taken_up() -> bool:
            calls = [await world.control.ledger(call, account.login) for account in accounts]
            return all(any(entry["answer"] == "ok" for entry in entries) for entries in calls)

        await world.eventually(taken_up)
        await set_knobs(world, idle_expiry_s=0.0)
        for account in accounts:
            await world.eventually(lambda account=account: world.is_connected(account))
        await live_through(pair)
        if not forgets:
            assert await world.control.ledger("ConnectEx") == []


# --- history --------------------------------------------------------------------------------------


async def test_a_history_that_comes_in_parts_proves_a_close(world: World) -> None:
    """No pages, and a row at a time; the frame of the close is lost."""
    await world.control.bridge("MT5", history_rows=1, lacks=["orderhistorypagination"])
    async with a_pair(world, PAIRINGS["MT5→MT4"]) as pair:
        ticket = await pair.master.open("EURUSD", "Buy", "0.50")
        await pair.has("0.50")
        await world.control.clear_ledger()
        await world.control.stream(pair.master.server, pair.master.login, lose=9)
        await pair.master.close(ticket)
        await pair.has()
        reads = await world.control.ledger("OrderHistory", pair.master.login)
        assert len(reads) >= 3, "the whole, and its halves"


# --- fills ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairing", ["MT4→MT4", "MT4→MT5", "hedging→netting"])
async def test_of_an_order_filled_in_part_the_filled_part_is_the_copy(
    world: World, pairing: str
) -> None:
    async with a_pair(world, PAIRINGS[pairing]) as pair:
        master, slave = pair.master, pair.slave
        await world.control.script(
            slave.server[-3:], endpoint="OrderSend", login=slave.login, fill_lots="0.20"
        )
        ticket = await master.open("EURUSD", "Buy", "0.50")
        await pair.has("0.20")
        ticket = await master.close(ticket, "0.25")
        await pair.has("0.10")
        await master.close(ticket)
        await pair.has()
        await pair.logged(("opened", "0.20"), ("reduced", "0.10"), ("closed", "0.10"))


@pytest.mark.parametrize("pairing", ["MT5→MT4", "hedging→netting"])
async def test_a_masters_order_that_fills_in_pieces_is_copied_piece_by_piece(
    world: World, pairing: str
) -> None:
    """MT5: further fills come on the same ticket."""
    async with a_pair(world, PAIRINGS[pairing]) as pair:
        master = pair.master
        ticket = await master.open("EURUSD", "Buy", "0.20")
        await pair.has("0.20")
        await world.control.fill_more(master.server, master.login, ticket, "0.30")
        await pair.has(*(["0.50"] if "netting" in pairing else ["0.20", "0.30"]))
        await master.close(ticket, "0.25")
        await pair.has(*(["0.25"] if "netting" in pairing else ["0.10", "0.15"]))
        await master.close(ticket)
        await pair.has()


@pytest.mark.parametrize("pairing", ["MT4→MT5", "hedging→netting"])
async def test_a_copy_whose_own_order_fills_in_pieces_is_whole_in_the_end(
    world: World, pairing: str
) -> None:
    async with a_pair(world, PAIRINGS[pairing]) as pair:
        master, slave = pair.master, pair.slave
        await world.control.script(
            "MT5", endpoint="OrderSend", login=slave.login, fill_lots="0.20", fill_rest_s=0.3
        )
        ticket = await master.open("EURUSD", "Buy", "0.50")
        await pair.has("0.50")
        await pair.answered("opened")
        ticket = await master.close(ticket, "0.25")
        await pair.has("0.25")
        await master.close(ticket)
        await pair.has()
        await pair.logged(("opened", "0.50"), ("reduced", "0.25"), ("closed", "0.25"))


@pytest.mark.parametrize("pairing", list(FROM_NETTING))
async def test_a_netting_position_under_the_ticket_of_its_latest_deal_is_one_position(
    world: World, pairing: str
) -> None:
    shown_so = {"retickets": True}
    of_slave = shown_so if FROM_NETTING[pairing][3] == "Netting" else {}
    async with a_pair(world, FROM_NETTING[pairing], of_master=shown_so, of_slave=of_slave) as pair:
        master, one = pair.master, pairing == "netting→netting"
        first = await master.open("EURUSD", "Buy", "0.50")
        await pair.has("0.50")
        second = await master.open("EURUSD", "Buy", "0.30")
        assert second != first
        await pair.has(*(["0.80"] if one else ["0.50", "0.30"]))
        await master.open("EURUSD", "Sell", "0.40")
        await pair.has(*(["0.40"] if one else ["0.25", "0.15"]))
        await master.open("EURUSD", "Sell", "0.40")
        await pair.has()
