"""Users and their keys' hashes in one SQLite file; never rebuilt from the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from datetime import datetime
from pathlib import Path

from copypro.adapters.sqlite_file import FileThread, check_file, open_file, transaction
from copypro.errors import AlreadyThere, NoInvite
from copypro.ports import Invite, KeyScope, Reset, User, UserKey
from copypro.values import UserId

FILE = "users.db"
APPLICATION_ID = 0x43505255
SCHEMA = 2
_TABLES = """
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    hash TEXT PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL, created_at TEXT NOT NULL,
    scope INTEGER NOT NULL DEFAULT 3, expires_at TEXT);
CREATE INDEX IF NOT EXISTS keys_of_user ON keys (user);
CREATE TABLE IF NOT EXISTS invites (
    hash TEXT PRIMARY KEY, created_at TEXT NOT NULL, expires_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS resets (
    user TEXT PRIMARY KEY, hash TEXT NOT NULL, created_at TEXT NOT NULL, expires_at TEXT NOT NULL);
"""
_FROM_SCHEMA_1 = (
    "DELETE FROM keys WHERE revoked",
    "ALTER TABLE keys DROP COLUMN revoked",
    "ALTER TABLE keys ADD COLUMN scope INTEGER NOT NULL DEFAULT 3",
    "ALTER TABLE keys ADD COLUMN expires_at TEXT",
)
_KEY = "SELECT hash, user, name, created_at, scope, expires_at FROM keys"


class SqliteUsers:
    def __init__(self, path: Path) -> None:
        self._thread = FileThread(path, "users")

    @classmethod
    async def open(cls, folder: Path) -> SqliteUsers:
        """Errors: StoreRefused, StoreUnavailable."""
        users = cls(folder / FILE)
        await users._thread.run(users._connect)
        return users

    async def add(self, user: User, invite: str | None = None) -> None:
        def insert() -> None:
            with transaction(self._connection):
                if invite is not None:
                    self._use(invite, user.created_at)
                self._insert(user)

        await self._thread.run(insert)

    def _insert(self, user: User) -> None:
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

    def _use(self, invite: str, now: datetime) -> None:
        statement = "DELETE FROM invites WHERE hash = ? AND expires_at > ?"
        if self._connection.execute(statement, (invite, now.isoformat())).rowcount == 0:
            raise NoInvite("the invite is unknown, used or over: ask for a new one")

    async def invite(self, invite: Invite) -> None:
        def insert() -> None:
            with transaction(self._connection):
                created, expires = invite.created_at.isoformat(), invite.expires_at.isoformat()
                self._connection.execute("DELETE FROM invites WHERE expires_at <= ?", (created,))
                values = (invite.hash, created, expires)
                self._connection.execute("INSERT INTO invites VALUES (?, ?, ?)", values)

        await self._thread.run(insert)

    async def by_email(self, email: str) -> User | None:
        def select() -> User | None:
            query = "SELECT id, email, password_hash, created_at FROM users WHERE email = ?"
            row = self._connection.execute(query, (email.casefold(),)).fetchone()
            return None if row is None else _user(row)

        return await self._thread.run(select)

    async def find(self, search: str, first: int, most: int) -> list[User]:
        query = (
            "SELECT id, email, password_hash, created_at FROM users WHERE instr(email, ?) > 0"
            " ORDER BY email LIMIT ? OFFSET ?"
        )
        values = (search.casefold(), most, first)
        rows = await self._thread.run(lambda: self._connection.execute(query, values).fetchall())
        return [_user(row) for row in rows]

    async def add_reset(self, reset: Reset) -> None:
        values = (
            reset.user,
            reset.hash,
            reset.created_at.isoformat(),
            reset.expires_at.isoformat(),
        )
        statement = "REPLACE INTO resets VALUES (?, ?, ?, ?)"
        await self._thread.run(lambda: self._connection.execute(statement, values))

    async def set_password(
        self, reset: str, password_hash: str, now: datetime, ended: Collection[str]
    ) -> UserId | None:
        def use() -> UserId | None:
            with transaction(self._connection):
                execute = self._connection.execute
                found = "SELECT user FROM resets WHERE hash = ? AND expires_at > ?"
                row = execute(found, (reset, now.isoformat())).fetchone()
                if row is None:
                    return None
                execute("DELETE FROM resets WHERE user = ?", row)
                execute("UPDATE users SET password_hash = ? WHERE id = ?", (password_hash, row[0]))
                for name in ended:
                    execute("DELETE FROM keys WHERE user = ? AND name = ?", (row[0], name))
                return UserId(row[0])

        return await self._thread.run(use)

    async def add_key(self, key: UserKey) -> None:
        expires = None if key.expires_at is None else key.expires_at.isoformat()
        values = (key.hash, key.user, key.name, key.created_at.isoformat(), key.scope, expires)
        statement = (
            "REPLACE INTO keys (hash, user, name, created_at, scope, expires_at)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        await self._thread.run(lambda: self._connection.execute(statement, values))

    async def key(self, hash: str) -> UserKey | None:
        def select() -> UserKey | None:
            row = self._connection.execute(f"{_KEY} WHERE hash = ?", (hash,)).fetchone()
            return None if row is None else _key(row)

        return await self._thread.run(select)

    async def keys(self, user: UserId) -> list[UserKey]:
        query = f"{_KEY} WHERE user = ? ORDER BY created_at, hash"
        rows = await self._thread.run(lambda: self._connection.execute(query, (user,)).fetchall())
        return [_key(row) for row in rows]

    async def remove_key(self, hash: str) -> None:
        statement = "DELETE FROM keys WHERE hash = ?"
        await self._thread.run(lambda: self._connection.execute(statement, (hash,)))

    async def close(self) -> None:
        await self._thread.close(self._connection)

    def _connect(self) -> None:
        with closing(sqlite3.connect(self._thread.path, isolation_level=None)) as connection:
            check_file(connection, self._thread.path, APPLICATION_ID, SCHEMA)
            _upgrade(connection)
        self._connection = open_file(self._thread.path, APPLICATION_ID, _TABLES, SCHEMA)


def _key(row: tuple[str, str, str, str, int, str | None]) -> UserKey:
    hash, user, name, created, scope, expires = row
    return UserKey(
        hash=hash,
        user=UserId(user),
        name=name,
        created_at=datetime.fromisoformat(created),
        scope=KeyScope(scope),
        expires_at=None if expires is None else datetime.fromisoformat(expires),
    )


def _upgrade(connection: sqlite3.Connection) -> None:
    """Keys of schema 1 had no scope and no end, and a revoked one was kept."""
    if not _is_schema_1(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    if _is_schema_1(connection):  # still: no other process was faster
        for statement in _FROM_SCHEMA_1:
            connection.execute(statement)
    connection.execute("COMMIT")


def _is_schema_1(connection: sqlite3.Connection) -> bool:
    return any(row[1] == "revoked" for row in connection.execute("PRAGMA table_info(keys)"))


def _user(row: tuple[str, str, str, str]) -> User:
    return User(
        id=UserId(row[0]),
        email=row[1],
        password_hash=row[2],
        created_at=datetime.fromisoformat(row[3]),
    )
