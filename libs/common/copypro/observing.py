"""A log that is looked at: what this process owns, how far it has got, what its commits cost.

`ObservedLog` stands before any EventLog and keeps all of its promises, so that no service and no
adapter knows of health or metrics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing

from msgspec import Struct

from copypro.errors import LogError
from copypro.ports import EventLog, Meter, Monotonic, Outgoing, Partition, Record
from copypro.topics import Role

FIRST_WITHIN_S = 15.0
"""Who joins a group of processes is given its share by then, if there is one left."""
AGAIN_WITHIN_S = 20.0
"""A partition that broke is taken over again by then, unless another process has it."""
UNREAD_S = 30.0
"""An owner asks for more long before this, whatever it has to do with what it read."""
APPENDS = "gateway"
"""The role under which appends, which consume nothing, are counted."""


class Lag(Struct, frozen=True):
    role: str
    topic: str
    partition: int
    records: int


class Ownership:
    """The partitions that this process owns now."""

    def __init__(self, meter: Meter, monotonic: Monotonic) -> None:
        self.meter, self.monotonic = meter, monotonic
        self._owned: dict[tuple[str, int], ObservedPartition] = {}
        self._joined_at: dict[str, float] = {}
        self._failed_at: dict[tuple[str, int], float] = {}
        """When a partition broke, or its restoring failed, which is tried again."""

    def join(self, role: Role) -> None:
        """This process is about to ask for its share of a role's partitions."""
        self._joined_at[role.name] = self.monotonic()

    def own(self, role: Role, partition: Partition) -> ObservedPartition:
        owned = ObservedPartition(role, partition, self)
        self._owned[role.name, partition.number] = owned
        self._failed_at.pop((role.name, partition.number), None)
        self._joined_at.pop(role.name, None)
        self.meter.assigned(role.name)
        return owned

    def lost(self, owned: ObservedPartition, *, broke: bool = False) -> None:
        """`broke`: its owner gave it up, restored or not."""
        place = (owned.role.name, owned.number)
        if self._owned.get(place) is owned:
            del self._owned[place]
            self.meter.lost(owned.role.name)
            if broke or not owned.restored:
                self._failed_at[place] = self.monotonic()

    def not_ready(self) -> list[str]:
        """Why not; empty: every partition is restored and read on. Whoever is given none within the time
        is ready too: others own them all.
        """
        since = self.monotonic() - FIRST_WITHIN_S
        waiting = [
            f"{role}: waiting for partitions"
            for role, joined_at in self._joined_at.items()
            if joined_at > since
        ]
        return [*waiting, *self._restoring(), *self._left()]

    def _restoring(self) -> list[str]:
        since = self.monotonic() - AGAIN_WITHIN_S
        failed = Counter(role for (role, _), at in self._failed_at.items() if at > since)
        restored = Counter(role for (role, _), owned in self._owned.items() if owned.restored)
        return [
            f"{role}: {count - restored[role]} of {count} partitions are being restored"
            for role, count in (Counter(self.counts()) + failed).items()
            if count > restored[role]
        ]

    def _left(self) -> list[str]:
        return [
            f"{role} partition {number}: nobody has read on for {owned.unread_s():.0f} s: see the log"
            for (role, number), owned in sorted(self._owned.items())
            if owned.unread_s() > UNREAD_S
        ]

    def counts(self) -> dict[str, int]:
        """Partitions by role."""
        return dict(Counter(role for role, _ in self._owned))

    def lags(self) -> Iterator[Lag]:
        """Records between what is committed and the end, of every topic that was read from."""
        for (role, number), owned in self._owned.items():
            for topic, position in owned.positions.items():
                behind = max(0, owned.end_offset(topic) - position)
                yield Lag(role, topic, number, behind)


class ObservedLog:
    """An EventLog."""

    def __init__(self, log: EventLog, ownership: Ownership) -> None:
        self._log, self._ownership = log, ownership

    async def append(self, messages: Sequence[Outgoing]) -> None:
        meter, monotonic = self._ownership.meter, self._ownership.monotonic
        begun = monotonic()
        try:
            await self._log.append(messages)
        except LogError as error:
            meter.commit_failed(APPENDS, type(error).__name__)
            raise
        meter.committed(APPENDS, monotonic() - begun)

    async def partitions(self, role: Role) -> AsyncIterator[Partition]:
        async with aclosing(self._log.partitions(role)) as partitions:  # type: ignore[type-var]
            async for partition in partitions:
                yield self._ownership.own(role, partition)

    async def close(self) -> None:
        await self._log.close()


class ObservedPartition:
    """A Partition. `positions`: by topic, the offset after the last record that was committed."""

    def __init__(self, role: Role, partition: Partition, ownership: Ownership) -> None:
        self.role, self.restored = role, False
        self.positions: dict[str, int] = {}
        self._partition, self._ownership = partition, ownership
        self._assigned_at = ownership.monotonic()
        self._asked = False
        self._reads, self._read_at = 0, float("inf")
        """Reads that wait now, and when the last one ended."""

    @property
    def number(self) -> int:
        return self._partition.number

    async def restore(self) -> AsyncIterator[Record]:
        self._asked = True
        try:
            async for record in self._partition.restore():
                yield record
        except LogError:
            self._ownership.lost(self)
            raise

    async def read(self) -> Sequence[Record]:
        """First asked when the owner has its memory back."""
        self._reads += 1
        try:
            if not self.restored:
                await self._restored()
            records = await self._partition.read()
        except LogError:
            self._ownership.lost(self)
            raise
        finally:
            self._reads -= 1
            self._read_at = self._ownership.monotonic()
        if len(self.positions) < len(self.role.inputs):
            for record in records:
                self.positions.setdefault(record.topic, record.offset)
        return records

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        meter, monotonic = self._ownership.meter, self._ownership.monotonic
        begun = monotonic()
        try:
            await self._partition.commit(outputs, consumed)
        except LogError as error:
            meter.commit_failed(self.role.name, type(error).__name__)
            self._ownership.lost(self)
            raise
        meter.committed(self.role.name, monotonic() - begun)
        for record in consumed:
            self.positions[record.topic] = record.offset + 1

    def give_up(self, reason: str) -> None:
        self._ownership.lost(self, broke=True)
        self._partition.give_up(reason)

    def end_offset(self, topic: str) -> int:
        return self._partition.end_offset(topic)

    def unread_s(self) -> float:
        """How long nobody has asked for more."""
        return 0.0 if self._reads else max(0.0, self._ownership.monotonic() - self._read_at)

    async def _restored(self) -> None:
        """A role without memory never restores; it too begins only once it has taken over."""
        if not self._asked:
            async for _ in self._partition.restore():
                continue
        self.restored = True
        took_s = self._ownership.monotonic() - self._assigned_at
        self._ownership.meter.restored(self.role.name, took_s)
