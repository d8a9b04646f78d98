"""Users and keys: argon2id over the client's password hash, random keys stored as their hash."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import re
import secrets
from contextvars import ContextVar
from datetime import timedelta
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from copypro.errors import AlreadyThere, NoInvite
from copypro.ports import Clock, Invite, KeyScope, NewId, User, UserKey, Users
from copypro.values import UserId
from msgspec import Struct

from copypro_gateway.entry.emails import is_one_address
from copypro_gateway.entry.guessing import LIMITS, Guessing, GuessLimits, Try
from copypro_gateway.wording.errors import ApiError, bad

_SHA_256 = re.compile("[0-9A-Fa-f]{64}")
KEY_BYTES = 32
MOST_KEYS = 100
"""Of one user that are not over. Sign-ins beyond take the place of the oldest sign-in's."""
HASHING_AT_ONCE = 2
"""Each takes 64 MiB and a core for a moment."""
HASHING_WAITING = 50
INVITE_DAYS = 7
_SIGN_INS = frozenset(("SignUp", "SignIn"))


CLIENT: ContextVar[str] = ContextVar("client", default="")
"""The address that makes the call that runs now."""


class SignUps(StrEnum):
    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


class Caller(Struct, frozen=True):
    """Whoever has the key."""

    user: UserId
    key: UserKey


