"""What goes wrong, as `{code, message}`: never the value given, which may be a secret."""

from __future__ import annotations

import structlog
from copypro.errors import LogFull, LogUnavailable, StoreUnavailable
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from copypro_gateway.errors import ApiError

logger = structlog.get_logger("gateway")


def add_failures(app: FastAPI) -> None:
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
