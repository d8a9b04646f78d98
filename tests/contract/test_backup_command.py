"""The manual's line that backs a data folder up while the program runs."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from copypro import topics
from copypro.adapters.sqlite_log import SqliteLog
from copypro.ports import Outgoing

MANUAL = Path(__file__).parents[2] / "docs" / "operations.md"
OUT = topics.ORDER_EVENTS.name
MANY, SIZE = 400, 50_000
WITHIN_S = 30.0


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3 is not installed")
async def test_a_backup_ends_although_the_program_goes_on_writing(tmp_path: Path) -> None:
    """SQLite's copy begins anew at each commit of another process, unless it reads one moment."""
    data, to = tmp_path / "data", tmp_path / "to"
    data.mkdir()
    to.mkdir()
    for name in ("users", "vault"):
        sqlite3.connect(data / f"{name}.db").execute("CREATE TABLE t (x)").connection.close()
    found = re.search(
        r"^    (for file in log .*?^    done)$", MANUAL.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    log = await SqliteLog.open(data)
    await log.append([Outgoing(OUT, "k", b"x" * SIZE, {}) for _ in range(MANY)])
    backup = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        found[1],
        env={"COPYPRO_DATA": str(data), "TO": str(to), "PATH": "/usr/bin:/bin"},
    )
    ended = asyncio.create_task(backup.wait())
    try:
        async with asyncio.timeout(WITHIN_S):
            while not ended.done():
                await log.append([Outgoing(OUT, "k", b"later", {})])
    finally:
        if not ended.done():
            backup.kill()
        await ended
        await log.close()
    assert ended.result() == 0
    connection = sqlite3.connect(to / "log.db")
    (records,) = connection.execute(f'SELECT count(*) FROM "{OUT}"').fetchone()
    (end,) = connection.execute("SELECT offset FROM ends").fetchone()
    connection.close()
    assert MANY <= records == end
