"""The programs of examples/, as their readers start them, against a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from copypro import messages as m
from copypro import topics
from copypro.envelope import encode, fact
from copypro.ports import Outgoing
from copypro.trading import Figures
from copypro.values import AccountId, Platform, RootId, Side, Ticket, account_id
from msgspec.structs import replace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
EXAMPLES = Path(__file__).parents[2] / "examples"
PARTITIONS = 2
NOW = datetime.now(UTC).replace(microsecond=0)
FIRST = account_id(Platform.MT4, "Amber", 1)
SECOND = account_id(Platform.MT5, "Cobalt", 2)
WITHIN_S = 180.0
STARTS, START_S = 4, 60.0


class Cluster:
    """The broker, and topics of one test's own."""

    def __init__(self, address: str, producer: AIOKafkaProducer, prefix: str) -> None:
        self.address, self.prefix = address, prefix
        self._producer = producer

    async def append(self, *messages: Outgoing, commit: bool = True) -> None:
        """In one transaction, as CopyPro writes."""
        await self._producer.begin_transaction()
        for out in messages:
            sent = await self._producer.send(
                self.prefix + out.topic,
                key=out.key.encode(),
                value=out.value,
                headers=[(name, value.encode()) for name, value in out.headers.items()],
            )
            await sent
        if commit:
            await self._producer.commit_transaction()
        else:
            await self._producer.abort_transaction()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.address,
            "COPYPRO_TOPIC_PREFIX": self.prefix,
            "COPYPRO_PARTITIONS": str(PARTITIONS),
        }


@pytest.fixture
async def cluster(kafka_address: str) -> AsyncIterator[Cluster]:
    prefix = f"t{uuid.uuid4().hex[:8]}."
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_address)
    await admin.start()
    names = [topic.name for topic in topics.TOPICS] + ["daily-loss-alerts"]
    await admin.create_topics([NewTopic(prefix + name, PARTITIONS, 1) for name in names])
    producer = AIOKafkaProducer(bootstrap_servers=kafka_address, transactional_id=prefix)
    await producer.start()
    yield Cluster(kafka_address, producer, prefix)
    await producer.stop()
    await admin.close()


