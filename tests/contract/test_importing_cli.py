"""What `copypro import statement` understands of what the gateway says, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from copypro.errors import BadStatement
from copypro_standalone.cli import app
from copypro_standalone.importing import imported
from typer.testing import CliRunner

from tests.served import served

REFUSAL = {"code": "BAD_STATEMENT", "message": "line 3: no time of opening"}
REFUSED: dict[bytes, tuple[int, Any]] = {
    b"refused": (400, REFUSAL),
    b"as an object": (201, REFUSAL),
    b"as an array": (201, [REFUSAL]),
}
"""In each style of COPYPRO_ERRORS_AS_201."""


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer key"
        body = await request.read()
        if body == b"never":
            await asyncio.Event().wait()
        if body in REFUSED:
            return web.json_response(REFUSED[body][1], status=REFUSED[body][0])
        done = {"accountId": "a", "added": 3, "same": 0, "contradictions": [], "problems": []}
        return web.json_response({**done, "lenient": request.query["lenient"]})

    async with served("/ImportStatement", answer) as address:
        yield address


async def test_each_answer_is_understood_and_none_is_a_traceback(url: str, tmp_path: Path) -> None:
    path = tmp_path / "a.htm"
    path.write_bytes(b"good")
    found = await imported(url, "key", path, lenient=True)
    assert found["file"] == str(path)
    assert (found["accountId"], found["lenient"]) == ("a", "true")
    for refused in REFUSED:
        path.write_bytes(refused)
        with pytest.raises(BadStatement, match=r"a\.htm: line 3: no time of opening$"):
            await imported(url, "key", path, lenient=False)
    path.write_bytes(b"never")
    with pytest.raises(BadStatement, match=r"within 0\.5 s.*not known: import it again"):
        await imported(url, "key", path, lenient=False, within_s=0.5)
    with pytest.raises(BadStatement, match="is `copypro up` running"):
        await imported("http://127.0.0.1:1", "key", path, lenient=False)


@pytest.mark.parametrize("as_json", [False, True])
async def test_what_was_imported_before_a_file_that_was_refused_is_told(
    url: str, tmp_path: Path, as_json: bool
) -> None:
    paths = [tmp_path / name for name in ("good.htm", "bad.htm", "after.htm")]
    for path, content in zip(paths, (b"good", b"refused", b"good"), strict=True):
        path.write_bytes(content)
    options = ["--url", url, "--key", "key", *(["--json"] if as_json else [])]
    ended = await asyncio.to_thread(
        CliRunner().invoke, app, ["import", "statement", *options, *map(str, paths)]
    )
    assert ended.exit_code == 2
    (told,) = ended.stdout.splitlines()
    assert "good.htm" in told
    assert "bad.htm: line 3" in ended.stderr
