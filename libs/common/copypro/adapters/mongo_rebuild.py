"""Read models built anew in MongoDB, in collections of their own, then switched by one pointer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from copypro.adapters.mongo_database import Session
from copypro.adapters.mongo_documents import key_of, updates
from copypro.adapters.mongo_generations import Generations, name_of
from copypro.ports import Document, Upsert, newest


class MongoRebuild:
    def __init__(self, generations: Generations, generation: int) -> None:
        self._generations, self._generation = generations, generation
        self._database = generations.database
        self._versions: dict[str, int] = {}

    @classmethod
    async def begin(cls, generations: Generations) -> MongoRebuild:
        rebuild = cls(generations, await generations.begin())
        await generations.make(rebuild._generation)
        return rebuild

    async def upsert(self, changes: Sequence[Upsert]) -> None:
        made = updates(changes)

        async def write(session: Session) -> None:
            await self._generations.require(session, self._generation)
            await self._generations.write(session, self._generation, made)

        await self._database.transaction(write)
        for source, version in newest(changes).items():
            self._versions[source] = max(version, self._versions.get(source, version))

    async def source_fields(self, collection: str, id: str, source: str) -> Document | None:
        with self._database.asking():
            documents = self._database.collection(name_of(collection, self._generation))
            row = await documents.find_one({"_id": id})
        part = row["parts"].get(key_of(source)) if row is not None else None
        return part["fields"] if part is not None else None

    async def hold(self) -> Mapping[str, int]:
        return await self._generations.hold(self._generation)

    async def switch(self) -> None:
        """Returns once the former ones are dropped: readers that began with them may take `read_s`."""
        await self._generations.switch(self._generation, self._versions)
        await asyncio.sleep(self._database.limits.read_s)
        await self._generations.drop_before(self._generation)

    async def discard(self) -> None:
        await self._generations.release(self._generation)
        if (await self._generations.pointer())["generation"] != self._generation:
            await self._generations.drop(self._generation)
