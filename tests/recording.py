"""Records as a version of the program wrote them, and what they say.

`python -m tests.recording` adds the messages that have none yet, as this version writes them; it
changes nothing that is there.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from copypro.envelope import SCHEMA_VERSION, Envelope, encode
from copypro.messages import AttemptStarted
from copypro.ports import Record
from copypro.topics import TOPICS, Topic
from copypro.trading import CloseRequest, DeleteRequest, ModifyRequest
from copypro.values import MessageId, digest
from msgspec import NODEFAULT, Struct

from docs.generating import examples, kinds

FOLDER = Path(__file__).parent / "data" / "events"
PUBLIC = tuple(topic for topic in TOPICS if topic.messages is not None)


class Recorded(Struct, frozen=True):
    """A line of a topic's file. The value is kept as its bytes were."""

    name: str
    key: str
    headers: dict[str, str]
    value: msgspec.Raw

    def as_record(self, topic: str, offset: int = 0) -> Record:
        return Record(topic, 0, offset, self.key, bytes(self.value), self.headers)


class Meaning(Struct, frozen=True):
    name: str
    message: dict[str, Any]


def recorded(version: int, topic: str) -> list[Recorded]:
    return _lines(FOLDER / f"v{version}" / f"{topic}.jsonl", Recorded)


def meanings(version: int, topic: str) -> dict[str, dict[str, Any]]:
    lines = _lines(FOLDER / f"v{version}" / f"{topic}.meaning.jsonl", Meaning)
    return {line.name: line.message for line in lines}


def _lines(path: Path, kind: type[Any]) -> list[Any]:
    if not path.exists():
        return []
    return [msgspec.json.decode(line, type=kind) for line in path.read_bytes().splitlines()]


def names_of(kind: type[Struct]) -> tuple[str, str]:
    return f"{kind.__name__} whole", f"{kind.__name__} bare"


def said(value: Any) -> Any:
    """Every field by its name, defaults too; what is left out of the JSON is not left out here."""
    match value:
        case Struct():
            fields = {name: said(getattr(value, name)) for name in value.__struct_fields__}
            tag = value.__struct_config__.tag
            return fields if tag is None else {"type": tag} | fields
        case dict():
            return {str(key): said(each) for key, each in value.items()}
        case tuple() | list():
            return [said(each) for each in value]
        case Decimal():
            return str(value)
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
    return value


def without_news(value: Any, meaning: Any) -> Any:
    """`said(value)` without the fields that the meaning does not know and that hold their default."""
    if isinstance(value, Struct) and isinstance(meaning, dict):
        told = said(value)
        for field in msgspec.structs.fields(type(value)):
            now = getattr(value, field.name)
            if field.name in meaning:
                told[field.name] = without_news(now, meaning[field.name])
            elif now == _default(field):
                del told[field.name]
        return told
    if isinstance(value, tuple | list) and isinstance(meaning, list) and len(value) == len(meaning):
        return [without_news(*pair) for pair in zip(value, meaning, strict=True)]
    return said(value)


def _default(field: Any) -> Any:
    return field.default if field.default_factory is NODEFAULT else field.default_factory()


def samples(kind: type[Struct]) -> dict[str, Any]:
    """Messages to record, by name."""
    whole, bare = names_of(kind)
    made = {whole: examples.whole(kind), bare: examples.bare(kind)}
    if kind is AttemptStarted:
        for request in (ModifyRequest, CloseRequest, DeleteRequest):
            attempt = msgspec.structs.replace(made[whole], request=examples.whole(request))
            made[f"{kind.__name__} {request.__name__}"] = attempt
    return made


def _record(topic: Topic, name: str, message: Any) -> Recorded:
    id_ = MessageId(digest("recorded", name))
    cause = None if name.endswith("bare") else MessageId(digest("recorded", "cause"))
    envelope = Envelope(
        id=id_, correlation=cause or id_, cause=cause, time=examples.UTC_TIME, message=message
    )
    out = encode(topic, examples.MASTER, envelope)
    return Recorded(name, out.key, dict(out.headers), msgspec.Raw(out.value or b""))


def _add(topic: Topic) -> None:
    known = {line.name for line in recorded(SCHEMA_VERSION, topic.name)}
    path = FOLDER / f"v{SCHEMA_VERSION}" / f"{topic.name}.jsonl"
    with path.open("ab") as records, path.with_suffix(".meaning.jsonl").open("ab") as meaning:
        for kind in kinds.members(topic.messages):
            for name, message in samples(kind).items():
                if name not in known:
                    line = _record(topic, name, message)
                    records.write(msgspec.json.encode(line) + b"\n")
                    meaning.write(msgspec.json.encode(Meaning(name, said(message))) + b"\n")


if __name__ == "__main__":
    for each in PUBLIC:
        _add(each)
