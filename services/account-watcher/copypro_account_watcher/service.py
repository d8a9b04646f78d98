"""Owns partitions of accounts: reads their orders and commands, records what their agents do.

One `Owner` per assigned partition, nothing shared. Crash-only: when the log fails or another
owner took over, everything in memory is thrown away and the partition is restored.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from typing import Any

import structlog
from copypro import topics
from copypro.committing import Committing
from copypro.envelope import SCHEMA_VERSION, dead_letter, decode, readable
from copypro.errors import BadRecord, LogClosed, LogFull, PartitionLost
from copypro.messages import ImportHistory
from copypro.ports import (
    Clock,
    EventLog,
    Journal,
    Monotonic,
    Outgoing,
    Partition,
    Record,
    ShortOfRoom,
    TerminalFactory,
    Vault,
)
from copypro.readiness import Readiness, broke_at, wait_for_upgrade, while_owned
from copypro.values import AccountId, Platform

from copypro_account_watcher.agent import AccountAgent
from copypro_account_watcher.imported import IMPORTED, NUMBER, ImportedAgent
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.seen.clock import HostClock
from copypro_account_watcher.turn import Turn

logger = structlog.get_logger("account-watcher")
PIECE = 10
"""Inputs that are planned while a former piece becomes durable: about as long as a disk takes."""
BURST = 100
"""More inputs than this at once are taken in one piece."""
MOST_COMMITS = 4
"""Of inputs, under way at a time."""
LET_GO_TURNS = 3
"""Of the loop: the commit's task, the log's, and one for what came between."""
CANCEL_AGAIN_S = 1.0
"""Libraries lose a cancellation now and then, and what takes its leave of a bridge needs a moment."""
RECORDED = (PartitionLost, LogFull, LogClosed)
"""Ends of a commit: it has told the owner itself."""


def _enough_room() -> None:
    return None


async def run(
    log: EventLog,
    terminals: Mapping[Platform, TerminalFactory],
    vault: Vault,
    clock: Clock,
    monotonic: Monotonic,
    limits: WatcherLimits,
    readiness: Readiness | None = None,
    schema_version: int = SCHEMA_VERSION,
    *,
    watched: Watched | None = None,
    journal: Journal | None = None,
    short_of_room: ShortOfRoom = _enough_room,
) -> None:
    """Until the log closes or this is cancelled; then opens stop at once, calls in flight get
    `drain_s` to be answered and recorded, and only after that the partitions are given up. A record
    newer than `schema_version` makes its partition not ready, until a newer process owns it.
    """
    readiness = readiness or Readiness(topics.ACCOUNT_WATCHER.name)
    watched = watched or Watched()
    is_stopping = False

    async def take(owners: asyncio.TaskGroup) -> None:
        async for partition in log.partitions(topics.ACCOUNT_WATCHER):
            if not is_stopping:
                owner = Owner(
                    partition, terminals, vault, clock, monotonic, limits,
                    readiness, schema_version, journal=journal, short_of_room=short_of_room,
                )  # fmt: skip
                owners.create_task(watched.while_running(owner), name=f"watcher-{partition.number}")

    taking: asyncio.Task[None] | None = None
    try:
        async with asyncio.TaskGroup() as owners:
            # Not one of the group: it ends after the owners, since its end gives the partitions up.
            taking = asyncio.create_task(take(owners), name="watcher-partitions")
            try:
                await asyncio.wait([taking])
                taking.result()
            finally:
                is_stopping = True
    finally:
        if taking is not None:
            taking.cancel()
            await asyncio.wait([taking])


class Watched:
    """The accounts of this process as they are now, for whoever counts them."""

    def __init__(self) -> None:
        self.owners: set[Owner] = set()

    async def while_running(self, owner: Owner) -> None:
        self.owners.add(owner)
        try:
            await owner.run()
        finally:
            self.owners.discard(owner)

    def sessions(self) -> Counter[str]:
        """Accounts by the state of their session."""
        return Counter(agent.session for owner in self.owners for agent in owner.agents)

    def unresolved(self) -> int:
        """Attempts whose outcome nobody knows yet."""
        return sum(agent.memory.unresolved for owner in self.owners for agent in owner.agents)


class Owner:
    def __init__(
        self,
        partition: Partition,
        terminals: Mapping[Platform, TerminalFactory],
        vault: Vault,
        clock: Clock,
        monotonic: Monotonic,
        limits: WatcherLimits,
        readiness: Readiness | None = None,
        schema_version: int = SCHEMA_VERSION,
        *,
        journal: Journal | None = None,
        short_of_room: ShortOfRoom = _enough_room,
    ) -> None:
        self.terminals, self.vault = terminals, vault
        self.short_of_room = short_of_room
        self.clock, self.monotonic, self.limits = clock, monotonic, limits
        self.draining = False
        self.host_clock = HostClock(limits.clock_off_s)
        self._partition, self._journal = partition, journal
        self._readiness = readiness or Readiness(topics.ACCOUNT_WATCHER.name)
        self._schema_version = schema_version
        self._agents: dict[AccountId, AccountAgent | ImportedAgent] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._commits: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] | None = None

    @property
    def agents(self) -> Collection[AccountAgent]:
        """Those that follow an account at a broker."""
        return [agent for agent in self._agents.values() if isinstance(agent, AccountAgent)]

    async def run(self) -> None:
        """Returns when the partition was lost or the log is full: `partitions` gives it again."""
        limit_s = self.limits.retry_log_s
        await while_owned(self._run(), self._partition, self._readiness, limit_s)

    async def _run(self) -> None:
        """Until something ends it, which is raised; every agent has stopped by then."""
        self._failed = asyncio.get_running_loop().create_future()
        reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait((reader, self._failed), return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
            reader.result()
        except asyncio.CancelledError:
            await self._drain()
            raise
        finally:
            reader.cancel()
            await self._stop(reader)
            if self._failed.done():
                self._failed.exception()  # of a commit after the end: nobody waits for it any more

    async def commit(self, turn: Turn, consumed: Sequence[Record] = ()) -> None:
        """Records the turn, then lets its effects start. Called in the same breath as the changes
        it records, so that commits take effect in the order of the changes.
        """
        commit = self._submit(turn, consumed)
        if commit is not None:
            # Whoever waits here may be cancelled, as a lost session's looks are. What is recorded
            # as begun must begin all the same: an attempt whose call never left waits for ever.
            await asyncio.shield(commit)

    def _submit(self, turn: Turn, consumed: Sequence[Record]) -> asyncio.Task[None] | None:
        """The commit under way; None: there is nothing to record, and its effects have begun."""
        outputs = turn.close()
        if not outputs and not consumed:
            self._begin(turn)
            return None
        commit = self.spawn(self._commit(turn, outputs, consumed), "commit")
        self._commits.add(commit)
        commit.add_done_callback(self._commits.discard)
        return commit

    async def _commit(
        self, turn: Turn, outputs: Sequence[Outgoing], consumed: Sequence[Record]
    ) -> None:
        try:
            await self._partition.commit(outputs, consumed)
        except RECORDED as error:
            self._fail(error)
            raise
        self._begin(turn)

    def _begin(self, turn: Turn) -> None:
        committed_at = self.monotonic()
        for effect in turn.effects:
            effect(committed_at)
        if self._journal is not None and turn.told:
            self._journal.tell(turn.told, turn.now, self.clock())

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Work of an agent. What it does not expect ends this owner, never just the work."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = _broke(task)
        if isinstance(error, Exception) and not isinstance(error, RECORDED):
            logger.error("an agent broke", task=task.get_name())
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _read(self) -> None:
        newer = await self._restore()
        async with Committing(MOST_COMMITS) as committing:
            while newer is None:
                records, newer = readable(await self._partition.read(), self._schema_version)
                for piece in _pieces(records):
                    commit = self._submit(self._taken(piece), piece)
                    assert commit is not None  # inputs were consumed
                    await committing.begun(commit)
                    await _let_go(piece, records)
        # The agents go on with what they were told: a close that is under way is not left alone.
        await wait_for_upgrade(self._partition, newer, self._readiness)

    def _taken(self, records: Sequence[Record]) -> Turn:
        """These inputs accepted, and what the accounts do next because of them."""
        turn = Turn(self.clock())
        touched: dict[AccountId, AccountAgent | ImportedAgent] = {}
        for record in records:
            try:
                routed = self._route(record, turn)
            except Exception as error:
                broke_at(error, (record,))
                raise
            if routed is not None:
                touched[routed.id] = routed
        for pumped in touched.values():
            try:
                pumped.pump(turn)
            except Exception as error:
                broke_at(error, (record for record in records if record.key == pumped.id))
                raise
        return turn

    async def _restore(self) -> BadRecord | None:
        """Starts the agents, unless some of their memory is of a newer version: then none."""
        newer: BadRecord | None = None
        async for record in self._partition.restore():
            if newer is None:
                newer = readable((record,), self._schema_version)[1]
            if newer is None:
                kind, account, *_ = record.key.split("/")
                imported = kind in (IMPORTED, NUMBER)
                try:
                    self._agent(AccountId(account), imported=imported).restore(kind, record)
                except BadRecord as error:
                    newer = error
        if newer is None:
            for agent in self._agents.values():
                agent.start()
        return newer

    def _route(self, record: Record, turn: Turn) -> AccountAgent | ImportedAgent | None:
        try:
            envelope = decode(record)
        except BadRecord as error:
            logger.error("a record cannot be decoded", where=str(error))
            turn.outputs.append(dead_letter(record, error, turn.now))
            return None
        imported = isinstance(envelope.message, ImportHistory)
        agent = self._agent(AccountId(record.key), imported=imported)
        if record.topic == topics.SLAVE_ORDERS.name:
            agent.on_slave_order(envelope, turn)
        else:
            agent.on_command(envelope, turn)
        return agent

    def _agent(self, account: AccountId, *, imported: bool) -> AccountAgent | ImportedAgent:
        """`imported` only where it is made: an account stays what it was at first."""
        agent = self._agents.get(account)
        if agent is None:
            agent = ImportedAgent(account) if imported else AccountAgent(account, self)
            self._agents[account] = agent
        return agent

    async def _drain(self) -> None:
        """No new opens; what is on the wire, or recorded as begun, gets its answer recorded, within
        the limit.
        """
        self.draining = True
        until = self.monotonic() + self.limits.drain_s
        while under_way := [*self._calls(), *self._commits]:
            left_s = until - self.monotonic()
            if left_s <= 0:
                return
            await asyncio.wait(under_way, timeout=left_s)

    def _calls(self) -> list[asyncio.Task[None]]:
        return [task for agent in self._agents.values() for task in agent.calls]

    async def _stop(self, reader: asyncio.Task[None]) -> None:
        """One that goes on is asked again: as long as it does, nobody follows these accounts."""
        reader.add_done_callback(_heard)
        is_said = False
        while going_on := [task for task in (*self._tasks, reader) if not task.done()]:
            for task in going_on:
                task.cancel()
            _, late = await asyncio.wait(going_on, timeout=CANCEL_AGAIN_S)
            if late and not is_said:
                names, number = sorted(task.get_name() for task in late), self._partition.number
                logger.warning("an owner waits for its end", partition=number, tasks=names)
                is_said = True
        for agent in self._agents.values():
            await agent.disconnect()


def _broke(task: asyncio.Task[None]) -> BaseException | None:
    """What it ended with. Also where it was not asked to end, and what it waited for was cancelled."""
    if not task.cancelled():
        return task.exception()
    return None if task.cancelling() else RuntimeError(f"{task.get_name()}: nobody cancelled it")


def _heard(task: asyncio.Task[None]) -> None:
    """What it ended with is told by whoever ran it."""
    if not task.cancelled():
        task.exception()


def _pieces(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """In a burst all at once, which costs least; else so few that the calls of the first ones leave
    while the last ones are planned.
    """
    size = PIECE if len(records) <= BURST else len(records)
    for at in range(0, len(records), size):
        yield records[at : at + size]


async def _let_go(piece: Sequence[Record], records: Sequence[Record]) -> None:
    """Before the next piece, if there is one: the log writes this one."""
    if piece[-1] is not records[-1]:
        for _ in range(LET_GO_TURNS):
            await asyncio.sleep(0)
