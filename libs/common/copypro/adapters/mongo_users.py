"""Users and their keys' hashes in MongoDB; never rebuilt from the log."""

from __future__ import annotations

from datetime import datetime

from pymongo.errors import DuplicateKeyError

from copypro.adapters.mongo_database import MongoDatabase
from copypro.errors import AlreadyThere
from copypro.ports import User, UserKey
from copypro.values import UserId

USERS = "users"
KEYS = "user_keys"


class MongoUsers:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._users, self._keys = database.collection(USERS), database.collection(KEYS)

    @classmethod
    async def open(cls, database: MongoDatabase) -> MongoUsers:
        users = cls(database)
        with database.asking(database.limits.index_s):
            await users._users.create_index("email", unique=True)
        return users

    async def add(self, user: User) -> None:
        row = {
            "_id": user.id,
            "email": user.email.casefold(),
            "password_hash": user.password_hash,
            "created_at": user.created_at.isoformat(),
        }
        with self._database.asking():
            try:
                await self._users.insert_one(row)
            except DuplicateKeyError:
                text = "a user with this e-mail exists already: sign in"
                raise AlreadyThere(text) from None

    async def by_email(self, email: str) -> User | None:
        with self._database.asking():
            row = await self._users.find_one({"email": email.casefold()})
        if row is None:
            return None
        return User(
            id=UserId(row["_id"]),
            email=row["email"],
            password_hash=row["password_hash"],
            created_at=datetime.fromisoformat(row["created_at"]),
        )

    async def add_key(self, key: UserKey) -> None:
        row = {
            "user": key.user,
            "name": key.name,
            "created_at": key.created_at.isoformat(),
            "revoked": key.revoked,
        }
        with self._database.asking():
            await self._keys.replace_one({"_id": key.hash}, row, upsert=True)

    async def key(self, hash: str) -> UserKey | None:
        with self._database.asking():
            row = await self._keys.find_one({"_id": hash})
        if row is None:
            return None
        return UserKey(
            hash=row["_id"],
            user=UserId(row["user"]),
            name=row["name"],
            created_at=datetime.fromisoformat(row["created_at"]),
            revoked=row["revoked"],
        )

    async def close(self) -> None:
        """The database is closed by whoever opened it."""
