"""docs/events.md: every topic and message for people who build on them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec
from copypro.envelope import HEADERS, SCHEMA_VERSION, caused, fact
from copypro.topics import ROLES, TOPICS, Topic
from copypro.values import account_id, copy_id, leg_tag, magic_of
from msgspec import NODEFAULT, Struct

from docs.generating import asyncapi, docstrings, kinds

FUNCTIONS: tuple[Any, ...] = (fact, caused, account_id, copy_id, leg_tag, magic_of)
IDS = ("AccountId", "RegistrationId", "CopierId", "RootId", "CopyId", "AttemptId", "Ticket")

HEAD = """# Events
Generated from the types by `make docs`; a test fails when it differs from them. [asyncapi.json](asyncapi.json) says the same for machines. [examples](../examples/README.md) has two programs that read these topics.

## Rules for consumers
- **Read `read_committed`.** What one step leads to is one transaction; with `read_uncommitted` you see records that never came to be.
- **Count an `id` once.** The header `id` names the fact. The log keeps each once; a reader that starts over, or an operator's replay of a dead letter, gives it to you again. Keep the ids you have acted on beside what you made of them, or keep the offset in the same transaction.
- **Order holds within a key**, so within a partition of one topic; between topics there is none. An execution may reach you before the order event that led to it: wait for it by `correlation` or `copy`, or act on each alone.
- **Ignore what you do not know**: fields, types of messages, headers. New ones come without a new version.
- **Look at `version`.** It is {version} now. It goes up only when an old reader would misunderstand; stop at a record whose version is above the one you were written for, and go on after your upgrade. Old records stay as they were written: whoever reads from the beginning meets every version.
- **Decimals are text** and are to be read as decimals, never as floating point. A field that is left out has its default, shown below.
- **Times** named `_utc` are UTC; those named `_broker` are the broker's server clock without a zone, and are not comparable between brokers. The header `time` is the writer's clock.
- **Only the writers below write.** Appending to these topics from elsewhere is not supported: a slave order is a trade.
- Where `COPYPRO_TOPIC_PREFIX` is set it stands before each topic's name. A value of null on a compacted topic removes the key.
"""


def text() -> str:
    return "\n".join(
        (
            HEAD.format(version=SCHEMA_VERSION),
            *_overview(),
            *_headers(),
            *_ids(),
            *(line for topic in asyncapi.PUBLIC for line in _topic(topic)),
            *_state(),
            *_parts(),
        )
    )


def _overview() -> Iterator[str]:
    yield "## Topics"
    yield "| topic | key | written by | read by | kept |"
    yield "|---|---|---|---|---|"
    for topic in asyncapi.PUBLIC:
        name = f"[{topic.name}](#{topic.name})"
        readers = ", ".join(asyncapi.readers(topic)) or "operators"
        yield f"| {name} | {topic.key} | {', '.join(topic.writers)} | {readers} | {_kept(topic)} |"
    yield ""
    yield "Anybody else may read any of them."
    yield ""


def _kept(topic: Topic) -> str:
    return "the latest of each key (compacted)" if topic.compacted else "for ever"


def _headers() -> Iterator[str]:
    yield "## Headers"
    yield "The record's value is the message as JSON. What surrounds it is in the headers, so that a reader can route without decoding."
    yield ""
    yield "| header | holds |"
    yield "|---|---|"
    for name, meaning in HEADERS.items():
        yield f"| `{name}` | {meaning} |"
    yield ""


def _ids() -> Iterator[str]:
    yield "## How ids derive"
    yield "`digest(a, b, …)` is BLAKE2b of `a|b|…` in UTF-8, 16 bytes, as 32 hex digits. A broker's fact is named by what it is, a consequence by `digest(cause's id, its type, what tells it from its siblings)`: the same fact seen twice has the same id."
    yield ""
    yield "| function | gives |"
    yield "|---|---|"
    for function in FUNCTIONS:
        yield f"| `{function.__name__}` | {docstrings.one_paragraph(function.__doc__)} |"
    yield ""
    yield "| id | names |"
    yield "|---|---|"
    for name in IDS:
        yield f"| `{name}` | {docstrings.of(name)} |"
    yield ""


def _topic(topic: Topic) -> Iterator[str]:
    readers = ", ".join(asyncapi.readers(topic)) or "operators"
    yield f"## {topic.name}"
    yield docstrings.of(asyncapi.name_of(topic))
    yield ""
    yield f"Key: the {topic.key}. Kept: {_kept(topic)}. Written by {', '.join(topic.writers)}; read by {readers}."
    yield ""
    for kind in kinds.members(topic.messages):
        yield from _message(topic, kind)


def _message(topic: Topic, kind: type[Struct]) -> Iterator[str]:
    yield f"### {kind.__name__}"
    if asyncapi.home_of(kind) is not topic:
        yield f"As in {asyncapi.home_of(kind).name}."
        yield ""
        return
    yield kinds.about(kind)
    yield ""
    yield from _fields(kind)
    record = asyncapi.example_record(topic, kind)
    yield "```json"
    yield (record.value or b"").decode()
    yield "```"
    yield ""


def _fields(kind: type[Struct]) -> Iterator[str]:
    yield "| field | is | default | means |"
    yield "|---|---|---|---|"
    hints = kinds.fields(kind)
    for field in msgspec.structs.fields(kind):
        words = kinds.in_words(hints[field.name], field.name)
        meaning = kinds.meaning(kind, field.name, hints[field.name])
        yield f"| `{field.name}` | {words} | {_default(field)} | {meaning} |"
    yield ""


def _default(field: Any) -> str:
    if field.default_factory is not NODEFAULT:
        return f"`{msgspec.json.encode(field.default_factory()).decode()}`"
    if field.default is NODEFAULT:
        return ""
    return f"`{msgspec.json.encode(field.default).decode()}`"


def _state() -> Iterator[str]:
    yield "## The roles' own memory"
    yield "Compacted, the latest record of each key, in a form that changes without notice: not for others. `version` in the headers as above."
    yield ""
    yield "| topic | role |"
    yield "|---|---|"
    for role in ROLES:
        assert role.state in TOPICS
        yield f"| {role.state.name} | {role.name} |"
    yield ""


def _parts() -> Iterator[str]:
    """The structs and enumerations that messages are made of."""
    messages = {kind for topic in asyncapi.PUBLIC for kind in kinds.members(topic.messages)}
    parts = [kind for kind in kinds.structs_of(asyncapi.union()) if kind not in messages]
    yield "## What messages are made of"
    for kind in sorted(parts, key=lambda kind: kind.__name__):
        yield f"### {kind.__name__}"
        yield kinds.about(kind)
        yield ""
        yield from _fields(kind)
    for enum in sorted(kinds.enums_of(asyncapi.union()), key=lambda enum: enum.__name__):
        yield from _enum(enum)


def _enum(enum: type[Enum]) -> Iterator[str]:
    yield f"### {enum.__name__}"
    yield kinds.about(enum)
    yield ""
    told = {value: docstrings.of_field(enum, value.name) for value in enum}
    if any(told.values()):
        yield "| value | means |"
        yield "|---|---|"
        yield from (f"| `{value.value}` | {meaning} |" for value, meaning in told.items())
    else:
        yield ", ".join(f"`{value.value}`" for value in enum) + "."
    yield ""
