"""Users' own addresses: setting one, taking it back, trying it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.callbacks import (
    Callback,
    Receiver,
    is_not_public_literal,
    masked,
    plain,
    problem_with,
    receiver_of,
)
from copypro.errors import KeyDestroyed, SecretsError
from copypro.ports import Post
from copypro.trade_logs import trade_log
from copypro.trade_sides import sides_of
from copypro.values import AccountId, CopierId, RegistrationId, UserId
from pydantic import AliasChoices, Field

from copypro_gateway.calls import Calls
from copypro_gateway.core import Core
from copypro_gateway.subjects.protection import Protection
from copypro_gateway.wording.answers import OK, CallbackSet, Ok
from copypro_gateway.wording.errors import ApiError, bad, unknown
from copypro_gateway.wording.parameters import ByAccount, ByCopier, Parameters, Text

SECRET_BYTES = 32
Url = Annotated[str, Field(max_length=2048)]


class Where(Parameters):
    callback_url: Url = Field("", description="http or https; path and query are never shown again")
    remove: bool = Field(False, description="true takes the address back")


class SetTradeLogCallback(ByCopier, Where):
    pass


class UpdateEquityProtectorCallback(ByAccount, Where):
    pass


class TestEquityProtectorCallback(Parameters):
    account_id: Text | None = Field(
        None, validation_alias=AliasChoices("accountId", "account_id", "apiId", "id")
    )
    copier_id: Text | None = Field(None, description="instead: the copier whose slave it is")


class Callbacks:
    def __init__(self, core: Core, protection: Protection, post: Post) -> None:
        self._core, self._protection, self._post = core, protection, post

    def register(self, calls: Calls) -> None:
        """No answer is kept for an Idempotency-Key: some have a secret."""
        tag = "callbacks"
        calls.keyed("SetTradeLogCallback", SetTradeLogCallback, self.of_copier, tag=tag)
        calls.keyed("TestTradeLogCallback", ByCopier, self.test_of_copier, tag=tag)
        calls.keyed(
            "UpdateEquityProtectorCallback", UpdateEquityProtectorCallback, self.of_account, tag=tag
        )
        calls.keyed(
            "TestEquityProtectorCallback",
            TestEquityProtectorCallback,
            self.test_of_account,
            tag=tag,
        )

    async def of_copier(self, user: UserId, given: SetTradeLogCallback) -> CallbackSet:
        """Says where each trade log of a copier is posted. The secret that signs is shown this
        once.
        """
        doc = await self._core.copier(user, given.copier_id)
        owner = RegistrationId(str(doc["slave_registration"]))
        callback, answer = await self._sealed(owner, given)
        wish = m.SetTradeLogCallback(
            copier=CopierId(given.copier_id),
            master=AccountId(str(doc["master"])),
            callback=callback,
        )
        await self._core.command((topics.COPIER_COMMANDS, wish.master, wish))
        return answer

    async def of_account(self, user: UserId, given: UpdateEquityProtectorCallback) -> CallbackSet:
        """Says where it is posted what an account's equity protector does."""
        registration = await self._protection.tradable(user, given.account_id)
        owner = RegistrationId(str(registration["id"]))
        callback, answer = await self._sealed(owner, given)
        wish = m.SetEquityProtectorCallback(
            account=AccountId(str(registration["account"])), registration=owner, callback=callback
        )
        await self._core.command((topics.ACCOUNT_COMMANDS, wish.account, wish))
        return answer

    async def test_of_copier(self, user: UserId, given: ByCopier) -> Ok:
        """Posts a trade log that never happened, now and once, and says what became of it."""
        await self._core.copier(user, given.copier_id)
        row = {"id": "test", "copier": given.copier_id, "time": f"{self._core.clock():%FT%TZ}"}
        sides = await sides_of(self._core.models, [given.copier_id])
        return await self._try(given.copier_id, trade_log(row, sides[given.copier_id]))

    async def test_of_account(self, user: UserId, given: TestEquityProtectorCallback) -> Ok:
        """Posts, now and once, that a protector acted which did not."""
        id_ = given.account_id
        if id_ is None and given.copier_id is not None:
            copier = await self._core.copier(user, given.copier_id)
            id_ = str(copier["slave_registration"])
        if id_ is None:
            raise bad("accountId", "is required (or copierId)")
        await self._core.registration(user, id_)
        return await self._try(id_, {"type": "EquityProtectorTriggered", "accountId": id_})

    async def _sealed(
        self, owner: RegistrationId, given: Where
    ) -> tuple[Callback | None, CallbackSet]:
        if given.remove:
            return None, {"result": "OK", "callbackUrl": None, "secret": None}
        url = given.callback_url.strip()
        if not url:
            raise bad("callbackUrl", "is required; remove=true takes the address back")
        problem = problem_with(url)
        if problem:
            raise bad("callbackUrl", problem)
        if is_not_public_literal(url) and not self._core.settings.callback_private:
            text = (
                "is a private, loopback or reserved address: COPYPRO_CALLBACK_PRIVATE=1 allows it"
            )
            raise bad("callbackUrl", text)
        secret = secrets.token_hex(SECRET_BYTES)
        try:
            sealed = await self._core.vault.seal_known(owner, plain(Receiver(url, secret)))
        except KeyDestroyed:
            raise unknown("account") from None  # removed a moment ago: nothing of it is made anew
        callback = Callback(registration=owner, sealed=sealed, shown=masked(url))
        return callback, {"result": "OK", "callbackUrl": callback.shown, "secret": secret}

    async def _try(self, owner: str, fields: Mapping[str, Any]) -> Ok:
        doc = await self._core.models.get(c.CALLBACKS, owner)
        if doc is None:
            raise unknown("callback")
        try:
            opened = await self._core.vault.unseal(
                RegistrationId(str(doc["registration"])), str(doc["sealed"])
            )
        except SecretsError:
            raise unknown("callback") from None
        body = msgspec.json.encode({**fields, "test": True})
        not_taken = await self._post(receiver_of(opened), self._core.new_id(), body)
        if not_taken is not None:
            text = f"the receiver did not take it: {not_taken.reason}"
            raise ApiError(502, "CALLBACK_FAILED", text)
        return OK
