"""A bounded list says that there is more, and where it goes on: nothing is lost between two pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from copypro import collections as c
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.ports import Upsert
from copypro_gateway.wording.pages import newest

MOMENTS = (1, 2, 2, 2, 3, 4, 4, 5)
"""Seconds at which orders were closed: several at once, as when an account is flattened."""


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02d}.000"


@pytest.fixture
async def models(tmp_path: Path) -> SqliteReadModels:
    made = await SqliteReadModels.open(tmp_path)
    rows = [
        Upsert(
            collection=c.CLOSED_ORDERS,
            id=f"{number}",
            source="order-events/0",
            version=1,
            fields={"account": "a", "closed_at": at(second)},
        )
        for number, second in enumerate(MOMENTS)
    ]
    await made.upsert(rows)
    return made


@pytest.mark.parametrize("limit", range(1, len(MOMENTS) + 2))
async def test_the_pages_together_are_everything_once_newest_first(
    models: SqliteReadModels, limit: int
) -> None:
    seen: list[str] = []
    until: str | None = None
    while True:
        page = await newest(
            models, c.CLOSED_ORDERS, {"account": "a"}, "closed_at",
            since=None, until=until, limit=limit,
        )  # fmt: skip
        assert page.rows
        seen += [str(row["id"]) for row in page.rows]
        if page.next_to is None:
            break
        assert len(page.rows) >= limit
        until = page.next_to
    assert [MOMENTS[int(id_)] for id_ in seen] == sorted(MOMENTS, reverse=True)
    assert len(set(seen)) == len(MOMENTS)
    await models.close()


@pytest.mark.parametrize(
    ("since", "until", "moments"),
    [(2, 4, [3, 2, 2, 2]), (None, 2, [1]), (5, None, [5]), (6, None, [])],
)
async def test_from_is_inside_and_to_is_not(
    models: SqliteReadModels, since: int | None, until: int | None, moments: list[int]
) -> None:
    page = await newest(
        models, c.CLOSED_ORDERS, {"account": "a"}, "closed_at",
        since=None if since is None else at(since), until=None if until is None else at(until),
        limit=10,
    )  # fmt: skip
    assert [MOMENTS[int(str(row["id"]))] for row in page.rows] == moments
    assert page.headers() == {}
    await models.close()
