"""Kafka's clients as this program uses them: where the brokers are, how patient to be, what an error means."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiokafka.producer.sender
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    KafkaError,
    ProducerFenced,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from msgspec import Struct

from copypro.errors import LogError, LogRefused, LogUnavailable, SettingsError

Answer = TypeVar("Answer")

# A new transaction waits so long for the markers of the last one; the library's 20 ms would be most
# of a hop's time.
aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002


class KafkaLimits(Struct, frozen=True, kw_only=True):
    session_timeout_s: float = 6.0
    """A process that is silent for so long loses its partitions."""
    start_s: float = 20.0
    commit_s: float = 10.0
    """A commit that takes longer is given up and its partition taken over anew."""
    take_over_s: float = 60.0
    """From the fence to the last state record read."""
    again_first_s: float = 0.1
    again_cap_s: float = 5.0
    lasted_s: float = 30.0
    """A group that broke after so long is joined anew at once."""
    say_again_s: float = 30.0
    """How often it is said that the brokers cannot be reached."""
    joined_within_s: float = 20.0
    """A group that is not joined for longer, at first or anew, is named."""
    stalled_s: float = 15.0
    """Records that are there and do not come for so long: the group is joined anew."""
    long_poll_s: float = 0.1
    """Also how late a partition that was taken over joins the next fetch."""
    buffered_records: int = 4096
    """Read ahead for an owner that is slow; then its partition is not fetched."""
    batch_records: int = 512
    """Most records that one read gives."""
    record_bytes: int = 4_000_000
    transaction_timeout_s: float = 10.0
    """What a dead writer had begun is undone after so long, if nobody fences it before."""
    group_offsets_every_s: float = 10.0
    """For the lag tools of operators; nothing here reads them."""


class KafkaSettings(Struct, frozen=True, kw_only=True):
    bootstrap: str
    prefix: str = ""
    """Before every topic, group and transactional id: two installations can share a cluster."""
    security: str = "PLAINTEXT"
    sasl_mechanism: str = ""
    username: str = ""
    password: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def __repr__(self) -> str:
        return f"KafkaSettings(bootstrap={self.bootstrap!r}, prefix={self.prefix!r})"


def _is_news(record: logging.LogRecord) -> bool:
    """Not of a fenced producer: the library leaves futures of it that nobody can look at, and an
    ordinary takeover would be told as an error with a traceback. Its writer says `partition lost`.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ProducerFenced)


class Clients:
    """Makes clients that share one way of reaching the brokers; the caller starts and stops them."""

    def __init__(self, settings: KafkaSettings, limits: KafkaLimits) -> None:
        """Errors: SettingsError for files that are no certificate or key."""
        self.settings, self.limits = settings, limits
        self._common = _common(settings)
        logging.getLogger("asyncio").addFilter(_is_news)

    def name(self, name: str) -> str:
        return f"{self.settings.prefix}{name}"

    def producer(self, transactional_id: str) -> AIOKafkaProducer:
        """Started, it has fenced every former producer of this id and ended what they had begun."""
        limits = self.limits
        return AIOKafkaProducer(
            **self._common,
            client_id=transactional_id,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(limits.transaction_timeout_s * 1000),
            acks="all",
            linger_ms=0,
            max_batch_size=limits.record_bytes,
            max_request_size=limits.record_bytes,
            request_timeout_ms=int(limits.commit_s * 1000),
            retry_backoff_ms=3,
        )

    def consumer(self, *, lost: str = "earliest", **more: Any) -> AIOKafkaConsumer:
        """Of committed records only. `lost`: where to go on when the place to read at is not there;
        with `none` that is an error.
        """
        return AIOKafkaConsumer(
            **self._common,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset=lost,
            fetch_max_wait_ms=int(self.limits.long_poll_s * 1000),
            max_partition_fetch_bytes=2 * self.limits.record_bytes,
            retry_backoff_ms=20,
            **more,
        )

    def admin(self) -> AIOKafkaAdminClient:
        return AIOKafkaAdminClient(**self._common, client_id="copypro-admin")

    async def knock(self) -> None:
        """The library only logs why no broker let it in; this says it.

        Errors: LogUnavailable (nobody answers), LogRefused (credentials).
        """
        common = dict(self._common)
        hosts = collect_hosts(common.pop("bootstrap_servers"))
        for host, port, _ in hosts:
            try:
                connection = await translated(
                    create_conn(host, port, **common), self.limits.start_s
                )
            except LogUnavailable:
                continue
            connection.close()
            return
        listed = ", ".join(f"{host}:{port}" for host, port, _ in hosts)
        raise LogUnavailable(f"no Kafka broker answers at {listed}")


