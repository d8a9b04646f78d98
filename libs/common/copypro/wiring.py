"""Settings into adapters: the one place that names them."""

from __future__ import annotations

import asyncio
import shutil
import time
import uuid
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path

from prometheus_client import CollectorRegistry

from copypro.adapters import kafka_topics
from copypro.adapters.data_files import require_key, require_log, say_if_new, say_if_shared
from copypro.adapters.data_folder import FolderBesideLog
from copypro.adapters.http_server import HttpServer
from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, started
from copypro.adapters.kafka_history import KafkaHistory
from copypro.adapters.kafka_log import KafkaLog
from copypro.adapters.local_bridge import LocalServer, LocalTerminals
from copypro.adapters.mails import FileMail, SmtpMail
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.adapters.memory_vault import MemoryVault
from copypro.adapters.metrics import Metrics
from copypro.adapters.mongo_database import MongoDatabase
from copypro.adapters.mongo_read_models import MongoReadModels
from copypro.adapters.mongo_repeats import MongoRepeats
from copypro.adapters.mongo_users import MongoUsers
from copypro.adapters.mongo_vault import MongoVault
from copypro.adapters.sealing import (
    KeySource,
    add_key,
    keep_newest_key,
    load_or_make_key,
)
from copypro.adapters.sqlite_file import make_folder
from copypro.adapters.sqlite_history import SqliteHistory
from copypro.adapters.sqlite_log import SqliteLog, SqliteLogReader
from copypro.adapters.sqlite_read_models import FILE as MODELS_FILE
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.adapters.sqlite_repeats import SqliteRepeats
from copypro.adapters.sqlite_users import FILE as USERS_FILE
from copypro.adapters.sqlite_users import SqliteUsers
from copypro.adapters.sqlite_vault import FILE as VAULT_FILE
from copypro.adapters.sqlite_vault import SqliteVault
from copypro.adapters.terminal import Terminals
from copypro.adapters.terminals import DIALECTS, terminal_factory
from copypro.adapters.webhooks import Webhooks
from copypro.envelope import utc_now
from copypro.errors import CopyProError
from copypro.health import App
from copypro.ports import (
    EventLog,
    LogHistory,
    Mail,
    Post,
    ReadModels,
    Repeats,
    Rewrapped,
    TerminalFactory,
    TerminalLimits,
    Users,
    Vault,
)
from copypro.settings import Settings
from copypro.values import Platform

Probe = Callable[[], Awaitable[object]]
LEAST_FREE_BYTES = 100 << 20
"""Where the log is kept; with less nothing is opened, so that closes can still be recorded."""
ROOM_AGAIN_BYTES = 150 << 20
"""Once there was too little, as much as this is enough: what comes and goes raises no alert each time."""
LOOK_AT_DISK_S = 1.0
PROBE_S = 3.0
"""A server that has not answered by then does not answer."""


class Store(StrEnum):
    """What a service may need of what is durable."""

    LOG = "log"
    MODELS = "models"
    USERS = "users"
    VAULT = "vault"
    REPEATS = "repeats"


