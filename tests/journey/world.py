"""A whole ring in this process, simulated bridges beside it, and REST in front: for journeys.

    async with world(tmp_path) as w:
        master = await w.account("MT4", balance="10000")
        slave = await w.account("MT5", currency="EUR")
        await w.start_copier(master, slave, riskType="LotMultiplier", riskValue="2")
        ticket = master.open("EURUSD", "Buy", "0.10")
        (copy,) = await w.eventually(lambda: slave.positions())

Accounts trade on brokers of their own unless told otherwise. The owner's hand (`open`, `close`,
`modify`, `deposit`) and the brokers' books are the simulator's, behind the bridges' backs.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from copypro import settings as settings_module
from copypro.ports import TerminalLimits
from copypro.settings import Settings
from copypro.values import AccountId, Platform, account_id, is_our_magic
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone import ring
from copypro_standalone.rest import Rest
from copypro_standalone.ring import Ring, RingLimits
from copypro_standalone.supervising import RestartLimits
from mt_simulator import main as simulator_main
from mt_simulator.control import Control
from mt_simulator.main import Simulator
from mt_simulator.model import Closed, Order

PASSWORD = "simulated"
WITHIN_S = 10.0
LOOK_EVERY_S = 0.01

QUICK = RingLimits(
    watcher=WatcherLimits(
        absence_wait_mt4_s=1.0,
        absence_wait_mt5_s=1.0,
        absence_reads_apart_s=0.2,
        snapshot_every_s=0.5,
        missing_every_s=0.1,
        reconnect_first_s=0.1,
        reconnect_cap_s=0.5,
        later_open_s=(0.1, 0.2, 0.5),
        later_close_first_s=0.1,
        later_close_cap_s=0.5,
        stops_within_s=2.0,
        pending_grace_s=1.0,
        close_alert_after_s=2.0,
        longest_call_s=3.0,
        import_days=30,
        publish_every_s=0.1,
        alive_every_s=1.0,
        retry_log_s=0.1,
        drain_s=2.0,
    ),
    terminal=TerminalLimits(trade_call_s=3.0, read_s=3.0, connect_s=5.0, synchronised_s=5.0),
    restarts=RestartLimits(pause_s=0.1),
    stop_s=5.0,
)
"""The real limits, scaled for tests; their order of size is kept."""


class Symbol:
    """A symbol's terms at one broker, as `Control.add_symbol` takes them, and its first quote."""

    def __init__(self, name: str, bid: str, ask: str, **terms: Any) -> None:
        self.name, self.bid, self.ask, self.terms = name, bid, ask, terms


def forex(name: str, bid: str, ask: str, **terms: Any) -> Symbol:
    pair = name.lstrip("#.")[:6]
    digits = len(bid.partition(".")[2])
    values = {"digits": digits, "margin_currency": pair[:3], "profit_currency": pair[3:6]}
    return Symbol(name, bid, ask, **(values | terms))


MAJORS = (
    forex("EURUSD", "1.10000", "1.10002"),
    forex("GBPUSD", "1.27000", "1.27002"),
    forex("USDJPY", "150.000", "150.002"),
    forex("USDCHF", "0.88000", "0.88002"),
    forex("AUDUSD", "0.66000", "0.66002"),
    forex("USDCAD", "1.36000", "1.36002"),
    forex("NZDUSD", "0.61000", "0.61002"),
    forex("XAUUSD", "2400.00", "2400.20", contract_size="100", calculation="CFD"),
)


