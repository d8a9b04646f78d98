"""Calls that come when what they are about is going, or has just gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.adapters.sealing import load_or_make_key
from copypro.envelope import decode
from copypro.errors import KeyDestroyed
from copypro.ports import Outgoing, Record, Upsert
from copypro.values import RegistrationId

from tests.contract.stores import Place, SqlitePlace
from tests.gateway import AnsweringLog, a_gateway, a_user


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = SqlitePlace(tmp_path)
    yield made
    await made.close()


def as_record(out: Outgoing) -> Record:
    return Record(out.topic, 0, 0, out.key, out.value, out.headers)


class Removing(AnsweringLog):
    """One of a new copier's accounts is removed before the copier is there."""

    gone = ""

    async def append(self, messages: Sequence[Outgoing]) -> None:
        await super().append(messages)
        if messages[0].headers["type"] == "StartCopier":
            gone = Upsert(
                collection=c.REGISTRATIONS, id=self.gone, source="mine/0", version=99, fields=None
            )
            await self._models.upsert([gone])


@pytest.mark.parametrize("role", ["master", "slave"])
async def test_a_copier_that_is_there_after_its_account_is_stopped_at_once(
    place: Place, tmp_path: Path, role: str
) -> None:
    log = Removing(await place.models())
    async with a_gateway(place, tmp_path, require_key=True, log=log) as calling:
        user = await a_user(place, "mine")
        log.gone = user.ids[role]
        given = {"masterAccountId": user.ids["master"], "slaveAccountId": user.ids["slave"]}
        answer = await calling.call("/Start", given, key=user.key)
        assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_ACCOUNT")
        started, stop = [decode(r).message for r in log.all(topics.COPIER_COMMANDS.name)]
        assert isinstance(stop, m.StopCopier)
        assert (stop.copier, stop.master) == (started.copier, started.master)
        assert stop.reason == f"{role.capitalize()}Removed"


class Adding(AnsweringLog):
    """While one side of a copier is added, its user disables the other one."""

    master: Mapping[str, Any]

    async def append(self, messages: Sequence[Outgoing]) -> None:
        await super().append(messages)
        added = decode(as_record(messages[0])).message
        if isinstance(added, m.RegisterAccount):
            await self._show(added.registration, {**self.master, "account": added.account})
            await self._show(self.master["id"], {**self.master, "enabled": False})

    async def _show(self, id_: str, fields: dict[str, Any]) -> None:
        put = Upsert(collection=c.REGISTRATIONS, id=id_, source="mine/0", version=99, fields=fields)
        await self._models.upsert([put])


async def test_a_master_that_is_disabled_while_the_slave_is_added_is_not_copied(
    place: Place, tmp_path: Path
) -> None:
    log = Adding(await place.models())
    async with a_gateway(place, tmp_path, require_key=True, log=log) as calling:
        user = await a_user(place, "mine")
        log.master = await log._models.get(c.REGISTRATIONS, user.ids["master"]) or {}
        slave = {"slaveType": "MT5", "slaveUser": 9, "slavePassword": "p", "slaveServer": "S"}
        given = {"masterAccountId": user.ids["master"], **slave}
        answer = await calling.call("/Start", given, key=user.key)
        assert (answer.status_code, answer.json()["code"]) == (409, "ACCOUNT_DISABLED")
        assert log.all(topics.COPIER_COMMANDS.name) == []


@pytest.mark.parametrize("call", ["SetTradeLogCallback", "UpdateEquityProtectorCallback"])
async def test_a_callback_makes_no_data_key_for_an_account_whose_key_is_gone(
    place: Place, tmp_path: Path, call: str
) -> None:
    """Its removal is recorded, and what the call has read does not show it yet."""
    log = AnsweringLog(await place.models())
    async with a_gateway(place, tmp_path, require_key=True, log=log) as calling:
        user = await a_user(place, "mine")
        slave = RegistrationId(user.ids["slave"])
        vault = await place.vault(load_or_make_key(tmp_path))
        given = {"accountId": slave, "id": user.ids["copier"], "callbackUrl": "https://example.com"}
        if call == "UpdateEquityProtectorCallback":
            del given["id"]
        answer = await calling.call(f"/{call}", given, key=user.key)
        assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_ACCOUNT")
        with pytest.raises(KeyDestroyed):
            await vault.seal_known(slave, "there is no key")
