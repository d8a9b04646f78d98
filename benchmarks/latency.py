"""From the master's frame to the slave's request on the wire, and what that costs at the least.

The ring runs in this process; the simulated bridges in another, which stamps each request as it
comes in. The floor is what nobody can do without: parse one frame, three durable SQLite commits of
records of this size one after another (event, plan, attempt), one aiohttp GET; with ten slaves the
gets of the floor leave together. Own latency here is frame received → request received by the
bridge, for both, in one run on one machine.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.settings import Settings
from copypro.wiring import read_log
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.demo import simulator_process
from copypro_standalone.ring import Ring
from mt_simulator.client import SimulatorControl

Numbers = dict[str, float]
PASSWORD = "bench"


async def build(control: SimulatorControl, slaves: int) -> None:
    await control.add_server(name="Bench-MT5", platform="MT5")
    await control.add_symbol("Bench-MT5", name="EURUSD")
    await control.quote("Bench-MT5", "EURUSD", "1.10000", "1.10010")
    for login in range(1, slaves + 2):
        await control.add_account(
            server="Bench-MT5", platform="MT5", login=login, password=PASSWORD, balance="100000000"
        )


async def register(url: str, slaves: int) -> None:
    async with aiohttp.ClientSession(base_url=url) as http:

        async def call(name: str, **body: Any) -> Any:
            async with http.post(f"/{name}", json=body, headers=headers) as response:
                answer = await response.json()
                assert response.status == 200, answer
                return answer

        headers: dict[str, str] = {}
        key = (await call("SignUp", email="b@example.com", passwordHash="0" * 64))["userKey"]
        headers["Authorization"] = f"Bearer {key}"
        ids = []
        for login in range(1, slaves + 2):
            added = await call(
                "AddAccount", type="MT5", user=login, password=PASSWORD, server="Bench-MT5"
            )
            ids.append(added["accountId"])
        while True:
            if all(account["connected"] for account in await call("Accounts")):
                break
            await asyncio.sleep(0.05)
        for slave in ids[1:]:
            await call("Start", masterAccountId=ids[0], slaveAccountId=slave, riskValue="0.5")


async def own(control: SimulatorControl, data: Path, trades: int, slaves: int) -> list[float]:
    """Milliseconds, one per slave order: the event's `seen_at` to the bridge's receipt."""
    await control.clear_ledger()
    done = 0
    for _ in range(trades):
        await control.quote("Bench-MT5", "EURUSD", "1.10000", "1.10010")
        done += slaves
        ticket = await control.open("Bench-MT5", 1, "EURUSD", "Buy", "0.10")
        await counted(control, "ordersend", done)
        await control.close("Bench-MT5", 1, ticket)
        await counted(control, "orderclose", done)
        await asyncio.sleep(0.02)  # trades of a person or a robot, not a burst
    entries = await control.ledger("OrderSend")
    arrived = {entry["parameters"]["comment"]: entry["at"] for entry in entries}
    seen: dict[str, float] = {}
    for record in read_log(data).records("executions"):
        if record.headers["type"] == "AttemptStarted":
            event = msgspec.json.decode(record.value or b"")
            if event.get("seen_at_utc"):
                seen[event["tag"]] = datetime.fromisoformat(event["seen_at_utc"]).timestamp()
    return [(at - seen[tag]) * 1000 for tag, at in arrived.items() if tag in seen]


async def counted(control: SimulatorControl, call: str, wanted: int) -> None:
    """Until the bridge has seen so many of a call."""
    async with asyncio.timeout(30):
        while True:
            if (await control.ledger_counts()).get(call, 0) >= wanted:
                return
            await asyncio.sleep(0.005)


async def floor(
    control: SimulatorControl, url: str, frame: bytes, trades: int, slaves: int
) -> list[float]:
    dialect = Mt5Dialect()
    took: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        connection = sqlite3.connect(Path(name) / "floor.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE records (value)")
        async with aiohttp.ClientSession() as http:

            async def get(number: int, login: int) -> None:
                query = f"comment=F{number}x{login}&symbol=EURUSD&operation=Buy&volume=0.1&id=none"
                async with http.get(f"{url}/OrderSend?{query}") as response:
                    await response.read()

            for number in range(trades):
                begun = time.time()
                dialect.frame(frame)
                for rows in (1, 2 * slaves, 2 * slaves):
                    connection.execute("BEGIN")
                    connection.executemany(
                        "INSERT INTO records VALUES (?)", [(b"x" * 1200,)] * rows
                    )
                    connection.execute("COMMIT")
                await asyncio.gather(*(get(number, login) for login in range(slaves)))
                entries = await control.ledger("OrderSend")
                mine = [
                    e["at"]
                    for e in entries
                    if e["parameters"].get("comment", "").startswith(f"F{number}x")
                ]
                took.extend((at - begun) * 1000 for at in mine)
        connection.close()
    return took


def spread(values: list[float]) -> Numbers:
    ordered = sorted(values)
    return {
        "p50": statistics.median(ordered),
        "p99": ordered[int((len(ordered) - 1) * 0.99)],
        "n": float(len(ordered)),
    }


def a_frame() -> bytes:
    order = {
        "ticket": 5,
        "symbol": "EURUSD",
        "orderType": "Buy",
        "state": "Filled",
        "lots": 0.1,
        "openPrice": 1.1001,
        "openTime": "2026-01-01T00:00:00.000",
        "openTimestampUTC": 1767225600000,
        "expertId": 0,
        "comment": "",
    }
    data = {
        "update": {"type": "MarketOpen", "order": order},
        "openedOrders": [order],
        "balance": 1,
        "equity": 1,
        "margin": 0,
        "freeMargin": 1,
        "profit": 0,
    }
    return msgspec.json.encode({"type": "OrderUpdate", "data": data})


async def measure(slaves: int, trades: int = 150) -> dict[str, Numbers]:
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        async with simulator_process(0, 0) as (_, mt5), SimulatorControl(mt5) as control:
            await build(control, slaves)
            settings = Settings.model_validate(
                {
                    "api_mt5": mt5,
                    "data": data,
                    "gateway_port": 0,
                    "sign_up": "open",
                    "reads_per_s": 1000,
                }
            )
            async with Ring(settings, WatcherLimits(snapshot_every_s=30)) as ring:
                await register(ring.url, slaves)
                await own(control, data, 10, slaves)  # symbols and margins are read once
                ours = await own(control, data, trades, slaves)
            await control.clear_ledger()
            bare = await floor(control, mt5, a_frame(), trades, slaves)
    mine, least = spread(ours), spread(bare)
    ratios = {name: mine[name] / least[name] for name in ("p50", "p99")}
    return {"own_ms": mine, "floor_ms": least, "ratio": ratios}


def main() -> None:
    import uvloop

    print(
        "own latency: frame received → request at the bridge (wanted: p50 ≤ 1.5×, p99 ≤ 2× the floor)"
    )
    for slaves in (1, 10):
        found = uvloop.run(measure(slaves))
        shown = "  ".join(
            f"{name} p50 {values['p50']:.2f} p99 {values['p99']:.2f}"
            for name, values in found.items()
        )
        print(f"  {slaves:3} slaves: {shown}")


if __name__ == "__main__":
    main()
