"""The replicator's loop: read, decide, commit; one task per partition, nothing shared."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Never

import structlog
from copypro import topics
from copypro.committing import Committing
from copypro.envelope import SCHEMA_VERSION, readable
from copypro.errors import BadRecord
from copypro.ports import Clock, EventLog, Journal, Outgoing, Partition, Record, Told
from copypro.readiness import Readiness, wait_for_upgrade, while_owned

from copypro_replicator.replicating import Replicating

logger = structlog.get_logger("replicator")
RETRY_FULL_S = 1.0
MOST_COMMITS = 2
"""Under way at a time: one becomes durable, one waits for it."""


async def run(
    log: EventLog,
    clock: Clock,
    journal: Journal | None = None,
    retry_full_s: float = RETRY_FULL_S,
    readiness: Readiness | None = None,
    schema_version: int = SCHEMA_VERSION,
) -> None:
    """Until the log closes or this is cancelled. A record newer than `schema_version` makes its
    partition not ready, until a newer process owns it.
    """
    readiness = readiness or Readiness(topics.REPLICATOR.name)
    held: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
    async with asyncio.TaskGroup() as tasks:
        async for partition in log.partitions(topics.REPLICATOR):
            hold = held[partition.number]
            work = _own(partition, hold, clock, journal, retry_full_s, readiness, schema_version)
            tasks.create_task(work)


async def _own(
    partition: Partition,
    hold: asyncio.Lock,
    clock: Clock,
    journal: Journal | None,
    retry_full_s: float,
    readiness: Readiness,
    schema_version: int,
) -> None:
    """`hold`: the next owner of the partition begins when this one is done with it, so that a full
    disk is tried again at its own pace.
    """
    async with hold:
        work = replicate(partition, clock, readiness, journal, schema_version)
        await while_owned(work, partition, readiness, retry_full_s)


async def replicate(
    partition: Partition,
    clock: Clock,
    readiness: Readiness,
    journal: Journal | None = None,
    schema_version: int = SCHEMA_VERSION,
) -> Never:
    """Until the partition is lost or the log ends. A record of a newer version, in state or input, is
    not taken in, nor any behind it.
    """
    replicating = Replicating()
    newer: BadRecord | None = None
    async for record in partition.restore():
        if newer is None:
            newer = readable((record,), schema_version)[1]
        if newer is None:
            try:
                replicating.restore(record)
            except BadRecord as error:
                newer = error
    async with Committing(MOST_COMMITS) as committing:
        while newer is None:
            records, newer = readable(await partition.read(), schema_version)
            end_offset = partition.end_offset(topics.ORDER_EVENTS.name)
            now = clock()
            outputs = replicating.step(records, end_offset, now)
            for output in outputs:
                if output.topic == topics.DEAD_LETTERS.name:
                    logger.error("a record cannot be read and was put aside", key=output.key)
            tell = partial(_tell, journal, replicating.told, now, clock)
            commit = _commit(partition, outputs, records, tell)
            await committing.begun(asyncio.create_task(commit))
    await wait_for_upgrade(partition, newer, readiness)


async def _commit(
    partition: Partition,
    outputs: Sequence[Outgoing],
    consumed: Sequence[Record],
    tell: Callable[[], None],
) -> None:
    await partition.commit(outputs, consumed)
    tell()


def _tell(
    journal: Journal | None, told: Sequence[Told], decided_at: datetime, clock: Clock
) -> None:
    if journal is not None and told:
        journal.tell(told, decided_at, clock())
