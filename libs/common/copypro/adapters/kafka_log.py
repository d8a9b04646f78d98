"""The log on Kafka: many processes, each partition owned by one of them, exactly once across crashes.

An owner of a partition fences the last one (its transactional producer starts), then restores the
role's state, then reads from the offsets that it finds there. Outputs, state and the offsets of what
was consumed are one transaction: a record `~offsets` in the state topic, not the group's offsets, so
that whoever restores the state knows where it read to. Crash-only: after any error the partition's
producer is thrown away and the partition taken over anew, by this process or another.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from copypro.adapters.kafka_assignor import PartitionNumbers
from copypro.adapters.kafka_client import (
    Clients,
    KafkaLimits,
    KafkaSettings,
    meaning,
    start,
    started,
    stop,
    translated,
)
from copypro.adapters.kafka_topics import Layout, read_layout
from copypro.adapters.kafka_writer import TransactionalWriter, Write, partition_of
from copypro.errors import LogClosed, LogError, LogUnavailable, PartitionLost
from copypro.ports import Outgoing, Partition, Record
from copypro.topics import Role

logger = structlog.get_logger("kafka")
OFFSETS = "~offsets"
"""The key, in a state topic, of the next offset to read of each input topic."""
UNCONNECTED = "the log does not follow on what was read"
HEARTBEATS = 12
"""Of a member in one session time-out: who stays learns with one of them that another is gone."""
Ask = Callable[[Sequence[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
_offsets_of = msgspec.json.Decoder(dict[str, int])
_encode = msgspec.json.Encoder().encode


class KafkaLog:
    """An EventLog. Made by `open`; every method belongs to the event loop it was made in."""

    def __init__(self, clients: Clients, layout: Layout) -> None:
        self.clients, self.layout = clients, layout
        self.closed = False
        self._appending: TransactionalWriter | None = None
        self._making: asyncio.Task[TransactionalWriter] | None = None
        self._groups: list[_Group] = []

    @classmethod
    async def open(cls, settings: KafkaSettings, limits: KafkaLimits | None = None) -> KafkaLog:
        """Errors: LogUnavailable (nobody answers), LogRefused (credentials), LogLayout (topics are
        missing or not as they must be: nothing is touched).
        """
        clients = Clients(settings, limits or KafkaLimits())
        await clients.knock()
        async with started(clients.admin(), clients.limits.start_s) as admin:
            layout = await translated(read_layout(admin, settings.prefix), clients.limits.start_s)
        layout.check()
        return cls(clients, layout)

    @property
    def cluster_id(self) -> str:
        """Kafka's own id of the cluster and our prefix: what tells this log from every other."""
        return f"{self.layout.cluster}/{self.clients.settings.prefix}"

    async def check(self) -> None:
        """Whether it is there for us. Errors: LogUnavailable (nobody answers, or a group is not joined for
        long), LogRefused (credentials).
        """
        await self.clients.knock()
        for group in self._groups:
            group.check()

    async def append(self, messages: Sequence[Outgoing]) -> None:
        """Errors also: LogUnavailable; then nobody knows whether it was written."""
        if self.closed:
            raise LogClosed("the log is closed")
        writer = await self._writer()
        try:
            await writer.submit([self.write(out) for out in messages])
        except PartitionLost as error:
            raise LogUnavailable(f"an append was undone: {error}") from error

    async def partitions(self, role: Role) -> AsyncIterator[Partition]:
        group = _Group(self, role)
        self._groups.append(group)
        group.start()
        try:
            while (partition := await group.next()) is not None:
                yield partition
        finally:
            await group.close()
            self._groups.remove(group)

    async def close(self) -> None:
        self.closed = True
        if self._making is not None:
            self._making.cancel()
            await asyncio.wait([self._making])
        if self._appending is not None:
            await self._appending.finish()
            await self._appending.close(LogClosed("the log is closed"))
        await asyncio.gather(*(group.close() for group in list(self._groups)))

    # --- for partitions -----------------------------------------------------------------------

    def write(self, out: Outgoing, state_of: tuple[Role, int] | None = None) -> Write:
        """A role's state stays with the partition that wrote it; everything else goes by its key."""
        if state_of is not None and out.topic == state_of[0].state.name:
            number = state_of[1]
        else:
            number = partition_of(out.key, self.layout.partitions)
        headers = [(name, value.encode()) for name, value in out.headers.items()]
        return Write(self.clients.name(out.topic), number, out.key.encode(), out.value, headers)

    def record(self, found: ConsumerRecord) -> Record:
        return as_record(found, self.clients.settings.prefix)

    async def _writer(self) -> TransactionalWriter:
        """One that works. All who ask while it is made share what becomes of that: one after another,
        the last would be tried long after its caller had left.
        """
        appending = self._appending
        if appending is not None and appending.failure is None:
            return appending
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._new_writer(), name="append")
            self._making.add_done_callback(_heard)
        making = self._making
        await asyncio.wait([making])
        if self.closed:
            raise LogClosed("the log is closed")
        return making.result()

    async def _new_writer(self) -> TransactionalWriter:
        if self._appending is not None:
            await self._appending.close(LogUnavailable("an earlier append failed"))
        writer = TransactionalWriter(self.clients, self.clients.name(f"append-{uuid.uuid4().hex}"))
        await writer.start()
        self._appending = writer
        return writer


