"""How a tally, its groups and the growth beside it are shown: every name, and what may be null."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Part(TypedDict):
    """`of`: of how many it is. `without`: how many are not in it, by why."""

    of: int
    without: NotRequired[dict[str, int]]


class MoneyTotal(Part):
    total: float | None


class SlippagePoints(Part):
    """Of the slave's symbols; positive is worse."""

    mean: float | None
    worst: float | None


class LatencyTimes(TypedDict):
    """Milliseconds; the percentiles are right to half a percent."""

    of: int
    mean: float
    least: float
    p50: float
    p95: float
    p99: float
    most: float


class CopyCosts(TypedDict):
    """`total` is of what is known; positive is money lost."""

    spread: MoneyTotal
    slippage: MoneyTotal
    commission: MoneyTotal
    swap: MoneyTotal
    total: float | None


class MissedTrades(TypedDict):
    """`masterResult`: what the master made of these trades, by currency."""

    code: str
    trades: int
    masterResult: dict[str, MoneyTotal]


class Quality(TypedDict):
    """`latencyMs` is by leg of the way; `cost` and `profit` are by currency."""

    decided: int
    copied: int
    refused: int
    waiting: int
    shareCopied: float | None
    latencyMs: dict[str, LatencyTimes]
    slippagePoints: SlippagePoints
    cost: dict[str, CopyCosts]
    profit: dict[str, MoneyTotal]
    missed: list[MissedTrades]


class QualityGroup(Quality):
    key: str


class GrowthPoint(TypedDict):
    """At the end of a day, in percent since the first; null: nothing can grow any more."""

    day: str
    master: float | None
    slave: float | None


class Growth(TypedDict):
    copierId: str
    points: list[GrowthPoint]


class CopiersQuality(TypedDict):
    copiers: list[str]
    total: Quality
    groupBy: str | None
    groups: list[QualityGroup]
    growth: list[Growth]
