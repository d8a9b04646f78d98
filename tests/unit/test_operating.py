"""What an operator reads whose command could not reach the program, or asked for what is not there."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from aiohttp import web
from copypro.adapters.sqlite_log import SqliteLog
from copypro.settings import Settings
from copypro_standalone import explaining, operating


@pytest.mark.parametrize("url", ["localhost:5020", "127.0.0.1:5020", "ftp://127.0.0.1", ""])
async def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    said = await operating.settle(url, "key", "account", None, 1)
    assert said.problem == (
        f"{url} is no address of a gateway: set COPYPRO_URL like http://127.0.0.1:5020"
    )


async def test_another_program_at_the_address_is_not_taken_for_one_that_is_away() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html", status=404)

    app = web.Application()
    app.router.add_post("/{any:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        said = await operating.settle(url, "key", "account", None, 1)
    finally:
        await runner.cleanup()
    assert said.problem.startswith(f"what answers at {url} is no gateway of CopyPro")


async def test_an_account_that_is_not_known_is_told_from_a_ticket_that_is_not(
    tmp_path: Path,
) -> None:
    await (await SqliteLog.open(tmp_path)).close()
    said = await explaining.story_of(Settings(data=tmp_path), "10001", 5)
    assert isinstance(said, str)
    assert "knows no account 10001: give a login, a registration id" in said
