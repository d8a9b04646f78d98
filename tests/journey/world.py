"""A whole ring and simulated brokers for one test: REST in, the brokers' books out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from copypro.ports import Record, TerminalLimits
from copypro.settings import Settings
from copypro.topics import COPIER_EVENTS, EXECUTIONS, ORDER_EVENTS, SLAVE_ORDERS, Topic
from copypro.wiring import open_history
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.needs import ALL
from copypro_standalone.ring import Ring
from mt_simulator.client import SimulatorControl
from mt_simulator.main import Simulator, start

from tests.documented import problems
from tests.users import signed_up

Stack = Mapping[str, Any]
"""The settings that name the servers of a stack; none: everything is embedded."""
EMBEDDED: Stack = {}
CANARY = "c4n4ry-p4ssw0rd"
OPERATOR = f"{CANARY}-operator"
"""The gateway's operator key."""
MASTERS_SIZE = {"riskType": "LotMultiplier", "riskValue": "1"}
"""What UpdateCopier asks for always."""
WITHIN_S = 60.0
FAST = WatcherLimits(
    commit_to_wire_ms=2_000.0,  # what a busy machine stalls is no late send
    longest_call_s=1.0,
    absence_wait_mt4_s=0.3,
    absence_wait_mt5_s=0.3,
    absence_reads_apart_s=0.2,
    later_open_s=(0.1, 0.2),
    later_close_first_s=0.1,
    later_close_cap_s=0.5,
    history_margin_s=90_000.0,  # the simulator's deposit of a day ago is always in it
    snapshot_every_s=0.3,
    missing_every_s=0.2,
    history_lag_s=0.5,
    reconnect_first_s=0.1,
    reconnect_cap_s=0.3,
    publish_every_s=0.05,
    pending_grace_s=0.3,
    code_wait_share=0.05,
    stops_within_s=3.0,
    breaker_pause_s=0.5,
    drain_s=1.0,
)
FAST_CALLS = TerminalLimits(trade_call_s=0.8, synchronised_s=3.0, connect_s=5.0)
FOREX = ("EURUSD", "GBPUSD", "AUDUSD", "USDCHF", "USDJPY")
SERVERS = {"Alpha-MT4": "MT4", "Beta-MT4": "MT4", "Alpha-MT5": "MT5", "Beta-MT5": "MT5"}


class Account:
    def __init__(self, world: World, server: str, login: int, id_: str) -> None:
        self.world, self.server, self.login, self.id = world, server, login, id_

    async def open(self, symbol: str, side: str, lots: str, **more: Any) -> int:
        """By the owner's own hand, at the broker."""
        ticket: int = await self.world.control.open(
            self.server, self.login, symbol, side, lots, **more
        )
        return ticket

    async def close(self, ticket: int, lots: str = "0") -> int:
        rest: int = await self.world.control.close(self.server, self.login, ticket, lots)
        return rest

    async def modify(
        self, ticket: int, stop_loss: str = "0", take_profit: str = "0", **more: Any
    ) -> None:
        await self.world.control.modify(
            self.server, self.login, ticket, stop_loss, take_profit, **more
        )

    async def book(self) -> dict[str, Any]:
        book: dict[str, Any] = await self.world.control.book(self.server, self.login)
        return book

    async def positions(self) -> list[dict[str, Any]]:
        return list((await self.book())["open"])

    async def is_flat(self) -> bool:
        """Nothing is open or pending on it."""
        return await self.positions() == []

    async def lots(self) -> list[Decimal]:
        return sorted(Decimal(order["lots"]) for order in await self.positions())

    async def trades(self) -> list[dict[str, Any]]:
        """What ended, balance operations left out."""
        history = (await self.book())["history"]
        return [piece for piece in history if piece["reason"] not in ("Balance", "Credit")]


