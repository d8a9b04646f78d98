"""The audit trail: what may change something is noted before it is done, and its outcome after.

A call that cannot be noted is not done. Of one that was noted and has no outcome nobody knows it:
what it did is in the other topics.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog
from copypro import topics
from copypro.envelope import Envelope, encode
from copypro.errors import LogError, LogFull
from copypro.messages import AuditEvent, CallBegun, CallEnded
from copypro.ports import Clock, EventLog, NewId
from copypro.values import MessageId

from copypro_gateway.core import Pending
from copypro_gateway.wording.errors import ApiError

logger = structlog.get_logger("gateway")
Answer = TypeVar("Answer")
MASK = "***"
MOST_LETTERS = 512
_SECRET = re.compile(
    r"password|secret|token|invite|hash|key(?!.*id$)|code|(master|slave)ApiId", re.IGNORECASE
)
"""Clients of the original give a bridge's token as an ApiId of Start."""
_ADDRESS = re.compile(r"url", re.IGNORECASE)


class AuditTrail:
    def __init__(self, log: EventLog, clock: Clock, new_id: NewId) -> None:
        self._log, self._clock, self._new_id = log, clock, new_id

    async def noted(self, begun: CallBegun, act: Callable[[], Awaitable[Answer]]) -> Answer:
        """What `act` answers or raises. Errors: 503 or 507 when it could not be noted: nothing was done."""
        id_ = MessageId(self._new_id())
        try:
            await self._append(id_, None, begun)
        except LogFull:
            text = "the disk is full: nothing was changed; make room and try again"
            raise ApiError(507, "DISK_FULL", text) from None
        except LogError:
            text = "the audit trail cannot be written now, so nothing was changed: try again"
            raise ApiError(503, "AUDIT_UNAVAILABLE", text) from None
        try:
            answer = await act()
        except ApiError as error:
            await self._end(id_, CallEnded(status=error.status, code=error.code))
            raise
        except Pending as pending:
            await self._end(id_, CallEnded(status=202, command=pending.command))
            raise
        except Exception as error:
            await self._end(id_, CallEnded(status=500, code=type(error).__name__))
            raise
        await self._end(id_, CallEnded(status=200))
        return answer

    async def _end(self, begun: MessageId, ended: CallEnded) -> None:
        """It is done, and the caller is told so whether this is noted or not."""
        try:
            await self._append(MessageId(self._new_id()), begun, ended)
        except LogError as error:
            logger.warning("an outcome is not in the audit trail", call=begun, reason=str(error))

    async def _append(self, id: MessageId, cause: MessageId | None, event: AuditEvent) -> None:
        envelope = Envelope(
            id=id, cause=cause, correlation=cause or id, time=self._clock(), message=event
        )
        await self._log.append([encode(topics.AUDIT, topics.AUDIT_KEY, envelope)])


def masked(parameters: Mapping[str, Any]) -> dict[str, str]:
    """By name; whatever may be a secret is not there, by its name or because addresses carry some."""
    return {name: _masked(name, value) for name, value in parameters.items()}


def _masked(name: str, value: Any) -> str:
    text = str(value)
    if _SECRET.search(name):
        return MASK
    if _ADDRESS.search(name) or "://" in text:
        return _origin(text)
    return text[:MOST_LETTERS]


def _origin(text: str) -> str:
    """Scheme and host; of what is no whole address nothing, since any part of it may be the secret."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return MASK
    return f"{parts.scheme}://{parts.hostname}/{MASK}" if parts.scheme and parts.hostname else MASK
