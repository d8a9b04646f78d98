"""What an operator changes: through the gateway where it is about trades, in the store for users."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

import aiohttp
from copypro.envelope import utc_now
from copypro.ports import UserKey, Users
from copypro.settings import Settings
from copypro.values import UserId
from copypro.wiring import open_history, open_models, open_users
from copypro_gateway.entry.auth import Auth
from copypro_gateway.wording.errors import ApiError
from copypro_stats import rebuilding
from msgspec import Struct

ANSWER_WITHIN_S = 90.0
"""Longer than a gateway may be set to wait for a change to be visible."""


class Said(Struct, frozen=True):
    """What the gateway said to a change; nothing: it is done."""

    problem: str = ""
    pending: str = ""
    """It was accepted as this command, which is not done yet."""
    code: str = ""
    """The refusal's, where it has one."""


async def add_user(settings: Settings, email: str, password: str) -> str:
    """The userKey. Errors: LogCorrupt, StoreError, ApiError for an e-mail that is none or is taken."""
    async with open_users(settings) as users:
        return await _auth(users).make(email, hashlib.sha256(password.encode()).hexdigest())


async def invite_user(settings: Settings, days: int) -> str:
    """The code. Errors: LogCorrupt, StoreError."""
    async with open_users(settings) as users:
        return await _auth(users).invite(days)


async def keys_of(settings: Settings, email: str) -> list[UserKey]:
    """Errors: LogCorrupt, StoreError, ApiError (no such user)."""
    async with open_users(settings) as users:
        return await _auth(users).keys(await _user(users, email))


async def revoke_key(settings: Settings, email: str, key: str) -> None:
    """Errors: LogCorrupt, StoreError, ApiError (no such user or key)."""
    async with open_users(settings) as users:
        user = await _user(users, email)
        try:
            await _auth(users).remove_key(user, key)
        except ApiError as error:
            text = f"{email} has no key {key}: `copypro users keys {email}` lists the ids"
            raise ApiError(error.status, error.code, text) from None


def _auth(users: Users) -> Auth:
    return Auth(users, utc_now, lambda: uuid.uuid4().hex)


async def _user(users: Users, email: str) -> UserId:
    user = await users.by_email(email)
    if user is None:
        text = f"there is no user {email}: check the e-mail, or `copypro users add` makes one"
        raise ApiError(404, "UNKNOWN_USER", text)
    return user.id


async def rebuild_stats(settings: Settings, *, older_log: bool) -> int:
    """How many records they were made from. Errors: LogCorrupt, StoreError, BadRecord (newer)."""
    history = open_history(settings)
    async with open_models(settings) as models:
        return await rebuilding.rebuild(
            history, models, settings.places_set_aside, older_log=older_log
        )


async def settle(
    url: str,
    key: str,
    account: str,
    attempt: str | None,
    ticket: int | None,
    within_s: float = ANSWER_WITHIN_S,
) -> Said:
    body = {"accountId": account, "attempt": attempt, "ticket": ticket}
    said = await _post(url, "Settle", key, body, within_s)
    if said.code == "UNKNOWN_ACCOUNT":
        lists = "`copypro unresolved` and `copypro alerts`"
        whose = f"the user of this key has no account {account}"
        return Said(f"{whose}: give the registration id that {lists} show, and its own user's key")
    return said


async def replay_letter(url: str, key: str, topic: str, partition: int, offset: int) -> Said:
    body = {"topic": topic, "partition": partition, "offset": offset}
    return await _post(url, "ReplayDeadLetter", key, body, ANSWER_WITHIN_S)


async def _post(
    gateway: str, call: str, key: str, body: Mapping[str, object], within_s: float
) -> Said:
    url = f"{gateway.rstrip('/')}/{call}"
    headers = {"Authorization": f"Bearer {key}"}
    timeout = aiohttp.ClientTimeout(total=within_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, json=body, headers=headers) as response,
        ):
            return _said(response.status, await response.json())
    except TimeoutError:
        return Said(f"no answer from {url} within {within_s:g} s: whether it was done is not known")
    except aiohttp.ClientError as error:
        return Said(unanswered(gateway, error))


def unanswered(gateway: str, error: aiohttp.ClientError) -> str:
    """Why nothing of the gateway's came back, and what to do."""
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return f"{gateway} is no address of a gateway: set COPYPRO_URL like http://127.0.0.1:5020"
    if isinstance(error, aiohttp.ContentTypeError):
        return f"what answers at {gateway} is no gateway of CopyPro: COPYPRO_URL says where it is"
    text = f"no answer from {gateway}: {type(error).__name__}; is `copypro up` running?"
    return f"{text} COPYPRO_URL says where"


def refusal(status: int, answer: Any) -> Mapping[str, Any] | None:
    """`code` and `message`, in whichever style COPYPRO_ERRORS_AS_201 has the gateway answer."""
    if status in (200, 202):
        return None
    first = answer[0] if isinstance(answer, list) and answer else answer
    return first if isinstance(first, dict) else {"message": str(answer)}


def _said(status: int, answer: Any) -> Said:
    refused = refusal(status, answer)
    if refused is not None:
        return Said(str(refused.get("message", refused)), code=str(refused.get("code", "")))
    return Said() if status == 200 else Said(pending=str(answer.get("commandId", "")))
