"""Secrets at rest: one data key per registration, wrapped by the operator's keys.

A secret is sealed by AES-256-GCM under its registration's data key with the registration's id as
associated data, so it opens nowhere else; the data key is wrapped by Fernet under the newest
operator's key. Destroying the data key makes every copy of the secret unreadable, old events too.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from copypro.errors import SecretsError
from copypro.values import RegistrationId

FILE = "vault.db"
KEY_FILE = "secret.key"
NONCE_BYTES = 12
_CANARY = "copypro"
_TABLES = """
CREATE TABLE IF NOT EXISTS keys (registration TEXT PRIMARY KEY, wrapped BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS canary (wrapped BLOB NOT NULL);
"""
Answer = TypeVar("Answer")


def load_or_make_key(folder: Path) -> list[str]:
    """The operator's keys from the data folder, newest first; made once, mode 0600."""
    path = folder / KEY_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    return path.read_text().split()


class SqliteVault:
    def __init__(self, path: Path, keys: MultiFernet) -> None:
        self._path, self._fernet = path, keys
        self._pool = ThreadPoolExecutor(1, "vault")
        self._opened: dict[RegistrationId, bytes] = {}

    @classmethod
    async def open(cls, folder: Path, keys: Sequence[str]) -> SqliteVault:
        """Errors: SecretsError when the keys are malformed or do not open what is already there."""
        try:
            fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise SecretsError(
                "COPYPRO_SECRET_KEYS: each key is 32 random bytes in url-safe base64"
            ) from None
        vault = cls(folder / FILE, fernet)
        await vault._in(vault._connect)
        return vault

    async def seal(self, registration: RegistrationId, secret: str) -> str:
        key = await self._in(lambda: self._data_key(registration, make=True))
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, secret.encode(), registration.encode())
        return base64.b64encode(nonce + sealed).decode()

    async def unseal(self, registration: RegistrationId, sealed: str) -> str:
        key = await self._in(lambda: self._data_key(registration, make=False))
        try:
            raw = base64.b64decode(sealed)
            data = AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], registration.encode())
        except (InvalidTag, ValueError):
            raise SecretsError(
                "the secret was sealed for another registration or changed"
            ) from None
        return data.decode()

    async def destroy(self, registration: RegistrationId) -> None:
        def delete() -> None:
            self._opened.pop(registration, None)
            self._connection.execute("DELETE FROM keys WHERE registration = ?", (registration,))
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        await self._in(delete)

    async def close(self) -> None:
        await self._in(self._connection.close)
        self._pool.shutdown()

    def _connect(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        os.chmod(self._path, 0o600)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA secure_delete = ON")
        self._connection.executescript(_TABLES)
        row = self._connection.execute("SELECT wrapped FROM canary").fetchone()
        if row is None:
            wrapped = self._fernet.encrypt(_CANARY.encode())
            self._connection.execute("INSERT INTO canary VALUES (?)", (wrapped,))
            return
        try:
            self._fernet.decrypt(row[0])
        except InvalidToken:
            raise SecretsError(
                "the secret keys do not open the data that is already there: restore the key file,"
                " or set COPYPRO_SECRET_KEYS to the keys it was made with"
            ) from None

    def _data_key(self, registration: RegistrationId, *, make: bool) -> bytes:
        known = self._opened.get(registration)
        if known is not None:
            return known
        query = "SELECT wrapped FROM keys WHERE registration = ?"
        row = self._connection.execute(query, (registration,)).fetchone()
        if row is not None:
            key = self._fernet.decrypt(row[0])
        elif make:
            key = AESGCM.generate_key(bit_length=256)
            values = (registration, self._fernet.encrypt(key))
            self._connection.execute("INSERT INTO keys VALUES (?, ?)", values)
        else:
            raise SecretsError("the registration's key was destroyed")
        self._opened[registration] = key
        return key

    async def _in(self, function: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)
