"""A process is killed while an order of its slave is on the wire; how long until the next one leaves.

One master and a slave per partition. The process that owns a slave's partition (never the master's)
is killed with `kill -9` between a request and its answer, and the master goes on trading; or the
replicator that owns the master's partition is. Each step is a moment of the survivors' log or of the
bridge's ledger, all on one machine's clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from copypro.adapters.kafka_writer import partition_of
from copypro.values import Platform, account_id
from copypro_standalone.demo_rings import simulator_process
from msgspec import Struct
from mt_simulator.client import SimulatorControl

from tests.faults.cluster import PARTITIONS, Cluster
from tests.faults.program import PATIENCE_S, Program

SERVER, SYMBOL, MASTER = "Alpha-MT5", "EURUSD", 1001
QUOTE = ("1.10000", "1.10010")
TRADE_EVERY_S = 0.5


class Takeover(Struct, frozen=True, kw_only=True):
    """Moments of one partition, in seconds since the kill."""

    noticed_s: float
    """The group is told that somebody is missing."""
    assigned_s: float
    fenced_s: float
    restored_s: float
    called_s: float | None
    """The bridge is called for the account: its session is looked for. None where none was lost."""
    sent_s: float
    """The first request of a copy that was not in doubt reaches the bridge."""


class Stage:
    def __init__(self, cluster: Cluster, control: SimulatorControl) -> None:
        self.cluster, self.control = cluster, control
        self.slaves = {_partition(login): login for login in _a_slave_per_partition()}
        self.masters = _partition(MASTER)
        self.key = ""
        self.copiers: list[str] = []
        """In the order of `slaves`."""
        self.closed_trades = 0

    async def build(self) -> None:
        await self.control.add_server(name=SERVER, platform="MT5")
        await self.control.add_symbol(SERVER, name=SYMBOL)
        await self.control.quote(SERVER, SYMBOL, *QUOTE)
        for login in (MASTER, *self.slaves.values()):
            await self.control.add_account(
                server=SERVER, platform="MT5", login=login, password="p", balance="1000000"
            )

    async def link(self) -> None:
        """Each slave copies the master, and has done so once."""
        gateway = self.cluster.gateway
        signed = await gateway.call("SignUp", email="a@example.com", passwordHash="0" * 64)
        key = self.key = signed["userKey"]
        ids = []
        for login in (MASTER, *self.slaves.values()):
            body = {"type": "MT5", "user": login, "password": "p", "server": SERVER}
            ids.append((await gateway.call("AddAccount", key, **body))["accountId"])

        async def connected() -> bool:
            return all(one["connected"] for one in await gateway.call("Accounts", key))

        await gateway.until(connected)
        for slave in ids[1:]:
            body = {"masterAccountId": ids[0], "slaveAccountId": slave, "riskValue": "1"}
            self.copiers.append((await gateway.call("Start", key, **body))["copierId"])

    async def open(self) -> int:
        await self.control.tick_again()
        return int(await self.control.open(SERVER, MASTER, SYMBOL, "Buy", "0.10"))

    async def flat(self) -> None:
        """The master closes all; every slave follows, the copy that was in doubt included."""
        for order in (await self.control.book(SERVER, MASTER))["open"]:
            await self.control.close(SERVER, MASTER, order["ticket"])
            self.closed_trades += 1

        async def flat() -> bool:
            await self.control.tick_again()
            books = [await self.control.book(SERVER, login) for login in self.slaves.values()]
            return not any(book["open"] for book in books)

        await self.cluster.gateway.until(flat)

    async def sends(self, login: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.control.ledger("ordersend", login)
        return found

    async def trades(self, every_s: float = TRADE_EVERY_S) -> None:
        """The master's hand, until cancelled."""
        while True:
            await self.open()
            await asyncio.sleep(every_s)

    async def kill_watcher(self, *, again: bool = False) -> tuple[Program, list[Takeover]]:
        """Who was killed, and the takeover of each of its slaves. `again`: it is started at once, as a
        supervisor does.
        """
        await self.cluster.until_shared("account-watcher")
        owners = {p: self.cluster.owner("account-watcher", p) for p in range(PARTITIONS)}
        victim = next(who for who in owners.values() if who is not owners[self.masters])
        lost = [number for number, who in owners.items() if who is victim]
        logins = [self.slaves[number] for number in lost]
        await self._in_flight(logins)
        killed_at = await self._kill(victim, again=again)
        await self._sent_since(killed_at, logins)
        return victim, [
            await self._takeover("account-watcher", number, self.slaves[number], killed_at)
            for number in lost
        ]

    async def kill_replicator(self) -> tuple[Program, Takeover]:
        await self.cluster.until_shared("replicator")
        victim = self.cluster.owner("replicator", self.masters)
        killed_at = await self._kill(victim)
        logins = list(self.slaves.values())
        await self._sent_since(killed_at, logins[:1])
        return victim, await self._takeover("replicator", self.masters, logins[0], killed_at)

    async def _kill(self, victim: Program, *, again: bool = False) -> float:
        killed_at = time.time()
        await victim.kill()
        await self.control.clear_scripts()
        if again:
            await victim.start(wait=False)
        return killed_at

    async def _in_flight(self, logins: list[int]) -> None:
        """One order of each of these accounts is filled, and its answer never comes."""
        before = {login: len(await self.sends(login)) for login in logins}
        for login in logins:
            await self.control.script(
                "MT5", endpoint="ordersend", login=login, silent=True, execute=True
            )
        await self.open()

        async def all_sent() -> bool:
            return all([len(await self.sends(login)) > before[login] for login in logins])

        await self.cluster.gateway.until(all_sent)

    async def _sent_since(self, killed_at: float, logins: list[int]) -> None:
        async def all_sent() -> bool:
            return all([await self._first_send(login, killed_at) for login in logins])

        trading = asyncio.create_task(self.trades())
        try:
            await self.cluster.gateway.until(all_sent, 2 * PATIENCE_S)
        finally:
            trading.cancel()
            await asyncio.wait([trading])

    async def _first_send(self, login: int, killed_at: float) -> float | None:
        """Of a copy that was not in doubt: what was sent before the kill is not sent again."""
        sends = await self.sends(login)
        former = {tag_of(entry) for entry in sends if entry["at"] <= killed_at}
        for entry in sends:
            if entry["at"] > killed_at:
                assert tag_of(entry) not in former, "never twice"
                return float(entry["at"])
        return None

    async def _takeover(self, role: str, number: int, login: int, killed_at: float) -> Takeover:
        sent_at = await self._first_send(login, killed_at)
        assert sent_at is not None
        noticed = [at for at, _, _ in self.cluster.said(role, "partitions are shared anew")]
        takeovers = [
            (at, line)
            for at, _, line in self.cluster.said(role, "partition taken over")
            if line["partition"] == number and killed_at < at < sent_at
        ]
        restored_at, line = takeovers[-1]
        fenced_at = restored_at - line["restore_ms"] / 1000
        assigned_at = fenced_at - line["fence_ms"] / 1000
        calls = await self.control.ledger("", login)
        # What the killed one had put on the wire still arrives: the new owner's is no earlier than it.
        called_at = min(entry["at"] for entry in calls if entry["at"] > assigned_at)
        return Takeover(
            noticed_s=max(at for at in noticed if at <= assigned_at) - killed_at,
            assigned_s=assigned_at - killed_at,
            fenced_s=fenced_at - killed_at,
            restored_s=restored_at - killed_at,
            called_s=called_at - killed_at if role == "account-watcher" else None,
            sent_s=sent_at - killed_at,
        )


