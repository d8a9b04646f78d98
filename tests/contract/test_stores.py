"""The promises of ReadModels, Users and Vault, asked of every store."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copypro import collections as c
from copypro.adapters import sqlite_users
from copypro.adapters.sealing import load_or_make_key
from copypro.errors import AlreadyThere, KeyDestroyed, NoInvite, SecretsError, StoreRefused
from copypro.ports import (
    Document,
    Invite,
    KeyScope,
    ReadModels,
    Reset,
    Rewrapped,
    Upsert,
    User,
    UserKey,
)
from copypro.values import RegistrationId, UserId

from tests.contract.stores import Place, SqlitePlace, put

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def models(place: Place) -> ReadModels:
    return await place.models()


# --- upsert -----------------------------------------------------------------------------------


async def test_two_sources_never_hide_each_other(models: ReadModels) -> None:
    await models.upsert([put("1", "a/0", 5, {"copier": "x", "time": "1"})])
    await models.upsert([put("1", "b/0", 1, {"success": True})])
    assert await models.get(c.TRADE_LOGS, "1") == {
        "copier": "x",
        "time": "1",
        "success": True,
        "id": "1",
    }


async def test_a_repeat_or_an_older_version_changes_nothing(models: ReadModels) -> None:
    await models.upsert([put("1", "a/0", 5, {"copier": "new"})])
    await models.upsert([put("1", "a/0", 5, {"copier": "same version"})])
    await models.upsert([put("1", "a/0", 4, {"copier": "older"})])
    assert await models.get(c.TRADE_LOGS, "1") == {"copier": "new", "id": "1"}
    assert await models.find(c.TRADE_LOGS, {"copier": "older"}) == []


async def test_fields_are_laid_over_the_sources_earlier_ones(models: ReadModels) -> None:
    await models.upsert([put("1", "a/0", 1, {"copier": "x", "time": "1"})])
    await models.upsert([put("1", "a/0", 2, {"time": "2"})])
    assert await models.source_fields(c.TRADE_LOGS, "1", "a/0") == {"copier": "x", "time": "2"}
    assert await models.source_fields(c.TRADE_LOGS, "1", "b/0") is None
    assert await models.source_fields(c.TRADE_LOGS, "2", "a/0") is None


async def test_sources_are_laid_over_each_other_in_the_order_of_their_names(
    models: ReadModels,
) -> None:
    """Whatever order they come in; a dot sorts between a hyphen and a slash, as text does."""
    names = ["b/0", "a.b/0", "a-b/0", "a/0", "$a/0"]
    for name in names:
        await models.upsert([put("1", name, 1, {"copier": name, name: 1})])
    found = await models.get(c.TRADE_LOGS, "1")
    assert found is not None
    assert found["copier"] == max(names)
    assert found == dict.fromkeys(names, 1) | {"copier": "b/0", "id": "1"}
    (again,) = await models.find(c.TRADE_LOGS, {"copier": "b/0"})
    assert again == found
    await models.upsert([put("1", "b/0", 2, None)])
    assert [doc["copier"] for doc in await models.find(c.TRADE_LOGS)] == ["a/0"]


async def test_a_document_without_sources_is_gone_and_no_repeat_brings_it_back(
    models: ReadModels,
) -> None:
    created, removed = put("1", "a/0", 1, {"copier": "x", "time": "1"}), put("1", "a/0", 2, None)
    await models.upsert([created, removed])
    for _ in range(2):
        assert await models.get(c.TRADE_LOGS, "1") is None
        assert await models.source_fields(c.TRADE_LOGS, "1", "a/0") is None
        assert await models.find(c.TRADE_LOGS, {"copier": "x"}) == []
        assert await models.find(c.TRADE_LOGS, order_by="time") == []
        await models.upsert([created, removed])
    await models.upsert([put("1", "a/0", 3, {"time": "3"})])
    assert await models.get(c.TRADE_LOGS, "1") == {"time": "3", "id": "1"}


async def test_a_batch_takes_effect_in_its_order(models: ReadModels) -> None:
    """Also where one document is changed many times, by several sources, and older ones come late."""
    steps = [put("1", "a/0", n, {"time": str(n), f"n{n}": n}) for n in range(1, 250)]
    late = [put("1", "a/0", 7, {"time": "late"}), put("1", "b/0", 1, {"copier": "x"})]
    await models.upsert([*steps[:120], late[1], *steps[120:], late[0]])
    found = await models.get(c.TRADE_LOGS, "1")
    numbers = {f"n{n}": n for n in range(1, 250)}
    assert found == {"time": "249", "copier": "x", "id": "1", **numbers}


async def test_many_are_read_at_once_and_those_that_are_not_there_are_left_out(
    models: ReadModels,
) -> None:
    await models.upsert([put(str(n), "a/0", n, {"time": str(n)}) for n in range(1, 30)])
    await models.upsert([put("5", "a/0", 99, None)])
    found = await models.get_many(c.TRADE_LOGS, ["3", "5", "7", "none", "$in", "'"])
    assert found == {n: {"time": n, "id": n} for n in ("3", "7")}
    assert await models.get_many(c.TRADE_LOGS, []) == {}


async def test_a_revision_is_another_one_after_each_change_or_is_not_known(place: Place) -> None:
    models = await place.models()
    seen = set()
    for version in range(1, 20):
        await models.upsert([put("1", "a/0", version, {"time": str(version)})])
        revision = models.revision()
        assert revision is None or revision not in seen
        seen.add(revision)
        assert models.revision() == revision, "nothing has changed"
    assert (await place.reader()).revision() is None


async def test_a_batch_that_fails_leaves_nothing(models: ReadModels) -> None:
    too_long = "x" * 17_000_000
    good = Upsert(collection=c.ACCOUNTS, id="1", source="a/0", version=1, fields={"a": 1})
    bad = Upsert(collection=c.LOGS, id="1", source="a/0", version=2**63, fields={"text": too_long})
    with pytest.raises((OverflowError, StoreRefused)):
        await models.upsert([good, bad])
    assert await models.get(c.ACCOUNTS, "1") is None
    await models.upsert([good])
    assert await models.get(c.ACCOUNTS, "1") == {"a": 1, "id": "1"}


async def test_readers_see_a_batch_whole_or_not_at_all(place: Place) -> None:
    models, reader = await place.models(), await place.reader()
    stop = asyncio.Event()
    seen: set[tuple[str, ...]] = set()

    async def read() -> None:
        while not stop.is_set():
            seen.add(tuple(str(doc["time"]) for doc in await reader.find(c.TRADE_LOGS)))

    reading = asyncio.create_task(read())
    for n in range(1, 40):
        await models.upsert([put(str(i), "a/0", n, {"time": str(n)}) for i in range(20)])
        latest = await reader.find(c.TRADE_LOGS)
        assert [doc["time"] for doc in latest] == [str(n)] * 20, "what was acknowledged is seen"
    stop.set()
    await reading
    assert len(seen) > 1
    assert all(len(set(times)) <= 1 for times in seen)


async def test_owners_open_what_is_new_while_others_write_their_first(place: Place) -> None:
    names = "abcdefgh"

    async def own(source: str) -> None:
        models = await place.models()
        await models.upsert([put("1", source, 1, {source: 1})])

    await place.models()
    await asyncio.gather(*(own(f"{name}/0") for name in names))
    (found,) = await (await place.reader()).find(c.TRADE_LOGS)
    assert found == {"id": "1"} | {f"{name}/0": 1 for name in names}


async def test_owners_of_different_sources_write_the_same_documents_at_once(place: Place) -> None:
    async def own(source: str) -> None:
        models = await place.models()
        for n in range(1, 30):
            await models.upsert([put(str(i), source, n, {source: n}) for i in range(5)])

    await place.models()
    await asyncio.gather(*(own(f"{name}/0") for name in "abcd"))
    found = await (await place.reader()).find(c.TRADE_LOGS)
    assert found == [{"id": str(i)} | {f"{name}/0": 29 for name in "abcd"} for i in range(5)]


VALUES: dict[str, Any] = {
    "decimal": Decimal("0.10"),
    "big": 2**64 - 1,
    "small": -(2**63),
    "nested": {"EURUSD.m": {"$cash": [1, {"a.b": None}]}, "": 0},
    "reference": {"$ref": "a", "$id": 1},
    "deep_big": [{"ticket": 2**64 - 1}],
    "nul": {"a\0b": "\0"},
    "path": "$copier",
    "float": 1.0,
    "text": "ünï ✓",
    "time": None,
    "dotted.name": True,
    "$name": [],
}


async def test_every_value_comes_back_as_json_has_it(models: ReadModels) -> None:
    await models.upsert([put("a.$b/ü", "a/0", 1, VALUES)])
    expected = VALUES | {"decimal": "0.10", "id": "a.$b/ü"}
    found = await models.get(c.TRADE_LOGS, "a.$b/ü")
    assert found == expected
    assert found is not None
    for name, value in found.items():
        assert type(value) is type(expected[name]), name
    assert type(found["big"]) is int
    del expected["id"]
    assert await models.source_fields(c.TRADE_LOGS, "a.$b/ü", "a/0") == expected


async def test_a_document_of_15_mb_is_kept_and_laid_over(models: ReadModels) -> None:
    orders: Document = {"account": "x", "orders": ["y" * 1000] * 15_000}
    await models.upsert(
        [Upsert(collection=c.OPEN_ORDERS, id="1", source="a/0", version=1, fields=orders)]
    )
    small: Document = {"account": "z"}
    await models.upsert(
        [Upsert(collection=c.OPEN_ORDERS, id="1", source="a/0", version=2, fields=small)]
    )
    assert await models.get(c.OPEN_ORDERS, "1") == orders | small | {"id": "1"}


# --- find -------------------------------------------------------------------------------------


async def test_find_filters_sorts_and_bounds(models: ReadModels) -> None:
    rows = [put(str(n), "a/0", n, {"copier": "x", "time": f"{n:02d}"}) for n in range(1, 10)]
    await models.upsert([*rows, put("other", "a/0", 1, {"copier": "y", "time": "05"})])
    found = await models.find(
        c.TRADE_LOGS, {"copier": "x"}, order_by="time", descending=True, since="03", until="07"
    )
    assert [doc["id"] for doc in found] == ["6", "5", "4", "3"]
    limited = await models.find(c.TRADE_LOGS, {"copier": "x"}, order_by="time", limit=2)
    assert [doc["id"] for doc in limited] == ["1", "2"]


async def test_find_gives_equals_by_id_and_what_lacks_the_field_first(models: ReadModels) -> None:
    times = {"b": "1", "a": "1", "d": None, "c": "0"}
    await models.upsert([put(id_, "a/0", 1, {"time": time}) for id_, time in times.items()])
    await models.upsert([put("e", "a/0", 1, {"copier": "x"})])

    async def ids(**how: Any) -> str:
        return "".join(str(doc["id"]) for doc in await models.find(c.TRADE_LOGS, **how))

    assert await ids() == "abcde"
    assert await ids(descending=True) == "abcde"
    assert await ids(order_by="time") == "decab"
    assert await ids(order_by="time", descending=True) == "baced"
    assert await ids(order_by="time", since="0") == "cab"
    assert await ids(where={"time": "1"}) == "ab"
    assert await ids(where={"time": None}) == ""
    assert await ids(limit=0) == ""
    assert await ids(limit=None) == "abcde"


async def test_find_gives_no_more_than_asked_for_and_all_where_that_is_asked(
    models: ReadModels,
) -> None:
    await models.upsert([put(f"{n:04d}", "a/0", 1, {"copier": "x"}) for n in range(1200)])
    assert len(await models.find(c.TRADE_LOGS)) == 1000
    assert len(await models.find(c.TRADE_LOGS, {"copier": "x"}, limit=None)) == 1200


async def test_an_undeclared_field_is_refused_by_name(models: ReadModels) -> None:
    with pytest.raises(ValueError, match="slave_ticket"):
        await models.find(c.TRADE_LOGS, {"slave_ticket": 1})
    with pytest.raises(ValueError, match="slave_ticket"):
        await models.find(c.TRADE_LOGS, order_by="slave_ticket")


async def test_documents_survive_reopening_and_another_process_may_read(place: Place) -> None:
    first = await place.models()
    await first.upsert([put("1", "a/0", 1, {"copier": "x"})])
    reader = await place.reader()
    assert await reader.get(c.TRADE_LOGS, "1") is not None
    again = await place.models()
    assert await again.source_fields(c.TRADE_LOGS, "1", "a/0") == {"copier": "x"}


# --- users and the vault ------------------------------------------------------------------------


async def test_users_are_unique_by_e_mail_in_any_case(place: Place) -> None:
    users = await place.users()
    user = User(id=UserId("1"), email="A@example.com", password_hash="h", created_at=NOW)
    await users.add(user)
    with pytest.raises(AlreadyThere):
        await users.add(
            User(id=UserId("2"), email="a@EXAMPLE.com", password_hash="h", created_at=NOW)
        )
    found = await (await place.users()).by_email("a@example.COM")
    assert found == User(id=UserId("1"), email="a@example.com", password_hash="h", created_at=NOW)
    assert await users.by_email("b@example.com") is None


async def test_of_many_that_take_one_e_mail_at_once_one_has_it(place: Place) -> None:
    users = [await place.users() for _ in range(4)]
    wishes = (
        users[n % 4].add(User(id=UserId(str(n)), email="a@b", password_hash="h", created_at=NOW))
        for n in range(12)
    )
    answers = await asyncio.gather(*wishes, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["AlreadyThere"] * 11 + [
        "NoneType"
    ]


async def test_keys_are_found_by_hash_and_by_user_until_they_are_removed(place: Place) -> None:
    users = await place.users()
    plain = UserKey(hash="k", user=UserId("1"), name="n", created_at=NOW)
    until = NOW + timedelta(days=1)
    bounded = UserKey(
        hash="b",
        user=UserId("1"),
        name="robot",
        created_at=NOW - timedelta(days=1),
        scope=KeyScope.READ,
        expires_at=until,
    )
    foreign = UserKey(hash="f", user=UserId("2"), name="n", created_at=NOW)
    for key in (plain, bounded, foreign):
        await users.add_key(key)
    assert (await users.key("k"), await users.key("b")) == (plain, bounded)
    assert await users.key("unknown") is None
    assert await users.keys(UserId("1")) == [bounded, plain]
    other_process = await place.users()
    await other_process.remove_key("k")
    await other_process.remove_key("unknown")
    assert await users.key("k") is None
    assert await users.keys(UserId("1")) == [bounded]


async def test_an_invite_is_used_once_and_only_by_a_user_who_is_added(place: Place) -> None:
    users = await place.users()
    for hash_ in ("one", "two"):
        await users.invite(Invite(hash=hash_, created_at=NOW, expires_at=NOW + timedelta(days=1)))

    def user(number: int, email: str, later: timedelta = timedelta(0)) -> User:
        at = NOW + later
        return User(id=UserId(str(number)), email=email, password_hash="h", created_at=at)

    await users.add(user(1, "taken@b"))
    with pytest.raises(NoInvite):
        await users.add(user(2, "a@b"), "unknown")
    with pytest.raises(AlreadyThere):
        await users.add(user(3, "taken@b"), "one")
    with pytest.raises(NoInvite):
        await users.add(user(4, "a@b", timedelta(days=1)), "one")
    assert await users.by_email("a@b") is None
    wishes = (users.add(user(n, f"{n}@b"), "one") for n in range(5, 9))
    answers = await asyncio.gather(*wishes, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["NoInvite"] * 3 + ["NoneType"]
    late = NOW + timedelta(days=2)
    await users.invite(Invite(hash="late", created_at=late, expires_at=late + timedelta(days=1)))
    with pytest.raises(NoInvite):
        await users.add(user(9, "c@b"), "two")  # it was over when the last one was made


async def test_keys_of_an_earlier_version_are_kept_and_its_revoked_ones_are_gone(
    tmp_path: Path,
) -> None:
    """SQLite's own matter: MongoDB's rows have no columns."""
    with closing(sqlite3.connect(tmp_path / "users.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE keys (hash TEXT PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL,"
            " created_at TEXT NOT NULL, revoked INTEGER NOT NULL)"
        )
        rows = [("k", "1", "SignUp", NOW.isoformat(), 0), ("r", "1", "n", NOW.isoformat(), 1)]
        connection.executemany("INSERT INTO keys VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute(f"PRAGMA application_id = {sqlite_users.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
    place = SqlitePlace(tmp_path)
    kept = UserKey(hash="k", user=UserId("1"), name="SignUp", created_at=NOW)
    assert await (await place.users()).keys(UserId("1")) == [kept]
    await place.close()


async def test_a_reset_sets_the_password_once_and_in_time(place: Place) -> None:
    users = await place.users()
    await users.add(User(id=UserId("1"), email="a@b", password_hash="old", created_at=NOW))
    until = NOW + timedelta(minutes=30)
    for hash_ in ("first", "second"):
        reset = Reset(hash=hash_, user=UserId("1"), created_at=NOW, expires_at=until)
        await users.add_reset(reset)
    assert await users.set_password("first", "x", NOW, ()) is None, "a later one takes its place"
    assert await users.set_password("second", "x", until, ()) is None, "it is over"
    assert await users.set_password("other", "x", NOW, ()) is None
    again = await place.users()
    answers = await asyncio.gather(
        *(each.set_password("second", "new", NOW, ()) for each in (users, again))
    )
    assert sorted(map(str, answers)) == ["1", "None"]
    found = await again.by_email("a@b")
    assert found is not None
    assert found.password_hash == "new"


async def test_a_new_password_ends_the_keys_of_these_names_with_it_or_none(place: Place) -> None:
    users = await place.users()
    for id_ in ("1", "2"):
        user = User(id=UserId(id_), email=f"{id_}@b", password_hash="old", created_at=NOW)
        await users.add(user)
        for name in ("SignIn", "SignUp", "robot"):
            hash_ = f"{name} {id_}"
            await users.add_key(UserKey(hash=hash_, user=user.id, name=name, created_at=NOW))
    until = NOW + timedelta(minutes=30)
    reset = Reset(hash="reset", user=UserId("1"), created_at=NOW, expires_at=until)
    await users.add_reset(reset)
    sign_ins = ("SignIn", "SignUp")
    assert await users.set_password("other", "x", NOW, sign_ins) is None
    assert len(await users.keys(UserId("1"))) == 3
    assert await users.set_password("reset", "new", NOW, sign_ins) == "1"
    assert [key.name for key in await users.keys(UserId("1"))] == ["robot"]
    assert len(await users.keys(UserId("2"))) == 3


async def test_users_are_found_by_a_part_of_their_e_mail_a_page_at_a_time(place: Place) -> None:
    users = await place.users()
    for name in ("b.x", "a.x", "c.y"):
        email = f"{name}@example.com"
        await users.add(User(id=UserId(name), email=email, password_hash="h", created_at=NOW))
    assert [user.id for user in await users.find(".X@", 0, 10)] == ["a.x", "b.x"]
    assert [user.id for user in await users.find("", 1, 1)] == ["b.x"]
    assert await users.find("%", 0, 10) == []


async def test_of_many_that_claim_one_key_one_gets_it_and_the_others_what_is_kept(
    place: Place,
) -> None:
    stores = [await place.repeats() for _ in range(3)]
    until = NOW + timedelta(hours=1)
    answers = await asyncio.gather(
        *(stores[n % 3].claim("k", f"text {n}", NOW, until) for n in range(9))
    )
    assert answers.count(None) == 1
    mine = f"text {answers.index(None)}"
    assert {answer for answer in answers if answer is not None} == {mine}
    assert await (await place.repeats()).claim("other", "t", NOW, until) is None


async def test_what_is_kept_lasts_until_its_time_is_over_or_it_is_forgotten(place: Place) -> None:
    repeats, until = await place.repeats(), NOW + timedelta(hours=1)
    assert await repeats.claim("k", "claimed", NOW, until) is None
    await repeats.keep("k", "answered", until + timedelta(hours=1))
    again = await place.repeats()
    assert await again.claim("k", "x", until, until + timedelta(hours=1)) == "answered"
    later = until + timedelta(hours=1)
    assert await again.claim("k", "later", later, later + timedelta(hours=1)) is None
    await again.forget("k")
    assert await repeats.claim("k", "anew", later, later + timedelta(hours=1)) is None


async def test_a_secret_opens_only_for_its_registration_and_dies_with_its_key(
    place: Place, tmp_path: Path
) -> None:
    keys = load_or_make_key(tmp_path)
    vault = await place.vault(keys)
    one, two = RegistrationId("1" * 32), RegistrationId("2" * 32)
    sealed = await vault.seal(one, "s3cret")
    await vault.seal(two, "other")
    assert "s3cret" not in sealed
    assert await vault.unseal(one, sealed) == "s3cret"
    assert await (await place.vault(keys)).unseal(one, sealed) == "s3cret"
    with pytest.raises(SecretsError):
        await vault.unseal(two, sealed)
    with pytest.raises(SecretsError):
        await vault.unseal(one, sealed[:-8] + "AAAAAAA=")
    assert await vault.unseal(one, await vault.seal_known(one, "beside")) == "beside"
    await vault.destroy(one)
    for opened in (vault, await place.vault(keys)):
        with pytest.raises(SecretsError, match="destroyed"):
            await opened.unseal(one, sealed)
        with pytest.raises(KeyDestroyed):
            await opened.seal_known(one, "too late")


async def test_one_data_key_is_made_however_many_seal_first(place: Place, tmp_path: Path) -> None:
    vault = await place.vault(load_or_make_key(tmp_path))
    one = RegistrationId("1" * 32)
    sealed = await asyncio.gather(*(vault.seal(one, str(n)) for n in range(8)))
    assert [await vault.unseal(one, text) for text in sealed] == [str(n) for n in range(8)]


async def test_the_key_file_is_private_and_another_key_is_refused(
    place: Place, tmp_path: Path
) -> None:
    keys = load_or_make_key(tmp_path)
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    assert load_or_make_key(tmp_path) == keys
    one = RegistrationId("1" * 32)
    sealed = await (await place.vault(keys)).seal(one, "s3cret")
    other = load_or_make_key(tmp_path / "other")
    with pytest.raises(SecretsError, match="COPYPRO_SECRET_KEYS"):
        await place.vault(other)
    with pytest.raises(SecretsError, match="COPYPRO_SECRET_KEYS"):
        await place.vault(["not a key"])
    renewed = await place.vault([*other, *keys])
    assert await renewed.unseal(one, sealed) == "s3cret"


async def test_the_vaults_files_are_private_from_their_first_byte_on(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path)
    await (await place.vault(load_or_make_key(tmp_path))).seal(RegistrationId("1" * 32), "s3cret")
    names = [name for name in os.listdir(tmp_path) if name.startswith("vault.db")]
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in names}
    await place.close()
    assert set(modes) >= {"vault.db", "vault.db-wal"}
    assert set(modes.values()) == {0o600}


async def test_after_wrapping_anew_the_old_key_opens_nothing_and_is_not_needed(
    place: Place, tmp_path: Path
) -> None:
    """While another process, which has had both keys since its start, goes on."""
    old, new = load_or_make_key(tmp_path / "old"), load_or_make_key(tmp_path / "new")
    first = await place.vault(old)
    kept, gone = RegistrationId("1" * 32), RegistrationId("2" * 32)
    sealed = {id_: await first.seal(id_, f"s3cret {id_}") for id_ in (kept, gone)}
    running = await place.vault([*new, *old])
    between = RegistrationId("3" * 32)
    sealed[between] = await running.seal(between, f"s3cret {between}")
    assert await first.unseal(between, sealed[between]), "by the key in use, not by the newest"
    await running.destroy(gone)
    rotating = await place.vault([*new, *old])
    assert await rotating.rewrap(dry_run=True) == Rewrapped(keys=2, rewrapped=2)
    assert await (await place.vault(old)).unseal(kept, sealed[kept])
    assert await rotating.rewrap() == Rewrapped(keys=2, rewrapped=2)
    assert await rotating.rewrap() == Rewrapped(keys=2, rewrapped=0)
    after = RegistrationId("4" * 32)
    sealed[after] = await running.seal(after, f"s3cret {after}")
    alone = await place.vault(new)
    for id_ in (kept, between, after):
        for vault in (alone, running):
            assert await vault.unseal(id_, sealed[id_]) == f"s3cret {id_}"
    with pytest.raises(SecretsError, match="destroyed"):
        await alone.unseal(gone, sealed[gone])
    with pytest.raises(SecretsError, match="COPYPRO_SECRET_KEYS"):
        await place.vault(old)


async def test_many_that_seal_while_all_is_wrapped_anew_lose_nothing(
    place: Place, tmp_path: Path
) -> None:
    old, new = load_or_make_key(tmp_path / "old"), load_or_make_key(tmp_path / "new")
    await place.vault(old)
    running, rotating = await place.vault([*new, *old]), await place.vault([*new, *old])
    ids = [RegistrationId(f"{number:032x}") for number in range(30)]
    *sealed, _ = await asyncio.gather(
        *(running.seal(id_, str(id_)) for id_ in ids[:15]),
        *(running.seal(id_, str(id_)) for id_ in ids[15:]),
        rotating.rewrap(),
    )
    alone = await place.vault(new)
    assert [await alone.unseal(id_, text) for id_, text in zip(ids, sealed, strict=True)] == ids


async def test_read_models_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    """MongoDB's are in test_mongo: there the whole database has one version."""
    place = SqlitePlace(tmp_path)
    await (await place.models()).upsert([put("1", "a/0", 1, {"copier": "x"})])
    await place.close()
    with sqlite3.connect(tmp_path / "read-models.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreRefused, match=r"newer version \(99\)"):
        await SqlitePlace(tmp_path).models()
