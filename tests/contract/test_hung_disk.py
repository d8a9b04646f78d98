"""A disk that hangs, fails or never rests, under the log in one file: nobody waits without a word."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from copypro import topics
from copypro.adapters.data_folder import take_lock
from copypro.adapters.sqlite_log import SqliteLog, _open_file
from copypro.errors import LogCorrupt, LogError, LogFull, LogUnavailable, PartitionLost
from copypro.ports import Outgoing

from tests.waiting import eventually

ROLE = topics.REPLICATOR
EVENTS, STATE = topics.ORDER_EVENTS.name, ROLE.state.name


def out(value: bytes) -> Outgoing:
    return Outgoing(EVENTS, "a", value, {})


class Disk:
    """A connection to a file on a disk that fails these statements, once each, and may hang."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.fails: dict[str, str | sqlite3.Error] = {}
        self.answers = threading.Event()
        self.answers.set()
        self.takes_s = 0.0
        self.is_committing = threading.Event()

    def execute(self, statement: str, *rest: Any) -> sqlite3.Cursor:
        if statement == "COMMIT":
            self.is_committing.set()
            self.answers.wait(60)
            time.sleep(self.takes_s)
        if error := self.fails.pop(statement, ""):
            raise error if isinstance(error, sqlite3.Error) else sqlite3.OperationalError(error)
        return self._connection.execute(statement, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@asynccontextmanager
async def log_on(folder: Path) -> AsyncIterator[tuple[SqliteLog, Disk]]:
    disk = Disk(_open_file(folder / "log.db"))
    log = SqliteLog(cast(sqlite3.Connection, disk), {}, folder, take_lock(folder), held_up_s=0.1)
    yield log, disk
    await asyncio.wait_for(log.close(), 60)


async def test_a_transaction_that_cannot_even_be_undone_fails_and_the_next_is_written(
    tmp_path: Path,
) -> None:
    async with log_on(tmp_path) as (log, disk):
        disk.fails = dict.fromkeys(("COMMIT", "ROLLBACK"), "disk I/O error")
        with pytest.raises(LogError, match="disk I/O error"):
            await asyncio.wait_for(log.append([out(b"lost")]), 20)
        await asyncio.wait_for(log.append([out(b"kept")]), 20)
        assert [record.value for record in log.records_on_disk(EVENTS, 0, 10)] == [b"kept"]


async def test_a_disk_that_holds_up_a_commit_is_named_until_it_confirms_it(tmp_path: Path) -> None:
    async with log_on(tmp_path) as (log, disk):
        disk.answers.clear()
        appending = asyncio.create_task(log.append([out(b"1")]))
        await eventually(partial(held_up, log))
        disk.answers.set()
        await appending
        assert not await held_up(log)


async def held_up(log: SqliteLog) -> bool:
    try:
        await log.check()
    except LogUnavailable as error:
        return "has not confirmed a commit" in str(error)
    return False


async def test_a_reader_that_is_behind_goes_on_though_the_log_never_rests(tmp_path: Path) -> None:
    async with log_on(tmp_path) as (log, disk):
        await log.append([out(b"%d" % n) for n in range(3000)])
        over = asyncio.Event()
        disk.takes_s = 0.01

        async def write() -> None:
            await asyncio.sleep(0.002 * len(writers))
            while not over.is_set():
                await log.append([out(b"more")])
                await asyncio.sleep(0.005)

        writers: list[asyncio.Task[None]] = []
        for _ in range(10):
            writers.append(asyncio.create_task(write()))
            await asyncio.sleep(0.003)
        partition = await anext(aiter(log.partitions(ROLE)))
        read = asyncio.create_task(partition.read())
        done, _ = await asyncio.wait([read], timeout=20)
        over.set()
        await asyncio.gather(*writers)
        assert done


async def test_what_became_durable_stays_though_what_waited_behind_it_was_refused(
    tmp_path: Path,
) -> None:
    async with log_on(tmp_path) as (log, disk):
        owners = aiter(log.partitions(ROLE))
        first = await anext(owners)
        disk.answers.clear()
        kept = asyncio.create_task(first.commit([Outgoing(STATE, "kept", b"1", {})]))
        await asyncio.to_thread(disk.is_committing.wait, 60)
        refused = asyncio.create_task(first.commit([Outgoing(STATE, "refused", b"2", {})]))
        await asyncio.sleep(0)
        disk.fails = {"BEGIN IMMEDIATE": "database is locked"}
        disk.answers.set()
        await kept
        with pytest.raises(PartitionLost):
            await refused
        second = await asyncio.wait_for(anext(owners), 60)
        await second.commit([Outgoing(STATE, "next", b"3", {})])
        found = {record.key: record.value async for record in second.restore()}
        assert found == {"kept": b"1", "next": b"3"}


async def test_while_another_program_locks_the_file_nobody_owns_anything_and_it_says_so(
    tmp_path: Path,
) -> None:
    """Each new owner would log in at every broker, and hold the whole process up for five seconds."""
    log = await SqliteLog.open(tmp_path, room_every_s=0.01)
    owners = aiter(log.partitions(ROLE))
    first = await anext(owners)
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(PartitionLost, match="locked by another program"):
            await first.commit([Outgoing(STATE, "k", b"1", {})])
        begun = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(anext(owners))
        for _ in range(10):
            with pytest.raises(LogUnavailable, match="locked"):
                await log.append([out(b"1")])
            with pytest.raises(LogUnavailable, match=r"locked .*: nothing is done until it can"):
                await log.check()
            await asyncio.sleep(0.02)  # it is tried meanwhile
        assert not waiting.done()
        assert asyncio.get_running_loop().time() - begun < 40.0, "nobody waited for the lock"
        other.execute("ROLLBACK")
    second = await asyncio.wait_for(waiting, 60)
    await second.commit([Outgoing(STATE, "k", b"2", {})])
    await log.check()
    await log.close()


async def test_what_keeps_the_file_from_being_written_is_said_as_it_is_now(tmp_path: Path) -> None:
    """Who looks for a program that locks it, or makes room, should not do so for nothing; and while it
    is locked each append would hold up the whole process for five seconds.
    """
    log = await SqliteLog.open(tmp_path, room_every_s=0.01)
    owner = await anext(aiter(log.partitions(ROLE)))
    await log.limit_pages(1)
    with pytest.raises(LogFull):
        await owner.commit([Outgoing(STATE, "k", b"x" * 200_000, {})])
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await eventually(partial(is_said, log, "locked by another program"))
        with pytest.raises(LogUnavailable, match="locked"):
            await log.append([out(b"1")])
        other.execute("ROLLBACK")
    await eventually(partial(is_said, log, "full"))
    await log.limit_pages(1_000_000)
    await eventually(partial(is_said, log, ""))
    await log.append([out(b"2")])
    await log.close()


async def test_damage_that_shows_while_the_disk_is_full_ends_the_waiting_for_room(
    tmp_path: Path,
) -> None:
    """It would never come."""
    damage = sqlite3.DatabaseError("database disk image is malformed")
    damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    async with log_on(tmp_path) as (log, disk):
        disk.fails["BEGIN IMMEDIATE"] = "database or disk is full"
        disk.fails["CREATE TABLE room (filled BLOB)"] = damage
        with pytest.raises(LogFull):
            await log.append([out(b"1")])
        with pytest.raises(LogCorrupt, match="restore it from a backup"):
            await asyncio.wait_for(anext(aiter(log.partitions(ROLE))), 60)


async def is_said(log: SqliteLog, what: str) -> bool:
    """Empty: it is written."""
    try:
        await log.check()
    except LogError as error:
        return bool(what) and what in str(error)
    return not what
