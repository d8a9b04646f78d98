"""Read models in one SQLite file beside the log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from copypro.adapters import sqlite_documents as documents
from copypro.adapters.sqlite_file import (
    FROM_THE_LOG,
    FileThread,
    is_empty,
    saying,
    transaction,
)
from copypro.adapters.sqlite_rebuild import SqliteRebuild
from copypro.collections import require_declared
from copypro.errors import StoreRefused
from copypro.ports import Document, Scalar, Upsert

FILE = FROM_THE_LOG


class SqliteReadModels:
    """One writer thread, and reading connections of their own: readers never wait for writers.

    A point read runs where it is asked for: it is a few microseconds, and a thread's hop is many.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = FileThread(path, "read-models-writer")
        self._reader = FileThread(path, "read-models-reader")
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._pointing: sqlite3.Connection | None = None
        self._live = 1
        """The generation of the last point read."""
        self._commits, self._is_committing = 0, False

    @classmethod
    async def open(cls, folder: Path) -> SqliteReadModels:
        """Errors: StoreRefused, StoreUnavailable."""
        models = cls(folder / FILE)
        await models._writer.run(models._connect)
        return models

    @classmethod
    def open_read_only(cls, folder: Path) -> SqliteReadModels:
        """For another process while the program runs."""
        return cls(folder / FILE)

    async def upsert(self, changes: Sequence[Upsert]) -> None:
        if changes:
            await self._writer.run(self._upsert, changes)

    async def get(self, collection: str, id: str) -> Document | None:
        with saying(self._path):
            document = self._point(collection, id)
            return None if document is None else documents.decode(document)  # type: ignore[return-value]

    def _point(self, collection: str, id: str) -> bytes | None:
        """One statement, which sees one moment: it also tells whether the generation is still live."""
        if self._pointing is None:
            self._pointing = self._connect_to_read()
        while True:
            table = documents.documents_table(collection, self._live)
            query = f"SELECT live, (SELECT document FROM {table} WHERE id = ?) FROM generation"
            try:
                live, document = self._pointing.execute(query, (id,)).fetchone()
            except sqlite3.OperationalError:  # the tables of a former generation are dropped
                live, document = documents.live_generation(self._pointing), None
                if live == self._live:
                    raise
            if live == self._live:
                return document  # type: ignore[no-any-return]
            self._live = live

    async def get_many(self, collection: str, ids: Collection[str]) -> dict[str, Document]:
        def query(table: str) -> str:
            chosen = "SELECT value FROM json_each(?)"
            return f"SELECT document FROM {table} WHERE id IN ({chosen})"

        values = (json.dumps(list(ids)),)
        rows = await self._reader.run(self._select, collection, query, values)
        return {str(row["id"]): row for row in rows}

    def revision(self) -> int | None:
        """Known by the process that writes; while a commit is under way nobody knows what is seen."""
        return None if self._writing is None or self._is_committing else self._commits

    async def source_fields(self, collection: str, id: str, source: str) -> Document | None:
        def select() -> Document | None:
            with self._snapshot() as connection:
                live = documents.live_generation(connection)
                return documents.source_fields(connection, live, collection, id, source)

        return await self._reader.run(select)

    async def find(
        self,
        collection: str,
        where: Mapping[str, Scalar] | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        since: Scalar = None,
        until: Scalar = None,
        limit: int | None = 1000,
    ) -> list[Document]:
        require_declared(collection, [*(where or {}), *([order_by] if order_by else [])])
        clauses = [f"f_{field} = ?" for field in where or {}]
        values = list((where or {}).values())
        order = "id"
        if order_by is not None:
            way = "DESC" if descending else "ASC"
            order = f"f_{order_by} {way}, id {way}"
            for bound, sign in ((since, ">="), (until, "<")):
                if bound is not None:
                    clauses.append(f"f_{order_by} {sign} ?")
                    values.append(bound)
        filtered = f"WHERE {' AND '.join(clauses)} " if clauses else ""
        values.append(-1 if limit is None else limit)

        def query(table: str) -> str:
            return f"SELECT document FROM {table} {filtered}ORDER BY {order} LIMIT ?"

        return await self._reader.run(self._select, collection, query, values)

    async def reached(self) -> Mapping[str, int]:
        def select() -> Mapping[str, int]:
            with self._snapshot() as connection:
                return documents.reached(connection, documents.live_generation(connection))

        return await self._reader.run(select)

    async def rebuild(self) -> SqliteRebuild:
        """Works beside the running program too: it switches when nobody else is writing."""
        return await SqliteRebuild.begin(self._path, self._switched)

    async def close(self) -> None:
        await self._writer.close(self._writing)
        await self._reader.close(self._reading)
        if self._pointing is not None:
            self._pointing.close()

    def _switched(self) -> None:
        """Whatever was read before is of the former ones."""
        self._commits += 1

    # --- in the threads -----------------------------------------------------------------------

    def _connect(self) -> None:
        connection = documents.connect_to_write(self._path)
        with transaction(connection):  # others may open the same file, or write to it
            documents.make_tables(connection, documents.live_generation(connection))
        self._writing = connection

    def _select(
        self, collection: str, query: Callable[[str], str], values: Sequence[Scalar]
    ) -> list[Document]:
        with self._snapshot() as connection:
            live = documents.live_generation(connection)
            table = documents.documents_table(collection, live)
            rows = connection.execute(query(table), tuple(values))
            return [documents.decode(document) for (document,) in rows]  # type: ignore[misc]

    def _snapshot(self) -> _Snapshot:
        if self._reading is None:
            self._reading = self._connect_to_read()
        return _Snapshot(self._reading)

    def _connect_to_read(self) -> sqlite3.Connection:
        """Errors: StoreRefused, where nothing was ever written, or not by this version or program."""
        if self._path.exists():
            uri = f"{self._path.as_uri()}?mode=ro"
            connection = sqlite3.connect(
                uri, uri=True, isolation_level=None, check_same_thread=False
            )
            try:
                documents.check_version(connection, self._path)
                if not is_empty(connection):
                    return connection
            except BaseException:
                connection.close()
                raise
            connection.close()
        raise StoreRefused(
            f"{self._path} is missing or empty: start `copypro up`, which makes it from the log"
        )

    def _upsert(self, changes: Sequence[Upsert]) -> None:
        connection = self._writing
        assert connection is not None
        connection.execute("BEGIN IMMEDIATE")
        try:
            documents.write(connection, documents.live_generation(connection), changes)
            self._is_committing = True
            self._commits += 1
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk ends it by itself
                connection.execute("ROLLBACK")
            raise
        finally:
            self._is_committing = False


class _Snapshot:
    """What is read within it is of one moment: the live generation and its rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN")
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.execute("COMMIT")
