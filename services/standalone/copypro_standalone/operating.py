"""What an operator looks at: attempts that nobody could settle, and alerts. Read-only."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from copypro import collections, wiring
from copypro.ports import Document
from rich.console import Console
from rich.table import Table

from copypro_standalone import door, story
from copypro_standalone.explaining import NotFound, facts


def unresolved(folder: Path, *, as_json: bool) -> int:
    """Errors: LogCorrupt."""
    found = asyncio.run(_find(folder, collections.UNRESOLVED, {"open": True}))
    return _show(found, as_json, "no attempt is unresolved")


def alerts(folder: Path, *, every: bool, as_json: bool) -> int:
    """Errors: LogCorrupt."""
    where: dict[str, bool] = {} if every else {"open": True}
    found = asyncio.run(_find(folder, collections.ALERTS, where))
    return _show(found, as_json, "no alerts")


async def settle(folder: Path, attempt: str | None, account: str | None, ticket: int | None) -> str:
    """What was settled, in a line. Errors: NoDoor, NotFound, RestError, Unreachable."""
    if attempt is not None:
        listed = await _find(folder, collections.UNRESOLVED, {"open": True})
        found = next((one for one in listed if attempt in (one["id"], one.get("attempt"))), None)
        if found is None:
            raise NotFound(f"no unresolved attempt {attempt}: see `copypro unresolved`")
        attempt, key = str(found.get("attempt") or found["id"]), str(found["account"])
    else:
        known = story.accounts(facts(folder))
        candidates = story.named(account or "", known)
        if len(candidates) != 1:
            raise NotFound(f"{len(candidates)} accounts are known by {account}: give its id")
        key = candidates[0].id
    wish = {"account": key, "attempt": attempt, "ticket": ticket, "by": door.me()}
    answer = await door.settle(door.read_door(folder), wish)
    if "command" in answer:
        return f"accepted as {answer['command']}; its outcome is not known yet"
    return f"settled: {answer['settled']}"


async def _find(folder: Path, collection: str, where: dict[str, bool]) -> list[Document]:
    read_models = wiring.open_read_models(folder)
    try:
        return await read_models.find(collection, where, limit=10_000)
    finally:
        await read_models.close()


def _show(found: list[Document], as_json: bool, nothing: str) -> int:
    if as_json:
        print(msgspec.json.encode(found).decode())
        return 0
    console = Console()
    if not found:
        console.print(nothing)
    for document in found:
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, value in document.items():
            if value not in (None, "", {}, []):
                table.add_row(f"[cyan]{name}[/]", str(value))
        console.print(table)
        console.print()
    return 0
