"""Registers a call under its name, as GET with query parameters and as POST with a JSON body.

Secrets in query strings are what the original has; access logs are off for that reason, and POST
with `Authorization: Bearer` is what we recommend.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import msgspec
from copypro.values import UserId
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope
from structlog.contextvars import bound_contextvars

from copypro_gateway.core import GatewaySettings, Pending
from copypro_gateway.entry.gate import By, Gate
from copypro_gateway.entry.repeating import HEADER, Asked, Repeating
from copypro_gateway.wording.describing import NO_KEY, Answers, Describing, in_query
from copypro_gateway.wording.pages import Page
from copypro_gateway.wording.parameters import Parameters
from copypro_gateway.wording.reading import (
    Written,
    from_body,
    from_query,
    read,
    refuse_mistyped,
    spellings,
)

Given = TypeVar("Given", bound=Parameters)


class CallRoute(APIRoute):
    """A call's path has no parameters and its handler reads what was written: neither a pattern for each
    of all calls nor FastAPI's own reading is needed, which cost more than a kept answer.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if not scope["path"].endswith(self.path):
            return Match.NONE, {}
        return super().matches(scope)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


class Calls:
    """Who may call: anybody, the owner of a key, whoever knows the id, an operator.

    `changes` of each: whether it changes anything, so that an Idempotency-Key means something.
    """

    def __init__(
        self,
        app: FastAPI,
        gate: Gate,
        settings: GatewaySettings,
        repeating: Repeating,
    ) -> None:
        self._app, self._gate, self._settings = app, gate, settings
        self._repeating = repeating
        self._describing = Describing()
        self._describing.attach(app)
        self._names: set[str] = set()

    def open(
        self, name: str, kind: type[Given], handler: Callable[[Given], Awaitable[Any]], *, tag: str
    ) -> None:
        async def nobody(_: Request, __: Given) -> By:
            return By()

        async def act(_: By, given: Given) -> Any:
            return await handler(given)

        self._add(name, kind, handler, nobody, act, tag, changes=False, key=NO_KEY)

    def keyed(
        self,
        name: str,
        kind: type[Given],
        handler: Callable[[UserId, Given], Awaitable[Any]],
        *,
        tag: str,
        changes: bool = False,
    ) -> None:
        async def owner(request: Request, given: Given) -> By:
            return By(await self._gate.caller(name, token_of(request, given), given))

        async def act(by: By, given: Given) -> Any:
            assert by.caller is not None
            return await handler(by.caller.user, given)

        self._add(name, kind, handler, owner, act, tag, changes=changes)

    def by_id(
        self,
        name: str,
        kind: type[Given],
        handler: Callable[[UserId | None, Given], Awaitable[Any]],
        *,
        tag: str,
        changes: bool = False,
    ) -> None:
        """The original documents it with the id alone; a key that is given is checked."""

        async def owner(request: Request, given: Given) -> By:
            token = token_of(request, given)
            if not token and not self._settings.require_key:
                return By()
            return By(await self._gate.caller(name, token, given))

        async def act(by: By, given: Given) -> Any:
            return await handler(by.user, given)

        self._add(name, kind, handler, owner, act, tag, changes=changes)

    def operators(
        self,
        name: str,
        kind: type[Given],
        handler: Callable[[Given], Awaitable[Any]],
        *,
        tag: str,
        changes: bool = False,
    ) -> None:
        async def operator(request: Request, given: Given) -> By:
            self._gate.check_operator(given.manager_key or token_of(request, given))
            return By(operator=True)

        async def act(_: By, given: Given) -> Any:
            return await handler(given)

        self._add(name, kind, handler, operator, act, tag, changes=changes)

    def answers(self, handler: Callable[..., Any], *, changes: bool = False) -> Answers:
        """For the document, of a call that has a route of its own."""
        return self._describing.answers(handler, changes=changes)

    def parameters(self, kind: type[Given]) -> dict[str, Any]:
        """For the document, of a call whose body is something else."""
        self._names |= spellings(kind)
        return {"parameters": in_query(kind.model_json_schema())}

    def from_address(self, kind: type[Given], request: Request) -> Given:
        """What such a call was given. Errors: 400 that names the field."""
        return self._read(kind, [from_query(request.query_params.multi_items())])

    def _read(self, kind: type[Given], written: Sequence[Written]) -> Given:
        refuse_mistyped(kind, dict.fromkeys(chain(*written)), self._names)
        return read(kind, *written)

    def _add(
        self,
        name: str,
        kind: type[Given],
        handler: Callable[..., Any],
        who: Callable[[Request, Given], Awaitable[By]],
        act: Callable[[By, Given], Awaitable[Any]],
        tag: str,
        *,
        changes: bool,
        key: dict[str, Any] | None = None,
    ) -> None:
        self._names |= spellings(kind)

        async def answer(request: Request) -> Response:
            given = self._read(kind, await _written(request))
            by = await who(request, given)

            async def run() -> Response:
                with bound_contextvars(call=name):
                    done = self._gate.run(name, request, by, given, partial(act, by, given))
                    return await _answered(done)

            if not changes:
                return await run()
            said = given.model_dump_json(exclude={"user_key", "manager_key"}).encode()
            asked = Asked(owner=by.name, call=name, said=said)
            return await self._repeating.once(request.headers.get(HEADER), asked, run)

        for method in ("GET", "POST"):
            route = CallRoute(
                f"/{name}",
                answer,
                methods=[method],
                operation_id=f"{name.replace('/', '_')}_{method.lower()}",
                description=inspect.getdoc(handler) or "",
                tags=[tag],
                response_model=None,
                openapi_extra=key,
            )
            self._app.router.routes.append(route)
            describe = partial(self._describing.call, route, kind, handler, changes=changes)
            self._describing.later(describe)


async def _answered(acting: Awaitable[Any]) -> Response:
    """Errors: ApiError, which the application shows as it shows all others."""
    try:
        return encoded(await acting)
    except Pending as pending:
        return accepted(pending)


async def _written(request: Request) -> list[Written]:
    """Of a POST the body, whose word counts, and the address."""
    address = from_query(request.query_params.multi_items())
    return [address] if request.method == "GET" else [from_body(await request.body()), address]


def encoded(answer: Any) -> Response:
    """Straight to bytes: FastAPI's own encoding of long lists would hold up the whole process."""
    page = answer if isinstance(answer, Page) else Page(answer)
    body = msgspec.json.encode(page.rows)
    return Response(body, media_type="application/json", headers=page.headers())


def accepted(pending: Pending) -> Response:
    return JSONResponse({"commandId": pending.command, "done": False}, 202)


def bearer(request: Request) -> str:
    """The key, also without a scheme. What is of another one is for a proxy in front."""
    scheme, _, rest = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return "" if rest else scheme


def token_of(request: Request, given: Parameters) -> str | None:
    return bearer(request) or given.user_key
