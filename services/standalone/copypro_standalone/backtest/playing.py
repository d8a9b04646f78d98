"""The replay: a master's hand on simulated brokers, and the live services following it.

Runs on a virtual loop. Each happening is priced at both brokers first, then done by the master, and
all that follows from it is over before the next one: when nothing is left to do, the clock goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import copypro_account_watcher.service as watcher
import copypro_replicator.service as replicator
from copypro import messages as m
from copypro import topics
from copypro.envelope import encode, fact
from copypro.errors import ServiceEnded
from copypro.options import CopierOptions, SymbolMapping
from copypro.ports import Partition
from copypro.readiness import Readiness
from copypro.topics import Topic
from copypro.values import (
    AccountId,
    CopierId,
    Platform,
    RegistrationId,
    UserId,
    account_id,
    digest,
)
from copypro.wiring import InMemory
from copypro_account_watcher.limits import WatcherLimits
from msgspec import Struct
from mt_simulator.model import Refusal

from copypro_standalone.backtest.history import (
    Closed,
    Happening,
    History,
    Increased,
    Modified,
    Opened,
    Paid,
)
from copypro_standalone.backtest.terms import Rate, Terms
from copypro_standalone.backtest.virtual_time import VirtualClock
from copypro_standalone.backtest.world import LOGIN, MASTER, PASSWORD, SLAVE, Slave, World

BEFORE = timedelta(hours=1)
"""From the brokers' opening to the first happening: everybody is connected long before."""
CONNECTED_S, STARTED_S = 30.0, 5.0
REACTION_S = 0.001
"""Of the virtual clock: all that needs no time of its own has happened by then."""
AFTER_S = 300.0
"""For delayed copies, retries and the last snapshots."""
NEVER_S = 1e10
LIMITS = WatcherLimits(snapshot_every_s=NEVER_S, history_every_s=NEVER_S)
"""The live limits. Lists and history are not polled: frames are not lost here."""


class Plan(Struct, frozen=True, kw_only=True):
    """All that a replay depends on."""

    history: History
    terms: Mapping[str, Terms]
    """The master's symbols."""
    slave: Slave
    options: CopierOptions
    mappings: Sequence[SymbolMapping] = ()
    implied: Mapping[int, Rate] = {}
    """By place among the happenings: what the currencies are worth from then on."""
    rates: Mapping[str, Decimal] = {}
    """Pairs whose worth somebody gave; they stay as they are."""
    seed: int = 0


class Unplayed(Struct, frozen=True):
    """The simulated broker would not do what the master once did."""

    position: str
    what: str
    code: str


class Played(Struct, frozen=True, kw_only=True):
    memory: InMemory
    master: AccountId
    slave: AccountId
    tickets: Mapping[str, int]
    """By the history's position: the ticket with which it opened at the simulated broker."""
    unplayed: Sequence[Unplayed]
    unconverted: Sequence[str] = ()
    """Currencies of prices whose worth nobody knew in the slave's currency, to the end."""


