"""An account watched as it is, on a bridge that shows what a test says and a loop that needs no time.

The watcher, its agent and the log are the real ones; the terminal is a port's other side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.envelope import decode, encode, fact
from copypro.errors import (
    CredentialsRefused,
    OutcomeUnknown,
    Refused,
    SessionLost,
    TerminalError,
    Unavailable,
)
from copypro.ports import Credentials, Terminal, TerminalLimits
from copypro.protection import ProtectorSettings
from copypro.trading import (
    AccountInfo,
    BalanceOperation,
    ClosedOrder,
    Done,
    Figures,
    History,
    OpenOrder,
    OrdersSeen,
    Quote,
    Snapshot,
    StreamLost,
    StreamOpened,
    SymbolSpec,
    TradeRequest,
    Update,
)
from copypro.values import Mode, Platform, RegistrationId, UserId, account_id
from copypro_account_watcher import service
from copypro_account_watcher.limits import WatcherLimits
from msgspec.structs import replace

from tests.unit.slave_builders import D, opens, quote, spec

SERVER, LOGIN = "Beta-MT5", 2001
ACCOUNT = account_id(Platform.MT5, SERVER, LOGIN)
REGISTRATION = RegistrationId("b" * 32)
TRADES, READS = "trades", "reads"
"""Passwords that log in, and the right that each of them has."""
BEGAN = datetime(2026, 3, 2, 12, tzinfo=UTC)
EASTERN = timedelta(hours=14, minutes=1)
"""The broker's clock before UTC. No quote tells it here: what is new by it is new by any clock."""
WITHIN_S = 120.0
"""Of the virtual loop."""
LIMITS = WatcherLimits(import_tries=1)
"""Nobody paid in what the account has."""


class Bridge:
    """One account at its bridge."""

    def __init__(self, mode: Mode = Mode.HEDGING, platform: Platform = Platform.MT5) -> None:
        self.mode, self.platform = mode, platform
        self.does: Callable[[TradeRequest], Awaitable[Done]] | None = None
        """What becomes of a change that is asked for; None: no answer."""
        self.balance = self.equity = D("10000")
        self.margin = D("0")
        self.orders: tuple[OpenOrder, ...] = ()
        self.closed: tuple[ClosedOrder, ...] = ()
        self.operations: tuple[BalanceOperation, ...] = ()
        self.contract = "100000"
        self.profit_currency: str | None = None
        self.history_lags_s = 0.0
        """Behind the balance."""
        self.history_takes_s = 0.0
        self.tells: Callable[[datetime, datetime], History] | None = None
        """What history is, between two times of the broker's; None: all of the above."""
        self.snapshot_takes_s = 0.001
        self.overtaken = False
        """A frame comes within every snapshot."""
        self.snapshots = self.histories = 0
        self.refused: set[str] = set()
        self.logins: list[str] = []
        """Passwords, each time one was tried."""
        self.connects_s: dict[str, float] = {}
        """How long a session's login takes, by its password."""
        self.proves_s: dict[str, float] = {}
        """The same of a login that proves one."""
        self.away: set[str] = set()
        """What is not possible now: the logins `connect` and `prove`, `symbols`."""
        self.is_down = False
        self.names = ["EURUSD", "0"]
        self.quiet_s: dict[str, float] = {}
        """How old a symbol's last quote is: who asks for a newer one waits for it, as MT5's bridge says."""
        self.silent_on: set[str] = set()
        """Symbols whose terms and prices are asked for in vain, which shows only after the read's limit."""
        self.gone: set[str] = set()
        """Symbols that the broker has no more."""
        self.subscribed: set[str] = set()
        self.answers_in_s: dict[str, float] = {}
        """How long a symbol's terms and prices take."""
        self.keeps_connections = True
        """For trade calls; else each is closed with its answer."""
        self.warmed = 0
        self._frames: asyncio.Queue[Update | TerminalError] = asyncio.Queue()
        self._shown_from = float("-inf")

    @property
    def figures(self) -> Figures:
        return Figures(
            balance=self.balance,
            equity=self.equity,
            margin=self.margin,
            free_margin=self.equity - self.margin,
        )

    def pays(self, amount: str) -> None:
        """The balance has it at once; who reads the list sees it, and history when it no longer lags."""
        self.balance += D(amount)
        self.equity += D(amount)
        self._shown_from = asyncio.get_running_loop().time() + self.history_lags_s
        operation = BalanceOperation(
            ticket=cast(Any, 900 + len(self.operations)),
            kind="Balance",
            amount=D(amount),
            time_broker=now().replace(tzinfo=None) + EASTERN,
        )
        self.operations = (*self.operations, operation)

    def tick(self, offset: timedelta) -> None:
        """The broker's clock is so far from UTC."""
        at = now().replace(tzinfo=None) + offset
        self._frames.put_nowait(replace(quote("1.10000", "1.10002"), time_broker=at))

    def frame(self, closed: ClosedOrder | None = None) -> None:
        self._frames.put_nowait(OrdersSeen(orders=self.orders, figures=self.figures, closed=closed))

    def reopens_stream(self) -> None:
        """No frame told what happened just before."""
        self._frames.put_nowait(StreamOpened())

    def loses_stream(self, reason: str) -> None:
        self._frames.put_nowait(StreamLost(reason=reason))

    @property
    def has_shown_all(self) -> bool:
        """No frame is still to be read."""
        return self._frames.empty()

    def ends_session(self, reconnects_s: float) -> None:
        """And takes so long for the next one."""
        self.connects_s[TRADES] = reconnects_s
        self._frames.put_nowait(SessionLost("INVALID_TOKEN", "ended"))

    # --- Terminal, as far as it is asked ------------------------------------------------------

    def of(self, credentials: Credentials) -> Terminal:
        return cast(Terminal, _Session(self, credentials.password))


