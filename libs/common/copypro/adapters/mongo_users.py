"""Users and their keys' hashes in MongoDB; never rebuilt from the log."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime

from pymongo.errors import DuplicateKeyError

from copypro.adapters.mongo_database import MongoDatabase, Session, Stored
from copypro.errors import AlreadyThere, NoInvite
from copypro.ports import Invite, KeyScope, Reset, User, UserKey
from copypro.values import UserId

USERS = "users"
KEYS = "user_keys"
RESETS = "password_resets"
INVITES = "invites"


class MongoUsers:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._users, self._keys = database.collection(USERS), database.collection(KEYS)
        self._invites, self._resets = database.collection(INVITES), database.collection(RESETS)

    @classmethod
    async def open(cls, database: MongoDatabase) -> MongoUsers:
        users = cls(database)
        with database.asking(database.limits.index_s):
            await users._users.create_index("email", unique=True)
            await users._keys.create_index("user")
            await users._resets.create_index("hash")
        return users

    async def add(self, user: User, invite: str | None = None) -> None:
        async def body(session: Session) -> None:
            if invite is not None:
                await self._use(invite, user.created_at, session)
            await self._insert(user, session)

        await self._database.transaction(body)

    async def _use(self, invite: str, now: datetime, session: Session) -> None:
        query = {"_id": invite, "expires_at": {"$gt": now.isoformat()}}
        if (await self._invites.delete_one(query, session=session)).deleted_count == 0:
            raise NoInvite("the invite is unknown, used or over: ask for a new one")

    async def invite(self, invite: Invite) -> None:
        row = {"_id": invite.hash, "expires_at": invite.expires_at.isoformat()}
        created = invite.created_at.isoformat()
        with self._database.asking():
            await self._invites.delete_many({"expires_at": {"$lte": created}})
            await self._invites.insert_one(row | {"created_at": created})

    async def _insert(self, user: User, session: Session) -> None:
        row = {
            "_id": user.id,
            "email": user.email.casefold(),
            "password_hash": user.password_hash,
            "created_at": user.created_at.isoformat(),
        }
        try:
            await self._users.insert_one(row, session=session)
        except DuplicateKeyError:
            text = "a user with this e-mail exists already: sign in"
            raise AlreadyThere(text) from None

    async def by_email(self, email: str) -> User | None:
        with self._database.asking():
            row = await self._users.find_one({"email": email.casefold()})
        return None if row is None else _user(row)

    async def find(self, search: str, first: int, most: int) -> list[User]:
        query = {"email": {"$regex": re.escape(search.casefold())}}
        with self._database.asking():
            found = self._users.find(query).sort("email", 1).skip(first).limit(most)
            return [_user(row) async for row in found]

    async def add_reset(self, reset: Reset) -> None:
        row = {
            "hash": reset.hash,
            "created_at": reset.created_at.isoformat(),
            "expires_at": reset.expires_at.isoformat(),
        }
        with self._database.asking():
            await self._resets.replace_one({"_id": reset.user}, row, upsert=True)

    async def set_password(
        self, reset: str, password_hash: str, now: datetime, ended: Collection[str]
    ) -> UserId | None:
        used: UserId | None = None

        async def body(session: Session) -> None:
            nonlocal used
            query = {"hash": reset, "expires_at": {"$gt": now.isoformat()}}
            row = await self._resets.find_one_and_delete(query, session=session)
            used = None if row is None else UserId(row["_id"])
            if used is None:
                return
            change = {"$set": {"password_hash": password_hash}}
            await self._users.update_one({"_id": used}, change, session=session)
            theirs = {"user": used, "name": {"$in": list(ended)}}
            await self._keys.delete_many(theirs, session=session)

        await self._database.transaction(body)
        return used

    async def add_key(self, key: UserKey) -> None:
        row = {
            "user": key.user,
            "name": key.name,
            "created_at": key.created_at.isoformat(),
            "scope": int(key.scope),
            "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
        }
        with self._database.asking():
            await self._keys.replace_one({"_id": key.hash}, row, upsert=True)

    async def key(self, hash: str) -> UserKey | None:
        with self._database.asking():
            row = await self._keys.find_one({"_id": hash})
        return None if row is None else _key(row)

    async def keys(self, user: UserId) -> list[UserKey]:
        with self._database.asking():
            found = self._keys.find({"user": user}).sort([("created_at", 1), ("_id", 1)])
            return [_key(row) async for row in found]

    async def remove_key(self, hash: str) -> None:
        with self._database.asking():
            await self._keys.delete_one({"_id": hash})

    async def close(self) -> None:
        """The database is closed by whoever opened it."""


def _key(row: Stored) -> UserKey:
    """One that an earlier version wrote has no scope and no end."""
    expires = row.get("expires_at")
    return UserKey(
        hash=row["_id"],
        user=UserId(row["user"]),
        name=row["name"],
        created_at=datetime.fromisoformat(row["created_at"]),
        scope=KeyScope(row.get("scope", KeyScope.ADMIN)),
        expires_at=None if expires is None else datetime.fromisoformat(expires),
    )


def _user(row: Stored) -> User:
    return User(
        id=UserId(row["_id"]),
        email=row["email"],
        password_hash=row["password_hash"],
        created_at=datetime.fromisoformat(row["created_at"]),
    )
