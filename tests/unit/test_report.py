"""The page of an account: complete without a script, asks nobody for anything, the same for the same."""

from __future__ import annotations

import asyncio
import re
import tempfile
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from copypro import collections as c
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.errors import SettingsError
from copypro.ports import Upsert
from copypro.quality import grouped, shown, tallied
from copypro.quality.shape import groups_shown
from copypro.statistics.bars import Bar
from copypro.statistics.distribution import Distribution, growth_by_month, results_by_month
from copypro_standalone.report.charts import Column, Line, Scale, by_day, columns, lines
from copypro_standalone.report.facts import QUALITY_GROUPS, Facts, Quality, facts_of
from copypro_standalone.report.page import months, page
from copypro_standalone.report.text import length, plain

from tests.unit.test_quality import CLOSED as QUALITY_CLOSED
from tests.unit.test_quality import ROW as QUALITY_ROW
from tests.unit.test_quality import made as copied
from tests.unit.test_statistics import trade

EVIL = '<script>alert(1)</script><img src="https://evil.example/x.png">'
D = Decimal


def closed(number: int, day: int, profit: str, **more: Any) -> dict[str, Any]:
    return {
        "account": "a", "root": str(number), "ticket": number, "deal": number, "symbol": "EURUSD",
        "type": "Buy", "lots": "0.10", "open_price": "1.10000", "close_price": "1.10100",
        "open_time": f"2026-01-{day:02}T08:00:00.000", "closed_at": f"2026-01-{day:02}T12:00:00.000",
        "profit": profit, "comment": "", "flat": True, **more,
    }  # fmt: skip


ROWS = [
    closed(1, 5, "100.00", comment=EVIL, symbol=EVIL),
    closed(2, 6, "-40.00"),
    closed(3, 30, "0"),
]
DEPOSIT = {"account": "a", "ticket": 9, "kind": "Balance", "amount": "1000.00",
           "time": "2026-01-01T00:00:00.000"}  # fmt: skip


def facts(
    *rows: dict[str, Any],
    name: str = "Mine",
    deposit: bool = True,
    entry_cost: str = "0",
    still_open: dict[str, Any] | None = None,
) -> Facts:
    """As the read models tell them."""

    async def told() -> Facts:
        with tempfile.TemporaryDirectory() as folder:
            models = await SqliteReadModels.open(Path(folder))
            opened = rows if still_open is None else (*rows, still_open)
            moved = [D(row["profit"]) for row in rows] + [D(entry_cost)] * len(opened)
            balance = sum(moved, D(1000) if deposit else D(0))
            account = {"currency": "USD", "history": 1, "figures": {"balance": str(balance)}}
            registration = {"account": "a", "user": "u", "login": 77, "server": "Alpha", "name": name,
                            "platform": "MT4", "kind": "imported"}  # fmt: skip
            documents = [(c.ACCOUNTS, "a", account), (c.REGISTRATIONS, "r", registration)]
            if deposit:
                documents.append((c.OPERATIONS, "a/Balance/9/", DEPOSIT))
            documents += [(c.CLOSED_ORDERS, f"a/{row['ticket']}/1", row) for row in rows]
            documents += [
                (c.OPERATIONS, f"a/EntryCost/{row['root']}", entry(row, entry_cost))
                for row in opened
            ]
            await models.upsert(
                [
                    Upsert(collection=kind, id=id_, source="s", version=1, fields=fields)
                    for kind, id_, fields in documents
                ]
            )
            found = await facts_of(models, "77")
            with pytest.raises(SettingsError, match="no account 78"):
                await facts_of(models, "78")
            await models.close()
            return found

    return asyncio.run(told())


def entry(row: dict[str, Any], amount: str) -> dict[str, Any]:
    return {
        "account": "a", "ticket": row["deal"], "kind": "EntryCost", "amount": amount,
        "time": row["open_time"],
    }  # fmt: skip


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_whatever_a_trade_says_is_text_and_the_page_loads_nothing() -> None:
    html = page(facts(*ROWS, name=EVIL))
    tags = Tags(html).seen
    assert {tag for tag, _ in tags} & {"script", "img", "link", "iframe", "object", "a"} == set()
    assert not [at for _, at in tags if at.keys() & {"src", "href", "srcset", "onload", "onclick"}]
    assert not re.search(r"url\(|@import|<base", html)
    assert "&lt;script&gt;" in html


def test_the_same_account_gives_the_same_bytes() -> None:
    assert page(facts(*ROWS)).encode() == page(facts(*ROWS)).encode()