class _Group:
    """This process among those that share a role: what it was assigned, and one fetch for all of it."""

    def __init__(self, log: KafkaLog, role: Role) -> None:
        self.log, self.role = log, role
        self._given: asyncio.Queue[KafkaPartition | BaseException | None] = asyncio.Queue()
        self.topics = {log.clients.name(topic.name): topic.name for topic in role.inputs}
        self._owners: dict[int, KafkaPartition] = {}
        self._assigned: frozenset[int] = frozenset()
        self._consumer: AIOKafkaConsumer | None = None
        self._failures = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen_at: dict[TopicPartition, int] = {}
        self._running: asyncio.Task[None] | None = None
        self._noting: asyncio.Task[None] | None = None
        self._said_at = float("-inf")
        self._apart_since: float | None = asyncio.get_running_loop().time()
        """Since when it is in no assignment; None: it is in one."""
        self._apart_because = "no answer"

    def start(self) -> None:
        self._running = asyncio.create_task(self._run(), name=f"group-{self.role.name}")
        self._running.add_done_callback(self._stopped)

    async def next(self) -> KafkaPartition | None:
        """The next one assigned; None when the log closes. Raises what nobody expected."""
        given = await self._given.get()
        if isinstance(given, BaseException):
            raise given
        return given

    def _stopped(self, running: asyncio.Task[None]) -> None:
        self._given.put_nowait(None if running.cancelled() else running.exception())

    async def _run(self) -> None:
        """Until cancelled or the log closes. Joins anew, with back-off, when the log was unreachable."""
        tries, limits, time = 0, self.log.clients.limits, asyncio.get_running_loop().time
        try:
            while not self.log.closed:
                begun = time()
                try:
                    await self._join()
                    await self._pump()
                except LogError as error:
                    self._say(error)
                except KafkaError as error:
                    self._say(meaning(error))
                tries = 0 if time() - begun > limits.lasted_s else tries + 1
                await self._leave("the log became unreachable")
                await asyncio.sleep(_back_off(max(0, tries - 1), limits))
        finally:
            await self._leave("the log is closed")

    def check(self) -> None:
        """Errors: LogUnavailable."""
        if self._apart_since is None:
            return
        waited_s = asyncio.get_running_loop().time() - self._apart_since
        if waited_s > self.log.clients.limits.joined_within_s:
            text = f"{self.role.name} has not joined its group for {waited_s:.0f} s"
            raise LogUnavailable(f"{text} ({self._apart_because})")

    def apart(self) -> None:
        """It is in no assignment until the next one."""
        if self._apart_since is None:
            self._apart_since = asyncio.get_running_loop().time()
            self._apart_because = "no answer"

    def _say(self, error: LogError) -> None:
        """Once, and then twice a minute."""
        self._apart_because = str(error)
        now = asyncio.get_running_loop().time()
        if now - self._said_at >= self.log.clients.limits.say_again_s:
            self._said_at = now
            logger.warning("log unreachable", role=self.role.name, reason=str(error))

    async def close(self) -> None:
        """Owners give up, the group is left, and whoever waits for a partition is told the end."""
        closed = LogClosed("the log is closed")
        owners, self._owners = list(self._owners.values()), {}
        await asyncio.gather(*(owner.finish(closed) for owner in owners))
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    # --- reading ------------------------------------------------------------------------------

    async def _join(self) -> None:
        limits = self.log.clients.limits
        consumer = self.log.clients.consumer(
            lost="none",
            group_id=self.log.clients.name(self.role.name),
            client_id=f"copypro-{self.role.name}",
            partition_assignment_strategy=[PartitionNumbers],
            session_timeout_ms=int(limits.session_timeout_s * 1000),
            rebalance_timeout_ms=int(limits.session_timeout_s * 1000),
            heartbeat_interval_ms=int(limits.session_timeout_s * 1000 / HEARTBEATS),
            max_poll_interval_ms=24 * 3600 * 1000,
        )
        await start(consumer, limits.start_s)
        consumer.subscribe(list(self.topics), listener=_Listener(self))
        self._consumer = consumer

    async def _pump(self) -> None:
        """Moves what was fetched to its owners at once, so that none of them holds up another."""
        consumer, limits = self._consumer, self.log.clients.limits
        assert consumer is not None
        loop = asyncio.get_running_loop()
        checked_at = noted_at = loop.time()
        while not self.log.closed:
            try:
                found = await consumer.getmany(timeout_ms=1000)
            except OffsetOutOfRangeError as error:
                self._lost(error.args[0])
                continue
            for place, records in found.items():
                self._deliver(place, records)
            now = loop.time()
            if now - checked_at > limits.stalled_s:
                checked_at = now
                await self._check_progress(consumer)
            if now - noted_at > limits.group_offsets_every_s:
                noted_at = now
                self._note_beside(consumer)

    def _deliver(self, place: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        owner = self._owners.get(place.partition)
        if owner is None or not owner.is_open:
            return  # fetched before it was paused; it is fetched again from where its state says
        assert self._consumer is not None
        end = self._consumer.last_stable_offset(place)
        owner.deliver(self.topics[place.topic], [self.log.record(one) for one in records], end)
        if owner.is_held:
            self._pause(owner)

    def _lost(self, places: Mapping[TopicPartition, int]) -> None:
        """Read on from anywhere else, records would be left out: the next owner finds which."""
        for place in places:
            owner = self._owners.get(place.partition)
            if owner is not None and owner.is_open:
                self._pause(owner)
                topic = self.topics[place.topic]
                owner.give_up(f"what follows on what it read of {topic} was deleted")

    async def _check_progress(self, consumer: AIOKafkaConsumer) -> None:
        """Errors: LogUnavailable when records were there at the last check and still do not come."""
        reading = [owner for owner in self._owners.values() if owner.is_open and not owner.is_held]
        places = [place for owner in reading for place in self._places(owner.number)]
        if not places or not set(places) <= consumer.assignment():
            self._seen_at.clear()
            return
        ends = await translated(consumer.end_offsets(places), self.log.clients.limits.start_s)
        behind: dict[TopicPartition, int] = {}
        for place in places:
            position = await consumer.position(place)
            if position < ends[place]:
                behind[place] = position
                if self._seen_at.get(place) == position:
                    raise LogUnavailable(f"{place.topic}/{place.partition} stalled")
        self._seen_at = behind

    def _note_beside(self, consumer: AIOKafkaConsumer) -> None:
        """A coordinator that takes none is asked by the library for ever: nothing waits for it."""
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._note_offsets(consumer))

    async def _note_offsets(self, consumer: AIOKafkaConsumer) -> None:
        """For operators' lag tools only; a failure means nothing."""
        offsets = {
            place: owner.consumed[self.topics[place.topic]]
            for owner in self._owners.values()
            for place in self._places(owner.number)
            if self.topics[place.topic] in owner.consumed and place in consumer.assignment()
        }
        if offsets:
            try:
                await consumer.commit(offsets)
            except KafkaError as error:
                logger.debug("group offsets not noted", role=self.role.name, reason=repr(error))

    # --- partitions ---------------------------------------------------------------------------

    def assigned(self, places: Collection[TopicPartition]) -> None:
        """What the group gave this process. Whoever stays goes on from where it had read to."""
        if self._consumer is None:
            return  # given while it leaves: it is the others' in a moment
        self._apart_since = None
        numbers = {place.partition for place in places}
        self._assigned = frozenset(numbers)
        for number in self._owners.keys() - numbers:
            self._owners[number].give_up("assigned to another process")
        for number in sorted(numbers):
            owner = self._owners.get(number)
            if owner is None:
                self._own(number)
            elif owner.is_open and not owner.is_held:
                self.read_from(owner)
            else:
                self._pause(owner)

    def _own(self, number: int) -> None:
        owner = self._owners[number] = KafkaPartition(self, number)
        self._pause(owner)
        self._given.put_nowait(owner)

    def ended(self, owner: KafkaPartition, error: LogError) -> None:
        """An owner is over. If the partition is still ours, a new one follows after a while."""
        if self._owners.get(owner.number) is not owner:
            return
        del self._owners[owner.number]
        if isinstance(error, LogClosed) or owner.number not in self._assigned:
            return
        task = asyncio.create_task(self._own_again(owner))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _own_again(self, former: KafkaPartition) -> None:
        number = former.number
        wait_s = _back_off(self._failures, self.log.clients.limits)
        self._failures += 1
        await former.closed()
        await asyncio.sleep(wait_s)
        if number in self._assigned and number not in self._owners and self._consumer is not None:
            self._own(number)

    def succeeded(self) -> None:
        self._failures = 0

    def read_from(self, owner: KafkaPartition) -> None:
        """Fetches what follows what the owner has; nothing where it is no longer ours."""
        consumer = self._consumer
        if consumer is None or self._owners.get(owner.number) is not owner:
            return
        places = [place for place in self._places(owner.number) if place in consumer.assignment()]
        for place in places:
            consumer.seek(place, owner.next_offset(self.topics[place.topic]))
        if places:
            consumer.resume(*places)

    async def ends(self, number: int) -> dict[str, int]:
        """The end of each input topic in this partition, as it is now. Errors: LogUnavailable."""
        return await self._offsets(self._reader().end_offsets, number)

    async def begins(self, number: int) -> dict[str, int]:
        return await self._offsets(self._reader().beginning_offsets, number)

    async def _offsets(self, ask: Ask, number: int) -> dict[str, int]:
        found = await translated(ask(self._places(number)), self.log.clients.limits.start_s)
        return {self.topics[place.topic]: offset for place, offset in found.items()}

    def _reader(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise LogUnavailable("the group is being joined anew")
        return self._consumer

    def _pause(self, owner: KafkaPartition) -> None:
        """With a place to read at, whichever: the library would ask for the group's, and fail where
        none is noted.
        """
        consumer = self._consumer
        assert consumer is not None
        places = [place for place in self._places(owner.number) if place in consumer.assignment()]
        if places:
            consumer.pause(*places)
        for place in places:
            consumer.seek(place, 0)

    def _places(self, number: int) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for topic in self.topics]

    async def _leave(self, reason: str) -> None:
        self.apart()
        self._assigned = frozenset()
        if self._noting is not None:
            self._noting.cancel()
        owners, self._owners = list(self._owners.values()), {}
        error = LogClosed(reason) if self.log.closed else PartitionLost(reason)
        await asyncio.gather(*(owner.hand_over(error) for owner in owners))
        for task in list(self._tasks):
            task.cancel()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop(consumer)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """A revocation means nothing until the new assignment really differs: the fence keeps it safe."""

    def __init__(self, group: _Group) -> None:
        self._group = group

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        logger.info("partitions are shared anew", role=self._group.role.name)
        self._group.apart()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._group.assigned(assigned)


