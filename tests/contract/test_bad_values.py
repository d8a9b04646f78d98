"""Every call × every parameter × bad values: a 4xx that names the field, never a 5xx.

What calls and parameters there are is read from the OpenAPI document, so a new one is tried too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from tests.contract.stores import Place, SqlitePlace
from tests.gateway import OPERATOR, Calling, User, a_gateway, a_user

pytestmark = pytest.mark.slow
SKIPPED = frozenset(("/Headers", "/ReadMe", "/ImportStatement"))
"""They take no parameters; a report's body has suites of its own."""
NOT_THE_CALLS = frozenset(("userKey", "managerKey"))
TEXTS = (
    "ünïcødé 𝔘 \u202e \u0000",
    "'; DROP TABLE keys; --",
    '{"$gt": ""}',
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "%s%n${jndi:x}",
    "http://[",
    "-1",
    "NaN",
)
"""May be anything's name: taken or refused, and never an error of ours."""
HUGE = "9" * 400
ENDLESS = ("0." + "1" * 9000, "1e-1000000", "1." + "0" * 40)
WRONG: dict[str, tuple[Any, ...]] = {
    "string": ([[]], {"$gt": ""}, 7, True, "x" * 513, "x" * 9000),
    "integer": ("x", "1.5", [[]], {}, "NaN", "1e400", HUGE, "ü", "'; --", "-99999999999999999999"),
    "number": ("x", [[]], {}, "NaN", "Infinity", "1e400", "ü", "'; --"),
    "boolean": ("x", 2, [[]], {}, "NaN", "ü", "'; --"),
    "array": ({}, [[[]]], ["x" * 513], ["x"] * 2001),
}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Values are read before any store is asked, so one kind of store is enough."""
    made = SqlitePlace(tmp_path)
    yield made
    await made.close()


async def test_bad_values_are_named_and_never_break_anything(place: Place, tmp_path: Path) -> None:
    async with a_gateway(place, tmp_path, require_key=True) as calling:
        user = await a_user(place, "mine")
        tried = 0
        for path, methods in calling.paths.items():
            if path in SKIPPED or "{" in path:
                continue
            parameters = {
                each["name"]: each
                for each in methods["get"]["parameters"]
                if each["in"] == "query" and each["name"] not in NOT_THE_CALLS
            }
            key = OPERATOR if methods["get"]["tags"] == ["operators"] else user.key
            good = {
                name: value_of(user, path, each)
                for name, each in parameters.items()
                if each["required"]
            }
            for name, each in parameters.items():
                tried += await values_of(calling, path, key, good, name, each)
        assert tried > 2000


async def values_of(
    calling: Calling, path: str, key: str, good: dict[str, Any], name: str, parameter: Any
) -> int:
    tried = 0
    if parameter["required"]:
        for missing in ({}, {name: ""}, {name: None}):
            body = {other: value for other, value in good.items() if other != name} | missing
            named(await calling.call(path, body, key=key), path, name, missing)
            tried += 1
    for value in bad_of(parameter["schema"]):
        named(await calling.call(path, good | {name: value}, key=key), path, name, value)
        if isinstance(value, str):
            answer = await calling.call(path, good | {name: value}, key=key, method="GET")
            named(answer, path, name, value)
        tried += 1
    if kind_of(parameter["schema"]) == "string" and "enum" not in parameter["schema"]:
        for text in TEXTS:
            answer = await calling.call(path, good | {name: text}, key=key)
            assert answer.status_code < 500, (path, name, text, answer.text)
            tried += 1
    return tried


def named(answer: Response, path: str, name: str, value: Any) -> None:
    what = (path, name, str(value)[:40], answer.status_code, answer.text)
    assert answer.status_code == 400, what
    message = answer.json()["message"]
    assert message.lower().startswith(f"{name.lower()}:"), what
    assert len(message) > len(name) + 5, what


def bad_of(schema: Any) -> Iterator[Any]:
    """What the schema says that it does not take; a number's limits too."""
    yield from WRONG[kind_of(schema)]
    if {"number", "string"} <= {each.get("type") for each in schema.get("anyOf", ())}:
        yield from ENDLESS  # kept digit by digit, in each record of what it belongs to
    for limit, step in (
        ("minimum", -1),
        ("exclusiveMinimum", 0),
        ("maximum", 1),
        ("exclusiveMaximum", 0),
    ):
        for each in (schema, *schema.get("anyOf", ())):
            if limit in each:
                yield each[limit] + step


def kind_of(schema: Any) -> str:
    if "anyOf" in schema:
        schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
    return str(schema.get("type", "string"))


def value_of(user: User, path: str, parameter: Any) -> Any:
    """One that the call takes."""
    name, schema = parameter["name"], parameter["schema"]
    by_name = {
        "accountId": user.ids["slave"], "masterAccountId": user.ids["master"],
        "slaveAccountId": user.ids["slave"], "copierId": user.ids["copier"],
        "userId": user.ids["user"], "type": "MT5", "email": "x@example.com",
        "passwordHash": "0" * 64, "password": "0123456789", "riskType": "FixedLot",
        "id": user.ids["key"] if path == "/RemoveKey" else user.ids["copier"],
    }  # fmt: skip
    by_kind = {"integer": 1, "number": 1, "boolean": True, "array": [], "string": "x"}
    return by_name.get(name, by_kind[kind_of(schema)])
