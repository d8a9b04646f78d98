"""What `copypro settle` understands of what the gateway says, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from copypro_standalone.operating import Said, settle

from tests.served import served

ANSWERS: dict[str, tuple[int, Any]] = {
    "done": (200, {"result": "OK"}),
    "later": (202, {"commandId": "c" * 32, "done": False}),
    "refused": (400, {"code": "BAD_PARAMETER", "message": "attempt: there is none"}),
    "as the original": (201, [{"code": "BAD_PARAMETER", "message": "attempt: there is none"}]),
}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        account = (await request.json())["accountId"]
        if account == "never":
            await asyncio.Event().wait()
        status, body = ANSWERS[account]
        return web.json_response(body, status=status)

    async with served("/Settle", answer) as address:
        yield address


async def test_each_answer_is_understood_and_none_is_a_traceback(url: str) -> None:
    said = {account: await settle(url, "key", account, "a", 1) for account in ANSWERS}
    assert said["done"] == Said()
    assert await settle(f"{url}/", "key", "done", "a", 1) == Said(), (
        "as addresses are often written"
    )
    assert said["later"] == Said(pending="c" * 32)
    assert said["refused"] == Said("attempt: there is none", code="BAD_PARAMETER")
    assert said["as the original"] == said["refused"]
    never = await settle(url, "key", "never", "a", 1, within_s=0.2)
    assert never.problem.endswith("within 0.2 s: whether it was done is not known")
    nobody = await settle("http://127.0.0.1:1", "key", "done", "a", 1)
    assert "is `copypro up` running?" in nobody.problem
