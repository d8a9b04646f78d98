"""What a data folder lacks, or shows to others: told to whoever starts the program on it."""

from __future__ import annotations

from pathlib import Path

import structlog

from copypro.adapters.sealing import KEY_FILE
from copypro.adapters.sqlite_file import is_new
from copypro.adapters.sqlite_log import FILE as LOG_FILE
from copypro.adapters.sqlite_read_models import FILE as MODELS_FILE
from copypro.adapters.sqlite_users import FILE as USERS_FILE
from copypro.adapters.sqlite_vault import FILE as VAULT_FILE
from copypro.errors import LogCorrupt, SecretsError

logger = structlog.get_logger("copypro")
LOST_WITH = {
    MODELS_FILE: (
        "nothing: what REST shows is made anew from the log, and until then it shows nothing of before"
    ),
    USERS_FILE: "nobody who signed up before can sign in: stop, and restore it from a backup",
    VAULT_FILE: "no password that was stored before can be opened: stop, and restore it from a backup",
}
"""What is kept beside a log of our own, and what is lost with it."""


def require_log(folder: Path) -> None:
    """Errors: LogCorrupt, for a folder whose log was lost: begun anew it would say that all is well, and
    nobody would follow the positions that are open.
    """
    rest = [file for file in LOST_WITH if not is_new(folder / file)]
    if rest and is_new(folder / LOG_FILE):
        raise LogCorrupt(
            f"{folder} has {', '.join(rest)}, but {LOG_FILE}, which says what accounts and copiers there"
            f" are and which positions are ours, is missing or empty: restore it from a backup; or, to"
            " begin anew, move the others away"
        )


def require_key(folder: Path) -> None:
    """Errors: SecretsError, for a folder whose key file was lost: another one opens nothing in it, and
    would look as if it did.
    """
    path = folder / KEY_FILE
    is_lost = not path.exists() or path.stat().st_size == 0
    if is_lost and not is_new(folder / VAULT_FILE):
        raise SecretsError(
            f"{path} is missing or empty, and {VAULT_FILE} is sealed by the key that was in it: restore"
            " it from a backup, or set COPYPRO_SECRET_KEYS to that key; is it lost for good, see"
            " *Secret keys* in docs/operations.md"
        )


def say_if_new(folder: Path, file: str) -> None:
    """Beside a log that is begun."""
    if file in LOST_WITH and is_new(folder / file):
        logger.error(
            "a file of this data folder is missing or empty and is made anew",
            file=file,
            lost=LOST_WITH[file],
        )


def say_if_shared(folder: Path) -> None:
    """As a copy may leave it that kept no modes. In a folder of its owner's alone nobody gets at a file."""
    if not _is_shared(folder):
        return
    for path in (folder, folder / KEY_FILE):
        if _is_shared(path):
            logger.warning(
                "others on this machine may read this: passwords and keys are in it",
                path=str(path),
                do=f"chmod go= {path}",
            )


def _is_shared(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & 0o077)
