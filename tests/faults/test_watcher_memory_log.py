"""The watcher cut down at each point of a trade call, by a partition that another owner takes over.

On `memory_log`, with real terminals on the simulated bridges. Whatever the call and wherever its owner
is lost: the broker has done it once at most, an open is never sent again, everything else is done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.envelope import decode, encode, fact
from copypro.messages import Context
from copypro.options import CopierOptions
from copypro.ports import Credentials, Outgoing, Partition, Record, Terminal, TerminalFactory
from copypro.settings import Settings
from copypro.topics import ACCOUNT_WATCHER, Role
from copypro.trading import Done, TradeRequest
from copypro.values import (
    CopierId,
    OrderKind,
    Platform,
    RegistrationId,
    RootId,
    Side,
    UserId,
    account_id,
    copy_id,
)
from copypro.wiring import Bridges
from copypro_account_watcher import service
from copypro_account_watcher.limits import WatcherLimits
from msgspec.structs import replace
from mt_simulator.client import SimulatorControl
from mt_simulator.main import start

from tests.journey.world import CANARY, FAST, FAST_CALLS
from tests.unit.slave_builders import D, context

pytestmark = pytest.mark.slow
LOGIN = 2001
MASTER = account_id(Platform.MT4, "Alpha-MT4", 1001)
LIMITS = replace(FAST, longest_call_s=0.4, row_wait_s=0.1)
WITHIN_S = 15.0
CALLS = {
    "open": "OrderSend",
    "modify": "OrderModify",
    "reduce": "OrderClose",
    "close": "OrderClose",
}


class PlainVault:
    """Seals nothing: what is tried here is not the vault."""

    async def seal(self, registration: RegistrationId, secret: str) -> str:
        return secret

    async def unseal(self, registration: RegistrationId, sealed: str) -> str:
        return sealed

    async def destroy(self, registration: RegistrationId) -> None:
        return

    async def close(self) -> None:
        return


class Point:
    """Where the next trade call of a kind is cut off; the owner is lost there, once."""

    def __init__(self) -> None:
        self.armed = ""
        self.reached = asyncio.Event()
        self.reached_at = 0.0
        """On the monotonic clock, and before anybody else can own the account."""
        self.goes_on = asyncio.Event()
        self.lose: Callable[[], None] = lambda: None

    def at(self, where: str) -> bool:
        if self.armed != where:
            return False
        self.armed = ""
        self.reached.set()
        self.reached_at = time.monotonic()
        self.lose()
        return True


class CutTerminal:
    """A terminal whose process dies, or freezes, around a call."""

    def __init__(self, inner: Terminal, point: Point) -> None:
        self._inner, self._point = inner, point

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def open(self, request: Any) -> Done:
        return await self._cut(self._inner.open, request)

    async def modify(self, request: Any) -> Done:
        return await self._cut(self._inner.modify, request)

    async def close(self, request: Any) -> Done:
        return await self._cut(self._inner.close, request)

    async def _cut(self, call: Callable[[Any], Awaitable[Done]], request: TradeRequest) -> Done:
        point = self._point
        if point.at("committed, not sent"):
            await asyncio.Event().wait()
        if point.at("committed, frozen, sent when another owner is long at work"):
            return await asyncio.shield(asyncio.create_task(self._thawed(call, request)))
        answer = await call(request)
        if point.at("sent, not answered"):
            await asyncio.Event().wait()
        point.at("answered, not recorded")
        return answer

    async def _thawed(self, call: Callable[[Any], Awaitable[Done]], request: TradeRequest) -> Done:
        await self._point.goes_on.wait()
        return await call(request)


class SkippingClock:
    """Monotonic; a process that stops for a moment finds it ahead."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


