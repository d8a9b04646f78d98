"""The operator's door: only who reads the data folder may settle, and each decision is one command."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from copypro import collections, messages, topics
from copypro.adapters.sqlite_log import SqliteLog, SqliteLogReader
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.envelope import decode
from copypro.ports import Upsert
from copypro.values import AccountId, AttemptId, Ticket
from copypro_standalone import door
from fastapi import FastAPI

ACCOUNT = AccountId("a" * 32)
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class Standing:
    """A door over a real log and read models; `answers` is what the read models will say."""

    def __init__(self, folder: Path, log: SqliteLog, models: SqliteReadModels) -> None:
        self.folder, self.log, self.models = folder, log, models
        self.door = door.write_door(folder, "http://here")
        app = FastAPI()
        door.add_door(app, self.door, log, models, lambda: NOW)
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://here"
        )

    async def settle(self, key: str, **wish: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return await self._client.post(door.PATH, json=wish, headers=headers)

    def commands(self) -> list[Any]:
        reader = SqliteLogReader(self.folder)
        return [decode(record) for record in reader.records(topics.ACCOUNT_COMMANDS.name)]

    async def answer(self, fields: Mapping[str, Any]) -> None:
        """As the stats service would, once the command is on the log."""
        async for partition in self.log.partitions(topics.ACCOUNT_WATCHER):
            (record,) = await partition.read()
            break
        change = Upsert(
            collection=collections.COMMANDS,
            id=decode(record).id,
            source="order-events/0",
            version=1,
            fields=dict(fields),
        )
        await self.models.upsert([change])


@pytest.fixture
async def standing(tmp_path: Path) -> AsyncIterator[Standing]:
    log = await SqliteLog.open(tmp_path)
    models = await SqliteReadModels.open(tmp_path)
    yield Standing(tmp_path, log, models)
    await models.close()
    await log.close()


async def test_a_decision_becomes_one_command_and_is_answered(standing: Standing) -> None:
    answering = asyncio.create_task(standing.answer({"done": True}))

    answer = await standing.settle(
        standing.door.key, account=ACCOUNT, attempt="a1", ticket=7, by="operator ann"
    )
    await answering

    assert answer.json() == {"settled": "a1"}
    (envelope,) = standing.commands()
    assert envelope.message == messages.SettleUnresolved(
        account=ACCOUNT, attempt=AttemptId("a1"), ticket=Ticket(7), by="operator ann"
    )


async def test_a_denied_decision_says_why(standing: Standing) -> None:
    answering = asyncio.create_task(
        standing.answer({"code": "NOT_UNRESOLVED", "message": "it is settled already"})
    )

    answer = await standing.settle(standing.door.key, account=ACCOUNT, attempt="a1", by="ann")
    await answering

    assert answer.status_code == 409
    assert answer.json() == {"code": "NOT_UNRESOLVED", "message": "it is settled already"}


async def test_a_wrong_key_opens_nothing(standing: Standing) -> None:
    for key in ("", "x", standing.door.key[:-1]):
        answer = await standing.settle(key, account=ACCOUNT, attempt="a1", by="ann")
        assert answer.status_code == 403
    assert standing.commands() == []


@pytest.mark.parametrize("wish", [{}, {"account": ACCOUNT, "by": "ann"}, {"account": 7, "by": "a"}])
async def test_a_malformed_decision_is_refused(standing: Standing, wish: dict[str, Any]) -> None:
    assert (await standing.settle(standing.door.key, **wish)).status_code == 400
    assert standing.commands() == []


async def test_the_key_is_the_owner_s_alone_and_new_at_each_start(standing: Standing) -> None:
    path = standing.folder / door.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert door.read_door(standing.folder) == standing.door
    assert standing.door.key not in repr(standing.door)

    again = door.write_door(standing.folder, "http://here")

    assert again.key != standing.door.key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_program_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(door.NoDoor, match="start `copypro up`, or set COPYPRO_DATA"):
        door.read_door(tmp_path)
