"""The gateway's pages in a real Chromium: calls are tried from them, and nothing comes from elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import chromium
from tests.journey.world import a_world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NARROW, WIDE = 390, 1200
PATIENCE_MS = 120_000
"""For a page of all calls on a machine that does other things."""


def shown(browser: Any, address: str, path: str, width: int) -> tuple[Any, list[str]]:
    """The page, and what went wrong on it."""
    wrong: list[str] = []

    def asked(request: Any) -> None:
        if not request.url.startswith((address, "data:")):
            wrong.append(request.url)

    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", asked)
    page.goto(f"{address}{path}")
    return page, wrong


def try_accounts(address: str, key: str) -> tuple[str, str, list[str]]:
    """Where the address alone leads to, what Accounts answers there, and what went wrong."""
    with chromium() as browser:
        page, wrong = shown(browser, address, "/", WIDE)
        page.get_by_role("button", name="Authorize").click()
        page.get_by_label("auth-bearer-value").fill(key)
        page.get_by_role("button", name="Apply credentials").click()
        page.get_by_role("button", name="Close", exact=True).click()
        call = page.locator("#operations-accounts-Accounts_get")
        call.locator(".opblock-summary-control").click()
        call.get_by_role("button", name="Try it out").click()
        call.get_by_role("button", name="Execute").click()
        answer = call.locator(".live-responses-table .response").first.inner_text()
        return page.url, answer, wrong


def read(address: str, width: int) -> tuple[int, str, list[str]]:
    """By how much ReadMe is wider than the screen, where its link to Start leads to, what went wrong."""
    with chromium() as browser:
        page, wrong = shown(browser, address, "/ReadMe", width)
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        page.get_by_role("link", name="Start", exact=True).click()
        page.locator("#operations-copiers-Start_get.is-open").wait_for()
        return wider, page.url, wrong


async def test_a_call_is_tried_with_a_key_and_nothing_but_the_gateway_is_asked(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path / "data") as world:
        address = world.ring.url
        url, answer, wrong = await asyncio.to_thread(try_accounts, address, world.key)
    assert url == f"{address}/docs#/accounts/Accounts_get"
    assert answer.startswith("200")
    assert wrong == []


@pytest.mark.parametrize("width", [WIDE, NARROW])
async def test_the_list_of_calls_fits_and_leads_to_where_each_is_tried(
    width: int, tmp_path: Path
) -> None:
    async with a_world(tmp_path / "data") as world:
        address = world.ring.url
        wider, url, wrong = await asyncio.to_thread(read, address, width)
    assert wider <= 0
    assert url == f"{address}/docs#/copiers/Start_get"
    assert wrong == []
