"""Users and their keys' hashes in one SQLite file; never rebuilt from the log."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from copypro.adapters.sqlite_file import open_file, saying
from copypro.errors import AlreadyThere
from copypro.ports import User, UserKey
from copypro.values import UserId

FILE = "users.db"
APPLICATION_ID = 0x43505255
_TABLES = """
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    hash TEXT PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL, created_at TEXT NOT NULL,
    revoked INTEGER NOT NULL);
"""
Answer = TypeVar("Answer")


class SqliteUsers:
    def __init__(self, path: Path) -> None:
        self._pool = ThreadPoolExecutor(1, "users")
        self._path = path

    @classmethod
    async def open(cls, folder: Path) -> SqliteUsers:
        """Errors: StoreRefused, StoreUnavailable."""
        users = cls(folder / FILE)
        await users._in(users._connect)
        return users

    async def add(self, user: User) -> None:
        def insert() -> None:
            values = (
                user.id,
                user.email.casefold(),
                user.password_hash,
                user.created_at.isoformat(),
            )
            try:
                self._connection.execute("INSERT INTO users VALUES (?, ?, ?, ?)", values)
            except sqlite3.IntegrityError:
                raise AlreadyThere("a user with this e-mail exists already: sign in") from None

        await self._in(insert)

    async def by_email(self, email: str) -> User | None:
        def select() -> User | None:
            query = "SELECT id, email, password_hash, created_at FROM users WHERE email = ?"
            row = self._connection.execute(query, (email.casefold(),)).fetchone()
            if row is None:
                return None
            return User(
                id=UserId(row[0]),
                email=row[1],
                password_hash=row[2],
                created_at=datetime.fromisoformat(row[3]),
            )

        return await self._in(select)

    async def add_key(self, key: UserKey) -> None:
        values = (key.hash, key.user, key.name, key.created_at.isoformat(), int(key.revoked))
        statement = "REPLACE INTO keys VALUES (?, ?, ?, ?, ?)"
        await self._in(lambda: self._connection.execute(statement, values))

    async def key(self, hash: str) -> UserKey | None:
        def select() -> UserKey | None:
            query = "SELECT hash, user, name, created_at, revoked FROM keys WHERE hash = ?"
            row = self._connection.execute(query, (hash,)).fetchone()
            if row is None:
                return None
            return UserKey(
                hash=row[0],
                user=UserId(row[1]),
                name=row[2],
                created_at=datetime.fromisoformat(row[3]),
                revoked=bool(row[4]),
            )

        return await self._in(select)

    async def close(self) -> None:
        await self._in(self._connection.close)
        self._pool.shutdown()

    def _connect(self) -> None:
        self._connection = open_file(self._path, APPLICATION_ID, _TABLES)

    async def _in(self, function: Callable[[], Answer]) -> Answer:
        def run() -> Answer:
            with saying(self._path):
                return function()

        return await asyncio.get_running_loop().run_in_executor(self._pool, run)
