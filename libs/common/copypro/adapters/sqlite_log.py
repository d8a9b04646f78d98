"""The log in one SQLite file: nothing to install, durable at every commit, one partition.

One writer thread makes one transaction of everything that waits (group commit) with
`synchronous=FULL`, so a commit costs one fsync however many share it. What was just written goes
to readers in this process from memory. A lock file keeps a second process out.
"""

from __future__ import annotations

import asyncio
import fcntl
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from copypro import topics
from copypro.errors import LogBusy, LogClosed, LogCorrupt, LogError, LogFull, PartitionLost
from copypro.ports import Outgoing, Partition, Record
from copypro.topics import Role

FILE = "log.db"
LOCK = "lock"
APPLICATION_ID = 0x43505250
SCHEMA = 1
TAIL = 8192
"""Records of a topic that are kept in memory for readers that keep up."""
BATCH = 512
"""Most records that one read gives."""

_TABLES = """
CREATE TABLE records (
    topic TEXT NOT NULL, offset INTEGER NOT NULL, key TEXT NOT NULL, value BLOB, headers BLOB NOT NULL,
    recorded_at REAL NOT NULL, PRIMARY KEY (topic, offset)) WITHOUT ROWID;
CREATE TABLE latest (
    topic TEXT NOT NULL, key TEXT NOT NULL, offset INTEGER NOT NULL, value BLOB NOT NULL,
    headers BLOB NOT NULL, recorded_at REAL NOT NULL, PRIMARY KEY (topic, key)) WITHOUT ROWID;
CREATE INDEX latest_by_offset ON latest (topic, offset);
CREATE TABLE ends (topic TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE consumed (
    role TEXT NOT NULL, topic TEXT NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (role, topic)) WITHOUT ROWID;
"""
_COLUMNS = "topic, offset, key, value, headers, recorded_at"
_COMPACTED = frozenset(topic.name for topic in topics.TOPICS if topic.compacted)
_headers_of = msgspec.json.Decoder(dict[str, str])
_encode = msgspec.json.Encoder().encode


class _Job:
    __slots__ = ("consumed", "done", "error", "outputs", "partition")

    def __init__(
        self,
        outputs: Sequence[Outgoing],
        consumed: dict[str, int],
        partition: _SqlitePartition | None,
        done: asyncio.Future[None],
    ) -> None:
        self.outputs, self.consumed, self.partition, self.done = outputs, consumed, partition, done
        self.error: LogError | None = None


