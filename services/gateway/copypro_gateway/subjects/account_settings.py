"""What a user changes of an account that is registered: its name, its password, whether it trades."""

from __future__ import annotations

from typing import Any

from copypro import messages as m
from copypro import topics
from copypro.values import AccountId, Platform, RegistrationId, UserId
from pydantic import AliasChoices, Field

from copypro_gateway.calls import Calls
from copypro_gateway.core import Core
from copypro_gateway.subjects.symbols import readable_names
from copypro_gateway.wording.answers import OK, Ok
from copypro_gateway.wording.errors import ApiError, bad
from copypro_gateway.wording.parameters import ByAccount, SymbolName, Text
from copypro_gateway.wording.symbol_names import SymbolNames

MOST_SYMBOLS = 1000


class UpdateAccount(ByAccount):
    account_name: Text | None = Field(
        None, validation_alias=AliasChoices("accountName", "name", "account_name")
    )
    consider_account_balance: bool | None = Field(None, description="kept and shown, no more")


class SetEnabled(ByAccount):
    enabled: bool = True


class ChangePassword(ByAccount):
    """`type` and `isInvestor` are the original's and say nothing that a login does not show."""

    new_password: Text = Field(min_length=1)
    type: Platform | None = None
    is_investor: bool | None = None


class SymbolsEnable(ByAccount):
    enable_all_symbols: bool = Field(description="true: all but `off`; false: only `on`")
    on: list[SymbolName] = Field(default=[], max_length=MOST_SYMBOLS)
    off: list[SymbolName] = Field(default=[], max_length=MOST_SYMBOLS)


class AccountSettings:
    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, calls: Calls) -> None:
        calls.keyed("UpdateAccount", UpdateAccount, self.update, tag="accounts", changes=True)
        calls.keyed("AccountSetEnabled", SetEnabled, self.enable, tag="accounts", changes=True)
        for name in ("ChangePassword", "ChangePasswordByApiId"):
            calls.keyed(name, ChangePassword, self.password, tag="accounts", changes=True)
        calls.keyed("SymbolsEnable", SymbolsEnable, self.symbols, tag="symbols", changes=True)

    async def update(self, user: UserId, given: UpdateAccount) -> Ok:
        """Changes an account's name, and a word of the original's that is kept and shown. What is
        left out stays.
        """
        return await self._change(
            user, given, name=given.account_name, consider_balance=given.consider_account_balance
        )

    async def enable(self, user: UserId, given: SetEnabled) -> Ok:
        """Switches an account on or off. A disabled master is not copied (its copiers pause,
        MasterAccountDisable); on a disabled slave nothing is opened (SlaveAccountDisable). Stops
        and closes go on.
        """
        return await self._change(user, given, enabled=given.enabled)

    async def password(self, user: UserId, given: ChangePassword) -> Ok:
        """Tells an account's new password, as it was changed at the broker. It is tried once, and
        used when it logs in; nothing is changed at the broker.
        """
        registration = await self._core.registration(user, given.account_id)
        if registration.get("kind") == "imported":
            text = "accountId: was imported from a report: it has no password"
            raise ApiError(400, "IMPORTED_ACCOUNT", text)
        id = RegistrationId(given.account_id)
        sealed = await self._core.vault.seal(id, given.new_password)
        return await self._change(user, given, sealed_password=sealed)

    async def symbols(self, user: UserId, given: SymbolsEnable) -> Ok:
        """Says on which of a slave's symbols copies are opened; closes go on everywhere."""
        both = set(given.on) & set(given.off)
        if both:
            raise bad("off", "names a symbol that `on` names too")
        registration = await self._core.registration(user, given.account_id)
        names = SymbolNames(await readable_names(self._core.models, registration))
        for field, chosen in (("on", frozenset(given.on)), ("off", frozenset(given.off))):
            for name in sorted(chosen):
                names.check(field, name, chosen)
        choice = m.SymbolChoice(
            all=given.enable_all_symbols, on=tuple(given.on), off=tuple(given.off)
        )
        return await self._change(user, given, symbols=choice)

    async def _change(self, user: UserId, given: ByAccount, **changed: Any) -> Ok:
        registration = await self._core.registration(user, given.account_id)
        account = AccountId(str(registration["account"]))
        wish = m.UpdateAccount(
            account=account, registration=RegistrationId(given.account_id), **changed
        )
        await self._core.command((topics.ACCOUNT_COMMANDS, account, wish))
        return OK
