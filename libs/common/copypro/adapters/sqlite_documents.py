"""Documents in SQLite tables: the parts by source, the union of them, indexes of the declared fields.

Each generation has tables of its own; the row of `generation` names the live one. Functions here run
in whatever transaction the connection is in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from copypro.adapters.sqlite_file import check_file, open_file
from copypro.collections import INDEXED
from copypro.ports import Document, Upsert, newest

APPLICATION_ID = 0x4350524D
SCHEMA = 2
BUSY_S = 60.0
"""A writer waits so long for another process that writes, such as a rebuild that switches."""
_POINTER = """
CREATE TABLE IF NOT EXISTS generation (live INTEGER NOT NULL, last INTEGER NOT NULL);
INSERT INTO generation SELECT 1, 1 WHERE NOT EXISTS (SELECT * FROM generation);
CREATE TABLE IF NOT EXISTS progress (
    generation INTEGER NOT NULL, source TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (generation, source)) WITHOUT ROWID;
"""
_PARTS = """
CREATE TABLE IF NOT EXISTS {table} (
    collection TEXT NOT NULL, id TEXT NOT NULL, source TEXT NOT NULL, version INTEGER NOT NULL,
    fields BLOB, PRIMARY KEY (collection, id, source)) WITHOUT ROWID
"""
encode = msgspec.json.Encoder(decimal_format="string").encode
decode = msgspec.json.Decoder(dict[str, object]).decode


def parts_table(generation: int) -> str:
    return "parts" if generation == 1 else f"parts_{generation}"


def documents_table(collection: str, generation: int) -> str:
    return f"doc_{collection}" if generation == 1 else f"doc_{collection}_{generation}"


def connect_to_write(path: Path) -> sqlite3.Connection:
    """Errors: StoreRefused, StoreUnavailable."""
    return open_file(path, APPLICATION_ID, _POINTER, SCHEMA, busy_s=BUSY_S)


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Errors: StoreRefused."""
    check_file(connection, path, APPLICATION_ID, SCHEMA)


def live_generation(connection: sqlite3.Connection) -> int:
    (live,) = connection.execute("SELECT live FROM generation").fetchone()
    return int(live)


def make_tables(connection: sqlite3.Connection, generation: int) -> None:
    connection.execute(_PARTS.format(table=parts_table(generation)))
    for collection, fields in INDEXED.items():
        columns = "".join(f", f_{field}" for field in fields)
        table = documents_table(collection, generation)
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (id TEXT PRIMARY KEY, document BLOB{columns}) WITHOUT ROWID"
        )
        _make_indexes(connection, table, fields)
    if not reached(connection, generation):  # written before how far it is was kept, or new
        found = f"SELECT ?, source, max(version) FROM {parts_table(generation)} GROUP BY source"
        connection.execute(f"INSERT INTO progress {found}", (generation,))


def _make_indexes(connection: sqlite3.Connection, table: str, fields: Sequence[str]) -> None:
    """A declared field's index goes on with the fields declared after it, and with the id, so that a
    filter and an order share one: a page is read without sorting all that there are.
    """
    for at, field in enumerate(fields):
        after = fields[at:]
        if len(after) > 1:  # of before, when each had an index of its own alone
            connection.execute(f"DROP INDEX IF EXISTS {table}_{field}")
        columns = ", ".join(f"f_{name}" for name in after)
        name = "_".join((table, *after))
        connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({columns})")


def drop_tables(connection: sqlite3.Connection, generation: int) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {parts_table(generation)}")
    for collection in INDEXED:
        connection.execute(f"DROP TABLE IF EXISTS {documents_table(collection, generation)}")
    connection.execute("DELETE FROM progress WHERE generation = ?", (generation,))


def reached(connection: sqlite3.Connection, generation: int) -> dict[str, int]:
    """The newest version of each source."""
    query = "SELECT source, version FROM progress WHERE generation = ?"
    return dict(connection.execute(query, (generation,)).fetchall())


def source_fields(
    connection: sqlite3.Connection, generation: int, collection: str, id: str, source: str
) -> Document | None:
    query = (
        f"SELECT fields FROM {parts_table(generation)}"
        " WHERE collection = ? AND id = ? AND source = ?"
    )
    row = connection.execute(query, (collection, id, source)).fetchone()
    if row is None or row[0] is None:
        return None
    return decode(row[0])  # type: ignore[return-value]


def write(connection: sqlite3.Connection, generation: int, changes: Sequence[Upsert]) -> None:
    table = parts_table(generation)
    touched: dict[tuple[str, str], None] = {}
    connection.executemany(
        "INSERT INTO progress VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET version = max(version, excluded.version)",
        [(generation, source, version) for source, version in newest(changes).items()],
    )
    for change in changes:
        place = (change.collection, change.id, change.source)
        former = connection.execute(
            f"SELECT version, fields FROM {table} WHERE collection = ? AND id = ? AND source = ?",
            place,
        ).fetchone()
        if former is not None and former[0] >= change.version:
            continue
        fields = change.fields
        if fields is not None and former is not None and former[1] is not None:
            fields = decode(former[1]) | fields  # type: ignore[assignment]
        connection.execute(
            f"REPLACE INTO {table} (collection, id, source, version, fields) VALUES (?, ?, ?, ?, ?)",
            (*place, change.version, None if fields is None else encode(fields)),
        )
        touched[change.collection, change.id] = None
    for collection, id_ in touched:
        _merge(connection, generation, collection, id_)


def _merge(connection: sqlite3.Connection, generation: int, collection: str, id_: str) -> None:
    """The document is the union of its sources' fields, sources in the order of their names."""
    parts = connection.execute(
        f"SELECT fields FROM {parts_table(generation)}"
        " WHERE collection = ? AND id = ? AND fields IS NOT NULL ORDER BY source",
        (collection, id_),
    ).fetchall()
    table = documents_table(collection, generation)
    if not parts:
        connection.execute(f"DELETE FROM {table} WHERE id = ?", (id_,))
        return
    document: dict[str, object] = {}
    for (fields,) in parts:
        document |= decode(fields)
    document["id"] = id_
    names = INDEXED[collection]
    columns = "".join(f", f_{name}" for name in names)
    marks = ", ?" * len(names)
    connection.execute(
        f"REPLACE INTO {table} (id, document{columns}) VALUES (?, ?{marks})",
        (id_, encode(document), *(document.get(name) for name in names)),
    )
