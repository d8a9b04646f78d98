"""A data folder that cannot be used is refused by one line that names the file and the fix."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from copypro import collections as c
from copypro import topics
from copypro.adapters.data_folder import take_lock
from copypro.adapters.sealing import load_or_make_key
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.errors import (
    CopyProError,
    LogBusy,
    LogCorrupt,
    SecretsError,
    SettingsError,
    StoreRefused,
)
from copypro.ports import Outgoing
from copypro.settings import Settings
from copypro.wiring import Stores, open_history, open_models, open_users, rotate_keys
from structlog.testing import capture_logs

from tests.servers import topics_on

FILES = ("log.db", "users.db", "vault.db", "read-models.db", "repeats.db")


def settings_of(folder: Path) -> Settings:
    return Settings.model_validate({"data": folder, "api_mt5": "http://127.0.0.1:1"})


async def opened(folder: Path) -> None:
    await (await Stores.open(settings_of(folder))).close()


def garbage(path: Path) -> None:
    for beside in path.parent.glob(f"{path.name}-*"):
        beside.unlink()
    path.write_bytes(os.urandom(9000))


def cut_short(path: Path) -> None:
    """The first page only: what its schema promises is not there."""
    path.write_bytes(path.read_bytes()[:3000] if path.exists() else b"SQLite format 3\0" * 10)


def somebody_elses(path: Path) -> None:
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    connection.close()


def lose(folder: Path, name: str) -> None:
    for file in folder.glob(f"{name}*"):
        file.unlink()


def drop_tables(folder: Path, name: str) -> None:
    """Its mark stays."""
    with sqlite3.connect(folder / name) as connection:
        (*tables,) = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        for (table,) in tables:
            connection.execute(f'DROP TABLE "{table}"')
    connection.close()


def newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def has_modes(folder: Path, mode: int, of_key: int) -> None:
    folder.chmod(mode)
    (folder / "secret.key").chmod(of_key)


def moved(folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")


def a_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


@pytest.fixture
async def used(tmp_path: Path) -> Path:
    """A folder that was in use and was closed in order."""
    folder = tmp_path / "data"
    await opened(folder)
    await opened(folder)
    return folder


@pytest.mark.parametrize("spoil", [garbage, cut_short, somebody_elses, newer, a_folder])
@pytest.mark.parametrize("name", FILES)
async def test_a_file_that_is_not_ours_is_named_and_left_alone(
    used: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    path = used / name
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreRefused) as caught:
        await opened(used)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not path.is_file() or path.read_bytes() == before
    others = [used / other for other in FILES if other != name]
    assert all(other.exists() for other in others)


@pytest.mark.parametrize("name", FILES)
async def test_garbage_in_a_new_folder_is_no_database_of_ours(tmp_path: Path, name: str) -> None:
    garbage(tmp_path / name)
    with pytest.raises(StoreRefused, match=name):
        await opened(tmp_path)


@pytest.mark.parametrize("where", ["a file", "under a file"])
async def test_a_folder_that_cannot_be_made_is_a_setting_to_change(
    tmp_path: Path, where: str
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SettingsError, match="COPYPRO_DATA"):
        await opened(file if where == "a file" else file / "data")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"not a key\n", "secret.key"), (b"\xff\xfe\xfa", "secret.key"), (b"", "secret.key")],
)
async def test_a_key_file_without_a_key_is_named(used: Path, content: bytes, says: str) -> None:
    (used / "secret.key").write_bytes(content)
    with pytest.raises(SecretsError, match=says):
        await opened(used)


@pytest.mark.parametrize("is_empty", [False, True])
async def test_a_key_file_that_was_lost_is_asked_for_and_no_other_takes_its_place(
    used: Path, is_empty: bool
) -> None:
    """One that is made beside what it does not open looks as if it were the right one."""
    key = (used / "secret.key").read_bytes()
    lose(used, "secret.key")
    if is_empty:
        (used / "secret.key").touch()
    for use in (opened(used), rotate_keys(settings_of(used), dry_run=False)):
        with pytest.raises(SecretsError, match=r"secret\.key is missing.*restore it.*for good"):
            await use
    assert (used / "secret.key").exists() == is_empty
    (used / "secret.key").write_bytes(key)
    await opened(used)
    lose(used, "secret.key")
    lose(used, "vault.db")
    await opened(used)


def test_a_key_that_could_not_be_written_is_made_at_the_next_start(tmp_path: Path) -> None:
    """Not one byte can be written, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(SettingsError, match="cannot be used"):
            load_or_make_key(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (key,) = load_or_make_key(tmp_path)
    assert load_or_make_key(tmp_path) == [key]


async def test_a_first_start_that_was_killed_half_way_is_begun_again(tmp_path: Path) -> None:
    """A file without tables is nobody's, and one with tables has our mark: both in one commit. A key's
    is empty until it is whole.
    """
    (tmp_path / "secret.key").touch(mode=0o644)
    for name in FILES:
        connection = sqlite3.connect(tmp_path / name)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
    await opened(tmp_path)


@pytest.mark.parametrize(("spoil", "is_there"), [(lose, True), (lose, False), (drop_tables, True)])
async def test_a_folder_that_lost_its_log_does_not_begin_anew(
    used: Path, spoil: Callable[[Path, str], None], is_there: bool
) -> None:
    """A restore of half the files: it would call itself ready, and follow none of what is open."""
    spoil(used, "log.db")
    if is_there:
        (used / "log.db").touch()
    with pytest.raises(
        LogCorrupt, match=r"vault\.db, but log\.db.* is missing or empty: restore it"
    ):
        await opened(used)
    assert (used / "log.db").exists() == is_there
    for name in ("read-models.db", "users.db", "vault.db"):
        lose(used, name)
    await opened(used)


@pytest.mark.parametrize("name", ["users.db", "vault.db", "read-models.db"])
async def test_a_file_that_was_lost_beside_the_log_is_named_as_it_is_made_anew(
    used: Path, name: str
) -> None:
    stores = await Stores.open(settings_of(used))
    await stores.log.append([Outgoing(topics.ORDER_EVENTS.name, "a", b"{}")])
    await stores.close()
    with capture_logs() as before:
        await opened(used)
    lose(used, name)
    with capture_logs() as lines:
        await opened(used)
    assert before == []
    assert [(line["log_level"], line["file"]) for line in lines] == [("error", name)]


@pytest.mark.parametrize("name", ["", "secret.key"])
@pytest.mark.parametrize("is_open", [False, True])
async def test_a_folder_or_a_key_file_that_others_may_read_is_named(
    used: Path, name: str, is_open: bool
) -> None:
    """Restored by a copy that kept no modes."""
    has_modes(used, 0o755 if is_open else 0o700, 0o644 if name else 0o600)
    with capture_logs() as lines:
        await opened(used)
    told = [(line["log_level"], line["event"], line["path"]) for line in lines]
    said = ("warning", "others on this machine may read this: passwords and keys are in it")
    expected = [(*said, str(path)) for path in (used, used / name) if is_open]
    assert told == list(dict.fromkeys(expected))


async def test_damage_that_only_shows_later_is_named_too(used: Path) -> None:
    path = used / "read-models.db"
    models = await SqliteReadModels.open(used)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(StoreRefused, match=r"read-models\.db.*: it is made from the log$"):
        await models.find(c.ACCOUNTS)
    await models.close()


async def look_at_the_log(settings: Settings) -> None:
    open_history(settings)


async def look_at_documents(settings: Settings) -> None:
    async with open_models(settings) as models:
        await models.find(c.ALERTS)


async def look_at_users(settings: Settings) -> None:
    async with open_users(settings) as users:
        await users.by_email("a@example.com")


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("log.db", look_at_the_log),
        ("read-models.db", look_at_documents),
        ("users.db", look_at_users),
    ],
)
async def test_commands_that_only_look_say_it_as_well(
    used: Path, name: str, look: Callable[[Settings], Awaitable[object]]
) -> None:
    garbage(used / name)
    with pytest.raises(CopyProError, match=name):
        await look(settings_of(used))


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize(
    ("name", "look"), [("log.db", look_at_the_log), ("read-models.db", look_at_documents)]
)
async def test_commands_that_only_look_name_a_file_with_nothing_in_it(
    used: Path, name: str, look: Callable[[Settings], Awaitable[object]], is_there: bool
) -> None:
    """As it is copied without its -wal."""
    lose(used, name)
    if is_there:
        (used / name).touch()
    with pytest.raises(CopyProError, match="start `copypro up`"):
        await look(settings_of(used))


