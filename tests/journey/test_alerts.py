"""What an operator must know though nothing happens that would tell: raised by the clock, cleared after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.journey.receiver import a_receiver
from tests.journey.world import FAST, Account, World, a_world

pytestmark = pytest.mark.slow


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path / "data", replace(FAST, close_alert_after_s=0.5)) as made:
        yield made


async def copied(world: World) -> tuple[Account, Account, int]:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.10")

    async def recorded() -> bool:
        return len(await world.call("OpenOrders", accountId=slave.id)) == 1

    await world.eventually(recorded)
    return master, slave, ticket


async def alerts(world: World, *codes: str) -> None:
    async def these() -> bool:
        return sorted(alert["code"] for alert in await world.call("Alerts")) == sorted(codes)

    await world.eventually(these)


async def test_a_close_that_cannot_even_be_sent_is_an_alert_until_it_is_done(world: World) -> None:
    master, slave, ticket = await copied(world)
    await world.control.bridge("MT5", down=True)
    await master.close(ticket)
    await alerts(world, "CLOSE_FAILS", "ACCOUNT_DOWN")
    await world.control.bridge("MT5", down=False)
    await alerts(world)
    assert await slave.positions() == []


async def test_a_close_that_is_refused_again_and_again_is_an_alert(world: World) -> None:
    master, slave, ticket = await copied(world)
    await world.control.script(
        "MT5", endpoint="OrderClose", login=2001, times=-1, error="MARKET_CLOSED"
    )
    await master.close(ticket)
    await alerts(world, "CLOSE_FAILS")
    (alert,) = await world.call("Alerts")
    assert str((await slave.positions())[0]["ticket"]) in alert["text"]
    await world.control.clear_scripts()
    await alerts(world)


async def test_an_account_out_of_reach_while_copies_stand_is_an_alert_also_after_a_restart(
    world: World,
) -> None:
    await copied(world)
    await world.stop()
    await world.control.bridge("MT5", down=True)
    await world.start()
    await alerts(world, "ACCOUNT_DOWN")
    await world.control.bridge("MT5", down=False)
    await alerts(world)


async def test_a_master_out_of_reach_is_an_alert_later_than_an_account_with_copies(
    tmp_path: Path,
) -> None:
    limits = replace(FAST, close_alert_after_s=0.2, away_alert_after_s=1.0)
    async with a_world(tmp_path / "data", limits) as world:
        master, slave, _ = await copied(world)
        for platform in ("MT4", "MT5"):
            await world.control.bridge(platform, down=True)
        await alerts(world, "ACCOUNT_DOWN", "ACCOUNT_DOWN")
        later, first = await world.call("Alerts")
        assert (later["accountId"], first["accountId"]) == (master.id, slave.id)
        assert "is not seen" in later["text"]
        assert first["text"].endswith("; open copies: 1")
        for platform in ("MT4", "MT5"):
            await world.control.bridge(platform, down=False)
        await alerts(world)


async def test_a_master_that_is_stopped_out_is_an_alert_until_it_trades_again(world: World) -> None:
    master = await world.account("Alpha-MT5", 1001, balance="600")
    slave = await world.account("Beta-MT4", 2001)
    await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "0.50")
    await world.eventually(slave.positions)
    await world.quote("EURUSD", "1.09200", "1.09210")
    await alerts(world, "STOP_OUT")

    await world.eventually(slave.is_flat)
    await world.control.deposit(master.server, master.login, "10000")
    await master.open("GBPUSD", "Buy", "0.01")
    await alerts(world)


async def test_alerts_are_posted_once_each_and_the_address_is_nowhere_in_the_log(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    async with a_receiver() as receiver:
        receiver.statuses = [503]
        await world.stop()
        await world.start(alert_url=receiver.url)
        master, _, ticket = await copied(world)
        await world.control.bridge("MT5", down=True)
        await master.close(ticket)
        await alerts(world, "CLOSE_FAILS", "ACCOUNT_DOWN")

        async def posted() -> bool:
            return len(receiver.taken) == 2

        await world.eventually(posted)
        await world.stop()
        await world.start()
        await alerts(world, "CLOSE_FAILS", "ACCOUNT_DOWN")
        assert {body["code"] for body in receiver.taken} == {"CLOSE_FAILS", "ACCOUNT_DOWN"}
        assert len({body["id"] for body in receiver.tries}) == 2
        assert len(receiver.taken) == 2, "a restart posts nothing again that was taken"
    said = "".join(capfd.readouterr())
    assert "alert not delivered yet" in said
    assert "c4n4ry-t0ken" not in said
