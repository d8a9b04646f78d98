"""What only a copier knows, on the page of its master or its slave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

from copypro_standalone.report.charts import Column, Line, by_day, columns, lines
from copypro_standalone.report.facts import Quality
from copypro_standalone.report.parts import card, table, tiles
from copypro_standalone.report.text import NONE, coloured, plain, shown

Doc = Mapping[str, Any]
LEGS = {
    "seenToPlanned": "seen → planned",
    "plannedToSent": "planned → sent",
    "sentToFilled": "sent → filled (the broker)",
    "filledToRecorded": "filled → recorded",
    "seenToFilled": "seen → filled, altogether",
}
COSTS = ("spread", "slippage", "commission", "swap")


def cards(quality: Quality) -> Iterator[str]:
    total = quality.total
    yield card("Copy quality", _summary(total) + _latency(total), NOTE)
    grown = [growth for growth in quality.growth if len(growth["points"]) > 1]
    side_by_side = "".join(
        card(f"Growth: {escape(quality.labels[g['copierId']])}", _growth(g["points"]), kind="short")
        for g in grown
    )
    yield f'<div class="two">{side_by_side}</div>\n' if len(grown) > 1 else side_by_side
    yield _hours(quality.by["hour"])
    costs = _costs(quality.by["month"])
    if costs:
        yield card("What copying cost, by month", costs)
    yield card("Copies by symbol", _groups(quality.by["symbol"], "Symbol"))
    if total["missed"]:
        yield card("Not copied, and what the master made of it", _missed(total["missed"]))


_IDLE: Doc = {"latencyMs": {}, "slippagePoints": {"mean": None}}


def _hours(groups: Sequence[Doc]) -> str:
    """Half are filled within, and slippage, by the hour of the day."""
    by_hour = {group["key"]: group for group in groups}
    hours = [(f"{hour:02}", by_hour.get(f"{hour:02}", _IDLE)) for hour in range(24)]

    def column(hour: str, value: float | None, unit: str) -> Column:
        told = "nothing copied" if value is None else f"{plain(value)} {unit}"
        return Column(label=hour, value=value or 0.0, told=f"{hour}:00 UTC: {told}")

    times = [
        column(hour, group["latencyMs"].get("seenToFilled", {}).get("p50"), "ms")
        for hour, group in hours
    ]
    slips = [column(hour, group["slippagePoints"]["mean"], "points") for hour, group in hours]
    took = columns("Time to fill by hour", times, every=3, plain_style=True)
    slipped = columns("Slippage by hour", slips, every=3, plain_style=True)
    return (
        '<div class="two">'
        + card("Half filled within, ms, by hour (UTC)", took, kind="short")
        + card("Slippage, points, by hour (UTC)", slipped, kind="short")
        + "</div>\n"
    )


NOTE = (
    "From what was recorded when it happened. Slippage is the fill against the master's price with the"
    " feeds' difference taken out, positive is worse; costs are positive where money was lost."
)


def _summary(total: Doc) -> str:
    share = total["shareCopied"]
    whole = total["latencyMs"].get("seenToFilled", {})
    points = total["slippagePoints"]
    cells = (
        ("Copied", shown(share, 1, " %"), f"{total['copied']:,} of {total['decided']:,} decisions"),
        ("Half are filled within", shown(whole.get("p50"), 1, " ms"), "from seen to filled"),
        ("19 of 20 within", shown(whole.get("p95"), 1, " ms"), "from seen to filled"),
        ("Slippage", shown(points["mean"], 2), f"points on average, of {points['of']:,}"),
    )
    return tiles(cells)


def _latency(total: Doc) -> str:
    rows = [
        (name, *(plain(times[of], 2) for of in ("mean", "p50", "p95", "p99", "most")))
        for leg, name in LEGS.items()
        if (times := total["latencyMs"].get(leg))
    ]
    if not rows:
        return ""
    return "<h3>Latency, ms</h3>" + table(("Leg", "mean", "p50", "p95", "p99", "most"), rows)


def _growth(points: Sequence[Doc]) -> str:
    drawn = [
        Line(
            name=name,
            style=style,
            points=by_day(
                (date.fromisoformat(point["day"]), point[side])
                for point in points
                if point[side] is not None
            ),
        )
        for side, name, style in (("master", "Master", "first"), ("slave", "Slave", "second"))
    ]
    return lines("Growth of master and slave", drawn, " %", from_zero=True)


def _costs(groups: Sequence[Doc]) -> str:
    rows = []
    for group in groups:
        for currency, cost in group["cost"].items():
            parts = (_known(cost[name]) for name in COSTS)
            profit = group["profit"].get(currency, {}).get("total")
            rows.append(
                (
                    escape(f"{group['key']} · {currency}"),
                    *parts,
                    shown(cost["total"]),
                    coloured(profit),
                )
            )
    head = ("Month", "Spread", "Slippage", "Commission", "Swap", "Cost", "Slave's result")
    return table(head, rows) if rows else ""


def _known(found: Doc) -> str:
    """Less than all is said when it is pointed at."""
    value = shown(found["total"])
    without = ", ".join(f"{count}: {why}" for why, count in found.get("without", {}).items())
    return f'<span title="{escape(without)}">{value}</span>' if without else value


def _groups(groups: Sequence[Doc], what: str) -> str:
    rows = []
    for group in groups:
        times = group["latencyMs"].get("seenToFilled", {})
        rows.append(
            (
                escape(group["key"]),
                f"{group['decided']:,}",
                shown(group["shareCopied"], 1, " %"),
                shown(times.get("p50"), 1),
                shown(group["slippagePoints"]["mean"], 2),
                " ".join(f"{shown(c['total'])} {escape(n)}" for n, c in group["cost"].items())
                or NONE,
            )
        )
    return table((what, "Decisions", "Copied", "p50, ms", "Slippage, points", "Cost"), rows)


def _missed(missed: Sequence[Doc]) -> str:
    rows = []
    for found in missed:
        results = [
            f"{coloured(result['total'])} {escape(currency)}"
            for currency, result in found["masterResult"].items()
        ]
        rows.append((escape(found["code"]), f"{found['trades']:,}", " ".join(results) or NONE))
    return table(("Code", "Trades", "Master's result"), rows)
