"""Signing in while something else happens to the same user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from copypro.adapters.sqlite_users import SqliteUsers
from copypro.ports import Reset, UserKey
from copypro.values import UserId
from copypro_gateway.entry.auth import Auth
from copypro_gateway.wording.errors import ApiError

from tests.users import signed_up

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EMAIL, OLD = "a@example.com", "0" * 64


class ResetMeanwhile(SqliteUsers):
    """The reset key, once there is one, is used between a password's check and the new key."""

    async def keys(self, user: UserId) -> list[UserKey]:
        await self.set_password("reset", "new", NOW, ("SignIn", "SignUp"))
        return await super().keys(user)


@pytest.fixture
async def users(tmp_path: Path) -> AsyncIterator[SqliteUsers]:
    made = await ResetMeanwhile.open(tmp_path)
    yield made
    await made.close()


async def test_a_password_that_is_replaced_while_it_signs_in_leaves_no_key(
    users: SqliteUsers,
) -> None:
    auth = Auth(users, lambda: NOW, lambda: "1" * 32)
    await auth.make(EMAIL, OLD)
    until = NOW + timedelta(minutes=30)
    reset = Reset(hash="reset", user=UserId("1" * 32), created_at=NOW, expires_at=until)
    await users.add_reset(reset)
    with pytest.raises(ApiError, match="email or passwordHash is wrong"):
        await auth.sign_in(EMAIL, OLD)
    assert await users.keys(UserId("1" * 32)) == []


HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize("signed_up", [HEX, HEX.upper()])
async def test_one_password_has_one_hash_whatever_case_it_is_written_in(
    tmp_path: Path, signed_up: str
) -> None:
    """Libraries write a SHA-256 in either: .NET's in capitals, as the original's clients may."""
    users = await SqliteUsers.open(tmp_path)
    auth = Auth(users, lambda: NOW, lambda: "1" * 32)
    await auth.make(EMAIL, signed_up)
    for written in (HEX, HEX.upper(), HEX.title()):
        assert await auth.sign_in(EMAIL, written)
    with pytest.raises(ApiError, match="email or passwordHash is wrong"):
        await auth.sign_in(EMAIL, HEX[::-1])
    await users.close()


async def test_what_is_no_hash_is_told_apart_by_case_too(tmp_path: Path) -> None:
    users = await SqliteUsers.open(tmp_path)
    auth = Auth(users, lambda: NOW, lambda: "1" * 32)
    await auth.make(EMAIL, "a plain Password")
    assert await auth.sign_in(EMAIL, "a plain Password")
    with pytest.raises(ApiError, match="email or passwordHash is wrong"):
        await auth.sign_in(EMAIL, "a plain password")
    await users.close()


async def test_a_user_of_the_tests_is_as_one_who_signed_up(tmp_path: Path) -> None:
    users = await SqliteUsers.open(tmp_path)
    auth = Auth(users, lambda: NOW, lambda: "1" * 32)
    keys = {
        "real@example.com": await auth.sign_up("real@example.com", HEX),
        "tests@example.com": await signed_up(users, "tests@example.com", HEX),
    }
    callers = [await auth.caller(key) for key in keys.values()]
    assert (
        len({(caller.key.name, caller.key.scope, caller.key.expires_at) for caller in callers}) == 1
    )
    for email, caller in zip(keys, callers, strict=True):
        assert await auth.sign_in(email, HEX)
        with pytest.raises(ApiError, match="email or passwordHash is wrong"):
            await auth.sign_in(email, HEX[::-1])
        user = await users.by_email(email)
        assert user is not None
        assert (user.id, user.password_hash[:9]) == (caller.user, "$argon2id")
    await users.close()