class Account:
    """One MetaTrader account: its registration here, and its owner's hand and book there."""

    def __init__(
        self, control: Control, platform: Platform, server: str, login: int, name: str
    ) -> None:
        self._control = control
        self.platform, self.server, self.login, self.name = platform, server, login, name
        self.id = ""
        """The registration: what REST calls the account's id."""

    @property
    def key(self) -> AccountId:
        return account_id(self.platform, self.server, self.login)

    def open(self, symbol: str, kind: str, lots: str, **more: Any) -> int:
        """By the owner's hand. More: stop_loss, take_profit, price, magic, comment, expires_at."""
        return self._control.open(self.server, self.login, symbol, kind, lots, **more)

    def close(self, ticket: int, lots: str = "0", price: str | None = None) -> int:
        """By the owner's hand; the ticket of what is left, or 0."""
        return self._control.close(self.server, self.login, ticket, lots, price)

    def modify(self, ticket: int, **levels: str) -> None:
        self._control.modify(self.server, self.login, ticket, **levels)

    def deposit(self, amount: str) -> None:
        self._control.deposit(self.server, self.login, amount)

    def quote(self, symbol: str, bid: str, ask: str) -> None:
        """A tick at the account's broker."""
        self._control.quote(self.server, symbol, bid, ask)

    def orders(self) -> list[Order]:
        """Everything open in the broker's own book."""
        return list(self._control.book(self.server, self.login)["open"])

    def positions(self) -> list[Order]:
        return [order for order in self.orders() if not order.pending]

    def copies(self) -> list[Order]:
        """The open positions with a magic of ours."""
        return [order for order in self.positions() if is_our_magic(order.magic)]

    def pendings(self) -> list[Order]:
        return [order for order in self.orders() if order.pending]

    def history(self) -> list[Closed]:
        """What ended, in the broker's own book, without its balance operations."""
        rows = self._control.book(self.server, self.login)["history"]
        return [row for row in rows if row.reason not in ("Balance", "Credit")]

    def figures(self) -> Mapping[str, Decimal]:
        figures: Mapping[str, Decimal] = self._control.book(self.server, self.login)["figures"]
        return figures

    def sent(self, endpoint: str = "ordersend") -> list[Any]:
        """The requests of this kind that reached the bridge for this account."""
        return self._control.ledger(endpoint, self.login)

    def script(self, **fields: Any) -> None:
        """What happens to this account's next calls: fields of mt_simulator.knobs.Knob."""
        self._control.script(self.platform.value, login=self.login, **fields)


