"""The REST edge: each call as GET with query parameters and as POST with a JSON body.

Secrets in query strings are what the original has; access logs are off for that reason, and POST
with `Authorization: Bearer` is what we recommend.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
import structlog
from copypro.errors import LogFull, LogUnavailable, StoreUnavailable
from copypro.ports import Clock, EventLog, LogHistory, Meter, NewId, ReadModels, Users, Vault
from copypro.values import UserId
from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from structlog.contextvars import bound_contextvars

from copypro_gateway import parameters as p
from copypro_gateway.auth import Auth, check_operator
from copypro_gateway.errors import ApiError
from copypro_gateway.gateway import Gateway, GatewaySettings, Pending
from copypro_gateway.importing import Importing
from copypro_gateway.letters import Letters
from copypro_gateway.measuring import Measured
from copypro_gateway.pages import Page

logger = structlog.get_logger("gateway")
Given = TypeVar("Given", bound=p.Parameters)
Handler = Callable[[Any, Any], Awaitable[Any]]


def create_app(
    *,
    log: EventLog,
    history: LogHistory,
    read_models: ReadModels,
    users: Users,
    vault: Vault,
    clock: Clock,
    new_id: NewId,
    settings: GatewaySettings,
    meter: Meter,
    banner: str = "",
) -> FastAPI:
    """`banner`: shown in the API's description, such as SIMULATED."""
    app = FastAPI(title="CopyPro", description=banner, docs_url=None, redoc_url=None)
    auth = Auth(users, clock, new_id)
    gateway = Gateway(log, read_models, vault, clock, new_id, settings)
    calls = _Calls(app, auth, settings)
    _add_calls(calls, auth, gateway, settings)
    letters = Letters(log, history, clock)
    calls.add(
        "ReplayDeadLetter",
        p.ReplayDeadLetter,
        lambda _, given: letters.replay(given),
        key="operator",
        tag="operators",
    )
    importing = Importing(gateway, log, read_models, clock, new_id)
    _add_import(app, auth, importing)
    _add_errors(app)
    app.add_middleware(Measured, meter=meter)

    @app.get("/Commands/{command}", tags=["commands"])
    async def command(command: str) -> Any:
        """What became of a call that answered 202."""
        return await gateway.command_status(command)

    return app


def _add_import(app: FastAPI, auth: Auth, importing: Importing) -> None:
    @app.post("/ImportStatement", tags=["accounts"], response_model=None)
    async def import_statement(request: Request, lenient: bool = False) -> Any:
        """The body is the file: a report of MetaTrader as htm, html or xlsx."""
        header = request.headers.get("Authorization", "")
        user = await auth.user_of(header.removeprefix("Bearer ").strip())
        data = await _bounded_body(request, importing.limits.file_bytes)
        try:
            return await importing.statement(user, data, lenient=lenient)
        except Pending as pending:
            return JSONResponse({"commandId": pending.command, "done": False}, 202)


async def _bounded_body(request: Request, most: int) -> bytes:
    """Never more in memory than may be read, whatever the client announces."""
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            text = f"the file has more than {most:,} bytes: split the report by dates"
            raise ApiError(413, "STATEMENT_TOO_LARGE", text)
        parts.append(chunk)
    return b"".join(parts)


class _Calls:
    """Registers a call under its name, for GET and POST, with or without a key."""

    def __init__(self, app: FastAPI, auth: Auth, settings: GatewaySettings) -> None:
        self._app, self._auth, self._settings = app, auth, settings

    def add(
        self, name: str, kind: type[Given], handler: Handler, *, key: str = "required", tag: str
    ) -> None:
        """`key`: required; "id": the original documents it with the id alone; "none"; "operator":
        the operator's own.
        """

        async def run(request: Request, given: Any) -> Any:
            user = await self._user(request, given, key)
            try:
                with bound_contextvars(call=name):
                    answer = await handler(user, given)
            except Pending as pending:
                body = {"commandId": pending.command, "done": False}
                return JSONResponse(body, 202)
            # Straight to bytes: FastAPI's own encoding of long lists would hold up the whole process.
            page = answer if isinstance(answer, Page) else Page(answer)
            encoded = msgspec.json.encode(page.rows)
            return Response(encoded, media_type="application/json", headers=page.headers())

        async def by_query(request: Request, given: Any) -> Any:
            return await run(request, given)

        async def by_body(request: Request, given: Any) -> Any:
            return await run(request, given)

        by_query.__annotations__["given"] = Annotated[kind, Query()]
        by_body.__annotations__["given"] = Annotated[kind, Body()]
        by_query.__annotations__["request"] = by_body.__annotations__["request"] = Request
        for method, function in (("GET", by_query), ("POST", by_body)):
            self._app.add_api_route(
                f"/{name}",
                function,
                methods=[method],
                name=f"{name} {method}",
                operation_id=f"{name}_{method.lower()}",
                tags=[tag],
                response_model=None,
            )

    async def _user(self, request: Request, given: p.Parameters, key: str) -> UserId | None:
        if key == "none":
            return None
        header = request.headers.get("Authorization", "")
        token = header.removeprefix("Bearer ").strip() or given.user_key
        if key == "operator":
            check_operator(token, self._settings.operator_key_hash)
            return None
        if key == "id" and not token and not self._settings.require_key:
            return None
        return await self._auth.user_of(token)


