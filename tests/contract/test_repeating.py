"""What becomes of an Idempotency-Key whose call did not end as calls do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from copypro.adapters.sqlite_repeats import SqliteRepeats
from copypro_gateway.entry.repeating import ABANDONED, KEPT, Asked, Repeating
from copypro_gateway.wording.errors import ApiError
from copypro_gateway.wording.failures import Failures, Style
from fastapi import Response

ASKED = Asked(owner="u", call="Remove", said=b"{}")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Desk:
    """A gateway's repeats, and calls that are counted."""

    def __init__(self, store: SqliteRepeats) -> None:
        self.store, self.now, self.made = store, NOW, 0
        self.repeating = Repeating(store, lambda: self.now, Failures().answer)

    async def ask(self, status: int = 200, asked: Asked = ASKED, code: str = "CODE") -> int:
        async def act() -> Response:
            self.made += 1
            if status == 0:
                raise ConnectionError
            if status >= 400:
                raise ApiError(status, code, "said")
            return Response(b"{}", status)

        return (await self.repeating.once("key", asked, act)).status_code

    async def refused(self, status: int, code: str = "CODE") -> int:
        with pytest.raises(ApiError) as raised:
            await self.ask(status, code=code)
        return raised.value.status


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = await SqliteRepeats.open(tmp_path)
    yield Desk(store)
    await store.close()


@pytest.mark.parametrize("status", [200, 202, 404, 409])
async def test_an_answer_is_given_again_for_a_day(desk: Desk, status: int) -> None:
    assert [await desk.ask(status), await desk.ask(200)] == [status, status]
    desk.now += KEPT
    assert (await desk.ask(200), desk.made) == (200, 2)


@pytest.mark.parametrize("style", ["", "object", "array"])
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 507])
async def test_what_says_nothing_of_the_call_is_not_kept(
    desk: Desk, status: int, style: Style
) -> None:
    desk.repeating = Repeating(desk.store, lambda: desk.now, Failures(style).answer)
    assert [await desk.refused(status), await desk.ask(200)] == [status, 200]


@pytest.mark.parametrize("code", ["ACCOUNT_CONNECTING", "COPIER_IN_USE"])
async def test_what_says_that_it_is_to_be_asked_again_is_not_kept(desk: Desk, code: str) -> None:
    assert [await desk.refused(409, code), await desk.ask(200)] == [409, 200]


async def test_a_refusal_that_lasts_is_kept_as_it_is_shown(desk: Desk) -> None:
    desk.repeating = Repeating(desk.store, lambda: desk.now, Failures("object").answer)
    assert [await desk.ask(409), await desk.ask(200), desk.made] == [201, 201, 1]


async def test_a_call_that_broke_may_be_made_again(desk: Desk) -> None:
    with pytest.raises(ConnectionError):
        await desk.ask(0)
    assert (await desk.ask(200), desk.made) == (200, 2)


async def test_a_call_whose_process_died_is_made_again_after_a_while(desk: Desk) -> None:
    async def dies() -> Response:
        other = Desk(desk.store)
        other.now = desk.now
        with pytest.raises(ApiError, match="still running"):
            await other.ask()
        desk.now += ABANDONED - timedelta(seconds=1)
        other.now = desk.now
        with pytest.raises(ApiError, match="still running"):
            await other.ask()
        other.now += timedelta(seconds=1)
        assert (await other.ask(200), other.made) == (200, 1)
        return Response(b"{}", 200)

    await desk.repeating.once("key", ASKED, dies)


async def test_a_call_whose_process_died_is_made_again_by_one_of_those_who_ask(desk: Desk) -> None:
    other = Desk(desk.store)

    async def made_again() -> Response:
        with pytest.raises(ApiError, match="still running"):
            await other.ask()
        return Response(b"{}", 202)

    async def dies() -> Response:
        desk.now = other.now = NOW + ABANDONED
        assert (await desk.repeating.once("key", ASKED, made_again)).status_code == 202
        assert (await other.ask(), other.made) == (202, 0)
        return Response(b"{}", 200)

    await desk.repeating.once("key", ASKED, dies)


async def test_another_call_under_the_key_is_refused_and_another_owners_is_not(desk: Desk) -> None:
    await desk.ask()
    with pytest.raises(ApiError, match="another call"):
        await desk.ask(asked=Asked(owner="u", call="Remove", said=b'{"id":"2"}'))
    with pytest.raises(ApiError, match="another call"):
        await desk.ask(asked=Asked(owner="u", call="Start", said=b"{}"))
    assert await desk.ask(asked=Asked(owner="v", call="Remove", said=b"{}")) == 200
    assert desk.made == 2