class Program:
    """A running example, and what it printed."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process, self._log = process, log

    def said(self) -> list[str]:
        return self._log.read_text().splitlines()

    async def says(self, *parts: str) -> list[str]:
        """All lines, once one of them holds each part."""

        def found() -> bool:
            return all(any(part in line for line in self.said()) for part in parts)

        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while not found():
            assert self.process.returncode is None, self.said()
            assert asyncio.get_running_loop().time() < deadline, self.said()
            await asyncio.sleep(0.05)
        return self.said()


@asynccontextmanager
async def running(cluster: Cluster, tmp_path: Path, *command: str) -> AsyncIterator[Program]:
    """Stopped by SIGTERM, which each of them obeys."""
    log = tmp_path / f"{uuid.uuid4().hex}.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            cwd=EXAMPLES,
            stdout=out,
            stderr=out,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONUNBUFFERED": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
                **cluster.environment,
            },
        )
    program = Program(process, log)
    try:
        yield program
        if process.returncode is None:
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 60) == 0, program.said()[-20:]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def closed(
    account: AccountId, profit: str, root: str, *, at: datetime = NOW, **deal: Any
) -> Outgoing:
    event = m.PositionClosed(
        account=account,
        root=RootId(root),
        ticket=Ticket(int(root)),
        symbol="EURUSD",
        side=Side.BUY,
        seen=m.Seen.LIVE,
        seen_at_utc=at,
        deal=m.Deal(
            ticket=int(root) + 1000,
            sequence=1,
            lots=Decimal("0.10"),
            price=Decimal("1.08000"),
            profit=Decimal(profit),
            time_utc=at,
            **deal,
        ),
    )
    return encode(topics.ORDER_EVENTS, account, fact(event, NOW, account, root, "closed"))


def snapshot(account: AccountId, balance: str, profit: str = "0", number: int = 0) -> Outgoing:
    figures = Figures(balance=Decimal(balance), equity=Decimal(balance), profit=Decimal(profit))
    event = m.AccountSnapshot(account=account, seen_alive_at_utc=NOW, figures=figures, orders=())
    return encode(topics.ACCOUNT_SNAPSHOTS, account, fact(event, NOW, account, number))


# --- tail_events ------------------------------------------------------------------------------------


async def test_tail_prints_each_committed_event_once(cluster: Cluster, tmp_path: Path) -> None:
    first, second = closed(FIRST, "-12.40", "501"), closed(SECOND, "7", "502")
    await cluster.append(first, second)
    await cluster.append(closed(FIRST, "-999", "599"), commit=False)
    await cluster.append(first)  # replayed by an operator: the same id
    await cluster.append(closed(FIRST, "3.00", "503"), closed(SECOND, "4", "504"))
    command = ("tail_events.py", "--from-beginning")
    async with running(cluster, tmp_path, *command) as tail:
        lines = await tail.says("root 503", "root 504")
    for root, profit in (("501", "-12.40"), ("502", "7"), ("503", "3.00"), ("504", "4")):
        (line,) = [line for line in lines if f"root {root}:" in line]
        assert f"EURUSD at 1.08000, profit {profit} (Unknown)" in line
    assert not any("599" in line for line in lines), "what was rolled back never happened"
    assert len(lines) == 4


async def test_tail_shows_one_account_and_what_it_does_not_know(
    cluster: Cluster, tmp_path: Path
) -> None:
    good = closed(FIRST, "1", "501")
    new = replace(good, value=b'{"type":"Tomorrows","account":"%s","a":1}' % FIRST.encode())
    unknown = replace(new, headers={**new.headers, "id": "another", "type": "Tomorrows"})
    await cluster.append(closed(SECOND, "1", "502"), good, unknown)
    command = ("tail_events.py", "--from-beginning", "--account", FIRST[:6])
    async with running(cluster, tmp_path, *command) as tail:
        lines = await tail.says("Tomorrows a=1")
    assert [line.split()[1] for line in lines] == [FIRST[:8]] * 2


async def test_tail_stops_at_a_version_that_is_newer_than_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    good = closed(FIRST, "1", "501")
    await cluster.append(replace(good, headers={**good.headers, "version": "2"}))
    async with running(cluster, tmp_path, "tail_events.py", "--from-beginning") as tail:
        assert await asyncio.wait_for(tail.process.wait(), WITHIN_S) == 1
    assert "schema version 2: upgrade me" in tail.said()[-1]


# --- the alert in Faust -----------------------------------------------------------------------------


def worker(folder: Path) -> tuple[str, ...]:
    app = ("-A", "daily_loss_alert_faust", "--datadir", str(folder / "faust"))
    return ("-m", "faust", *app, "worker", "--without-web", "-l", "warn")


async def alerted(cluster: Cluster, count: int, program: Program) -> list[dict[str, Any]]:
    """The first alerts."""
    found = await alerts_in(cluster, count, WITHIN_S)
    if len(found) < count:
        pytest.fail("\n".join([f"only {found} of {count} alerts", *program.said()]))
    return found


async def alerts_in(cluster: Cluster, count: int, within_s: float) -> list[dict[str, Any]]:
    """The first ones that come so soon, as a reader of committed records sees them."""
    consumer = AIOKafkaConsumer(
        cluster.prefix + "daily-loss-alerts",
        bootstrap_servers=cluster.address,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    found: list[dict[str, Any]] = []
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while len(found) < count:
                    found.append(json.loads((await consumer.getone()).value))
    finally:
        await consumer.stop()
    return found


async def remembered(cluster: Cluster, account: str, amount: str, program: Program) -> None:
    """Faust may count a record as done as it is stopped, before its table was written."""
    changelog = f"{cluster.prefix}daily-loss-accounts-changelog"
    consumer = AIOKafkaConsumer(
        changelog, bootstrap_servers=cluster.address, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                record = await consumer.getone()
                if account.encode() in record.key and f'"{amount}"'.encode() in record.value:
                    return
    except TimeoutError:
        pytest.fail("\n".join([f"{account} is not in the table", *program.said()]))
    finally:
        await consumer.stop()


async def test_faust_alerts_once_when_a_days_losses_reach_the_limit(
    cluster: Cluster, tmp_path: Path
) -> None:
    """5 % of the 10,000 the day began with: 300 and 150 lost, 60 more open. What is a day old, was
    rolled back, or comes a second time does not count.
    """
    first = closed(FIRST, "-290", "501", swap=Decimal(-4), commission=Decimal(-6))
    old = closed(FIRST, "-5000", "490", at=NOW - timedelta(hours=25))
    async with running(cluster, tmp_path, *worker(tmp_path)) as program:
        await cluster.append(snapshot(FIRST, "9700"), snapshot(SECOND, "10000"), old, first)
        await cluster.append(closed(FIRST, "-9000", "599"), commit=False)
        await cluster.append(first, first)
        await cluster.append(closed(FIRST, "-150", "502"), snapshot(FIRST, "9550", "-60", 1))
        (alert,) = await alerted(cluster, 1, program)
        assert (alert["account"], alert["loss"], alert["limit"]) == (FIRST, "510", "500")
        await cluster.append(snapshot(FIRST, "9550", "-70", 2))
        await cluster.append(snapshot(FIRST, "9550", "400", 3), snapshot(FIRST, "9550", "-80", 4))
        await cluster.append(closed(SECOND, "-600", "701"), snapshot(SECOND, "9400", "0", 1))
        alerts = await alerted(cluster, 3, program)
        assert program.process.returncode is None
    assert said_of(alerts) == {(FIRST, "510"), (FIRST, "530"), (SECOND, "600")}


def said_of(alerts: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Two partitions, so in any order."""
    assert len({each["id"] for each in alerts}) == len(alerts)
    return {(each["account"], each["loss"]) for each in alerts}


async def test_faust_started_again_knows_what_was_lost(cluster: Cluster, tmp_path: Path) -> None:
    """It may leave a partition unread (README): whoever sees that starts it once more."""
    async with running(cluster, tmp_path, *worker(tmp_path)) as program:
        await cluster.append(snapshot(SECOND, "900"), closed(SECOND, "-100", "601"))
        await alerted(cluster, 1, program)
        await cluster.append(snapshot(FIRST, "9700"), closed(FIRST, "-300", "501"))
        await remembered(cluster, FIRST, "-300", program)
    await cluster.append(closed(SECOND, "-100", "602"))  # it remembers that it alerted
    await cluster.append(closed(FIRST, "-250", "502"))
    for _ in range(STARTS):
        async with running(cluster, tmp_path, *worker(tmp_path)):
            alerts = await alerts_in(cluster, 2, START_S)
        if len(alerts) == 2:
            break
    assert said_of(alerts) == {(SECOND, "100"), (FIRST, "550")}


async def test_faust_stops_at_a_version_that_is_newer_than_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    good = closed(FIRST, "-9000", "501")
    newer = replace(good, headers={**good.headers, "version": "2"})
    await cluster.append(snapshot(FIRST, "1000"), newer)
    async with running(cluster, tmp_path, *worker(tmp_path)) as program:
        assert await asyncio.wait_for(program.process.wait(), WITHIN_S) != 0
    assert any("schema version 2 is newer" in line for line in program.said()), program.said()
