"""Registrations' data keys, wrapped, in MongoDB; never rebuilt from the log.

Nothing is kept in memory: a key that one process destroyed is destroyed for all of them at once.
MongoDB's own log of operations holds a destroyed key, wrapped, until it has turned over.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymongo.errors import DuplicateKeyError

from copypro.adapters.mongo_database import MongoDatabase
from copypro.adapters.sealing import Keyring, seal, unseal
from copypro.values import RegistrationId

KEYS = "vault"
CANARY = "canary"


class MongoVault:
    def __init__(self, database: MongoDatabase, keys: Keyring) -> None:
        self._database, self._keys = database, keys
        self._wrapped = database.collection(KEYS)

    @classmethod
    async def open(cls, database: MongoDatabase, keys: Sequence[str]) -> MongoVault:
        """Errors: SecretsError when the keys are malformed or do not open what is already there."""
        keyring = Keyring(keys)
        canary = await database.agreed(CANARY, {"wrapped": keyring.new_canary()})
        keyring.check(canary["wrapped"])
        return cls(database, keyring)

    async def seal(self, registration: RegistrationId, secret: str) -> str:
        wrapped = await self._found(registration)
        if wrapped is None:
            await self._make(registration)
            wrapped = await self._found(registration)
        return seal(self._keys.unwrap(wrapped), registration, secret)

    async def unseal(self, registration: RegistrationId, sealed: str) -> str:
        return unseal(self._keys.unwrap(await self._found(registration)), registration, sealed)

    async def destroy(self, registration: RegistrationId) -> None:
        with self._database.asking():
            await self._wrapped.delete_one({"_id": registration})

    async def close(self) -> None:
        """The database is closed by whoever opened it."""

    async def _found(self, registration: RegistrationId) -> bytes | None:
        with self._database.asking():
            row = await self._wrapped.find_one({"_id": registration})
        return bytes(row["wrapped"]) if row is not None else None

    async def _make(self, registration: RegistrationId) -> None:
        with self._database.asking():
            try:
                row = {"_id": registration, "wrapped": self._keys.new_wrapped()}
                await self._wrapped.insert_one(row)
            except DuplicateKeyError:
                return  # another process was faster: its key is the one
