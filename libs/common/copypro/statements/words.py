"""The figures of MetaTrader's reports: their English labels, and the order in which each report
prints them, by which they are recognised in any other language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Keys = tuple[str, ...]
"""What is printed first, and what stands in brackets behind it."""

LABELS: Mapping[str, Keys] = {
    # an account
    "deposit/withdrawal": ("deposit_withdrawal",),
    "credit facility": ("credit",),
    "closed trade p/l": ("closed_profit",),
    "closed p/l": ("closed_profit",),
    "floating p/l": ("floating_profit",),
    "margin": ("margin",),
    "balance": ("balance",),
    "equity": ("equity",),
    "free margin": ("free_margin",),
    "margin level": ("margin_level",),
    # results
    "total net profit": ("net_profit",),
    "gross profit": ("gross_profit",),
    "gross loss": ("gross_loss",),
    "profit factor": ("profit_factor",),
    "expected payoff": ("expected_payoff",),
    "recovery factor": ("recovery_factor",),
    "sharpe ratio": ("sharpe_ratio",),
    "absolute drawdown": ("absolute_drawdown",),
    "maximal drawdown": ("maximal_drawdown", "maximal_drawdown_percent"),
    "relative drawdown": ("relative_drawdown_percent", "relative_drawdown"),
    "balance drawdown absolute": ("absolute_drawdown",),
    "balance drawdown maximal": ("maximal_drawdown", "maximal_drawdown_percent"),
    "balance drawdown relative": ("relative_drawdown_percent", "relative_drawdown"),
    "equity drawdown absolute": ("equity_absolute_drawdown",),
    "equity drawdown maximal": ("equity_maximal_drawdown", "equity_maximal_drawdown_percent"),
    "equity drawdown relative": ("equity_relative_drawdown_percent", "equity_relative_drawdown"),
    "total trades": ("trades",),
    "total deals": ("deals",),
    "short positions (won %)": ("shorts", "shorts_won_percent"),
    "long positions (won %)": ("longs", "longs_won_percent"),
    "short trades (won %)": ("shorts", "shorts_won_percent"),
    "long trades (won %)": ("longs", "longs_won_percent"),
    "profit trades (% of total)": ("wins", "wins_percent"),
    "loss trades (% of total)": ("losses", "losses_percent"),
    "largest profit trade": ("largest_win",),
    "largest loss trade": ("largest_loss",),
    "average profit trade": ("average_win",),
    "average loss trade": ("average_loss",),
    "maximum consecutive wins ($)": ("longest_wins", "longest_wins_money"),
    "maximum consecutive losses ($)": ("longest_losses", "longest_losses_money"),
    "maximum consecutive wins (profit in money)": ("longest_wins", "longest_wins_money"),
    "maximum consecutive losses (loss in money)": ("longest_losses", "longest_losses_money"),
    "maximal consecutive profit (count)": ("best_wins", "best_wins_count"),
    "maximal consecutive loss (count)": ("best_losses", "best_losses_count"),
    "maximal consecutive profit (count of wins)": ("best_wins", "best_wins_count"),
    "maximal consecutive loss (count of losses)": ("best_losses", "best_losses_count"),
    "average consecutive wins": ("average_wins_in_a_row",),
    "average consecutive losses": ("average_losses_in_a_row",),
    # a tester's
    "z-score": ("z_score", "z_confidence"),
    "ahpr": ("ahpr", "ahpr_percent"),
    "ghpr": ("ghpr", "ghpr_percent"),
    "lr correlation": ("lr_correlation",),
    "lr standard error": ("lr_standard_error",),
    "ontester result": ("on_tester",),
    "history quality": ("quality",),
    "modelling quality": ("quality",),
    "bars": ("bars",),
    "bars in test": ("bars",),
    "ticks": ("ticks",),
    "ticks modelled": ("ticks",),
    "symbols": ("symbols",),
    "mismatched charts errors": ("mismatched",),
    "initial deposit": ("initial_deposit",),
    "spread": ("spread",),
    "correlation (profits,mfe)": ("profit_with_mfe",),
    "correlation (profits,mae)": ("profit_with_mae",),
    "correlation (mfe,mae)": ("mfe_with_mae",),
    "minimal position holding time": ("shortest",),
    "maximal position holding time": ("longest",),
    "average position holding time": ("average_length",),
}

_RUNS = (
    "Largest profit trade",
    "Largest loss trade",
    "Average profit trade",
    "Average loss trade",
    "Maximum consecutive wins ($)",
    "Maximum consecutive losses ($)",
    "Maximal consecutive profit (count)",
    "Maximal consecutive loss (count)",
    "Average consecutive wins",
    "Average consecutive losses",
)
MT4_SUMMARY = (
    "Deposit/Withdrawal",
    "Credit Facility",
    "Closed Trade P/L",
    "Floating P/L",
    "Margin",
    "Balance",
    "Equity",
    "Free Margin",
)
MT4_DETAILS = (
    "Gross Profit",
    "Gross Loss",
    "Total Net Profit",
    "Profit Factor",
    "Expected Payoff",
    "Absolute Drawdown",
    "Maximal Drawdown",
    "Relative Drawdown",
    "Total Trades",
    "Short Positions (won %)",
    "Long Positions (won %)",
    "Profit Trades (% of total)",
    "Loss trades (% of total)",
    *_RUNS,
)
MT5_ACCOUNT = (
    "Balance",
    "Free Margin",
    "Credit Facility",
    "Margin",
    "Floating P/L",
    "Margin Level",
    "Equity",
)
MT5_RESULTS = (
    "Total Net Profit",
    "Gross Profit",
    "Gross Loss",
    "Profit Factor",
    "Expected Payoff",
    "Recovery Factor",
    "Sharpe Ratio",
    "Balance Drawdown Absolute",
    "Balance Drawdown Maximal",
    "Balance Drawdown Relative",
    "Total Trades",
    "Short Trades (won %)",
    "Long Trades (won %)",
    "Profit Trades (% of total)",
    "Loss Trades (% of total)",
    *_RUNS,
)
MT5_TESTER = (
    "History Quality",
    "Bars",
    "Ticks",
    "Symbols",
    "Total Net Profit",
    "Balance Drawdown Absolute",
    "Equity Drawdown Absolute",
    "Gross Profit",
    "Balance Drawdown Maximal",
    "Equity Drawdown Maximal",
    "Gross Loss",
    "Balance Drawdown Relative",
    "Equity Drawdown Relative",
    "Profit Factor",
    "Expected Payoff",
    "Margin Level",
    "Recovery Factor",
    "Sharpe Ratio",
    "Z-Score",
    "AHPR",
    "LR Correlation",
    "OnTester result",
    "GHPR",
    "LR Standard Error",
    "Total Trades",
    "Short Trades (won %)",
    "Long Trades (won %)",
    "Total Deals",
    "Profit Trades (% of total)",
    "Loss Trades (% of total)",
    *_RUNS,
    "Correlation (Profits,MFE)",
    "Correlation (Profits,MAE)",
    "Correlation (MFE,MAE)",
    "Minimal position holding time",
    "Maximal position holding time",
    "Average position holding time",
)
MT4_TESTER = (
    "Bars in test",
    "Ticks modelled",
    "Modelling quality",
    "Mismatched charts errors",
    "Initial deposit",
    "Spread",
    "Total net profit",
    "Gross profit",
    "Gross loss",
    "Profit factor",
    "Expected payoff",
    "Absolute drawdown",
    "Maximal drawdown",
    "Relative drawdown",
    "Total trades",
    "Short positions (won %)",
    "Long positions (won %)",
    "Profit trades (% of total)",
    "Loss trades (% of total)",
    "Largest profit trade",
    "Largest loss trade",
    "Average profit trade",
    "Average loss trade",
    "Maximum consecutive wins (profit in money)",
    "Maximum consecutive losses (loss in money)",
    "Maximal consecutive profit (count of wins)",
    "Maximal consecutive loss (count of losses)",
    "Average consecutive wins",
    "Average consecutive losses",
)
Orders = Sequence[Sequence[str]]
MT4_ORDERS: Orders = ((*MT4_SUMMARY, *MT4_DETAILS), MT4_SUMMARY)
MT5_ORDERS: Orders = ((*MT5_ACCOUNT, *MT5_RESULTS), MT5_RESULTS)
MT5_TESTER_ORDERS: Orders = (
    MT5_TESTER,
    MT5_TESTER[: MT5_TESTER.index("Correlation (Profits,MFE)")],
)
MT4_TESTER_ORDERS: Orders = (
    MT4_TESTER,
    tuple(name for name in MT4_TESTER if name != "Spread"),
)


def names(label: str, keys: Keys, value: str) -> Keys:
    """The report's name of each figure behind a label: `Maximal Drawdown`, `Maximal Drawdown (%)`."""
    if len(keys) == 1:
        return (label,)
    main, bracket, _ = label.partition(" (")
    if bracket:
        return main, label
    inside = value.partition("(")[2]
    return label, f"{label} ({'%' if '%' in inside else '$'})"
