"""Secrets at rest: one data key per registration, wrapped by the operator's keys.

A secret is sealed by AES-256-GCM under its registration's data key with the registration's id as
associated data, so it opens nowhere else; the data key is wrapped by Fernet under the newest
operator's key. Destroying the data key makes every copy of the secret unreadable, old events too.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from copypro.adapters.sqlite_file import make_folder, open_file, saying, unusable
from copypro.errors import SecretsError
from copypro.values import RegistrationId

FILE = "vault.db"
APPLICATION_ID = 0x43505256
KEY_FILE = "secret.key"
NONCE_BYTES = 12
_CANARY = "copypro"
_TABLES = """
CREATE TABLE IF NOT EXISTS keys (registration TEXT PRIMARY KEY, wrapped BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS canary (wrapped BLOB NOT NULL);
"""
Answer = TypeVar("Answer")


def load_or_make_key(folder: Path) -> list[str]:
    """The operator's keys from the data folder, newest first; made once, mode 0600.

    Errors: SettingsError (the folder cannot be used), SecretsError (the file holds no key).
    """
    path = folder / KEY_FILE
    make_folder(folder)
    try:
        if not path.exists():
            _write_key(path)
        return path.read_text("ascii").split()
    except OSError as error:
        raise unusable(path, error) from None
    except UnicodeDecodeError:
        text = f"{path} holds no key: restore it from a backup, or set COPYPRO_SECRET_KEYS"
        raise SecretsError(text) from None


def _write_key(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key() + b"\n")
        file.flush()
        os.fsync(file.fileno())


class SqliteVault:
    def __init__(self, path: Path, keys: MultiFernet) -> None:
        self._path, self._fernet = path, keys
        self._pool = ThreadPoolExecutor(1, "vault")
        self._opened: dict[RegistrationId, bytes] = {}

    @classmethod
    async def open(cls, folder: Path, keys: Sequence[str]) -> SqliteVault:
        """Errors: SecretsError when the keys are malformed or do not open what is already there;
        StoreRefused, StoreUnavailable.
        """
        try:
            fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise SecretsError(
                "COPYPRO_SECRET_KEYS (or secret.key in the data folder): each key is 32 random bytes"
                " in url-safe base64"
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
        self._connection = open_file(self._path, APPLICATION_ID, _TABLES)
        os.chmod(self._path, 0o600)
        self._connection.execute("PRAGMA secure_delete = ON")
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
        def run() -> Answer:
            with saying(self._path):
                return function()

        return await asyncio.get_running_loop().run_in_executor(self._pool, run)
