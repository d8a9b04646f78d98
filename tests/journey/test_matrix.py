"""Each change of a master's account on every pairing: the slave's book shows it, the trade log tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.journey.lives import FROM_NETTING, PAIRINGS, Kept, Pair, a_pair
from tests.journey.world import Account, a_world

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
on_all_pairings = pytest.mark.parametrize("pairing", list(PAIRINGS))
from_netting = pytest.mark.parametrize("pairing", list(FROM_NETTING))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kept]:
    async with a_world(tmp_path_factory.mktemp("matrix") / "data") as world:
        yield Kept(world)


def is_one(pairing: str) -> bool:
    """The slave has one position a symbol."""
    return pairing.endswith("netting")


# --- opened, reduced, closed ----------------------------------------------------------------------


@on_all_pairings
async def test_a_market_open_with_its_levels_their_change_and_its_close(
    kept: Kept, pairing: str
) -> None:
    async with kept.pair(PAIRINGS[pairing], riskValue="0.5") as pair:
        ticket = await pair.master.open(
            "EURUSD", "Sell", "0.50", stop_loss="1.12", take_profit="1.07"
        )
        await pair.has("0.25")
        await pair.has_levels("1.12", "1.07")
        await pair.master.modify(ticket, "1.115", "1.07")
        await pair.has_levels("1.115", "1.07")
        await pair.answered("modified")
        await pair.master.close(ticket)
        await pair.has()
        await pair.logged(("opened", "0.25"), ("closed", "0.25"))


@on_all_pairings
async def test_partial_closes(kept: Kept, pairing: str) -> None:
    """0.07 lots at 75, 50, 25 and 0 per cent."""
    options = {"riskType": "FixedLot", "riskValue": "0.07", "copySL": False}
    async with kept.pair(PAIRINGS[pairing], **options) as pair:
        ticket = await pair.master.open("EURUSD", "Buy", "1.00")
        await pair.has("0.07")
        for left in ("0.05", "0.03", "0.01"):
            ticket = await pair.master.close(ticket, "0.25")
            await pair.has(left)
        await pair.master.close(ticket)
        await pair.has()
        reduced = [("reduced", "0.02")] * 3
        await pair.logged(("opened", "0.07"), *reduced, ("closed", "0.01"))


@on_all_pairings
async def test_a_close_by(kept: Kept, pairing: str) -> None:
    """Of 1.00 and 0.40 the other way 0.60 is left. A netting slave cannot hold both: it has the first."""
    async with kept.pair(PAIRINGS[pairing]) as pair:
        master = pair.master
        one = await master.open("EURUSD", "Buy", "1.00")
        await pair.has("1.00")
        two = await master.open("EURUSD", "Sell", "0.40")
        if is_one(pairing):
            assert (await pair.answered("denied"))["exceptionCode"] == "NETTING_SHARED"
        else:
            await pair.has("0.40", "1.00")
        await pair.world.control.close_by(master.server, master.login, one, two)
        await pair.has("0.60")
        (left,) = await master.positions()
        await master.close(left["ticket"])
        await pair.has()
        second = [] if is_one(pairing) else [("opened", "0.40"), ("closed", "0.40")]
        await pair.logged(("opened", "1.00"), *second, ("reduced", "0.40"), ("closed", "0.60"))


# --- netting --------------------------------------------------------------------------------------


@from_netting
async def test_netting_adds_are_legs(kept: Kept, pairing: str) -> None:
    async with kept.pair(FROM_NETTING[pairing]) as pair:
        await pair.master.open("EURUSD", "Buy", "0.50")
        await pair.has("0.50")
        await pair.master.open("EURUSD", "Buy", "0.30")
        await pair.has(*(["0.80"] if is_one(pairing) else ["0.30", "0.50"]))
        await pair.master.open("EURUSD", "Sell", "0.80")
        await pair.has()
        legs = [("opened", "0.50"), ("opened", "0.30"), ("closed", "0.50"), ("closed", "0.30")]
        await pair.logged(*legs)


@from_netting
async def test_scaled_out_and_in_again(kept: Kept, pairing: str) -> None:
    """1.00, half of it off, 1.00 more, a fifth off: what was added is not cut for what was before."""
    async with kept.pair(FROM_NETTING[pairing]) as pair:
        one = is_one(pairing)
        await pair.master.open("EURUSD", "Buy", "1.00")
        await pair.has("1.00")
        await pair.master.open("EURUSD", "Sell", "0.50")
        await pair.has("0.50")
        await pair.master.open("EURUSD", "Buy", "1.00")
        await pair.has(*(["1.50"] if one else ["0.50", "1.00"]))
        await pair.master.open("EURUSD", "Sell", "0.30")
        await pair.has(*(["1.20"] if one else ["0.40", "0.80"]))
        await pair.master.open("EURUSD", "Sell", "1.20")
        await pair.has()
        await pair.logged(
            ("opened", "1.00"), ("reduced", "0.50"), ("opened", "1.00"), ("reduced", "0.10"),
            ("reduced", "0.20"), ("closed", "0.40"), ("closed", "0.80"),
        )  # fmt: skip


@from_netting
async def test_a_reversal_closes_every_leg_and_opens_the_excess(kept: Kept, pairing: str) -> None:
    async with kept.pair(FROM_NETTING[pairing]) as pair:
        await pair.master.open("EURUSD", "Buy", "0.50")
        await pair.has("0.50")
        await pair.master.open("EURUSD", "Buy", "0.30")
        await pair.has(*(["0.80"] if is_one(pairing) else ["0.30", "0.50"]))
        await pair.master.open("EURUSD", "Sell", "1.00")
        await pair.shows(("Sell", "0.20", ""))
        await pair.master.open("EURUSD", "Buy", "0.20")
        await pair.has()
        await pair.logged(
            ("opened", "0.50"), ("opened", "0.30"), ("closed", "0.50"), ("closed", "0.30"),
            ("opened", "0.20"), ("closed", "0.20"),
        )  # fmt: skip


@from_netting
async def test_a_pending_order_that_merges_into_the_position_is_a_further_leg(
    kept: Kept, pairing: str
) -> None:
    async with kept.pair(FROM_NETTING[pairing]) as pair:
        # Steps so small that a slave whose price comes a moment later still copies at the market.
        await pair.master.open("EURUSD", "BuyLimit", "0.20", price="1.09950")
        await pair.quote("1.09940", "1.09950")
        await pair.has("0.20")
        await pair.master.open("EURUSD", "BuyLimit", "0.30", price="1.09900")
        await pair.quote("1.09890", "1.09900")
        await pair.has(*(["0.50"] if is_one(pairing) else ["0.20", "0.30"]))
        await pair.master.open("EURUSD", "Sell", "0.50")
        await pair.has()
        legs = [("opened", "0.20"), ("opened", "0.30"), ("closed", "0.20"), ("closed", "0.30")]
        await pair.logged(*legs)


# --- pending orders -------------------------------------------------------------------------------

MIRRORED = {"copyPendingOrders": True}
CALL = ("removed", None)
"""The row of the call that deleted the order, beside the order's own."""


