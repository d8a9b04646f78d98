"""How a user comes in."""

from __future__ import annotations

import hashlib

import structlog
from pydantic import Field

from copypro_gateway.answers import UserKeyGiven
from copypro_gateway.auth import Auth
from copypro_gateway.calls import Calls
from copypro_gateway.core import GatewaySettings
from copypro_gateway.errors import ApiError
from copypro_gateway.parameters import Parameters, Text

logger = structlog.get_logger("gateway")


class SignUp(Parameters):
    email: Text
    password_hash: Text = Field(description="SHA-256 of the password, made by the client")


class SignUpNonHashed(Parameters):
    email: Text
    password: Text = Field(min_length=8)


class SignIn(Parameters):
    email: Text
    password_hash: Text


class SigningUp:
    def __init__(self, auth: Auth, settings: GatewaySettings) -> None:
        self._auth, self._settings = auth, settings

    def register(self, calls: Calls) -> None:
        calls.open("SignUp", SignUp, self.sign_up, tag="users")
        calls.open("SignUpNonHashed", SignUpNonHashed, self.sign_up_plain, tag="users")
        calls.open("SignIn", SignIn, self.sign_in, tag="users")

    async def sign_up(self, given: SignUp) -> UserKeyGiven:
        return await self._add(given.email, given.password_hash)

    async def sign_up_plain(self, given: SignUpNonHashed) -> UserKeyGiven:
        """As SignUp, for clients that do not hash: sign in later with the password's SHA-256, in hex."""
        return await self._add(given.email, hashlib.sha256(given.password.encode()).hexdigest())

    async def _add(self, email: str, password_hash: str) -> UserKeyGiven:
        if not self._settings.sign_up_open:
            text = "sign-up is closed here: an operator makes users with `copypro users add`"
            raise ApiError(403, "SIGN_UP_CLOSED", text)
        key = await self._auth.sign_up(email, password_hash)
        logger.info("call")
        return {"userKey": key}

    async def sign_in(self, given: SignIn) -> UserKeyGiven:
        return {"userKey": await self._auth.sign_in(given.email, given.password_hash)}
