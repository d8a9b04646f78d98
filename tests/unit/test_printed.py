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


def test_quality(capsys: pytest.CaptureFixture[str]) -> None:
    none: dict[str, Any] = {
        "decided": 1, "copied": 0, "refused": 1, "waiting": 0, "shareCopied": 0.0, "latencyMs": {},
        "slippagePoints": {"of": 0, "mean": None}, "cost": {}, "profit": {},
        "missed": [{"code": f"CODE {ODD}", "trades": 1, "masterResult": {}}],
    }  # fmt: skip
    group = none | {"key": f"SYMBOL {ODD}"}
    analytics._show(cast(CopiersQuality, {"groups": [group], "total": none}))
    printed = capsys.readouterr().out
    assert f"SYMBOL {ODD}" in printed
    assert f"CODE {ODD}" in printed


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
