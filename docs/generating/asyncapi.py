"""The AsyncAPI 3.0 document of the topics: for code generators, validators and catalogues."""

from __future__ import annotations

from typing import Any

import msgspec
from copypro import topics
from copypro.envelope import HEADERS, SCHEMA_VERSION, Envelope, encode
from copypro.topics import Topic
from copypro.values import MessageId, digest
from msgspec import Struct

from docs.generating import docstrings, examples, kinds

Json = dict[str, Any]
PUBLIC = tuple(topic for topic in topics.TOPICS if topic.messages is not None)
SCHEMAS = "#/components/schemas/{name}"
DECIMAL = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"


def document() -> Json:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "CopyPro's topics",
            "version": str(SCHEMA_VERSION),
            "description": "Generated from the types; events.md says the same for people.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in PUBLIC},
        "operations": _operations(),
        "components": {
            "messages": {kind.__name__: _message(topic, kind) for kind, topic in _all().items()},
            "schemas": _schemas(),
        },
    }


def as_text() -> str:
    return msgspec.json.format(msgspec.json.encode(document()), indent=1).decode() + "\n"


def name_of(topic: Topic) -> str:
    """The topic's constant, to which its docstring belongs."""
    return next(name for name, value in vars(topics).items() if value is topic)


def readers(topic: Topic) -> list[str]:
    return [role.name for role in topics.ROLES if topic in role.inputs]


def example_record(topic: Topic, kind: type[Struct]) -> Any:
    """An example as it lies on the topic: key, headers, value."""
    message = examples.example(kind)
    envelope = Envelope(
        id=MessageId(digest("example", kind.__name__)),
        correlation=MessageId(digest("example", "first cause")),
        cause=MessageId(digest("example", "cause")),
        time=examples.UTC_TIME,
        message=message,
    )
    key = examples.SLAVE if topic.key.startswith("slave") else examples.MASTER
    return encode(topic, key, envelope)


def home_of(kind: type[Struct]) -> Topic:
    """The first topic that carries it: it is described there."""
    return _all()[kind]


def union() -> Any:
    """All messages as one type."""
    return tuple[tuple(_all())]  # type: ignore[misc]


def _all() -> dict[type[Struct], Topic]:
    found: dict[type[Struct], Topic] = {}
    for topic in PUBLIC:
        for kind in kinds.members(topic.messages):
            found.setdefault(kind, topic)
    return found


def _channel(topic: Topic) -> Json:
    names = [kind.__name__ for kind in kinds.members(topic.messages)]
    policy = "compact" if topic.compacted else "delete"
    return {
        "address": topic.name,
        "description": docstrings.of(name_of(topic)),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "kafka": {
                "topicConfiguration": {
                    "cleanup.policy": [policy],
                    **({} if topic.compacted else {"retention.ms": -1}),
                },
                "bindingVersion": "0.5.0",
            }
        },
        "x-key": topic.key,
    }


def _operations() -> Json:
    found: Json = {}
    for topic in PUBLIC:
        for action, services in (("send", topic.writers), ("receive", readers(topic))):
            for service in services:
                found[f"{service}.{action}.{topic.name}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{topic.name}"},
                    "title": f"{service} {'writes' if action == 'send' else 'reads'} {topic.name}",
                }
    return found


def _message(topic: Topic, kind: type[Struct]) -> Json:
    record = example_record(topic, kind)
    return {
        "name": kind.__name__,
        "summary": kinds.about(kind),
        "contentType": "application/json",
        "headers": _headers(),
        "payload": {"$ref": SCHEMAS.format(name=kind.__name__)},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"the {topic.key}"},
                "bindingVersion": "0.5.0",
            }
        },
        "examples": [
            {"headers": dict(record.headers), "payload": msgspec.json.decode(record.value)}
        ],
    }


def _headers() -> Json:
    return {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": text} for name, text in HEADERS.items()
        },
        "required": [name for name in HEADERS if name != "cause"],
    }


# --- schemas --------------------------------------------------------------------------------------


def _schemas() -> Json:
    """msgspec's, with the docstrings of fields, and as what may hold more than it says: fields that
    are not known are to be ignored.
    """
    _, components = msgspec.json.schema_components(list(_all()), ref_template=SCHEMAS)
    structs = {kind.__name__: kind for kind in kinds.structs_of(union())}
    enums = {kind.__name__: kind for kind in kinds.enums_of(union())}
    for name, schema in components.items():
        kind = structs.get(name) or enums.get(name)
        text = docstrings.of(name) if kind is not None else ""
        schema.pop("description", None)
        if text:
            schema["description"] = text
        if name in structs:
            _describe(schema, structs[name])
        elif name in enums:
            schema["type"] = "string"
    return components


def _describe(schema: Json, kind: type[Struct]) -> None:
    for name, hint in kinds.fields(kind).items():
        field = kind.__struct_encode_fields__[kind.__struct_fields__.index(name)]
        schema["properties"][field] = _described(schema["properties"][field], kind, name, hint)


def _described(schema: Json, kind: type[Struct], name: str, hint: Any) -> Json:
    parts = (kinds.meaning(kind, name, hint), kinds.unit_of(kinds.required(hint), name))
    text = "; ".join(part for part in parts if part)
    schema = _plain(schema)
    if "$ref" in schema and (text or len(schema) > 1):
        schema = {"allOf": [{"$ref": schema.pop("$ref")}], **schema}
    return {**schema, "description": text} if text else schema


def _plain(schema: Any) -> Any:
    """Only words that AsyncAPI's schemas have: its discriminator is another one, and the structs' own
    `type` tells them apart; decimals get a pattern that every validator knows.
    """
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _plain(value) for name, value in schema.items() if name != "discriminator"}
    if made.get("format") == "decimal":
        made["pattern"] = DECIMAL
    return made
