"""The log in memory, for tests: several partitions, no order between topics, owners that get lost.

It shows what one SQLite file never would: records of different topics arrive in any order, and an
owner may lose its partition at any await. The order is drawn from a seed, so a failure repeats.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

from copypro.errors import LogClosed, PartitionLost
from copypro.ports import Outgoing, Partition, Record
from copypro.topics import BY_NAME, Role
from copypro.values import digest


class MemoryLog:
    """An EventLog. `loss` is the chance, at each read and commit, that its owner is fenced."""

    def __init__(self, partitions: int = 1, seed: int = 0, loss: float = 0.0) -> None:
        self.count = partitions
        self.random = random.Random(seed)
        self.loss = loss
        self.records: dict[str, list[list[Record]]] = {}
        self.states: dict[str, list[dict[str, Record]]] = {}
        self.consumed: dict[tuple[str, int, str], int] = {}
        self._owners: dict[tuple[str, int], _MemoryPartition] = {}
        self._given: dict[str, asyncio.Queue[_MemoryPartition | None]] = {}
        self._places: dict[str, int] = {}
        self._closed = False

    # --- the port -----------------------------------------------------------------------------

    async def append(self, messages: Sequence[Outgoing]) -> None:
        if self._closed:
            raise LogClosed("the log is closed")
        await asyncio.sleep(0)
        self._put(messages, None)

    async def partitions(self, role: Role) -> AsyncIterator[Partition]:
        given = self._given.setdefault(role.name, asyncio.Queue())
        for number in range(self.count):
            given.put_nowait(self._own(role, number))
        while (partition := await given.get()) is not None:
            yield partition

    async def close(self) -> None:
        self._closed = True
        for owner in self._owners.values():
            owner.news.set()
        for given in self._given.values():
            given.put_nowait(None)

    # --- for tests ----------------------------------------------------------------------------

    def lose(self, role: Role, number: int) -> None:
        """Fence the present owner and give the partition to a new one."""
        former = self._owners[role.name, number]
        former.fenced = True
        former.news.set()
        if not self._closed:
            self._given[role.name].put_nowait(self._own(role, number))

    def all(self, topic: str) -> list[Record]:
        return [record for part in self.records.get(topic, []) for record in part]

    def partition_of(self, key: str) -> int:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = int(digest(key)[:8], 16) % self.count
        return place

    # --- inside -------------------------------------------------------------------------------

    def _own(self, role: Role, number: int) -> _MemoryPartition:
        owner = self._owners[role.name, number] = _MemoryPartition(self, role, number)
        return owner

    def topic(self, name: str) -> list[list[Record]]:
        found = self.records.get(name)
        if found is None:
            found = self.records[name] = [[] for _ in range(self.count)]
        return found

    def state(self, name: str) -> list[dict[str, Record]]:
        found = self.states.get(name)
        if found is None:
            found = self.states[name] = [{} for _ in range(self.count)]
        return found

    def _put(self, messages: Sequence[Outgoing], owner: _MemoryPartition | None) -> None:
        touched: dict[tuple[str, int], list[Record]] = {}
        state = "" if owner is None else owner.role.state.name
        for out in messages:
            name, key = out.topic, out.key
            if owner is not None and name == state:
                self._remember(out, owner.number)
                continue
            number = self.partition_of(key)
            part = touched.get((name, number))
            if part is None:
                part = touched[name, number] = self.topic(name)[number]
            part.append(Record(name, number, len(part), key, out.value, out.headers))
        for (_, number), reader in self._owners.items():
            if any((topic.name, number) in touched for topic in reader.role.inputs):
                reader.news.set()

    def _remember(self, out: Outgoing, number: int) -> None:
        assert BY_NAME[out.topic].compacted
        state = self.state(out.topic)[number]
        if out.value is None:
            state.pop(out.key, None)
        else:
            state[out.key] = Record(out.topic, number, 0, out.key, out.value, out.headers)


class _MemoryPartition:
    def __init__(self, log: MemoryLog, role: Role, number: int) -> None:
        self.role, self.number = role, number
        self.fenced = False
        self.news = asyncio.Event()
        self._log = log
        self._positions: dict[str, int] | None = None

    async def restore(self) -> AsyncIterator[Record]:
        self._guard()
        for record in list(self._log.state(self.role.state.name)[self.number].values()):
            yield record

    async def read(self) -> Sequence[Record]:
        log = self._log
        if self._positions is None:
            self._positions = {
                topic.name: log.consumed.get((self.role.name, self.number, topic.name), 0)
                for topic in self.role.inputs
            }
        while True:
            self._guard()
            self.news.clear()
            names = [topic.name for topic in self.role.inputs]
            log.random.shuffle(names)
            for name in names:
                part, position = log.topic(name)[self.number], self._positions[name]
                if position < len(part):
                    most = log.random.randint(1, 256)
                    found = part[position : position + most]
                    self._positions[name] = position + len(found)
                    return found
            await self.news.wait()

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        self._guard()
        log = self._log
        log._put(outputs, self)
        for record in consumed:
            place = (self.role.name, self.number, record.topic)
            assert log.consumed.get(place, 0) == record.offset, (
                "not the next prefix of what was read"
            )
            log.consumed[place] = record.offset + 1
        await asyncio.sleep(0)

    def give_up(self, reason: str) -> None:
        if not self.fenced:
            self._log.lose(self.role, self.number)

    def end_offset(self, topic: str) -> int:
        return len(self._log.topic(topic)[self.number])

    def _guard(self) -> None:
        if self._log._closed:
            raise LogClosed("the log is closed")
        if not self.fenced and self._log.loss and self._log.random.random() < self._log.loss:
            self._log.lose(self.role, self.number)
        if self.fenced:
            raise PartitionLost("another owner took over")
