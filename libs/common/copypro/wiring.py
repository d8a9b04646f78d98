"""Settings into adapters: the one place that names them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path

from prometheus_client import CollectorRegistry

from copypro.adapters import kafka_topics
from copypro.adapters.http_server import HttpServer
from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, started
from copypro.adapters.kafka_log import KafkaLog
from copypro.adapters.metrics import Metrics
from copypro.adapters.mt4_terminal import Mt4Dialect
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.adapters.sealing import SqliteVault, load_or_make_key
from copypro.adapters.sqlite_log import SqliteLog, SqliteLogReader
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.adapters.sqlite_users import SqliteUsers
from copypro.adapters.terminal import Terminals
from copypro.health import App
from copypro.ports import (
    EventLog,
    ReadModels,
    TerminalFactory,
    TerminalLimits,
    Users,
    Vault,
)
from copypro.settings import Settings
from copypro.values import Platform


class Store(StrEnum):
    """What a service may need of what is durable."""

    LOG = "log"
    MODELS = "models"
    USERS = "users"
    VAULT = "vault"


class Stores:
    """What is durable, of it what was asked for; the rest is not opened."""

    log: EventLog
    models: ReadModels
    users: Users
    vault: Vault

    def __init__(self, settings: Settings) -> None:
        self._settings, self._folder = settings, settings.data.resolve()
        self._opened: list[EventLog | ReadModels | Users | Vault] = []

    @classmethod
    async def open(cls, settings: Settings, needs: Collection[Store] = tuple(Store)) -> Stores:
        """Errors: LogBusy, LogCorrupt, SecretsError: each says what to do. StoreUnavailable: a server
        does not answer yet.
        """
        stores = cls(settings)
        try:
            for store in Store:
                if store in needs:
                    await stores._open(store)
        except BaseException:
            await stores.close()
            raise
        return stores

    async def close(self) -> None:
        """The log first: nothing may be projected after it."""
        for opened in self._opened:
            await opened.close()

    async def _open(self, store: Store) -> None:
        settings, folder = self._settings, self._folder
        folder.mkdir(parents=True, exist_ok=True)
        match store:
            case Store.LOG:
                opened: EventLog | ReadModels | Users | Vault = await _open_log(settings)
            case Store.MODELS:
                opened = await SqliteReadModels.open(folder)
            case Store.USERS:
                opened = await SqliteUsers.open(folder)
            case Store.VAULT:
                opened = await SqliteVault.open(folder, _keys(settings))
        self._opened.append(opened)
        setattr(self, store.value, opened)


async def _open_log(settings: Settings) -> EventLog:
    if settings.kafka:
        limits = KafkaLimits(session_timeout_s=settings.session_timeout_s)
        return await KafkaLog.open(kafka_settings(settings), limits)
    return await SqliteLog.open(settings.data.resolve())


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
    return load_or_make_key(settings.data.resolve())


def operators_metrics() -> Metrics:
    """Of this process, on a registry of its own."""
    return Metrics(CollectorRegistry())


def http_server(app: App) -> HttpServer:
    return HttpServer(app)


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
