"""The stats service: reads events in batches, writes the documents that they change, then commits.

The documents carry the offsets that led to them, so a batch that is read again changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Never, TypeVar

import structlog
from copypro import topics
from copypro.collections import COPIERS
from copypro.envelope import SCHEMA_VERSION, Envelope, dead_letter, readable
from copypro.errors import BadRecord, StoreUnavailable
from copypro.messages import AlertRaised
from copypro.ports import Clock, EventLog, Outgoing, Partition, ReadModels, Record
from copypro.readiness import Readiness, wait_for_upgrade, while_owned

from copypro_stats.batch import Batch, Parts, batch_of
from copypro_stats.keeper import Keeper
from copypro_stats.pausing import commands
from copypro_stats.posting import Outbox, PostLimits, posting
from copypro_stats.receivers import Receivers, named

logger = structlog.get_logger("stats")
Answer = TypeVar("Answer")
GATHER_S = 0.015
"""Events of so long become one write: what is shown may wait a moment, what is traded may not."""
BUSY, GATHER_BUSY_S = 100, 0.25
"""With so many events at once, this long: then much is being traded, and most documents change
more than once meanwhile.
"""
RETRY_FULL_S = 1.0
RETRY_STORE_S = 1.0
SAY_AGAIN_S = 30.0


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
                partition, models, clock, outbox, keeper, schema_version, receivers, readiness
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
    readiness: Readiness,
) -> BadRecord:
    """Until a record of a newer version; that one is not taken in, nor any behind it."""
    patience = _Patience(readiness, partition.number)
    parts = Parts(models, await patience.until_answered(models.reached, "nothing is projected"))
    newer: BadRecord | None = None
    while newer is None:
        records, newer = readable(await partition.read(), schema_version)
        await asyncio.sleep(GATHER_S if len(records) < BUSY else GATHER_BUSY_S)
        batch = await patience.until_answered(
            partial(_written, records, parts), "nothing is projected"
        )
        outputs: list[Outgoing] = []
        for record, error in batch.unreadable:
            logger.error("a record cannot be decoded", where=str(error))
            outputs.append(dead_letter(record, error, clock()))
        for envelope in batch.alerts:
            alert: AlertRaised = envelope.message
            logger.error(
                "alert",
                code=alert.code,
                cause=alert.cause,
                account=alert.account,
                text=alert.text,
                correlation=envelope.correlation,
                **await named(models, alert.account),
            )
        if receivers is not None and batch.posts:
            wanted = await patience.until_answered(
                partial(receivers.wanted, batch.posts), "nothing is posted"
            )
            outputs.extend(out for posted in wanted for out in outbox.remember(posted))
        for envelope in batch.for_copiers:
            told = await patience.until_answered(
                partial(_copiers_told, envelope, models), "no copier is paused or stopped"
            )
            outputs.extend(told)
        await partition.commit(outputs, records)
        outbox.committed()
        keeper.changed(batch.moved)
    return newer


async def _copiers_told(event: Envelope, models: ReadModels) -> list[Outgoing]:
    account = event.message.account
    of_master = await models.find(COPIERS, {"master": account}, limit=None)
    of_slave = await models.find(COPIERS, {"slave": account}, limit=None)
    return commands(event, [*of_master, *of_slave])


async def _written(records: Sequence[Record], parts: Parts) -> Batch:
    """What was written of it already changes nothing when it is tried again."""
    batch = await batch_of(records, parts)
    await parts.write(batch)
    return batch


class _Patience:
    """With a database that is away, or whose disk is full: its partition is not ready until it answers."""

    def __init__(self, readiness: Readiness, partition: int) -> None:
        self._readiness, self._partition = readiness, partition

    async def until_answered(self, ask: Callable[[], Awaitable[Answer]], undone: str) -> Answer:
        said_at = float("-inf")
        try:
            while True:
                try:
                    return await ask()
                except StoreUnavailable as error:
                    what, now = f"{undone} until the database answers", time.monotonic()
                    self._readiness.not_ready(self._partition, f"{what}: see the log")
                    if now - said_at >= SAY_AGAIN_S:
                        logger.error(what, reason=str(error))
                        said_at = now
                await asyncio.sleep(RETRY_STORE_S)
        finally:
            self._readiness.ready(self._partition)
