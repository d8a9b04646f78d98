"""Reports of MetaTrader as accounts to look at: bytes in, bounded commands out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from copypro import collections as c
from copypro import topics
from copypro.envelope import Envelope, encode
from copypro.errors import BadStatement, LogFull
from copypro.messages import ImportHistory
from copypro.ports import Clock, EventLog, NewId, ReadModels
from copypro.statements import Limits, Statement, read
from copypro.statements.importing import account_of, commands_of
from copypro.values import MessageId, RegistrationId, UserId

from copypro_gateway.errors import ApiError
from copypro_gateway.gateway import MOST_ACCOUNTS, Gateway

Doc = dict[str, Any]
TOGETHER = 10
"""Commands appended in one go: about half a megabyte."""
LIMITS = Limits(file_bytes=64_000_000)


class Importing:
    def __init__(
        self,
        gateway: Gateway,
        log: EventLog,
        models: ReadModels,
        clock: Clock,
        new_id: NewId,
        limits: Limits = LIMITS,
    ) -> None:
        self._gateway, self._log, self._models = gateway, log, models
        self._clock, self._new_id = clock, new_id
        self.limits = limits

    async def statement(self, user: UserId, data: bytes, *, lenient: bool) -> Doc:
        """What was added, what was there already, and what contradicts it and was left out.

        Errors: 400 BAD_STATEMENT with the line and what was expected; Pending, if it is not all
        visible within the time that a caller waits.
        """
        try:
            # A large report takes seconds, and other callers do not wait for it.
            statement = await asyncio.to_thread(read, data, self.limits, lenient=lenient)
        except BadStatement as error:
            raise ApiError(400, "BAD_STATEMENT", str(error)) from None
        registration = await self._registration(user, statement)
        pieces = commands_of(statement, user, registration)
        answers = [await self._gateway.visible(id_) for id_ in await self._append(pieces)]
        account = await self._gateway.account(user, str(registration))
        return {
            "accountId": registration,
            "account": account,
            "platform": statement.platform.value,
            "kind": statement.kind.value,
            "added": sum(answer["added"] for answer in answers),
            "same": sum(answer["same"] for answer in answers),
            "contradictions": [text for answer in answers for text in answer["contradictions"]],
            "problems": [str(problem) for problem in statement.problems],
        }

    async def _registration(self, user: UserId, statement: Statement) -> RegistrationId:
        """The one that an earlier report of the account made, else a new one."""
        account = account_of(statement, user)
        mine = await self._models.find(c.REGISTRATIONS, {"user": user, "account": account})
        if mine:
            return RegistrationId(str(mine[0]["id"]))
        owned = await self._models.find(c.REGISTRATIONS, {"user": user}, limit=MOST_ACCOUNTS)
        if len(owned) >= MOST_ACCOUNTS:
            raise ApiError(409, "TOO_MANY_ACCOUNTS", f"at most {MOST_ACCOUNTS} accounts a user")
        return RegistrationId(self._new_id())

    async def _append(self, pieces: Sequence[ImportHistory]) -> list[MessageId]:
        ids: list[MessageId] = []
        for at in range(0, len(pieces), TOGETHER):
            outputs = []
            for piece in pieces[at : at + TOGETHER]:
                id_ = MessageId(self._new_id())
                wish = Envelope(id=id_, correlation=id_, time=self._clock(), message=piece)
                outputs.append(encode(topics.ACCOUNT_COMMANDS, piece.account, wish))
                ids.append(id_)
            try:
                await self._log.append(outputs)
            except LogFull:
                text = "the disk is full: import the same file again once there is room"
                raise ApiError(507, "DISK_FULL", text) from None
        return ids
