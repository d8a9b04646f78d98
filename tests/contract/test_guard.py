"""What stands before every call: limits of sizes, and headers for browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.stores import Place, SqlitePlace
from tests.gateway import Calling, a_gateway


@pytest.fixture
async def calling(tmp_path: Path) -> AsyncIterator[Calling]:
    """No store is asked."""
    place: Place = SqlitePlace(tmp_path)
    async with a_gateway(place, tmp_path, require_key=True, errors_as_201="object") as made:
        yield made
    await place.close()


async def test_what_is_too_large_has_its_own_status_announced_or_not(calling: Calling) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(101):
            yield b" " * 10_000

    for content in (b" " * 1_010_000, pieces()):
        answer = await calling.client.post("/SignIn", content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("path", "second"), [("/docs", "script-src 'self'"), ("/Accounts", "frame-ancestors 'none'")]
)
async def test_a_browser_is_told_one_policy(calling: Calling, path: str, second: str) -> None:
    answer = await calling.client.get(path)
    (told,) = answer.headers.get_list("content-security-policy")
    assert told.startswith(f"default-src 'none'; {second}")
