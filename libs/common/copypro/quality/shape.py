"""A tally as JSON. What is absent is null, and beside it stands how many are missing and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from copypro.quality.answers import (
    CopyCosts,
    GrowthPoint,
    LatencyTimes,
    MoneyTotal,
    Part,
    Quality,
    QualityGroup,
    SlippagePoints,
)
from copypro.quality.facts import Outcome
from copypro.quality.growth import Point
from copypro.quality.latency import Latencies
from copypro.quality.tally import COSTS, Money, Sum, Tally
from copypro.statistics.facts import ZERO
from copypro.statistics.original import number


def shown(tally: Tally) -> Quality:
    return {
        "decided": tally.decided,
        "copied": tally.outcomes[Outcome.COPIED],
        "refused": tally.outcomes[Outcome.REFUSED],
        "waiting": tally.outcomes[Outcome.WAITING],
        "shareCopied": number(tally.share_copied),
        "latencyMs": {leg: _times(times) for leg, times in sorted(tally.legs.items())},
        "slippagePoints": _points(tally.slippage_points),
        "cost": _costs(tally),
        "profit": _money(tally.profit),
        "missed": [
            {"code": code, "trades": trades, "masterResult": _money(tally.missed[code])}
            for code, trades in sorted(tally.refused.items())
        ],
    }


def groups_shown(groups: Mapping[str, Tally]) -> list[QualityGroup]:
    """In the order of their names."""
    return [{"key": key, **shown(tally)} for key, tally in sorted(groups.items())]


def growth_shown(points: Sequence[Point]) -> list[GrowthPoint]:
    return [
        {
            "day": point.day.isoformat(),
            "master": number(point.master),
            "slave": number(point.slave),
        }
        for point in points
    ]


def _times(times: Latencies) -> LatencyTimes:
    return {
        "of": times.count,
        "mean": round(times.total_us / times.count / 1000, 3),
        "least": _ms(times.least_us or 0),
        "p50": _ms(times.percentile(50)),
        "p95": _ms(times.percentile(95)),
        "p99": _ms(times.percentile(99)),
        "most": _ms(times.most_us or 0),
    }


def _ms(us: int) -> float:
    return us / 1000


def _points(found: Sum) -> SlippagePoints:
    mean = number(found.total / found.count) if found.count else None
    worst = None if found.worst is None else number(found.worst)
    return {"mean": mean, "worst": worst, **_of(found)}


def _costs(tally: Tally) -> dict[str, CopyCosts]:
    """By currency."""
    currencies = sorted({name for money in tally.costs.values() for name in money.sums})
    return {currency: _cost(tally, currency) for currency in currencies}


def _cost(tally: Tally, currency: str) -> CopyCosts:
    parts = {name: tally.costs[name].sums.get(currency, Sum()) for name in COSTS}
    total = sum((part.total for part in parts.values()), ZERO)
    known = any(part.count for part in parts.values())
    return {
        "spread": _sum(parts["spread"]),
        "slippage": _sum(parts["slippage"]),
        "commission": _sum(parts["commission"]),
        "swap": _sum(parts["swap"]),
        "total": number(total) if known else None,
    }


def _money(money: Money) -> dict[str, MoneyTotal]:
    return {currency: _sum(found) for currency, found in sorted(money.sums.items())}


def _sum(found: Sum) -> MoneyTotal:
    total: Decimal | None = found.total if found.count else None
    return {"total": None if total is None else number(total), **_of(found)}


def _of(found: Sum) -> Part:
    part: Part = {"of": found.count}
    if found.without:
        part["without"] = dict(sorted(found.without.items()))
    return part
