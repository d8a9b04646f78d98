"""The stats service: reads events in batches, writes the documents that they change, then commits.

The documents carry the offsets that led to them, so a batch that is read again changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from typing import Never

import structlog
from copypro import topics
from copypro.collections import COPIERS
from copypro.envelope import SCHEMA_VERSION, Envelope, dead_letter, readable
from copypro.errors import BadRecord, StoreUnavailable
from copypro.messages import AlertRaised
from copypro.ports import Clock, EventLog, Outgoing, Partition, ReadModels, Record
from copypro.readiness import Readiness, wait_for_upgrade, while_owned

from copypro_stats.batch import Batch, Parts, batch_of, merged
from copypro_stats.keeper import Keeper
from copypro_stats.pausing import commands
from copypro_stats.posting import Outbox, PostLimits, posting
from copypro_stats.receivers import Receivers

logger = structlog.get_logger("stats")
GATHER_S = 0.015
"""Events of so long become one write: what is shown may wait a moment, what is traded may not."""
BUSY, GATHER_BUSY_S = 100, 0.25
"""With so many events at once, this long: then much is being traded, and most documents change
more than once meanwhile.
"""
RETRY_FULL_S = 1.0
RETRY_STORE_S = 1.0


async def run(
    log: EventLog,
    models: ReadModels,
    clock: Clock,
    receivers: Receivers | None = None,
    limits: PostLimits | None = None,
    readiness: Readiness | None = None,
    schema_version: int = SCHEMA_VERSION,
) -> None:
    """Until the log closes or this is cancelled. `receivers` None: nothing is posted. A record
    newer than `schema_version` makes its partition not ready, until a newer process owns it.
    """
    readiness = readiness or Readiness(topics.STATS.name)
    async with asyncio.TaskGroup() as tasks:
        async for partition in log.partitions(topics.STATS):
            work = _own(partition, models, clock, receivers, limits, readiness, schema_version)
            tasks.create_task(while_owned(work, partition, readiness, RETRY_FULL_S))


async def _own(
    partition: Partition,
    models: ReadModels,
    clock: Clock,
    receivers: Receivers | None,
    limits: PostLimits | None,
    readiness: Readiness,
    schema_version: int,
) -> Never:
    async with posting(partition, receivers, clock, limits) as outbox:
        with closing(Keeper(models)) as keeper:
            newer = await _project(
                partition, models, clock, outbox, keeper, schema_version, receivers
            )
    await wait_for_upgrade(partition, newer, readiness)


async def _project(
    partition: Partition,
    models: ReadModels,
    clock: Clock,
    outbox: Outbox,
    keeper: Keeper,
    schema_version: int,
    receivers: Receivers | None,
) -> BadRecord:
    """Until a record of a newer version; that one is not taken in, nor any behind it."""
    parts = Parts(models)
    newer: BadRecord | None = None
    while newer is None:
        records, newer = readable(await partition.read(), schema_version)
        await asyncio.sleep(GATHER_S if len(records) < BUSY else GATHER_BUSY_S)
        batch = await _written(records, parts, models)
        letters: list[Outgoing] = []
        for record, error in batch.unreadable:
            logger.error("a record cannot be decoded", where=str(error))
            letters.append(dead_letter(record, error, clock()))
        for envelope in batch.alerts:
            alert: AlertRaised = envelope.message
            logger.error(
                "alert",
                code=alert.code,
                account=alert.account,
                text=alert.text,
                correlation=envelope.correlation,
            )
        letters.extend(await _posts(batch, receivers, outbox))
        for envelope in batch.for_copiers:
            letters.extend(await _copiers_told(envelope, models))
        await partition.commit(letters, records)
        outbox.committed()
        keeper.changed(batch.moved)
    return newer


async def _posts(batch: Batch, receivers: Receivers | None, outbox: Outbox) -> list[Outgoing]:
    if receivers is None or not batch.posts:
        return []
    while True:
        try:
            wanted = await receivers.wanted(batch.posts)
            return [out for posted in wanted for out in outbox.remember(posted)]
        except StoreUnavailable as error:
            logger.error("nothing is posted until the database answers", reason=str(error))
            await asyncio.sleep(RETRY_STORE_S)


async def _copiers_told(event: Envelope, models: ReadModels) -> list[Outgoing]:
    """Tried until the database answers, as all that is written here."""
    while True:
        try:
            account = event.message.account
            of_master = await models.find(COPIERS, {"master": account}, limit=None)
            of_slave = await models.find(COPIERS, {"slave": account}, limit=None)
            return commands(event, [*of_master, *of_slave])
        except StoreUnavailable as error:
            logger.error(
                "no copier is paused or stopped until the database answers", reason=str(error)
            )
            await asyncio.sleep(RETRY_STORE_S)


async def _written(records: Sequence[Record], parts: Parts, models: ReadModels) -> Batch:
    """Tried until the database answers: what was written of it already changes nothing."""
    while True:
        try:
            batch = await batch_of(records, parts)
            await models.upsert(merged(batch.upserts))
            return batch
        except StoreUnavailable as error:
            logger.error("nothing is projected until the database answers", reason=str(error))
            await asyncio.sleep(RETRY_STORE_S)