class _Session:
    def __init__(self, bridge: Bridge, password: str) -> None:
        self._bridge, self._password = bridge, password

    async def connect(self) -> AccountInfo:
        return await self._login("connect", self._bridge.connects_s)

    async def prove(self) -> AccountInfo:
        return await self._login("prove", self._bridge.proves_s)

    async def _login(self, how: str, takes_s: dict[str, float]) -> AccountInfo:
        if how in self._bridge.away:
            raise Unavailable("UNREACHABLE", "away")
        self._bridge.logins.append(self._password)
        await asyncio.sleep(takes_s.get(self._password, 0.0))
        if self._password in self._bridge.refused:
            raise CredentialsRefused("INVALID_ACCOUNT", "refused")
        return AccountInfo(
            platform=self._bridge.platform,
            server=SERVER,
            login=LOGIN,
            currency="USD",
            mode=self._bridge.mode,
            investor=self._password == READS,
        )

    async def snapshot(self) -> Snapshot:
        bridge = self._bridge
        bridge.snapshots += 1
        if bridge.is_down:
            raise Unavailable("NOT_CONNECTED", "down")
        if bridge.overtaken:
            bridge.frame()
        shown = Snapshot(orders=bridge.orders, figures=bridge.figures)
        await asyncio.sleep(bridge.snapshot_takes_s)
        return shown

    async def history(self, since: datetime, until: datetime) -> History:
        bridge = self._bridge
        bridge.histories += 1
        await asyncio.sleep(bridge.history_takes_s)
        if bridge.tells is not None:
            return bridge.tells(since, until)
        if asyncio.get_running_loop().time() < bridge._shown_from:
            return History(closed=bridge.closed, operations=bridge.operations[:-1])
        return History(closed=bridge.closed, operations=bridge.operations)

    async def updates(self) -> AsyncIterator[Update]:
        yield StreamOpened()
        while True:
            update = await self._bridge._frames.get()
            if isinstance(update, TerminalError):
                raise update
            yield update

    async def symbols(self) -> list[str]:
        if "symbols" in self._bridge.away:
            raise Unavailable("UNREACHABLE", "away")
        return list(self._bridge.names)

    async def symbol(self, name: str) -> SymbolSpec:
        await self._told(name)
        bridge = self._bridge
        return spec(name=name, contract=bridge.contract, profit_currency=bridge.profit_currency)

    async def quote(self, name: str, max_age_s: float) -> Quote:
        await self._told(name)
        if self._bridge.quiet_s.get(name, 0.0) > max_age_s:
            await self._no_answer()
        return quote("1.10000", "1.10002", name)

    async def _told(self, name: str) -> None:
        if name in self._bridge.gone:
            raise Refused("INVALID_SYMBOL", "unknown")
        if name in self._bridge.silent_on:
            await self._no_answer()
        await asyncio.sleep(self._bridge.answers_in_s.get(name, 0.0))

    async def _no_answer(self) -> None:
        await asyncio.sleep(TerminalLimits().read_s)
        raise Unavailable("TIMEOUT", "no answer")

    async def margin(self, *_: object) -> Decimal:
        return D(1)

    def is_warm(self) -> bool:
        return self._bridge.keeps_connections

    async def warm(self) -> None:
        self._bridge.warmed += 1
        await asyncio.sleep(0.001)

    async def open(self, request: TradeRequest) -> Done:
        if self._bridge.does is None:
            raise OutcomeUnknown("TIMEOUT", "no answer")
        return await self._bridge.does(request)

    modify = close = delete = open

    async def subscribe(self, names: Sequence[str]) -> None:
        if self._bridge.gone.intersection(names):
            raise Refused("INVALID_SYMBOL", "unknown")
        self._bridge.subscribed.update(names)

    async def disconnect(self) -> None:
        return