class SqliteLog:
    """An EventLog. Made by `open`; every other method belongs to the event loop it was made in."""

    def __init__(self, connection: sqlite3.Connection, folder: Path, lock: IO[str]) -> None:
        self._connection, self._folder, self._lock = connection, folder, lock
        self._loop = asyncio.get_running_loop()
        self._ends: dict[str, int] = dict(connection.execute("SELECT topic, offset FROM ends"))
        self._tails: dict[str, deque[Record]] = {}
        self._jobs: queue.SimpleQueue[_Job | int | None] = queue.SimpleQueue()
        self._partitions: set[_SqlitePartition] = set()
        self._closed = False
        self._written_ends = dict(self._ends)
        self._writer = threading.Thread(target=self._write, name="sqlite-log", daemon=True)
        self._writer.start()

    @classmethod
    async def open(cls, folder: Path) -> SqliteLog:
        """Errors: LogBusy (another process holds the folder), LogCorrupt (not ours, damaged, newer)."""
        lock = _take_lock(folder)
        try:
            connection = _open_file(folder / FILE)
        except BaseException:
            lock.close()
            raise
        return cls(connection, folder, lock)

    async def append(self, messages: Sequence[Outgoing]) -> None:
        await self._submit(messages, {}, None)

    async def partitions(self, role: Role) -> AsyncIterator[Partition]:
        """Gives the one partition, and gives it anew each time its former owner failed."""
        while not self._closed:
            partition = _SqlitePartition(self, role)
            self._partitions.add(partition)
            try:
                yield partition
                await partition.over.wait()
            finally:
                partition.lose()
                self._partitions.discard(partition)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        for partition in list(self._partitions):
            partition.wake()
            partition.over.set()
        self._connection.close()
        self._lock.close()

    def limit_pages(self, pages: int) -> None:
        """Lets the file grow no further than this: a full disk, for tests and for quotas."""
        self._jobs.put(pages)

    # --- for partitions -----------------------------------------------------------------------

    def _submit(
        self,
        outputs: Sequence[Outgoing],
        consumed: dict[str, int],
        partition: _SqlitePartition | None,
    ) -> asyncio.Future[None]:
        """Queued before this returns: call order is commit order."""
        done: asyncio.Future[None] = self._loop.create_future()
        done.add_done_callback(_retrieved)
        if self._closed:
            done.set_exception(LogClosed("the log is closed"))
            return done
        self._jobs.put(_Job(outputs, consumed, partition, done))
        return done

    def end_offset(self, topic: str) -> int:
        return self._ends.get(topic, 0)

    def records_from(self, topic: str, offset: int, most: int) -> list[Record]:
        """From memory where the reader keeps up, else from the file."""
        tail = self._tails.get(topic)
        if tail and tail[0].offset <= offset:
            skip = offset - tail[0].offset
            if topic not in _COMPACTED:
                return [tail[at] for at in range(skip, min(len(tail), skip + most))]
            return [record for record in tail if record.offset >= offset][:most]
        table = "latest" if topic in _COMPACTED else "records"
        query = (
            f"SELECT {_COLUMNS} FROM {table} WHERE topic = ? AND offset >= ?"
            " ORDER BY offset LIMIT ?"
        )
        with _reading(self._folder) as connection:
            return [_record(row) for row in connection.execute(query, (topic, offset, most))]

    def state(self, topic: str) -> list[Record]:
        with _reading(self._folder) as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM latest WHERE topic = ? ORDER BY offset", (topic,)
            )
            return [_record(row) for row in rows]

    def consumed(self, role: str) -> dict[str, int]:
        with _reading(self._folder) as connection:
            rows = connection.execute("SELECT topic, offset FROM consumed WHERE role = ?", (role,))
            return dict(rows.fetchall())

    # --- the writer ---------------------------------------------------------------------------

    def _write(self) -> None:
        """The writer thread: one transaction for all that waits, until the log is closed."""
        closing = False
        while not closing:
            batch = [self._jobs.get()]
            while True:
                try:
                    batch.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            jobs: list[_Job] = []
            for item in batch:
                if item is None:
                    closing = True
                elif isinstance(item, int):
                    self._connection.execute(f"PRAGMA max_page_count = {item}")
                else:
                    jobs.append(item)
            if jobs:
                self._write_batch(jobs)

    def _write_batch(self, jobs: list[_Job]) -> None:
        live = [job for job in jobs if not self._is_fenced(job)]
        written: list[Record] = []
        try:
            written = self._transaction(live)
        except sqlite3.Error as error:
            failure = _failure(error)
            for job in live:
                job.error = failure
                if job.partition is not None:
                    job.partition.failed = True
        self._loop.call_soon_threadsafe(self._deliver, jobs, written)

    def _is_fenced(self, job: _Job) -> bool:
        if job.partition is not None and job.partition.failed:
            job.error = PartitionLost("an earlier commit failed, or another owner took over")
            return True
        return False

    def _transaction(self, jobs: list[_Job]) -> list[Record]:
        now = time.time()
        ends = dict(self._written_ends)
        records: list[Record] = []
        rows: list[tuple[object, ...]] = []
        latest: dict[tuple[str, str], tuple[object, ...]] = {}
        removed: dict[tuple[str, str], None] = {}
        consumed: dict[tuple[str, str], int] = {}
        for job in jobs:
            for out in job.outputs:
                topic = out.topic
                offset = ends.get(topic, 0)
                ends[topic] = offset + 1
                record = Record(topic, 0, offset, out.key, out.value, out.headers, now)
                row = (topic, offset, out.key, out.value, _encode(out.headers), now)
                if topic in _COMPACTED:
                    place = (topic, out.key)
                    if out.value is None:
                        latest.pop(place, None)
                        removed[place] = None
                    else:
                        removed.pop(place, None)
                        latest[place] = row
                else:
                    rows.append(row)
                records.append(record)
            if job.partition is not None:
                for topic, offset in job.consumed.items():
                    consumed[job.partition.role.name, topic] = offset
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            insert = f"INSERT INTO records ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
            connection.executemany(insert, rows)
            replace = f"REPLACE INTO latest ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
            connection.executemany(replace, latest.values())
            connection.executemany("DELETE FROM latest WHERE topic = ? AND key = ?", removed)
            changed = [(t, o) for t, o in ends.items() if self._written_ends.get(t) != o]
            connection.executemany("REPLACE INTO ends (topic, offset) VALUES (?, ?)", changed)
            connection.executemany(
                "REPLACE INTO consumed (role, topic, offset) VALUES (?, ?, ?)",
                [(role, topic, offset) for (role, topic), offset in consumed.items()],
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._written_ends = ends
        return records

    def _deliver(self, jobs: list[_Job], written: list[Record]) -> None:
        """Back in the loop: readers see the records before the writers go on."""
        for record in written:
            topic = record.topic
            self._ends[topic] = record.offset + 1
            tail = self._tails.get(topic)
            if tail is None:
                tail = self._tails[topic] = deque(maxlen=TAIL)
            tail.append(record)
        if written:
            names = {record.topic for record in written}
            for partition in self._partitions:
                if not names.isdisjoint(partition.input_names):
                    partition.wake()
        for job in jobs:
            if job.error is not None and job.partition is not None:
                job.partition.lose()
            if job.done.done():
                continue
            if job.error is None:
                job.done.set_result(None)
            else:
                job.done.set_exception(job.error)


class _SqlitePartition:
    number = 0

    def __init__(self, log: SqliteLog, role: Role) -> None:
        self.role = role
        self.input_names = frozenset(topic.name for topic in role.inputs)
        self.failed = False
        self.over = asyncio.Event()
        self._log = log
        self._news = asyncio.Event()
        self._positions: dict[str, int] | None = None

    async def restore(self) -> AsyncIterator[Record]:
        for record in self._log.state(self.role.state.name):
            yield record

    async def read(self) -> Sequence[Record]:
        if self._positions is None:
            consumed = self._log.consumed(self.role.name)
            self._positions = {name: consumed.get(name, 0) for name in self.input_names}
        while True:
            if self.failed:
                raise PartitionLost("an earlier commit failed, or another owner took over")
            if self._log._closed:
                raise LogClosed("the log is closed")
            self._news.clear()
            found: list[Record] = []
            for topic in self.role.inputs:
                position = self._positions[topic.name]
                if position < self._log.end_offset(topic.name):
                    records = self._log.records_from(topic.name, position, BATCH)
                    if records:
                        self._positions[topic.name] = records[-1].offset + 1
                        found.extend(records)
                    else:  # only tombstones since then
                        self._positions[topic.name] = self._log.end_offset(topic.name)
            if found:
                return found
            await self._news.wait()

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        if self.failed:
            raise PartitionLost("an earlier commit failed, or another owner took over")
        offsets: dict[str, int] = {}
        for record in consumed:
            offsets[record.topic] = record.offset + 1
        await asyncio.shield(self._log._submit(outputs, offsets, self))

    def end_offset(self, topic: str) -> int:
        return self._log.end_offset(topic)

    def lose(self) -> None:
        """Nothing of this owner takes effect any more; the next one is given the partition."""
        self.failed = True
        self.over.set()
        self._news.set()

    def wake(self) -> None:
        self._news.set()


class SqliteLogReader:
    """Reads a data folder from another process while the program runs; changes nothing."""

    def __init__(self, folder: Path) -> None:
        """Errors: LogCorrupt (no log of ours in this folder)."""
        self._folder = folder
        if not (folder / FILE).exists():
            raise LogCorrupt(f"{folder} holds no data of CopyPro: set COPYPRO_DATA to its folder")
        with _reading(folder) as connection:
            _check(connection, folder / FILE)

    def records(self, topic: str, since: int = 0) -> Iterator[Record]:
        """All records of a topic from an offset on, in order; compacted ones as they now are."""
        table = "latest" if topic in _COMPACTED else "records"
        query = f"SELECT {_COLUMNS} FROM {table} WHERE topic = ? AND offset >= ? ORDER BY offset"
        with _reading(self._folder) as connection:
            for row in connection.execute(query, (topic, since)):
                yield _record(row)


def _retrieved(done: asyncio.Future[None]) -> None:
    """Whoever asked may have been cancelled meanwhile; the failure is the partition's anyway."""
    if not done.cancelled():
        done.exception()


class _reading:
    """A connection of its own for reading: it sees what is committed and blocks nobody."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def __enter__(self) -> sqlite3.Connection:
        self._connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _record(row: tuple[str, int, str, bytes | None, bytes, float]) -> Record:
    topic, offset, key, value, headers, recorded_at = row
    return Record(topic, 0, offset, key, value, _headers_of.decode(headers), recorded_at)


def _take_lock(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / LOCK).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise LogBusy(
            f"another CopyPro process already uses {folder}: stop it, or set COPYPRO_DATA"
        ) from None
    return lock


def _open_file(path: Path) -> sqlite3.Connection:
    is_new = not path.exists() or path.stat().st_size == 0
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        if not is_new:
            _check(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if is_new:
            connection.executescript(_TABLES)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise LogCorrupt(f"{path} is damaged or not a database: {error}") from error
    except LogCorrupt:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("SELECT count(*) FROM consumed").fetchone()
    except sqlite3.DatabaseError as error:
        raise LogCorrupt(f"{path} is damaged or not a database: {error}") from error
    if application != APPLICATION_ID:
        raise LogCorrupt(f"{path} belongs to another program: nothing was changed in it")
    if version > SCHEMA:
        raise LogCorrupt(f"{path} was written by a newer version ({version}): upgrade this one")


def _failure(error: sqlite3.Error) -> LogError:
    code = getattr(error, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) or "disk" in str(error):
        return LogFull(f"the log cannot be written: {error}")
    return PartitionLost(f"the log failed: {error}")
