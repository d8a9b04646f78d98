"""docs/openapi.json says of each answer what is in it: a client's types are made from that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypedDict

import pytest
from copypro_gateway.wording.describing import Describing

from docs.generating.rest import application
from tests.documented import document, problems

Schema = dict[str, Any]


def test_every_call_says_what_it_does() -> None:
    told = {f"{method} {path}": call["summary"] for method, path, call in _calls()}
    assert {name: text for name, text in told.items() if len(text.split()) < 3} == {}


def test_only_what_anybody_may_call_is_shown_without_a_lock() -> None:
    open_ = {path for _, path, call in _calls() if call.get("security") == []}
    signing = {"/SignUp", "/SignUpNonHashed", "/SignIn", "/PasswordForgot", "/PasswordReset"}
    assert open_ == signing | {"/Headers", "/ReadMe"}


def _calls() -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document()["paths"].items():
        for method, call in methods.items():
            yield method, path, call


def test_no_answer_may_be_anything_at_all() -> None:
    answers = {
        f"{method} {path}": media["schema"]
        for method, path, call in _calls()
        for media in call["responses"]["200"]["content"].values()
    }
    bare = {name: list(_bare(schema, "answer", frozenset())) for name, schema in answers.items()}
    assert {name: places for name, places in bare.items() if places} == {}


def _bare(schema: Schema, where: str, above: frozenset[str]) -> Iterator[str]:
    """The places at which a schema says nothing of what may stand there."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in above:
            yield from _bare(document()["components"]["schemas"][name], name, above | {name})
    elif choices := schema.get("anyOf"):
        for each in choices:
            yield from _bare(each, where, above)
    elif schema.get("type") == "object":
        inside = schema.get("properties", {})
        rest = schema.get("additionalProperties")
        if not inside and not rest:
            yield where
        for name, each in (*inside.items(), *([("*", rest)] if rest else [])):
            yield from _bare(each, f"{where}.{name}", above)
    elif schema.get("type") == "array":
        yield from _bare(schema.get("items", {}), f"{where}[]", above)
    elif "type" not in schema and "const" not in schema:
        yield where


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "array", "items": {"type": "object"}},
        {"type": "object", "additionalProperties": {}},
        {"anyOf": [{"type": "array"}, {"type": "null"}]},
    ],
)
def test_what_says_nothing_is_seen(schema: Schema) -> None:
    assert list(_bare(schema, "answer", frozenset()))


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ({"result": "OK", "leftOpen": [1]}, []),
        ({"result": "OK"}, ["leftOpen"]),
        ({"result": "OK", "leftOpen": ["1"]}, ["leftOpen[0]"]),
        ({"result": "OK", "leftOpen": [], "more": 1}, ["more"]),
    ],
)
def test_an_answer_that_is_not_what_the_document_says_is_seen(
    answer: Any, wrong: list[str]
) -> None:
    found = problems("RemoveAccount", 200, answer)
    assert len(found) == len(wrong)
    assert all(name in text for name, text in zip(wrong, found, strict=True))


def test_a_row_that_is_wrong_is_told_each_time() -> None:
    once = problems("Keys", 200, [{}])
    assert once
    assert len(problems("Keys", 200, [{}, {}])) == 2 * len(once)


class Error(TypedDict):
    other: int


def another_error() -> Error:
    return {"other": 1}


def test_two_shapes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two shapes of the OpenAPI document are called Error"):
        Describing().answers(another_error)


def test_no_start_waits_for_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than all else that a gateway does at its start."""
    described: list[object] = []
    monkeypatch.setattr(Describing, "call", lambda *call, **_: described.append(call))
    app = application()
    assert described == []
    app.openapi()
    assert described
