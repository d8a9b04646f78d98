"""`Idempotency-Key`: the same key and call again get the first one's answer, and nothing happens twice."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import msgspec
from copypro.ports import Clock, Repeats
from fastapi import Response
from msgspec import Struct

from copypro_gateway.wording.errors import ApiError, bad

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=1)
"""A call of which no answer came by then died with its process: whoever asks again, makes it."""
_FORM = re.compile(r"[!-~]{1,200}")
_PASSING = frozenset((401, 403, 429))
"""What says nothing of the call itself, only of the caller's moment."""
_PASSING_CODES = frozenset(("ACCOUNT_CONNECTING", "COPIER_IN_USE"))
"""Those that say themselves that the same call is to be made again."""
Answer = Callable[[ApiError], Response]
"""As this gateway shows its errors, which may be with another status than they have."""


class Asked(Struct, frozen=True):
    """Whose call it is, and what tells it from every other."""

    owner: str
    call: str
    said: bytes


class _Kept(Struct, frozen=True):
    said: str
    claimed_at: datetime
    status: int = 0
    """0: there is no answer yet."""
    body: str = ""


class Repeating:
    def __init__(self, repeats: Repeats, clock: Clock, answer: Answer) -> None:
        self._repeats, self._clock, self._answer = repeats, clock, answer

    async def once(
        self, key: str | None, asked: Asked, act: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Errors: those of `act` that pass, after which the call may be made again; 409 for a key that
        another call has used, and for one whose call is still running.
        """
        if key is None:
            return await act()
        if not _FORM.fullmatch(key):
            raise bad(HEADER, "1 to 200 characters from ! to ~, such as a UUID")
        name, mine = _name_of(asked.owner, key), _Kept(_mark(key, asked), self._clock())
        while known := await self._repeats.claim(name, _text(mine), self._clock(), self._until()):
            kept = msgspec.json.decode(known, type=_Kept)
            if kept.said != mine.said:
                text = f"{HEADER}: was used for another call: choose a new one"
                raise ApiError(409, "IDEMPOTENCY_KEY_USED", text)
            if kept.status:
                return _again(kept)
            if self._clock() - kept.claimed_at < ABANDONED:
                text = f"{HEADER}: its call is still running: ask again in a moment"
                raise ApiError(409, "IDEMPOTENCY_KEY_RUNNING", text)
            # Abandoned: of those who ask again the one that claims this makes it.
            name = _name_of(name, kept.claimed_at.isoformat())
        return await self._make(name, mine, act)

    async def _make(
        self, name: str, mine: _Kept, act: Callable[[], Awaitable[Response]]
    ) -> Response:
        try:
            answer = await self._lasting(act)
        except BaseException:
            await self._repeats.forget(name)
            raise
        body = bytes(answer.body).decode()
        kept = msgspec.structs.replace(mine, status=answer.status_code, body=body)
        await self._repeats.keep(name, _text(kept), self._until())
        return answer

    async def _lasting(self, act: Callable[[], Awaitable[Response]]) -> Response:
        """An answer that is the same an hour later. Errors: those that pass."""
        try:
            return await act()
        except ApiError as error:
            if _passes(error):
                raise
            return self._answer(error)

    def _until(self) -> datetime:
        return self._clock() + KEPT


def _passes(error: ApiError) -> bool:
    return error.status >= 500 or error.status in _PASSING or error.code in _PASSING_CODES


def _name_of(owner: str, key: str) -> str:
    return hashlib.blake2b(f"{owner}\n{key}".encode(), digest_size=16).hexdigest()


def _mark(key: str, asked: Asked) -> str:
    """What was asked may hold a password: its mark is made with the client's key, which is not kept."""
    said = asked.call.encode() + b"\n" + asked.said
    return hmac.new(key.encode(), said, hashlib.sha256).hexdigest()


def _text(kept: _Kept) -> str:
    return msgspec.json.encode(kept).decode()


def _again(kept: _Kept) -> Response:
    headers = {"Idempotency-Replayed": "true"}
    return Response(kept.body, kept.status, headers, media_type="application/json")
