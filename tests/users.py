"""A user as SignUp makes one, whose password costs next to nothing to keep: a real one takes a quarter of
a processor's second, and hundreds of tests need a user without being about signing up.
"""

from __future__ import annotations

import secrets
import uuid

from argon2 import PasswordHasher
from copypro.envelope import utc_now
from copypro.ports import User, UserKey, Users
from copypro.values import UserId
from copypro_gateway.entry.auth import KEY_BYTES, hash_of

_CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


async def signed_up(users: Users, email: str, password_hash: str) -> str:
    """The user's key; SignIn takes the password as any other."""
    user = User(
        id=UserId(uuid.uuid4().hex),
        email=email,
        password_hash=_CHEAP.hash(password_hash),
        created_at=utc_now(),
    )
    key = secrets.token_hex(KEY_BYTES)
    await users.add(user)
    await users.add_key(
        UserKey(hash=hash_of(key), user=user.id, name="SignUp", created_at=user.created_at)
    )
    return key
