"""The local operator's door: a key of mode 0600 beside the data opens one call, settling.

Who may read the data folder may settle; nobody else can, whatever user's key they hold.
"""

from __future__ import annotations

import asyncio
import getpass
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from copypro import collections, topics
from copypro.envelope import encode, fact
from copypro.errors import CopyProError
from copypro.messages import SettleOtherCopier, SettleUnresolved
from copypro.ports import Clock, EventLog, ReadModels
from copypro.values import AccountId, AttemptId, Ticket
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from msgspec import Struct

from copypro_standalone.rest import Rest

FILE = "operator.json"
PATH = "/operator/settle"
ANSWER_WITHIN_S = 5.0
LOOK_EVERY_S = 0.02


class Door(Struct, frozen=True):
    """Where the running program is, and the key that it takes from its operator."""

    url: str
    key: str

    def __repr__(self) -> str:
        return f"Door(url={self.url!r}, key=***)"


class Wish(Struct, frozen=True, kw_only=True):
    """One decision. With `attempt`: it reached `ticket`, or (None) it did nothing. Without: the
    tagged position `ticket` of a copier we do not know is left alone, and opens go on.
    """

    account: AccountId
    by: str
    attempt: AttemptId | None = None
    ticket: Ticket | None = None


class NoDoor(CopyProError):
    """No program runs over this data folder, or its key cannot be read."""


def write_door(folder: Path, url: str) -> Door:
    """A new key for each start, readable by the folder's owner alone."""
    door = Door(url, secrets.token_urlsafe(32))
    path = folder / FILE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(door))
    return door


def read_door(folder: Path) -> Door:
    """COPYPRO_URL and COPYPRO_KEY win over the file. Errors: NoDoor."""
    url, key = os.environ.get("COPYPRO_URL"), os.environ.get("COPYPRO_KEY")
    if url and key:
        return Door(url, key)
    try:
        door = msgspec.json.decode((folder / FILE).read_bytes(), type=Door)
    except FileNotFoundError:
        raise NoDoor(
            f"no program has run over {folder}: start `copypro up`, or set COPYPRO_DATA"
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise NoDoor(f"{folder / FILE} cannot be read: {error}") from None
    return Door(url or door.url, key or door.key)


def add_door(
    app: FastAPI, door: Door, log: EventLog, read_models: ReadModels, clock: Clock
) -> None:
    """Adds the call to the gateway's app."""

    @app.post(PATH, include_in_schema=False)
    async def settle(request: Request) -> JSONResponse:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), door.key.encode()):
            return _refusal(403, "FORBIDDEN", "this call takes the operator's key")
        try:
            wish = msgspec.json.decode(await request.body(), type=Wish)
        except msgspec.MsgspecError as error:
            return _refusal(400, "BAD_REQUEST", str(error))
        if wish.attempt is None and wish.ticket is None:
            return _refusal(400, "BAD_REQUEST", "an attempt or a ticket is needed")
        envelope = fact(_command(wish), clock(), secrets.token_hex(16))
        await log.append([encode(topics.ACCOUNT_COMMANDS, wish.account, envelope)])
        answer = await _answer(read_models, envelope.id)
        if answer is None:
            return JSONResponse({"command": envelope.id}, 202)
        if answer.get("code"):
            return _refusal(409, str(answer["code"]), str(answer.get("message", "")))
        return JSONResponse({"settled": wish.attempt or wish.ticket})


async def settle(door: Door, wish: Mapping[str, Any]) -> Any:
    """Errors: RestError, Unreachable."""
    async with Rest(door.url, door.key) as rest:
        return await rest.post(PATH, **wish)


def me() -> str:
    """Who decides, for the record: the user of this machine."""
    try:
        return f"operator {getpass.getuser()}"
    except (KeyError, OSError):
        return f"operator {os.getuid()}"


def _command(wish: Wish) -> SettleUnresolved | SettleOtherCopier:
    if wish.attempt is not None:
        return SettleUnresolved(
            account=wish.account, attempt=wish.attempt, ticket=wish.ticket, by=wish.by
        )
    assert wish.ticket is not None
    return SettleOtherCopier(account=wish.account, ticket=wish.ticket, by=wish.by)


async def _answer(read_models: ReadModels, command: str) -> Mapping[str, Any] | None:
    """What became of the command, once the read models know; None: not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ANSWER_WITHIN_S
    while loop.time() < deadline:
        found = await read_models.get(collections.COMMANDS, command)
        if found is not None:
            return found
        await asyncio.sleep(LOOK_EVERY_S)
    return None


def _refusal(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, status)