def test_the_page_has_the_account_s_figures() -> None:
    html = page(facts(*ROWS))
    for told in ("IMPORTED", "1,060.00", "+60.00", "30 Jan 2026", "2.50",
                 "66.7 %", "Equity was not recorded"):  # fmt: skip
        assert told in html, told
    best = html.index("Best trades")
    assert (
        html.index("+100.00", best) < html.index("−40.00", best) < html.index("Worst trades", best)
    )


def test_what_entries_cost_is_in_the_months_and_in_the_curve_as_in_the_net_profit() -> None:
    found = facts(*ROWS, entry_cost="-3.50")
    assert found.report.net_profit == D("49.50")
    assert list(found.steps) == [D("96.50"), D("-43.50"), D("-3.50")]
    assert results_by_month(found.report.bars) == {(2026, 1): D("49.50")}
    assert "<small>49.50</small>" in months(found)
    # An entry whose position is still open has no trade of its own yet.
    later = facts(*ROWS, entry_cost="-3.50", still_open=closed(4, 31, "0"))
    assert list(later.steps) == [D("96.50"), D("-43.50"), D("-7.00")]
    assert later.report.net_profit == D("46.00")


def test_an_account_without_trades_has_a_page_too() -> None:
    assert "No trade and no balance operation" in page(facts(deposit=False))
    assert "Total net profit" not in page(facts())


def test_copy_quality_is_on_the_page_and_escaped() -> None:
    row = {**QUALITY_ROW, "master_symbol": EVIL}
    copies = [copied(row, QUALITY_CLOSED), copied({**row, "slave_ticket": None, "outcome": "denied",
                                                   "code": EVIL})]  # fmt: skip
    points = [{"day": f"2026-03-0{n}", "master": float(n), "slave": None} for n in (1, 2)]
    quality = Quality(
        total=shown(tallied(copies)),
        by={by: groups_shown(grouped(copies, by)) for by in QUALITY_GROUPS},
        growth=[{"copierId": "c", "points": points}],
        labels={"c": f"{EVIL} → me"},
    )
    html = page(msgspec.structs.replace(facts(*ROWS), quality=quality))
    for told in ("50.0 %", "85.50", "2.00", "2026-03 · USD", "37.20", "Growth: &lt;script&gt;"):
        assert told in html, told
    assert "<script" not in html
    assert "<img" not in html


def test_a_long_history_is_thinned_and_loses_no_valley() -> None:
    values = [100.0] * 5_000
    values[2_345] = 1.0
    start = date(2010, 1, 1).toordinal()
    points = [(float(start + at), value) for at, value in enumerate(values)]
    drawn = lines("x", [Line(name="x", style="first", points=points)])
    points_drawn = re.search(r'points="([^"]*)"', drawn)
    assert points_drawn is not None
    places = [tuple(map(float, pair.split(","))) for pair in points_drawn[1].split()]
    assert len(places) < 1_000
    assert max(y for _, y in places) > 95


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 100, [0, 50, 100]), (-3, 7, [-5, 0, 5, 10]), (1.2, 1.3, [1.2, 1.25, 1.3]), (5, 5, None)],
)
def test_scales_rule_round_numbers_and_hold_every_value(
    low: float, high: float, ticks: list[float] | None
) -> None:
    scale = Scale(low, high)
    assert ticks is None or scale.ticks == ticks
    assert 0 <= scale.down(high) <= scale.down(low) <= 100


def test_too_little_history_says_so() -> None:
    one = Line(name="x", style="first", points=by_day([(date(2026, 1, 1), 1.0)]))
    assert "Too little history" in lines("x", [one])
    assert "Nothing yet" in columns("x", [Column(label="a", value=0.0, told="a")])


def test_results_are_spread_by_close_time_and_months_multiply_to_the_whole() -> None:
    spread = Distribution()
    spread.feed([trade("10", hour=1), trade("-4", hour=1), trade("0", hour=30)])
    found = spread.hours[trade("0", hour=1).closed_at.hour]
    assert (found.trades, found.wins, found.result) == (2, 1, 6)
    assert sum(day.trades for day in spread.weekdays) == 3
    bars = [
        bar(date(2026, 1, 5), "0.1"),
        bar(date(2026, 1, 9), "0.2"),
        bar(date(2026, 3, 1), "0.5"),
    ]
    assert growth_by_month(bars) == {(2026, 1): D("0.2"), (2026, 3): D("0.25")}


def bar(day: date, growth: str) -> Bar:
    return Bar(day, D(0), D(0), D(0), D(0), D(growth))


def test_numbers_for_people() -> None:
    assert [plain(D("-1234.565")), plain(D("-0.001")), plain(D(5), 0, sign=True)] == [
        "−1,234.57", "0.00", "+5",
    ]  # fmt: skip
    assert [length(D(s)) for s in (0, 59, 3_660, 200_000)] == [
        "0 s",
        "59 s",
        "1 h 1 min",
        "2 d 7 h",
    ]
