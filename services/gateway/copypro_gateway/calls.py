"""Registers a call under its name, as GET with query parameters and as POST with a JSON body.

Secrets in query strings are what the original has; access logs are off for that reason, and POST
with `Authorization: Bearer` is what we recommend.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from copypro.values import UserId
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from structlog.contextvars import bound_contextvars

from copypro_gateway.auth import Auth, check_operator
from copypro_gateway.core import GatewaySettings, Pending
from copypro_gateway.describing import Describing
from copypro_gateway.pages import Page
from copypro_gateway.parameters import Parameters
from copypro_gateway.reading import from_body, from_query, read

Given = TypeVar("Given", bound=Parameters)


class Calls:
    """Who may call: anybody, the owner of a key, whoever knows the id, an operator.

    `changes` of each: whether it changes anything, so that an Idempotency-Key means something.
    """

    def __init__(self, app: FastAPI, auth: Auth, settings: GatewaySettings) -> None:
        self._app, self._auth, self._settings = app, auth, settings
        self._describing = Describing()
        self._describing.attach(app)

    def open(
        self, name: str, kind: type[Given], handler: Callable[[Given], Awaitable[Any]], *, tag: str
    ) -> None:
        async def run(_: Request, given: Given) -> Any:
            return await handler(given)

        self._add(name, kind, handler, run, tag, changes=False)

    def keyed(
        self,
        name: str,
        kind: type[Given],
        handler: Callable[[UserId, Given], Awaitable[Any]],
        *,
        tag: str,
        changes: bool = False,
    ) -> None:
        async def run(request: Request, given: Given) -> Any:
            return await handler(await self._auth.user_of(_token(request, given)), given)

        self._add(name, kind, handler, run, tag, changes=changes)

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

        async def run(request: Request, given: Given) -> Any:
            token = _token(request, given)
            if not token and not self._settings.require_key:
                return await handler(None, given)
            return await handler(await self._auth.user_of(token), given)

        self._add(name, kind, handler, run, tag, changes=changes)

    def operators(
        self,
        name: str,
        kind: type[Given],
        handler: Callable[[Given], Awaitable[Any]],
        *,
        tag: str,
        changes: bool = False,
    ) -> None:
        async def run(request: Request, given: Given) -> Any:
            token = _token(request, given) or given.manager_key
            check_operator(token, self._settings.operator_key_hash)
            return await handler(given)

        self._add(name, kind, handler, run, tag, changes=changes)

    def _add(
        self,
        name: str,
        kind: type[Given],
        handler: Callable[..., Any],
        run: Callable[[Request, Given], Awaitable[Any]],
        tag: str,
        *,
        changes: bool,
    ) -> None:
        async def answer(request: Request) -> Response:
            try:
                with bound_contextvars(call=name):
                    return encoded(await run(request, read(kind, await _written(request))))
            except Pending as pending:
                return accepted(pending)

        for method in ("GET", "POST"):
            described = self._describing.call(kind, handler, method, changes=changes)
            self._app.add_api_route(
                f"/{name}",
                answer,
                methods=[method],
                operation_id=f"{name.replace('/', '_')}_{method.lower()}",
                summary=name,
                description=inspect.getdoc(handler) or "",
                tags=[tag],
                response_model=None,
                responses=described.pop("responses"),
                openapi_extra=described,
            )


async def _written(request: Request) -> Any:
    if request.method == "GET":
        return from_query(request.query_params.multi_items())
    return from_body(await request.body())


def encoded(answer: Any) -> Response:
    """Straight to bytes: FastAPI's own encoding of long lists would hold up the whole process."""
    page = answer if isinstance(answer, Page) else Page(answer)
    body = msgspec.json.encode(page.rows)
    return Response(body, media_type="application/json", headers=page.headers())


def accepted(pending: Pending) -> Response:
    return JSONResponse({"commandId": pending.command, "done": False}, 202)


def _token(request: Request, given: Parameters) -> str | None:
    header = request.headers.get("Authorization", "")
    return header.removeprefix("Bearer ").strip() or given.user_key
