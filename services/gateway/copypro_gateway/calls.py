"""Registers a call under its name, as GET with query parameters and as POST with a JSON body.

Secrets in query strings are what the original has; access logs are off for that reason, and POST
with `Authorization: Bearer` is what we recommend.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, TypeVar

import msgspec
from copypro.values import UserId
from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import ValidationError
from structlog.contextvars import bound_contextvars

from copypro_gateway.auth import Auth, check_operator
from copypro_gateway.core import GatewaySettings, Pending
from copypro_gateway.pages import Page
from copypro_gateway.parameters import Parameters

Given = TypeVar("Given", bound=Parameters)


class Calls:
    """Who may call: anybody, the owner of a key, whoever knows the id, an operator."""

    def __init__(self, app: FastAPI, auth: Auth, settings: GatewaySettings) -> None:
        self._app, self._auth, self._settings = app, auth, settings

    def open(
        self, name: str, kind: type[Given], handler: Callable[[Given], Awaitable[Any]], *, tag: str
    ) -> None:
        async def run(_: Request, given: Given) -> Any:
            return await handler(given)

        self._add(name, kind, run, tag)

    def keyed(
        self,
        name: str,
        kind: type[Given],
        handler: Callable[[UserId, Given], Awaitable[Any]],
        *,
        tag: str,
    ) -> None:
        async def run(request: Request, given: Given) -> Any:
            return await handler(await self._auth.user_of(_token(request, given)), given)

        self._add(name, kind, run, tag)

    def by_id(
        self,
        name: str,
        kind: type[Given],
        handler: Callable[[UserId | None, Given], Awaitable[Any]],
        *,
        tag: str,
    ) -> None:
        """The original documents it with the id alone; a key that is given is checked."""

        async def run(request: Request, given: Given) -> Any:
            token = _token(request, given)
            if not token and not self._settings.require_key:
                return await handler(None, given)
            return await handler(await self._auth.user_of(token), given)

        self._add(name, kind, run, tag)

    def operators(
        self, name: str, kind: type[Given], handler: Callable[[Given], Awaitable[Any]], *, tag: str
    ) -> None:
        async def run(request: Request, given: Given) -> Any:
            check_operator(_token(request, given), self._settings.operator_key_hash)
            return await handler(given)

        self._add(name, kind, run, tag)

    def _add(
        self,
        name: str,
        kind: type[Given],
        run: Callable[[Request, Given], Awaitable[Any]],
        tag: str,
    ) -> None:
        async def answer(request: Request, given: Any) -> Response:
            try:
                with bound_contextvars(call=name):
                    return encoded(await run(request, given))
            except Pending as pending:
                return accepted(pending)

        async def by_query(request: Request, given: Any) -> Any:
            return await answer(request, given)

        async def by_body(request: Request, given: Any) -> Any:
            return await answer(request, given)

        by_query.__annotations__["given"] = Annotated[kind, Query()]
        by_body.__annotations__["given"] = Annotated[kind, Body()]
        by_query.__annotations__["request"] = by_body.__annotations__["request"] = Request
        for method, function, route in (
            ("GET", by_query, query_route(kind, answer)),
            ("POST", by_body, APIRoute),
        ):
            self._app.router.add_api_route(
                f"/{name}",
                function,
                methods=[method],
                name=f"{name} {method}",
                operation_id=f"{name}_{method.lower()}",
                tags=[tag],
                response_model=None,
                route_class_override=route,
            )


def query_route(
    kind: type[Parameters], answer: Callable[[Request, Any], Awaitable[Response]]
) -> type[APIRoute]:
    """Described and answered as FastAPI would: its own reading of a query model looks at every field's
    type again for each call, which costs more than all else about a kept answer.
    """

    class ByQuery(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            async def handle(request: Request) -> Response:
                try:
                    given = kind.model_validate(dict(request.query_params))
                except ValidationError as error:
                    raise RequestValidationError(error.errors()) from None
                return await answer(request, given)

            return handle

    return ByQuery


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
