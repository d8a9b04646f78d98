"""Generations of the read models in MongoDB: which one is live, and how another takes its place.

Each generation has collections of its own (`accounts_1`, `accounts_2`, …); a pointer names the live
one. How far each source has come in the live one is a document of `progress`, written in the same
transaction as the source's changes. Whoever moves the pointer first holds all of these, so a writer
that still believes in the former generation fails as a whole, and then writes to the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError

from copypro.adapters.mongo_database import MongoDatabase, Session, Stored
from copypro.collections import INDEXED
from copypro.errors import StoreRefused

POINTER = "read_models"
PROGRESS = "progress"
Updates = Mapping[str, list[UpdateOne]]
_FIRST = {"generation": 1, "last": 1, "building": None, "held": None}
_DUPLICATE = 11000
_UNSEEN = -1
"""The version of a source of which the live one has nothing."""


class Elsewhere(Exception):
    """The generation is held or no longer the live one; nothing was written."""


def name_of(collection: str, generation: int) -> str:
    return f"{collection}_{generation}"


class Generations:
    def __init__(self, database: MongoDatabase) -> None:
        self.database = database
        self._about = database.about
        self._progress = database.collection(PROGRESS)

    async def pointer(self) -> Stored:
        return await self.database.agreed(POINTER, _FIRST)

    async def make(self, generation: int) -> None:
        """The indexes of its collections, where they are not there yet. A declared field's index goes
        on with the fields declared after it, so that a filter and an order share one.
        """
        with self.database.asking(self.database.limits.index_s):
            for collection, fields in INDEXED.items():
                made = self.database.collection(name_of(collection, generation))
                for at in range(len(fields)):
                    names = [*(f"index.{field}" for field in fields[at:]), "_id"]
                    await made.create_index([(name, 1) for name in names])

    async def write(self, session: Session, generation: int, updates: Updates) -> None:
        try:
            for collection, operations in updates.items():
                documents = self.database.collection(name_of(collection, generation))
                await documents.bulk_write(operations, session=session)
        except BulkWriteError as error:
            raise _elsewhere(error)

    async def advance(self, session: Session, generation: int, versions: Mapping[str, int]) -> None:
        """How far each source has come. Errors: Elsewhere."""
        its = {"generation": generation, "held": None}
        operations = [
            UpdateOne({"_id": source, **its}, {"$max": {"version": version}}, upsert=True)
            for source, version in versions.items()
        ]
        try:
            done = await self._progress.bulk_write(operations, session=session)
        except BulkWriteError as error:
            raise _elsewhere(error)
        if done.upserted_count:
            # A source that nobody held because nobody knew it: the pointer itself is what conflicts.
            counted = {"$inc": {"sources": done.upserted_count}}
            pointer = {"_id": POINTER, **its}
            if not (await self._about.update_one(pointer, counted, session=session)).matched_count:
                raise Elsewhere

    async def reached(self) -> dict[str, int]:
        """The newest version of each source in the live one."""
        with self.database.asking():
            found = await self._progress.find().to_list()
        return {row["_id"]: int(row["version"]) for row in found if row["version"] != _UNSEEN}

    # --- another one takes its place ------------------------------------------------------------

    async def begin(self) -> int:
        """A new generation's number. A rebuild that was begun before can no longer switch."""
        await self.pointer()
        counted: list[Stored] = [
            {"$set": {"last": {"$add": ["$last", 1]}}},
            {"$set": {"building": "$last"}},
        ]
        with self.database.asking():
            found = await self._about.find_one_and_update(
                {"_id": POINTER}, counted, return_document=ReturnDocument.AFTER
            )
        assert found is not None
        return int(found["building"])

    async def require(self, session: Session, building: int) -> None:
        """Errors: StoreRefused where another rebuild was begun."""
        found = await self._about.find_one({"_id": POINTER}, session=session)
        if found is None or found["building"] != building:
            raise _superseded()

    async def hold(self, building: int) -> dict[str, int]:
        """Writers wait, for at most `held_s`, until `switch` or `release`; how far the sources are."""
        until = {"$add": ["$$NOW", int(self.database.limits.held_s * 1000)]}
        held: Any = [{"$set": {"held": building, "held_until": until}}]
        with self.database.asking():
            pointer = {"_id": POINTER, "building": building}
            if not (await self._about.update_one(pointer, held)).matched_count:
                raise _superseded()
            reached: dict[str, int] = {}
            for source in await self._progress.distinct("_id"):
                found = await self._progress.find_one_and_update(
                    {"_id": source}, {"$set": {"held": building}}
                )
                assert found is not None
                reached[source] = int(found["version"])
        return reached

    async def switch(self, building: int, versions: Mapping[str, int]) -> None:
        """`versions`: how far each source has come in what was built, also where the former live one was
        further. Errors: StoreRefused where it was held for too long, or another rebuild was begun.
        """
        freed = {"generation": building, "held": None}

        async def move(session: Session) -> None:
            pointer = {"_id": POINTER, "building": building, "held": building}
            moved = {"$set": {**freed, "building": None}}
            if not (await self._about.update_one(pointer, moved, session=session)).matched_count:
                raise _superseded()
            known = [row["_id"] for row in await self._progress.find(session=session).to_list()]
            for source in {*known, *versions}:
                come = {"$set": {**freed, "version": versions.get(source, _UNSEEN)}}
                await self._progress.update_one({"_id": source}, come, upsert=True, session=session)

        await self.database.transaction(move)

    async def release(self, building: int) -> None:
        """Given up: the writers go on with the live one."""
        await self._free({"_id": POINTER, "building": building}, {"building": None, "held": None})

    async def release_overdue(self) -> None:
        """Whoever held the writers is gone or too slow, by the database's clock."""
        overdue = {"$expr": {"$lt": ["$held_until", "$$NOW"]}}
        await self._free({"_id": POINTER, "held": {"$ne": None}, **overdue}, {"held": None})

    async def _free(self, pointer: Stored, freed: Stored) -> None:
        async def free(session: Session) -> None:
            found = await self._about.update_one(pointer, {"$set": freed}, session=session)
            if found.matched_count:
                held = {"held": {"$ne": None}}
                await self._progress.update_many(held, {"$set": {"held": None}}, session=session)

        await self.database.transaction(free)

    async def drop(self, generation: int) -> None:
        for collection in INDEXED:
            with self.database.asking(self.database.limits.drop_s):
                await self.database.collection(name_of(collection, generation)).drop()

    async def drop_before(self, generation: int) -> None:
        """The former live one, and what rebuilds that ended halfway have left."""
        there = {name.rpartition("_")[2] for name in await self.database.names()}
        for former in range(1, generation):
            if str(former) in there:
                await self.drop(former)


def _elsewhere(error: BulkWriteError) -> Exception:
    """Somebody else inserted what this meant to: a held progress, or a document since the snapshot."""
    codes = {problem["code"] for problem in (error.details or {}).get("writeErrors", ())}
    return Elsewhere() if codes == {_DUPLICATE} else error


def _superseded() -> StoreRefused:
    return StoreRefused("another rebuild was begun, or this one held the writers for too long")