class Replay:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        happenings = plan.history.happenings
        self.clock = VirtualClock(happenings[0].at - BEFORE)
        self.memory = InMemory(plan.seed)
        self.world = World(plan.history, plan.terms, self.clock)
        self.tickets: dict[str, int] = {}
        self.now: dict[str, int] = {}
        """By position: its ticket as it is; MT4 gives a new one with each partial close."""
        self.unplayed: list[Unplayed] = []
        self._master = account_id(plan.history.platform, MASTER, LOGIN)
        self._slave = account_id(plan.slave.platform, SLAVE, LOGIN)
        self._ids = 0

    async def run(self) -> Played:
        """Errors: ServiceEnded, when a service broke."""
        plan = self.plan
        self.world.build(plan.slave, plan.implied, plan.rates)
        async with self._services() as running:
            await self._sign_up()
            for place, happening in enumerate(plan.history.happenings):
                await self.clock.reach(happening.at)
                self._price(happening, plan.implied.get(place))
                await asyncio.sleep(REACTION_S)
                self._do(happening)
                await asyncio.sleep(REACTION_S)
                _check(running)
            await asyncio.sleep(AFTER_S)
            _check(running)
        return Played(
            memory=self.memory,
            master=self._master,
            slave=self._slave,
            tickets=self.tickets,
            unplayed=self.unplayed,
            unconverted=self.world.unconverted(plan.slave.currency),
        )

    # --- the ring -----------------------------------------------------------------------------

    @asynccontextmanager
    async def _services(self) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
        memory, monotonic = self.memory, asyncio.get_running_loop().time
        watching = watcher.run(
            memory.log, memory.terminals(self.world.faces), memory.vault, self.clock, monotonic,
            LIMITS, Strict(topics.ACCOUNT_WATCHER.name),
        )  # fmt: skip
        planning = replicator.run(memory.log, self.clock, readiness=Strict(topics.REPLICATOR.name))
        tasks = [
            asyncio.create_task(watching, name="account-watcher"),
            asyncio.create_task(planning, name="replicator"),
        ]
        await asyncio.sleep(REACTION_S)
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _sign_up(self) -> None:
        plan = self.plan
        user = UserId(digest("backtest"))
        master = await self._register(user, self._master, plan.history.platform, MASTER)
        slave = await self._register(user, self._slave, plan.slave.platform, SLAVE)
        await asyncio.sleep(CONNECTED_S)
        start = m.StartCopier(
            copier=CopierId(self._new_id()),
            user=user,
            master=self._master,
            slave=self._slave,
            master_registration=master,
            slave_registration=slave,
            same_server=False,
            options=plan.options,
            mappings=tuple(plan.mappings),
        )
        await self._wish(topics.COPIER_COMMANDS, self._master, start)
        await asyncio.sleep(STARTED_S)

    async def _register(
        self, user: UserId, account: AccountId, platform: Platform, server: str
    ) -> RegistrationId:
        registration = RegistrationId(self._new_id())
        sealed = await self.memory.vault.seal(registration, PASSWORD)
        register = m.RegisterAccount(
            account=account,
            registration=registration,
            user=user,
            platform=platform,
            server=server,
            login=LOGIN,
            name=server,
            sealed_password=sealed,
        )
        await self._wish(topics.ACCOUNT_COMMANDS, account, register)
        return registration

    async def _wish(self, topic: Topic, key: str, message: m.Message) -> None:
        envelope = fact(message, self.clock(), self._new_id())
        await self.memory.log.append([encode(topic, key, envelope)])

    def _new_id(self) -> str:
        self._ids += 1
        return digest("backtest", self.plan.seed, self._ids)

    # --- the master's hand --------------------------------------------------------------------

    def _price(self, happening: Happening, rate: Rate | None) -> None:
        if rate is not None:
            self.world.quote_rate(rate)
        match happening:
            case Opened():
                self.world.quote(happening.symbol, happening.price)
            case Closed() | Increased() if happening.position in self.now:
                symbol = self.world.symbol_of(self.now[happening.position])
                if symbol is None:
                    return
                if isinstance(happening, Closed):
                    self._book(happening)  # a stop of its own may close it at this very price
                self.world.quote(symbol, happening.price)
                if isinstance(happening, Closed):
                    self._book(happening)  # by the rate that this price makes

    def _book(self, closed: Closed) -> None:
        if closed.profit is not None:
            result = closed.profit + closed.costs
            self.world.will_book(self.now[closed.position], closed.lots, closed.price, result)

    def _do(self, happening: Happening) -> None:
        try:
            match happening:
                case Opened():
                    ticket = self.world.open(happening)
                    self.tickets[happening.position] = self.now[happening.position] = ticket
                case Paid():
                    self.world.pay(happening.amount, is_credit=happening.is_credit)
                case _ if happening.position in self.now:
                    self._change(happening, self.now[happening.position])
        except Refusal as refusal:
            position = getattr(happening, "position", "")
            what = type(happening).__name__.lower()
            self.unplayed.append(Unplayed(position, what, refusal.code))

    def _change(self, happening: Happening, ticket: int) -> None:
        world = self.world
        match happening:
            case Increased():
                world.increase(ticket, happening.lots)
                if happening.cost:
                    world.pay(happening.cost, is_credit=False)
            case Modified():
                world.modify(ticket, happening.stop_loss, happening.take_profit)
            case Closed():
                left = world.close(ticket, happening.lots)
                if left:
                    self.now[happening.position] = left
                else:
                    del self.now[happening.position]


class Strict(Readiness):
    """A live service starts over after what nobody expected; the answer of a replay would be another."""

    async def start_over(self, partition: Partition, error: Exception) -> None:
        raise error


def _check(running: Sequence[asyncio.Task[None]]) -> None:
    for task in running:
        if task.done():
            raise ServiceEnded(f"the {task.get_name()} ended: {_reason(task.exception())}")


def _reason(error: BaseException | None) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
