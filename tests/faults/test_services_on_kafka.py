"""One service as a process on a real broker: before it is there, while it is away, and leaving it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from copypro import topics
from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, started
from cryptography.fernet import Fernet

from infra.local.servers import Kafka, Mongo, free_port
from tests.conftest import own_server
from tests.faults.program import PATIENCE_S, Program
from tests.servers import topics_on

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PARTITIONS = 4
PATIENT_S = 30.0
"""So long a session that a busy machine's slowness is not mistaken for its end."""
SAID = ("ready", "not ready")


def replicator(folder: Path, kafka: str, prefix: str = "", session_s: float = 6) -> Program:
    return Program(
        folder / "data", "", "", free_port(), command="replicator",
        KAFKA_BOOTSTRAP_SERVERS=kafka, COPYPRO_TOPIC_PREFIX=prefix, COPYPRO_LOG_JSON="1",
        COPYPRO_SESSION_TIMEOUT_S=str(session_s),
    )  # fmt: skip


async def health(program: Program, what: str = "ready") -> dict[str, Any]:
    """Empty while nothing answers."""
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{program.url}/health/{what}") as response,
        ):
            return {"status": response.status, **await response.json()}
    except aiohttp.ClientError:
        return {}


async def owned(*programs: Program) -> list[int]:
    states = [await health(program) for program in programs]
    return [state.get("partitions", {}).get("replicator", 0) for state in states]


def events(program: Program) -> list[str]:
    return [line["event"] for line in program.lines()]


