"""A data folder in use: by one process at a time, and always beside the same log."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from copypro.adapters.sqlite_file import make_folder, unusable
from copypro.errors import LogBusy, StoreRefused

LOCK = "lock"
LOG_ID = "log-id"
"""Which log this folder belongs to, where the log is a server's."""


def take_lock(folder: Path) -> IO[str]:
    """Held until it is closed, or its process ends. Errors: LogBusy, SettingsError."""
    make_folder(folder)
    try:
        lock = (folder / LOCK).open("a")
    except OSError as error:
        raise unusable(folder, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise LogBusy(
            f"another CopyPro process already uses {folder}: stop it, or set COPYPRO_DATA"
        ) from None
    return lock


class FolderBesideLog:
    """What a process keeps in files while its log is a server's."""

    def __init__(self, lock: IO[str]) -> None:
        self._lock = lock

    @classmethod
    def open(cls, folder: Path, log: str) -> FolderBesideLog:
        """`log`: what tells the log from every other. Errors: LogBusy, SettingsError, StoreRefused
        (the folder belongs to another log: nothing was changed in it).
        """
        lock = take_lock(folder)
        try:
            _belongs(folder, log)
        except BaseException:
            lock.close()
            raise
        return cls(lock)

    async def close(self) -> None:
        self._lock.close()


def _belongs(folder: Path, log: str) -> None:
    path = folder / LOG_ID
    try:
        known = path.read_text().strip() if path.exists() else ""
        if not known:
            path.write_text(f"{log}\n")
    except OSError as error:
        raise unusable(path, error) from None
    if known and known != log:
        raise StoreRefused(
            f"{folder} belongs to another log ({known}) than this Kafka cluster's ({log}): two"
            " installations are mixed up; check COPYPRO_DATA, KAFKA_BOOTSTRAP_SERVERS and"
            " COPYPRO_TOPIC_PREFIX"
        )
