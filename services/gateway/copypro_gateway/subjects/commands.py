"""What became of a call that answered 202, for whoever made it."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Query, Request

from copypro_gateway.calls import Calls, bearer
from copypro_gateway.core import Core
from copypro_gateway.entry.gate import Gate
from copypro_gateway.owning import is_of
from copypro_gateway.wording.answers import CommandStatus

Id = Annotated[str, Path(max_length=64)]
Key = Annotated[str | None, Query(alias="userKey", max_length=512)]


class Commands:
    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, calls: Calls, app: FastAPI, gate: Gate) -> None:
        @app.get(
            "/Commands/{command}",
            tags=["commands"],
            response_model=None,
            responses=calls.answers(self._core.command_status),
        )
        async def command(request: Request, command: Id, user_key: Key = None) -> CommandStatus:
            """What became of a call that answered 202. One that somebody else made is as one that is
            not done.
            """
            token = bearer(request) or user_key
            by = await gate.asker("Commands", token, require=self._core.settings.require_key)
            if by.is_known and not is_of(command, by.name):
                return {"id": command, "done": False}
            return await self._core.command_status(command)