@asynccontextmanager
async def two_owners(
    folder: Path, settings: KafkaSettings, session_s: float = 6
) -> AsyncIterator[tuple[Program, Program]]:
    """Two replicators that share the partitions."""
    both = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        made = replicator(folder / name, settings.bootstrap, settings.prefix, session_s)
        both.append(made)
    first, second = both
    try:
        for program in both:
            await program.start()

        async def shared() -> bool:
            return await owned(first, second) == [PARTITIONS // 2] * 2

        await first.until(shared)
        yield first, second
    finally:
        for program in both:
            await program.end()


async def test_absent_brokers_are_waited_for_said_once_and_served_once_they_are_there(
    tmp_path: Path,
) -> None:
    kafka = Kafka(tmp_path / "kafka")
    program = replicator(tmp_path, kafka.address)
    try:
        await program.start(wait=False)

        async def waits() -> bool:
            return "waiting" in str((await health(program)).get("reasons"))

        await program.until(waits)
        assert (await health(program, "live"))["status"] == 200
        assert (await health(program))["status"] == 503
        begun = time.monotonic()
        assert await program.terminate() == 0, "also while it waits"
        assert time.monotonic() - begun < 10
        assert events(program).count("waiting") == 1
        await program.start(wait=False)
        await program.until(waits)
        with own_server(kafka):
            async with topics_on(kafka.address, PARTITIONS) as settings:
                # Topics of another prefix: the layout is wrong, and waiting would not help.
                assert program.process is not None
                assert await asyncio.wait_for(program.process.wait(), PATIENCE_S) == 2
                assert "copypro topics create" in program.log.read_text().splitlines()[-1]
                late = replicator(tmp_path, kafka.address, settings.prefix)
                await late.start()

                async def all_owned() -> bool:
                    return await owned(late) == [PARTITIONS]

                await late.until(all_owned)
                assert await late.terminate() == 0
    finally:
        await program.end()


async def test_a_broker_that_goes_makes_a_process_not_ready_until_it_is_back(
    tmp_path: Path,
) -> None:
    kafka = Kafka(tmp_path / "kafka")
    with own_server(kafka):
        async with topics_on(kafka.address, PARTITIONS) as settings:
            program = replicator(tmp_path, kafka.address, settings.prefix)
            try:
                await program.start()
                await asyncio.to_thread(kafka.stop)

                async def not_ready() -> bool:
                    return "log: no Kafka broker answers" in str(await health(program))

                await program.until(not_ready)
                assert (await health(program, "live"))["status"] == 200
                await asyncio.to_thread(kafka.start)

                async def again() -> bool:
                    told = [event for event in events(program) if event in SAID]
                    return told[-1] == "ready" and await owned(program) == [PARTITIONS]

                await program.until(again, 60)
                assert await program.terminate() == 0
                assert [event for event in events(program) if event in SAID][:2] == list(SAID)
                assert events(program).count("log unreachable") <= 3, "not at each try"
            finally:
                await program.end()


async def test_a_partition_whose_unread_records_were_deleted_is_not_ready_all_the_time(
    tmp_path: Path, kafka_address: str
) -> None:
    async with topics_on(kafka_address, PARTITIONS) as settings:
        program = replicator(tmp_path, kafka_address, settings.prefix)
        clients = Clients(settings, KafkaLimits())
        place = TopicPartition(clients.name(topics.ORDER_EVENTS.name), 0)
        try:
            async with started(clients.producer(clients.name("test")), 30) as producer:
                async with producer.transaction():
                    await producer.send_and_wait(place.topic, b"no event", partition=0)
                await program.start()

                async def taken() -> bool:
                    return "a record cannot be read and was put aside" in events(program)

                await program.until(taken)
                assert await program.terminate() == 0
                async with producer.transaction():
                    sent = await producer.send_and_wait(place.topic, b"no event", partition=0)
            async with started(clients.admin(), 30) as admin:
                await admin.delete_records({place: RecordsToDelete(before_offset=sent.offset + 1)})
            await program.start(wait=False)

            async def all_but_one() -> bool:
                return f"1 of {PARTITIONS}" in str((await health(program)).get("reasons"))

            await program.until(all_but_one)
            for _ in range(100):
                assert await all_but_one(), await health(program)
            assert events(program).count("the log does not follow on what was read") == 1
            assert await program.terminate() == 0
        finally:
            await program.end()


async def test_who_stops_leaves_the_group_and_the_other_takes_over_at_once(
    tmp_path: Path, kafka_address: str
) -> None:
    async with (
        topics_on(kafka_address, PARTITIONS) as settings,
        two_owners(tmp_path, settings, PATIENT_S) as (first, second),
    ):
        begun = time.monotonic()
        assert await first.terminate() == 0

        async def taken_over() -> bool:
            found = await second.metrics()
            restored = found.get(("copypro_takeover_seconds_count", ("replicator",)), 0)
            is_whole = restored >= PARTITIONS and await owned(second) == [PARTITIONS]
            return is_whole and (await health(second))["status"] == 200

        await second.until(taken_over)
        assert time.monotonic() - begun < PATIENT_S, "before anybody would have missed the first"
        found = await second.metrics()
        assert found["copypro_partitions_assigned_total", ("replicator",)] >= PARTITIONS


async def test_a_gateway_waits_for_its_database_and_is_not_ready_while_it_is_away(
    tmp_path: Path, kafka_address: str
) -> None:
    mongo = Mongo(tmp_path / "mongod")
    async with topics_on(kafka_address, PARTITIONS) as settings:
        gateway = Program(
            tmp_path / "data", "", "http://127.0.0.1:1", free_port(), command="gateway",
            KAFKA_BOOTSTRAP_SERVERS=kafka_address, COPYPRO_TOPIC_PREFIX=settings.prefix,
            MongoDB=mongo.url, COPYPRO_SECRET_KEYS=Fernet.generate_key().decode(),
            COPYPRO_LOG_JSON="1",
        )  # fmt: skip
        try:
            await gateway.start(wait=False)

            async def waits() -> bool:
                return "waiting" in str((await health(gateway)).get("reasons"))

            await gateway.until(waits)
            status, answer = await gateway.ask("Accounts")
            assert (status, answer["code"]) == (503, "STARTING")
            with own_server(mongo):
                await gateway.until_ready(60)
                status, answer = await gateway.ask("Accounts")
                assert (status, answer["code"]) == (401, "USER_KEY_REQUIRED")
                await asyncio.to_thread(mongo.stop)

                async def not_ready() -> bool:
                    return "database: " in str((await health(gateway)).get("reasons"))

                await gateway.until(not_ready, 60)
                assert (await health(gateway, "live"))["status"] == 200
                status, answer = await gateway.ask("Accounts", "f" * 64)
                assert (status, answer["code"]) == (503, "STORE_UNAVAILABLE")
                await asyncio.to_thread(mongo.start)
                await gateway.until_ready(60)
            begun = time.monotonic()
            assert await gateway.terminate() == 0
            assert time.monotonic() - begun < 10
            assert not [one for one in events(gateway) if one.startswith("cut off")]
            assert events(gateway).count("waiting") <= 2
        finally:
            await gateway.end()
