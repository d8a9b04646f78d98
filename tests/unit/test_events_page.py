"""docs/events.md and docs/asyncapi.json are what the types say, and AsyncAPI's own schema agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from copypro import topics
from copypro.envelope import HEADERS
from jsonschema import Draft7Validator

from docs.generating import asyncapi, examples, kinds
from docs.generating.__main__ import DOCUMENTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OFFICIAL = Draft7Validator(json.loads((ROOT / "tests/data/asyncapi-3.0.0.json").read_text()))
KINDS = [
    pytest.param(topic, kind, id=f"{topic.name}-{kind.__name__}")
    for topic in asyncapi.PUBLIC
    for kind in kinds.members(topic.messages)
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi.document()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_documents_are_what_the_types_say(path: Path) -> None:
    assert path.read_text() == DOCUMENTS[path](), "run `make docs` and commit what it changes"


def test_the_document_is_valid_by_the_official_schema(document: dict[str, Any]) -> None:
    assert [error.message for error in OFFICIAL.iter_errors(document)] == []


@pytest.mark.parametrize(
    "mistake",
    [
        {"operations": {"a": {"action": "shout"}}},
        {"channels": {"a": {"messages": []}}},
        {"info": {"title": "without a version"}},
    ],
    ids=lambda mistake: next(iter(mistake)),
)
def test_the_official_schema_sees_a_mistake(
    document: dict[str, Any], mistake: dict[str, Any]
) -> None:
    assert list(OFFICIAL.iter_errors(document | mistake))


def validator(document: dict[str, Any], name: str) -> Draft7Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return Draft7Validator(schema)


@pytest.mark.parametrize(("topic", "kind"), KINDS)
def test_what_is_written_is_valid_by_the_documents_schemas(
    document: dict[str, Any], topic: topics.Topic, kind: Any
) -> None:
    by_schema = validator(document, kind.__name__)
    record = asyncapi.example_record(topic, kind)
    headers = Draft7Validator(document["components"]["messages"][kind.__name__]["headers"])
    assert headers.is_valid(dict(record.headers))
    assert set(record.headers) == set(HEADERS)
    for message in (examples.example(kind), examples.whole(kind), examples.bare(kind)):
        value = json.loads(msgspec.json.encode(message))
        assert [error.message for error in by_schema.iter_errors(value)] == []
        for field in value:
            assert not by_schema.is_valid({**value, field: [["not a value"]]}), field


@pytest.mark.parametrize(("topic", "kind"), KINDS)
def test_every_message_says_what_it_means(topic: topics.Topic, kind: Any) -> None:
    assert kinds.about(kind), f"{kind.__name__} needs a docstring: it is public"


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in _references(document):
        at: Any = document
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


def _references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [found for each in part for found in _references(each)]
    if not isinstance(part, dict):
        return []
    mine = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
    return mine + [found for each in part.values() for found in _references(each)]


def test_every_topic_says_who_writes_it_and_the_roles_read_what_they_say() -> None:
    page = (ROOT / "docs" / "events.md").read_text()
    for topic in topics.TOPICS:
        assert topic.writers, topic.name
        assert topic.name in page
    for role in topics.ROLES:
        for topic in role.inputs:
            assert role.name in asyncapi.readers(topic)
