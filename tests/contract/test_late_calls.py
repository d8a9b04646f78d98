"""Calls that come when what they are about is going, or has just gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from copypro.adapters.sealing import load_or_make_key
from copypro.errors import KeyDestroyed
from copypro.values import RegistrationId

from tests.contract.stores import Place, SqlitePlace
from tests.gateway import AnsweringLog, a_gateway, a_user


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = SqlitePlace(tmp_path)
    yield made
    await made.close()


@pytest.mark.parametrize("call", ["SetTradeLogCallback", "UpdateEquityProtectorCallback"])
async def test_a_callback_makes_no_data_key_for_an_account_whose_key_is_gone(
    place: Place, tmp_path: Path, call: str
) -> None:
    """Its removal is recorded, and what the call has read does not show it yet."""
    log = AnsweringLog(await place.models())
    async with a_gateway(place, tmp_path, require_key=True, log=log) as calling:
        user = await a_user(place, calling, "mine")
        slave = RegistrationId(user.ids["slave"])
        vault = await place.vault(load_or_make_key(tmp_path))
        given = {"accountId": slave, "id": user.ids["copier"], "callbackUrl": "https://example.com"}
        if call == "UpdateEquityProtectorCallback":
            del given["id"]
        answer = await calling.call(f"/{call}", given, key=user.key)
        assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_ACCOUNT")
        with pytest.raises(KeyDestroyed):
            await vault.seal_known(slave, "there is no key")
