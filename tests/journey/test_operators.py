"""What an operator sees of a running program: health, metrics and the log, after a real journey."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mt_simulator.client import SimulatorControl
from prometheus_client.parser import text_string_to_metric_families

from infra.local.servers import free_port
from tests.faults.program import Program
from tests.journey.world import CANARY, MASTERS_SIZE, SERVERS, World, a_world

pytestmark = pytest.mark.slow
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(world: World) -> tuple[Series, str]:
    async with world.http.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/plain")
        page = await response.text()
    found: Series = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found, page


def value(series: Series, name: str, **labels: str) -> float:
    return series.get((f"copypro_{name}", frozenset(labels.items())), 0.0)


async def journey(world: World) -> None:
    """One trade copied and closed, one too small, one without an answer."""
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave, riskType="LotMultiplier", riskValue="0.5")
    ticket = await master.open("EURUSD", "Buy", "0.10")

    async def stands() -> bool:
        return len(await slave.positions()) == 1

    await world.eventually(stands)
    await master.close(ticket)
    await world.eventually(slave.is_flat)
    await master.open("EURUSD", "Buy", "0.01")
    assert await world.code(copier) == "BELOW_MIN_LOT"
    await world.call("UpdateCopier", id=copier, **MASTERS_SIZE, filterSide="CopyBuyOnly")
    await master.open("EURUSD", "Sell", "0.10")

    async def both() -> bool:
        rows = await world.logs(copier)
        return len({row["exceptionCode"] for row in rows if row["exceptionCode"]}) == 2

    await world.eventually(both)


async def test_metrics_tell_what_happened_and_no_secret(world: World) -> None:
    await journey(world)
    found, page = await scraped(world)
    assert value(found, "copies_planned_total") == 2
    assert value(found, "attempts_total", outcome="started") == 2
    assert value(found, "attempts_total", outcome="filled") == 1
    assert value(found, "attempts_total", outcome="closed") == 1
    assert value(found, "not_copied_total", by="denied", code="BELOW_MIN_LOT") == 1
    skipped = [key for key in found if key[0] == "copypro_not_copied_total"]
    assert len(skipped) == 2
    assert any(("by", "skipped") in labels for _, labels in skipped)
    for leg in ("planned-sent", "sent-filled", "filled-recorded", "seen-filled"):
        assert value(found, "leg_seconds_count", leg=leg) == 1, leg
        assert 0 < value(found, "leg_seconds_sum", leg=leg) < 10, leg
    assert value(found, "leg_seconds_count", leg="seen-planned") == 2
    parts = ("planned-sent", "sent-filled")
    together = sum(value(found, "leg_seconds_sum", leg=leg) for leg in parts)
    assert together <= value(found, "leg_seconds_sum", leg="seen-filled") < together + 1
    assert value(found, "sessions", state="connected") == 2
    assert value(found, "unresolved") == 0
    assert value(found, "ready") == 1
    partitions = 2 if world.stack else 1
    for role in ("account-watcher", "replicator", "stats"):
        assert value(found, "partitions", role=role) == partitions
        assert value(found, "partitions_assigned_total", role=role) == partitions
        assert value(found, "takeover_seconds_count", role=role) == partitions
        assert value(found, "commit_seconds_count", role=role) > 0
    # RegisterAccount twice, StartCopier, UpdateCopier; and of each that it begins and ends.
    assert value(found, "commit_seconds_count", role="gateway") == 4 + 2 * 4
    assert value(found, "http_seconds_count", call="AddAccount", status="200") == 2
    assert value(found, "http_seconds_count", call="Start", status="200") == 1

    marks = 3 if world.stack else 0  # Kafka's own, of the last transactions

    async def caught_up() -> bool:
        now, _ = await scraped(world)
        lags = [one for key, one in now.items() if key[0] == "copypro_lag_records"]
        return bool(lags) and max(lags) <= marks

    await world.eventually(caught_up)
    for secret in (CANARY, world.key, world.simulator.mt4_url, world.simulator.mt5_url):
        assert secret not in page


async def test_an_answer_that_never_came_is_unresolved_until_the_books_have_told(
    world: World,
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave)
    await world.control.script("MT5", endpoint="OrderSend", login=2001, silent=True)
    await master.open("EURUSD", "Buy", "0.10")

    async def unresolved() -> bool:
        return value((await scraped(world))[0], "unresolved") == 1

    async def settled() -> bool:
        found = (await scraped(world))[0]
        return value(found, "unresolved") == 0 and bool(
            value(found, "attempts_total", outcome="reconciled")
        )

    await world.eventually(unresolved)
    await world.eventually(settled)
    found = (await scraped(world))[0]
    assert value(found, "attempts_total", outcome="unresolved") == 1


async def test_calls_of_strangers_make_no_series_of_their_own(world: World) -> None:
    async with world.http.get("/c4n4ry/../etc?userKey=c4n4ry") as response:
        assert response.status == 404
    async with world.http.get("/Accounts") as response:
        assert response.status == 401
    found, page = await scraped(world)
    assert value(found, "http_seconds_count", call="other", status="404") == 1
    assert value(found, "http_seconds_count", call="Accounts", status="401") == 1
    assert "c4n4ry" not in page


async def test_every_metric_is_in_the_table_of_the_operators_page_and_no_other(
    world: World,
) -> None:
    await journey(world)
    _, page = await scraped(world)
    served = set(re.findall(r"^# TYPE (copypro_\w+) ", page, re.M))
    served = {name for name in served if not name.endswith("_created")}
    told = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    listed = set(re.findall(r"^\| `(copypro_\w+)`", told, re.M))
    assert listed - served <= {"copypro_partitions_lost_total", "copypro_commits_failed_total"}
    assert served <= listed, served - listed


# --- the log ----------------------------------------------------------------------------------------


def lines_of(log: Path) -> list[dict[str, Any]]:
    """Every line is JSON."""
    return [json.loads(line) for line in log.read_text().splitlines()]


async def test_one_grep_for_a_correlation_tells_the_story_from_the_call_to_the_fill(
    tmp_path: Path,
) -> None:
    """A trade stands; `Start` with copyExistingTrades is what leads to its copy."""
    async with a_world(tmp_path / "unused") as world:
        bridges = (world.simulator.mt4_url, world.simulator.mt5_url)
        port = free_port()
        program = Program(tmp_path / "data", *bridges, port, COPYPRO_LOG_JSON="1")
        await world.stop()
        await program.start()
        try:
            key = await _copied_by_a_call(world.control, program)
        finally:
            assert await program.terminate() == 0
        lines = lines_of(program.log)
        (start,) = (line for line in lines if line.get("command") == "StartCopier")
        story = [line for line in lines if line.get("correlation") == start["correlation"]]
        assert [(line["service"], line["event"]) for line in story] == [
            ("gateway", "call"),
            ("replicator", "copier started"),
            ("replicator", "planned"),
            ("account-watcher", "attempt"),
            ("account-watcher", "filled"),
        ]
        call, _, planned, attempt, filled = story
        assert call["call"] == "Start"
        assert planned["copy"] == attempt["copy"] == filled["copy"]
        assert attempt["attempt"] == filled["attempt"]
        assert planned["slave"] == attempt["account"] == filled["account"]
        assert all(line["level"] == "info" for line in lines), "nothing went wrong"
        assert [line["event"] for line in lines][-2:] == [
            "stopping: no new opens; calls in flight are answered and recorded",
            "stopped",
        ]
        text = program.log.read_text()
        for secret in (CANARY, key, *bridges):
            assert secret not in text


async def _copied_by_a_call(control: SimulatorControl, program: Program) -> str:
    """The user's key. The copy stands."""
    answer = await program.call("SignUp", email="b@example.com", passwordHash="0" * 64)
    key: str = answer["userKey"]
    ids = []
    for server, login in (("Alpha-MT4", 1001), ("Beta-MT5", 2001)):
        await control.add_account(
            server=server, platform=SERVERS[server], login=login, password=CANARY, balance="100000"
        )
        wish = {"type": SERVERS[server], "user": login, "password": CANARY, "server": server}
        ids.append((await program.call("AddAccount", key, **wish))["accountId"])
    await program.until(lambda: _connected(program, key))
    await control.open("Alpha-MT4", 1001, "EURUSD", "Buy", "0.10")

    async def seen() -> bool:
        return bool(await program.call("OpenOrders", key, accountId=ids[0]))

    await program.until(seen)
    pair = {"masterAccountId": ids[0], "slaveAccountId": ids[1], "copyExistingTrades": True}
    await program.call("Start", key, **pair)

    async def copied() -> bool:
        return bool(await program.call("OpenOrders", key, accountId=ids[1]))

    await program.until(copied)
    return key


async def _connected(program: Program, key: str) -> bool:
    return all(account["connected"] for account in await program.call("Accounts", key))
