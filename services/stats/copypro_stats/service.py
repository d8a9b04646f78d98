"""The stats service: reads events in batches, writes the documents that they change, then commits.

The documents carry the offsets that led to them, so a batch that is read again changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog
from copypro import topics
from copypro.collections import ROOTS
from copypro.envelope import dead_letter, decode
from copypro.errors import BadRecord, LogClosed, LogFull, PartitionLost
from copypro.messages import AlertRaised
from copypro.ports import Clock, EventLog, Outgoing, Partition, ReadModels, Upsert

from copypro_stats.projections import Fields, Patch, patches

logger = structlog.get_logger("stats")
CACHED = 20_000
"""Open roots that are kept at hand: their closes build on them."""
GATHER_S = 0.015
"""Events of so long become one write: what is shown may wait a moment, what is traded may not."""
BUSY, GATHER_BUSY_S = 100, 0.25
"""With so many events at once, this long: then much is being traded, and most documents change
more than once meanwhile.
"""
RETRY_FULL_S = 1.0
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
        upserts: list[Upsert] = []
        letters: list[Outgoing] = []
        alerts: list[AlertRaised] = []
        for record in records:
            if record.value is None:
                continue
            try:
                envelope = decode(record)
            except BadRecord as error:
                if error.newer:
                    raise
                logger.error("a record cannot be decoded", where=str(error))
                letters.append(dead_letter(record, error, clock()))
                continue
            source = f"{record.topic}/{record.partition}"
            for patch in patches(record, envelope):
                upserts.append(await parts.upsert(patch, source, record.offset))
            event = envelope.message
            if isinstance(event, AlertRaised):
                logger.error("alert", code=event.code, account=event.account, text=event.text)
                alerts.append(event)
        await models.upsert(merged(upserts))
        await partition.commit(letters, records)
        if post_alert is not None:
            for alert in alerts:
                task = asyncio.ensure_future(post_alert(alert))
                posting.add(task)
                task.add_done_callback(posting.discard)


def merged(upserts: Sequence[Upsert]) -> list[Upsert]:
    """One for each document and source, where they only set fields; in the order of their first."""
    latest: dict[tuple[str, str, str], int] = {}
    found: list[Upsert] = []
    for upsert in upserts:
        place = (upsert.collection, upsert.id, upsert.source)
        at = latest.get(place)
        former = found[at].fields if at is not None else None
        if at is None or former is None or upsert.fields is None:
            latest[place] = len(found)
            found.append(upsert)
        else:
            fields = {**former, **upsert.fields}
            found[at] = msgspec.structs.replace(upsert, fields=fields)
    return found


class Parts:
    """Patches as upserts. A patch that builds on another document (a close, on what opened) is given
    that document's fields: from memory where this process wrote them, else from the read models.
    """

    def __init__(self, models: ReadModels) -> None:
        self._models = models
        self._roots: OrderedDict[tuple[str, str], Fields] = OrderedDict()

    async def upsert(self, patch: Patch, source: str, offset: int) -> Upsert:
        fields = patch.fields
        if patch.collection == ROOTS:
            self._keep(patch.id, source, fields)
        if fields is not None and patch.builds_on is not None:
            fields = {**await self._under(*patch.builds_on, source), **fields}
        return Upsert(
            collection=patch.collection,
            id=patch.id,
            source=source,
            version=offset,
            fields=fields,
        )

    async def _under(self, collection: str, id: str, source: str) -> Fields:
        known = self._roots.get((id, source))
        if known is not None:
            return known
        return await self._models.source_fields(collection, id, source) or {}

    def _keep(self, id: str, source: str, fields: Fields | None) -> None:
        if fields is None:
            self._roots.pop((id, source), None)
            return
        self._roots[id, source] = fields
        if len(self._roots) > CACHED:
            self._roots.popitem(last=False)