class KafkaPartition:
    """A Partition. Opens itself on first use: fence, restore, then fetch."""

    def __init__(self, group: _Group, number: int) -> None:
        self.number = number
        self.is_open = False
        """Restored, so that what is fetched is for it."""
        self.is_held = False
        """It was given more than it took: nothing is fetched for it until it has taken that."""
        self.consumed: dict[str, int] = {}
        """The next offset to read of each input, of all that was handed to the writer."""
        self._group, self._log = group, group.log
        self._role = group.role
        self._state: dict[str, Record] = {}
        self._next: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._buffer: deque[Record] = deque()
        self._news = asyncio.Event()
        self._over: LogError | None = None
        self._opening: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        name = self._log.clients.name(f"{self._role.name}-{number}")
        self._writer = TransactionalWriter(self._log.clients, name, self._remember)

    # --- the port -----------------------------------------------------------------------------

    async def restore(self) -> AsyncIterator[Record]:
        """A later call reads the state topic again, as it is then."""
        if self._opening is not None:
            await self._opened()
            self._state, _ = await self._latest()
        else:
            await self._opened()
        state, self._state = self._state, {}
        for record in state.values():
            yield record

    async def read(self) -> Sequence[Record]:
        await self._opened()
        while not self._buffer:
            self._guard()
            self._news.clear()
            await self._news.wait()
        self._guard()
        most = self._log.clients.limits.batch_records
        records = [self._buffer.popleft() for _ in range(min(most, len(self._buffer)))]
        if not self._buffer and self.is_held:
            self.is_held = False
            self._group.read_from(self)
        await self._know_ends(records)
        return records

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        if self._opening is None or not self._opening.done():
            await self._opened()
        self._guard()
        for record in consumed:
            self.consumed[record.topic] = record.offset + 1
        place = (self._role, self.number)
        writes = [self._log.write(out, state_of=place) for out in outputs]
        try:
            await self._writer.submit(writes, dict(self.consumed) if consumed else None)
        except LogError as error:
            self._end(error)
            raise self._lost() from error
        self._group.succeeded()

    def end_offset(self, topic: str) -> int:
        return max(self._ends.get(topic, 0), self._next.get(topic, 0))

    def give_up(self, reason: str) -> None:
        self._end(PartitionLost(reason))

    # --- for the group ------------------------------------------------------------------------

    def deliver(self, topic: str, records: Sequence[Record], end: int | None) -> None:
        """What is not new was fetched twice, around a rebalance."""
        wanted = self._next.get(topic, 0)
        new = [record for record in records if record.offset >= wanted]
        self._ends[topic] = max(self._ends.get(topic, 0), end or 0)
        if new:
            self._next[topic] = new[-1].offset + 1
            self._buffer.extend(new)
            self.is_held = len(self._buffer) >= self._log.clients.limits.buffered_records
            self._news.set()

    def next_offset(self, topic: str) -> int:
        return self._next[topic]

    async def hand_over(self, error: LogError) -> None:
        self._end(error)
        await self.closed()

    async def closed(self) -> None:
        assert self._closing is not None
        await asyncio.wait([self._closing])

    async def finish(self, error: LogError) -> None:
        """What was submitted becomes durable; nothing follows it."""
        await self._writer.finish()
        await self.hand_over(error)

    # --- inside -------------------------------------------------------------------------------

    async def _opened(self) -> None:
        """Errors: PartitionLost, LogClosed."""
        self._guard()
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name=f"open-{self.number}")
        await asyncio.wait([self._opening])
        self._guard()
        self._opening.result()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await self._writer.start()
            fenced = loop.time()
            self._state, offsets = await self._latest()
            self._next = await self._first_offsets(offsets)
            self.consumed = dict(offsets)
        except LogError as error:
            self._end(error)
            return
        logger.info(
            "partition taken over",
            role=self._role.name,
            partition=self.number,
            records=len(self._state),
            fence_ms=round((fenced - begun) * 1000),
            restore_ms=round((loop.time() - fenced) * 1000),
        )
        self.is_open = True
        self._group.read_from(self)

    async def _latest(self) -> tuple[dict[str, Record], Mapping[str, int]]:
        """The state topic's latest record per key, and the offsets among them. Errors: LogError."""
        place = TopicPartition(self._log.clients.name(self._role.state.name), self.number)
        limits = self._log.clients.limits
        found: dict[str, Record] = {}
        async with started(self._log.clients.consumer(), limits.start_s) as consumer:
            consumer.assign([place])
            reading = self._read_to_end(consumer, place, found)
            await translated(reading, limits.take_over_s)
        offsets = found.pop(OFFSETS, None)
        return found, _offsets_of.decode(offsets.value or b"{}") if offsets is not None else {}

    async def _read_to_end(
        self, consumer: AIOKafkaConsumer, place: TopicPartition, found: dict[str, Record]
    ) -> None:
        """To the end as it was after the fence: nobody else has an open transaction here."""
        end = (await consumer.end_offsets([place]))[place]
        begin = (await consumer.beginning_offsets([place]))[place]
        consumer.seek(place, begin)
        while await consumer.position(place) < end:
            for records in (await consumer.getmany(place, timeout_ms=200)).values():
                for one in records:
                    record = self._log.record(one)
                    if record.value is None:
                        found.pop(record.key, None)
                    else:
                        found[record.key] = record

    async def _first_offsets(self, offsets: Mapping[str, int]) -> dict[str, int]:
        """Where to read on. Waits where the log does not follow on what was read: nothing is left out,
        and this process goes on with its other partitions. Errors: LogUnavailable.
        """
        said = False
        while True:
            begins = await self._group.begins(self.number)
            self._ends = await self._group.ends(self.number)
            if not (gaps := self._gaps(offsets, begins)):
                return {name: offsets.get(name, begin) for name, begin in begins.items()}
            if not said:
                role, number = self._role.name, self.number
                logger.error(UNCONNECTED, role=role, partition=number, reason="; ".join(gaps))
                said = True
            await asyncio.sleep(self._log.clients.limits.again_cap_s)

    def _gaps(self, offsets: Mapping[str, int], begins: Mapping[str, int]) -> list[str]:
        role = self._role.name
        deleted = [
            f"{name}: records {offsets[name]} to {begin - 1} were deleted before {role} read them"
            for name, begin in begins.items()
            if name in offsets and begin > offsets[name]
        ]
        undone = [
            f"{name}: it ends at {end}, and {role} has read to {offsets[name]}"
            for name, end in self._ends.items()
            if name in offsets and end < offsets[name]
        ]
        return deleted + undone

    async def _know_ends(self, records: Sequence[Record]) -> None:
        """Of the other topics, for records that take effect at a place in them."""
        fence = self._role.takes_effect_at_ends
        if fence is not None and any(record.topic == fence.name for record in records):
            try:
                self._ends = await self._group.ends(self.number)
            except LogError as error:
                self._end(error)
                raise self._lost() from error

    def _remember(self, offsets: Mapping[str, int]) -> Write:
        state = self._log.clients.name(self._role.state.name)
        return Write(state, self.number, OFFSETS.encode(), _encode(offsets), [])

    def _guard(self) -> None:
        if self._over is not None:
            raise self._lost()

    def _lost(self) -> LogError:
        over = self._over
        assert over is not None
        return over if isinstance(over, LogClosed) else PartitionLost(str(over))

    def _end(self, error: LogError) -> None:
        if self._over is not None:
            return
        self._over = error
        self.is_open = False
        self._buffer.clear()
        self._news.set()
        self._closing = asyncio.create_task(self._close(error), name=f"close-{self.number}")
        self._group.ended(self, error)

    async def _close(self, error: LogError) -> None:
        """A producer that is still starting would fence whoever comes after: it ends first."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self._writer.close(error)


def _heard(making: asyncio.Task[TransactionalWriter]) -> None:
    """By whoever waited for it, unless nobody did any more."""
    if not making.cancelled():
        making.exception()


def as_record(found: ConsumerRecord, prefix: str) -> Record:
    """Of what is no text (another's hand, or a tool that traces, wrote it) what can be read."""
    headers = {name: _text(value) for name, value in found.headers}
    key = _text(found.key)
    topic, at = found.topic[len(prefix) :], found.timestamp / 1000
    return Record(topic, found.partition, found.offset, key, found.value, headers, at)


def _text(found: bytes | None) -> str:
    return (found or b"").decode(errors="replace")


def _back_off(tries: int, limits: KafkaLimits) -> float:
    most = min(limits.again_cap_s, limits.again_first_s * 2 ** min(tries, 16))
    return random.uniform(most / 2, most)
