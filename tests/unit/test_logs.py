"""No line of the log carries a secret, whoever wrote it."""

from __future__ import annotations

import json
import logging
import sys
from io import StringIO

import pytest
import structlog
from copypro_standalone import logs


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            "GET http://h:5004/ConnectEx?user=1&password=p HTTP",
            "GET http://h:5004/ConnectEx?*** HTTP",
        ),
        ("wss://me:p@h/OnQuote", "wss://***@h/OnQuote"),
        ("/Start?userKey=abc&riskValue=2", "/Start?userKey=***&riskValue=2"),
        ("nothing secret: id of 7 accounts", "nothing secret: id of 7 accounts"),
    ],
)
def test_credentials_are_masked(line: str, shown: str) -> None:
    assert logs.masked(line) == shown


def test_a_library_s_line_is_json_masked_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    try:
        logs.configure("json", "info", simulated=True)
        logging.getLogger("some.library").warning("could not get %s", "http://h/x?password=p")
        structlog.get_logger("ring").info("ready", url="http://u:p@h/")
    finally:
        root.handlers[:], root.level = handlers, level
        structlog.reset_defaults()

    first, second = [json.loads(line) for line in written.getvalue().splitlines()]
    assert first["event"] == "could not get http://h/x?***"
    assert first["SIMULATED"] is True
    assert second["url"] == "http://***@h/"
