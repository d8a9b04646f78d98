"""The replicator on several partitions whose owners are lost at any read and commit.

Whatever the order between the topics and however often an owner starts over, the log holds what an
undisturbed run would have written: no id twice, one outcome per trade and copier, nothing left open.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.envelope import Envelope, decode, encode, fact
from copypro.messages import OpenCopies
from copypro.options import CopierOptions, PendingMode, SideFilter
from copypro.ports import Outgoing, Partition, Record
from copypro.topics import Role
from copypro.values import AccountId, CopierId, Platform, RootId, Side, Ticket, account_id
from copypro_replicator import service
from msgspec.structs import replace

from tests.unit import copying_builders as given
from tests.unit.copying_builders import T0, D

SEEDS = range(40)
PARTITIONS = 4
MASTERS = tuple(account_id(Platform.MT4, "Amber", login) for login in range(100, 106))
SLAVES = tuple(account_id(Platform.MT5, "Cobalt", login) for login in range(200, 203))
ROOTS = 12
OPTIONS = (
    CopierOptions(),
    CopierOptions(pending_mode=PendingMode.MIRROR),
    CopierOptions(pending_mode=PendingMode.IGNORE, filter_side=SideFilter.BUY_ONLY),
    CopierOptions(copy_existing_trades=True),
)
PLANS = (m.OpenCopy, m.PlacePendingCopy)


class Counted:
    """A log that says when all its replicator's inputs are consumed."""

    def __init__(self, log: MemoryLog) -> None:
        self.log, self.left, self.lost = log, 0, 0
        self.done = asyncio.Event()

    async def append(self, messages: Sequence[Outgoing]) -> None:
        self.left += len(messages)
        self.done.clear()
        await self.log.append(messages)

    async def partitions(self, role: Role) -> AsyncIterator[Partition]:
        async for partition in self.log.partitions(role):
            self.lost += 1
            yield CountedPartition(partition, self)

    async def close(self) -> None:
        await self.log.close()


class CountedPartition:
    def __init__(self, partition: Partition, counted: Counted) -> None:
        self.number, self._partition, self._counted = partition.number, partition, counted
        self.restore, self.read = partition.restore, partition.read
        self.end_offset, self.give_up = partition.end_offset, partition.give_up

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        await self._partition.commit(outputs, consumed)
        self._counted.left -= len(consumed)
        if self._counted.left == 0:
            self._counted.done.set()


# --- what happens -------------------------------------------------------------------------------


