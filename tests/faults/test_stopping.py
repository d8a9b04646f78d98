"""How the real program ends: asked once, asked twice, with a trade call on the wire, before it is ready."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from copypro import topics
from copypro.adapters.sqlite_log import SqliteLogReader
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.demo_rings import simulator_process
from mt_simulator.client import SimulatorControl

from infra.local.servers import free_port
from tests.damage import spoil
from tests.faults.program import LIMITS, PATIENCE_S, Program
from tests.faults.test_kill_9 import MASTER, build, register

pytestmark = pytest.mark.slow
COMMANDS = ("gateway", "account-watcher", "replicator", "stats")


@asynccontextmanager
async def sending(tmp_path: Path, delay_s: float, **limits: float) -> AsyncIterator[Program]:
    """A program whose MT5 broker takes `delay_s` to answer, while an order of ours is on the wire."""
    async with simulator_process(0, 0) as (mt4, mt5), SimulatorControl(mt5) as control:
        await build(control)
        scaled = json.dumps(LIMITS | limits)
        program = Program(
            tmp_path / "data", mt4, mt5, free_port(),
            COPYPRO_TEST_LIMITS=scaled, COPYPRO_LOG_JSON="1",
        )  # fmt: skip
        await program.start()
        await register(program)
        await control.script("MT5", endpoint="ordersend", times=-1, delay_before_s=delay_s)
        await control.open(*MASTER, "EURUSD", "Buy", "0.20")

        async def on_the_wire() -> bool:
            return bool(await control.ledger("ordersend"))

        await program.until(on_the_wire)
        try:
            yield program
        finally:
            if program.process is not None and program.process.returncode is None:
                await program.kill()


def executions(tmp_path: Path) -> list[tuple[str, dict[str, Any]]]:
    records = SqliteLogReader(tmp_path / "data").records("executions")
    return [(r.headers["type"], msgspec.json.decode(r.value or b"{}")) for r in records]


async def test_a_call_in_flight_is_answered_and_recorded_before_the_end(tmp_path: Path) -> None:
    async with sending(tmp_path, 1.5, longest_call_s=9, trade_call_s=8, drain_s=8) as program:
        begun = time.monotonic()
        assert await program.terminate() == 0
        assert time.monotonic() - begun < 10
    found = executions(tmp_path)
    started = {event["attempt"] for kind, event in found if kind == "AttemptStarted"}
    answered = {event["attempt"] for kind, event in found if kind == "CopyOpened"}
    assert started
    assert started == answered


async def test_a_call_that_is_not_answered_does_not_hold_up_the_end(tmp_path: Path) -> None:
    limits = {"longest_call_s": 60, "trade_call_s": 55, "drain_s": 10}
    async with sending(tmp_path, 50, **limits) as program:
        begun = time.monotonic()
        assert await program.terminate() == 0
        assert time.monotonic() - begun < 10
        said = [json.loads(line)["event"] for line in program.log.read_text().splitlines()]
        assert "cut off: it did not end in time" in said
        assert said[-1] == "stopped"


async def test_what_calls_in_flight_are_given_is_over_before_they_are_cut_off(
    tmp_path: Path,
) -> None:
    real = WatcherLimits().drain_s
    async with sending(tmp_path, 50, longest_call_s=60, trade_call_s=55, drain_s=real) as program:
        begun = time.monotonic()
        assert await program.terminate() == 0
        assert real <= time.monotonic() - begun < 10
        said = [json.loads(line)["event"] for line in program.log.read_text().splitlines()]
        assert "cut off: it did not end in time" not in said
        assert said[-1] == "stopped"


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    limits = {"longest_call_s": 60, "trade_call_s": 55, "drain_s": 10}
    async with sending(tmp_path, 50, **limits) as program:
        assert program.process is not None
        program.process.send_signal(signal.SIGTERM)

        async def stopping() -> bool:
            return "stopping" in program.log.read_text()

        await program.until(stopping)
        begun = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(program.process.wait(), 60) == 128 + signal.SIGTERM
        assert time.monotonic() - begun < limits["drain_s"] / 2, "what it was given is not over"


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_service_alone_on_sqlite_is_refused_by_one_line_that_names_both_settings(
    tmp_path: Path, command: str
) -> None:
    address = "http://127.0.0.1:1"
    program = Program(tmp_path / "data", address, address, free_port(), command=command)
    await program.start(wait=False)
    assert program.process is not None
    assert await asyncio.wait_for(program.process.wait(), PATIENCE_S) == 2
    (said,) = program.log.read_text().strip().splitlines()
    assert said.startswith(f"copypro: `copypro {command}` ")
    assert "KAFKA_BOOTSTRAP_SERVERS" in said
    assert "MongoDB" in said
    assert not (tmp_path / "data").exists(), "nothing was touched"


@pytest.mark.parametrize("is_running", [False, True])
async def test_a_damaged_log_ends_it_by_a_line_that_names_the_file_and_what_helps(
    tmp_path: Path, is_running: bool
) -> None:
    address = "http://127.0.0.1:1"
    program = Program(
        tmp_path / "data", address, address, free_port(),
        COPYPRO_LOG_JSON="1", COPYPRO_SIGN_UP="open",
    )  # fmt: skip
    await program.start()
    given = {"email": "a@example.com", "passwordHash": "0" * 64}
    key = (await program.call("SignUp", **given))["userKey"]
    assert await program.terminate() == 0
    path = tmp_path / "data" / "log.db"
    if is_running:
        await program.start()
        spoil(path, topics.ACCOUNT_COMMANDS.name)
        account = {"type": "MT5", "user": 1, "password": "p", "server": "S"}
        assert (await program.ask("AddAccount", key, **account))[0] == 503
    else:
        spoil(path, topics.ACCOUNT_WATCHER.state.name)
        await program.start(wait=False)
    assert program.process is not None
    assert await asyncio.wait_for(program.process.wait(), PATIENCE_S) == 2
    said = program.log.read_text()
    last = said.splitlines()[-1]
    assert last.startswith(f"copypro: {path} is damaged or not a database ("), said
    assert last.endswith("): restore it from a backup")
    assert "Traceback" not in said
