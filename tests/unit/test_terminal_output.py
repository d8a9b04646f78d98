"""What brokers and users wrote, on an operator's terminal: it is read there, and never obeyed."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from copypro_standalone import logs
from copypro_standalone.explaining import one_line

NASTY = "EUR\x1b[2J\x1b]52;c;eA\x07\x9b31m\u202eUSD"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(as_json=False)
    yield capsys
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def test_a_line_of_the_log_holds_nothing_that_a_terminal_obeys(
    said: pytest.CaptureFixture[str],
) -> None:
    logger = structlog.get_logger("account-watcher")
    logger.warning("account disconnected", code=NASTY, symbol="a\nb", ücode="größer")
    line = said.readouterr().err.removesuffix("\n")
    assert line.isprintable()
    assert "EUR" in line
    assert "\\x1b[2J" in line
    assert "größer" in line


def test_a_list_s_line_holds_nothing_that_a_terminal_obeys() -> None:
    row = {"id": "1", "login": 7, "server": NASTY, "registrations": ["r"], "symbol": NASTY}
    line = one_line({**row, "evidence": "one\ntwo", "numbers": {"asked": NASTY}})
    assert line.isprintable()
    assert "evidence=one two" in line
    assert line.count("\\x1b[2J") == 3