class Masters:
    """Trades and commands drawn from a seed; every trade ends."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = 0

    def starts(self) -> list[Outgoing]:
        return [
            self._command(self._start(master, slave, number))
            for number, (master, slave) in enumerate(
                (master, slave) for master in MASTERS for slave in SLAVES
            )
        ]

    def commands(self) -> list[Outgoing]:
        """In each pair some changes, and now and then a stop and another copier."""
        return [
            self._command(wish)
            for number, (master, slave) in enumerate(
                (master, slave) for master in MASTERS for slave in SLAVES
            )
            for wish in self._changes(master, slave, number)
        ]

    def trades(self) -> list[list[Outgoing]]:
        """By look: what one append holds together. Masters are interleaved, each in its order."""
        lives = [self._lives(master) for master in MASTERS]
        looks: list[list[Outgoing]] = []
        while any(lives):
            life = self.random.choice([life for life in lives if life])
            looks.append([self._event(event) for event in life.pop(0)])
        return looks

    def _start(self, master: AccountId, slave: AccountId, number: int) -> m.StartCopier:
        wish = given.start(CopierId(f"{number:032x}"), master=master, slave=slave)
        paused = self.random.random() < 0.2
        return replace(wish, options=self.random.choice(OPTIONS), paused=paused)

    def _changes(self, master: AccountId, slave: AccountId, number: int) -> list[Any]:
        copier = CopierId(f"{number:032x}")
        wishes: list[Any] = [
            m.PauseCopier(copier=copier, master=master, reason="ByUser"),
            m.ResumeCopier(copier=copier, master=master),
            m.UpdateCopier(copier=copier, master=master, options=self.random.choice(OPTIONS)),
        ]
        if self.random.random() < 0.5:
            fate = self.random.choice(list(OpenCopies))
            wishes.append(m.StopCopier(copier=copier, master=master, open_copies=fate))
            wishes.append(self._start(master, slave, number + 1000))
        return wishes

    def _lives(self, master: AccountId) -> list[list[Any]]:
        lives = [self._life(master, RootId(str(number))) for number in range(ROOTS)]
        looks: list[list[Any]] = []
        while any(lives):
            looks.append(self.random.choice([life for life in lives if life]).pop(0))
        return looks

    def _life(self, master: AccountId, root: RootId) -> list[list[Any]]:
        of: dict[str, Any] = {"account": master, "root": root}
        side = self.random.choice(list(Side))
        opened = given.opened(**of, side=side)
        closed = replace(given.closed(), **of)
        fate = self.random.random()
        if fate < 0.15:
            return [[given.missed(**of, side=side), replace(given.closed_unseen(), **of)]]
        begin: list[list[Any]] = [[opened]]
        if fate < 0.3:
            partly = replace(given.reduced("0.5", seconds=90), **of)
            begin = [[given.missed(**of, side=side), *([partly] if fate < 0.2 else [])]]
        elif fate < 0.6:
            begin = [
                [given.placed(**of)],
                [replace(given.pending_modified("1.06"), **of)],
                [replace(opened, from_pending=True)],
            ]
            if fate < 0.4:
                return [*begin[:2], [replace(given.pending_removed(), **of)]]
        middle = [
            [replace(given.modified("1.06", None), **of)],
            [replace(given.increased(lots="0.5", ever="1.5"), **of)],
            [replace(given.reduced("0.9", "1.5"), **of)],
        ]
        return [*begin, *middle, [closed]]

    def _command(self, wish: Any) -> Outgoing:
        self.count += 1
        return encode(topics.COPIER_COMMANDS, wish.master, fact(wish, T0, self.count))

    def _event(self, event: Any) -> Outgoing:
        self.count += 1
        ticketed = replace(event, ticket=Ticket(self.count))
        return encode(topics.ORDER_EVENTS, event.account, fact(ticketed, T0, self.count))


async def run_through(seed: int, loss: float, *, together: bool) -> MemoryLog:
    """`together`: commands run beside the trades; else all copiers stand before the first trade."""
    log = MemoryLog(PARTITIONS, seed, loss)
    counted, masters, draw = Counted(log), Masters(seed), random.Random(seed)
    running = asyncio.create_task(service.run(counted, lambda: T0))
    async with asyncio.timeout(60):
        await counted.append(masters.starts())
        if not together:
            await counted.done.wait()
        commands = masters.commands() if together else []
        for look in masters.trades():
            await counted.append(look)
            while commands and draw.random() < 0.3:
                await counted.append([commands.pop(0)])
            if loss and draw.random() < 0.05:
                log.lose(topics.REPLICATOR, draw.randrange(PARTITIONS))
            if draw.random() < 0.3:
                await asyncio.sleep(0)
        if commands:
            await counted.append(commands)
        await counted.done.wait()
    await log.close()
    await running
    assert loss == 0 or counted.lost > 2 * PARTITIONS, "no owner was lost: nothing was tried"
    return log


def read(log: MemoryLog, topic: str) -> list[Envelope]:
    return [decode(record) for record in log.all(topic)]


# --- what must hold -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
async def test_lost_owners_change_nothing_in_what_is_written(seed: int) -> None:
    calm = await run_through(seed, 0.0, together=False)
    rough = await run_through(seed, 0.08, together=False)
    for topic in (topics.COPIER_EVENTS.name, topics.SLAVE_ORDERS.name):
        assert _by_id(rough, topic) == _by_id(calm, topic)
    assert _by_copy(rough) == _by_copy(calm)
    assert _states(rough) == _states(calm)


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_trade_has_one_outcome_per_copier_in_any_order_of_topics(seed: int) -> None:
    log = await run_through(seed, 0.08, together=True)
    events, orders = read(log, topics.COPIER_EVENTS.name), read(log, topics.SLAVE_ORDERS.name)
    _no_id_twice([*events, *orders])
    _one_answer_a_command(log, events)
    _one_outcome_a_leg(events)
    _every_trade_has_its_outcome(log, events)
    _plans_and_orders_agree(events, orders)
    _no_leg_opened_twice(orders)
    _everything_opened_is_ended_once(orders)
    assert not [key for key in _states(log) if key.startswith("root/")], "a closed root is kept"


def _no_id_twice(told: list[Envelope]) -> None:
    repeated = [id_ for id_, count in Counter(e.id for e in told).items() if count > 1]
    assert repeated == []


def _one_answer_a_command(log: MemoryLog, events: list[Envelope]) -> None:
    decisions = (m.CopyPlanned, m.CopySkipped)
    answers = Counter(e.cause for e in events if not isinstance(e.message, decisions))
    commands = {e.id for e in read(log, topics.COPIER_COMMANDS.name)}
    assert answers == Counter(commands)


def _one_outcome_a_leg(events: list[Envelope]) -> None:
    outcomes = Counter(
        (e.message.master, e.message.root, e.message.copier, e.message.leg, e.message.pending)
        for e in events
        if isinstance(e.message, m.CopyPlanned | m.CopySkipped)
    )
    assert [outcome for outcome, count in outcomes.items() if count > 1] == []


def _every_trade_has_its_outcome(log: MemoryLog, events: list[Envelope]) -> None:
    """For each copier that was never stopped, each position that opened after it started."""
    stopped = {e.message.copier for e in events if isinstance(e.message, m.CopierStopped)}
    starts: dict[CopierId, m.CopierStarted] = {}
    for e in events:
        if isinstance(e.message, m.CopierStarted):
            starts.setdefault(e.message.state.copier, e.message)
    decided = {
        (e.message.master, e.message.root, e.message.copier)
        for e in events
        if isinstance(e.message, m.CopyPlanned | m.CopySkipped) and not e.message.pending
    }
    expected = {
        (record.key, decode(record).message.root, copier)
        for record in log.all(topics.ORDER_EVENTS.name)
        if record.headers["type"] == "PositionOpened"
        for copier, start in starts.items()
        if copier not in stopped
        and start.state.master == record.key
        and start.order_offset <= record.offset
    }
    assert expected
    assert expected - decided == set()


def _plans_and_orders_agree(events: list[Envelope], orders: list[Envelope]) -> None:
    planned = Counter(
        (e.cause, e.message.copy) for e in events if isinstance(e.message, m.CopyPlanned)
    )
    asked = Counter((e.cause, e.message.copy) for e in orders if isinstance(e.message, PLANS))
    assert planned == asked


def _no_leg_opened_twice(orders: list[Envelope]) -> None:
    legs = Counter(
        (e.message.copy, e.message.leg) for e in orders if isinstance(e.message, m.OpenCopy)
    )
    assert legs
    assert max(legs.values()) == 1


def _everything_opened_is_ended_once(orders: list[Envelope]) -> None:
    ended: set[str] = set()
    opened: set[str] = set()
    for e in orders:
        order = e.message
        assert order.copy not in ended, f"{type(order).__name__} after the end of {order.copy}"
        if isinstance(order, PLANS):
            opened.add(order.copy)
        elif isinstance(order, m.CloseCopy | m.DetachCopy):
            ended.add(order.copy)
    assert ended == opened


# --- the parts --------------------------------------------------------------------------------------


def _by_id(log: MemoryLog, topic: str) -> dict[str, tuple[str, bytes | None]]:
    records = log.all(topic)
    found = {record.headers["id"]: (record.key, record.value) for record in records}
    assert len(found) == len(records), "an id was given twice"
    return found


def _by_copy(log: MemoryLog) -> dict[str, list[str]]:
    """What each copy was asked, in order."""
    asked: defaultdict[str, list[str]] = defaultdict(list)
    for e in read(log, topics.SLAVE_ORDERS.name):
        asked[e.message.copy].append(e.id)
    return dict(asked)


def _states(log: MemoryLog) -> dict[str, bytes | None]:
    parts = log.states[topics.REPLICATOR_STATE.name]
    return {key: record.value for part in parts for key, record in part.items()}


def test_the_scenario_has_what_it_is_about() -> None:
    kinds = Counter(
        out.headers["type"] for seed in SEEDS for look in Masters(seed).trades() for out in look
    )
    assert kinds["PendingRemoved"] > 10
    assert kinds["PositionIncreased"] > 10
    assert D("0.9") in {given.reduced("0.9").open_lots}
