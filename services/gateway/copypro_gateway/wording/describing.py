"""The OpenAPI document: parameters from the models that read them, answers from what handlers return."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from copypro_gateway.wording.pages import Page
from copypro_gateway.wording.parameters import Parameters

Json = dict[str, Any]
Answers = dict[int | str, Json]
_REFERENCE = "#/components/schemas/{model}"
_SHAPES = "#/components/schemas/{name}"
_ERROR: Json = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
}
_ACCEPTED: Json = {
    "type": "object",
    "required": ["commandId", "done"],
    "properties": {"commandId": {"type": "string"}, "done": {"const": False}},
}
IDEMPOTENCY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "description": "the same key and call again: the first one's answer, and nothing happens twice",
}


class Describing:
    """Collects the shapes that calls name, and lays them under FastAPI's own document: once somebody
    asks for it, since to describe all calls takes longer than all else at a start.
    """

    def __init__(self) -> None:
        self.shapes: Json = {"Error": _ERROR, "Accepted": _ACCEPTED}
        self._undescribed: list[Callable[[], None]] = []
        self._describes = Lock()

    def later(self, describe: Callable[[], None]) -> None:
        self._undescribed.append(describe)

    def call(
        self,
        route: APIRoute,
        kind: type[Parameters],
        handler: Callable[..., Any],
        *,
        changes: bool,
    ) -> None:
        """What FastAPI cannot see of a call, since it reads its own parameters."""
        shape = self._shape(kind.model_json_schema(ref_template=_REFERENCE))
        described: Json = {"parameters": [IDEMPOTENCY] if changes else []}
        if route.methods == {"GET"}:
            described["parameters"] += in_query(shape)
        else:
            self._keep({kind.__name__: shape})
            content = {"application/json": {"schema": {"$ref": _at(kind.__name__)}}}
            described["requestBody"] = {"required": False, "content": content}
        route.responses = self.answers(handler, changes=changes)
        route.openapi_extra = {**(route.openapi_extra or {}), **described}

    def attach(self, app: FastAPI) -> None:
        """From here on `app.openapi()` is the whole document. The first time it takes a second: beside
        the loop, in a thread.
        """

        def document() -> Json:
            with self._describes:
                if app.openapi_schema is None:
                    app.openapi_schema = self._document(app)
                return app.openapi_schema

        app.openapi = document  # type: ignore[method-assign]

    def _document(self, app: FastAPI) -> Json:
        for describe in self._undescribed:
            describe()
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        components = made.setdefault("components", {})
        components["schemas"] = dict(sorted(self.shapes.items()))
        components["securitySchemes"] = {"userKey": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"userKey": []}, {}]
        for path in made["paths"].values():
            for call in path.values():
                call["summary"] = _first_sentence(call["description"])
        return made

    def answers(self, handler: Callable[..., Any], *, changes: bool = False) -> Answers:
        """What a handler returns is what its call answers."""
        kind = get_type_hints(handler)["return"]
        if get_origin(kind) is Page:
            kind = list[get_args(kind)[0]]  # type: ignore[misc]
        (found,), shapes = msgspec.json.schema_components([kind], ref_template=_SHAPES)
        self._keep(shapes)
        responses: Answers = {"200": _answer("what was asked for", _told(found))}
        if changes:
            responses |= ACCEPTED
        return responses | REFUSED

    def _shape(self, schema: Json) -> Json:
        """Without its definitions, which go to the shapes that all calls share."""
        self._keep(schema.pop("$defs", {}))
        return schema

    def _keep(self, shapes: Mapping[str, Json]) -> None:
        """Errors: ValueError for two shapes of one name. An enumeration that calls take and answer is
        written in two ways and stays as it came first.
        """
        for name, written in shapes.items():
            shape = _told(written)
            known = self.shapes.setdefault(name, shape)
            if known != shape and not (_choices(known) and _choices(known) == _choices(shape)):
                raise ValueError(f"two shapes of the OpenAPI document are called {name}")


def _at(name: str) -> str:
    return _REFERENCE.format(model=name)


def _told(schema: Any) -> Any:
    """Docstrings without their indentation, and of a choice of texts that they are texts: those who
    make clients from the document do not look at the choices.
    """
    if isinstance(schema, list):
        return [_told(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: _told(each) for name, each in schema.items()}
    if isinstance(text := told.get("description"), str):
        told["description"] = inspect.cleandoc(text)
    if isinstance(choices := told.get("enum"), list) and all(isinstance(c, str) for c in choices):
        told["type"] = "string"
    return told


def _first_sentence(text: str) -> str:
    """Without marks: nobody renders them in a summary."""
    return " ".join(text.replace("`", "").split()).partition(". ")[0].removesuffix(".")


def _choices(shape: Json) -> set[str]:
    return set(shape.get("enum", ()))


def _answer(text: str, schema: Json) -> Json:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def in_query(shape: Mapping[str, Any]) -> list[Json]:
    required = shape.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": _present(schema),
            "description": schema.get("description", ""),
        }
        for name, schema in shape["properties"].items()
    ]


def _present(schema: Json) -> Json:
    """Of a value that is there: an absent one is left out of an address, never written as null."""
    kept = {key: value for key, value in schema.items() if key not in ("description", "title")}
    choices = [each for each in kept.pop("anyOf", []) if each != {"type": "null"}]
    if kept.get("default", "") is None:
        del kept["default"]
    if len(choices) == 1:
        return {**choices[0], **kept}
    return kept if not choices else {"anyOf": choices, **kept}


NO_KEY: Json = {"security": []}
"""Of a call that anybody may make."""
ACCEPTED: Answers = {
    "202": _answer(
        "taken; GET /Commands/{commandId} tells what became of it", {"$ref": _at("Accepted")}
    )
}
REFUSED: Answers = {
    "4XX": _answer("what to correct", {"$ref": _at("Error")}),
    "5XX": _answer("what is not available now", {"$ref": _at("Error")}),
}
"""What every call may answer."""
