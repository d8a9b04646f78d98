"""The promises of EventLog and Partition, asked of every adapter."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from copypro import topics
from copypro.adapters.kafka_log import KafkaLog
from copypro.adapters.sqlite_log import TAIL_BYTES, SqliteLog, SqliteLogReader
from copypro.errors import LogBusy, LogClosed, LogCorrupt, LogFull, PartitionLost
from copypro.ports import EventLog, Outgoing, Partition, Record

from tests.damage import spoil
from tests.servers import fence

ROLE = topics.REPLICATOR
EVENTS, COMMANDS = topics.ORDER_EVENTS.name, topics.COPIER_COMMANDS.name
OUT, STATE = topics.SLAVE_ORDERS.name, topics.REPLICATOR_STATE.name


def out(topic: str, key: str, value: bytes | None = b"{}", **headers: str) -> Outgoing:
    return Outgoing(topic, key, value, headers)


KEPT: list[object] = []
"""Whoever drops the iterator gives its partitions up, so tests hold on to it."""


async def take(log: EventLog) -> Partition:
    owners = aiter(log.partitions(ROLE))
    KEPT.append(owners)
    return await asyncio.wait_for(anext(owners), 60)


async def read_all(partition: Partition, count: int) -> list[Record]:
    found: list[Record] = []
    while len(found) < count:
        found.extend(await asyncio.wait_for(partition.read(), 60))
    return found


async def restored(partition: Partition) -> dict[str, bytes | None]:
    return {record.key: record.value async for record in partition.restore()}


async def test_what_was_appended_is_read_in_order_with_its_headers(log: EventLog) -> None:
    partition = await take(log)
    await log.append([out(EVENTS, "a", b"1", id="x"), out(EVENTS, "a", b"2")])
    records = await read_all(partition, 2)
    assert [(r.value, r.offset) for r in records] == [(b"1", 0), (b"2", 1)]
    assert records[0].headers["id"] == "x"


async def test_read_waits_until_there_is_something(log: EventLog) -> None:
    partition = await take(log)
    reading = asyncio.create_task(read_all(partition, 1))
    await log.append([out(EVENTS, "a")])
    assert len(await asyncio.wait_for(reading, 60)) == 1


async def test_consumed_records_are_not_given_to_the_next_owner_and_others_are(
    log: EventLog,
) -> None:
    owners = aiter(log.partitions(ROLE))
    first = await anext(owners)
    await log.append([out(EVENTS, "a", b"%d" % number) for number in range(4)])
    records = await read_all(first, 4)
    await first.commit([out(OUT, "s"), out(STATE, "k", b"v")], records[:2])
    await lose(log, first)
    second = await asyncio.wait_for(anext(owners), 60)
    assert [r.value for r in await read_all(second, 2)] == [b"2", b"3"]
    assert await restored(second) == {"k": b"v"}


async def test_a_former_owner_commits_nothing(log: EventLog) -> None:
    owners = aiter(log.partitions(ROLE))
    first = await anext(owners)
    await lose(log, first)
    with pytest.raises(PartitionLost):
        await first.commit([out(STATE, "k", b"v")])
    assert await restored(await asyncio.wait_for(anext(owners), 60)) == {}


async def test_an_owner_that_gives_up_is_followed_by_a_new_one(log: EventLog) -> None:
    owners = aiter(log.partitions(ROLE))
    first = await anext(owners)
    await log.append([out(EVENTS, "a", b"1")])
    await read_all(first, 1)
    first.give_up("its memory is wrong")
    with pytest.raises(PartitionLost):
        await first.commit([out(STATE, "k", b"v")])
    second = await asyncio.wait_for(anext(owners), 60)
    assert [r.value for r in await read_all(second, 1)] == [b"1"]
    first.give_up("its memory is wrong")
    await second.commit([out(STATE, "k", b"v")])
    assert await restored(second) == {"k": b"v"}


async def test_state_is_the_latest_record_per_key_and_none_removes(log: EventLog) -> None:
    partition = await take(log)
    await partition.commit([out(STATE, "a", b"1"), out(STATE, "b", b"1")])
    await partition.commit([out(STATE, "a", b"2"), out(STATE, "b", None), out(STATE, "c", b"3")])
    assert await restored(partition) == {"a": b"2", "c": b"3"}


async def test_concurrent_commits_take_effect_in_call_order(log: EventLog) -> None:
    partition = await take(log)
    await asyncio.gather(*(partition.commit([out(STATE, "k", b"%d" % n)]) for n in range(200)))
    assert await restored(partition) == {"k": b"199"}


async def test_a_closed_log_says_so(log: EventLog) -> None:
    partition = await take(log)
    reading = asyncio.create_task(read_all(partition, 1))
    await asyncio.sleep(0)
    await log.close()
    with pytest.raises(LogClosed):
        await asyncio.wait_for(reading, 60)
    with pytest.raises(LogClosed):
        await log.append([out(EVENTS, "a")])


async def lose(log: EventLog, partition: Partition) -> None:
    """Another owner begins."""
    if isinstance(log, SqliteLog):
        partition.give_up("another owner takes over")
    elif isinstance(log, KafkaLog):
        await restored(partition)  # an owner begins when it is used
        await fence(log.clients.settings, ROLE.name, partition.number)
        with pytest.raises(PartitionLost):  # so it finds out
            await partition.commit([out(STATE, "k", b"of a former owner")])
    else:
        log.lose(ROLE, partition.number)  # type: ignore[attr-defined]


# --- SQLite alone ---------------------------------------------------------------------------------


async def test_a_second_process_is_refused_with_the_folder_named(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    with pytest.raises(LogBusy, match=str(tmp_path)):
        await SqliteLog.open(tmp_path)
    await log.close()
    await (await SqliteLog.open(tmp_path)).close()


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough" * 100, b"SQLite format 3\0junk"]
)
async def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log.db").write_bytes(content)
    with pytest.raises(LogCorrupt):
        await SqliteLog.open(tmp_path)
    assert (tmp_path / "log.db").read_bytes() == content


DAMAGED = r"log\.db is damaged or not a database \(.*\): restore it from a backup$"


async def a_used_log(tmp_path: Path) -> SqliteLog:
    """Opened again, with nothing beside the file that would hide what becomes of it."""
    log = await SqliteLog.open(tmp_path)
    partition = await take(log)
    await log.append([out(EVENTS, "a", b"1")])
    await partition.commit([out(STATE, "k", b"s"), out(OUT, "s")], await read_all(partition, 1))
    await log.append([out(EVENTS, "a", b"2")])
    await log.close()
    return await SqliteLog.open(tmp_path)


@pytest.mark.parametrize("table", [STATE, "consumed", EVENTS])
async def test_damage_that_an_owner_meets_ends_the_log_for_all_by_name(
    tmp_path: Path, table: str
) -> None:
    log = await a_used_log(tmp_path)
    owners, others = aiter(log.partitions(ROLE)), aiter(log.partitions(topics.STATS))
    partition = await anext(owners)
    await anext(others)
    spoil(tmp_path / "log.db", table)

    async def own() -> None:
        await restored(partition)
        await read_all(partition, 1)

    with pytest.raises(PartitionLost, match=DAMAGED):
        await own()
    for each in (owners, others):
        with pytest.raises(LogCorrupt, match=DAMAGED):
            await asyncio.wait_for(anext(each), 60)
    with pytest.raises(LogCorrupt, match=DAMAGED):
        await log.append([out(COMMANDS, "a")])
    await log.close()


async def test_damage_that_a_write_meets_is_no_full_disk(tmp_path: Path) -> None:
    log = await a_used_log(tmp_path)
    owners = aiter(log.partitions(ROLE))
    await anext(owners)
    spoil(tmp_path / "log.db", OUT)
    with pytest.raises(LogCorrupt, match=DAMAGED):
        await log.append([out(OUT, "a")])
    with pytest.raises(LogCorrupt, match=DAMAGED):
        await asyncio.wait_for(anext(owners), 60)
    await log.close()


async def test_damage_that_shows_at_the_start_is_named(tmp_path: Path) -> None:
    await (await a_used_log(tmp_path)).close()
    spoil(tmp_path / "log.db", "ends")
    with pytest.raises(LogCorrupt, match=DAMAGED):
        await SqliteLog.open(tmp_path)


async def test_a_full_disk_writes_nothing_and_the_log_works_again_with_room(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    owners = aiter(log.partitions(ROLE))
    partition = await anext(owners)
    await partition.commit([out(STATE, "k", b"before")])
    await log.limit_pages(1)
    with pytest.raises(LogFull):
        await partition.commit([out(STATE, "k", b"x" * 200_000)])
    with pytest.raises(PartitionLost, match="full"):
        await partition.commit([out(STATE, "k", b"later")])
    await log.limit_pages(1_000_000)
    again = await asyncio.wait_for(anext(owners), 60)
    assert await restored(again) == {"k": b"before"}
    await again.commit([out(STATE, "k", b"after")])
    assert await restored(again) == {"k": b"after"}
    await log.close()


async def test_while_the_disk_is_full_nobody_owns_anything_and_it_says_so(tmp_path: Path) -> None:
    """Owners that start over at each refused call would log in at every broker each time."""
    log = await SqliteLog.open(tmp_path, room_every_s=0.01)
    await log.check()
    owners = aiter(log.partitions(ROLE))
    partition = await anext(owners)
    await log.limit_pages(1)
    with pytest.raises(LogFull):
        await partition.commit([out(STATE, "k", b"x" * 200_000)])
    waiting = asyncio.create_task(anext(owners))
    for _ in range(20):
        with pytest.raises(LogFull):
            await log.append([out(EVENTS, "a", b"x" * 200_000)])
    assert not waiting.done()
    with pytest.raises(LogFull, match=r"cannot be written: .*full: nothing is done until it can"):
        await log.check()
    await log.limit_pages(1_000_000)
    again = await asyncio.wait_for(waiting, 60)
    await log.check()
    await again.commit([out(STATE, "k", b"after")])
    assert await restored(again) == {"k": b"after"}
    await log.close()


async def test_a_log_whose_disk_is_full_can_be_closed(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path, room_every_s=0.01)
    await log.limit_pages(1)
    with pytest.raises(LogFull):
        await log.append([out(EVENTS, "a", b"x" * 200_000)])
    owners = aiter(log.partitions(ROLE))
    waiting = asyncio.create_task(anext(owners))
    await asyncio.sleep(0)
    await log.close()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(waiting, 60)


async def test_what_is_read_ahead_of_the_disk_falls_with_all_that_followed_from_it(
    tmp_path: Path,
) -> None:
    log = await SqliteLog.open(tmp_path)
    owners, outside = aiter(log.partitions(ROLE)), aiter(log.partitions(topics.STATS))
    partition, reader = await anext(owners), await anext(outside)
    await log.append([out(EVENTS, "a", b"kept")])
    (kept,) = await reader.read()
    await partition.commit([], await partition.read())
    await log.limit_pages(1)
    appending = asyncio.create_task(log.append([out(EVENTS, "a", b"x" * 200_000)]))
    (ahead,) = await asyncio.wait_for(partition.read(), 60)
    assert ahead.offset == kept.offset + 1
    with pytest.raises((LogFull, PartitionLost)):
        await partition.commit([out(OUT, "s", b"follows")], [ahead])
    with pytest.raises(LogFull):
        await appending
    # It writes elsewhere: it was never shown what fell. Whoever loses by another's write is told why.
    with pytest.raises(PartitionLost, match="full"):
        await asyncio.wait_for(reader.read(), 60)
    await log.limit_pages(1_000_000)
    partition, reader = await anext(owners), await anext(outside)
    await log.append([out(EVENTS, "a", b"next")])
    assert [r.value for r in await read_all(partition, 1)] == [b"next"]
    assert [r.value for r in await read_all(reader, 2)] == [b"kept", b"next"]
    await log.close()
    assert list(SqliteLogReader(tmp_path).records(OUT)) == []


async def test_a_lost_owners_commits_stand_before_the_next_owner_restores(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    owners = aiter(log.partitions(ROLE))
    first = await anext(owners)
    committing = asyncio.create_task(first.commit([out(STATE, "k", b"v")]))
    await asyncio.sleep(0)
    await lose(log, first)
    second = await asyncio.wait_for(anext(owners), 60)
    assert await restored(second) == {"k": b"v"}
    await committing
    await log.close()


async def test_a_burst_larger_than_memory_keeps_is_read_whole(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    partition = await take(log)
    appending = asyncio.create_task(
        log.append([out(EVENTS, "a", b"%d" % n) for n in range(20_000)])
    )
    assert len(await read_all(partition, 20_000)) == 20_000
    await appending
    await log.close()


async def test_a_reader_of_another_process_sees_what_is_committed(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    await log.append([out(EVENTS, "a", b"1"), out(EVENTS, "b", b"2")])
    reader = SqliteLogReader(tmp_path)
    assert [r.value for r in reader.records(EVENTS)] == [b"1", b"2"]
    await log.close()


async def test_a_slow_reader_gets_everything_from_the_file(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    partition = await take(log)
    for start in range(0, 20_000, 1000):
        await log.append([out(EVENTS, "a", b"%d" % (start + n)) for n in range(1000)])
    records = await read_all(partition, 20_000)
    assert [int(r.value or b"") for r in records] == list(range(20_000))
    await log.close()


async def test_of_large_records_memory_keeps_few_and_a_reader_gets_all(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    partition = await take(log)
    await log.append([out(EVENTS, "a", b"small")])
    assert [r.value for r in await read_all(partition, 1)] == [b"small"]
    lists = [b"%d" % n * (2 << 20) for n in range(10)]
    for each in lists:
        await log.append([out(EVENTS, "a", each)])
    assert not log.in_memory(EVENTS, log.end_offset(EVENTS) - len(lists))
    assert log.in_memory(EVENTS, log.end_offset(EVENTS) - 1)
    assert [r.value for r in await read_all(partition, len(lists))] == lists
    await log.append([out(EVENTS, "a", b"1" * (TAIL_BYTES + 1))])
    assert log.in_memory(EVENTS, log.end_offset(EVENTS) - 1)
    [record] = await read_all(partition, 1)
    assert len(record.value or b"") == TAIL_BYTES + 1
    await log.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from copypro import topics
from copypro.adapters.sqlite_log import SqliteLog
from copypro.ports import Outgoing
async def main():
    log = await SqliteLog.open(Path(sys.argv[1]))
    owners = aiter(log.partitions(topics.REPLICATOR))
    partition = await anext(owners)
    done = 0
    while True:
        await log.append([Outgoing("order-events", "a", b"{}")])
        records = await partition.read()
        outputs = [Outgoing("slave-orders", "s", b"%d" % r.offset) for r in records]
        done = records[-1].offset + 1
        await partition.commit([*outputs, Outgoing("replicator-state", "n", b"%d" % done)], records)
        print(done, flush=True)
asyncio.run(main())
"""


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_acknowledged_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    draw = random.Random(7)
    acknowledged = 0
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(draw.randint(1, 40)):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        process.wait()
        process.stdout.close()
    copied = [int(r.value or b"") for r in SqliteLogReader(tmp_path).records(OUT)]
    assert copied == list(range(len(copied))), "each input once, in order"
    assert len(copied) >= acknowledged
    (state,) = SqliteLogReader(tmp_path).records(STATE)
    assert state.value == b"%d" % len(copied), "state moves with its outputs"
