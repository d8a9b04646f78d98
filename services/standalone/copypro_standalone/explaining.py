"""Reads the data folder while the program runs, and shows what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Set
from typing import Any

import msgspec
from copypro import collections as c
from copypro import topics
from copypro.dead_letters import open_letters_of
from copypro.envelope import decode
from copypro.messages import AccountRegistered, EquityProtectorTriggered, HistoryImported
from copypro.ports import Document, LogHistory, Record
from copypro.settings import Settings
from copypro.wiring import open_history, open_models
from rich.console import Console
from rich.text import Text

from copypro_standalone.logs import printable
from copypro_standalone.story import (
    Line,
    Read,
    Story,
    by_itself,
    copies_of,
    find_root,
    origin_of,
    tell,
    tickets_of,
)

_STYLES = {"master": "cyan", "decision": "yellow", "slave": "green"}


async def story_of(settings: Settings, account: str, ticket: int) -> Story | str:
    """Text: why there is none. Errors: LogCorrupt for a folder that is not ours, or Kafka's. However much
    the log holds, only what may belong to the story is decoded and kept.
    """
    search = _Search(open_history(settings))
    of_ticket = {str(ticket).encode()}
    orders = await search.holding(topics.ORDER_EVENTS, of_ticket, _REGISTERED | _TRIPPED)
    copies = {copy.encode() for _, e in orders if (copy := getattr(e.message, "copy", None))}
    executions = await search.holding(topics.EXECUTIONS, of_ticket | copies)
    accounts: dict[str, str] = {
        event.account: f"{event.server} {event.login}"
        for _, envelope in orders
        if isinstance(event := envelope.message, AccountRegistered | HistoryImported)
        and account in (event.account, event.registration, str(event.login))
    }
    roots = {each: find_root(orders, executions, each, ticket) for each in accounts or {account}}
    having = {each: root for each, root in roots.items() if root is not None}
    if len(set(having.values())) > 1:
        several = ", ".join(sorted(f"{accounts[each]}: {each}" for each in having))
        return f"{account} is the login of several accounts with a ticket {ticket}: name one of {several}"
    if not having and not accounts:
        names = (
            "a login, a registration id (as Accounts shows it) or an account id (as the log does)"
        )
        return f"{settings.log_place} knows no account {account}: give {names}"
    if not having:
        return (
            f"ticket {ticket} of account {account} is in no event of {settings.log_place}: check it;"
            " what ended before the account was added has none"
        )
    master, root = next(iter(having.values()))
    own = await _orders_of(search, root)
    if master in accounts and (its_copies := copies_of(own, master, root)):
        # The rest of a copy, under a ticket that only the account's own events know.
        texts = {copy.encode() for copy in its_copies}
        of_copy = await search.holding(topics.EXECUTIONS, texts)
        if (origin := origin_of(of_copy, its_copies)) is not None:
            master, root = origin
            own = await _orders_of(search, root)
    of_root = {msgspec.json.encode(root)}
    beginnings = by_itself(tickets_of(own, master, root))
    parts = await search.holding(topics.ORDER_EVENTS, {f'"{each}'.encode() for each in beginnings})
    known = {(record.partition, record.offset) for record, _ in own}
    return tell(
        [*own, *(part for part in parts if (part[0].partition, part[0].offset) not in known)],
        await search.holding(topics.COPIER_EVENTS, of_root),
        await search.holding(topics.EXECUTIONS, of_root),
        master,
        root,
    )


async def _orders_of(search: _Search, root: str) -> list[Read]:
    of_root = {msgspec.json.encode(root)[1:-1]}  # also in how its parts are named
    return await search.holding(topics.ORDER_EVENTS, of_root, _REGISTERED | _TRIPPED)


_REGISTERED = frozenset({AccountRegistered.__name__, HistoryImported.__name__})
_TRIPPED = frozenset({EquityProtectorTriggered.__name__})


class _Search:
    """Through a log that may hold years, so what was read once is not read again: a text in which one
    stands that was looked for already is only where that one is.
    """

    def __init__(self, history: LogHistory) -> None:
        self._history = history
        self._done: dict[str, list[tuple[Set[bytes], Set[str], list[Read]]]] = {}

    async def holding(
        self, topic: topics.Topic, texts: Set[bytes], kinds: Set[str] = frozenset()
    ) -> list[Read]:
        """The events in which one of these texts stands, or that are of these kinds: a few too many."""
        done = self._done.setdefault(topic.name, [])
        for known, known_kinds, found in done:
            if kinds <= known_kinds and all(_stands_in(text, known) for text in texts):
                return [read for read in found if _is_wanted(read[0], texts, kinds)]
        spans = await self._history.spans(topic)
        found = [
            (record, decode(record))
            async for batch in self._history.records(topic, spans)
            for record in batch
            if _is_wanted(record, texts, kinds)
        ]
        done.append((texts, kinds, found))
        return found


def _is_wanted(record: Record, texts: Set[bytes], kinds: Set[str]) -> bool:
    return record.headers.get("type") in kinds or _stands_in(record.value or b"", texts)


def _stands_in(value: bytes, texts: Set[bytes]) -> bool:
    return any(text in value for text in texts)


def as_json(story: Story) -> str:
    return msgspec.json.encode(story).decode()


def show(story: Story) -> None:
    """What brokers wrote is printed as text alone, and each line in one, however long: it may be searched."""
    console = Console(soft_wrap=True, highlight=False, emoji=False)
    master = story.names.get(story.master, "?")
    console.print(Text(printable(f"root {story.root} of master {master} ({story.master})"), "bold"))
    begun = story.lines[0].at if story.lines else None
    copiers: dict[str, str] = {}
    for line in story.lines:
        assert begun is not None
        after = (line.at - begun).total_seconds() * 1000
        if line.what == "slave" or line.copy not in copiers:
            copiers[line.copy] = _whose(story, line)
        console.print(
            Text.assemble(
                f"{line.at:%Y-%m-%d %H:%M:%S.%f} ",
                (f"+{after:9.2f} ms ", "dim"),
                (f"{line.what:8} ", _STYLES[line.what]),
                printable(f"{_whose(story, line)} {line.text}"),
            )
        )
        if line.numbers:
            shown = "  ".join(f"{name}={value}" for name, value in line.numbers.items())
            console.print(Text(printable(f"    {shown}"), "dim"))
    for copy, legs in story.legs_ms.items():
        if legs:
            shown = "  ".join(f"{name} {ms:.2f} ms" for name, ms in legs.items())
            head = f"{copiers[copy]} leg {copy.rpartition('.')[2]}"
            console.print(Text.assemble((printable(head), "bold"), f" {shown}"))


def _whose(story: Story, line: Line) -> str:
    copier = f" [copier {line.copier[:8]}]" if line.copier else ""
    return f"{story.names.get(line.account, line.account)}{copier}"


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
    """All that are open, each with the account as a person knows it, and with the registrations by one
    of which `copypro settle` and the REST API know it. Errors: LogCorrupt, StoreError.
    """

    async def find() -> list[Document]:
        async with open_models(settings) as models:
            rows = await models.find(collection, {"open": True}, limit=None)
            ids = {str(row["account"]) for row in rows}
            accounts = await models.get_many(c.ACCOUNTS, ids)
            known = {id_: await models.find(c.REGISTRATIONS, {"account": id_}) for id_ in ids}
            return [_of_account(row, accounts, known) for row in rows]

    return asyncio.run(find())


def _of_account(
    row: Document, accounts: Mapping[str, Document], known: Mapping[str, list[Document]]
) -> Document:
    account = accounts.get(str(row["account"]), {})
    login, server = account.get("login"), account.get("server")
    registrations = [registration["id"] for registration in known[str(row["account"])]]
    return {**row, "login": login, "server": server, "registrations": registrations}


def one_line(row: dict[str, Any]) -> str:
    """In one line, whatever a broker wrote."""
    hidden = ("id", "open", "login", "server", "registrations", "numbers")
    shown = {name: value for name, value in row.items() if name not in hidden}
    shown |= row.get("numbers") or {}
    registrations = " ".join(row["registrations"])
    whose = f"{row['login']}@{row['server']} (registration {registrations})"
    facts = (f"{name}={' '.join(str(value).splitlines())}" for name, value in shown.items())
    return printable(f"{row['id']}: {whose}  " + "  ".join(facts))
