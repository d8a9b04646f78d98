"""Accounts with their figures, as the last proof of life showed them: nothing is asked of a bridge."""

from __future__ import annotations

from copypro import collections as c
from copypro.statistics.answers import TradeSummary
from copypro.values import UserId

from copypro_gateway import rights
from copypro_gateway.calls import Calls
from copypro_gateway.core import Core, Doc
from copypro_gateway.statistics import TradeStats
from copypro_gateway.subjects.accounts import Accounts
from copypro_gateway.wording.account_answers import AccountDetails, DetailedAccount, TradedAccount
from copypro_gateway.wording.parameters import ByAccount, Parameters


class Summaries:
    def __init__(self, core: Core, accounts: Accounts, stats: TradeStats) -> None:
        self._core, self._accounts, self._stats = core, accounts, stats

    def register(self, calls: Calls) -> None:
        calls.keyed("AccountWithSummary", ByAccount, self.one, tag="accounts")
        calls.keyed("AccountsWithSummary", Parameters, self.all, tag="accounts")
        calls.keyed("AccountWithTradeSummary", ByAccount, self.one_traded, tag="accounts")
        calls.keyed("AccountsWithTradeSummary", Parameters, self.all_traded, tag="accounts")

    async def one(self, user: UserId, given: ByAccount) -> DetailedAccount:
        """One account with its server, currency, leverage and mode. `connected` and
        `seenAliveAgeSeconds` are the connection test: the last proof of life.
        """
        return await self._detailed(await self._core.registration(user, given.account_id))

    async def all(self, user: UserId, _: Parameters) -> list[DetailedAccount]:
        """The user's accounts, as AccountWithSummary shows one."""
        return [await self._detailed(doc) for doc in await self._core.registrations_of(user)]

    async def one_traded(self, user: UserId, given: ByAccount) -> TradedAccount:
        """One account as AccountWithSummary shows it, and the figures of its trades."""
        return await self._traded(await self._core.registration(user, given.account_id))

    async def all_traded(self, user: UserId, _: Parameters) -> list[TradedAccount]:
        """The user's accounts, as AccountWithTradeSummary shows one."""
        return [await self._traded(doc) for doc in await self._core.registrations_of(user)]

    async def _detailed(self, registration: Doc) -> DetailedAccount:
        shown = await self._accounts.of(registration)
        details: AccountDetails | None = None
        if rights.may_read(registration):
            account = str(registration["account"])
            state: Doc = await self._core.models.get(c.ACCOUNTS, account) or {}
            details = {
                "serverName": registration["server"],
                "company": state.get("company"),
                "currency": state.get("currency"),
                "leverage": state.get("leverage"),
                "method": state.get("mode"),
            }
        return {**shown, "accountDetails": details}

    async def _traded(self, registration: Doc) -> TradedAccount:
        summary: TradeSummary | None = None
        if rights.may_read(registration):
            summary = await self._stats.summary(str(registration["account"]))
        return {**await self._detailed(registration), "tradeSummary": summary}
