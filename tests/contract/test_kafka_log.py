"""What only the log on Kafka promises: several partitions and processes, servers that come and go."""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from copypro import topics
from copypro.adapters import kafka_topics
from copypro.adapters.kafka_assignor import owners
from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, started
from copypro.adapters.kafka_history import KafkaHistory
from copypro.adapters.kafka_log import KafkaLog
from copypro.adapters.kafka_writer import TransactionalWriter, Write, partition_of
from copypro.errors import (
    LogClosed,
    LogLayout,
    LogRefused,
    LogUnavailable,
    PartitionLost,
)
from copypro.ports import Outgoing, Partition, Record
from structlog.testing import capture_logs

from infra.local.servers import Kafka, free_port
from tests.conftest import own_server
from tests.contract.test_event_log import read_all, restored
from tests.servers import topics_on
from tests.waiting import eventually, until

pytestmark = pytest.mark.slow
ROLE = topics.REPLICATOR
EVENTS, COMMANDS = topics.ORDER_EVENTS.name, topics.COPIER_COMMANDS.name
OUT, STATE = topics.SLAVE_ORDERS.name, topics.REPLICATOR_STATE.name
FAST = KafkaLimits(session_timeout_s=6.0, commit_s=3.0, start_s=5.0, again_cap_s=0.5)


def out(topic: str, key: str, value: bytes | None = b"{}") -> Outgoing:
    return Outgoing(topic, key, value, {})


async def opened(settings: KafkaSettings) -> KafkaLog:
    return await KafkaLog.open(settings, FAST)


