"""Reads the data folder while the program runs, and shows what it says."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from copypro import topics
from copypro.envelope import decode
from copypro.letters import open_letters_of
from copypro.messages import AccountRegistered
from copypro.ports import Document, LogHistory
from copypro.settings import Settings
from copypro.wiring import open_history, open_models
from rich.console import Console

from copypro_standalone.story import Read, Story, find_root, tell

_STYLES = {"master": "cyan", "decision": "yellow", "slave": "green"}


async def story_of(settings: Settings, account: str, ticket: int) -> Story | None:
    """Errors: LogCorrupt for a folder that is not ours, or Kafka's."""
    history = open_history(settings)
    orders = await _all(history, topics.ORDER_EVENTS)
    executions = await _all(history, topics.EXECUTIONS)
    accounts: set[str] = {
        event.account
        for _, envelope in orders
        if isinstance(event := envelope.message, AccountRegistered)
        and account in (event.account, event.registration, str(event.login))
    }
    found = find_root(orders, executions, accounts or {account}, ticket)
    if found is None:
        return None
    return tell(orders, await _all(history, topics.COPIER_EVENTS), executions, *found)


async def _all(history: LogHistory, topic: topics.Topic) -> list[Read]:
    spans = await history.spans(topic)
    return [
        (record, decode(record))
        async for batch in history.records(topic, spans)
        for record in batch
    ]


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


async def letter_rows(settings: Settings) -> list[dict[str, Any]]:
    """Errors: LogCorrupt for a folder that is not ours, BadRecord for letters of a newer version."""
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
        for letter in await open_letters_of(open_history(settings))
    ]


def open_rows(settings: Settings, collection: str) -> list[Document]:
    async def find() -> list[Document]:
        async with open_models(settings) as models:
            return await models.find(collection, {"open": True})

    return asyncio.run(find())


def one_line(row: dict[str, Any]) -> str:
    shown = {name: value for name, value in row.items() if name not in ("id", "open")}
    return f"{row['id']}: " + "  ".join(f"{name}={value}" for name, value in shown.items())