class World:
    def __init__(
        self,
        simulator: Simulator,
        control: SimulatorControl,
        data: Path,
        stack: Stack,
        services: Collection[str] = ALL,
    ) -> None:
        """`services` other than all: the others run elsewhere."""
        self.simulator, self.control, self.data, self.stack = simulator, control, data, stack
        self._services = services
        self.ring: Ring | None = None
        self.key = ""
        self._limits = FAST
        self._more: dict[str, Any] = {}

    @property
    def http(self) -> aiohttp.ClientSession:
        return self._http

    async def start(self, limits: WatcherLimits | None = None, **more: Any) -> None:
        """The ring, with the limits and settings that it had before unless others are given."""
        self._limits = limits or self._limits
        self._more |= more
        ring = Ring(self.settings(), self._limits, FAST_CALLS, services=self._services)
        self.ring = await ring.__aenter__()
        self._http = aiohttp.ClientSession(base_url=self.ring.url)

    def settings(self) -> Settings:
        return Settings.model_validate(
            {
                "api_mt4": self.simulator.mt4_url,
                "api_mt5": self.simulator.mt5_url,
                "data": self.data,
                "gateway_port": 0,
                "sign_up": "open",
                "manager_key": OPERATOR,
                "reads_per_s": 1000,
                "visible_within_s": 20,
                **self.stack,
                **self._more,
            }
        )

    def environment(self) -> dict[str, str]:
        """The variables by which another process finds the same servers."""
        fields = Settings.model_fields
        return {str(fields[name].alias): str(value) for name, value in self.stack.items()}

    async def stop(self) -> None:
        if self.ring is not None:
            await self._http.close()
            await self.ring.__aexit__(None, None, None)
            self.ring = None

    async def call(self, name: str, /, *, expect: int = 200, **body: Any) -> Any:
        """What it answers, which is what the OpenAPI document says that it may."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        async with self.http.post(f"/{name}", json=body, headers=headers) as response:
            answer = await response.json()
            assert response.status == expect, (name, response.status, answer)
            assert problems(name, response.status, answer) == []
            return answer

    async def sign_up(self) -> None:
        assert self.ring is not None
        self.key = await signed_up(self.ring.stores.users, "a@example.com", "0" * 64)

    async def account(
        self, server: str, login: int, *, connected: bool = True, **fields: Any
    ) -> Account:
        """At the broker and, by REST, here."""
        platform = SERVERS[server]
        values = {"password": CANARY, "balance": "100000"} | fields
        await self.control.add_account(server=server, platform=platform, login=login, **values)
        account = await self.register(server, login)
        if connected:
            await self.eventually(lambda: self.is_connected(account))
        return account

    async def register(self, server: str, login: int, password: str = CANARY) -> Account:
        answer = await self.call(
            "AddAccount", type=SERVERS[server], user=login, password=password, server=server
        )
        return Account(self, server, login, answer["accountId"])

    async def is_connected(self, account: Account) -> bool:
        shown = await self.call("Accounts")
        return any(a["id"] == account.id and a["connected"] for a in shown)

    async def copier(self, master: Account, slave: Account, **options: Any) -> str:
        answer = await self.call(
            "Start", masterAccountId=master.id, slaveAccountId=slave.id, **options
        )
        return str(answer["copierId"])

    async def logs(self, copier: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await self.call("TradeLogs", id=copier)
        return rows

    async def code(self, copier: str) -> str:
        """The one code with which a trade was not copied; waits for it."""
        found: list[str] = []

        async def there() -> bool:
            found[:] = [r["exceptionCode"] for r in await self.logs(copier) if r["exceptionCode"]]
            return bool(found)

        await self.eventually(there)
        return found[0]

    async def eventually(
        self, condition: Callable[[], Awaitable[object]], within_s: float = WITHIN_S
    ) -> None:
        deadline = asyncio.get_running_loop().time() + within_s
        while not await condition():
            assert asyncio.get_running_loop().time() < deadline, await self._why()
            await asyncio.sleep(0.02)

    async def records(self, topic: Topic, kind: str = "") -> list[Record]:
        """What the log has, of one type of message where one is asked for."""
        history = open_history(self.settings())
        found = history.records(topic, await history.spans(topic))
        records = [record async for batch in found for record in batch]
        return [r for r in records if not kind or r.headers["type"] == kind]

    async def _why(self) -> str:
        lines = []
        for topic in (ORDER_EVENTS, COPIER_EVENTS, SLAVE_ORDERS, EXECUTIONS):
            for record in (await self.records(topic))[-12:]:
                lines.append(
                    f"{topic.name} {record.headers['type']} {(record.value or b'')[:400].decode()}"
                )
        return "not within the time:\n" + "\n".join(lines)

    async def quote(
        self, symbol: str, bid: str, ask: str, servers: tuple[str, ...] = tuple(SERVERS)
    ) -> None:
        for server in servers:
            await self.control.quote(server, symbol, bid, ask)


@asynccontextmanager
async def a_world(
    data: Path,
    limits: WatcherLimits = FAST,
    stack: Stack = EMBEDDED,
    services: Collection[str] = ALL,
    kind: type[World] = World,
) -> AsyncIterator[World]:
    """Four brokers with five currency pairs and gold, a ring on them, one user signed up."""
    simulator = await start()
    async with SimulatorControl(simulator.mt5_url) as control:
        world = kind(simulator, control, data, stack, services)
        for server, platform in SERVERS.items():
            await control.add_server(name=server, platform=platform)
            for name in FOREX:
                digits = 3 if name.endswith("JPY") else 5
                await control.add_symbol(
                    server,
                    name=name,
                    digits=digits,
                    margin_currency=name[:3],
                    profit_currency=name[3:],
                )
                price = ("150.000", "150.010") if digits == 3 else ("1.10000", "1.10010")
                await control.quote(server, name, *price)
            await control.add_symbol(
                server,
                name="XAUUSD",
                digits=2,
                contract_size="100",
                margin_currency="XAU",
                calculation="CFD",
            )
            await control.quote(server, "XAUUSD", "2400.00", "2400.20")
        try:
            await world.start(limits)
            await world.sign_up()
            yield world
        finally:
            await world.stop()
            await simulator.close()
