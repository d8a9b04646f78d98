"""A tally as JSON. What is absent is null, and beside it stands how many are missing and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from copypro.quality.facts import Copy, Outcome, grouped
from copypro.quality.growth import Point
from copypro.quality.latency import Latencies
from copypro.quality.tally import Money, Sum, Tally, tallied
from copypro.statistics.facts import ZERO
from copypro.statistics.original import number

Json = dict[str, Any]
PERCENTILES = (50, 95, 99)


def shown(tally: Tally) -> Json:
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


def groups_shown(copies: Iterable[Copy], by: str) -> list[Json]:
    return [{"key": key, **shown(tallied(found))} for key, found in grouped(copies, by).items()]


def growth_shown(points: Sequence[Point]) -> list[Json]:
    return [
        {
            "day": point.day.isoformat(),
            "master": number(point.master),
            "slave": number(point.slave),
        }
        for point in points
    ]


def _times(times: Latencies) -> Json:
    percentiles = {f"p{percent}": _ms(times.percentile(percent)) for percent in PERCENTILES}
    return {
        "of": times.count,
        "mean": round(times.total_us / times.count / 1000, 3),
        "least": _ms(times.least_us or 0),
        **percentiles,
        "most": _ms(times.most_us or 0),
    }


def _ms(us: int) -> float:
    return us / 1000


def _points(found: Sum) -> Json:
    mean = number(found.total / found.count) if found.count else None
    worst = None if found.worst is None else number(found.worst)
    return {"mean": mean, "worst": worst, **_of(found)}


def _costs(tally: Tally) -> Json:
    """By currency; `total` is of what is known."""
    currencies = sorted({name for money in tally.costs.values() for name in money.sums})
    found: Json = {}
    for currency in currencies:
        parts = {name: money.sums.get(currency, Sum()) for name, money in tally.costs.items()}
        total = sum((part.total for part in parts.values()), ZERO)
        known = any(part.count for part in parts.values())
        found[currency] = {
            **{name: _sum(part) for name, part in parts.items()},
            "total": number(total) if known else None,
        }
    return found


def _money(money: Money) -> Json:
    return {currency: _sum(found) for currency, found in sorted(money.sums.items())}


def _sum(found: Sum) -> Json:
    total: Decimal | None = found.total if found.count else None
    return {"total": None if total is None else number(total), **_of(found)}


def _of(found: Sum) -> Json:
    """Of how many it is, and why others are not in it."""
    without = dict(sorted(found.without.items()))
    return {"of": found.count, **({"without": without} if without else {})}
