"""How a user comes in."""

from __future__ import annotations

import structlog
from pydantic import Field

from copypro_gateway.auth import Auth
from copypro_gateway.calls import Calls
from copypro_gateway.core import Doc
from copypro_gateway.parameters import Parameters, Text

logger = structlog.get_logger("gateway")


class SignUp(Parameters):
    email: Text
    password_hash: Text = Field(description="SHA-256 of the password, made by the client")
    invite: Text | None = Field(None, description="the code, where sign-up is by invite")
    manager_key: Text | None = None


class SignIn(Parameters):
    email: Text
    password_hash: Text


class SigningUp:
    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    def register(self, calls: Calls) -> None:
        calls.open("SignUp", SignUp, self.sign_up, tag="users")
        calls.open("SignIn", SignIn, self.sign_in, tag="users")

    async def sign_up(self, given: SignUp) -> Doc:
        key = await self._auth.sign_up(given.email, given.password_hash, given.invite)
        logger.info("call")
        return {"userKey": key}

    async def sign_in(self, given: SignIn) -> Doc:
        return {"userKey": await self._auth.sign_in(given.email, given.password_hash)}
