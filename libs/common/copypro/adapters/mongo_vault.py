"""Registrations' data keys, wrapped, in MongoDB; never rebuilt from the log.

Nothing is kept in memory: a key that one process destroyed is destroyed for all of them at once.
MongoDB's own log of operations holds a destroyed key, wrapped, until it has turned over.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymongo.errors import DuplicateKeyError

from copypro.adapters.mongo_database import MongoDatabase
from copypro.adapters.sealing import Keyring, KeySource, seal, unseal
from copypro.errors import SecretsError
from copypro.ports import Rewrapped
from copypro.values import RegistrationId

KEYS = "vault"
CANARY = "canary"


class MongoVault:
    def __init__(self, database: MongoDatabase, keys: Keyring) -> None:
        self._database, self._keys = database, keys
        self._wrapped = database.collection(KEYS)

    @classmethod
    async def open(
        cls, database: MongoDatabase, keys: Sequence[str], renew: KeySource | None = None
    ) -> MongoVault:
        """Errors: SecretsError when the keys are malformed or do not open what is already there."""
        keyring = Keyring(keys, renew)
        canary = await database.agreed(CANARY, {"wrapped": keyring.new_canary()})
        keyring.check(canary["wrapped"])
        return cls(database, keyring)

    async def seal(self, registration: RegistrationId, secret: str) -> str:
        if await self._found(registration) is None:
            await self._make(registration)
        return await self.seal_known(registration, secret)

    async def seal_known(self, registration: RegistrationId, secret: str) -> str:
        return seal(self._keys.unwrap(await self._found(registration)), registration, secret)

    async def unseal(self, registration: RegistrationId, sealed: str) -> str:
        return unseal(self._keys.unwrap(await self._found(registration)), registration, sealed)

    async def destroy(self, registration: RegistrationId) -> None:
        with self._database.asking():
            await self._wrapped.delete_one({"_id": registration})

    async def rewrap(self, *, dry_run: bool = False) -> Rewrapped:
        """The canary first: what others make from then on is wrapped by the newest key, or is found
        here, or is wrapped anew by whoever made it (`_make`).
        """
        with self._database.asking():
            rows = [row async for row in self._wrapped.find({})]
        old = [row for row in rows if not self._keys.is_newest(bytes(row["wrapped"]))]
        for row in old:
            self._keys.unwrap(bytes(row["wrapped"]))  # all of them open, or nothing is changed
        if dry_run:
            return Rewrapped(keys=len(rows), rewrapped=len(old))
        with self._database.asking():
            change = {"$set": {"wrapped": self._keys.new_canary()}}
            await self._database.about.update_one({"_id": CANARY}, change)
        return await self._rewrap_all()

    async def _rewrap_all(self) -> Rewrapped:
        keys = done = 0
        with self._database.asking():
            ids = [row["_id"] async for row in self._wrapped.find({}, {"_id": 1})]
        for id_ in ids:
            keys += 1
            done += await self._rewrap(RegistrationId(id_))
        return Rewrapped(keys=keys, rewrapped=done)

    async def _rewrap(self, registration: RegistrationId) -> bool:
        """Whether it had to be. One that was destroyed meanwhile stays destroyed."""
        wrapped = await self._found(registration)
        if wrapped is None or self._keys.is_newest(wrapped):
            return False
        change = {"$set": {"wrapped": self._keys.rewrapped(wrapped)}}
        with self._database.asking():
            await self._wrapped.update_one({"_id": registration, "wrapped": wrapped}, change)
        return True

    async def close(self) -> None:
        """The database is closed by whoever opened it."""

    async def _found(self, registration: RegistrationId) -> bytes | None:
        with self._database.asking():
            row = await self._wrapped.find_one({"_id": registration})
        return bytes(row["wrapped"]) if row is not None else None

    async def _make(self, registration: RegistrationId) -> None:
        canary = await self._canary()
        wrapped = self._keys.new_wrapped(canary)
        row = {"_id": registration, "wrapped": wrapped}
        with self._database.asking():
            try:
                await self._wrapped.insert_one(row)
            except DuplicateKeyError:
                return  # another process was faster: its key is the one
        now = await self._canary()
        if now != canary:  # all were wrapped anew, and perhaps before this one was there
            change = {"$set": {"wrapped": self._keys.wrapped_again(wrapped, now)}}
            with self._database.asking():
                await self._wrapped.update_one(row, change)

    async def _canary(self) -> bytes:
        with self._database.asking():
            row = await self._database.about.find_one({"_id": CANARY})
        if row is None:
            raise SecretsError("the vault's canary is gone: restore the database from a backup")
        return bytes(row["wrapped"])
