"""A copier's decisions out of the read models, in pages, each joined with how its positions ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct

from copypro import account_history
from copypro import collections as c
from copypro.account_history import is_current, pages, report_of
from copypro.pieces import in_pieces
from copypro.ports import ReadModels
from copypro.quality.answers import CopiersQuality, Growth, GrowthPoint
from copypro.quality.documents import (
    Ended,
    Side,
    copy_of,
    ended_by,
    is_decision,
    opening_legs,
)
from copypro.quality.facts import GROUPS, Copy
from copypro.quality.growth import Curve, side_by_side
from copypro.quality.shape import groups_shown, growth_shown, shown
from copypro.quality.tally import Tally
from copypro.statistics.bars import growth_by_day

Doc = dict[str, Any]
MOST = 200_000
"""Decisions of one copier in one answer: what is joined is held in memory."""
_CLOCKS = timedelta(days=1)
"""A broker's clock and UTC are never further apart."""


class Version(Struct, frozen=True):
    """Moves with anything that a copier's quality is made of."""

    decided: int | None
    executed: int | None
    master: tuple[object, str | None]
    slave: tuple[object, str | None]
    """Of both accounts, as their statistics have it: growth follows from the balance too."""


async def version_of(models: ReadModels, copier: Mapping[str, Any]) -> Version:
    moved: Doc = await models.get(c.COPY_QUALITY, str(copier["id"])) or {}
    master: Doc = await models.get(c.ACCOUNTS, str(copier["master"])) or {}
    slave: Doc = await models.get(c.ACCOUNTS, str(copier["slave"])) or {}
    return Version(
        decided=moved.get("decided"),
        executed=moved.get("executed"),
        master=account_history.version_of(master),
        slave=account_history.version_of(slave),
    )


async def copies_of(
    models: ReadModels,
    copier: Mapping[str, Any],
    since: str = "",
    until: str | None = None,
    most: int = MOST,
) -> list[Copy] | None:
    """Decisions in [since, until), UTC as the trade logs write it. None: there are more than `most`."""
    rows: list[Doc] = []
    whose = {"copier": str(copier["id"])}
    async for page in pages(models, c.TRADE_LOGS, whose, "time", since, until):
        rows.extend(row for row in page if is_decision(row))
        if len(rows) > most:
            return None
    if not rows:
        return []
    first = datetime.fromisoformat(min(str(row["seen_at"]) for row in rows))
    start = (first - _CLOCKS).replace(tzinfo=None).isoformat(timespec="milliseconds")
    master = await _side(models, copier, "master", "root", start)
    slave = await _side(models, copier, "slave", "opened_as", start)
    name = str(copier["id"])
    opened_by = opening_legs([*rows, *await _earlier_legs(models, rows)])
    return [
        copy_of(row, name, master, slave, opened_by)
        async for piece in in_pieces(rows)
        for row in piece
    ]


async def _earlier_legs(models: ReadModels, rows: Sequence[Doc]) -> list[Doc]:
    """Of the trades that some of the rows added to: their legs from before the rows begin."""
    known = {str(row["id"]) for row in rows}
    wanted = {
        f"{row['copy']}.{leg}.open"
        for row in rows
        if row.get("slave_ticket") is not None
        for leg in range(int(row["leg"]))
    }
    missing = wanted - known
    return list((await models.get_many(c.TRADE_LOGS, missing)).values()) if missing else []


async def _side(
    models: ReadModels, copier: Mapping[str, Any], role: str, field: str, since: str
) -> Side:
    account = str(copier[role])
    state: Doc = await models.get(c.ACCOUNTS, account) or {}
    ended: dict[Any, Ended] = {}
    async for page in pages(models, c.CLOSED_ORDERS, {"account": account}, "closed_at", since):
        ended_by(field, page, ended)
    return Side(
        name=str(copier[f"{role}_registration"]),
        server=str(state.get("server") or ""),
        currency=str(state.get("currency") or ""),
        ended=ended,
    )


async def growth_of(models: ReadModels, account: str) -> Curve:
    """As kept beside the account's statistics where that is current, else made from its history."""
    state: Doc = await models.get(c.ACCOUNTS, account) or {}
    kept: Any = await models.get(c.TRADE_STATS, account) or {}
    if "growth" in kept and is_current(kept, state):
        return [(date.fromisoformat(day), Decimal(factor)) for day, factor in kept["growth"]]
    return growth_by_day((await report_of(models, account)).bars)


async def decisions_of(
    models: ReadModels,
    copiers: Sequence[Mapping[str, Any]],
    since: str = "",
    until: str | None = None,
) -> list[Copy] | None:
    """Of all of them together. None: there are too many for one answer."""
    copies: list[Copy] = []
    for copier in copiers:
        found = await copies_of(models, copier, since, until, MOST - len(copies))
        if found is None:
            return None
        copies.extend(found)
    return copies


async def quality_of(
    models: ReadModels,
    copiers: Sequence[Mapping[str, Any]],
    by: str | None = None,
    since: str = "",
    until: str | None = None,
) -> CopiersQuality | None:
    """All of them together, and by group where `by` names one of GROUPS; growth of each pair from its
    start (or `since`) on. None: there are too many decisions for one answer.
    """
    copies = await decisions_of(models, copiers, since, until)
    if copies is None:
        return None
    total, groups = Tally(), dict[str, Tally]()
    async for piece in in_pieces(copies):
        for copy in piece:
            total.add(copy)
            if by is not None:
                groups.setdefault(GROUPS[by](copy), Tally()).add(copy)
    return {
        "copiers": [str(copier["id"]) for copier in copiers],
        "total": shown(total),
        "groupBy": by,
        "groups": groups_shown(groups),
        "growth": await growths_of(models, copiers, since),
    }


async def growths_of(
    models: ReadModels, copiers: Sequence[Mapping[str, Any]], since: str = ""
) -> list[Growth]:
    return [
        {"copierId": str(copier["id"]), "points": await _side_by_side(models, copier, since)}
        for copier in copiers
    ]


async def _side_by_side(
    models: ReadModels, copier: Mapping[str, Any], since: str
) -> list[GrowthPoint]:
    first = max(since, str(copier.get("started_at") or ""))
    if not first:
        return []
    master = await growth_of(models, str(copier["master"]))
    slave = await growth_of(models, str(copier["slave"]))
    return growth_shown(side_by_side(master, slave, date.fromisoformat(first[:10])))


async def copiers_of(models: ReadModels, registration: Mapping[str, Any]) -> list[Doc]:
    """Those in which this entry for an account is the master or the slave; by their ids."""
    found: dict[str, Doc] = {}
    for role in ("master", "slave"):
        for doc in await models.find(c.COPIERS, {role: str(registration["account"])}, limit=None):
            if doc[f"{role}_registration"] == registration["id"]:
                found[str(doc["id"])] = doc
    return [doc for _, doc in sorted(found.items())]
