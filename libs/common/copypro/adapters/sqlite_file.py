"""One SQLite file of ours: opened with the same care everywhere, its failures said by name and remedy."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from copypro.errors import SettingsError, StoreRefused, StoreUnavailable

_REMEDY = "set COPYPRO_DATA to a folder that this program may write and nobody else uses"
FROM_THE_LOG = "read-models.db"
"""All that is in it follows from the log: of this file there is no backup."""
_PRIMARY = 0xFF
"""Extended result codes keep the primary one in their lowest byte."""
Answer = TypeVar("Answer")


def make_folder(folder: Path) -> None:
    """For its owner alone: hashes of passwords and what users do are in it. One that is there stays as
    it is. Errors: SettingsError when it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(folder, error) from None


def unusable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(f"{path} cannot be used ({error.strerror}): {_REMEDY}")


def open_file(
    path: Path, application_id: int, tables: str, schema: int = 1, *, busy_s: float = 5.0
) -> sqlite3.Connection:
    """Durable at every commit; what is not there yet is made, all of it or nothing.

    `application_id` tells our files from others'; `busy_s`: how long a write waits for somebody
    else's. Errors: StoreRefused (damaged, another program's,
    from a newer version, or not to be written), StoreUnavailable (locked, disk full).
    """
    with saying(path):
        connection = sqlite3.connect(
            path, timeout=busy_s, isolation_level=None, check_same_thread=False
        )
        try:
            check_file(connection, path, application_id, schema)
            _prepare(connection, application_id, tables, schema)
        except BaseException:
            connection.close()
            raise
    return connection


def is_new(path: Path) -> bool:
    """Nothing was ever kept in it: it is not there, or has no tables. Errors: as `open_file`'s."""
    if not path.exists():
        return True
    with saying(path):
        connection = sqlite3.connect(path)
        try:
            return is_empty(connection)
        finally:
            connection.close()


def is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return not tables


def check_file(
    connection: sqlite3.Connection, path: Path, application_id: int, schema: int
) -> None:
    """Errors: StoreRefused, unless it is ours or empty."""
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if found != application_id and not is_empty(connection):
        raise StoreRefused(
            f"{path} belongs to another program: nothing was changed in it; {_REMEDY}"
        )
    if version > schema:
        raise StoreRefused(f"{path} was written by a newer version ({version}): upgrade this one")


def _prepare(connection: sqlite3.Connection, application_id: int, tables: str, schema: int) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in tables.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {application_id}")
    connection.execute(f"PRAGMA user_version = {schema}")
    connection.execute("COMMIT")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing, also for another process on the same file."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk ends it by itself
            connection.execute("ROLLBACK")
        raise


class FileThread:
    """The one thread that works on a file: the loop never waits for its disk, and what was asked for
    first is done first.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self._pool = ThreadPoolExecutor(1, name)

    async def run(self, function: Callable[..., Answer], *args: Any) -> Answer:
        """Errors: the function's, SQLite's as ours."""

        def work() -> Answer:
            with saying(self.path):
                return function(*args)

        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def close(self, connection: sqlite3.Connection | None) -> None:
        """The last thing that is done in it."""
        if connection is not None:
            await self.run(connection.close)
        self._pool.shutdown()


@contextmanager
def saying(path: Path) -> Iterator[None]:
    """SQLite's errors as ours, and those of what stands in it and cannot be read. What is no matter of
    the file (a value that is taken) passes as it is.
    """
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise said(path, error) from error


def is_damage(error: BaseException | None) -> bool:
    """The file itself, or what stands in it, is spoilt, or it is none of SQLite's."""
    if isinstance(error, msgspec.DecodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def said(path: Path, error: Exception) -> Exception:
    if is_damage(error):
        remedy = "restore it from a backup"
        if path.name == FROM_THE_LOG:
            remedy = (
                "move it away, with its -wal and -shm, and start again: it is made from the log"
            )
        return StoreRefused(f"{path} is damaged or not a database ({error}): {remedy}")
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return error
    match code & _PRIMARY:
        case sqlite3.SQLITE_FULL:
            return StoreUnavailable(f"{path} cannot grow ({error}): make room on the disk")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreUnavailable(f"{path} is in use by another program ({error})")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreRefused(f"{path} cannot be used ({error}): {_REMEDY}")
        case sqlite3.SQLITE_IOERR:
            return StoreUnavailable(f"{path} cannot be read or written ({error}): check the disk")
        case _:
            return error
