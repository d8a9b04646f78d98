"""A report as PDF or PNG, by a Chromium that may ask nobody for anything."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copypro.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH, HEIGHT = 1200, 900
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NEEDED = (
    "--pdf and --png need the extra `report` and a Chromium: in CopyPro's folder"
    " `.venv/bin/pip install -e '.[report]'`, then `.venv/bin/playwright install chromium`"
    " or your system's package chromium"
)


def print_pdf(html: str, path: Path) -> None:
    """Errors: SettingsError where extra or browser is missing."""
    with _page(html) as page:
        page.emulate_media(media="print", color_scheme="light")
        page.pdf(path=str(path), prefer_css_page_size=True, print_background=True)


def print_png(html: str, path: Path) -> None:
    """The whole page, at twice the size. Errors: as above."""
    with _page(html) as page:
        page.emulate_media(color_scheme="light")
        page.screenshot(path=str(path), full_page=True)


@contextmanager
def _page(html: str) -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SettingsError(NEEDED) from None
    with sync_playwright() as playwright:
        browser = launched(playwright)
        try:
            size = {"width": WIDTH, "height": HEIGHT}
            page = browser.new_page(
                viewport=size, device_scale_factor=2, offline=True, java_script_enabled=False
            )
            page.set_content(html, wait_until="load")
            yield page
        finally:
            browser.close()


def launched(playwright: Any) -> Any:
    """Playwright's own where it is installed, else the system's."""
    own = Path(playwright.chromium.executable_path)
    found = own if own.exists() else next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SettingsError(NEEDED)
    return playwright.chromium.launch(executable_path=str(found))
