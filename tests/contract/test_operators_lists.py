"""What `copypro alerts` and `copypro unresolved` read from a data folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

from copypro import collections as c
from copypro.adapters.sqlite_log import SqliteLog
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.ports import Document, Upsert
from copypro.settings import Settings
from copypro_standalone.explaining import one_line, open_rows

ACCOUNTS = 1100
"""More than a list gives unless it is asked for all."""


async def prepare(folder: Path) -> None:
    """A bridge is down: an alert for each account. The first one two users have registered."""
    changes = [
        change
        for n in range(ACCOUNTS)
        for change in (
            at(c.ALERTS, f"{n:032x}/down", account=f"{n:032x}", code="ACCOUNT_DOWN", open=True),
            at(c.ACCOUNTS, f"{n:032x}", login=1000 + n, server="Amber-Live"),
        )
    ]
    for registration in ("a" * 32, "b" * 32):
        changes.append(at(c.REGISTRATIONS, registration, user="u", account=f"{0:032x}"))
    log = await SqliteLog.open(folder)
    models = await SqliteReadModels.open(folder)
    await models.upsert(changes)
    await models.close()
    await log.close()


def at(collection: str, id_: str, **fields: object) -> Upsert:
    document: Document = {"id": id_, **fields}
    return Upsert(
        collection=collection, id=id_, source="order-events/0", version=1, fields=document
    )


def test_every_alert_is_listed_with_the_account_as_a_person_knows_it(tmp_path: Path) -> None:
    asyncio.run(prepare(tmp_path))
    rows = open_rows(Settings.model_validate({"data": tmp_path}), c.ALERTS)
    assert len(rows) == ACCOUNTS
    line = one_line(rows[0])
    assert f" 1000@Amber-Live (registration {'a' * 32} {'b' * 32}) " in line
    assert "code=ACCOUNT_DOWN" in line
    assert rows[-1]["login"] == 1000 + ACCOUNTS - 1


def test_the_numbers_of_a_line_are_printed_as_everywhere() -> None:
    row = {"id": "x", "login": 1, "server": "S", "registrations": ["r"], "time": "now"}
    numbers = {"raw_lots": "0.005", "lot_min": "0.01"}
    line = one_line({**row, "code": "NEEDS_PERSON", "text": "two\nlines", "numbers": numbers})
    assert line.endswith("code=NEEDS_PERSON  text=two lines  raw_lots=0.005  lot_min=0.01")
