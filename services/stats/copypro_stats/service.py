"""The stats service: reads events in batches, writes the documents that they change, then commits.

The documents carry the offsets that led to them, so a batch that is read again changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from copypro import topics
from copypro.envelope import dead_letter
from copypro.errors import LogClosed, LogFull, PartitionLost, StoreUnavailable
from copypro.messages import AlertRaised
from copypro.ports import Clock, EventLog, Outgoing, Partition, ReadModels, Record

from copypro_stats.batch import Batch, Parts, batch_of, merged

logger = structlog.get_logger("stats")
GATHER_S = 0.015
"""Events of so long become one write: what is shown may wait a moment, what is traded may not."""
BUSY, GATHER_BUSY_S = 100, 0.25
"""With so many events at once, this long: then much is being traded, and most documents change
more than once meanwhile.
"""
RETRY_FULL_S = 1.0
RETRY_STORE_S = 1.0
PostAlert = Callable[[AlertRaised], Awaitable[None]]


async def run(
    log: EventLog, models: ReadModels, clock: Clock, post_alert: PostAlert | None = None
) -> None:
    """Until the log closes or this is cancelled."""
    async with asyncio.TaskGroup() as tasks:
        async for partition in log.partitions(topics.STATS):
            tasks.create_task(_own(partition, models, clock, post_alert))


async def _own(
    partition: Partition, models: ReadModels, clock: Clock, post_alert: PostAlert | None
) -> None:
    try:
        await project(partition, models, clock, post_alert)
    except LogClosed:
        return
    except PartitionLost as error:
        logger.warning("partition lost", partition=partition.number, reason=str(error))
    except LogFull as error:
        logger.error("disk full: nothing is projected until there is room", reason=str(error))
        await asyncio.sleep(RETRY_FULL_S)


async def project(
    partition: Partition, models: ReadModels, clock: Clock, post_alert: PostAlert | None
) -> None:
    parts = Parts(models)
    posting: set[asyncio.Task[None]] = set()
    while True:
        records = await partition.read()
        await asyncio.sleep(GATHER_S if len(records) < BUSY else GATHER_BUSY_S)
        batch = await _written(records, parts, models)
        letters: list[Outgoing] = []
        for record, error in batch.unreadable:
            logger.error("a record cannot be decoded", where=str(error))
            letters.append(dead_letter(record, error, clock()))
        await partition.commit(letters, records)
        for envelope in batch.alerts:
            alert: AlertRaised = envelope.message
            logger.error(
                "alert",
                code=alert.code,
                account=alert.account,
                text=alert.text,
                correlation=envelope.correlation,
            )
            if post_alert is not None:
                task = asyncio.ensure_future(post_alert(alert))
                posting.add(task)
                task.add_done_callback(posting.discard)


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
