"""The replicator's loop: read, decide, commit; one task per partition, nothing shared."""

from __future__ import annotations

import asyncio

import structlog
from copypro import topics
from copypro.envelope import Envelope, dead_letter, decode
from copypro.errors import BadRecord, LogClosed, LogFull, PartitionLost
from copypro.ports import Clock, EventLog, Outgoing, Partition, Record

from copypro_replicator.replicating import Replicating

logger = structlog.get_logger("replicator")
RETRY_FULL_S = 1.0


async def run(log: EventLog, clock: Clock, retry_full_s: float = RETRY_FULL_S) -> None:
    """Until the log closes or this is cancelled."""
    async with asyncio.TaskGroup() as tasks:
        async for partition in log.partitions(topics.REPLICATOR):
            tasks.create_task(_own(partition, clock, retry_full_s))


async def _own(partition: Partition, clock: Clock, retry_full_s: float) -> None:
    """Crash-only: after any failure of the log this memory is gone, and the next owner restores."""
    try:
        await replicate(partition, clock)
    except LogClosed:
        return
    except PartitionLost as error:
        logger.warning("partition lost", partition=partition.number, reason=str(error))
    except LogFull as error:
        logger.error("disk full: nothing is planned until there is room", reason=str(error))
        await asyncio.sleep(retry_full_s)


async def replicate(partition: Partition, clock: Clock) -> None:
    state = Replicating()
    async for record in partition.restore():
        state.restore(record)
    while True:
        records = await partition.read()
        now = clock()
        inputs: list[tuple[Record, Envelope]] = []
        letters: list[Outgoing] = []
        for record in records:
            try:
                inputs.append((record, decode(record)))
            except BadRecord as error:
                if error.newer:
                    raise
                logger.error("a record cannot be decoded", where=str(error))
                letters.append(dead_letter(record, error, now))
        outputs = state.step(inputs, partition.end_offset(topics.ORDER_EVENTS.name), now)
        await partition.commit([*outputs, *letters], records)
