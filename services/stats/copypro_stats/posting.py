"""Alerts on their way to an operator: none is lost by a kill, none holds up what is shown.

An alert is remembered in the commit that consumes its event and forgotten in one of its own once the
receiver took it. Killed between the two it is posted again, with the same id: at least once, and once by
id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import msgspec
import structlog
from copypro import topics
from copypro.envelope import Envelope
from copypro.errors import LogError
from copypro.ports import Clock, Outgoing, Partition
from msgspec import Struct

logger = structlog.get_logger("stats")
PREFIX = "post/"


class PostLimits(Struct, frozen=True, kw_only=True):
    first_wait_s: float = 1.0
    cap_wait_s: float = 300.0
    kept_s: float = 86_400.0
    """An alert older than this is given up, with an error in the log."""
    waiting: int = 1000
    """So many may wait for a receiver; what comes beyond is shown and not posted."""


class Posted(Struct, frozen=True, kw_only=True):
    id: str
    """Of the event: the same alert has the same id, however often it is posted."""
    raised_at_utc: datetime
    body: bytes
    """A JSON object: id, time and the alert's own fields."""


Post = Callable[[Posted], Awaitable[str]]
"""Empty: taken; else the reason why not, without any secret."""


class Outbox:
    """What one partition has still to post, in the order in which it was raised."""

    def __init__(
        self, partition: Partition, post: Post | None, clock: Clock, limits: PostLimits
    ) -> None:
        self._partition, self._post, self._clock, self._limits = partition, post, clock, limits
        self._waiting: dict[str, Posted] = {}
        self._remembered: list[Posted] = []
        """In a commit that is under way: posted once that is durable."""
        self._news = asyncio.Event()

    async def restore(self) -> None:
        if self._post is None:
            return
        async for record in self._partition.restore():
            if record.key.startswith(PREFIX) and record.value is not None:
                posted = msgspec.json.decode(record.value, type=Posted)
                self._waiting[posted.id] = posted
        self._news.set()

    def remember(self, alert: Envelope) -> list[Outgoing]:
        """The state record to commit with the event's consumption; posted after `committed`."""
        if self._post is None:
            return []
        if len(self._waiting) + len(self._remembered) >= self._limits.waiting:
            logger.error("an alert is not posted: too many wait already", cause=alert.message.cause)
            return []
        fields = {"id": alert.id, "time": alert.time, **msgspec.to_builtins(alert.message)}
        posted = Posted(id=alert.id, raised_at_utc=alert.time, body=msgspec.json.encode(fields))
        self._remembered.append(posted)
        return [Outgoing(topics.STATS_STATE.name, _key(posted), msgspec.json.encode(posted))]

    def committed(self) -> None:
        """What was remembered is durable now."""
        self._waiting |= {posted.id: posted for posted in self._remembered}
        self._remembered.clear()
        self._news.set()

    async def run(self) -> None:
        """Until cancelled, or until the partition is lost, of which its reader hears too."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                for posted in list(self._waiting.values()):
                    await self._deliver(posted)
                    await self._partition.commit(
                        [Outgoing(topics.STATS_STATE.name, _key(posted), None)]
                    )
                    del self._waiting[posted.id]
            except LogError as error:
                logger.info("posting ends with its partition", reason=str(error))
                return

    async def _deliver(self, posted: Posted) -> None:
        """Returns when it was taken, or is too old to be news."""
        assert self._post is not None
        limits, wait_s = self._limits, self._limits.first_wait_s
        while reason := await self._post(posted):
            if self._clock() - posted.raised_at_utc > timedelta(seconds=limits.kept_s):
                logger.error("alert not delivered: given up", id=posted.id, reason=reason)
                return
            logger.warning("alert not delivered yet", id=posted.id, reason=reason)
            await asyncio.sleep(wait_s)
            wait_s = min(limits.cap_wait_s, wait_s * 2)


@asynccontextmanager
async def posting(
    partition: Partition, post: Post | None, clock: Clock, limits: PostLimits | None = None
) -> AsyncIterator[Outbox]:
    """The partition's outbox, at work as long as this context lasts; `post` None: nothing is posted."""
    outbox = Outbox(partition, post, clock, limits or PostLimits())
    await outbox.restore()
    at_work = asyncio.create_task(outbox.run(), name="posting")
    try:
        yield outbox
    finally:
        at_work.cancel()
        await asyncio.gather(at_work, return_exceptions=True)


def _key(posted: Posted) -> str:
    return f"{PREFIX}{posted.id}"
