"""The gateway alone, on stores of a test's own, with two users and what each of them has.

Nothing behind it reads the log, so a command is taken and never becomes visible: it answers 202; unless
the log given is one that answers.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from copypro import collections as c
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.sealing import load_or_make_key
from copypro.adapters.webhooks import Webhooks
from copypro.envelope import utc_now
from copypro.ports import Outgoing, ReadModels, Upsert
from copypro.values import Platform
from copypro.wiring import operators_metrics
from copypro_gateway.api import create_app
from copypro_gateway.core import GatewaySettings
from copypro_gateway.entry.auth import hash_of
from copypro_gateway.entry.safety import Safety
from copypro_gateway.wording.failures import Style
from fastapi import FastAPI

from tests.contract.stores import Place
from tests.users import signed_up

OPERATOR = "0perat0r-k3y"
SECRET_NAME = "n4me-of-hers"
Doc = dict[str, Any]


class History:
    """A LogHistory of a log that has nothing yet."""

    async def spans(self, _: Any) -> dict[int, tuple[int, int]]:
        return {}

    async def records(self, *_: Any) -> AsyncIterator[Any]:
        for nothing in ():
            yield nothing


class User:
    """`ids` by what they name: what the user's own calls would be made with."""

    def __init__(self, key: str, ids: dict[str, str]) -> None:
        self.key, self.ids = key, ids


class Calling:
    def __init__(self, app: FastAPI, client: httpx.AsyncClient, log: MemoryLog) -> None:
        self.app, self.client, self.log = app, client, log

    async def call(
        self, path: str, given: Any = None, *, key: str = "", method: str = "POST"
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if method == "GET":
            return await self.client.get(path, params=given or {}, headers=headers)
        return await self.client.post(path, json=given or {}, headers=headers)

    @property
    def paths(self) -> dict[str, Doc]:
        """Every route that is documented, as the OpenAPI document has it."""
        paths: dict[str, Doc] = self.app.openapi()["paths"]
        return paths


class AnsweringLog(MemoryLog):
    """What is behind the gateway, as far as it waits for it: each command is answered as soon as it is
    appended. `codes`: those of the denied ones, by kind; `events`: how the others ended, by kind;
    `unanswered`: kinds whose answer never shows.
    """

    def __init__(self, models: ReadModels) -> None:
        super().__init__()
        self._models = models
        self.codes: dict[str, str] = {}
        self.events: dict[str, str] = {}
        self.unanswered: set[str] = set()

    async def append(self, messages: Sequence[Outgoing]) -> None:
        await super().append(messages)
        answers = []
        for message in messages:
            kind, id_ = message.headers["type"], message.headers["id"]
            if message.topic.endswith("-commands") and kind not in self.unanswered:
                code = self.codes.get(kind)
                denial = {"code": code, "message": "it was not done"} if code else {}
                event = {"event": self.events[kind]} if kind in self.events else {}
                fields: Doc = {"done": True, **event, **denial}
                answers.append(
                    Upsert(
                        collection=c.COMMANDS, id=id_, source="answers/0", version=0, fields=fields
                    )
                )
        await self._models.upsert(answers)


@asynccontextmanager
async def a_gateway(
    place: Place,
    folder: Path,
    *,
    require_key: bool,
    log: MemoryLog | None = None,
    errors_as_201: Style = "",
) -> AsyncIterator[Calling]:
    log = log or MemoryLog()
    app = create_app(
        log=log,
        history=History(),
        read_models=await place.models(),
        users=await place.users(),
        vault=await place.vault(load_or_make_key(folder)),
        repeats=await place.repeats(),
        clock=utc_now,
        new_id=lambda: uuid.uuid4().hex,
        settings=GatewaySettings(
            platforms=frozenset(Platform),
            require_key=require_key,
            operator_key_hash=hash_of(OPERATOR),
            visible_within_s=0.0,
            errors_as_201=errors_as_201,
        ),
        safety=Safety(requests_per_s=0, address_requests_per_s=0),
        meter=operators_metrics(),
        post=Webhooks(utc_now),
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield Calling(app, client, log)


async def a_user(place: Place, name: str) -> User:
    """With two accounts that may trade, a copier, an order and rows of every list."""
    email, users = f"{name}@example.com", await place.users()
    key = await signed_up(users, email, name * 16)
    user = await users.by_email(email)
    assert user is not None
    (kept,) = await users.keys(user.id)
    ids = {each: uuid.uuid4().hex for each in ("master", "slave", "copier", "attempt")}
    ids |= {"user": user.id, "email": user.email, "key": kept.hash[:16]}
    accounts = {role: f"{name}-{role}".ljust(32, "0") for role in ("master", "slave")}
    documents: list[tuple[str, str, Doc]] = []
    for role, account in accounts.items():
        shown = {
            "user": user.id, "account": account, "name": f"{SECRET_NAME} {name}", "platform": "MT5",
            "server": f"{name}-server", "login": 7, "rights": "trade", "enabled": True,
            "proof": "proved", "connect_error": None,
        }  # fmt: skip
        documents.append((c.REGISTRATIONS, ids[role], shown))
        documents.append((c.ACCOUNTS, account, {"platform": "MT5", "server": "s", "login": 7}))
    copier = {
        "user": user.id, "master": accounts["master"], "slave": accounts["slave"],
        "master_registration": ids["master"], "slave_registration": ids["slave"], "options": {},
        "mappings": [{"master_symbol": f"{SECRET_NAME}", "slave_symbol": "X"}], "paused": False,
        "pause_reason": "", "started_at": utc_now().isoformat(),
    }  # fmt: skip
    documents.append((c.COPIERS, ids["copier"], copier))
    models = await place.models()
    await models.upsert(
        [
            Upsert(collection=where, id=id_, source=f"{name}/0", version=number, fields=fields)
            for number, (where, id_, fields) in enumerate(documents)
        ]
    )
    return User(key, ids)
