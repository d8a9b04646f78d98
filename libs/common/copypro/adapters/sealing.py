"""Secrets at rest: one data key per registration, wrapped by the operator's keys.

A secret is sealed by AES-256-GCM under its registration's data key with the registration's id as
associated data, so it opens nowhere else; the data key is wrapped by Fernet under the newest
operator's key. Destroying the data key makes every copy of the secret unreadable, old events too.
Where the wrapped keys are kept is the vaults' business: sqlite_vault, mongo_vault.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from copypro.adapters.sqlite_file import make_folder, unusable
from copypro.errors import SecretsError
from copypro.values import RegistrationId

KEY_FILE = "secret.key"
NONCE_BYTES = 12
_CANARY = b"copypro"


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


class Keyring:
    """The operator's keys, newest first: they wrap data keys and never touch a secret themselves."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Errors: SecretsError for what is no key."""
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise SecretsError(
                "COPYPRO_SECRET_KEYS (or secret.key in the data folder): each key is 32 random bytes"
                " in url-safe base64"
            ) from None

    def new_wrapped(self) -> bytes:
        """A fresh data key, as it may be stored."""
        return self._fernet.encrypt(AESGCM.generate_key(bit_length=256))

    def unwrap(self, wrapped: bytes | None) -> bytes:
        """The data key. Errors: SecretsError (destroyed, or wrapped by a key that is not here)."""
        if wrapped is None:
            raise SecretsError("the registration's key was destroyed")
        try:
            return self._fernet.decrypt(wrapped)
        except InvalidToken:
            raise SecretsError("the secret keys at hand do not open this one") from None

    def new_canary(self) -> bytes:
        """Kept beside the data keys, so that other operator's keys are noticed at once."""
        return self._fernet.encrypt(_CANARY)

    def check(self, canary: bytes) -> None:
        """Errors: SecretsError when these keys do not open what is already there."""
        try:
            self._fernet.decrypt(canary)
        except InvalidToken:
            raise SecretsError(
                "the secret keys do not open the data that is already there: restore the key file,"
                " or set COPYPRO_SECRET_KEYS to the keys it was made with"
            ) from None


def seal(data_key: bytes, registration: RegistrationId, secret: str) -> str:
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(data_key).encrypt(nonce, secret.encode(), registration.encode())
    return base64.b64encode(nonce + sealed).decode()


def unseal(data_key: bytes, registration: RegistrationId, sealed: str) -> str:
    """Errors: SecretsError (sealed for another registration, or tampered with)."""
    try:
        raw = base64.b64decode(sealed)
        data = AESGCM(data_key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], registration.encode())
    except (InvalidTag, ValueError):
        raise SecretsError("the secret was sealed for another registration or changed") from None
    return data.decode()
