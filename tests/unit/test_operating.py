"""What an operator reads whose command could not reach the program, or asked for what is not there."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from copypro.adapters.sqlite_log import SqliteLog
from copypro.settings import Settings
from copypro_gateway.wording.errors import ApiError
from copypro_standalone import explaining, operating


@asynccontextmanager
async def gateway(status: int, answer: object) -> AsyncIterator[str]:
    """Answers every call so: an object as JSON, text as a page."""

    async def say(_: web.Request) -> web.Response:
        if isinstance(answer, str):
            return web.Response(text=answer, content_type="text/html", status=status)
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_post("/{any:.*}", say)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("url", ["localhost:5020", "127.0.0.1:5020", "ftp://127.0.0.1", ""])
async def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    said = await operating.settle(url, "key", "account", None, 1)
    assert said.problem == (
        f"{url} is no address of a gateway: set COPYPRO_URL like http://127.0.0.1:5020"
    )


async def test_another_program_at_the_address_is_not_taken_for_one_that_is_away() -> None:
    async with gateway(404, "<html>") as url:
        said = await operating.settle(url, "key", "account", None, 1)
    assert said.problem.startswith(f"what answers at {url} is no gateway of CopyPro")


@pytest.mark.parametrize("account", ["2001", "of-another-user"])
async def test_an_account_that_the_key_does_not_have_is_said_with_what_belongs_there(
    account: str,
) -> None:
    answer = {"code": "UNKNOWN_ACCOUNT", "message": "no such account"}
    async with gateway(404, answer) as url:
        said = await operating.settle(url, "key", account, None, 1)
    assert said.problem == (
        f"the user of this key has no account {account}: give the registration id that"
        " `copypro unresolved` and `copypro alerts` show, and its own user's key"
    )


async def test_an_account_that_is_not_known_is_told_from_a_ticket_that_is_not(
    tmp_path: Path,
) -> None:
    await (await SqliteLog.open(tmp_path)).close()
    said = await explaining.story_of(Settings(data=tmp_path), "10001", 5)
    assert isinstance(said, str)
    assert "knows no account 10001: give a login, a registration id" in said


async def test_a_user_that_is_not_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    await (await SqliteLog.open(tmp_path)).close()
    with pytest.raises(ApiError, match=r"no user x@y\.z: check the e-mail, or `copypro users add`"):
        await operating.keys_of(Settings(data=tmp_path), "x@y.z")