class Owned:
    """What one process owns of the role, as it is assigned."""

    def __init__(self, log: KafkaLog) -> None:
        self.log = log
        self.partitions: dict[int, Partition] = {}
        self._task = asyncio.create_task(self._collect())
        self._news = asyncio.Event()

    async def _collect(self) -> None:
        async for partition in self.log.partitions(ROLE):
            self.partitions[partition.number] = partition
            self._news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.partitions) < count:
                self._news.clear()
                await self._news.wait()

    async def close(self) -> None:
        await self.log.close()
        await asyncio.wait([self._task])


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_numbers_are_shared_evenly_and_few_move_when_a_member_comes(count: int) -> None:
    numbers = list(range(16))
    members = [f"member-{n}" for n in range(count)]
    before, after = owners(members, numbers), owners([*members, "new"], numbers)
    for chosen, size in ((before, count), (after, count + 1)):
        shares = [list(chosen.values()).count(member) for member in chosen.values()]
        assert max(shares) <= -(-16 // size)
    moved = [n for n in numbers if before[n] != after[n]]
    assert len(moved) <= 16 // (count + 1) + count, moved
    assert owners(members[::-1], numbers[::-1]) == before


async def test_a_key_stays_on_its_partition_and_state_with_its_owner(
    kafka_settings: KafkaSettings,
) -> None:
    owned = Owned(await opened(kafka_settings))
    await owned.until(2)
    keys = [f"key{n}" for n in range(20)]
    await owned.log.append([out(EVENTS, key, key.encode()) for key in keys])
    for number, partition in owned.partitions.items():
        mine = [key for key in keys if partition_of(key, 2) == number]
        records = await read_all(partition, len(mine))
        assert [record.key for record in records] == mine
        await partition.commit([out(STATE, f"any{key}") for key in mine], records)
        # Nobody fenced it here: the markers of a commit reach the partitions a moment after it.
        async with asyncio.timeout(60):
            while set(await restored(partition)) != {f"any{key}" for key in mine}:
                continue
    await owned.close()


async def test_a_second_process_takes_its_share_and_gives_it_back(
    kafka_settings: KafkaSettings,
) -> None:
    first = Owned(await opened(kafka_settings))
    await first.until(2)
    for partition in first.partitions.values():
        await partition.commit([out(STATE, "k", b"of the first")])
    second = Owned(await opened(kafka_settings))
    await second.until(1)
    (moved,) = second.partitions
    assert await restored(second.partitions[moved]) == {"k": b"of the first"}
    with pytest.raises(PartitionLost):
        await first.partitions[moved].commit([out(STATE, "k", b"too late")])
    kept = first.partitions[1 - moved]
    await kept.commit([out(STATE, "k", b"kept")])
    first.partitions.clear()
    await second.close()
    await first.until(1)
    assert await restored(first.partitions[moved]) == {"k": b"of the first"}
    await first.close()


async def test_who_keeps_a_partition_through_a_rebalance_reads_on_without_repeat(
    kafka_settings: KafkaSettings,
) -> None:
    first = Owned(await opened(kafka_settings))
    await first.until(2)
    places = {partition_of(f"k{n}", 2): f"k{n}" for n in range(20)}
    for number, partition in first.partitions.items():
        await first.log.append([out(EVENTS, places[number], b"before")])
        assert [r.value for r in await read_all(partition, 1)] == [b"before"]
    second = Owned(await opened(kafka_settings))
    await second.until(1)
    (moved,) = second.partitions
    kept = first.partitions[1 - moved]
    await first.log.append([out(EVENTS, places[1 - moved], b"after")])
    assert [r.value for r in await read_all(kept, 1)] == [b"after"]
    assert [r.value for r in await read_all(second.partitions[moved], 1)] == [b"before"]
    await second.close()
    await first.close()


async def test_a_slow_owner_holds_up_nobody_and_is_not_fetched_for(
    kafka_settings: KafkaSettings,
) -> None:
    limits = msgspec.structs.replace(FAST, buffered_records=100)
    owned = Owned(await KafkaLog.open(kafka_settings, limits))
    await owned.until(2)
    places = {partition_of(f"k{n}", 2): f"k{n}" for n in range(20)}
    slow, quick = owned.partitions[0], owned.partitions[1]
    await restored(slow)
    for start in range(0, 2000, 100):
        await owned.log.append([out(EVENTS, places[0], b"%d" % (start + n)) for n in range(100)])
    await owned.log.append([out(EVENTS, places[1], b"quick")])
    assert [r.value for r in await read_all(quick, 1)] == [b"quick"]
    assert [int(r.value or b"") for r in await read_all(slow, 2000)] == list(range(2000))
    await owned.close()


async def test_a_command_is_read_with_the_ends_of_the_other_topics_as_they_are_then(
    kafka_settings: KafkaSettings,
) -> None:
    owned = Owned(await opened(kafka_settings))
    await owned.until(2)
    partition = owned.partitions[partition_of("a", 2)]
    await restored(partition)
    await owned.log.append([out(EVENTS, "a") for _ in range(5)])
    await owned.log.append([out(COMMANDS, "a")])
    seen: list[Record] = []
    while not any(record.topic == COMMANDS for record in seen):
        seen.extend(await partition.read())
    assert partition.end_offset(EVENTS) >= 5
    await owned.close()


async def test_an_append_is_whole_or_absent(kafka_settings: KafkaSettings) -> None:
    log = await opened(kafka_settings)
    for too_large in (out(EVENTS, "b", b"x" * 5_000_000), out(EVENTS, "k" * 5_000_000)):
        with pytest.raises(LogUnavailable, match="larger"):
            await log.append([out(EVENTS, "a", b"1"), too_large])
    await log.append([out(EVENTS, "c", b"3")])
    assert [r.value for r in await everything(kafka_settings, EVENTS)] == [b"3"]
    await log.close()


# --- servers that are absent, wrong, or killed --------------------------------------------------


async def test_absent_brokers_are_said(kafka_settings: KafkaSettings) -> None:
    nobody = msgspec.structs.replace(kafka_settings, bootstrap=f"127.0.0.1:{free_port()}")
    with pytest.raises(LogUnavailable, match=f"no Kafka broker answers at {nobody.bootstrap}"):
        await KafkaLog.open(nobody, FAST)


async def test_missing_topics_are_named_with_the_remedy(kafka_settings: KafkaSettings) -> None:
    other = msgspec.structs.replace(kafka_settings, prefix="none-")
    with pytest.raises(LogLayout, match=r"none-order-events is missing.*topics create"):
        await KafkaLog.open(other, FAST)


async def differing(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> None:
    async with asyncio.timeout(60):
        while True:
            layout = await kafka_topics.read_layout(admin, settings.prefix)
            if layout.differences():
                return
            await asyncio.sleep(0.05)


async def test_a_wrong_number_of_partitions_is_refused(kafka_address: str) -> None:
    async with topics_on(kafka_address, partitions=1) as settings:
        clients = Clients(settings, FAST)
        async with started(clients.admin(), 30) as admin:
            await admin.create_partitions({f"{settings.prefix}order-events": NewPartitions(3)})
            await differing(admin, settings)
        with pytest.raises(LogLayout, match="same number of partitions"):
            await KafkaLog.open(settings, FAST)


async def test_another_number_of_partitions_makes_nothing(kafka_settings: KafkaSettings) -> None:
    clients = Clients(kafka_settings, FAST)
    async with started(clients.admin(), 30) as admin:
        assert await kafka_topics.create(admin, kafka_settings.prefix, 2, 1) == []
        with pytest.raises(LogLayout, match="COPYPRO_PARTITIONS"):
            await kafka_topics.create(admin, kafka_settings.prefix, 3, 1)


async def test_a_topic_that_forgets_is_refused(kafka_address: str) -> None:
    async with topics_on(kafka_address, partitions=1) as settings:
        name = f"{settings.prefix}{STATE}"
        changed = ConfigResource(
            ConfigResourceType.TOPIC, name, {"cleanup.policy": "delete", "retention.ms": "1000"}
        )
        async with started(Clients(settings, FAST).admin(), 30) as admin:
            await admin.alter_configs([changed])
            await differing(admin, settings)
        with pytest.raises(LogLayout, match=r"cleanup\.policy is delete, not compact"):
            await KafkaLog.open(settings, FAST)


async def test_a_fenced_writer_fails_with_the_reason_and_nothing_else_is_said(
    kafka_settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """A takeover is ordinary: no traceback of an exception that nobody looked at."""
    clients = Clients(kafka_settings, FAST)
    write = Write(f"{kafka_settings.prefix}{OUT}", 0, b"a", b"{}", [])
    former, present = (TransactionalWriter(clients, "one of two") for _ in range(2))
    await former.start()
    await former.submit([write])
    await present.start()
    with pytest.raises(PartitionLost):
        await former.submit([write])
    await former.close(LogClosed("the test is over"))
    await present.submit([write])
    await present.close(LogClosed("the test is over"))
    del former, present
    gc.collect()
    await asyncio.sleep(0)
    said = [record.message for record in caplog.records if record.name == "asyncio"]
    assert [message for message in said if "never retrieved" in message] == []


async def test_a_writer_that_breaks_lets_nobody_wait(kafka_settings: KafkaSettings) -> None:
    writer = TransactionalWriter(Clients(kafka_settings, FAST), "broken")
    await writer.start()
    impossible: Any = ()  # the library takes a list
    writing = writer.submit([Write(f"{kafka_settings.prefix}{OUT}", 0, b"a", b"{}", impossible)])
    with pytest.raises(LogUnavailable, match="broke"):
        await asyncio.wait_for(writing, 60)
    with pytest.raises(LogUnavailable, match="broke"):
        await writer.submit([])
    await writer.close(LogClosed("the test is over"))


async def test_a_log_that_ends_before_it_said_is_not_waited_for_for_ever(
    kafka_settings: KafkaSettings,
) -> None:
    """Restored from an older copy meanwhile; a broker that goes away looks the same to the library."""
    log = await opened(kafka_settings)
    await log.append([out(EVENTS, "a", b"1"), out(EVENTS, "a", b"2")])
    await log.close()
    history, of = KafkaHistory(kafka_settings, KafkaLimits(start_s=3.0)), topics.BY_NAME[EVENTS]
    spans = await history.spans(of)
    (number,) = (number for number, (begin, end) in spans.items() if end > begin)
    reading = history.records(of, {number: (spans[number][0], 1000)})
    assert [record.value for record in await anext(reading)] == [b"1", b"2"]
    with pytest.raises(LogUnavailable, match="did not answer"):
        await anext(reading)


async def delete_before(settings: KafkaSettings, topic: str, offset: int) -> None:
    """As a broker does once a retention is over."""
    clients = Clients(settings, KafkaLimits())
    async with started(clients.admin(), 30) as admin:
        place = TopicPartition(clients.name(topic), 0)
        await admin.delete_records({place: RecordsToDelete(before_offset=offset)})


async def read_to(partition: Partition, records: list[Record], count: int) -> None:
    while len(records) < count:
        records.extend(await partition.read())


async def test_records_deleted_under_an_owner_that_is_behind_are_not_passed_over(
    kafka_address: str,
) -> None:
    """A retention shorter than an owner's delay: what it never read is missed, not left out."""
    few = msgspec.structs.replace(FAST, buffered_records=4, batch_records=2)
    async with topics_on(kafka_address, partitions=1) as settings:
        log = await KafkaLog.open(settings, few)
        owned = Owned(log)
        for number in range(10):
            await log.append([out(EVENTS, "a", b"%d" % number)])
        await owned.until(1)
        partition = owned.partitions[0]
        await restored(partition)
        records = list(await partition.read())
        for number in range(10, 20):
            await log.append([out(EVENTS, "a", b"%d" % number)])
        later = await everything(settings, EVENTS)
        await delete_before(settings, EVENTS, later[15].offset)
        with pytest.raises(PartitionLost, match="deleted"):
            await asyncio.wait_for(read_to(partition, records, count=15), 60)
        values = [int(record.value or b"") for record in records]
        assert values == list(range(len(values)))
        await owned.close()
        await log.close()


@pytest.mark.parametrize("was_read", ["before the beginning", "beyond the end"])
async def test_a_log_that_does_not_follow_on_what_was_read_is_not_read(
    was_read: str, kafka_address: str
) -> None:
    """Records were deleted before anybody read them, or the brokers have lost what was read: other
    records now have its offsets. The partition waits, and others are served.
    """
    async with topics_on(kafka_address, partitions=2) as settings:
        first = await opened(settings)
        owned = Owned(first)
        await owned.until(2)
        keys = {partition_of(key, 2): key for key in "abcdefgh"}
        await first.append([out(EVENTS, keys[number], b"0") for number in (0, 1)])
        for partition in owned.partitions.values():
            await restored(partition)
            await partition.commit([], await partition.read())
        await owned.close()
        await first.close()
        clients = Clients(settings, FAST)
        if was_read == "beyond the end":
            writer = TransactionalWriter(clients, clients.name(f"{ROLE.name}-0"))
            await writer.start()
            offsets = msgspec.json.encode({EVENTS: 1000})
            await writer.submit([Write(clients.name(STATE), 0, b"~offsets", offsets, [])])
            await writer.close(LogClosed("the test is over"))
        second = await opened(settings)
        for _ in range(3):
            await second.append([out(EVENTS, keys[number], b"1") for number in (0, 1)])
        if was_read == "before the beginning":
            of_first = [r for r in await everything(settings, EVENTS) if r.partition == 0]
            await delete_before(settings, EVENTS, of_first[-1].offset)
        again = Owned(second)
        with capture_logs() as lines:
            await again.until(2)
            refused = again.partitions[0]
            restoring = asyncio.create_task(restored(refused))
            await restored(again.partitions[1])
            assert (await again.partitions[1].read())[0].value == b"1", "others are served"
            async with asyncio.timeout(60):
                while not [line for line in lines if line["log_level"] == "error"]:
                    assert not restoring.done(), restoring.exception()
                    await asyncio.sleep(0.02)
        (said,) = (line for line in lines if line["log_level"] == "error")
        assert (said["partition"], said["event"]) == (0, "the log does not follow on what was read")
        assert not restoring.done()
        assert again.partitions[0] is refused, "not given up and given again for ever"
        await again.close()
        await second.close()
        await asyncio.wait([restoring])
        assert isinstance(restoring.exception(), LogClosed)


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Kafka]:
    """A broker of this test's own, to be killed."""
    kafka = Kafka(tmp_path / "kafka")
    with own_server(kafka):
        yield kafka


@pytest.mark.timeout(400)
async def test_a_broker_killed_and_restarted_loses_nothing_and_repeats_nothing(
    own_broker: Kafka,
) -> None:
    async with topics_on(own_broker.address, partitions=1) as settings:
        log = await opened(settings)
        reached = asyncio.Event()
        copying = asyncio.create_task(copy_for_ever(log, reached, wanted=60))
        sent = 0
        for _ in range(2):
            for _ in range(30):
                sent += await appended(log, b"%d" % sent)
            own_broker.kill()
            await asyncio.to_thread(own_broker.start)
        await asyncio.wait_for(reached.wait(), 120)
        copying.cancel()
        await asyncio.wait([copying])
        await log.close()
        inputs = [record.value for record in await everything(settings, EVENTS)]
        copies = [record.value for record in await everything(settings, OUT)]
        assert copies == inputs, "each input once, in order"
        assert {int(value or b"") for value in inputs} == set(range(sent))


class NotesNothing(Clients):
    """Its group's coordinator takes offsets and never answers, as one whose topic lacks replicas: the
    library then asks for ever.
    """

    def consumer(self, **how: Any) -> Any:
        made = super().consumer(**how)
        made.commit = self._commit
        return made

    async def _commit(self, _: object) -> None:
        await asyncio.Event().wait()


async def test_a_coordinator_that_notes_no_offsets_holds_up_no_record(
    kafka_settings: KafkaSettings,
) -> None:
    log = await opened(kafka_settings)
    limits = msgspec.structs.replace(FAST, group_offsets_every_s=0.0)
    log.clients = NotesNothing(kafka_settings, limits)
    owned = Owned(log)
    await owned.until(2)
    partition = owned.partitions[partition_of("k", 2)]
    for value in (b"first", b"second", b"third"):
        await log.append([out(EVENTS, "k", value)])
        records = await read_all(partition, 1)
        assert [record.value for record in records] == [value]
        await partition.commit([], records)
    await owned.close()


async def test_a_group_that_is_not_joined_is_named_until_it_is(
    kafka_settings: KafkaSettings,
) -> None:
    """Its brokers answer, and refuse it: such a process owns nothing and is not ready."""
    log = await opened(kafka_settings)
    limits = msgspec.structs.replace(FAST, joined_within_s=0.5)
    refused = msgspec.structs.replace(limits, session_timeout_s=0.5)  # too short for a broker
    log.clients = Clients(kafka_settings, refused)
    owned = Owned(log)

    async def is_named() -> bool:
        try:
            await log.check()
        except LogUnavailable as error:
            return "replicator has not joined its group for" in str(error)
        return False

    await eventually(is_named)
    log.clients = Clients(kafka_settings, limits)
    await owned.until(2)

    async def is_quiet() -> bool:
        return not await is_named()

    await eventually(is_quiet)
    await owned.close()


class Counting(Clients):
    """Notes when each group is joined."""

    joined_at: list[float]

    def consumer(self, **how: Any) -> Any:
        if "group_id" in how:
            self.joined_at.append(asyncio.get_running_loop().time())
        return super().consumer(**how)


async def test_a_group_that_refuses_is_joined_ever_later(kafka_settings: KafkaSettings) -> None:
    """Each try has all its members share their partitions anew."""
    log = await opened(kafka_settings)
    refused = msgspec.structs.replace(
        FAST, session_timeout_s=0.5, again_first_s=0.5, again_cap_s=5.0
    )
    log.clients = clients = Counting(kafka_settings, refused)
    clients.joined_at = []
    owned = Owned(log)
    await until(lambda: len(clients.joined_at) == 5)
    before, last = clients.joined_at[-2:]
    assert last - before >= 2.0
    await owned.close()


async def test_what_is_no_text_in_a_record_ends_no_process(kafka_settings: KafkaSettings) -> None:
    """Written by another's hand, or with headers of a tool that traces: it is for whoever reads it."""
    owned = Owned(await opened(kafka_settings))
    await owned.until(2)
    writer = TransactionalWriter(Clients(kafka_settings, FAST), "another's")
    await writer.start()
    headers = [("trace", b"\xff\x00"), ("id", b"1")]
    await writer.submit([Write(f"{kafka_settings.prefix}{EVENTS}", 0, b"\xfe", b"{}", headers)])
    await writer.close(LogClosed("the test is over"))
    (record,) = await read_all(owned.partitions[0], 1)
    assert (record.value, record.headers["id"]) == (b"{}", "1")
    await owned.close()


async def test_calls_that_append_while_no_broker_answers_fail_together() -> None:
    """One after another each would try to begin anew: the last is done long after its caller left."""

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    limits = KafkaLimits(start_s=1.0)
    log = KafkaLog(
        Clients(KafkaSettings(bootstrap=f"127.0.0.1:{port}"), limits),
        kafka_topics.Layout("none", "", {EVENTS: kafka_topics.Found(1)}),
    )
    appending = [log.append([out(EVENTS, "k")]) for _ in range(60)]
    async with asyncio.timeout(50.0):
        found = await asyncio.gather(*appending, return_exceptions=True)
    assert [type(one) for one in found] == [LogUnavailable] * 60
    late = asyncio.create_task(log.append([out(EVENTS, "k")]))
    await asyncio.sleep(0)
    await log.close()
    with pytest.raises(LogClosed):
        await late
    server.close()


async def appended(log: KafkaLog, value: bytes) -> int:
    """One record, tried until it was acknowledged; it may then stand more than once."""
    async with asyncio.timeout(120):
        while True:
            try:
                await log.append([out(EVENTS, "a", value)])
            except LogUnavailable:
                continue
            return 1


async def copy_for_ever(log: KafkaLog, reached: asyncio.Event, wanted: int) -> None:
    """A role that passes on what it reads, and starts over whenever its partition is lost."""
    async for partition in log.partitions(ROLE):
        try:
            await copy(partition, reached, wanted)
        except PartitionLost:
            continue
        except LogClosed:
            return


async def copy(partition: Partition, reached: asyncio.Event, wanted: int) -> None:
    state = await restored(partition)
    distinct = set((state.get("seen") or b"").split())
    while True:
        records = await partition.read()
        distinct |= {record.value or b"" for record in records}
        outputs = [out(OUT, "a", record.value) for record in records]
        await partition.commit([*outputs, out(STATE, "seen", b" ".join(distinct))], records)
        if len(distinct) >= wanted:
            reached.set()


COPIER = """
import asyncio, sys
from copypro import topics
from copypro.adapters.kafka_client import KafkaLimits, KafkaSettings
from copypro.adapters.kafka_log import KafkaLog
from copypro.errors import PartitionLost
from copypro.ports import Outgoing
async def own(partition):
    try:
        async for _ in partition.restore(): pass
        while True:
            records = await partition.read()
            outputs = [Outgoing("slave-orders", r.key, r.value) for r in records]
            await partition.commit([*outputs, Outgoing("replicator-state", "n", b"x")], records)
            print(len(records), flush=True)
    except PartitionLost:
        return
async def main():
    log = await KafkaLog.open(KafkaSettings(bootstrap=sys.argv[1], prefix=sys.argv[2]))
    async for partition in log.partitions(topics.REPLICATOR):
        asyncio.create_task(own(partition))
asyncio.run(main())
"""


@pytest.mark.timeout(400)
async def test_killed_and_frozen_owners_lose_nothing_and_repeat_nothing(
    kafka_address: str,
) -> None:
    draw = random.Random(11)
    async with topics_on(kafka_address, partitions=4) as settings:
        log = await opened(settings)
        processes = [copier(settings) for _ in range(2)]
        try:
            sent = 0
            for fault in ("kill", "freeze", "kill"):
                for _ in range(20):
                    batch = [out(EVENTS, f"a{n}", b"%d" % (sent + n)) for n in range(10)]
                    await log.append(batch)
                    sent += len(batch)
                victim = draw.randrange(len(processes))
                if fault == "kill":
                    processes[victim].kill()
                    processes[victim].wait()
                    processes[victim] = copier(settings)
                else:
                    processes[victim].send_signal(signal.SIGSTOP)
                    await asyncio.sleep(FAST.session_timeout_s + 2)
                    processes[victim].send_signal(signal.SIGCONT)
            await asyncio.wait_for(until_there_are(settings, OUT, sent), 60)
        finally:
            for process in processes:
                process.kill()
                process.wait()
            await log.close()
        by_key: dict[str, list[int]] = {}
        for record in await everything(settings, OUT):
            by_key.setdefault(record.key, []).append(int(record.value or b""))
        for key, values in by_key.items():
            assert values == sorted(set(values)), f"{key}: each once, in order"
        assert sum(len(values) for values in by_key.values()) == sent


async def everything(settings: KafkaSettings, topic: str) -> list[Record]:
    history, of = KafkaHistory(settings), topics.BY_NAME[topic]
    spans = await history.spans(of)
    return [record async for batch in history.records(of, spans) for record in batch]


async def until_there_are(settings: KafkaSettings, topic: str, count: int) -> None:
    while True:
        if len(await everything(settings, topic)) >= count:
            return
        await asyncio.sleep(0.2)


def copier(settings: KafkaSettings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", COPIER, settings.bootstrap, settings.prefix]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


@pytest.fixture
def guarded_broker(tmp_path: Path) -> Iterator[Kafka]:
    """A broker that wants a name and a password."""
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    login = f'{module} required username="u" password="right" user_u="right";'
    kafka = Kafka(
        tmp_path / "kafka",
        properties={
            "listener.security.protocol.map": "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.plaintext.plain.sasl.jaas.config": login,
        },
    )
    with own_server(kafka):
        yield kafka


async def test_wrong_credentials_are_told_from_an_absent_broker(guarded_broker: Kafka) -> None:
    wrong = KafkaSettings(
        bootstrap=guarded_broker.address,
        security="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        username="u",
        password="c4n4ry-p4ssw0rd",
    )
    with pytest.raises(LogRefused, match="KAFKA_SASL_PASSWORD") as refused:
        await KafkaLog.open(wrong, FAST)
    assert "c4n4ry" not in str(refused.value) + repr(wrong)
    with pytest.raises(LogLayout):
        await KafkaLog.open(msgspec.structs.replace(wrong, password="right"), FAST)
