"""docs/examples-of-calls.md is what happens, and no call is without an example."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from docs.generating.rest import openapi
from tests.journey.world import CANARY, EMBEDDED, OPERATOR, Stack, World

pytestmark = pytest.mark.slow


@pytest.fixture
def stack() -> Stack:
    """The page is the same on every stack, and its calls have journeys of their own on both."""
    return EMBEDDED


PAGE = Path(__file__).parents[2] / "docs" / "examples-of-calls.md"
ROW = re.compile(r"^\| ([\w/]+) \| `(.+?)` \| (?:(\d{3}) )?`(.+)` \|$", re.M)
ANY = "…"
ELSEWHERE = frozenset(("ReadMe", "ImportStatement", "Commands/{command}"))
"""A page for people, a call whose body is a file, and what 202 names."""
EXAMPLES = ROW.findall(PAGE.read_text())


def test_every_call_has_its_example() -> None:
    assert {name for name, *_ in EXAMPLES} == {p[1:] for p in openapi()["paths"]} - ELSEWHERE


async def test_the_examples_are_what_happens(world: World) -> None:
    await world.stop()
    await world.start(mail="file")
    for server, platform, login in (("Alpha-MT4", "MT4", 1001), ("Beta-MT5", "MT5", 2001)):
        await world.control.add_account(
            server=server, platform=platform, login=login, password=CANARY, balance="1000"
        )
    known: dict[str, Any] = {"hash": "5" * 64, "password": CANARY, "manager": OPERATOR}
    for name, body, status, answer in EXAMPLES:
        given = {key: _filled(value, known) for key, value in json.loads(body).items()}
        world.key = str(known.get("key", ""))
        if "managerKey" in given:
            world.key = ""
        told = await world.call(name, expect=int(status or 200), **given)
        _hold(json.loads(answer), told, known, name)


def _filled(value: Any, known: dict[str, Any]) -> Any:
    return known[value[1:]] if isinstance(value, str) and value.startswith("$") else value


def _hold(wanted: Any, told: Any, known: dict[str, Any], where: str) -> None:
    """What stands in the page is what was told; a `$name` that is new takes what was told."""
    if wanted == ANY:
        return
    if isinstance(wanted, str) and wanted.startswith("$"):
        assert known.setdefault(wanted[1:], told) == told, where
    elif isinstance(wanted, dict):
        for name, value in wanted.items():
            assert name in told, f"{where}.{name}"
            _hold(value, told[name], known, f"{where}.{name}")
    elif isinstance(wanted, list):
        assert len(told) == len(wanted) or (wanted[-1:] == [ANY] and len(told) >= len(wanted) - 1)
        for each, value in zip(wanted, told, strict=False):
            _hold(each, value, known, where)
    else:
        assert told == wanted, where