class Auth:
    def __init__(
        self,
        users: Users,
        clock: Clock,
        new_id: NewId,
        sign_ups: SignUps = SignUps.OPEN,
        limits: GuessLimits = LIMITS,
    ) -> None:
        self._users, self._clock, self._new_id = users, clock, new_id
        self._sign_ups = sign_ups
        self._hashing = _Hashing()
        self._guessing = Guessing(limits)
        self._keys = _KnownKeys(users)

    # --- users --------------------------------------------------------------------------------

    async def sign_up(self, email: str, password_hash: str, invite: str | None = None) -> str:
        """A new user's key, as this gateway lets users in. Errors: 403 where it does not, 429 for an
        address that makes too many, and as `make`.
        """
        if self._sign_ups is SignUps.CLOSED:
            text = "sign-up is closed here: an operator makes users with `copypro users add`"
            raise ApiError(403, "SIGN_UP_CLOSED", text)
        if self._sign_ups is SignUps.INVITE and not invite:
            text = (
                "invite: sign-up needs one here; an operator makes it with `copypro users invite`"
            )
            raise ApiError(403, "INVITE_REQUIRED", text)
        _let_in(self._guessing.of_address(CLIENT.get(), _now()))
        return await self.make(email, password_hash, invite)

    async def make(self, email: str, password_hash: str, invite: str | None = None) -> str:
        """A new user's key. Errors: 400 for what is no e-mail, 409 for one that is taken, 403 for an
        invite that does not count.
        """
        if not is_one_address(email):
            raise bad("email", "this is not one e-mail address")
        if len(password_hash) < 8 or len(password_hash) > 512:
            raise bad("passwordHash", "8 to 512 characters (a SHA-256 of the password)")
        user = User(
            id=UserId(self._new_id()),
            email=email,
            password_hash=await self._hashing.hash(_spelled(password_hash)),
            created_at=self._clock(),
        )
        try:
            await self._users.add(user, hash_of(invite) if invite else None)
        except AlreadyThere as error:
            raise ApiError(409, "EMAIL_TAKEN", f"email: {error}") from None
        except NoInvite as error:
            raise ApiError(403, "INVITE_INVALID", f"invite: {error}") from None
        return await self._signed_in(user.id, "SignUp")

    async def sign_in(self, email: str, password_hash: str) -> str:
        """A fresh key; earlier ones stay valid. Unknown users and wrong passwords answer alike, and
        later each time. Errors: 401, also for a password that is replaced meanwhile; 429 with the
        seconds after which to try again.
        """
        attempt = Try(email, CLIENT.get())
        _let_in(self._guessing.begin(attempt, _now()))
        user = await self._users.by_email(email)
        stored = None if user is None else user.password_hash
        matches = await self._hashing.matches(stored, _spelled(password_hash))
        if not matches and _spelled(password_hash) != password_hash:
            # Kept so by earlier versions.
            matches = await self._hashing.matches(stored, password_hash)
        if user is None or not matches:
            await asyncio.sleep(self._guessing.wrong_s(attempt, _now()))
            raise _wrong_login()
        key = await self._signed_in(user.id, "SignIn")
        now = await self._users.by_email(email)
        if now is None or now.password_hash != stored:
            # The new password ended the keys that were there: this one may have come after it.
            await self._users.remove_key(hash_of(key))
            raise _wrong_login()
        self._guessing.right(attempt, _now())
        return key

    async def invite(self, days: int = INVITE_DAYS) -> str:
        """A code with which one user may sign up until then."""
        code, now = secrets.token_urlsafe(KEY_BYTES), self._clock()
        until = now + timedelta(days=days)
        await self._users.invite(Invite(hash=hash_of(code), created_at=now, expires_at=until))
        return code

    async def set_password(self, reset_key: str, password_hash: str) -> None:
        """Ends keys of earlier sign-ins. Errors: 403 for a key that does not count, 429."""
        _let_in(self._guessing.of_address(CLIENT.get(), _now()))
        if len(password_hash) < 8 or len(password_hash) > 512:
            raise bad("newPasswordHash", "8 to 512 characters (a SHA-256 of the password)")
        stored = await self._hashing.hash(_spelled(password_hash))
        now = self._clock()
        user = await self._users.set_password(hash_of(reset_key), stored, now, _SIGN_INS)
        if user is None:
            text = "resetKey: is unknown, used or over: ask for a new one by PasswordForgot"
            raise ApiError(403, "RESET_KEY_INVALID", text)
        self._keys.forget_all()

    # --- keys ---------------------------------------------------------------------------------

    async def caller(self, key: str | None) -> Caller:
        """Errors: 401 for no key, and for one that is unknown, removed or over."""
        if not key:
            text = "userKey is required: as a parameter, or as Authorization: Bearer"
            raise ApiError(401, "USER_KEY_REQUIRED", text)
        found = await self._keys.get(hash_of(key))
        if found is None or self._is_over(found):
            raise ApiError(401, "USER_KEY_INVALID", "userKey is not known: sign in for a new one")
        return Caller(found.user, found)

    async def keys(self, user: UserId) -> list[UserKey]:
        """Those that are not over, oldest first."""
        return [key for key in await self._users.keys(user) if not self._is_over(key)]

    async def add_key(
        self, user: UserId, name: str, scope: KeyScope, days: int | None
    ) -> tuple[str, UserKey]:
        """The key itself, this once, and what is kept of it. Errors: 409 for one too many."""
        if len(await self._without_over(user)) >= MOST_KEYS:
            text = f"at most {MOST_KEYS} keys a user: remove one by RemoveKey"
            raise ApiError(409, "TOO_MANY_KEYS", text)
        return await self._new_key(user, name, scope, days)

    async def remove_key(self, user: UserId, id: str) -> None:
        """Refused from now on; another process may take it for as long as it remembers keys.

        Errors: 404 for what is no key of this user.
        """
        found = [key for key in await self._users.keys(user) if key_id(key) == id]
        if not found:
            raise ApiError(404, "UNKNOWN_KEY", "id: no such key: Keys lists yours")
        await self._drop(found[0])

    async def _signed_in(self, user: UserId, how: str) -> str:
        kept = await self._without_over(user)
        if len(kept) >= MOST_KEYS:
            for oldest in [key for key in kept if key.name in _SIGN_INS][:1]:
                await self._drop(oldest)
        return (await self._new_key(user, how, KeyScope.ADMIN, None))[0]

    async def _new_key(
        self, user: UserId, name: str, scope: KeyScope, days: int | None
    ) -> tuple[str, UserKey]:
        key, now = secrets.token_hex(KEY_BYTES), self._clock()
        kept = UserKey(
            hash=hash_of(key),
            user=user,
            name=name,
            created_at=now,
            scope=scope,
            expires_at=None if days is None else now + timedelta(days=days),
        )
        await self._users.add_key(kept)
        return key, kept

    async def _without_over(self, user: UserId) -> list[UserKey]:
        keys = await self._users.keys(user)
        for key in keys:
            if self._is_over(key):
                await self._drop(key)
        return [key for key in keys if not self._is_over(key)]

    async def _drop(self, key: UserKey) -> None:
        await self._users.remove_key(key.hash)
        self._keys.forget(key.hash)

    def _is_over(self, key: UserKey) -> bool:
        return key.expires_at is not None and key.expires_at <= self._clock()