class Vault:
    """Seals nothing: a number behind # tells two sealings of one password apart."""

    async def unseal(self, registration: RegistrationId, sealed: str) -> str:
        return sealed.partition("#")[0]

    async def destroy(self, registration: RegistrationId) -> None:
        return


class Watched:
    def __init__(self, bridge: Bridge, log: MemoryLog) -> None:
        self.bridge, self.log = bridge, log
        self._count = 0

    async def command(self, command: m.Message) -> None:
        self._count += 1
        message = fact(command, now(), self._count)
        await self.log.append([encode(topics.ACCOUNT_COMMANDS, ACCOUNT, message)])

    async def register(self, password: str = TRADES) -> None:
        await self.command(
            m.RegisterAccount(
                account=ACCOUNT,
                registration=REGISTRATION,
                user=UserId("u"),
                platform=self.bridge.platform,
                server=SERVER,
                login=LOGIN,
                name="watched",
                sealed_password=password,
            )
        )

    async def open(self, **more: Any) -> None:
        """A copy is to be opened; the bridge never answers it, unless it is told to."""
        fresh = replace(
            opens(),
            slave=ACCOUNT,
            registration=REGISTRATION,
            seen_at_utc=now(),
            fresh_from_utc=now(),
            **more,
        )
        await self.order(fresh)

    async def order(self, order: m.SlaveOrder) -> None:
        self._count += 1
        message = fact(order, now(), "order", self._count)
        await self.log.append([encode(topics.SLAVE_ORDERS, ACCOUNT, message)])

    async def looked(self) -> None:
        """A snapshot that begins from now on was taken, and the one after it asked for."""
        wanted = self.bridge.snapshots + 2
        await self.until(lambda: self.bridge.snapshots >= wanted)

    async def protect(self, **limits: Any) -> None:
        told = len(self.told(m.EquityProtectorUpdated))
        settings = ProtectorSettings(enabled=True, close_all_trades=True, **limits)
        await self.command(
            m.UpdateEquityProtector(account=ACCOUNT, registration=REGISTRATION, settings=settings)
        )
        await self.until(lambda: len(self.told(m.EquityProtectorUpdated)) >= told + 2)

    def start(self) -> Decimal | None:
        """What the protector's limits count from, as last told."""
        told = self.told(m.EquityProtectorUpdated)
        return told[-1].protector.start_balance if told else None

    def told(self, kind: type, topic: topics.Topic = topics.ORDER_EVENTS) -> list[Any]:
        found = [decode(record).message for record in self.log.all(topic.name)]
        return [message for message in found if isinstance(message, kind)]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.01)


def now() -> datetime:
    return BEGAN + timedelta(seconds=asyncio.get_running_loop().time())


@asynccontextmanager
async def watched(
    limits: WatcherLimits | None = None,
    password: str = TRADES,
    mode: Mode = Mode.HEDGING,
    closed: tuple[ClosedOrder, ...] = (),
    orders: tuple[OpenOrder, ...] = (),
    history_takes_s: float = 0.0,
    log: MemoryLog | None = None,
    platform: Platform = Platform.MT5,
    clock: Callable[[], datetime] = now,
) -> AsyncIterator[Watched]:
    """In a virtual loop."""
    bridge, log = Bridge(mode, platform), log or MemoryLog()
    bridge.closed, bridge.orders = closed, orders
    bridge.history_takes_s = history_takes_s
    running = asyncio.create_task(
        service.run(
            cast(Any, log),
            {platform: bridge.of},
            cast(Any, Vault()),
            clock,
            asyncio.get_running_loop().time,
            limits or LIMITS,
        )
    )
    account = Watched(bridge, log)
    try:
        await account.register(password)
        await account.until(lambda: account.told(m.AccountConnected))
        yield account
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