def _add_calls(calls: _Calls, auth: Auth, gateway: Gateway, settings: GatewaySettings) -> None:
    g = gateway

    async def sign_up(_: UserId | None, given: p.SignUp) -> Any:
        if not settings.sign_up_open:
            text = "sign-up is closed here: an operator makes users with `copypro users add`"
            raise ApiError(403, "SIGN_UP_CLOSED", text)
        key = await auth.sign_up(given.email, given.password_hash)
        logger.info("call")
        return {"userKey": key}

    async def sign_in(_: UserId | None, given: p.SignIn) -> Any:
        return {"userKey": await auth.sign_in(given.email, given.password_hash)}

    calls.add("SignUp", p.SignUp, sign_up, key="none", tag="users")
    calls.add("SignIn", p.SignIn, sign_in, key="none", tag="users")

    calls.add("AddAccount", p.AddAccount, g.add_account, tag="accounts")
    calls.add("Accounts", p.Parameters, lambda user, _: g.accounts(_some(user)), tag="accounts")
    calls.add(
        "GetAccount",
        p.ByAccount,
        lambda user, given: g.account(_some(user), given.account_id),
        tag="accounts",
    )

    async def remove(user: UserId | None, given: p.RemoveAccount) -> Any:
        return await g.remove_account(_some(user), given.account_id, given.close_trades)

    for name in ("RemoveAccount", "RemoveAccountByApiId"):
        calls.add(name, p.RemoveAccount, remove, tag="accounts")

    calls.add(
        "OpenOrders",
        p.ByAccount,
        lambda user, given: g.open_orders(user, given.account_id),
        key="id",
        tag="orders",
    )
    calls.add("ClosedOrders", p.ClosedOrders, g.closed_orders, key="id", tag="orders")

    for name in ("TradeStatsByAccountId", "TradeStatsByApiId"):
        calls.add(
            name,
            p.TradeStats,
            lambda user, given: g.trade_stats(user, given, charts=True),
            key="id",
            tag="statistics",
        )
    calls.add(
        "TradeStatsWithoutCharts",
        p.TradeStats,
        lambda user, given: g.trade_stats(user, given, charts=False),
        key="id",
        tag="statistics",
    )

    for name in ("Start", "StartByAccountId"):
        calls.add(name, p.Start, g.start, tag="copiers")
    calls.add("UpdateCopier", p.UpdateCopier, g.update_copier, tag="copiers")
    calls.add("CopierPause", p.CopierPause, g.pause_copier, key="id", tag="copiers")
    calls.add("Remove", p.RemoveCopier, g.remove_copier, key="id", tag="copiers")
    calls.add(
        "UserCopiers", p.Parameters, lambda user, _: g.user_copiers(_some(user)), tag="copiers"
    )
    calls.add(
        "GetCopier",
        p.ByCopier,
        lambda user, given: g.show_copier(user, given.copier_id),
        key="id",
        tag="copiers",
    )
    calls.add(
        "MappedSymbols",
        p.ByCopier,
        lambda user, given: g.mapped_symbols(user, given.copier_id),
        key="id",
        tag="symbols",
    )
    calls.add("AddSymbolMapping", p.AddSymbolMapping, g.map_symbol, key="id", tag="symbols")
    calls.add("DeleteSymbolMapping", p.DeleteSymbolMapping, g.unmap_symbol, key="id", tag="symbols")

    calls.add("Logs", p.Logs, g.logs, key="id", tag="logs")
    calls.add(
        "TradeLogs",
        p.Logs,
        lambda user, given: g.trade_logs(user, given.copier_id, given.limit),
        key="id",
        tag="logs",
    )
    calls.add(
        "TradeLogsAll",
        p.TradeLogsAll,
        lambda user, given: g.trade_logs_all(_some(user), given.limit),
        tag="logs",
    )
    calls.add("Alerts", p.Parameters, lambda user, _: g.alerts(_some(user)), tag="logs")
    calls.add("Unresolved", p.Parameters, lambda user, _: g.unresolved(_some(user)), tag="logs")
    calls.add("Settle", p.Settle, g.settle, tag="logs")


def _some(user: UserId | None) -> UserId:
    assert user is not None
    return user


def _add_errors(app: FastAPI) -> None:
    async def api_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ApiError)
        return JSONResponse({"code": error.code, "message": error.message}, error.status)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        """The field and the fix; never the value, which may be a secret."""
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = str(first["loc"][-1]) if first["loc"] else "body"
        text = f"{field}: {first['msg']}"
        return JSONResponse({"code": "INVALID_PARAMETER", "message": text}, 400)

    async def http_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = {404: "UNKNOWN_CALL", 405: "WRONG_METHOD"}.get(error.status_code, "HTTP_ERROR")
        return JSONResponse({"code": code, "message": str(error.detail)}, error.status_code)

    async def full(_: Request, __: Exception) -> JSONResponse:
        text = "the disk is full: nothing was changed; make room and try again"
        return JSONResponse({"code": "DISK_FULL", "message": text}, 507)

    async def no_log(_: Request, error: Exception) -> JSONResponse:
        logger.debug("the log does not answer", reason=str(error))  # `not ready` says it, once
        text = "the log does not answer now; whether this was taken shows later: try again then"
        return JSONResponse({"code": "LOG_UNAVAILABLE", "message": text}, 503)

    async def unavailable(_: Request, error: Exception) -> JSONResponse:
        logger.debug("the database does not answer", reason=str(error))
        text = "the database does not answer now: try again in a few seconds"
        return JSONResponse({"code": "STORE_UNAVAILABLE", "message": text}, 503)

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        logger.error("a call failed", path=request.url.path, error=type(error).__name__)
        text = "something unexpected happened; the log says what"
        return JSONResponse({"code": "INTERNAL_ERROR", "message": text}, 500)

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(LogFull, full)
    app.add_exception_handler(LogUnavailable, no_log)
    app.add_exception_handler(StoreUnavailable, unavailable)
    app.add_exception_handler(Exception, unexpected)
