"""What an operator looks at: attempts that nobody could settle, and alerts. Read-only."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from copypro import collections, wiring
from copypro.ports import Document
from rich.console import Console
from rich.table import Table


def unresolved(folder: Path, *, as_json: bool) -> int:
    """Errors: LogCorrupt."""
    found = asyncio.run(_find(folder, collections.UNRESOLVED, {"open": True}))
    return _show(found, as_json, "no attempt is unresolved")


def alerts(folder: Path, *, every: bool, as_json: bool) -> int:
    """Errors: LogCorrupt."""
    where: dict[str, bool] = {} if every else {"open": True}
    found = asyncio.run(_find(folder, collections.ALERTS, where))
    return _show(found, as_json, "no alerts")


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
