"""The report in a real Chromium: no error, no request, nothing wider than the screen, PDF and PNG.

Needs the extra `report` and a Chromium; skipped with a line that says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from copypro.errors import SettingsError
from copypro_standalone.report import printing
from copypro_standalone.report.page import page

from tests.unit.test_report import ROWS, facts

pytestmark = pytest.mark.slow
playwright = pytest.importorskip(
    "playwright.sync_api", reason="no playwright here: pip install 'copypro[report]'"
)


def chromium(running: Any) -> Any:
    try:
        return printing.launched(running)
    except SettingsError:
        pytest.skip("no Chromium here: install your system's package chromium")


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_without_error_or_request(
    width: int, scheme: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(facts(*ROWS)))
    said: list[str] = []
    with playwright.sync_playwright() as running:
        browser = chromium(running)
        shown = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.on("dialog", lambda dialog: said.append(dialog.message))
        shown.on("request", lambda request: said.append(request.url))
        shown.goto(path.as_uri())
        wider = shown.evaluate("document.documentElement.scrollWidth - innerWidth")
        ink = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        height = shown.locator(".plot svg").first.bounding_box()["height"]
        browser.close()
    assert said == [path.as_uri()]
    assert wider <= 0
    assert height > 50
    assert (ink == "rgb(14, 19, 26)") is (scheme == "dark")


def test_pdf_and_png_are_made_without_the_network(tmp_path: Path) -> None:
    with playwright.sync_playwright() as running:
        chromium(running).close()
    html = page(facts(*ROWS))
    printing.print_pdf(html, tmp_path / "r.pdf")
    printing.print_png(html, tmp_path / "r.png")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
