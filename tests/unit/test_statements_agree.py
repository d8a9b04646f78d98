"""Every figure that MetaTrader printed on the real statements, equal to ours to the last digit.

What is not equal is listed here by name, so that nothing becomes unequal unseen.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from copypro.statements import Statement, read
from copypro.statements.checking import Check, check

from tests.unit.shared_statements import FILES, FOLDER, MISSING

TESTER_ALONE = {
    "History Quality", "Bars", "Ticks", "OnTester result", "Margin Level",
    "Equity Drawdown Absolute", "Equity Drawdown Maximal", "Equity Drawdown Maximal (%)",
    "Equity Drawdown Relative", "Equity Drawdown Relative ($)",
    "Correlation (Profits,MFE)", "Correlation (Profits,MAE)", "Correlation (MFE,MAE)",
}  # fmt: skip
"""What the tester measured tick by tick, or knows of prices: trade-statistics, section 3."""
STARTS_INSIDE = {
    "mt4-17-usd-73-partial-history-withdrawal.htm",
    "mt4-18-usd-1-win-only.htm",
}
INCONSISTENT = {
    ("mt4-13-usd-1-loss-only.htm", "Balance"): "99999.98 + results -0.90 = 99999.08",
    ("mt5-tester-01-152-old-build.html", "Minimal position holding time"): "0:59:00",
    ("mt5-tester-01-152-old-build.html", "Maximal position holding time"): "171:00:00",
    ("mt5-tester-01-152-old-build.html", "Average position holding time"): "19:18:56",
}
"""The file contradicts itself: what its own rows say."""


@lru_cache(maxsize=1)
def statement_of(path: Path) -> Statement:
    return read(path.read_bytes())


@lru_cache(maxsize=1)
def checks_of(path: Path) -> dict[str, Check]:
    return {found.name: found for found in check(statement_of(path))}


def figures() -> list[Any]:
    cases = [pytest.param(path, name, id=f"{path.stem}-{name}") for path in FILES
             for name in checks_of(path)]  # fmt: skip
    return cases or [pytest.param(None, "", marks=pytest.mark.skip(reason=MISSING))]


@pytest.mark.parametrize(("path", "name"), figures())
def test_a_printed_figure_is_ours(path: Path, name: str) -> None:
    found = checks_of(path)[name]
    if (path.name, name) in INCONSISTENT:
        assert not found.equal
        assert INCONSISTENT[path.name, name] in str(found.why)
    elif is_missing(path, name):
        assert found.ours is None
        assert found.why
    else:
        assert found.ours == found.printed, found.why
        assert found.equal


def is_missing(path: Path, name: str) -> bool:
    """Needs a fact that the file does not have."""
    if name == "Margin":
        return bool(statement_of(path).open)
    if name == "Balance":
        return path.name in STARTS_INSIDE
    return "tester" in path.name and name in TESTER_ALONE


# The names by which another parser, which is not ours, filed the same figures.
ELSEWHERE = {
    "net_profit": "net_profit", "gross_profit": "gross_profit", "gross_loss": "gross_loss",
    "profit_factor": "profit_factor", "expected_payoff": "expected_payoff",
    "recovery": "recovery_factor", "sharpe": "sharpe_ratio", "dd_abs": "absolute_drawdown",
    "dd_max": "maximal_drawdown", "dd_max_pct": "maximal_drawdown_percent",
    "dd_rel": "relative_drawdown", "dd_rel_pct": "relative_drawdown_percent",
    "trades": "trades", "short_trades": "shorts", "short_won_pct": "shorts_won_percent",
    "long_trades": "longs", "long_won_pct": "longs_won_percent", "profit_trades": "wins",
    "profit_trades_pct": "wins_percent", "loss_trades_pct": "losses_percent",
    "loss_trades": "losses", "largest_profit": "largest_win", "largest_loss": "largest_loss",
    "avg_profit": "average_win", "avg_loss": "average_loss", "max_consec_wins": "longest_wins",
    "max_consec_wins_money": "longest_wins_money", "max_consec_losses": "longest_losses",
    "max_consec_losses_money": "longest_losses_money", "max_consec_profit": "best_wins",
    "max_consec_profit_count": "best_wins_count", "max_consec_loss": "best_losses",
    "max_consec_loss_count": "best_losses_count", "avg_consec_wins": "average_wins_in_a_row",
    "avg_consec_losses": "average_losses_in_a_row", "z_score": "z_score",
    "z_confidence": "z_confidence", "ahpr": "ahpr", "ghpr": "ghpr", "lr_corr": "lr_correlation",
    "lr_stderr": "lr_standard_error", "deposit_withdrawal": "deposit_withdrawal",
    "closed_pl": "closed_profit", "balance": "balance",
}  # fmt: skip


@pytest.mark.parametrize(
    "path", FILES or [pytest.param(None, marks=pytest.mark.skip(reason=MISSING))]
)
def test_rows_and_figures_are_those_that_another_parser_read(path: Path) -> None:
    assert FOLDER is not None
    text = (FOLDER / "parsed" / f"{path.stem}.json").read_text()
    other = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    statement = statement_of(path)
    printed = {figure.key: figure.text for figure in statement.printed}
    for name, value in other["expected"].items():
        if value is None:
            assert printed[ELSEWHERE[name]] == ""
        else:
            assert Decimal(printed[ELSEWHERE[name]]) == value, name
    rows: Any = statement.closed if statement.platform == "MT4" else [
        deal for deal in statement.deals if deal.direction in ("out", "in/out", "out by")
    ]  # fmt: skip
    assert [(row.ticket, row.profit, row.swap, row.commission, row.lots, row.symbol)
            for row in rows] == [
        (int(row["ticket"]), row["profit"], row["swap"], row["commission"], row["lots"],
         row["symbol"]) for row in other["trades"]
    ]  # fmt: skip