@on_all_pairings
async def test_a_pending_order_placed_edited_and_deleted(kept: Kept, pairing: str) -> None:
    async with kept.pair(PAIRINGS[pairing], **MIRRORED) as pair:
        ticket = await pair.master.open(
            "EURUSD", "BuyStop", "0.20", price="1.11000", stop_loss="1.10000"
        )
        await pair.shows(("BuyStop", "0.20", "1.11000"))
        await pair.has_levels("1.10", "0")
        await pair.master.modify(ticket, "1.10500", "1.13", price="1.11500")
        await pair.shows(("BuyStop", "0.20", "1.11500"))
        await pair.has_levels("1.105", "1.13")
        await pair.master.close(ticket)
        await pair.shows()
        await pair.logged(("removed", "0.20"), CALL)


@on_all_pairings
async def test_a_pending_order_that_expires(kept: Kept, pairing: str) -> None:
    async with kept.pair(PAIRINGS[pairing], **MIRRORED) as pair:
        await pair.master.open(
            "EURUSD", "SellLimit", "0.20", price="1.12000", expires_at=broker_time(0.4)
        )
        await pair.shows(("SellLimit", "0.20", "1.12000"))

        async def expired() -> bool:
            await pair.world.control.quote(pair.master.server, "EURUSD", "1.10000", "1.10010")
            return await pair.master.positions() == []

        await pair.world.eventually(expired)
        await pair.shows()
        await pair.logged(("removed", "0.20"), CALL)


def broker_time(in_s: float) -> str:
    """On the simulated servers' clock, which is two hours ahead of UTC."""
    at = datetime.now(UTC) + timedelta(hours=2, seconds=in_s)
    return at.replace(tzinfo=None).isoformat()


@on_all_pairings
async def test_a_pending_order_that_is_activated_on_both_sides(kept: Kept, pairing: str) -> None:
    async with kept.pair(PAIRINGS[pairing], **MIRRORED) as pair:
        ticket = await pair.master.open("EURUSD", "SellStop", "0.20", price="1.09500")
        await pair.shows(("SellStop", "0.20", "1.09500"))
        await pair.quote("1.09490", "1.09500")
        await pair.shows(("Sell", "0.20", ""))
        await pair.answered("opened")
        await pair.master.close(ticket)
        await pair.has()
        await pair.logged(("placed", "0.20"), ("opened", "0.20"), ("closed", "0.20"))


# --- ended by the broker --------------------------------------------------------------------------

HITS = {"stop loss": ("1.08990", "1.09000"), "take profit": ("1.11010", "1.11020")}


@on_all_pairings
@pytest.mark.parametrize("level", list(HITS))
async def test_the_masters_level_is_hit_first(kept: Kept, pairing: str, level: str) -> None:
    async with kept.pair(PAIRINGS[pairing]) as pair:
        await pair.master.open("EURUSD", "Buy", "0.20", stop_loss="1.09", take_profit="1.11")
        await pair.has("0.20")
        await pair.answered("opened")
        await pair.world.control.quote(pair.master.server, "EURUSD", *HITS[level])
        await pair.has()
        await pair.logged(("opened", "0.20"), ("closed", "0.20"))