class Stores:
    """What is durable, of it what was asked for; the rest is not opened."""

    log: EventLog
    models: ReadModels
    users: Users
    vault: Vault
    repeats: Repeats

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: list[
            EventLog | ReadModels | Users | Vault | Repeats | MongoDatabase | FolderBesideLog
        ] = []
        self._probes: dict[str, Probe] = {}
        self._log_folder: Path | None = None
        self._free_bytes, self._is_short, self._looked_at = 0, False, float("-inf")

    @classmethod
    async def open(cls, settings: Settings, needs: Collection[Store] = tuple(Store)) -> Stores:
        """Errors: LogBusy, LogCorrupt, LogRefused, LogLayout, SecretsError, StoreRefused: each says
        what to do. LogUnavailable, StoreUnavailable: a server does not answer yet.
        """
        stores = cls(settings)
        try:
            await stores._open(needs)
        except BaseException:
            await stores.close()
            raise
        return stores

    async def close(self) -> None:
        """The log first: nothing may be projected after it. A folder is let go last."""
        for opened in sorted(self._opened, key=lambda one: isinstance(one, FolderBesideLog)):
            await opened.close()

    def short_of_room(self) -> int | None:
        """Bytes left on the disk of a log of our own, if they are too few, or were and are not yet enough
        again; looked at once a second.
        """
        now = time.monotonic()
        if self._log_folder is not None and now - self._looked_at >= LOOK_AT_DISK_S:
            self._looked_at = now
            self._free_bytes = _free_bytes(self._log_folder)
            enough = ROOM_AGAIN_BYTES if self._is_short else LEAST_FREE_BYTES
            self._is_short = self._free_bytes < enough
        return self._free_bytes if self._is_short else None

    async def unreachable(self) -> list[str]:
        """The servers that do not answer now, with what they said; and a folder that is gone."""
        reasons: list[str] = []
        folder = self._log_folder
        if folder is not None and not folder.exists():
            reasons.append(
                f"{folder} is not there any more: stop, and put it back or set COPYPRO_DATA"
            )
        for name, probe in self._probes.items():
            try:
                async with asyncio.timeout(PROBE_S):
                    await probe()
            except (CopyProError, OSError, TimeoutError) as error:
                reasons.append(f"{name}: {str(error) or 'no answer'}")
        return reasons

    async def _open(self, needs: Collection[Store]) -> None:
        settings = self._settings
        installation: str | None = None
        if Store.LOG in needs:
            installation = await self._open_log()
        kept = [store for store in Store if store in needs and store is not Store.LOG]
        if not kept:
            return
        database: MongoDatabase | None = None
        if settings.mongo:
            database = await MongoDatabase.open(settings.mongo, _new_id, installation)
            self._opened.append(database)
            self._probes["database"] = database.names
        elif installation is not None:
            self._opened.append(FolderBesideLog.open(settings.data.resolve(), installation))
        else:
            make_folder(settings.data.resolve())
        for store in kept:
            if not settings.mongo and isinstance(self.log, SqliteLog) and self.log.is_begun:
                say_if_new(settings.data.resolve(), _FILES.get(store, ""))
            opened = await _open_kept(store, settings, database)
            setattr(self, store.value, opened)
            self._opened.append(opened)
        if not settings.mongo:
            say_if_shared(settings.data.resolve())

    async def _open_log(self) -> str | None:
        """What tells this log from every other, where it is a server's."""
        settings = self._settings
        if not settings.kafka:
            require_log(settings.data.resolve())
            file_log = await SqliteLog.open(settings.data.resolve())
            self.log = file_log
            self._opened.append(file_log)
            self._probes["log"] = file_log.check
            self._log_folder = settings.data.resolve()
            return None
        limits = KafkaLimits(session_timeout_s=settings.session_timeout_s)
        log = await KafkaLog.open(kafka_settings(settings), limits)
        self.log = log
        self._opened.append(log)
        self._probes["log"] = log.check
        return log.cluster_id


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:  # what is not there any more takes nothing in
        return 0


_FILES = {Store.MODELS: MODELS_FILE, Store.USERS: USERS_FILE, Store.VAULT: VAULT_FILE}
"""Of the stores beside a log of our own those whose loss is told."""


async def _open_kept(
    store: Store, settings: Settings, database: MongoDatabase | None
) -> ReadModels | Users | Vault | Repeats:
    """In MongoDB where it is set, else in the data folder."""
    folder = settings.data.resolve()
    match store:
        case Store.MODELS if database is not None:
            return await MongoReadModels.open(database)
        case Store.MODELS:
            return await SqliteReadModels.open(folder)
        case Store.USERS if database is not None:
            return await MongoUsers.open(database)
        case Store.USERS:
            return await SqliteUsers.open(folder)
        case Store.REPEATS if database is not None:
            return await MongoRepeats.open(database)
        case Store.REPEATS:
            return await SqliteRepeats.open(folder)
        case Store.VAULT if database is not None:
            return await MongoVault.open(database, _keys(settings), _renew(settings))
        case _:
            return await SqliteVault.open(folder, _keys(settings), _renew(settings))


def kafka_settings(settings: Settings) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=settings.kafka,
        prefix=settings.topic_prefix,
        security=settings.kafka_security,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_username,
        password=settings.kafka_password,
        ca_file=settings.kafka_ca_file,
        cert_file=settings.kafka_cert_file,
        key_file=settings.kafka_key_file,
    )


async def create_topics(settings: Settings) -> tuple[list[str], int]:
    """What was missing and is made, and the partitions of each. Errors: LogUnavailable, LogRefused."""
    count, copies = settings.partitions, settings.replication
    async with _kafka_admin(settings) as admin:
        return await kafka_topics.create(admin, settings.topic_prefix, count, copies), count


async def check_topics(settings: Settings) -> list[str]:
    """What differs, a line each. Errors: LogUnavailable, LogRefused."""
    async with _kafka_admin(settings) as admin:
        return (await kafka_topics.read_layout(admin, settings.topic_prefix)).differences()


@asynccontextmanager
async def _kafka_admin(settings: Settings) -> AsyncIterator[kafka_topics.Admin]:
    limits = KafkaLimits()
    clients = Clients(kafka_settings(settings), limits)
    await clients.knock()
    async with started(clients.admin(), limits.start_s) as admin:
        yield admin


def _keys(settings: Settings) -> Sequence[str]:
    if settings.secret_keys:
        return settings.secret_keys.split(",")
    folder = settings.data.resolve()
    if not settings.mongo:
        require_key(folder)
    return load_or_make_key(folder)


def _renew(settings: Settings) -> KeySource | None:
    """A key file may be changed by `copypro keys rotate` while the program runs; a setting cannot."""
    return None if settings.secret_keys else lambda: _keys(settings)


