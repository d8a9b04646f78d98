"""The promises of ReadModels, Users and Vault."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from copypro import collections as c
from copypro.adapters.sealing import SqliteVault, load_or_make_key
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.adapters.sqlite_users import SqliteUsers
from copypro.errors import AlreadyThere, SecretsError
from copypro.ports import Document, Upsert, User, UserKey
from copypro.values import RegistrationId, UserId

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def models(tmp_path: Path) -> AsyncIterator[SqliteReadModels]:
    made = await SqliteReadModels.open(tmp_path)
    yield made
    await made.close()


def put(id_: str, source: str, version: int, fields: Document | None) -> Upsert:
    return Upsert(collection=c.TRADE_LOGS, id=id_, source=source, version=version, fields=fields)


async def test_two_sources_never_hide_each_other(models: SqliteReadModels) -> None:
    await models.upsert([put("1", "a/0", 5, {"copier": "x", "time": "1"})])
    await models.upsert([put("1", "b/0", 1, {"success": True})])
    assert await models.get(c.TRADE_LOGS, "1") == {
        "copier": "x",
        "time": "1",
        "success": True,
        "id": "1",
    }


async def test_a_repeat_or_an_older_version_changes_nothing(models: SqliteReadModels) -> None:
    await models.upsert([put("1", "a/0", 5, {"copier": "new"})])
    await models.upsert([put("1", "a/0", 5, {"copier": "same version"})])
    await models.upsert([put("1", "a/0", 4, {"copier": "older"})])
    found = await models.get(c.TRADE_LOGS, "1")
    assert found is not None
    assert found["copier"] == "new"


async def test_fields_are_laid_over_the_sources_earlier_ones(models: SqliteReadModels) -> None:
    await models.upsert([put("1", "a/0", 1, {"copier": "x", "time": "1"})])
    await models.upsert([put("1", "a/0", 2, {"time": "2"})])
    assert await models.source_fields(c.TRADE_LOGS, "1", "a/0") == {"copier": "x", "time": "2"}


async def test_a_document_without_sources_is_gone(models: SqliteReadModels) -> None:
    await models.upsert([put("1", "a/0", 1, {"copier": "x"}), put("1", "a/0", 2, None)])
    assert await models.get(c.TRADE_LOGS, "1") is None


async def test_find_filters_sorts_and_bounds(models: SqliteReadModels) -> None:
    rows = [put(str(n), "a/0", n, {"copier": "x", "time": f"{n:02d}"}) for n in range(1, 10)]
    await models.upsert([*rows, put("other", "a/0", 1, {"copier": "y", "time": "05"})])
    found = await models.find(
        c.TRADE_LOGS, {"copier": "x"}, order_by="time", descending=True, since="03", until="07"
    )
    assert [doc["id"] for doc in found] == ["6", "5", "4", "3"]
    limited = await models.find(c.TRADE_LOGS, {"copier": "x"}, order_by="time", limit=2)
    assert [doc["id"] for doc in limited] == ["1", "2"]


async def test_an_undeclared_field_is_refused_by_name(models: SqliteReadModels) -> None:
    with pytest.raises(ValueError, match="slave_ticket"):
        await models.find(c.TRADE_LOGS, {"slave_ticket": 1})


async def test_documents_survive_reopening_and_another_process_may_read(tmp_path: Path) -> None:
    first = await SqliteReadModels.open(tmp_path)
    await first.upsert([put("1", "a/0", 1, {"copier": "x"})])
    reader = SqliteReadModels.open_read_only(tmp_path)
    assert await reader.get(c.TRADE_LOGS, "1") is not None
    await reader.close()
    await first.close()
    again = await SqliteReadModels.open(tmp_path)
    assert await again.source_fields(c.TRADE_LOGS, "1", "a/0") == {"copier": "x"}
    await again.close()


async def test_users_are_unique_by_e_mail_in_any_case(tmp_path: Path) -> None:
    users = await SqliteUsers.open(tmp_path)
    user = User(id=UserId("1"), email="A@example.com", password_hash="h", created_at=NOW)
    await users.add(user)
    with pytest.raises(AlreadyThere):
        await users.add(
            User(id=UserId("2"), email="a@EXAMPLE.com", password_hash="h", created_at=NOW)
        )
    found = await users.by_email("a@example.COM")
    assert found is not None
    assert found.id == "1"
    await users.add_key(UserKey(hash="k", user=UserId("1"), name="n", created_at=NOW))
    key = await users.key("k")
    assert key is not None
    assert key.user == "1"
    assert await users.key("unknown") is None
    await users.close()


async def test_a_secret_opens_only_for_its_registration_and_dies_with_its_key(
    tmp_path: Path,
) -> None:
    vault = await SqliteVault.open(tmp_path, load_or_make_key(tmp_path))
    one, two = RegistrationId("1" * 32), RegistrationId("2" * 32)
    sealed = await vault.seal(one, "s3cret")
    await vault.seal(two, "other")
    assert "s3cret" not in sealed
    assert await vault.unseal(one, sealed) == "s3cret"
    with pytest.raises(SecretsError):
        await vault.unseal(two, sealed)
    await vault.destroy(one)
    with pytest.raises(SecretsError):
        await vault.unseal(one, sealed)
    await vault.close()


async def test_the_key_file_is_private_and_another_key_is_refused(tmp_path: Path) -> None:
    keys = load_or_make_key(tmp_path)
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    assert load_or_make_key(tmp_path) == keys
    await (await SqliteVault.open(tmp_path, keys)).close()
    other = load_or_make_key(tmp_path / "other")
    with pytest.raises(SecretsError, match="COPYPRO_SECRET_KEYS"):
        await SqliteVault.open(tmp_path, other)
