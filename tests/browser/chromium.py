"""A real Chromium, as users' own machines have one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
from copypro.errors import SettingsError
from copypro_standalone.report import printing


@contextmanager
def chromium() -> Iterator[Any]:
    """Skips the test where there is none, with a line that says so; fails it where the real servers
    are required.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _is_missing("no playwright here: pip install 'copypro[report]'")
    with sync_playwright() as running:
        try:
            browser = printing.launched(running)
        except SettingsError:
            _is_missing("no Chromium here: install your system's package chromium")
        try:
            yield browser
        finally:
            browser.close()


def _is_missing(reason: str) -> NoReturn:
    if os.environ.get("COPYPRO_TEST_SERVERS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)
