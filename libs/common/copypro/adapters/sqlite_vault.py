"""Registrations' data keys, wrapped, in one SQLite file of mode 0600; never rebuilt from the log."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from copypro.adapters.sealing import Keyring, KeySource, seal, unseal
from copypro.adapters.sqlite_file import FileThread, open_file, transaction
from copypro.ports import Rewrapped
from copypro.values import RegistrationId

FILE = "vault.db"
APPLICATION_ID = 0x43505256
_TABLES = """
CREATE TABLE IF NOT EXISTS keys (registration TEXT PRIMARY KEY, wrapped BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS canary (wrapped BLOB NOT NULL);
"""


class SqliteVault:
    def __init__(self, path: Path, keys: Keyring) -> None:
        self._keys = keys
        self._thread = FileThread(path, "vault")
        self._opened: dict[RegistrationId, bytes] = {}

    @classmethod
    async def open(
        cls, folder: Path, keys: Sequence[str], renew: KeySource | None = None
    ) -> SqliteVault:
        """Errors: SecretsError when the keys are malformed or do not open what is already there."""
        vault = cls(folder / FILE, Keyring(keys, renew))
        await vault._thread.run(vault._connect)
        return vault

    async def seal(self, registration: RegistrationId, secret: str) -> str:
        return seal(await self._thread.run(lambda: self._made(registration)), registration, secret)

    async def seal_known(self, registration: RegistrationId, secret: str) -> str:
        return seal(
            await self._thread.run(lambda: self._data_key(registration)), registration, secret
        )

    async def unseal(self, registration: RegistrationId, sealed: str) -> str:
        return unseal(
            await self._thread.run(lambda: self._data_key(registration)), registration, sealed
        )

    async def destroy(self, registration: RegistrationId) -> None:
        def delete() -> None:
            self._opened.pop(registration, None)
            self._connection.execute("DELETE FROM keys WHERE registration = ?", (registration,))
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        await self._thread.run(delete)

    async def rewrap(self, *, dry_run: bool = False) -> Rewrapped:
        def rewrap() -> Rewrapped:
            with transaction(self._connection):
                rows = self._connection.execute("SELECT registration, wrapped FROM keys").fetchall()
                old = [(id_, wrapped) for id_, wrapped in rows if not self._keys.is_newest(wrapped)]
                new = [(self._keys.rewrapped(wrapped), id_) for id_, wrapped in old]
                if not dry_run:
                    statement = "UPDATE keys SET wrapped = ? WHERE registration = ?"
                    self._connection.executemany(statement, new)
                    canary = (self._keys.new_canary(),)
                    self._connection.execute("UPDATE canary SET wrapped = ?", canary)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return Rewrapped(keys=len(rows), rewrapped=len(new))

        return await self._thread.run(rewrap)

    async def close(self) -> None:
        await self._thread.close(self._connection)

    def _connect(self) -> None:
        with suppress(OSError):  # what is wrong with it is said by who opens it
            self._thread.path.touch(
                0o600
            )  # before that: SQLite's files beside it are made as it is
        self._connection = open_file(self._thread.path, APPLICATION_ID, _TABLES)
        os.chmod(self._thread.path, 0o600)
        self._connection.execute("PRAGMA secure_delete = ON")
        canary = self._canary()
        if canary is None:
            made = (self._keys.new_canary(),)
            self._connection.execute("INSERT INTO canary VALUES (?)", made)
        else:
            self._keys.check(canary)

    def _canary(self) -> bytes | None:
        row = self._connection.execute("SELECT wrapped FROM canary").fetchone()
        return None if row is None else row[0]

    def _made(self, registration: RegistrationId) -> bytes:
        statement = "INSERT OR IGNORE INTO keys VALUES (?, ?)"
        if registration not in self._opened:
            with transaction(self._connection):  # no other process wraps anew in between
                canary = self._canary()
                assert canary is not None
                wrapped = self._keys.new_wrapped(canary)
                self._connection.execute(statement, (registration, wrapped))
        return self._data_key(registration)

    def _data_key(self, registration: RegistrationId) -> bytes:
        if registration not in self._opened:
            query = "SELECT wrapped FROM keys WHERE registration = ?"
            row = self._connection.execute(query, (registration,)).fetchone()
            self._opened[registration] = self._keys.unwrap(row[0] if row is not None else None)
        return self._opened[registration]