class _KnownKeys:
    """Keys that were looked up a moment ago, so that not every call asks the store.

    One removed by this process is refused at once; by another one, `AGE_S` later at most.
    """

    AGE_S = 5.0
    MOST = 10_000

    def __init__(self, users: Users) -> None:
        self._users = users
        self._found: dict[str, tuple[UserKey, float]] = {}
        self._forgotten = 0

    async def get(self, hash: str) -> UserKey | None:
        known = self._found.get(hash)
        if known is not None and known[1] > _now():
            return known[0]
        forgotten, until = self._forgotten, _now() + self.AGE_S
        found = await self._users.key(hash)
        if found is None:
            self._found.pop(hash, None)
        elif forgotten == self._forgotten:  # else it may be the one that was removed meanwhile
            if len(self._found) >= self.MOST:
                self._found.clear()
            self._found[hash] = (found, until)
        return found

    def forget(self, hash: str) -> None:
        self._forgotten += 1
        self._found.pop(hash, None)

    def forget_all(self) -> None:
        self._forgotten += 1
        self._found.clear()


class _Hashing:
    """argon2id beside the loop, a few at a time. Errors: 503 where too many wait already."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._places = asyncio.Semaphore(HASHING_AT_ONCE)
        self._waiting = 0
        self._nobody = ""

    async def hash(self, password_hash: str) -> str:
        async with self:
            return await asyncio.to_thread(self._hasher.hash, password_hash)

    async def matches(self, stored: str | None, password_hash: str) -> bool:
        """None: of a user that does not exist, with the same work. Once, whoever asks, that takes twice as
        long.
        """
        async with self:
            if not self._nobody:
                self._nobody = await asyncio.to_thread(
                    self._hasher.hash, secrets.token_hex(KEY_BYTES)
                )
            tried = self._nobody if stored is None else stored
            try:
                return await asyncio.to_thread(self._hasher.verify, tried, password_hash)
            except (VerifyMismatchError, InvalidHashError):
                return False

    async def __aenter__(self) -> None:
        if self._waiting >= HASHING_WAITING:
            text = "too many sign-ins at once: try again in a second"
            raise ApiError(503, "BUSY", text, retry_after_s=1)
        self._waiting += 1
        try:
            await self._places.acquire()
        except BaseException:
            self._waiting -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self._waiting -= 1
        self._places.release()


def _wrong_login() -> ApiError:
    return ApiError(401, "WRONG_LOGIN", "email or passwordHash is wrong")


def _let_in(wait_s: float) -> None:
    if wait_s > 0:
        seconds = math.ceil(wait_s)
        text = f"too many tries: the next one is taken in {seconds} s; keys that you have go on working"
        raise ApiError(429, "TOO_MANY_TRIES", text, retry_after_s=seconds)


def _now() -> float:
    return asyncio.get_running_loop().time()


def check_operator(key: str | None, operator_key_hash: str) -> None:
    """Errors: 403 where operators' calls are off, 401 for another key."""
    if not operator_key_hash:
        text = "operators' calls are off: set COPYPRO_MANAGER_KEY for the gateway"
        raise ApiError(403, "OPERATOR_OFF", text)
    if not key or not is_operator(key, operator_key_hash):
        text = "this call is an operator's: give COPYPRO_MANAGER_KEY as Authorization: Bearer"
        raise ApiError(401, "OPERATOR_KEY_INVALID", text)


def is_operator(key: str, operator_key_hash: str) -> bool:
    return hmac.compare_digest(hash_of(key), operator_key_hash)


def check_scope(caller: Caller, needed: KeyScope) -> None:
    """Errors: 403 for a key that may do less."""
    if caller.key.scope < needed:
        text = (
            f"this key ({caller.key.scope.name.lower()}) may not do that:"
            f" it takes one of scope {needed.name.lower()}"
        )
        raise ApiError(403, "SCOPE", text)


def _spelled(password_hash: str) -> str:
    """A SHA-256 in hex has one spelling, whichever a client writes; anything else is as it is."""
    return password_hash.lower() if _SHA_256.fullmatch(password_hash) else password_hash


def hash_of(key: str) -> str:
    """The key has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_id(key: UserKey) -> str:
    """Names it among its user's keys; says nothing of the key itself."""
    return key.hash[:16]
