"""Everything that a report tells, out of the read models."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from copypro import collections as c
from copypro.account_history import (
    FIRST,
    listed_ticket_of,
    open_price_of,
    operations_of,
    pages,
    report_of,
    trade_of,
)
from copypro.copy_history import copiers_of, decisions_of, growths_of
from copypro.errors import SettingsError
from copypro.ports import ReadModels
from copypro.quality import answers, grouped, shown, tallied
from copypro.quality.shape import groups_shown
from copypro.statistics.distribution import Distribution
from copypro.statistics.facts import ZERO, Entry, Record, Trade, in_order, moves_balance
from copypro.statistics.report import Report
from msgspec import Struct

Doc = dict[str, Any]
SHOWN_TRADES = 8
MOST_RESULTS = 2_000
QUALITY_GROUPS = ("symbol", "hour", "month")


class Shown(Struct, frozen=True, kw_only=True):
    """A trade of the tables of best and worst ones."""

    closed_at: str
    ticket: int
    symbol: str
    side: str
    lots: str
    open_price: str
    close_price: str
    result: Decimal
    comment: str


class Quality(Struct, frozen=True, kw_only=True):
    """Of the copiers in which the account is master or slave, as JSON has it."""

    total: answers.Quality
    by: dict[str, list[answers.QualityGroup]]
    growth: list[answers.Growth]
    labels: dict[str, str]
    """Of the copiers, for people: master → slave."""


class Facts(Struct, frozen=True, kw_only=True):
    name: str
    login: int
    server: str
    platform: str
    is_imported: bool
    is_simulated: bool
    currency: str
    since: str
    """Results from here on, by close time; empty: all of them."""
    report: Report
    distribution: Distribution
    steps: Sequence[Decimal]
    """By how much each trade moves the curve, in order, what entries cost included; empty where there
    are more than a curve by trade can show.
    """
    best: Sequence[Shown]
    worst: Sequence[Shown]
    quality: Quality | None
    """None: nothing was decided about it."""


async def facts_of(
    models: ReadModels, account: str, since: str = FIRST, *, simulated: bool = False
) -> Facts:
    """`account`: a login, a registration's id or an account's. Errors: SettingsError for none or many."""
    registration = await _registration(models, account)
    id_ = str(registration["account"])
    state: Doc = await models.get(c.ACCOUNTS, id_) or {}
    platform = str(registration.get("platform") or "")
    distribution, best, worst = Distribution(), _Extremes(1, platform), _Extremes(-1, platform)
    curve: list[Trade] = []
    async for docs in pages(models, c.CLOSED_ORDERS, {"account": id_}, "closed_at", since):
        trades = [trade_of(doc, platform) for doc in docs]
        distribution.feed(trades)
        curve.extend(trades[: MOST_RESULTS + 1 - len(curve)])
        results = [trade.result for trade in trades]
        best.add(results, docs)
        worst.add(results, docs)
    return Facts(
        name=str(registration.get("name") or ""),
        login=int(registration.get("login") or 0),
        server=str(registration.get("server") or ""),
        platform=platform,
        is_imported=registration.get("kind") == "imported",
        is_simulated=simulated,
        currency=str(state.get("currency") or ""),
        since=since,
        report=await report_of(models, id_, since),
        distribution=distribution,
        steps=[] if len(curve) > MOST_RESULTS else await _steps(models, id_, since, curve),
        best=best.found(),
        worst=worst.found(),
        quality=await _quality(models, registration, since),
    )


async def _steps(
    models: ReadModels, account: str, since: str, trades: Sequence[Trade]
) -> list[Decimal]:
    """What an entry cost goes with the next trade that closes, or with the last one."""
    entries: list[Record] = []
    async for docs in pages(models, c.OPERATIONS, {"account": account}, "time", since):
        entries.extend(one for one in operations_of(docs) if isinstance(one, Entry))
    steps: list[Decimal] = []
    owed = ZERO
    for record in in_order([*trades, *entries]):
        owed += moves_balance(record)
        if isinstance(record, Trade):
            steps.append(owed)
            owed = ZERO
    if steps:
        steps[-1] += owed
    return steps


async def _registration(models: ReadModels, account: str) -> Doc:
    """The same account may be registered by several users: any one of them shows the same."""
    direct: Doc | None = await models.get(c.REGISTRATIONS, account)
    if direct is not None:
        return direct
    found: list[Doc] = await models.find(c.REGISTRATIONS, limit=None)
    matching = [d for d in found if account in (str(d.get("login")), str(d.get("account")))]
    accounts = sorted({f"{d['server']} {d['login']}: {d['id']}" for d in matching})
    if len({d["account"] for d in matching}) > 1:
        text = f"{account} is the login of several accounts: name one of {', '.join(accounts)}"
        raise SettingsError(text)
    if not matching:
        raise SettingsError(f"no account {account}: give its login, or its id as Accounts shows it")
    return min(matching, key=lambda doc: str(doc["id"]))


async def _quality(models: ReadModels, registration: Doc, since: str) -> Quality | None:
    copiers = await copiers_of(models, registration)
    copies = await decisions_of(models, copiers, since)
    if not copies:
        return None
    labels: dict[str, str] = {}
    for copier in copiers:
        sides = [
            await models.get(c.REGISTRATIONS, str(copier[f"{role}_registration"])) or {}
            for role in ("master", "slave")
        ]
        labels[str(copier["id"])] = " → ".join(
            str(side.get("name") or side.get("login") or "?") for side in sides
        )
    return Quality(
        total=shown(tallied(copies)),
        by={name: groups_shown(grouped(copies, name)) for name in QUALITY_GROUPS},
        growth=await growths_of(models, copiers, since),
        labels=labels,
    )


class _Extremes:
    """The highest results (`sign` 1) or the lowest (-1), of equal ones the earliest."""

    def __init__(self, sign: int, platform: str) -> None:
        self._sign, self._platform, self._count = sign, platform, 0
        self._heap: list[tuple[Decimal, int, Doc]] = []

    def add(self, results: Iterable[Decimal], docs: Iterable[Doc]) -> None:
        for result, doc in zip(results, docs, strict=True):
            self._count += 1
            entry = (self._sign * result, -self._count, doc)
            if len(self._heap) < SHOWN_TRADES:
                heapq.heappush(self._heap, entry)
            elif entry[:2] > self._heap[0][:2]:
                heapq.heapreplace(self._heap, entry)

    def found(self) -> list[Shown]:
        ordered = sorted(self._heap, key=lambda entry: entry[:2], reverse=True)
        return [_shown(self._sign * worth, doc, self._platform) for worth, _, doc in ordered]


def _shown(result: Decimal, doc: Doc, platform: str) -> Shown:
    opened = open_price_of(doc)
    return Shown(
        closed_at=str(doc["closed_at"])[:16].replace("T", " "),
        ticket=listed_ticket_of(doc, platform),
        symbol=str(doc.get("symbol") or ""),
        side=str(doc.get("type") or ""),
        lots=str(doc["lots"]),
        open_price="" if opened is None else f"{opened:f}",
        close_price=str(doc["close_price"]),
        result=result,
        comment=str(doc.get("comment") or ""),
    )
