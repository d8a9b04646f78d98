"""Read models built anew in tables of their own of the same file, then switched in one transaction.

The log's records are read up to where the live ones are while nobody else can write (SQLite has one
writer), so the running program need not stop: its next write waits, and goes to the new tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from copypro.adapters import sqlite_documents as documents
from copypro.adapters.sqlite_file import FileThread, transaction
from copypro.errors import StoreRefused
from copypro.ports import Document, Upsert


class SqliteRebuild:
    def __init__(self, path: Path, switched: Callable[[], None]) -> None:
        self._thread = FileThread(path, "read-models-rebuild")
        self._switched = switched
        self._generation = 0

    @classmethod
    async def begin(cls, path: Path, switched: Callable[[], None]) -> SqliteRebuild:
        """`switched`: called once these are the live ones."""
        rebuild = cls(path, switched)
        await rebuild._thread.run(rebuild._begin)
        return rebuild

    async def upsert(self, changes: Sequence[Upsert]) -> None:
        await self._thread.run(self._upsert, changes)

    async def source_fields(self, collection: str, id: str, source: str) -> Document | None:
        place = (self._connection, self._generation, collection, id, source)
        return await self._thread.run(documents.source_fields, *place)

    async def hold(self) -> Mapping[str, int]:
        return await self._thread.run(self._hold)

    async def switch(self) -> None:
        await self._thread.run(self._switch)
        self._switched()
        await self._thread.close(self._connection)

    async def discard(self) -> None:
        await self._thread.run(self._discard)
        await self._thread.close(self._connection)

    # --- in the thread ------------------------------------------------------------------------

    def _begin(self) -> None:
        self._connection = documents.connect_to_write(self._thread.path)
        # Durable at the switch at the latest, whose commit is: nobody needs a half-built one.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._in_transaction(self._make)

    def _make(self) -> None:
        live, last = self._connection.execute("SELECT live, last FROM generation").fetchone()
        documents.make_tables(self._connection, live)
        for former in range(1, last + 1):
            if former != live:
                documents.drop_tables(self._connection, former)
        self._generation = last + 1
        self._connection.execute("UPDATE generation SET last = ?", (self._generation,))
        documents.make_tables(self._connection, self._generation)

    def _upsert(self, changes: Sequence[Upsert]) -> None:
        self._in_transaction(lambda: documents.write(self._connection, self._generation, changes))

    def _in_transaction(self, body: Callable[[], None]) -> None:
        """Its own one, or the one in which the live ones are held."""
        if self._connection.in_transaction:
            body()
            return
        with transaction(self._connection):
            self._require_newest()
            body()

    def _hold(self) -> Mapping[str, int]:
        # The transaction that switches is the one that must be on the disk.
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("BEGIN IMMEDIATE")
        self._require_newest()
        return documents.reached(self._connection, documents.live_generation(self._connection))

    def _require_newest(self) -> None:
        (last,) = self._connection.execute("SELECT last FROM generation").fetchone()
        if self._generation and last != self._generation:
            raise StoreRefused("another rebuild was begun")

    def _switch(self) -> None:
        former = documents.live_generation(self._connection)
        self._connection.execute("UPDATE generation SET live = ?", (self._generation,))
        documents.drop_tables(self._connection, former)
        self._connection.execute("COMMIT")

    def _discard(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        if documents.live_generation(self._connection) != self._generation:
            documents.drop_tables(self._connection, self._generation)
