"""The stats service: reads events in batches, writes the documents that they change, then commits.

The documents carry the offsets that led to them, so a batch that is read again changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from copypro import topics
from copypro.envelope import dead_letter, decode
from copypro.errors import BadRecord, LogClosed, LogFull, PartitionLost
from copypro.messages import AlertRaised
from copypro.ports import Clock, EventLog, Outgoing, Partition, ReadModels, Upsert

from copypro_stats.projections import Fields, Patch, patches

logger = structlog.get_logger("stats")
CACHED = 20_000
"""Parts of documents that are kept at hand to build on."""
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
        await models.upsert(upserts)
        await partition.commit(letters, records)
        if post_alert is not None:
            for alert in alerts:
                task = asyncio.ensure_future(post_alert(alert))
                posting.add(task)
                task.add_done_callback(posting.discard)


class Parts:
    """What each source last wrote, so that a patch lays its fields over them."""

    def __init__(self, models: ReadModels) -> None:
        self._models = models
        self._known: OrderedDict[tuple[str, str, str], Fields | None] = OrderedDict()

    async def upsert(self, patch: Patch, source: str, offset: int) -> Upsert:
        former = await self._fields(patch.collection, patch.id, source)
        fields: Fields | None = None
        if patch.fields is not None:
            under: Fields = {}
            if patch.builds_on is not None:
                under = await self._fields(*patch.builds_on, source) or {}
            fields = {**under, **(former or {}), **patch.fields}
        self._keep((patch.collection, patch.id, source), fields)
        return Upsert(
            collection=patch.collection,
            id=patch.id,
            source=source,
            version=offset,
            fields=fields,
        )

    async def _fields(self, collection: str, id: str, source: str) -> Fields | None:
        place = (collection, id, source)
        if place in self._known:
            self._known.move_to_end(place)
            return self._known[place]
        found: Any = await self._models.source_fields(collection, id, source)
        self._keep(place, found)
        return found  # type: ignore[no-any-return]

    def _keep(self, place: tuple[str, str, str], fields: Fields | None) -> None:
        self._known[place] = fields
        self._known.move_to_end(place)
        if len(self._known) > CACHED:
            self._known.popitem(last=False)
