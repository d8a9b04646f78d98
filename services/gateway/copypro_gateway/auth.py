"""Users and keys: argon2id over the client's password hash, random keys stored as their hash."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from copypro.errors import AlreadyThere
from copypro.ports import Clock, NewId, User, UserKey, Users
from copypro.values import UserId

from copypro_gateway.errors import ApiError, bad

KEY_BYTES = 32
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class Auth:
    def __init__(self, users: Users, clock: Clock, new_id: NewId) -> None:
        self._users, self._clock, self._new_id = users, clock, new_id
        self._hasher = PasswordHasher()

    async def sign_up(self, email: str, password_hash: str) -> str:
        """A new user's key. Errors: 400 for what is no e-mail, 409 for one that is taken."""
        if "@" not in email or len(email) > 254:
            raise bad("email", "this is not an e-mail address")
        if len(password_hash) < 8 or len(password_hash) > 512:
            raise bad("passwordHash", "8 to 512 characters (a SHA-256 of the password)")
        stored = await asyncio.to_thread(self._hasher.hash, password_hash)
        user = User(
            id=UserId(self._new_id()),
            email=email,
            password_hash=stored,
            created_at=self._clock(),
        )
        try:
            await self._users.add(user)
        except AlreadyThere as error:
            raise ApiError(409, "EMAIL_TAKEN", str(error)) from None
        return await self._new_key(user.id, "SignUp")

    async def sign_in(self, email: str, password_hash: str) -> str:
        """A fresh key; earlier ones stay valid. Unknown users and wrong passwords answer alike."""
        user = await self._users.by_email(email)
        stored = user.password_hash if user is not None else _NOBODY
        try:
            await asyncio.to_thread(self._hasher.verify, stored, password_hash)
            matches = True
        except (VerifyMismatchError, InvalidHashError):
            matches = False
        if user is None or not matches:
            raise ApiError(401, "WRONG_LOGIN", "email or passwordHash is wrong")
        return await self._new_key(user.id, "SignIn")

    async def user_of(self, key: str | None) -> UserId:
        if not key:
            text = "userKey is required: as a parameter, or as Authorization: Bearer"
            raise ApiError(401, "USER_KEY_REQUIRED", text)
        found = await self._users.key(hash_of(key))
        if found is None or found.revoked:
            raise ApiError(401, "USER_KEY_INVALID", "userKey is not known: sign in for a new one")
        return found.user

    async def _new_key(self, user: UserId, name: str) -> str:
        key = secrets.token_hex(KEY_BYTES)
        await self._users.add_key(
            UserKey(hash=hash_of(key), user=user, name=name, created_at=self._clock())
        )
        return key


def check_operator(key: str | None, operator_key_hash: str) -> None:
    """Errors: 403 where operators' calls are off, 401 for another key."""
    if not operator_key_hash:
        text = "operators' calls are off: set COPYPRO_MANAGER_KEY for the gateway"
        raise ApiError(403, "OPERATOR_OFF", text)
    if not key or not hmac.compare_digest(hash_of(key), operator_key_hash):
        text = "this call is an operator's: give COPYPRO_MANAGER_KEY as Authorization: Bearer"
        raise ApiError(401, "OPERATOR_KEY_INVALID", text)


def hash_of(key: str) -> str:
    """The key has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()
