"""The operator's calls: users, accounts, copiers and logs of everybody, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog
from copypro import collections as c
from copypro import topics
from copypro.messages import Message
from copypro.ports import User, Users
from copypro.topics import Topic
from copypro.trade_logs import TradeLog
from pydantic import Field

from copypro_gateway.calls import Calls
from copypro_gateway.core import Core
from copypro_gateway.subjects.accounts import Accounts
from copypro_gateway.subjects.copiers import Copiers, is_resumed
from copypro_gateway.subjects.logs import CopierLogs, Logs
from copypro_gateway.wording.account_answers import ManagedAccount
from copypro_gateway.wording.answers import Ok, Resumed, UserShown
from copypro_gateway.wording.copier_answers import ManagedCopier, RemovedCopier
from copypro_gateway.wording.errors import ApiError, unknown
from copypro_gateway.wording.parameters import Parameters, Text

logger = structlog.get_logger("gateway")
Row = TypeVar("Row")
BY_OPERATOR = "ByOperator"


class GetUserByEmail(Parameters):
    email: Text


class Pages(Parameters):
    search: Text = Field("", description="only what has this text in it")
    page: int = Field(0, ge=0, le=100_000, description="from 0")
    page_size: int = Field(100, ge=1, le=1000)


class Copies(Pages):
    show_only_paused: bool = False


class OfUser(Copies):
    """Of one user, by the id that GetUserByEmail gives."""

    user_id: Text


class TogglePause(Parameters):
    copier_id: Text
    paused: bool
    reason: Text = BY_OPERATOR


class UnPauseAll(Parameters):
    reason: Text = Field(BY_OPERATOR, description="only copiers that were paused for this reason")


class Managing:
    def __init__(
        self, core: Core, users: Users, accounts: Accounts, copiers: Copiers, logs: CopierLogs
    ) -> None:
        self._core, self._users = core, users
        self._accounts, self._copiers, self._logs = accounts, copiers, logs

    def register(self, calls: Calls) -> None:
        tag = "operators"
        calls.operators("GetUserByEmail", GetUserByEmail, self.user, tag=tag)
        calls.operators("Manager/Users", Pages, self.users, tag=tag)
        calls.operators("Manager/Accounts", Pages, self.accounts, tag=tag)
        calls.operators("Manager/UserAccounts", OfUser, self.accounts_of, tag=tag)
        calls.operators("Manager/Copiers", Copies, self.copiers, tag=tag)
        calls.operators("Manager/UserCopiers", OfUser, self.copiers_of, tag=tag)
        calls.operators("Manager/RemovedCopiers", Pages, self.removed, tag=tag)
        calls.operators("Manager/UserRemovedCopiers", OfUser, self.removed_of, tag=tag)
        calls.operators("Manager/CopierLogs", Logs, self.lines, tag=tag)
        calls.operators("Manager/CopierTradeLogs", Logs, self.trades, tag=tag)
        calls.operators(
            "Manager/TogglePauseCopier", TogglePause, self.toggle, tag=tag, changes=True
        )
        calls.operators("Manager/UnPauseAll", UnPauseAll, self.unpause, tag=tag, changes=True)

    async def user(self, given: GetUserByEmail) -> UserShown:
        """A user, by e-mail address."""
        found = await self._users.by_email(given.email)
        if found is None:
            raise unknown("user")
        return _shown(found)

    async def users(self, given: Pages) -> list[UserShown]:
        """All users, a page at a time."""
        first = given.page * given.page_size
        found = await self._users.find(given.search, first, given.page_size)
        return [_shown(user) for user in found]

    async def accounts(self, given: Pages) -> list[ManagedAccount]:
        """Everybody's accounts, a page at a time."""
        return await self._shown_accounts(given, {})

    async def accounts_of(self, given: OfUser) -> list[ManagedAccount]:
        """A user's accounts, a page at a time."""
        return await self._shown_accounts(given, {"user": given.user_id})

    async def _shown_accounts(self, given: Pages, where: dict[str, Any]) -> list[ManagedAccount]:
        found: Any = await self._core.models.find(c.REGISTRATIONS, where, limit=None)
        rows = _page(found, given, "name", "server", "login", "user")
        return [{**await self._accounts.of(doc), "userId": doc.get("user")} for doc in rows]

    async def copiers(self, given: Copies) -> list[ManagedCopier]:
        """Everybody's copiers, a page at a time."""
        return await self._shown_copiers(given, {})

    async def copiers_of(self, given: OfUser) -> list[ManagedCopier]:
        """A user's copiers, a page at a time."""
        return await self._shown_copiers(given, {"user": given.user_id})

    async def _shown_copiers(self, given: Copies, where: dict[str, Any]) -> list[ManagedCopier]:
        found: Any = await self._core.models.find(c.COPIERS, where, limit=None)
        wanted = [doc for doc in found if doc.get("paused") or not given.show_only_paused]
        rows = _page(wanted, given, "id", "user", "pause_reason")
        return [{**await self._copiers.shown(doc), "userId": doc.get("user")} for doc in rows]

    async def removed(self, given: Pages) -> list[RemovedCopier]:
        """Everybody's removed copiers, as they last were, with when and why they ended."""
        return await self._shown_removed(given, {})

    async def removed_of(self, given: OfUser) -> list[RemovedCopier]:
        """A user's removed copiers, as they last were, with when and why they ended."""
        return await self._shown_removed(given, {"user": given.user_id})

    async def _shown_removed(self, given: Pages, where: dict[str, Any]) -> list[RemovedCopier]:
        found: Any = await self._core.models.find(c.REMOVED_COPIERS, where, limit=None)
        rows = _page(found, given, "id", "user", "removed_because")
        return [
            {
                **await self._copiers.shown(doc),
                "userId": doc.get("user"),
                "removedAt": doc.get("removed_at"),
                "removedBecause": doc.get("removed_because"),
            }
            for doc in rows
        ]

    async def lines(self, given: Logs) -> list[str]:
        """Anybody's copier's log, as Logs shows it."""
        return await self._logs.lines(None, given)

    async def trades(self, given: Logs) -> list[TradeLog]:
        """Anybody's copier's trade logs, as TradeLogs shows them."""
        return await self._logs.trades(None, given)

    async def toggle(self, given: TogglePause) -> Ok:
        """Pauses or resumes anybody's copier."""
        doc = await self._core.copier(None, given.copier_id)
        return await self._copiers.set_paused(doc, paused=given.paused, reason=given.reason)

    async def unpause(self, given: UnPauseAll) -> Resumed:
        """Resumes every copier that was paused for that reason and still is; those that may not run
        stay, and are counted.
        """
        found = await self._core.models.find(c.COPIERS, {}, limit=None)
        paused = [doc for doc in found if doc.get("pause_reason") == given.reason]
        wishes: list[tuple[Topic, str, Message]] = []
        for doc in paused:
            try:
                wish = await self._copiers.resuming(doc, only_from=given.reason)
            except ApiError as error:
                logger.info("a copier stays paused", copier=doc["id"], code=error.code)
                continue
            wishes.append((topics.COPIER_COMMANDS, wish.master, wish))
        answers = await self._core.commands(wishes) if wishes else []
        resumed = sum(is_resumed(answer) for answer in answers)
        return {"result": "OK", "resumed": resumed, "stayed": len(paused) - resumed}


def _shown(user: User) -> UserShown:
    created = user.created_at.isoformat()
    return {"id": user.id, "email": user.email, "passwordHash": "***", "createdAt": created}


def _page(found: Sequence[Any], given: Pages, *names: str) -> Sequence[Any]:
    """Of documents with the text that is looked for in one of these fields."""
    return page_of(found, given, lambda doc: " ".join(str(doc.get(name)) for name in names))


def page_of(found: Sequence[Row], given: Pages, text_of: Callable[[Row], str]) -> Sequence[Row]:
    """In the order in which they were found; of documents, that of their ids, which never changes."""
    search = given.search.casefold()
    wanted = [doc for doc in found if search in text_of(doc).casefold()]
    first = given.page * given.page_size
    return wanted[first : first + given.page_size]
