"""Reports of MetaTrader as accounts to look at: bytes in, bounded commands out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from copypro import collections as c
from copypro import topics
from copypro.envelope import Envelope, encode
from copypro.errors import BadStatement, LogFull
from copypro.messages import ImportHistory
from copypro.statements import Limits, Statement, read
from copypro.statements.importing import account_of, commands_of
from copypro.values import MessageId, RegistrationId, UserId
from fastapi import FastAPI, Request
from pydantic import Field

from copypro_gateway.calls import Calls, accepted, token_of
from copypro_gateway.core import Core, Pending, taken
from copypro_gateway.entry.gate import By, Gate
from copypro_gateway.subjects.accounts import Accounts
from copypro_gateway.wording.account_answers import Imported
from copypro_gateway.wording.errors import ApiError
from copypro_gateway.wording.parameters import Parameters

TOGETHER = 10
"""Commands appended in one go: about half a megabyte."""
LIMITS = Limits(file_bytes=64_000_000)


class ImportStatement(Parameters):
    lenient: bool = Field(False, description="what cannot be read is left out and listed")


class Importing:
    def __init__(self, core: Core, accounts: Accounts, limits: Limits = LIMITS) -> None:
        self._core, self._accounts, self.limits = core, accounts, limits

    def register(self, calls: Calls, app: FastAPI, gate: Gate) -> None:
        @app.post(
            "/ImportStatement",
            tags=["accounts"],
            response_model=None,
            responses=calls.answers(self.statement, changes=True),
            openapi_extra=calls.parameters(ImportStatement),
        )
        async def import_statement(request: Request) -> Any:
            """Adds an account to look at from a report: the body is MetaTrader's file, htm, html or
            xlsx.
            """
            given = calls.from_address(ImportStatement, request)
            caller = await gate.caller("ImportStatement", token_of(request, given), given)
            data = await _bounded_body(request, self.limits.file_bytes)
            act = partial(self.statement, caller.user, data, lenient=given.lenient)
            try:
                return await gate.run("ImportStatement", request, By(caller), given, act)
            except Pending as pending:
                return accepted(pending)

    async def statement(self, user: UserId, data: bytes, *, lenient: bool) -> Imported:
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
        answers = [taken(each) for each in await self._core.answers(await self._append(pieces))]
        account = await self._accounts.shown(user, str(registration))
        return {
            "accountId": registration,
            "account": account,
            "platform": statement.platform,
            "kind": statement.kind.value,
            "added": sum(answer["added"] for answer in answers),
            "same": sum(answer["same"] for answer in answers),
            "contradictions": [text for answer in answers for text in answer["contradictions"]],
            "problems": [str(problem) for problem in statement.problems],
        }

    async def _registration(self, user: UserId, statement: Statement) -> RegistrationId:
        """The one that an earlier report of the account made, else a new one."""
        account = account_of(statement, user)
        mine = await self._core.models.find(c.REGISTRATIONS, {"user": user, "account": account})
        if mine:
            return RegistrationId(str(mine[0]["id"]))
        await self._core.check_one_more_account(user)
        return RegistrationId(self._core.new_id())

    async def _append(self, pieces: Sequence[ImportHistory]) -> list[MessageId]:
        ids: list[MessageId] = []
        for at in range(0, len(pieces), TOGETHER):
            outputs = []
            for piece in pieces[at : at + TOGETHER]:
                id_ = self._core.command_id()
                wish = Envelope(id=id_, correlation=id_, time=self._core.clock(), message=piece)
                outputs.append(encode(topics.ACCOUNT_COMMANDS, piece.account, wish))
                ids.append(id_)
            try:
                await self._core.log.append(outputs)
            except LogFull:
                text = "the disk is full: import the same file again once there is room"
                raise ApiError(507, "DISK_FULL", text) from None
        return ids


async def _bounded_body(request: Request, most: int) -> bytes:
    """Never more in memory than may be read, whatever the client announces."""
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            text = f"the file has more than {most:,} bytes: split the report by dates"
            raise ApiError(413, "STATEMENT_TOO_LARGE", text)
        parts.append(chunk)
    return b"".join(parts)
