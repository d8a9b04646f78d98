"""Settings into adapters: the one place that names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from copypro.adapters.mt4_terminal import Mt4Dialect
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.adapters.sealing import SqliteVault, load_or_make_key
from copypro.adapters.sqlite_log import SqliteLog, SqliteLogReader
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.adapters.sqlite_users import SqliteUsers
from copypro.adapters.terminal import Terminals
from copypro.ports import TerminalFactory, TerminalLimits
from copypro.settings import Settings
from copypro.values import Platform


class Stores:
    """Everything durable of one data folder."""

    def __init__(
        self, log: SqliteLog, models: SqliteReadModels, users: SqliteUsers, vault: SqliteVault
    ) -> None:
        self.log, self.models, self.users, self.vault = log, models, users, vault

    @classmethod
    async def open(cls, settings: Settings) -> Stores:
        """Errors: LogBusy, LogCorrupt, SecretsError: each says what to do."""
        folder = settings.data.resolve()
        log = await SqliteLog.open(folder)
        try:
            keys = (
                settings.secret_keys.split(",")
                if settings.secret_keys
                else load_or_make_key(folder)
            )
            vault = await SqliteVault.open(folder, keys)
            models = await SqliteReadModels.open(folder)
            users = await SqliteUsers.open(folder)
        except BaseException:
            await log.close()
            raise
        return cls(log, models, users, vault)

    async def close(self) -> None:
        """The log first: nothing may be projected after it."""
        await self.log.close()
        await self.models.close()
        await self.users.close()
        await self.vault.close()


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


async def open_users(folder: Path) -> SqliteUsers:
    """Beside the running program. Errors: LogCorrupt (no data of ours in this folder)."""
    read_log(folder)
    return await SqliteUsers.open(folder)


def read_log(folder: Path) -> SqliteLogReader:
    return SqliteLogReader(folder.resolve())


def read_models(folder: Path) -> SqliteReadModels:
    return SqliteReadModels.open_read_only(folder.resolve())
