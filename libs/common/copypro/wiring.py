"""Settings into adapters: the one place that names them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from copypro.adapters.mongo_database import MongoDatabase
from copypro.adapters.mongo_read_models import MongoReadModels
from copypro.adapters.mongo_users import MongoUsers
from copypro.adapters.mongo_vault import MongoVault
from copypro.adapters.mt4_terminal import Mt4Dialect
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.adapters.sealing import load_or_make_key
from copypro.adapters.sqlite_history import SqliteHistory
from copypro.adapters.sqlite_log import SqliteLog, SqliteLogReader
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.adapters.sqlite_users import SqliteUsers
from copypro.adapters.sqlite_vault import SqliteVault
from copypro.adapters.terminal import Terminals
from copypro.ports import LogHistory, ReadModels, TerminalFactory, TerminalLimits, Users, Vault
from copypro.settings import Settings
from copypro.values import Platform


class Databases:
    """Read models, users and vault: in MongoDB where it is set, else in the data folder."""

    def __init__(
        self, models: ReadModels, users: Users, vault: Vault, database: MongoDatabase | None = None
    ) -> None:
        self.models, self.users, self.vault, self._database = models, users, vault, database

    @classmethod
    async def open(cls, settings: Settings, installation: str | None = None) -> Databases:
        """`installation`: the log's id, where it has one. Errors: SecretsError, StoreUnavailable,
        StoreRefused, SettingsError: each says what to do.
        """
        folder = settings.data.resolve()
        keys = settings.secret_keys.split(",") if settings.secret_keys else load_or_make_key(folder)
        if not settings.mongo:
            vault = await SqliteVault.open(folder, keys)
            return cls(await SqliteReadModels.open(folder), await SqliteUsers.open(folder), vault)
        database = await MongoDatabase.open(settings.mongo, _new_id, installation)
        try:
            sealed = await MongoVault.open(database, keys)
            models = await MongoReadModels.open(database)
            return cls(models, await MongoUsers.open(database), sealed, database)
        except BaseException:
            await database.close()
            raise

    async def close(self) -> None:
        await self.models.close()
        await self.users.close()
        await self.vault.close()
        if self._database is not None:
            await self._database.close()


class Stores:
    """Everything durable of one process."""

    def __init__(self, log: SqliteLog, databases: Databases) -> None:
        self.log, self._databases = log, databases
        self.models, self.users, self.vault = databases.models, databases.users, databases.vault

    @classmethod
    async def open(cls, settings: Settings) -> Stores:
        """Errors: LogBusy, LogCorrupt, and those of `Databases.open`: each says what to do."""
        log = await SqliteLog.open(settings.data.resolve())
        try:
            return cls(log, await Databases.open(settings))
        except BaseException:
            await log.close()
            raise

    async def close(self) -> None:
        """The log first: nothing may be projected after it."""
        await self.log.close()
        await self._databases.close()


class Bridges:
    """The platforms that have an address."""

    def __init__(self, settings: Settings, limits: TerminalLimits) -> None:
        self._terminals: dict[Platform, Terminals] = {}
        for platform, dialect, address in (
            (Platform.MT4, Mt4Dialect(), settings.api_mt4),
            (Platform.MT5, Mt5Dialect(), settings.api_mt5),
        ):
            if address:
                reads = settings.reads_for(address)
                self._terminals[platform] = Terminals(dialect, address, limits, reads)

    @property
    def factories(self) -> Mapping[Platform, TerminalFactory]:
        return {platform: made.factory for platform, made in self._terminals.items()}

    async def close(self) -> None:
        for made in self._terminals.values():
            await made.aclose()


@asynccontextmanager
async def open_users(settings: Settings) -> AsyncIterator[Users]:
    """Beside the running program. Errors: LogCorrupt (no data of ours in the folder), or MongoDB's."""
    if settings.mongo:
        database = await MongoDatabase.open(settings.mongo, _new_id)
        try:
            yield await MongoUsers.open(database)
        finally:
            await database.close()
        return
    read_log(settings.data)
    users = await SqliteUsers.open(settings.data.resolve())
    try:
        yield users
    finally:
        await users.close()


@asynccontextmanager
async def open_models(settings: Settings) -> AsyncIterator[ReadModels]:
    """Beside the running program, to read. Errors: LogCorrupt (no data of ours), or MongoDB's."""
    if settings.mongo:
        database = await MongoDatabase.open_existing(settings.mongo)
        try:
            yield await MongoReadModels.open_read_only(database)
        finally:
            await database.close()
        return
    read_log(settings.data)
    models = SqliteReadModels.open_read_only(settings.data.resolve())
    try:
        yield models
    finally:
        await models.close()


def read_log(folder: Path) -> SqliteLogReader:
    return SqliteLogReader(folder.resolve())


def open_history(settings: Settings) -> LogHistory:
    """Errors: LogCorrupt (no log of ours in the folder)."""
    return SqliteHistory(read_log(settings.data))


def _new_id() -> str:
    return uuid.uuid4().hex
