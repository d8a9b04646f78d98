"""Settings to adapters: the one place that names them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct

from copypro.adapters import sealing
from copypro.adapters.mt4_terminal import Mt4Dialect
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.adapters.sealing import SqliteVault
from copypro.adapters.sqlite_log import SqliteLog, SqliteLogReader
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.adapters.sqlite_users import SqliteUsers
from copypro.adapters.terminal import Terminals
from copypro.errors import LogCorrupt
from copypro.ports import EventLog, ReadModels, TerminalFactory, TerminalLimits, Users, Vault
from copypro.settings import Settings
from copypro.values import Platform

OURS = frozenset(
    {"log.db", "read-models.db", "users.db", "vault.db", "secret.key", "lock", "operator.json"}
)
"""What may lie in a data folder; beside each database its -wal and -shm."""


class Adapters(Struct, frozen=True):
    """What the services are handed."""

    log: EventLog
    read_models: ReadModels
    users: Users
    vault: Vault
    terminals: Mapping[Platform, TerminalFactory]


@asynccontextmanager
async def adapters(settings: Settings, limits: TerminalLimits) -> AsyncIterator[Adapters]:
    """Everything on SQLite in the data folder, closed again in the order that loses nothing.

    Errors: LogBusy, LogCorrupt, SecretsError, each with a line that says what to do.
    """
    folder = settings.data
    prepare(folder)
    async with AsyncExitStack() as stack:
        log = await SqliteLog.open(folder)
        stack.push_async_callback(log.close)
        keys = [key.get_secret_value() for key in settings.secret_keys]
        try:
            vault = await SqliteVault.open(folder, keys or sealing.load_or_make_key(folder))
            stack.push_async_callback(vault.close)
            users = await SqliteUsers.open(folder)
            stack.push_async_callback(users.close)
            read_models = await SqliteReadModels.open(folder)
            stack.push_async_callback(read_models.close)
        except sqlite3.DatabaseError as error:
            raise LogCorrupt(f"a database in {folder} is damaged or not ours: {error}") from error
        terminals: dict[Platform, TerminalFactory] = {}
        for platform, url in settings.bridges().items():
            dialect = Mt4Dialect() if platform is Platform.MT4 else Mt5Dialect()
            bridge = Terminals(dialect, url, limits, settings.reads_per_s(url))
            stack.push_async_callback(bridge.aclose)
            terminals[platform] = bridge.factory
        yield Adapters(log, read_models, users, vault, terminals)


def prepare(folder: Path) -> None:
    """Makes the folder, for its owner's eyes only. Errors: LogCorrupt for one that is not ours."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        names = os.listdir(folder)
    except OSError as error:
        raise LogCorrupt(f"COPYPRO_DATA: {folder} cannot be used: {error.strerror}") from error
    foreign = [name for name in names if name.removesuffix("-wal").removesuffix("-shm") not in OURS]
    if foreign and "log.db" not in names:
        raise LogCorrupt(
            f"COPYPRO_DATA: {folder} holds other things ({sorted(foreign)[0]} …) and no data of"
            " CopyPro: name an empty or a new folder"
        )


def open_log_reader(folder: Path) -> SqliteLogReader:
    """The log of a program that may be running, read-only. Errors: LogCorrupt."""
    return SqliteLogReader(folder)


def open_read_models(folder: Path) -> ReadModels:
    """The read models of a program that may be running, read-only. Errors: LogCorrupt."""
    open_log_reader(folder)
    return SqliteReadModels.open_read_only(folder)
