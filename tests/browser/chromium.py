"""A real Chromium, as users' own machines have one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from copypro.errors import SettingsError
from copypro_standalone.report import printing


@contextmanager
def chromium() -> Iterator[Any]:
    """Where there is none the test is skipped, with a line that says so."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("no playwright here: pip install -e '.[report]'")
    with sync_playwright() as running:
        try:
            browser = printing.launched(running)
        except SettingsError:
            pytest.skip("no Chromium here: install your system's package chromium")
        try:
            yield browser
        finally:
            browser.close()
