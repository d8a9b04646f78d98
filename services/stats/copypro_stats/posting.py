"""What is on its way to an operator or to a user's own address: none is lost by a kill, none holds up
what is shown, and no receiver holds up another.

A post is remembered in the commit that consumes its event and forgotten in one of its own once the
receiver took it. Killed between the two it is posted again, with the same id: at least once, and once by
id. Each receiver is served by itself, in the order of the events; only an alert that was refused goes
behind the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from itertools import chain

import msgspec
import structlog
from copypro import topics
from copypro.ports import Clock, NotTaken, Outgoing, Partition
from msgspec import Struct

from copypro_stats.receivers import OPERATOR, Posted, Receivers

logger = structlog.get_logger("stats")
PREFIX = "post/"


class PostLimits(Struct, frozen=True, kw_only=True):
    first_wait_s: float = 1.0
    cap_wait_s: float = 300.0
    kept_s: float = 86_400.0
    """What is older than this and is not taken then is given up, with an error in the log."""
    decision_s: float = 60.0
    """So long a trade log waits for its decision to be projected; then it is told without."""
    waiting: int = 1000
    """So many may wait for one receiver; what comes beyond takes the place of one that it refused, else
    it is shown and not posted.
    """


class _Queue:
    """What waits for one receiver, in its order; behind it what was refused."""

    def __init__(self) -> None:
        self._fresh: dict[str, Posted] = {}
        self._refused: dict[str, Posted] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._fresh) + len(self._refused)

    @property
    def first(self) -> Posted:
        return next(chain(self._fresh.values(), self._refused.values()))

    def add(self, posted: Posted) -> None:
        self._fresh[posted.id] = posted
        self._news.set()

    def remove(self, posted: Posted) -> None:
        self._fresh.pop(posted.id, None)
        self._refused.pop(posted.id, None)

    def put_behind(self, posted: Posted) -> None:
        """Unless it gave its place away meanwhile."""
        if self._fresh.pop(posted.id, None) or self._refused.pop(posted.id, None):
            self._refused[posted.id] = posted

    def oldest_refused(self) -> Posted | None:
        return min(self._refused.values(), key=lambda posted: posted.number, default=None)

    async def is_fresh_within(self, seconds: float) -> bool:
        """As soon as something waits that was not refused."""
        if not self._fresh:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()
        return bool(self._fresh)


class Outbox:
    """What one partition has still to post, by receiver, in the order in which it was raised."""

    def __init__(
        self, partition: Partition, receivers: Receivers | None, clock: Clock, limits: PostLimits
    ) -> None:
        self._partition, self._receivers = partition, receivers
        self._clock, self._limits = clock, limits
        self._waiting: dict[str, _Queue] = {}
        """By receiver."""
        self._remembered: list[Posted] = []
        """In a commit that is under way: posted once that is durable."""
        self._news = asyncio.Event()
        self._serving: set[str] = set()
        self._number = 0
        self._refused: Counter[str] = Counter()

    async def restore(self) -> None:
        if self._receivers is None:
            return
        found: list[Posted] = []
        async for record in self._partition.restore():
            if record.key.startswith(PREFIX) and record.value is not None:
                found.append(msgspec.json.decode(record.value, type=Posted))
        for posted in sorted(found, key=lambda posted: (posted.number, posted.raised_at_utc)):
            self._waiting.setdefault(posted.to, _Queue()).add(posted)
            self._number = max(self._number, posted.number)
        self._news.set()

    def remember(self, posted: Posted) -> list[Outgoing]:
        """The state records to commit with the event's consumption; posted after `committed`."""
        outputs: list[Outgoing] = []
        under_way = sum(other.to == posted.to for other in self._remembered)
        if len(self._waiting.get(posted.to, ())) + under_way >= self._limits.waiting:
            outputs = self._make_place(posted.to)
            if not outputs:
                self._refused[posted.to] += 1
                if self._refused[posted.to] == 1:
                    logger.error("not posted: too many wait already", to=posted.to, id=posted.id)
                return []
        self._refused.pop(posted.to, None)
        self._number += 1
        numbered = msgspec.structs.replace(posted, number=self._number)
        self._remembered.append(numbered)
        remembered = msgspec.json.encode(numbered)
        return [*outputs, Outgoing(topics.STATS_STATE.name, _key(numbered), remembered)]

    def _make_place(self, to: str) -> list[Outgoing]:
        """Gives up what the receiver refused longest ago; nothing where it refused none."""
        waiting = self._waiting.get(to)
        refused = None if waiting is None else waiting.oldest_refused()
        if waiting is None or refused is None:
            return []
        reason = "it was refused, and too many wait"
        logger.error("alert not delivered: given up", id=refused.id, reason=reason)
        waiting.remove(refused)
        return [_forgotten(refused)]

    def committed(self) -> None:
        """What was remembered is durable now."""
        for posted in self._remembered:
            self._waiting.setdefault(posted.to, _Queue()).add(posted)
        self._remembered.clear()
        self._news.set()

    async def run(self) -> None:
        """Until cancelled. Errors: PartitionLost and others of the log; whatever nobody expected."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._news.wait()
                self._news.clear()
                for to in self._waiting.keys() - self._serving:
                    self._serving.add(to)
                    tasks.create_task(self._serve(to), name=f"posting-{to[:16]}")

    async def _serve(self, to: str) -> None:
        """Everything for one receiver, one after another; ends when nothing waits."""
        waiting, wait_s = self._waiting[to], self._limits.first_wait_s
        while waiting:
            posted = waiting.first
            not_taken = await self._deliver(posted)
            if not_taken is None:
                await self._partition.commit([_forgotten(posted)])
                waiting.remove(posted)
                wait_s = self._limits.first_wait_s
                continue
            if not_taken.refused and to == OPERATOR:
                waiting.put_behind(posted)
                if await waiting.is_fresh_within(wait_s):
                    continue
            else:
                await asyncio.sleep(wait_s)
            wait_s = min(self._limits.cap_wait_s, wait_s * 2)
        del self._waiting[to]
        self._serving.discard(to)

    async def _deliver(self, posted: Posted) -> NotTaken | None:
        """None when it was taken, when it was not and is too old to be news, or when nobody wants it
        any more.
        """
        assert self._receivers is not None
        in_part = self._is_older(posted, self._limits.decision_s)
        not_taken = await self._receivers.post(posted, in_part)
        if not_taken is None:
            return None
        what = "alert" if posted.to == OPERATOR else "callback"
        if self._is_older(posted, self._limits.kept_s):
            logger.error(f"{what} not delivered: given up", id=posted.id, reason=not_taken.reason)
            return None
        logger.warning(f"{what} not delivered yet", id=posted.id, reason=not_taken.reason)
        return not_taken

    def _is_older(self, posted: Posted, seconds: float) -> bool:
        return self._clock() - posted.raised_at_utc > timedelta(seconds=seconds)


@asynccontextmanager
async def posting(
    partition: Partition,
    receivers: Receivers | None,
    clock: Clock,
    limits: PostLimits | None = None,
) -> AsyncIterator[Outbox]:
    """The partition's outbox, at work as long as this context lasts; `receivers` None: nothing is
    posted. When posting fails, what runs in this context ends with the same error: a partition that
    projects and never posts again would look well.
    """
    outbox = Outbox(partition, receivers, clock, limits or PostLimits())
    await outbox.restore()
    try:
        async with asyncio.TaskGroup() as tasks:
            at_work = tasks.create_task(outbox.run(), name="posting")
            yield outbox
            at_work.cancel()
    except BaseExceptionGroup as errors:
        raise _first(errors) from None


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _forgotten(posted: Posted) -> Outgoing:
    return Outgoing(topics.STATS_STATE.name, _key(posted), None)


def _key(posted: Posted) -> str:
    return f"{PREFIX}{posted.id}"
