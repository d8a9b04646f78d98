"""Answers that may be asked for again, in one SQLite file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from copypro.adapters.sqlite_file import FileThread, open_file

FILE = "repeats.db"
APPLICATION_ID = 0x43505250
_TABLES = """
CREATE TABLE IF NOT EXISTS repeats (key TEXT PRIMARY KEY, text TEXT NOT NULL, until REAL NOT NULL);
CREATE INDEX IF NOT EXISTS repeats_until ON repeats (until);
"""


class SqliteRepeats:
    def __init__(self, path: Path) -> None:
        self._thread = FileThread(path, "repeats")

    @classmethod
    async def open(cls, folder: Path) -> SqliteRepeats:
        """Errors: StoreRefused, StoreUnavailable."""
        repeats = cls(folder / FILE)
        await repeats._thread.run(repeats._connect)
        return repeats

    async def claim(self, key: str, text: str, now: datetime, until: datetime) -> str | None:
        def insert() -> str | None:
            execute = self._connection.execute
            execute("DELETE FROM repeats WHERE until <= ?", (now.timestamp(),))
            values = (key, text, until.timestamp())
            if execute("INSERT OR IGNORE INTO repeats VALUES (?, ?, ?)", values).rowcount:
                return None
            row = execute("SELECT text FROM repeats WHERE key = ?", (key,)).fetchone()
            return str(row[0])

        return await self._thread.run(insert)

    async def keep(self, key: str, text: str, until: datetime) -> None:
        values = (key, text, until.timestamp())
        statement = "REPLACE INTO repeats VALUES (?, ?, ?)"
        await self._thread.run(lambda: self._connection.execute(statement, values))

    async def forget(self, key: str) -> None:
        statement = "DELETE FROM repeats WHERE key = ?"
        await self._thread.run(lambda: self._connection.execute(statement, (key,)))

    async def close(self) -> None:
        await self._thread.close(self._connection)

    def _connect(self) -> None:
        self._connection = open_file(self._thread.path, APPLICATION_ID, _TABLES)
