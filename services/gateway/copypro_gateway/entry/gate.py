"""Whom a call lets in, and how much: the key, its scope, its share; then the audit trail.

One place for all calls. What each asks is in `scopes`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

from copypro.messages import CallBegun
from copypro.ports import KeyScope
from copypro.values import UserId
from fastapi import Request
from msgspec import Struct

from copypro_gateway.entry.audit import AuditTrail, masked
from copypro_gateway.entry.auth import (
    CLIENT,
    Auth,
    Caller,
    check_operator,
    check_scope,
    is_operator,
    key_id,
)
from copypro_gateway.entry.buckets import Buckets
from copypro_gateway.entry.guard import address_of, too_many
from copypro_gateway.entry.safety import Safety
from copypro_gateway.entry.scopes import rule_of
from copypro_gateway.owning import NOBODY, OWNER
from copypro_gateway.wording.errors import ApiError
from copypro_gateway.wording.parameters import Parameters

Answer = TypeVar("Answer")
CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Whoever makes the call that runs now, for the few calls that are about the key itself."""


class By(Struct, frozen=True):
    """Who makes a call: whoever has a key, the operator, or nobody that is known."""

    caller: Caller | None = None
    operator: bool = False

    @property
    def user(self) -> UserId | None:
        return None if self.caller is None else self.caller.user

    @property
    def is_known(self) -> bool:
        return self.operator or self.caller is not None

    @property
    def name(self) -> str:
        """The same for the same, whichever key it is."""
        return "operator" if self.operator else self.user or NOBODY


class Gate:
    def __init__(self, auth: Auth, trail: AuditTrail, safety: Safety, operator_hash: str) -> None:
        self._auth, self._trail, self._operator_hash = auth, trail, operator_hash
        per_s = safety.requests_per_s
        self._keys = Buckets(per_s, per_s * safety.burst_s)
        keyless_per_s = safety.keyless_changes_per_s if safety.address_requests_per_s else 0.0
        self._keyless = Buckets(keyless_per_s, safety.keyless_burst)

    async def caller(self, call: str, token: str | None, given: Parameters | None) -> Caller:
        """Errors: 401 without a key that counts, 403 for one of a lesser scope, 429."""
        caller = await self._auth.caller(token)
        _take(self._keys, caller.key.hash)
        check_scope(caller, needed_for(call, given))
        return caller

    def check_operator(self, token: str | None) -> None:
        """Errors: 401, 403."""
        check_operator(token, self._operator_hash)

    async def asker(self, call: str, token: str | None, *, require: bool) -> By:
        """Whoever asks what anybody may, each of his own. Errors: as `caller`, where a key is required
        or was given.
        """
        if not token and not require:
            return By()
        if token and is_operator(token, self._operator_hash):
            return By(operator=True)
        return By(await self.caller(call, token, None))

    async def run(
        self,
        call: str,
        request: Request,
        by: By,
        given: Parameters | None,
        act: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """Does it; a call that may change something leaves its two lines in the audit trail."""
        address = address_of(request.scope)
        CLIENT.set(address)
        CALLER.set(by.caller)
        OWNER.set(by.name)
        if not rule_of(call).audited:
            return await act()
        if by.caller is None and not by.operator:
            _take(self._keyless, address)
        begun = CallBegun(
            call=call,
            user=by.user,
            key_id="" if by.caller is None else key_id(by.caller.key),
            key_name="" if by.caller is None else by.caller.key.name,
            operator=by.operator,
            address=address,
            parameters=masked(_as_given(given)),
        )
        return await self._trail.noted(begun, act)


def _take(buckets: Buckets, name: str) -> None:
    """Errors: 429."""
    wait_s = buckets.take(name, asyncio.get_running_loop().time())
    if wait_s > 0:
        status, code, text, retry_after_s = too_many(wait_s)
        raise ApiError(status, code, text, retry_after_s=retry_after_s)


def needed_for(call: str, given: Parameters | None) -> KeyScope:
    """An account's password is the matter of an admin key, in whatever call it comes."""
    has_password = given is not None and any("password" in name for name in given.model_fields_set)
    return KeyScope.ADMIN if has_password else rule_of(call).scope


def _as_given(given: Parameters | None) -> dict[str, object]:
    return {} if given is None else given.model_dump(exclude_unset=True, by_alias=True)
