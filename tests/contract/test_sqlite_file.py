"""What our SQLite files promise whatever is in them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from copypro.adapters.sqlite_file import open_file, saying, transaction
from copypro.errors import StoreUnavailable

TABLES = "CREATE TABLE IF NOT EXISTS rows (text TEXT)"


def test_a_full_disk_within_a_transaction_is_said_as_that_and_the_next_one_works(
    tmp_path: Path,
) -> None:
    path = tmp_path / "some.db"
    with closing(open_file(path, 1, TABLES)) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        with (
            pytest.raises(StoreUnavailable, match="make room"),
            saying(path),
            transaction(connection),
        ):
            connection.execute("INSERT INTO rows VALUES (?)", ("x" * 100_000,))
        connection.execute("PRAGMA max_page_count = 1000")
        with transaction(connection):
            connection.execute("INSERT INTO rows VALUES ('y')")
        assert connection.execute("SELECT text FROM rows").fetchall() == [("y",)]
