"""The report in a real Chromium: no error, no request, nothing wider than the screen, PDF and PNG."""

from __future__ import annotations

from pathlib import Path

import pytest
from copypro_standalone.report import printing
from copypro_standalone.report.page import page

from tests.browser.chromium import chromium
from tests.unit.test_report import ROWS, facts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_without_error_or_request(
    width: int, scheme: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(facts(*ROWS)))
    said: list[str] = []
    with chromium() as browser:
        shown = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.on("dialog", lambda dialog: said.append(dialog.message))
        shown.on("request", lambda request: said.append(request.url))
        shown.goto(path.as_uri())
        wider = shown.evaluate("document.documentElement.scrollWidth - innerWidth")
        ink = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        height = shown.locator(".plot svg").first.bounding_box()["height"]
    assert said == [path.as_uri()]
    assert wider <= 0
    assert height > 50
    assert (ink == "rgb(14, 19, 26)") is (scheme == "dark")


def test_pdf_and_png_are_made_without_the_network(tmp_path: Path) -> None:
    with chromium():
        pass
    html = page(facts(*ROWS))
    printing.print_pdf(html, tmp_path / "r.pdf")
    printing.print_png(html, tmp_path / "r.png")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
