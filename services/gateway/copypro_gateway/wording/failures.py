"""What goes wrong, as `{code, message}`: never the value given, which may be a secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import structlog
from copypro.errors import LogCorrupt, LogFull, LogUnavailable, SecretsError, StoreUnavailable
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from copypro_gateway.wording.call_codes import CALL_CODES
from copypro_gateway.wording.errors import ApiError

logger = structlog.get_logger("gateway")
Style = Literal["", "object", "array"]
"""How errors look: ours, or the original's status 201 with one ExceptionResult, or an array of one."""
_CODES = {404: "UNKNOWN_CALL", 405: "WRONG_METHOD", 413: "BODY_TOO_LARGE"}
_NO_SUCH_CALL = ": ".join(CALL_CODES["UNKNOWN_CALL"][1:])
"""In place of the framework's own words, which name no fix."""
Handler = Callable[[Request, Exception], Awaitable[JSONResponse]]
FULL = ApiError(507, "DISK_FULL", "the disk is full: nothing was changed; make room and try again")
NO_LOG = ApiError(
    503,
    "LOG_UNAVAILABLE",
    "the log does not answer now; whether this was taken shows later: try again then",
)
NO_STORE = ApiError(
    503, "STORE_UNAVAILABLE", "the database does not answer now: try again in a few seconds"
)
NO_SECRETS = ApiError(
    503,
    "SECRET_KEYS",
    "passwords cannot be taken now: the operator's secret keys are not right; the log says why",
)
UNEXPECTED = ApiError(500, "INTERNAL_ERROR", "something unexpected happened; the log says what")


class Failures:
    def __init__(self, style: Style = "") -> None:
        self._style = style

    def answer(self, error: ApiError) -> JSONResponse:
        if not self._style:
            return _plain(error)
        body: Any = {"code": error.code, "message": error.message, "stackTrace": None}
        return JSONResponse([body] if self._style == "array" else body, 201, error.headers)

    def add_to(self, app: FastAPI) -> None:
        handlers: dict[type[Exception], Handler] = {
            ApiError: self._api_error,
            RequestValidationError: self._invalid,
            HTTPException: self._http_error,
            LogFull: self._full,
            LogUnavailable: self._no_log,
            LogCorrupt: self._no_log,
            StoreUnavailable: self._no_store,
            SecretsError: self._no_secrets,
            Exception: self._unexpected,
        }
        for kind, handler in handlers.items():
            app.add_exception_handler(kind, handler)

    async def _api_error(self, _: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ApiError)
        return self.answer(error)

    async def _invalid(self, _: Request, error: Exception) -> JSONResponse:
        """The field and the fix; never the value, which may be a secret."""
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = str(first["loc"][-1]) if first["loc"] else "body"
        return self.answer(ApiError(400, "INVALID_PARAMETER", f"{field}: {first['msg']}"))

    async def _http_error(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "HTTP_ERROR")
        text = _NO_SUCH_CALL if code == "UNKNOWN_CALL" else str(error.detail)
        there = sorted(_methods(request)) if error.status_code == 405 else []
        if there:
            text = f"this takes no {request.method}: use {' or '.join(there)}"
        said = ApiError(error.status_code, code, text)
        # A limit of sizes has its own status, also where no size was announced.
        answer = _plain(said) if said.status == 413 else self.answer(said)
        if there:
            answer.headers["Allow"] = ", ".join(there)
        return answer

    async def _full(self, _: Request, __: Exception) -> JSONResponse:
        return self.answer(FULL)

    async def _no_log(self, _: Request, error: Exception) -> JSONResponse:
        logger.debug("the log does not answer", reason=str(error))  # `not ready` says it, once
        return self.answer(NO_LOG)

    async def _no_store(self, _: Request, error: Exception) -> JSONResponse:
        logger.debug("the database does not answer", reason=str(error))
        return self.answer(NO_STORE)

    async def _no_secrets(self, _: Request, error: Exception) -> JSONResponse:
        logger.error("a password cannot be sealed", reason=str(error))
        return self.answer(NO_SECRETS)

    async def _unexpected(self, request: Request, error: Exception) -> JSONResponse:
        logger.error("a call failed", path=request.url.path, error=type(error).__name__)
        return self.answer(UNEXPECTED)


def _methods(request: Request) -> set[str]:
    """That there are for this path: the framework names those of one of its routes."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    found = [r.methods or set() for r in routes if r.matches(request.scope)[0] is not Match.NONE]
    return set[str]().union(*found)


def _plain(error: ApiError) -> JSONResponse:
    body = {"code": error.code, "message": error.message}
    return JSONResponse(body, error.status, error.headers)
