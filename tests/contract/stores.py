"""The stores under test, each with a place of its own."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from copypro import collections as c
from copypro.adapters.mongo_database import MongoDatabase, MongoLimits
from copypro.adapters.mongo_read_models import MongoReadModels
from copypro.adapters.mongo_repeats import MongoRepeats
from copypro.adapters.mongo_users import MongoUsers
from copypro.adapters.mongo_vault import MongoVault
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.adapters.sqlite_repeats import SqliteRepeats
from copypro.adapters.sqlite_users import SqliteUsers
from copypro.adapters.sqlite_vault import SqliteVault
from copypro.ports import Document, ReadModels, Repeats, Upsert, Users, Vault

from tests.servers import database_of_its_own, drop

Store = TypeVar("Store", SqliteReadModels, SqliteRepeats, SqliteUsers, SqliteVault)
LIMITS = MongoLimits(held_s=2.0)


class Place(Protocol):
    """Each call opens what is there anew, as another process would."""

    async def models(self) -> ReadModels: ...

    async def reader(self) -> ReadModels: ...

    async def users(self) -> Users: ...

    async def vault(self, keys: Sequence[str]) -> Vault: ...

    async def repeats(self) -> Repeats: ...

    async def close(self) -> None: ...


class SqlitePlace:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: list[ReadModels | Users | Vault | Repeats] = []

    async def models(self) -> ReadModels:
        return self._kept(await SqliteReadModels.open(self._folder))

    async def reader(self) -> ReadModels:
        return self._kept(SqliteReadModels.open_read_only(self._folder))

    async def users(self) -> Users:
        return self._kept(await SqliteUsers.open(self._folder))

    async def vault(self, keys: Sequence[str]) -> Vault:
        return self._kept(await SqliteVault.open(self._folder, keys))

    async def repeats(self) -> Repeats:
        return self._kept(await SqliteRepeats.open(self._folder))

    async def close(self) -> None:
        for store in self._opened:
            await store.close()

    def _kept(self, store: Store) -> Store:
        self._opened.append(store)
        return store


class MongoPlace:
    def __init__(self, url: str, limits: MongoLimits = LIMITS) -> None:
        self.url, self._limits = database_of_its_own(url), limits
        self._opened: list[MongoDatabase] = []

    async def database(self, installation: str | None = None) -> MongoDatabase:
        database = await MongoDatabase.open(self.url, new_id, installation, self._limits)
        self._opened.append(database)
        return database

    async def models(self) -> MongoReadModels:
        return await MongoReadModels.open(await self.database())

    async def reader(self) -> ReadModels:
        existing = await MongoDatabase.open_existing(self.url, self._limits)
        self._opened.append(existing)
        return await MongoReadModels.open_read_only(existing)

    async def users(self) -> Users:
        return await MongoUsers.open(await self.database())

    async def vault(self, keys: Sequence[str]) -> Vault:
        return await MongoVault.open(await self.database(), keys)

    async def repeats(self) -> Repeats:
        return await MongoRepeats.open(await self.database())

    async def close(self) -> None:
        for database in self._opened:
            await database.close()
        await drop(self.url)


def new_id() -> str:
    return uuid.uuid4().hex


def put(id_: str, source: str, version: int, fields: Document | None) -> Upsert:
    return Upsert(collection=c.TRADE_LOGS, id=id_, source=source, version=version, fields=fields)
