"""How a user comes in."""

from __future__ import annotations

import structlog
from pydantic import Field

from copypro_gateway.auth import Auth
from copypro_gateway.calls import Calls
from copypro_gateway.core import Doc, GatewaySettings
from copypro_gateway.errors import ApiError
from copypro_gateway.parameters import Parameters, Text

logger = structlog.get_logger("gateway")


class SignUp(Parameters):
    email: Text
    password_hash: Text = Field(description="SHA-256 of the password, made by the client")
    manager_key: Text | None = None


class SignIn(Parameters):
    email: Text
    password_hash: Text


class SigningUp:
    def __init__(self, auth: Auth, settings: GatewaySettings) -> None:
        self._auth, self._settings = auth, settings

    def register(self, calls: Calls) -> None:
        calls.open("SignUp", SignUp, self.sign_up, tag="users")
        calls.open("SignIn", SignIn, self.sign_in, tag="users")

    async def sign_up(self, given: SignUp) -> Doc:
        if not self._settings.sign_up_open:
            text = "sign-up is closed here: an operator makes users with `copypro users add`"
            raise ApiError(403, "SIGN_UP_CLOSED", text)
        key = await self._auth.sign_up(given.email, given.password_hash)
        logger.info("call")
        return {"userKey": key}

    async def sign_in(self, given: SignIn) -> Doc:
        return {"userKey": await self._auth.sign_in(given.email, given.password_hash)}
