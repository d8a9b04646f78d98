"""What the OpenAPI document says of each call's answers, to hold real ones against it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, ValidationError, validators

from docs.generating.rest import openapi

Schema = dict[str, Any]


def problems(call: str, status: int, answer: Any) -> list[str]:
    """Where the answer is not what the document says; names that it does not know count too."""
    return list(_problems(call, status, msgspec.json.encode(answer)))


@lru_cache(10_000)
def _problems(call: str, status: int, answer: bytes) -> tuple[str, ...]:
    """Of each answer once: a test that waits is answered the same many times."""
    found = _validator(call, status).iter_errors(msgspec.json.decode(answer))
    return tuple(f"{call} {error.json_path}: {error.message}" for error in found)


@cache
def document() -> Schema:
    return openapi()


_in_full = Draft202012Validator.VALIDATORS["$ref"]
_good: set[tuple[str, bytes]] = set()


def _once(
    validator: Draft202012Validator, shape: str, answer: Any, schema: Schema
) -> Iterator[ValidationError]:
    """A test that waits for one more row is answered all others again: what was found to be of a shape
    is of it.
    """
    found = (shape, msgspec.json.encode(answer))
    if found not in _good:
        wrong = list(_in_full(validator, shape, answer, schema))
        if not wrong:
            _good.add(found)
        yield from wrong


_Validator = validators.extend(Draft202012Validator, {"$ref": _once})


@cache
def _validator(call: str, status: int) -> Draft202012Validator:
    responses = document()["paths"][f"/{call}"]
    answers = (responses.get("post") or responses["get"])["responses"]
    told = answers.get(str(status)) or answers[f"{status // 100}XX"]
    return _Validator(
        {**told["content"]["application/json"]["schema"], "components": {"schemas": _closed()}}
    )


@cache
def _closed() -> Schema:
    """Every shape, and nothing beside what it names."""
    return {
        name: {**shape, "additionalProperties": False} if "properties" in shape else shape
        for name, shape in document()["components"]["schemas"].items()
    }
