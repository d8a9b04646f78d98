"""The log in one SQLite file: nothing to install, durable at every commit, one partition.

All commits form one order. Each topic is a table that only grows at its end. What waits is inserted
by the event loop as one transaction, and a thread makes it durable (`synchronous=FULL`), so a commit
costs one fsync however many share it, and the loop goes on meanwhile.

A record reaches its readers in this process from memory, as soon as its place in the order is fixed:
what they commit in consequence stands behind it in the same order, so it becomes durable with it or
after it or not at all, and a trade call, which waits for its attempt's commit, has waited for
everything that led to it. When a transaction fails, everything behind it fails too and every
partition is lost: all memory that saw it is thrown away. A lock file keeps a second process out.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
import structlog

from copypro import topics
from copypro.adapters.data_folder import take_lock
from copypro.adapters.sqlite_file import (
    BUSY_S,
    check_file,
    is_damage,
    open_file,
    said,
    saying,
)
from copypro.errors import (
    LogClosed,
    LogCorrupt,
    LogError,
    LogFull,
    LogUnavailable,
    PartitionLost,
    StoreRefused,
)
from copypro.ports import Outgoing, Partition, Record
from copypro.topics import Role

logger = structlog.get_logger("copypro")
FILE = "log.db"
APPLICATION_ID = 0x43505250
SCHEMA = 1
TAIL, TAIL_BYTES = 2048, 8 << 20
"""Records of a topic, and so much of them, that are kept in memory for readers that keep up."""
QUIET_TURNS = 3
"""Turns of the event loop without news, after which what waits is written."""
BATCH = 512
"""Most records that one read gives."""
ROOM_EVERY_S = 1.0
HELD_UP_S = 5.0
"""A disk that takes longer than this for one commit is named: nothing is recorded or sent meanwhile."""
ROOM_BYTES = 1 << 20
"""So much must go into a file that was full before anybody works with it again."""

_COLUMNS = "offset, key, value, headers, recorded_at"
_TABLES = """
CREATE TABLE IF NOT EXISTS ends (topic TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS consumed (
    role TEXT NOT NULL, topic TEXT NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (role, topic)) WITHOUT ROWID;
"""
_TOPIC_TABLE = """
CREATE TABLE IF NOT EXISTS "{name}" (
    offset INTEGER PRIMARY KEY, key TEXT NOT NULL {unique}, value BLOB, headers BLOB NOT NULL,
    recorded_at REAL NOT NULL);
"""
_COMPACTED = frozenset(topic.name for topic in topics.TOPICS if topic.compacted)
_INPUTS = frozenset(topic.name for role in topics.ROLES for topic in role.inputs)
_headers_of = msgspec.json.Decoder(dict[str, str])
_encode = msgspec.json.Encoder().encode


_Row = tuple[int, str, bytes | None, bytes, float]


class _Job:
    """Records with their places in the order, waiting to be durable."""

    __slots__ = ("consumed", "done", "ends", "records", "role")

    def __init__(
        self,
        records: list[Record],
        ends: dict[str, int],
        consumed: dict[str, int],
        role: str,
        done: asyncio.Future[None],
    ) -> None:
        self.records, self.ends, self.consumed = records, ends, consumed
        self.role, self.done = role, done


class _Tail:
    """The last records of a topic; never none once there was one."""

    __slots__ = ("_bytes", "_records")

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._bytes = 0

    @property
    def first(self) -> int:
        return self._records[0].offset

    def add(self, record: Record) -> None:
        records = self._records
        records.append(record)
        self._bytes += len(record.value or b"")
        while len(records) > TAIL or (self._bytes > TAIL_BYTES and len(records) > 1):
            self._bytes -= len(records.popleft().value or b"")

    def between(self, offset: int, until: int) -> list[Record]:
        records, first = self._records, self.first
        return [records[at] for at in range(offset - first, until - first)]


class _Transaction:
    __slots__ = ("error", "jobs")

    def __init__(self, jobs: list[_Job]) -> None:
        self.jobs = jobs
        self.error: LogError | None = None


class SqliteLog:
    """An EventLog. Made by `open`; every other method belongs to the event loop it was made in."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        ends: dict[str, int],
        folder: Path,
        lock: IO[str],
        room_every_s: float = ROOM_EVERY_S,
        held_up_s: float = HELD_UP_S,
    ) -> None:
        self._connection, self._folder, self._lock = connection, folder, lock
        self._room_every_s, self._held_up_s = room_every_s, held_up_s
        self._roomy = asyncio.Event()
        self._roomy.set()
        self._unwritable: LogFull | LogUnavailable | None = None
        self._waiting_for_room: asyncio.Task[None] | None = None
        self._damage = ""
        self._loop = asyncio.get_running_loop()
        self._durable_ends = ends
        self._ends = dict(ends)
        self._tails: dict[str, _Tail] = {}
        self._partitions: set[_SqlitePartition] = set()
        self._waiting: list[_Job] = []
        self._is_writing = False
        self._is_answered = False
        """What came last consumed inputs, and nobody in this process reads what it led to."""
        self._placed = self._settled = 0
        """Jobs that have a place in the order, and those of them that are durable or have failed."""
        self._written = asyncio.Event()
        self._committing_since = float("inf")
        self._to_commit: queue.SimpleQueue[_Transaction | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._commit, name="sqlite-log", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, folder: Path, room_every_s: float = ROOM_EVERY_S) -> SqliteLog:
        """Errors: LogBusy (another process holds the folder), LogCorrupt (not ours, damaged, newer)."""
        lock = take_lock(folder)
        try:
            connection = _open_file(folder / FILE)
            with _saying(folder / FILE):
                ends = dict(connection.execute("SELECT topic, offset FROM ends"))
        except BaseException:
            lock.close()
            raise
        return cls(connection, ends, folder, lock, room_every_s)

    @property
    def is_begun(self) -> bool:
        """Something is recorded in it."""
        return bool(self._durable_ends)

    async def append(self, messages: Sequence[Outgoing]) -> None:
        await self._submit(messages, {}, "")

    async def partitions(self, role: Role) -> AsyncIterator[Partition]:
        """Gives the one partition, and gives it anew each time its former owner failed, once the file
        can be written. Errors: LogCorrupt, once the file turned out to be damaged.
        """
        while True:
            await self._roomy.wait()
            if self._closed:
                return
            if self._damage:
                raise LogCorrupt(self._damage)
            partition = _SqlitePartition(self, role)
            self._partitions.add(partition)
            try:
                yield partition
                await partition.over.wait()
            finally:
                partition.give_up("its owner is done with it")
                self._partitions.discard(partition)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._waiting_for_room is not None:
            self._waiting_for_room.cancel()
            await asyncio.wait([self._waiting_for_room])
        await self.flushed()
        self._roomy.set()
        self._to_commit.put(None)
        await asyncio.to_thread(self._thread.join)
        for partition in list(self._partitions):
            partition.wake()
            partition.over.set()
        self._connection.close()
        self._lock.close()

    async def limit_pages(self, pages: int) -> None:
        """Lets the file grow no further than this: a full disk, for tests and for quotas."""
        await self._at_rest()
        self._connection.execute(f"PRAGMA max_page_count = {pages}")

    async def check(self) -> None:
        """Whether it is written. Errors: LogFull, as long as nothing is done here for want of room;
        LogUnavailable, as long as another program holds the file locked or the disk one commit up.
        """
        if self._unwritable is not None:
            raise type(self._unwritable)(f"{self._unwritable}: nothing is done until it can be")
        waited_s = self._loop.time() - self._committing_since
        if waited_s > self._held_up_s:
            raise LogUnavailable(
                f"the disk has not confirmed a commit for {waited_s:.0f} s: nothing is done until it does"
            )

    # --- for partitions -----------------------------------------------------------------------

    def _submit(
        self, outputs: Sequence[Outgoing], consumed: dict[str, int], role: str
    ) -> asyncio.Future[None]:
        """Has its place in the order before this returns, and its readers know; durable when done.
        Whoever waits for it may be cancelled: it is written all the same.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        done.add_done_callback(_retrieved)
        if self._closed:
            done.set_exception(LogClosed("the log is closed"))
            return done
        if self._damage:
            done.set_exception(LogCorrupt(self._damage))
            return done
        if isinstance(self._unwritable, LogUnavailable):
            # Each try would hold up the loop for as long as a write waits for the lock.
            done.set_exception(LogUnavailable(str(self._unwritable)))
            return done
        now, ends = time.time(), self._ends
        records: list[Record] = []
        ended: dict[str, int] = {}
        for out in outputs:
            topic = out.topic
            offset = ends.get(topic, 0)
            ends[topic] = ended[topic] = offset + 1
            record = Record(topic, 0, offset, out.key, out.value, out.headers, now)
            records.append(record)
            if topic in _INPUTS:
                tail = self._tails.get(topic)
                if tail is None:
                    tail = self._tails[topic] = _Tail()
                tail.add(record)
        self._waiting.append(_Job(records, ended, consumed, role, done))
        self._placed += 1
        self._is_answered = not self._wake(ended.keys(), durable=False) and bool(consumed)
        if not self._is_writing:
            self._is_writing = True
            self._gather(0, 0)
        return done

    async def flushed(self) -> None:
        """Until everything that has a place in the order by now is durable, or has failed."""
        until = self._placed
        while self._settled < until:
            self._written.clear()
            await self._written.wait()

    async def _at_rest(self) -> None:
        """Until nothing waits to be written, which under a steady load is never."""
        while self._is_writing:
            self._written.clear()
            await self._written.wait()

    def end_offset(self, topic: str, *, durable: bool = False) -> int:
        return (self._durable_ends if durable else self._ends).get(topic, 0)

    def in_memory(self, topic: str, offset: int) -> bool:
        tail = self._tails.get(topic)
        return tail is not None and tail.first <= offset

    def records_in_memory(self, topic: str, offset: int, until: int) -> list[Record]:
        return self._tails[topic].between(offset, until)

    def records_on_disk(self, topic: str, offset: int, most: int) -> list[Record]:
        """The durable ones; of a compacted topic those that no later one replaced."""
        query = f'SELECT {_COLUMNS} FROM "{topic}" WHERE offset >= ? ORDER BY offset LIMIT ?'
        with self._reading() as connection:
            return [_record(topic, row) for row in connection.execute(query, (offset, most))]

    def state(self, topic: str) -> list[Record]:
        with self._reading() as connection:
            rows = connection.execute(f'SELECT {_COLUMNS} FROM "{topic}" ORDER BY offset')
            return [_record(topic, row) for row in rows]

    def consumed(self, role: str) -> dict[str, int]:
        with self._reading() as connection:
            rows = connection.execute("SELECT topic, offset FROM consumed WHERE role = ?", (role,))
            return dict(rows.fetchall())

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """For an owner. Errors: PartitionLost, where the file is damaged, which ends all of them."""
        try:
            with _reading(self._folder) as connection:
                yield connection
        except LogCorrupt as error:
            self._break(error)
            raise PartitionLost(str(error)) from None

    def _break(self, damage: LogCorrupt) -> None:
        """Nothing more is read or written: what is there can only be restored."""
        self._damage = str(damage)
        self._roomy.set()
        for partition in list(self._partitions):
            partition.give_up(self._damage)

    # --- writing ------------------------------------------------------------------------------

    def _gather(self, known: int, quiet: int) -> None:
        """Let the readers that were woken answer first: an event, its plans and their attempts then
        share one transaction. It is written once the last answer is there, or a few turns of the loop
        brought nothing more.
        """
        waiting = len(self._waiting)
        quiet = quiet + 1 if waiting == known else 0
        is_over = quiet == QUIET_TURNS or waiting >= BATCH or (known > 0 and self._is_answered)
        if not is_over:
            self._loop.call_soon(self._gather, waiting, quiet)
        else:
            self._write()

    def _write(self) -> None:
        """All that waits becomes one transaction, which the thread then makes durable."""
        jobs, self._waiting = self._waiting, []
        transaction = _Transaction(jobs)
        try:
            self._insert(jobs)
        except sqlite3.Error as error:
            self._undo(transaction, error)
            self._settle(transaction)
        else:
            self._committing_since = self._loop.time()
            self._to_commit.put(transaction)

    def _commit(self) -> None:
        """The thread: one call at a time, in which SQLite waits for the disk."""
        while (transaction := self._to_commit.get()) is not None:
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._undo(transaction, error)
            self._loop.call_soon_threadsafe(self._settle, transaction)

    def _undo(self, transaction: _Transaction, error: sqlite3.Error) -> None:
        """What cannot be undone now is before the next transaction."""
        transaction.error = _failure(self._folder / FILE, error)
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as refused:
            logger.error("a transaction is not undone yet", reason=str(refused))

    def _insert(self, jobs: list[_Job]) -> None:
        added: dict[str, list[_Row]] = {}
        latest: dict[str, dict[str, _Row]] = {}
        consumed: dict[tuple[str, str], int] = {}
        ends: dict[str, int] = {}
        for job in jobs:
            ends.update(job.ends)
            for record in job.records:
                topic = record.topic
                row = (
                    record.offset,
                    record.key,
                    record.value,
                    _encode(record.headers),
                    record.recorded_at,
                )
                if topic in _COMPACTED:
                    latest.setdefault(topic, {})[record.key] = row
                else:
                    added.setdefault(topic, []).append(row)
            for topic, offset in job.consumed.items():
                consumed[job.role, topic] = offset
        connection = self._connection
        if connection.in_transaction:  # of one that failed
            connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        for topic, rows in added.items():
            connection.executemany(f'INSERT INTO "{topic}" VALUES (?, ?, ?, ?, ?)', rows)
        for topic, by_key in latest.items():
            kept = [row for row in by_key.values() if row[2] is not None]
            removed = [(row[1],) for row in by_key.values() if row[2] is None]
            if kept:
                connection.executemany(f'REPLACE INTO "{topic}" VALUES (?, ?, ?, ?, ?)', kept)
            if removed:
                connection.executemany(f'DELETE FROM "{topic}" WHERE key = ?', removed)
        connection.executemany("REPLACE INTO ends (topic, offset) VALUES (?, ?)", ends.items())
        if consumed:
            connection.executemany(
                "REPLACE INTO consumed (role, topic, offset) VALUES (?, ?, ?)",
                [(role, topic, offset) for (role, topic), offset in consumed.items()],
            )

    def _settle(self, transaction: _Transaction) -> None:
        """Back in the loop: what waited meanwhile is written first, then the writers go on."""
        jobs, error = transaction.jobs, transaction.error
        ended = {topic: end for job in jobs for topic, end in job.ends.items()}
        if error is None:
            # Before what waits is written: where that fails, the order goes on behind this.
            self._durable_ends.update(ended)
        else:
            jobs = jobs + self._waiting
            self._waiting = []
            self._ends = dict(self._durable_ends)
            self._tails.clear()
            if isinstance(error, LogFull | LogUnavailable):
                self._wait_for_room(error)
            if isinstance(error, LogCorrupt):
                self._break(error)
            for partition in list(self._partitions):
                partition.give_up(f"a commit of this process failed: {error}")
        self._settled += len(jobs)
        self._committing_since = float("inf")
        self._written.set()
        if self._waiting:
            self._write()
        else:
            self._is_writing = False
        for job in jobs:
            if job.done.done():
                continue
            if error is None:
                job.done.set_result(None)
            else:
                job.done.set_exception(error)
        if error is None:
            # After the writers: what waits for its attempt's commit is a call to a broker.
            self._wake(ended.keys(), durable=True)

    def _wait_for_room(self, error: LogFull | LogUnavailable) -> None:
        if self._roomy.is_set() and not self._closed:
            logger.error("nothing is done until the log can be written", reason=str(error))
            self._unwritable = error
            self._roomy.clear()
            self._waiting_for_room = asyncio.create_task(self._until_room(), name="room")

    async def _until_room(self) -> None:
        while True:
            await asyncio.sleep(self._room_every_s)
            await self._at_rest()
            error = self._try_to_write()
            if error is None:
                break
            if isinstance(error, LogCorrupt):
                self._unwritable = None
                self._break(error)
                return
            if isinstance(error, LogFull | LogUnavailable):
                self._unwritable = error
        logger.warning("the log can be written again: work goes on")
        self._unwritable = None
        self._roomy.set()

    def _try_to_write(self) -> LogError | None:
        """What keeps it; no figure of the system knows of every limit. Between two transactions: the
        loop itself waits for the disk, while there is no owner whom that could delay.
        """
        try:
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("DROP TABLE IF EXISTS room")
            self._connection.execute("CREATE TABLE room (filled BLOB)")
            self._connection.execute("INSERT INTO room VALUES (zeroblob(?))", (ROOM_BYTES,))
            self._connection.execute("DROP TABLE room")
        except sqlite3.Error as error:
            return _failure(self._folder / FILE, error)
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
        return None

    def _wake(self, names: AbstractSet[str], *, durable: bool) -> bool:
        """Whether anybody was told."""
        found = False
        for partition in self._partitions:
            if partition.role.writes_elsewhere is durable and names & partition.input_names:
                partition.wake()
                found = True
        return found


class _SqlitePartition:
    number = 0

    def __init__(self, log: SqliteLog, role: Role) -> None:
        self.role = role
        self.input_names = frozenset(topic.name for topic in role.inputs)
        self._lost_because: str | None = None
        self.over = asyncio.Event()
        self._log = log
        self._news = asyncio.Event()
        self._positions: dict[str, int] | None = None

    async def restore(self) -> AsyncIterator[Record]:
        await self._log.flushed()
        for record in self._log.state(self.role.state.name):
            yield record

    async def read(self) -> Sequence[Record]:
        if self._positions is None:
            await self._log.flushed()
            consumed = self._log.consumed(self.role.name)
            self._positions = {name: consumed.get(name, 0) for name in self.input_names}
        while True:
            if self._lost_because is not None:
                raise PartitionLost(self._lost_because)
            if self._log._closed:
                raise LogClosed("the log is closed")
            self._news.clear()
            found: list[Record] = []
            for topic in self.role.inputs:
                found.extend(await self._next(topic.name, self._positions))
            if found:
                return found
            await self._news.wait()

    async def _next(self, topic: str, positions: dict[str, int]) -> list[Record]:
        """From memory where this reader keeps up, else from the file."""
        log, position = self._log, positions[topic]
        end = log.end_offset(topic, durable=self.role.writes_elsewhere)
        if position >= end:
            return []
        if log.in_memory(topic, position):
            until = min(end, position + BATCH)
            positions[topic] = until
            return log.records_in_memory(topic, position, until)
        await log.flushed()
        records = log.records_on_disk(topic, position, BATCH)
        # None: only tombstones since then.
        positions[topic] = records[-1].offset + 1 if records else end
        return records

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        if self._lost_because is not None:
            raise PartitionLost(self._lost_because)
        offsets: dict[str, int] = {}
        for record in consumed:
            offsets[record.topic] = record.offset + 1
        try:
            await self._log._submit(outputs, offsets, self.role.name)
        except LogUnavailable as error:
            raise PartitionLost(str(error)) from error

    def end_offset(self, topic: str) -> int:
        return self._log.end_offset(topic)

    def give_up(self, reason: str) -> None:
        """Nothing of this owner takes effect any more; the next one is given the partition."""
        if self._lost_because is None:
            self._lost_because = reason
        self.over.set()
        self._news.set()

    def wake(self) -> None:
        self._news.set()


class SqliteLogReader:
    """Reads a data folder from another process while the program runs; changes nothing."""

    def __init__(self, folder: Path) -> None:
        """Errors: LogCorrupt (no log of ours in this folder)."""
        self._folder, path = folder, folder / FILE
        if not path.exists():
            raise LogCorrupt(
                f"{folder} holds no data of CopyPro: set COPYPRO_DATA to its folder, or start"
                " `copypro up` first"
            )
        try:
            with _reading(folder) as connection:
                check_file(connection, path, APPLICATION_ID, SCHEMA)
                if not _has_tables(connection):
                    raise LogCorrupt(
                        f"nothing is in {path}: restore it from a backup, or start `copypro up`"
                    )
        except StoreRefused as error:
            raise LogCorrupt(str(error)) from None

    def records(self, topic: str, since: int = 0) -> Iterator[Record]:
        """All records of a topic from an offset on, in order; compacted ones as they now are."""
        query = f'SELECT {_COLUMNS} FROM "{topic}" WHERE offset >= ? ORDER BY offset'
        with _reading(self._folder) as connection:
            for row in connection.execute(query, (since,)):
                yield _record(topic, row)

    def end(self, topic: str) -> int:
        """The offset after the last durable record."""
        query = "SELECT offset FROM ends WHERE topic = ?"
        with _reading(self._folder) as connection:
            row = connection.execute(query, (topic,)).fetchone()
        return int(row[0]) if row is not None else 0


def _has_tables(connection: sqlite3.Connection) -> bool:
    query = "SELECT count(*) FROM sqlite_schema WHERE name = 'ends'"
    (tables,) = connection.execute(query).fetchone()
    return bool(tables)


def _retrieved(done: asyncio.Future[None]) -> None:
    """Whoever asked may have been cancelled meanwhile; the failure is the partition's anyway."""
    if not done.cancelled():
        done.exception()


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection of its own for reading: it sees what is committed and blocks nobody."""
    path = folder / FILE
    with _saying(path):
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def _saying(path: Path) -> Iterator[None]:
    """As `saying`, but a damaged file is LogCorrupt."""
    try:
        with saying(path):
            yield
    except StoreRefused as error:
        if is_damage(error.__cause__):
            raise LogCorrupt(str(error)) from None
        raise


def _record(topic: str, row: _Row) -> Record:
    offset, key, value, headers, recorded_at = row
    return Record(topic, 0, offset, key, value, _headers_of.decode(headers), recorded_at)


def _open_file(path: Path) -> sqlite3.Connection:
    made = [
        _TOPIC_TABLE.format(name=topic.name, unique="UNIQUE" if topic.compacted else "")
        for topic in topics.TOPICS
    ]
    try:
        return open_file(path, APPLICATION_ID, ";".join([_TABLES, *made]), SCHEMA)
    except StoreRefused as error:
        raise LogCorrupt(str(error)) from None


def _failure(path: Path, error: sqlite3.Error) -> LogError:
    if is_damage(error):
        return LogCorrupt(str(said(path, error)))
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_BUSY:
        return LogUnavailable(f"the log cannot be written: {error} by another program")
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) or "disk" in str(error):
        return LogFull(f"the log cannot be written: {error}")
    return PartitionLost(f"the log failed: {error}")
