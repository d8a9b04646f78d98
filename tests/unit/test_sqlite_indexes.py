"""A page of one account's documents is read without looking at all the others, or sorting its own."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from copypro import collections as c
from copypro.adapters.sqlite_read_models import FILE, SqliteReadModels
from copypro.collections import INDEXED

DATED = {
    name: fields for name, fields in INDEXED.items() if fields[-1:] in (("time",), ("closed_at",))
}


async def plan_of(folder: Path, collection: str, *, descending: bool) -> str:
    """SQLite's, of a page of what has the first declared field, in the order of the last."""
    whose, when = DATED[collection]
    models = await SqliteReadModels.open(folder)
    statements: list[str] = []
    try:
        await models.find(collection)
        assert models._reading is not None
        models._reading.set_trace_callback(statements.append)
        await models.find(
            collection, {whose: "x"}, order_by=when, since="2026", limit=10, descending=descending
        )
    finally:
        await models.close()
    (statement,) = [each for each in statements if "ORDER BY" in each]
    with sqlite3.connect(folder / FILE) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    return "; ".join(row[-1] for row in rows)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("collection", DATED)
async def test_a_page_is_a_range_of_one_index(
    tmp_path: Path, collection: str, descending: bool
) -> None:
    plan = await plan_of(tmp_path, collection, descending=descending)
    assert plan.startswith("SEARCH"), plan
    assert "TEMP B-TREE" not in plan, plan


async def test_a_file_of_before_gets_them_when_it_is_opened(tmp_path: Path) -> None:
    await (await SqliteReadModels.open(tmp_path)).close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("DROP INDEX doc_equity_account_time")
        connection.execute("CREATE INDEX doc_equity_account ON doc_equity (f_account)")
    plan = await plan_of(tmp_path, c.EQUITY, descending=False)
    assert "doc_equity_account_time" in plan
    with sqlite3.connect(tmp_path / FILE) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
    assert ("doc_equity_account",) not in names
