"""Reads the data folder while the program runs, and shows what it says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from copypro import topics
from copypro.envelope import decode
from copypro.letters import open_letters
from copypro.messages import AccountRegistered
from copypro.ports import Record
from copypro.wiring import read_log, read_models
from rich.console import Console

from copypro_standalone.story import Read, Story, find_root, tell

_STYLES = {"master": "cyan", "decision": "yellow", "slave": "green"}


def story_of(data: Path, account: str, ticket: int) -> Story | None:
    """Errors: LogCorrupt for a folder that is not ours."""
    log = read_log(data)

    def read(topic: topics.Topic) -> list[Read]:
        records: list[Record] = list(log.records(topic.name))
        return [(record, decode(record)) for record in records]

    orders, executions = read(topics.ORDER_EVENTS), read(topics.EXECUTIONS)
    accounts: set[str] = {
        event.account
        for _, envelope in orders
        if isinstance(event := envelope.message, AccountRegistered)
        and account in (event.account, event.registration, str(event.login))
    }
    found = find_root(orders, executions, accounts or {account}, ticket)
    if found is None:
        return None
    return tell(orders, read(topics.COPIER_EVENTS), executions, *found)


def as_json(story: Story) -> str:
    return msgspec.json.encode(story).decode()


def show(story: Story) -> None:
    console = Console()
    console.print(f"[bold]root {story.root} of master {story.master}[/]")
    begun = story.lines[0].at if story.lines else None
    for line in story.lines:
        assert begun is not None
        after = (line.at - begun).total_seconds() * 1000
        style = _STYLES[line.what]
        copier = f" \\[copier {line.copier[:8]}]" if line.copier else ""
        console.print(
            f"{line.at:%Y-%m-%d %H:%M:%S.%f} [dim]+{after:9.2f} ms[/] [{style}]{line.what:8}[/]"
            f"{copier} {line.text}",
            highlight=False,
        )
        if line.numbers:
            shown = "  ".join(f"{name}={value}" for name, value in line.numbers.items())
            console.print(f"    [dim]{shown}[/]", highlight=False)
    for copy, legs in story.legs_ms.items():
        if legs:
            shown = "  ".join(f"{name} {ms:.2f} ms" for name, ms in legs.items())
            console.print(f"[bold]copy {copy[:8]}[/] {shown}", highlight=False)


def letter_rows(data: Path) -> list[dict[str, Any]]:
    """Errors: LogCorrupt for a folder that is not ours, BadRecord for letters of a newer version."""
    records = read_log(data).records(topics.DEAD_LETTERS.name)
    return [
        {
            "topic": letter.letter.topic,
            "partition": letter.letter.partition,
            "offset": letter.letter.offset,
            "key": letter.letter.key,
            "type": letter.letter.headers.get("type", "a record without a type"),
            "written_at": letter.written_at.isoformat(),
            "reason": letter.letter.reason,
        }
        for letter in open_letters(records)
    ]


def open_rows(data: Path, collection: str) -> list[dict[str, Any]]:
    read_log(data)  # the folder is ours, or a clear error says that it is not

    async def find() -> list[dict[str, Any]]:
        models = read_models(data)
        try:
            return await models.find(collection, {"open": True})
        finally:
            await models.close()

    return asyncio.run(find())


def one_line(row: dict[str, Any]) -> str:
    shown = {name: value for name, value in row.items() if name not in ("id", "open")}
    return f"{row['id']}: " + "  ".join(f"{name}={value}" for name, value in shown.items())
