"""Read models in one SQLite file beside the log: documents, and an index row per declared field."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from copypro.adapters.sqlite_file import open_file, saying
from copypro.collections import INDEXED
from copypro.ports import Document, Scalar, Upsert

FILE = "read-models.db"
APPLICATION_ID = 0x4350524D

_TABLES = """
CREATE TABLE IF NOT EXISTS parts (
    collection TEXT NOT NULL, id TEXT NOT NULL, source TEXT NOT NULL, version INTEGER NOT NULL,
    fields BLOB, PRIMARY KEY (collection, id, source)) WITHOUT ROWID;
"""
Answer = TypeVar("Answer")
_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(dict[str, object]).decode


def _table(collection: str) -> str:
    return f"doc_{collection}"


def _schema() -> str:
    statements = [_TABLES]
    for collection, fields in INDEXED.items():
        columns = "".join(f", f_{field}" for field in fields)
        table = _table(collection)
        statements.append(
            f"CREATE TABLE IF NOT EXISTS {table} (id TEXT PRIMARY KEY, document BLOB{columns}) WITHOUT ROWID"
        )
        for field in fields:
            statements.append(f"CREATE INDEX IF NOT EXISTS {table}_{field} ON {table} (f_{field})")
    return ";".join(statements)


class SqliteReadModels:
    """One writer thread, and reading connections of its own: readers never wait for writers."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._path, self._read_only = path, read_only
        self._writer = ThreadPoolExecutor(1, "read-models-writer")
        self._reader = ThreadPoolExecutor(1, "read-models-reader")
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None

    @classmethod
    async def open(cls, folder: Path) -> SqliteReadModels:
        """Errors: StoreRefused, StoreUnavailable."""
        models = cls(folder / FILE, read_only=False)
        await models._in(models._writer, models._connect)
        return models

    @classmethod
    def open_read_only(cls, folder: Path) -> SqliteReadModels:
        """For another process while the program runs."""
        return cls(folder / FILE, read_only=True)

    async def upsert(self, changes: Sequence[Upsert]) -> None:
        if changes:
            await self._in(self._writer, self._upsert, changes)

    async def get(self, collection: str, id: str) -> Document | None:
        query = f"SELECT document FROM {_table(collection)} WHERE id = ?"
        rows = await self._in(self._reader, self._select, query, (id,))
        return rows[0] if rows else None

    async def source_fields(self, collection: str, id: str, source: str) -> Document | None:
        query = "SELECT fields FROM parts WHERE collection = ? AND id = ? AND source = ?"
        rows = await self._in(self._reader, self._select, query, (collection, id, source))
        return rows[0] if rows else None

    async def find(
        self,
        collection: str,
        where: Mapping[str, Scalar] | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        since: Scalar = None,
        until: Scalar = None,
        limit: int = 1000,
    ) -> list[Document]:
        clauses: list[str] = []
        values: list[Scalar] = []
        for field, value in (where or {}).items():
            clauses.append(f"{_column(collection, field)} = ?")
            values.append(value)
        if order_by is not None:
            column = _column(collection, order_by)
            if since is not None:
                clauses.append(f"{column} >= ?")
                values.append(since)
            if until is not None:
                clauses.append(f"{column} < ?")
                values.append(until)
        query = f"SELECT document FROM {_table(collection)}"
        if clauses:
            query += " WHERE " + " AND ".join(clauses)
        way = "DESC" if descending else "ASC"
        if order_by is not None:
            query += f" ORDER BY {_column(collection, order_by)} {way}, id {way}"
        else:
            query += " ORDER BY id"
        return await self._in(self._reader, self._select, f"{query} LIMIT ?", (*values, limit))

    async def close(self) -> None:
        for pool, connection in ((self._writer, self._writing), (self._reader, self._reading)):
            if connection is not None:
                await self._in(pool, connection.close)
            pool.shutdown()

    # --- in the threads -----------------------------------------------------------------------

    async def _in(
        self, pool: ThreadPoolExecutor, function: Callable[..., Answer], *args: Any
    ) -> Answer:
        def run() -> Answer:
            with saying(self._path):
                return function(*args)

        return await asyncio.get_running_loop().run_in_executor(pool, run)

    def _connect(self) -> None:
        self._writing = open_file(self._path, APPLICATION_ID, _schema())

    def _select(self, query: str, values: Sequence[Scalar]) -> list[Document]:
        if self._reading is None:
            uri = f"{self._path.as_uri()}?mode=ro"
            self._reading = sqlite3.connect(uri, uri=True, check_same_thread=False)
        rows = self._reading.execute(query, tuple(values))
        return [_decode(fields) for (fields,) in rows if fields is not None]  # type: ignore[misc]

    def _upsert(self, changes: Sequence[Upsert]) -> None:
        connection = self._writing
        assert connection is not None
        touched: dict[tuple[str, str], None] = {}
        connection.execute("BEGIN IMMEDIATE")
        try:
            for change in changes:
                place = (change.collection, change.id, change.source)
                former = connection.execute(
                    "SELECT version, fields FROM parts"
                    " WHERE collection = ? AND id = ? AND source = ?",
                    place,
                ).fetchone()
                if former is not None and former[0] >= change.version:
                    continue
                fields = change.fields
                if fields is not None and former is not None and former[1] is not None:
                    fields = _decode(former[1]) | fields  # type: ignore[assignment]
                connection.execute(
                    "REPLACE INTO parts (collection, id, source, version, fields)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (*place, change.version, None if fields is None else _encode(fields)),
                )
                touched[change.collection, change.id] = None
            for collection, id_ in touched:
                self._merge(connection, collection, id_)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk ends it by itself
                connection.execute("ROLLBACK")
            raise

    def _merge(self, connection: sqlite3.Connection, collection: str, id_: str) -> None:
        """The document is the union of its sources' fields, sources in the order of their names."""
        parts = connection.execute(
            "SELECT fields FROM parts WHERE collection = ? AND id = ? AND fields IS NOT NULL"
            " ORDER BY source",
            (collection, id_),
        ).fetchall()
        table = _table(collection)
        if not parts:
            connection.execute(f"DELETE FROM {table} WHERE id = ?", (id_,))
            return
        document: dict[str, object] = {}
        for (fields,) in parts:
            document |= _decode(fields)
        document["id"] = id_
        names = INDEXED[collection]
        columns = "".join(f", f_{name}" for name in names)
        marks = ", ?" * len(names)
        connection.execute(
            f"REPLACE INTO {table} (id, document{columns}) VALUES (?, ?{marks})",
            (id_, _encode(document), *(document.get(name) for name in names)),
        )


def _column(collection: str, field: str) -> str:
    if field not in INDEXED[collection]:
        known = ", ".join(INDEXED[collection]) or "none"
        raise ValueError(f"{collection} cannot be searched by {field}; declared: {known}")
    return f"f_{field}"