def tag_of(entry: dict[str, Any]) -> str:
    return str(entry["parameters"]["comment"])[:14]


def _partition(login: int) -> int:
    return partition_of(account_id(Platform.MT5, SERVER, login), PARTITIONS)


def _a_slave_per_partition() -> list[int]:
    found: dict[int, int] = {}
    for login in range(2001, 2100):
        found.setdefault(_partition(login), login)
    return [found[number] for number in range(PARTITIONS)]


@asynccontextmanager
async def a_stage(
    folder: Path,
    kafka: str,
    mongo: str,
    *,
    counts: Mapping[str, int] | None = None,
    **environment: str,
) -> AsyncIterator[Stage]:
    """A cluster at work: its slaves are linked and the first copies are made and closed."""
    async with simulator_process(0, 0) as bridges, SimulatorControl(bridges[1]) as control:
        cluster = Cluster(folder, kafka, mongo, bridges, counts=counts, **environment)
        stage = Stage(cluster, control)
        await stage.build()
        try:
            await cluster.start()
            await stage.link()
            await stage.open()

            async def copied() -> bool:
                sent = [await stage.sends(login) for login in stage.slaves.values()]
                return all(sent)

            await cluster.gateway.until(copied)
            await stage.flat()
            yield stage
        finally:
            await cluster.end()