def operators_metrics() -> Metrics:
    """Of this process, on a registry of its own."""
    return Metrics(CollectorRegistry())


def webhooks(settings: Settings) -> Post:
    """The one way of posting."""
    return Webhooks(utc_now, private_allowed=settings.callback_private)


def http_server(app: App, settings: Settings | None = None) -> HttpServer:
    """Without settings: plain, behind nothing. Errors: SettingsError for files that are no certificate."""
    if settings is None:
        return HttpServer(app)
    tls = (settings.tls_cert, settings.tls_key) if settings.tls_cert else None
    return HttpServer(app, settings.trusted_proxies.replace(",", " ").split(), tls)


class Bridges:
    """The platforms that have an address."""

    def __init__(self, settings: Settings, limits: TerminalLimits) -> None:
        self._terminals: dict[Platform, Terminals] = {}
        addresses = {Platform.MT4: settings.api_mt4, Platform.MT5: settings.api_mt5}
        for platform, address in addresses.items():
            if address:
                reads = settings.reads_for(address)
                self._terminals[platform] = terminal_factory(platform, address, limits, reads)

    @property
    def factories(self) -> Mapping[Platform, TerminalFactory]:
        return self._terminals

    async def close(self) -> None:
        for made in self._terminals.values():
            await made.aclose()


class InMemory:
    """All of a ring's stores for one replay: nothing is kept, and the same seed gives the same."""

    def __init__(self, seed: int) -> None:
        self.log = MemoryLog(partitions=1, seed=seed)
        self.models = MemoryReadModels()
        self.vault = MemoryVault()

    @staticmethod
    def terminals(servers: Mapping[Platform, LocalServer]) -> Mapping[Platform, TerminalFactory]:
        """On bridges of this process."""
        return {
            platform: LocalTerminals(DIALECTS[platform], server, TerminalLimits())
            for platform, server in servers.items()
        }


@asynccontextmanager
async def open_users(settings: Settings) -> AsyncIterator[Users]:
    """Beside the running program, or before its first start: a new database is given the log's id.

    Errors: LogCorrupt (no data of ours in the folder), or MongoDB's and Kafka's.
    """
    if settings.mongo:
        installation = await _id_of_log(settings) if settings.kafka else None
        database = await MongoDatabase.open(settings.mongo, _new_id, installation)
        try:
            yield await MongoUsers.open(database)
        finally:
            await database.close()
        return
    _check_folder(settings)
    users = await SqliteUsers.open(settings.data.resolve())
    try:
        yield users
    finally:
        await users.close()


async def rotate_keys(settings: Settings, *, dry_run: bool) -> Rewrapped:
    """The data keys under the newest of COPYPRO_SECRET_KEYS, or under a new key in the key file, from
    which the older ones are then gone. Beside the running program.

    Errors: LogCorrupt (no data of ours in the folder), SecretsError, StoreError.
    """
    if not settings.mongo:
        _check_folder(settings)
    folder, has_file = settings.data.resolve(), not settings.secret_keys
    if not has_file:
        return await _rewrap(settings, dry_run=dry_run)
    if dry_run:
        found = await _rewrap(settings, dry_run=True)
        return Rewrapped(keys=found.keys, rewrapped=found.keys)
    _keys(settings)
    add_key(folder)
    done = await _rewrap(settings, dry_run=False)
    keep_newest_key(folder)
    return done


async def _rewrap(settings: Settings, *, dry_run: bool) -> Rewrapped:
    database = await MongoDatabase.open_existing(settings.mongo) if settings.mongo else None
    try:
        vault = await _open_kept(Store.VAULT, settings, database)
        assert isinstance(vault, MongoVault | SqliteVault)
        try:
            return await vault.rewrap(dry_run=dry_run)
        finally:
            await vault.close()
    finally:
        if database is not None:
            await database.close()


async def _id_of_log(settings: Settings) -> str:
    log = await KafkaLog.open(kafka_settings(settings))
    try:
        return log.cluster_id
    finally:
        await log.close()


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
    _check_folder(settings)
    models = SqliteReadModels.open_read_only(settings.data.resolve())
    try:
        yield models
    finally:
        await models.close()


def open_history(settings: Settings) -> LogHistory:
    """Errors: LogCorrupt (no log of ours in the folder)."""
    if settings.kafka:
        return KafkaHistory(kafka_settings(settings))
    return SqliteHistory(SqliteLogReader(settings.data.resolve()))


def _check_folder(settings: Settings) -> None:
    """Errors: LogCorrupt for a folder without a log of ours, where the log is kept in it."""
    if not settings.kafka:
        SqliteLogReader(settings.data.resolve())


def _new_id() -> str:
    return uuid.uuid4().hex


def open_mail(settings: Settings) -> Mail | None:
    """None: no letter can be sent here."""
    if settings.mail == "file":
        return FileMail(settings.data.resolve())
    return SmtpMail(settings.mail, settings.mail_from) if settings.mail else None
