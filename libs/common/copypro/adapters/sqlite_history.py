"""All that the SQLite log still has, read from another connection while the program runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import islice, takewhile

from copypro.adapters.sqlite_log import BATCH, SqliteLogReader
from copypro.ports import Record
from copypro.topics import Topic


class SqliteHistory:
    """A LogHistory: one partition, nothing ever dropped by age."""

    def __init__(self, reader: SqliteLogReader) -> None:
        self._reader = reader

    async def spans(self, topic: Topic) -> Mapping[int, tuple[int, int]]:
        return {0: (0, await asyncio.to_thread(self._reader.end, topic.name))}

    async def records(
        self, topic: Topic, spans: Mapping[int, tuple[int, int]]
    ) -> AsyncIterator[Sequence[Record]]:
        since, until = spans[0]
        while since < until:
            batch = await asyncio.to_thread(self._batch, topic, since, until)
            if not batch:
                return
            yield batch
            since = batch[-1].offset + 1

    def _batch(self, topic: Topic, since: int, until: int) -> list[Record]:
        records = takewhile(lambda r: r.offset < until, self._reader.records(topic.name, since))
        return list(islice(records, BATCH))