class World:
    def __init__(self, simulator: Simulator, settings: Settings, limits: RingLimits) -> None:
        self.simulator, self.settings, self.limits = simulator, settings, limits
        self.ring: Ring | None = None
        self._numbers = itertools.count(1)
        self._stopping: asyncio.Event | None = None
        self._running: asyncio.Task[None] | None = None
        self._rest: Rest | None = None
        self._key: str | None = None

    @property
    def control(self) -> Control:
        return self.simulator.control

    @property
    def rest(self) -> Rest:
        """Signed in as this world's user. Beware: a new one after each restart of the ring."""
        assert self._rest is not None, "the ring does not run"
        return self._rest

    # --- the ring -----------------------------------------------------------------------------

    async def start(self) -> None:
        """The ring over this world's data folder, and a client of its REST."""
        up: asyncio.Future[Ring] = asyncio.get_running_loop().create_future()
        self._stopping = asyncio.Event()
        self._running = asyncio.create_task(self._run(up, self._stopping))
        await asyncio.wait((up, self._running), return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            await self._running
        self.ring = up.result()
        self._rest = Rest(self.ring.url, self._key)

    def attach(self, url: str) -> None:
        """Uses a ring that runs elsewhere, in a process of its own."""
        self._rest = Rest(url, self._key)

    async def stop(self) -> None:
        """As SIGTERM does."""
        if self._rest is not None:
            await self._rest.__aexit__(None, None, None)
            self._rest = None
        if self._running is None or self._stopping is None:
            return
        self._stopping.set()
        await self._running
        self._running = self.ring = None

    async def _run(self, up: asyncio.Future[Ring], stopping: asyncio.Event) -> None:
        async with ring.running(self.settings, self.limits, simulated=True) as running:
            up.set_result(running)
            await stopping.wait()

    # --- through REST -------------------------------------------------------------------------

    async def sign_up(self, email: str = "journey@example.org") -> str:
        """A user's key; this world's client uses it from then on."""
        hashed = sha256(PASSWORD.encode()).hexdigest()
        answer = await self.rest.post("/SignUp", email=email, passwordHash=hashed)
        self._key = self.rest.key = str(answer["userKey"] if isinstance(answer, dict) else answer)
        return self._key

    async def account(
        self,
        platform: str,
        *,
        mode: str = "Hedging",
        currency: str = "USD",
        balance: str = "10000",
        leverage: int = 500,
        server: str | None = None,
        symbols: tuple[Symbol, ...] = MAJORS,
        suffix: str = "",
        connect: bool = True,
        **more: Any,
    ) -> Account:
        """A new account at the simulator, added through REST and connected. `server` None: a broker
        of its own, which trades `symbols` under their names with `suffix`. More: fields of
        mt_simulator.model.Account.
        """
        if self._key is None:
            await self.sign_up()
        number = next(self._numbers)
        if server is None:
            server = self.broker(f"Broker{number}-{platform}", platform, symbols, suffix)
        made = Account(self.control, Platform(platform), server, 1000 + number, f"account {number}")
        self.control.add_account(
            server=server,
            platform=platform,
            login=made.login,
            password=PASSWORD,
            mode=mode,
            currency=currency,
            balance=balance,
            leverage=leverage,
            **more,
        )
        if connect:
            made.id = await self.add(made)
            await self.connected(made)
        return made

    def broker(
        self, name: str, platform: str, symbols: tuple[Symbol, ...] = MAJORS, suffix: str = ""
    ) -> str:
        """A server with these symbols; its name."""
        self.control.add_server(name=name, platform=platform)
        for symbol in symbols:
            self.control.add_symbol(name, name=f"{symbol.name}{suffix}", **symbol.terms)
            self.control.quote(name, f"{symbol.name}{suffix}", symbol.bid, symbol.ask)
        return name

    async def add(self, account: Account, password: str = PASSWORD) -> str:
        """AddAccount; the registration's id."""
        answer = await self.rest.post(
            "/AddAccount",
            name=account.name,
            type=account.platform.value,
            user=str(account.login),
            password=password,
            server=account.server,
        )
        return str(answer["accountId"] if isinstance(answer, dict) else answer)

    async def shown(self, account: Account) -> Mapping[str, Any]:
        """The account as `Accounts` shows it."""
        found = [row for row in await self.rest.get("/Accounts") if row["id"] == account.id]
        assert found, f"{account.name} is not among the accounts"
        row: Mapping[str, Any] = found[0]
        return row

    async def connected(self, account: Account) -> None:
        async def is_connected() -> bool:
            return bool((await self.shown(account))["connected"])

        await self.eventually(is_connected)

    async def start_copier(self, master: Account, slave: Account, **options: Any) -> str:
        """The copier's id. Options by their REST names; LotMultiplier 1 unless told otherwise."""
        values = {"riskType": "LotMultiplier", "riskValue": "1"} | options
        answer = await self.rest.post(
            "/StartByAccountId", masterAccountId=master.id, slaveAccountId=slave.id, **values
        )
        return str(answer["copierId"] if isinstance(answer, dict) else answer)

    async def trade_logs(self, copier: str) -> list[Mapping[str, Any]]:
        """Newest first."""
        rows: list[Mapping[str, Any]] = await self.rest.get("/TradeLogs", copierId=copier)
        return rows

    async def reason(self, copier: str, within_s: float = WITHIN_S) -> Mapping[str, Any]:
        """The newest row of the trade log that was not copied, once there is one."""

        async def refused() -> Mapping[str, Any] | None:
            rows = await self.trade_logs(copier)
            return next((row for row in rows if not row["success"]), None)

        row: Mapping[str, Any] = await self.eventually(refused, within_s)
        return row

    # --- waiting ------------------------------------------------------------------------------

    async def eventually(self, condition: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
        """The first true answer of the condition, which may be async. Polls until the deadline, then
        fails and shows the last answer; an assertion that fails inside counts as not true yet.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while True:
            if self._running is not None and self._running.done():
                await self._running
            try:
                found = condition()
                if inspect.isawaitable(found):
                    found = await found
            except AssertionError as error:
                found = None
                last = str(error)
            else:
                last = repr(found)
            if found:
                return found
            if loop.time() > deadline:
                source = inspect.getsource(condition).strip().splitlines()[0]
                raise AssertionError(f"not within {within_s:g} s: {source}; last: {last}")
            await asyncio.sleep(LOOK_EVERY_S)

    async def never(self, condition: Callable[[], Any], for_s: float) -> None:
        """Fails as soon as the condition is true within the time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + for_s
        while loop.time() < deadline:
            assert not (found := condition()), f"happened: {found!r}"
            await asyncio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def world(
    folder: Path, *, limits: RingLimits = QUICK, ring_runs: bool = True, **overrides: Any
) -> AsyncIterator[World]:
    """Simulated bridges on free ports and the ring over `folder`. Overrides: fields of Settings."""
    simulator = await simulator_main.start()
    values: dict[str, object] = {
        "api_mt4": simulator.mt4_url,
        "api_mt5": simulator.mt5_url,
        "data": folder / "data",
        "gateway_port": 0,
    }
    made = World(simulator, settings_module.load(values | overrides), limits)
    ticking = asyncio.create_task(_tick(simulator.control))
    try:
        if ring_runs:
            await made.start()
        yield made
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])
        await made.stop()
        await simulator.close()


async def _tick(control: Control) -> None:
    """A market is never still: the same prices again, so that a quote is old only where a test wants it."""
    while True:
        await asyncio.sleep(0.5)
        control.tick_again()
