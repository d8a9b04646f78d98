"""What the original API calls `Stats` and its charts: every name, and which figure may be null.

Percentages are of 100. Money is in the account's currency, whatever `averageUsd` and `dollar` say.
"""

from __future__ import annotations

from typing import TypedDict


class TradeSummary(TypedDict):
    """Profits of what closed, by the broker's days; weeks begin on Monday."""

    openTrades: int | None
    openProfit: float | None
    dayProfit: float
    weekProfit: float
    monthProfit: float
    totalProfit: float


class TotalProfit(TypedDict):
    totalProfit: float


class Market(TypedDict):
    marketName: str
    count: int


class Profitability(TypedDict):
    wonTrades: int
    wonTradesPercent: float
    lostTrades: int
    lostTradesPercent: float


class Average(TypedDict):
    averagePips: float | None
    averageUsd: float | None


class SideWon(TypedDict):
    wonCount: int
    all: int
    wonPersent: float


class OneTrade(TypedDict):
    """`tiket` as ClosedOrders lists it. `profit`: money, or pips where the field's name says so."""

    tiket: int
    date: str
    profit: float


class ZScore(TypedDict):
    zScoreDecimal: float | None
    zScoreProbability: float | None


class Expectancy(TypedDict):
    pips: float | None
    dollar: float | None


class Figures(TypedDict):
    """All that follows from what has closed, whatever day it is."""

    markets: list[Market]
    maxBalanceDrawdownRaw: float
    maxBalanceDrawdownRelative: float
    maxEquityDrawdownRaw: float | None
    maxEquityDrawdownRelative: float | None
    profitability: Profitability
    pips: float | None
    lots: float
    comissions: float
    averageWin: Average
    averageLost: Average
    longsWon: SideWon
    shortsWon: SideWon
    bestTrade: OneTrade | None
    worstTrade: OneTrade | None
    bestTradePips: OneTrade | None
    worstTradePips: OneTrade | None
    averageTradeLength: float | None
    profitFactor: float | None
    standardDeviation: float | None
    sharpeRatio: float | None
    zScore: ZScore
    expectancy: Expectancy
    ghpr: float | None
    trades: int


class LastingStats(Figures):
    """What is kept: without the open trades and the present periods of the summary."""

    summary: TotalProfit


class Stats(Figures):
    summary: TradeSummary


class ChartPoint(TypedDict):
    """A day's end, on the broker's clock; equity is null where it was not recorded."""

    time: str
    balance: float
    equity: float | None
    balanceDrawdownRaw: float
    balanceDrawdownRelative: float | None
    equityDrawdownRaw: float | None
    equityDrawdownRelative: float | None
    realizedPL: float
    unrealizedPL: float | None


class StatsWithCharts(TypedDict):
    stats: Stats
    charts: list[ChartPoint]
