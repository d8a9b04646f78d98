"""Secrets at rest: one data key per registration, wrapped by the operator's keys.

A secret is sealed by AES-256-GCM under its registration's data key with the registration's id as
associated data, so it opens nowhere else; the data key is wrapped by Fernet under the newest
operator's key. Destroying the data key makes every copy of the secret unreadable, old events too.
Where the wrapped keys are kept is the vaults' business: sqlite_vault, mongo_vault.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from copypro.adapters.sqlite_file import make_folder, unusable
from copypro.errors import KeyDestroyed, SecretsError
from copypro.values import RegistrationId

KEY_FILE = "secret.key"
NONCE_BYTES = 12
KeySource = Callable[[], Sequence[str]]
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
        elif path.stat().st_size == 0:  # whoever was to write it was killed
            _replace_keys(folder, [Fernet.generate_key().decode()])
        return path.read_text("ascii").split()
    except OSError as error:
        raise unusable(path, error) from None
    except UnicodeDecodeError:
        text = f"{path} holds no key: restore it from a backup, or set COPYPRO_SECRET_KEYS"
        raise SecretsError(text) from None


def add_key(folder: Path) -> list[str]:
    """A new key in front of those in the folder's file. Errors: as `load_or_make_key`."""
    keys = [Fernet.generate_key().decode(), *load_or_make_key(folder)]
    _replace_keys(folder, keys)
    return keys


def keep_newest_key(folder: Path) -> None:
    """Errors: as `load_or_make_key`."""
    _replace_keys(folder, load_or_make_key(folder)[:1])


def _replace_keys(folder: Path, keys: Sequence[str]) -> None:
    """Whoever reads the file sees the former keys or these, whole; durable on return."""
    path, new = folder / KEY_FILE, folder / f"{KEY_FILE}.new"
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("".join(f"{key}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _sync(folder)
    except OSError as error:
        raise unusable(path, error) from None


def _write_key(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()  # the next start would find a file without a key, and stop there
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """The names in it as well: what is sealed from now on opens by the key that is in the file."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Keyring:
    """The operator's keys, newest first: they wrap data keys and never touch a secret themselves.

    The canary, kept beside the data keys, is wrapped by the key that is in use: new data keys are
    wrapped by that one, and by the newest only once everything has been wrapped anew (`rewrapped`).
    So processes that already have the newest key and some that do not can work side by side.
    """

    def __init__(self, keys: Sequence[str], renew: KeySource | None = None) -> None:
        """`renew`: where the keys are read again when one is met that is not among them.

        Errors: SecretsError for what is no key.
        """
        self._renew = renew
        self._take(keys)

    def new_wrapped(self, canary: bytes) -> bytes:
        """A fresh data key, as it may be stored beside this canary. Errors: as `unwrap`."""
        return self._in_use(canary).encrypt(AESGCM.generate_key(bit_length=256))

    def unwrap(self, wrapped: bytes | None) -> bytes:
        """The data key. Errors: KeyDestroyed, SecretsError (wrapped by a key that is not here)."""
        if wrapped is None:
            raise KeyDestroyed("the registration's key was destroyed")
        try:
            return self._known(wrapped).decrypt(wrapped)
        except InvalidToken:
            raise SecretsError("the secret keys at hand do not open this one") from None

    def new_canary(self) -> bytes:
        """By the newest key."""
        return self._keys[0].encrypt(_CANARY)

    def check(self, canary: bytes) -> None:
        """Errors: SecretsError when these keys do not open what is already there."""
        if not _opens(MultiFernet(self._keys), canary):
            raise SecretsError(
                "the secret keys do not open the data that is already there: restore the key file,"
                " or set COPYPRO_SECRET_KEYS to the keys it was made with"
            )

    def is_newest(self, wrapped: bytes) -> bool:
        return _opens(self._keys[0], wrapped)

    def rewrapped(self, wrapped: bytes) -> bytes:
        """The same under the newest key. Errors: as `unwrap`."""
        return self._keys[0].encrypt(self.unwrap(wrapped))

    def wrapped_again(self, wrapped: bytes, canary: bytes) -> bytes:
        """The same under the key that is in use by this canary. Errors: as `unwrap`."""
        return self._in_use(canary).encrypt(self.unwrap(wrapped))

    def _in_use(self, canary: bytes) -> Fernet:
        self._known(canary)
        for key in self._keys:
            if _opens(key, canary):
                return key
        raise SecretsError("the secret keys were changed: give this process the new one as well")

    def _known(self, wrapped: bytes) -> MultiFernet:
        """The keys, read again if none of them opens this."""
        if self._renew is not None and not _opens(MultiFernet(self._keys), wrapped):
            self._take(self._renew())
        return MultiFernet(self._keys)

    def _take(self, keys: Sequence[str]) -> None:
        try:
            self._keys = [Fernet(key) for key in keys]
            MultiFernet(self._keys)  # none is not enough
        except ValueError:
            raise SecretsError(
                "COPYPRO_SECRET_KEYS (or secret.key in the data folder): each key is 32 random bytes"
                " in url-safe base64"
            ) from None


def _opens(fernet: Fernet | MultiFernet, wrapped: bytes) -> bool:
    try:
        fernet.decrypt(wrapped)
    except InvalidToken:
        return False
    return True


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
