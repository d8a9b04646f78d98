"""`kill -9` between an alert and its receiver: it arrives all the same, and by its id only once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from copypro_standalone.demo_rings import simulator_process
from mt_simulator.client import SimulatorControl

from infra.local.servers import free_port
from tests.faults.program import LIMITS, Program
from tests.journey.receiver import a_receiver
from tests.waiting import eventually, until

pytestmark = pytest.mark.slow
PASSWORD = "c4n4ry-p4ssw0rd"


async def test_an_alert_survives_kill_9_while_its_receiver_is_silent(tmp_path: Path) -> None:
    async with (
        a_receiver() as receiver,
        simulator_process(0, 0) as (mt4, mt5),
        SimulatorControl(mt5) as control,
    ):
        receiver.statuses = [0]
        await control.add_server(name="Solo-MT5", platform="MT5")
        await control.add_account(server="Solo-MT5", platform="MT5", login=1, password=PASSWORD)
        scaled = json.dumps(LIMITS | {"close_alert_after_s": 0.2})
        program = Program(
            tmp_path / "data",
            mt4,
            mt5,
            free_port(),
            COPYPRO_ALERT_URL=receiver.url,
            COPYPRO_TEST_LIMITS=scaled,
        )
        await program.start()
        signed = await program.call("SignUp", email="a@example.com", passwordHash="0" * 64)
        await program.call(
            "AddAccount",
            signed["userKey"],
            type="MT5",
            user=1,
            password=PASSWORD,
            server="Solo-MT5",
        )
        await proved(program, signed["userKey"])
        await control.set_account("Solo-MT5", 1, password="changed")
        await control.forget_sessions("MT5")
        await until(lambda: bool(receiver.tries))
        await program.kill()
        await program.start()
        await until(lambda: bool(receiver.taken))
        assert receiver.taken[0]["code"] == "ACCOUNT_REFUSED"
        assert {body["id"] for body in receiver.tries} == {receiver.taken[0]["id"]}
        assert await program.terminate() == 0
        said = program.log.read_text()
        assert PASSWORD not in said
        assert "c4n4ry-t0ken" not in said


async def proved(program: Program, key: str) -> None:
    async def connected() -> bool:
        return bool((await program.call("Accounts", key))[0]["connected"])

    await eventually(connected)
