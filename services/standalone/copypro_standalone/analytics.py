"""`copypro report` and `copypro quality`: what the data folder says, also while the program runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from copypro_standalone.arguments import AsJson, Data, fail, write

if TYPE_CHECKING:
    from copypro.ports import Document
    from copypro.quality.answers import CopiersQuality, CopyCosts, MoneyTotal, Quality
    from copypro.settings import Settings


class GroupBy(StrEnum):
    COPIER = "copier"
    SLAVE = "slave"
    BROKER = "broker"
    SYMBOL = "symbol"
    HOUR = "hour"
    MONTH = "month"


Since = Annotated[str, typer.Option("--from", help="a day, like 2026-01-31")]


def report(
    account: Annotated[str, typer.Argument(help="login, registration id or account id")],
    out: Annotated[Path | None, typer.Option(help="the file; else report-LOGIN.html")] = None,
    since: Since = "",
    pdf: Annotated[bool, typer.Option("--pdf", help="beside it, as PDF")] = False,
    png: Annotated[bool, typer.Option("--png", help="beside it, as picture")] = False,
    data: Data = Path(".copypro"),
) -> None:
    """An account on one page: curves, months, distributions, statistics, copy quality.

    One HTML file that loads nothing, of a live or an imported account. The same data give the same
    bytes. --pdf and --png need the extra `report` of the package and a Chromium.
    """
    from copypro.errors import CopyProError
    from copypro.settings import load

    from copypro_standalone.report import printing

    try:
        login, html = asyncio.run(_page(load(data), account, _day(since)))
        path = out or Path(f"report-{login}.html")
        write(path, html)
        typer.echo(path)
        for wanted, ending, print_it in (
            (pdf, ".pdf", printing.print_pdf),
            (png, ".png", printing.print_png),
        ):
            if wanted:
                print_it(html, path.with_suffix(ending))
                typer.echo(path.with_suffix(ending))
    except OSError as error:
        fail(f"{error.filename} cannot be written: {error.strerror}")
    except CopyProError as error:
        fail(error)


async def _page(settings: Settings, account: str, since: str) -> tuple[int, str]:
    from copypro.wiring import open_models

    from copypro_standalone.report.facts import facts_of
    from copypro_standalone.report.page import page

    async with open_models(settings) as models:
        facts = await facts_of(models, account, since, simulated=settings.simulated)
    return facts.login, page(facts)


def quality(
    copier: Annotated[str, typer.Option(help="a copier's id; else all of them")] = "",
    by: Annotated[GroupBy | None, typer.Option(help="the same for each group")] = None,
    since: Since = "",
    data: Data = Path(".copypro"),
    as_json: AsJson = False,
) -> None:
    """What only a copier knows: share copied, latency, slippage, costs, what refusals missed."""
    from copypro.errors import CopyProError
    from copypro.settings import load

    try:
        found, names = asyncio.run(_quality(load(data), copier, by, _day(since)))
    except CopyProError as error:
        fail(error)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _show(found, names)


async def _quality(
    settings: Settings, copier: str, by: GroupBy | None, since: str
) -> tuple[CopiersQuality, dict[str, str]]:
    """And, by its id, who each copier and slave is."""
    from copypro import collections as c
    from copypro.copy_history import MOST, quality_of
    from copypro.errors import SettingsError
    from copypro.wiring import open_models

    async with open_models(settings) as models:
        copiers = await models.find(c.COPIERS, limit=None)
        if copier:
            copiers = [doc for doc in copiers if doc["id"] == copier]
        if not copiers:
            unknown = f"there is no copier {copier}: give an id as UserCopiers shows it"
            raise SettingsError(unknown if copier else "no copier was started yet")
        found = await quality_of(models, copiers, None if by is None else by.value, since)
        ids = {str(doc[role]) for doc in copiers for role in ("master", "slave")}
        accounts = await models.get_many(c.ACCOUNTS, ids)
    if found is None:
        raise SettingsError(f"there are more than {MOST:,} decisions: give --from or --copier")
    return found, _names(copiers, accounts)


def _names(copiers: Sequence[Document], accounts: Mapping[str, Document]) -> dict[str, str]:
    known = {id_: f"{doc.get('login')}@{doc.get('server')}" for id_, doc in accounts.items()}
    names: dict[str, str] = {}
    for copier in copiers:
        master, slave = (known.get(str(copier[role]), "?") for role in ("master", "slave"))
        names[str(copier["id"])] = f"{master} → {slave}"
        names[str(copier["slave_registration"])] = slave
    return names


def _day(since: str) -> str:
    """Errors: CopyProError with what a day looks like."""
    from datetime import date

    from copypro.errors import SettingsError

    if not since:
        return since
    try:
        return date.fromisoformat(since).isoformat()
    except ValueError:
        raise SettingsError(f"--from {since}: give a day like 2026-01-31") from None


def _show(found: CopiersQuality, names: Mapping[str, str]) -> None:
    """An id has the name that stands for it above it, and is never cut: it may be asked for."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    head = ("decided", "refused", "copied %", "p50 ms", "p95 ms", "slippage points", "cost")
    rows = [(_named(group["key"], names), group) for group in found["groups"]]
    table = Table(Column("", overflow="fold"), *head)
    for key, tally in (*rows, ("all", found["total"])):
        table.add_row(escape(key), *_cells(tally))
    refusals = Table("not copied", "trades", "the master made of them")
    for missed in found["total"]["missed"]:
        made = _money(missed["masterResult"])
        refusals.add_row(escape(missed["code"]), str(missed["trades"]), made or "-")
    console = Console(emoji=False)
    console.print(table)
    if found["total"]["missed"]:
        console.print(refusals)


def _named(key: str, names: Mapping[str, str]) -> str:
    return f"{names[key]}\n{key}" if key in names else key


def _cells(tally: Quality) -> tuple[str, ...]:
    times = tally["latencyMs"].get("seenToFilled")
    half, nearly_all = (times["p50"], times["p95"]) if times else (None, None)
    numbers = (tally["shareCopied"], half, nearly_all)
    shown = ["-" if number is None else f"{number:.1f}" for number in numbers]
    mean = tally["slippagePoints"]["mean"]
    slippage = "-" if mean is None else f"{mean:z.2f}"
    counts = (str(tally["decided"]), str(tally["refused"]))
    return *counts, *shown, slippage, _money(tally["cost"]) or "-"


def _money(by_currency: Mapping[str, MoneyTotal | CopyCosts]) -> str:
    known = {currency: found["total"] for currency, found in by_currency.items()}
    return ", ".join(f"{t:z.2f} {currency}" for currency, t in known.items() if t is not None)