class StoppedLog:
    """A log whose owner stops for a moment, once, as soon as an attempt is durable."""

    def __init__(self, log: MemoryLog, clock: SkippingClock, stop_s: float) -> None:
        self._log, self._clock, self._stop_s = log, clock, stop_s
        self.append, self.close = log.append, log.close

    async def partitions(self, role: Role) -> AsyncIterator[Partition]:
        async for partition in self._log.partitions(role):
            yield StoppedPartition(partition, self)

    def stop(self) -> None:
        """Between the commit's return and the first byte: the owner reads its clock before."""
        stop_s, self._stop_s = self._stop_s, 0.0
        asyncio.get_running_loop().call_soon(self._skip, stop_s)

    def _skip(self, stop_s: float) -> None:
        self._clock.ahead_s += stop_s


class StoppedPartition:
    def __init__(self, partition: Partition, log: StoppedLog) -> None:
        self.number, self._partition, self._log = partition.number, partition, log
        self.restore, self.read = partition.restore, partition.read
        self.give_up, self.end_offset = partition.give_up, partition.end_offset

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        await self._partition.commit(outputs, consumed)
        if "AttemptStarted" in {out.headers.get("type") for out in outputs if out.headers}:
            self._log.stop()


class Slave:
    """One slave account, watched; its orders come from here."""

    def __init__(self, log: MemoryLog, control: SimulatorControl, platform: Platform) -> None:
        self.log, self.control, self.platform = log, control, platform
        self.server = f"Beta-{platform.value}"
        self.account = account_id(platform, self.server, LOGIN)
        self.root = RootId("1")
        self._count = 0

    @property
    def copy(self) -> Any:
        return copy_id(MASTER, self.account, self.root)

    async def order(self, order: Any) -> None:
        self._count += 1
        message = fact(order, datetime.now(UTC), self._count)
        await self.log.append([encode(topics.SLAVE_ORDERS, self.account, message)])

    async def registered(self) -> None:
        command = m.RegisterAccount(
            account=self.account,
            registration=RegistrationId("b" * 32),
            user=UserId("u"),
            platform=self.platform,
            server=self.server,
            login=LOGIN,
            name="slave",
            sealed_password=CANARY,
        )
        message = fact(command, datetime.now(UTC), 0)
        await self.log.append([encode(topics.ACCOUNT_COMMANDS, self.account, message)])
        await self.until(lambda: self.told(m.AccountConnected, topics.ORDER_EVENTS.name))

    async def opens(self, stop_loss: str | None = "1.05") -> None:
        now = datetime.now(UTC)
        await self.order(
            m.OpenCopy(
                copy=self.copy,
                copier=CopierId("f" * 32),
                master=MASTER,
                slave=self.account,
                root=self.root,
                leg=0,
                symbol="EURUSD",
                side=Side.BUY,
                lots=D("0.50"),
                fraction=D(1),
                master_price=D("1.10010"),
                stop_loss=None if stop_loss is None else D(stop_loss),
                take_profit=None,
                context=_context(),
                options=CopierOptions(),
                same_server=False,
                fresh_from_utc=now,
                seen_at_utc=now,
                magic=7,
            )
        )

    async def asks(self, what: str) -> None:
        of = {"copy": self.copy, "slave": self.account}
        match what:
            case "open":
                await self.opens()
            case "modify":
                await self.order(m.ModifyCopy(**of, stop_loss=D("1.06"), take_profit=None))
            case "reduce":
                await self.order(m.ReduceCopy(**of, fraction=D("0.4")))
            case "close":
                await self.order(m.CloseCopy(**of, reason="MASTER_FLAT"))

    def told(self, kind: type, topic: str = "executions") -> list[Any]:
        found = [decode(record).message for record in self.log.all(topic)]
        return [message for message in found if isinstance(message, kind)]

    async def positions(self) -> list[dict[str, Any]]:
        book = await self.control.book(self.server, LOGIN)
        return list(book["open"])

    async def standing(self) -> list[tuple[Decimal, Decimal]]:
        """Lots and stop of each position."""
        return [(D(o["lots"]), D(o["stop_loss"])) for o in await self.positions()]

    async def calls(self, endpoint: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = await self.control.ledger(endpoint, LOGIN)
        return entries

    async def until(self, condition: Callable[[], Any], within_s: float = WITHIN_S) -> None:
        deadline = time.monotonic() + within_s
        while True:
            found = condition()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            kinds = [record.headers["type"] for record in self.log.all("executions")]
            assert time.monotonic() < deadline, kinds
            await asyncio.sleep(0.02)


def _context() -> Context:
    return context("100000")


@asynccontextmanager
async def a_slave(
    platform: Platform,
    point: Point,
    *,
    clock: SkippingClock | None = None,
    stop_s: float = 0.0,
    limits: WatcherLimits = LIMITS,
) -> AsyncIterator[Slave]:
    simulator = await start()
    monotonic = clock or SkippingClock()
    settings = Settings.model_validate(
        {"api_mt4": simulator.mt4_url, "api_mt5": simulator.mt5_url, "reads_per_s": 1000}
    )
    bridges = Bridges(settings, FAST_CALLS)
    log = MemoryLog()
    point.lose = lambda: log.lose(ACCOUNT_WATCHER, 0)
    async with SimulatorControl(simulator.mt5_url) as control:
        slave = Slave(log, control, platform)
        await _broker(control, slave)
        running = asyncio.create_task(
            service.run(
                StoppedLog(log, monotonic, stop_s),
                {p: _cutting(make, point) for p, make in bridges.factories.items()},
                PlainVault(),
                lambda: datetime.now(UTC),
                monotonic,
                limits,
            )
        )
        try:
            await slave.registered()
            yield slave
            assert not running.done(), running
        finally:
            point.goes_on.set()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await bridges.close()
            await simulator.close()


def _cutting(make: TerminalFactory, point: Point) -> TerminalFactory:
    def made(credentials: Credentials) -> Terminal:
        return CutTerminal(make(credentials), point)  # type: ignore[return-value]

    return made


async def _broker(control: SimulatorControl, slave: Slave) -> None:
    await control.add_server(name=slave.server, platform=slave.platform.value)
    await control.add_symbol(
        slave.server, name="EURUSD", digits=5, margin_currency="EUR", profit_currency="USD"
    )
    await control.quote(slave.server, "EURUSD", "1.10000", "1.10010")
    await control.add_account(
        server=slave.server,
        platform=slave.platform.value,
        login=LOGIN,
        password=CANARY,
        balance="100000",
    )


PLATFORMS = pytest.mark.parametrize("platform", list(Platform))
AFTER = {
    "open": [(D("0.50"), D("1.05"))],
    "modify": [(D("0.50"), D("1.06"))],
    "reduce": [(D("0.20"), D("1.05"))],
    "close": [],
}
"""Lots and stop of what stands in the end."""


@PLATFORMS
@pytest.mark.parametrize(
    "where", ["committed, not sent", "sent, not answered", "answered, not recorded"]
)
@pytest.mark.parametrize("call", list(CALLS))
async def test_an_owner_lost_around_a_call(platform: Platform, call: str, where: str) -> None:
    point = Point()
    async with a_slave(platform, point) as slave:
        if call != "open":
            await slave.opens()
            await slave.until(lambda: slave.told(m.CopyOpened))
        point.armed = where
        await slave.asks(call)
        await slave.until(point.reached.is_set)
        if (call, where) == ("open", "committed, not sent"):
            await slave.until(lambda: slave.told(m.CopyDenied))
            assert [e.code for e in slave.told(m.CopyDenied)] == ["NOT_RESENT"]
            assert await slave.calls("OrderSend") == []
            return

        async def as_wanted() -> bool:
            return await slave.standing() == AFTER[call]

        await slave.until(as_wanted)
        await slave.until(lambda: len(slave.told(m.CopyReconciled)) == 1)
        await asyncio.sleep(2 * LIMITS.snapshot_every_s)
        assert await slave.standing() == AFTER[call]
        assert len(await slave.calls("OrderSend")) == 1
        executed = [c for c in await slave.calls(CALLS[call]) if c.get("executed")]
        assert len(executed) == 1, "done once, whoever did it"


@PLATFORMS
@pytest.mark.parametrize("master", ["open", "flat"])
async def test_an_owner_frozen_between_its_commit_and_the_wire(
    platform: Platform, master: str
) -> None:
    """The honest limit: its request leaves when another owner has long given the open up. There is one
    position, and it is the copy, or it goes.
    """
    point = Point()
    async with a_slave(platform, point) as slave:
        point.armed = "committed, frozen, sent when another owner is long at work"
        await slave.opens()
        await slave.until(lambda: slave.told(m.CopyDenied))
        assert await slave.positions() == []
        if master == "flat":
            await slave.asks("close")
        point.goes_on.set()
        await slave.until(lambda: slave.told(m.CopyOpened))
        if master == "flat":
            await slave.until(lambda: slave.told(m.CopyClosed))
            assert await slave.positions() == []
        else:
            await asyncio.sleep(2 * LIMITS.snapshot_every_s)
            assert await slave.standing() == AFTER["open"]
        assert len(await slave.calls("OrderSend")) == 1
        codes = [e.code for e in slave.told(m.AlertRaised, topics.ORDER_EVENTS.name)]
        assert codes == ["LATE_FILL"]


@PLATFORMS
async def test_an_owner_that_stops_too_long_after_its_commit_does_not_send(
    platform: Platform,
) -> None:
    """More than `commit_to_wire_ms` on its own clock: not sent, recorded, and a new attempt follows. It
    is more than this machine itself ever takes for it.
    """
    limits = replace(LIMITS, commit_to_wire_ms=30_000)
    stop_s = limits.commit_to_wire_ms / 1000 + 0.05
    clock = SkippingClock()
    async with a_slave(platform, Point(), clock=clock, stop_s=stop_s, limits=limits) as slave:
        await slave.opens()
        await slave.until(lambda: slave.told(m.CopyOpened))
        (not_sent,) = slave.told(m.CopyNotSent)
        first, second = slave.told(m.AttemptStarted)
        assert "TOO_LATE" in not_sent.reason
        assert (not_sent.attempt, slave.told(m.CopyOpened)[0].attempt) == (
            first.attempt,
            second.attempt,
        )
        assert len(await slave.calls("OrderSend")) == 1
        assert await slave.standing() == AFTER["open"]


@PLATFORMS
async def test_a_new_owner_waits_out_the_longest_call_whatever_the_wall_clock_says(
    platform: Platform,
) -> None:
    """From its own fence on: the former owner's call may be on its way all that time."""
    limits = replace(LIMITS, longest_call_s=1.5)
    point = Point()
    async with a_slave(platform, point, limits=limits) as slave:
        point.armed = "committed, not sent"
        await slave.opens()
        await slave.until(lambda: slave.told(m.CopyDenied))
        absence = (
            limits.absence_wait_mt4_s if platform is Platform.MT4 else limits.absence_wait_mt5_s
        )
        assert time.monotonic() - point.reached_at >= limits.longest_call_s + absence


async def test_a_position_beside_an_unanswered_open_is_withheld_until_it_is_settled() -> None:
    """Not announced as the owner's own, and never copied on, while it may be ours."""
    point = Point()
    async with a_slave(Platform.MT5, point) as slave:
        point.armed = "committed, not sent"
        await slave.opens()
        await slave.until(point.reached.is_set)
        ticket = await slave.control.open(slave.server, LOGIN, "EURUSD", "Buy", "0.30")

        def announced() -> list[Any]:
            opened = slave.told(m.PositionOpened, topics.ORDER_EVENTS.name)
            return [e for e in opened if e.ticket == ticket]

        await slave.until(lambda: slave.told(m.CopyDenied) or announced())
        assert announced() == [], "nobody knows yet whose it is"
        await slave.until(announced)
        assert announced()[0].copy is None
        assert OrderKind.BUY.value == announced()[0].side.value
