"""How logs look: one line a fact, JSON or for people, and never a secret.

Everything that logs goes through here, libraries too; what looks like a credential in a line is
masked as a last defence, although nothing of ours writes one.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

Format = Literal["auto", "human", "json"]

_PARAMETER = re.compile(
    r"(?i)\b(password|passwordHash|newPassword|newPasswordHash|userKey|managerKey|token|id|apiId|key)"
    r"=[^&\s\"']+"
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"(\b(?:https?|wss?)://[^\s?\"']+)\?[^\s\"']*")


def masked(text: str) -> str:
    """The text without the query and the user part of any address, nor secret parameters."""
    return _PARAMETER.sub(r"\1=***", _QUERY.sub(r"\1?***", _USERINFO.sub("***@", text)))


def _mask(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: masked(value) if isinstance(value, str) else value for key, value in event.items()}


def configure(format: Format, level: str, *, simulated: bool = False) -> None:
    """To standard error, so that standard output stays for answers. `simulated` marks every line."""
    human = format == "human" or (format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _mask,
    ]
    if simulated:
        shared.insert(0, _mark_simulated)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    # A rich traceback would print local variables, and with them secrets: plain ones only.
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if human
        else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("uvicorn.access", "aiohttp.access"):
        # An access line carries the query, and with it passwords and keys.
        logging.getLogger(chatty).disabled = True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _mark_simulated(
    _logger: object, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event["SIMULATED"] = True
    return event
