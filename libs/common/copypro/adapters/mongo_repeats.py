"""Answers that may be asked for again, in MongoDB."""

from __future__ import annotations

from datetime import datetime

from pymongo.errors import DuplicateKeyError

from copypro.adapters.mongo_database import MongoDatabase

REPEATS = "repeats"


class MongoRepeats:
    def __init__(self, database: MongoDatabase) -> None:
        self._database, self._repeats = database, database.collection(REPEATS)

    @classmethod
    async def open(cls, database: MongoDatabase) -> MongoRepeats:
        repeats = cls(database)
        with database.asking(database.limits.index_s):
            await repeats._repeats.create_index("until")
        return repeats

    async def claim(self, key: str, text: str, now: datetime, until: datetime) -> str | None:
        with self._database.asking():
            await self._repeats.delete_many({"until": {"$lte": now.timestamp()}})
            try:
                row = {"_id": key, "text": text, "until": until.timestamp()}
                await self._repeats.insert_one(row)
                return None
            except DuplicateKeyError:
                found = await self._repeats.find_one({"_id": key})
        # Gone meanwhile: its time was over, or its call failed. Nobody has it then.
        return await self.claim(key, text, now, until) if found is None else str(found["text"])

    async def keep(self, key: str, text: str, until: datetime) -> None:
        row = {"text": text, "until": until.timestamp()}
        with self._database.asking():
            await self._repeats.replace_one({"_id": key}, row, upsert=True)

    async def forget(self, key: str) -> None:
        with self._database.asking():
            await self._repeats.delete_one({"_id": key})

    async def close(self) -> None:
        """The database is closed by whoever opened it."""
