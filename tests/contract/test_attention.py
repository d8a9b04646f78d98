"""What waits for a person names the account as its user knows it, and as Settle takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from copypro import collections as c
from copypro.ports import Upsert

from tests.contract.stores import Place, SqlitePlace
from tests.gateway import SECRET_NAME, Calling, a_gateway, a_user


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = SqlitePlace(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def calling(place: Place, tmp_path: Path) -> AsyncIterator[Calling]:
    async with a_gateway(place, tmp_path, require_key=True) as made:
        yield made


async def shown(place: Place, collection: str, **fields: Any) -> None:
    models = await place.models()
    row = Upsert(
        collection=collection, id="7", source="t/0", version=1, fields={"open": True} | fields
    )
    await models.upsert([row])


async def test_an_alert_names_the_users_account(place: Place, calling: Calling) -> None:
    user = await a_user(place, "anna")
    slave = "anna-slave".ljust(32, "0")
    told = {"account": slave, "code": "ACCOUNT_DOWN", "text": "x", "time": "t", "numbers": {}}
    await shown(place, c.ALERTS, **told)
    (alert,) = (await calling.call("/Alerts", key=user.key)).json()
    assert alert["account"] == slave
    assert (alert["accountId"], alert["user"]) == (user.ids["slave"], 7)
    assert (alert["server"], alert["name"]) == ("anna-server", f"{SECRET_NAME} anna")


async def test_an_unresolved_attempt_names_what_settle_takes(
    place: Place, calling: Calling
) -> None:
    user = await a_user(place, "anna")
    told = {"account": "anna-slave".ljust(32, "0"), "copier": "c", "copy": "d", "leg": 0}
    await shown(place, c.UNRESOLVED, **told, since="t", evidence="none")
    (attempt,) = (await calling.call("/Unresolved", key=user.key)).json()
    assert attempt["accountId"] == user.ids["slave"]
