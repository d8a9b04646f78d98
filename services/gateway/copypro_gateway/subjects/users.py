"""How a user comes in."""

from __future__ import annotations

import hashlib

import structlog
from pydantic import Field

from copypro_gateway.calls import Calls
from copypro_gateway.entry.auth import Auth
from copypro_gateway.wording.answers import UserKeyGiven
from copypro_gateway.wording.parameters import Parameters, Text

logger = structlog.get_logger("gateway")


class SignUp(Parameters):
    email: Text
    password_hash: Text = Field(description="SHA-256 of the password in hex, made by the client")
    invite: Text | None = Field(None, description="the code, where sign-up is by invite")


class SignUpNonHashed(Parameters):
    email: Text
    password: Text = Field(min_length=8)
    invite: Text | None = Field(None, description="as SignUp's")


class SignIn(Parameters):
    email: Text
    password_hash: Text


class SigningUp:
    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    def register(self, calls: Calls) -> None:
        calls.open("SignUp", SignUp, self.sign_up, tag="users")
        calls.open("SignUpNonHashed", SignUpNonHashed, self.sign_up_plain, tag="users")
        calls.open("SignIn", SignIn, self.sign_in, tag="users")

    async def sign_up(self, given: SignUp) -> UserKeyGiven:
        """Makes a user; the answer's userKey is what all other calls take."""
        return await self._add(given.email, given.password_hash, given.invite)

    async def sign_up_plain(self, given: SignUpNonHashed) -> UserKeyGiven:
        """Makes a user, for clients that do not hash: sign in later with the password's SHA-256, in
        hex.
        """
        hashed = hashlib.sha256(given.password.encode()).hexdigest()
        return await self._add(given.email, hashed, given.invite)

    async def _add(self, email: str, password_hash: str, invite: str | None) -> UserKeyGiven:
        key = await self._auth.sign_up(email, password_hash, invite)
        logger.info("call")
        return {"userKey": key}

    async def sign_in(self, given: SignIn) -> UserKeyGiven:
        """A new userKey for a user who is here already."""
        return {"userKey": await self._auth.sign_in(given.email, given.password_hash)}