async def test_commands_that_only_look_name_a_log_without_its_tables(used: Path) -> None:
    path = used / "log.db"
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE ends")
    connection.close()
    with pytest.raises(LogCorrupt, match=r"nothing is in .*log\.db: restore it from a backup"):
        open_history(settings_of(used))


async def test_room_that_comes_and_goes_around_the_limit_is_too_little_until_there_is_more(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each megabyte that somebody writes and deletes beside it is an alert raised and cleared."""
    stores = await Stores.open(settings_of(used))
    found: list[int | None] = []
    seconds = itertools.count(time.monotonic(), 10.0)
    with monkeypatch.context() as made:
        made.setattr(time, "monotonic", lambda: next(seconds))
        for free_mb in (101, 99, 101, 149, 150, 149, 101, 99):
            usage = SimpleNamespace(free=free_mb << 20)
            made.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
            free_bytes = stores.short_of_room()
            found.append(None if free_bytes is None else free_bytes >> 20)
    await stores.close()
    assert found == [None, 99, 101, 149, None, None, None, 99]


async def test_a_folder_that_was_moved_away_from_a_running_program_is_named(used: Path) -> None:
    """What no longer is there has no room left either, which alone said nothing of it."""
    stores = await Stores.open(settings_of(used))
    assert await stores.unreachable() == []
    moved(used)
    reason = f"{used} is not there any more: stop, and put it back or set COPYPRO_DATA"
    assert await stores.unreachable() == [reason]
    await stores.close()


@pytest.mark.slow
async def test_beside_a_log_on_kafka_a_folder_takes_one_process_and_stays_with_its_log(
    tmp_path: Path, kafka_address: str
) -> None:
    def beside(prefix: str) -> Settings:
        of_kafka = {"kafka": kafka_address, "topic_prefix": prefix}
        return settings_of(tmp_path).model_copy(update=of_kafka)

    async with topics_on(kafka_address, 1) as ours, topics_on(kafka_address, 1) as others:
        first = await Stores.open(beside(ours.prefix))
        with pytest.raises(LogBusy, match=f"already uses {tmp_path}: stop it, or set COPYPRO_DATA"):
            await Stores.open(beside(ours.prefix))
        await first.close()
        await (await Stores.open(beside(ours.prefix))).close()
        with pytest.raises(StoreRefused, match="two installations are mixed up"):
            await Stores.open(beside(others.prefix))


def test_a_new_folder_is_for_its_owner_alone_and_one_that_is_there_stays_as_it_is(
    tmp_path: Path,
) -> None:
    take_lock(tmp_path / "new").close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    take_lock(shared).close()
    assert shared.stat().st_mode & 0o777 == 0o755
