"""Read models in MongoDB: one transaction per upsert, without a read before it.

Documents and the updates of them are in mongo_documents; generations, and how a rebuild takes the
place of the live one, in mongo_generations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pymongo.errors import OperationFailure

from copypro.adapters.mongo_database import ABOUT, MongoDatabase, Session, Stored
from copypro.adapters.mongo_documents import key_of, union, updates
from copypro.adapters.mongo_generations import POINTER, Elsewhere, Generations, name_of
from copypro.adapters.mongo_rebuild import MongoRebuild
from copypro.collections import require_declared
from copypro.errors import StoreRefused, StoreUnavailable
from copypro.ports import Document, Scalar, Upsert, newest

LOOK_AGAIN_S = 0.02
"""While a rebuild holds the writers, or an index is being made under a reader."""
_NOW_UNREADABLE = frozenset((175, 246))
"""A collection was made or dropped under the snapshot that was being read: the next one is good."""


class MongoReadModels:
    def __init__(self, generations: Generations, generation: int) -> None:
        self._generations, self._generation = generations, generation
        self._database = generations.database

    @classmethod
    async def open(cls, database: MongoDatabase) -> MongoReadModels:
        """Makes the indexes where they are not there yet; nobody waits for them but this process."""
        models = await cls.open_read_only(database)
        await models._generations.make(models._generation)
        return models

    @classmethod
    async def open_read_only(cls, database: MongoDatabase) -> MongoReadModels:
        generations = Generations(database)
        return cls(generations, (await generations.pointer())["generation"])

    async def upsert(self, changes: Sequence[Upsert]) -> None:
        if not changes:
            return None
        made = updates(changes)
        versions = newest(changes)
        while True:
            generation = self._generation

            async def write(session: Session, generation: int = generation) -> None:
                await self._generations.advance(session, generation, versions)
                await self._generations.write(session, generation, made)

            try:
                return await self._database.transaction(write)
            except Elsewhere:
                await self._follow()

    async def get(self, collection: str, id: str) -> Document | None:
        rows = await self._read(collection, [{"$match": {"_id": id}}])
        return union(rows[0]) if rows else None

    async def get_many(self, collection: str, ids: Collection[str]) -> dict[str, Document]:
        rows = await self._read(collection, [{"$match": {"_id": {"$in": list(ids)}}}])
        found = [document for row in rows if (document := union(row)) is not None]
        return {str(document["id"]): document for document in found}

    def revision(self) -> int | None:
        """Other processes write here."""
        return None

    async def source_fields(self, collection: str, id: str, source: str) -> Document | None:
        key = key_of(source)
        only: list[Stored] = [{"$match": {"_id": id}}, {"$project": {f"parts.{key}": 1}}]
        rows = await self._read(collection, only)
        part = rows[0]["parts"].get(key) if rows else None
        return part["fields"] if part is not None else None

    async def find(
        self,
        collection: str,
        where: Mapping[str, Scalar] | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        since: Scalar = None,
        until: Scalar = None,
        limit: int | None = 1000,
    ) -> list[Document]:
        require_declared(collection, [*(where or {}), *([order_by] if order_by else [])])
        if limit == 0 or None in (where or {}).values():
            return []
        match: Stored = {"index": {"$ne": None}}
        match |= {f"index.{field}": value for field, value in (where or {}).items()}
        order: dict[str, int] = {}
        if order_by is not None:
            order[f"index.{order_by}"] = -1 if descending else 1
            span = {"$gte": since, "$lt": until}
            bounds = {name: bound for name, bound in span.items() if bound is not None}
            if bounds:
                match = {"$and": [match, {f"index.{order_by}": bounds}]}
        order["_id"] = -1 if descending and order_by is not None else 1
        pipeline: list[Stored] = [{"$match": match}, {"$sort": order}]
        if limit is not None:
            pipeline.append({"$limit": limit})
        rows = await self._read(collection, pipeline)
        return [document for row in rows if (document := union(row)) is not None]

    async def reached(self) -> Mapping[str, int]:
        return await self._generations.reached()

    async def rebuild(self) -> MongoRebuild:
        return await MongoRebuild.begin(self._generations)

    async def close(self) -> None:
        """The database is closed by whoever opened it."""

    # --- inside -------------------------------------------------------------------------------

    async def _read(self, collection: str, pipeline: list[Stored]) -> list[Stored]:
        """From the live generation: the pointer comes with the rows, from the same moment, so rows of
        another one are noticed.
        """
        pointer = {"coll": ABOUT, "pipeline": [{"$match": {"_id": POINTER}}]}
        whole = [*pipeline, {"$unionWith": pointer}]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._database.limits.read_s
        while loop.time() < deadline:
            generation = self._generation
            try:
                *rows, found = await self._rows(name_of(collection, generation), whole)
            except _Unreadable:
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            if found["generation"] == generation:
                return rows
            self._generation = found["generation"]
        raise StoreUnavailable(f"{collection} cannot be read while its indexes are being made")

    async def _rows(self, name: str, pipeline: list[Stored]) -> list[Any]:
        with self._database.asking():
            try:
                cursor = await self._database.snapshots(name).aggregate(pipeline)
                rows = await cursor.to_list()
            except OperationFailure as error:
                if error.code in _NOW_UNREADABLE:
                    raise _Unreadable from None
                raise
        if not rows:
            raise StoreRefused("the database was emptied under the running program: start it anew")
        return rows

    async def _follow(self) -> None:
        """To where the pointer points; while it is held, a moment's wait."""
        pointer = await self._generations.pointer()
        if pointer["generation"] != self._generation:
            self._generation = pointer["generation"]
        elif pointer["held"] is not None:
            await asyncio.sleep(LOOK_AGAIN_S)
            await self._generations.release_overdue()


class _Unreadable(Exception):
    pass