@on_all_pairings
@pytest.mark.parametrize("level", list(HITS))
async def test_the_copys_own_level_is_hit_first(kept: Kept, pairing: str, level: str) -> None:
    """It is over then: the master's close finds nothing to do."""
    async with kept.pair(PAIRINGS[pairing]) as pair:
        ticket = await pair.master.open(
            "EURUSD", "Buy", "0.20", stop_loss="1.09", take_profit="1.11"
        )
        await pair.has_levels("1.09", "1.11")
        await pair.answered("opened")
        await pair.world.control.quote(pair.slave.server, "EURUSD", *HITS[level])
        await pair.has()
        await pair.answered("detached")
        await pair.master.close(ticket)
        other = await pair.master.open("GBPUSD", "Buy", "0.10")
        await pair.has("0.10")
        await pair.master.close(other)
        await pair.has()
        await pair.logged(
            ("opened", "0.20"), ("detached", None), ("opened", "0.10"), ("closed", "0.10")
        )


@on_all_pairings
async def test_a_stop_out_of_the_master(kept: Kept, pairing: str) -> None:
    """550 of margin on 1,000: 150 pips later less than half of it is left."""
    poor: dict[str, Any] = {"balance": "1000"}
    async with a_pair(kept.world, PAIRINGS[pairing], of_master=poor) as pair:
        await pair.master.open("EURUSD", "Buy", "0.50")
        await pair.has("0.50")
        await pair.answered("opened")
        await pair.world.control.quote(pair.master.server, "EURUSD", "1.08500", "1.08510")
        assert await pair.master.positions() == []
        await pair.has()
        await pair.logged(("opened", "0.50"), ("closed", "0.50"))


# --- money ----------------------------------------------------------------------------------------


@on_all_pairings
async def test_a_deposit_a_withdrawal_and_a_credit_are_no_trades(kept: Kept, pairing: str) -> None:
    """They move the base of the ratio: 100,000 against 100,000, 200,000, 50,000 and 50,000."""
    world = kept.world
    async with a_pair(world, PAIRINGS[pairing], riskType="BalanceMultiplier") as pair:
        operations = (("100000", "Balance"), ("-150000", "Balance"), ("5000", "Credit"))
        symbols = ("EURUSD", "GBPUSD", "AUDUSD")
        copies = ("0.05", "0.20", "0.20")
        for number, (amount, kind) in enumerate(operations):
            master = pair.master
            await world.control.deposit(master.server, master.login, amount, kind)
            await master.open(symbols[number], "Buy", "0.10")
            await pair.has(*copies[: number + 1])
        await pair.logged(*(("opened", lots) for lots in copies))
        for order in await pair.master.positions():
            await pair.master.close(order["ticket"])
        await pair.has()


@on_all_pairings
async def test_the_swap_of_a_night_is_no_trade_and_is_told_at_the_close(
    kept: Kept, pairing: str
) -> None:
    """A Wednesday's night counts three times: 3 × 4 points of 0.00001 for half a lot of 100,000."""
    async with kept.pair(PAIRINGS[pairing]) as pair:
        world, servers = pair.world, {pair.master.server, pair.slave.server}
        for server in servers:
            await world.control.set_symbol(server, "EURUSD", swap_long="-4")
        ticket = await pair.master.open("EURUSD", "Buy", "0.50")
        await pair.has("0.50")
        for server in servers:
            await world.control.roll_over(server, "2026-09-16")
        await pair.master.close(ticket)
        await pair.has()
        await pair.logged(("opened", "0.50"), ("closed", "0.50"))
        for account in (pair.master, pair.slave):
            await closed_with_swap(pair, account, -6.0)
        for server in servers:
            await world.control.set_symbol(server, "EURUSD", swap_long="0")


async def closed_with_swap(pair: Pair, account: Account, swap: float) -> None:
    async def shown() -> bool:
        span = {"from": "2020-01-01", "to": "2100-01-01"}
        rows = await pair.world.call("ClosedOrders", accountId=account.id, **span)
        return any(row["swap"] == swap for row in rows)

    await pair.world.eventually(shown)


@on_all_pairings
async def test_a_frozen_copy_is_closed_when_the_market_lets_it(kept: Kept, pairing: str) -> None:
    async with kept.pair(PAIRINGS[pairing]) as pair:
        world, slave = pair.world, pair.slave
        ticket = await pair.master.open("EURUSD", "Buy", "0.20", stop_loss="1.09900")
        await pair.has_levels("1.09900", "0")
        await pair.answered("opened")
        await world.control.set_symbol(slave.server, "EURUSD", freeze_level=150)
        await pair.master.close(ticket)
        refused = await pair.answered("refused, tried again")
        assert refused["exceptionCode"] in ("FROZEN", "MODIFICATIONS_DENIED")
        await pair.has("0.20")
        await world.control.quote(slave.server, "EURUSD", "1.10100", "1.10110")
        await pair.has()
        await world.control.set_symbol(slave.server, "EURUSD", freeze_level=0)
        await pair.logged(("opened", "0.20"), ("closed", "0.20"))