@asynccontextmanager
async def started(client: Any, within_s: float) -> AsyncIterator[Any]:
    """A client, started and in the end stopped. Errors: as `start`."""
    await start(client, within_s)
    try:
        yield client
    finally:
        await stop(client)


async def start(client: Any, within_s: float) -> None:
    """Errors: LogUnavailable, LogRefused; then the client is stopped."""
    try:
        await translated(client.start(), within_s)
    except BaseException:
        await stop(client)
        raise


async def stop(client: Any, within_s: float = 3.0) -> None:
    """Also of a client that is stuck because its broker is gone: the library would wait for it, with
    its tasks running and its connections open. What it had not finished is undone by the next fence.
    """
    stopping = asyncio.ensure_future(client.close() if _is_admin(client) else client.stop())
    await asyncio.wait([stopping], timeout=within_s)
    if not stopping.done():
        stopping.cancel()
        inner = client.client if isinstance(client, AIOKafkaProducer) else client._client
        await asyncio.wait([asyncio.ensure_future(inner.close())], timeout=within_s)
        tasks = [stopping, *_tasks_of(client)]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=within_s)
    if stopping.done() and not stopping.cancelled():
        stopping.exception()  # it is thrown away either way


def _tasks_of(client: Any) -> list[asyncio.Future[Any]]:
    """What the library runs for a client."""
    if isinstance(client, AIOKafkaProducer):
        found = [client._sender.sender_task]
    elif isinstance(client, AIOKafkaConsumer):
        coordinator, fetcher = client._coordinator, client._fetcher
        found = [getattr(coordinator, "_coordination_task", None)]
        found += [getattr(coordinator, "_heartbeat_task", None)]
        found += [getattr(fetcher, "_fetch_task", None)]
    else:
        found = []
    return [task for task in found if task is not None]


async def translated(work: Awaitable[Answer], within_s: float) -> Answer:
    """Errors: LogUnavailable (nobody answers, or not in time), LogRefused (credentials)."""
    try:
        async with asyncio.timeout(within_s):
            return await work
    except TimeoutError:
        raise LogUnavailable(f"Kafka did not answer within {within_s:g} s") from None
    except KafkaError as error:
        raise meaning(error) from error
    except OSError as error:
        raise LogUnavailable(f"Kafka: {error.strerror or error}") from error


_REFUSALS = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)


def meaning(error: KafkaError) -> LogError:
    if isinstance(error, _REFUSALS):
        return LogRefused(
            "Kafka refuses the credentials: check KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_MECHANISM,"
            " KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
        )
    return LogUnavailable(f"Kafka: {error}")


def _is_admin(client: Any) -> bool:
    return isinstance(client, AIOKafkaAdminClient)


def _common(settings: KafkaSettings) -> Mapping[str, Any]:
    common: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security,
    }
    if settings.security in ("SSL", "SASL_SSL"):
        common["ssl_context"] = _context(settings)
    if settings.sasl_mechanism:
        common["sasl_mechanism"] = settings.sasl_mechanism
        common["sasl_plain_username"] = settings.username
        common["sasl_plain_password"] = settings.password
    return common


def _context(settings: KafkaSettings) -> ssl.SSLContext:
    """Errors: SettingsError for files that are no certificate or key."""
    names = "KAFKA_SSL_CA_FILE"
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        names = "KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE"
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file or None)
    except OSError as error:
        raise SettingsError(
            f"{names}: {error.strerror or error}: files in PEM are needed"
        ) from None
    return context
