"""Names of brokers, symbols, codes and files are printed as they are: brackets are no markup."""

from __future__ import annotations

from typing import Any, cast

import pytest
from copypro.quality.answers import CopiersQuality
from copypro_standalone import analytics, importing
from copypro_standalone.backtest import report
from rich.console import Console

ODD = "x [/a] [sl] :x:"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def quality_of(key: str) -> CopiersQuality:
    none: dict[str, Any] = {
        "decided": 1, "copied": 0, "refused": 1, "waiting": 0, "shareCopied": 0.0, "latencyMs": {},
        "slippagePoints": {"of": 0, "mean": None}, "cost": {}, "profit": {},
        "missed": [{"code": f"CODE {ODD}", "trades": 1, "masterResult": {}}],
    }  # fmt: skip
    return cast(CopiersQuality, {"groups": [none | {"key": key}], "total": none})


def test_quality(capsys: pytest.CaptureFixture[str]) -> None:
    analytics._show(quality_of(f"SYMBOL {ODD}"), {})
    printed = capsys.readouterr().out
    assert f"SYMBOL {ODD}" in printed
    assert f"CODE {ODD}" in printed


def test_quality_names_whom_an_id_stands_for_and_cuts_neither(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However narrow the terminal is: the id is what --copier takes."""
    monkeypatch.setenv("COLUMNS", "80")
    copier, name = "0123456789abcdef" * 2, "1001@Alpha-MT4 → 2001@Beta-MT4"
    analytics._show(quality_of(copier), {copier: name})
    first_cells = [
        line.split("│")[1] for line in capsys.readouterr().out.splitlines() if "│" in line
    ]
    said = "".join(cell.strip() for cell in first_cells)
    assert copier in said
    assert name.replace(" ", "") in said.replace(" ", "")


def test_a_statement(capsys: pytest.CaptureFixture[str]) -> None:
    figure = {"name": ODD, "printed": ODD, "ours": ODD, "equal": False, "why": ODD}
    importing.show([{"file": f"report {ODD}.htm", "figures": [figure], "problems": [ODD]}])
    printed = capsys.readouterr().out
    assert f"report {ODD}.htm" in printed
    assert printed.count(ODD) == 6


def test_a_backtest(capsys: pytest.CaptureFixture[str]) -> None:
    account: dict[str, Any] = {
        "name": ODD, "trades": 1, "from": "2026-01-01", "to": "2026-01-02", "profit": "0",
        "currency": "USD", "not_played": 0, "platform": "MT5", "mode": "Hedging", "won": 0,
        "start_balance": "1", "balance": "1", "drawdown": "0", "drawdown_percent": "0",
        "open_at_the_end": 0,
    }  # fmt: skip
    refusal = {
        "code": ODD, "trades": 1, "profit_missed": "0", "meaning": "m", "remedy": "r",
        "latest": {"symbol": ODD},
    }  # fmt: skip
    summary: Any = {
        "master": account, "slave": account, "copied": 0, "share_copied_percent": "0",
        "refused": 1, "refusals": [refusal], "alerts": {ODD: 1}, "assumed": [f"rates: {ODD}"],
    }  # fmt: skip
    report.show(summary, Console(emoji=False))
    assert capsys.readouterr().out.count(ODD) == 5
