"""Records that an operator has named: partitions that break on them go on without them.

The program never skips what it breaks on (decision 5): the one who may is whoever runs it. A record
named so is given to a role that broke on it as one that nobody can read, and so lands in dead-letters as
it was, from where it can be put back once an upgrade can handle it. What was named and does not break is
handled as any other: a slip of the pen leaves out no close.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing

import msgspec

from copypro.dead_letters import Place, place_of
from copypro.ports import EventLog, Outgoing, Partition, Record
from copypro.topics import Role


def marked(records: Sequence[Record], named: Collection[Place]) -> Sequence[Record]:
    """The same records, those among the named ones as set aside."""
    if not named:
        return records
    return [
        msgspec.structs.replace(record, set_aside=True)
        if (record.topic, record.partition, record.offset) in named
        else record
        for record in records
    ]


class SettingAside:
    """An EventLog whose partitions give the named records as set aside, once they are among those on
    which their role `broke` in this process.
    """

    def __init__(self, log: EventLog, named: Collection[Place], broke: AbstractSet[str]) -> None:
        self._log, self._named, self._broke = log, frozenset(named), broke

    async def append(self, messages: Sequence[Outgoing]) -> None:
        await self._log.append(messages)

    async def partitions(self, role: Role) -> AsyncIterator[Partition]:
        async with aclosing(self._log.partitions(role)) as partitions:  # type: ignore[type-var]
            async for partition in partitions:
                yield _Partition(partition, self._aside()) if self._named else partition

    async def close(self) -> None:
        await self._log.close()

    def _aside(self) -> frozenset[Place]:
        """A role that breaks is given its partition anew, and with it the record again."""
        return self._named & {place_of(name) for name in self._broke}


class _Partition:
    def __init__(self, partition: Partition, named: frozenset[Place]) -> None:
        self._partition, self._named = partition, named

    @property
    def number(self) -> int:
        return self._partition.number

    def restore(self) -> AsyncIterator[Record]:
        return self._partition.restore()

    async def read(self) -> Sequence[Record]:
        return marked(await self._partition.read(), self._named)

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        await self._partition.commit(outputs, consumed)

    def give_up(self, reason: str) -> None:
        self._partition.give_up(reason)

    def end_offset(self, topic: str) -> int:
        return self._partition.end_offset(topic)
