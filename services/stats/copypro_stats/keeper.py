"""Keeps each account's statistics beside its orders, made anew when its history has come to rest.

An account whose kept statistics are older than its history is answered by the gateway itself: what is
kept spares work and is never the only source.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog
from copypro import collections as c
from copypro.account_history import balance_of, report_of
from copypro.ports import ReadModels, Upsert
from copypro.statistics.bars import growth_by_day
from copypro.statistics.original import charts_of, recent_results, stats_of

logger = structlog.get_logger("stats")
REST_S = 1.5
"""Without a change for so long, an account's statistics are made: longer than its new balance, which
comes with the next snapshot, takes to follow its new trades.
"""
TIMES = 20
"""So many times as long as they took they are not made again: those of a long history take no more than
a twentieth of the processor, on which trades are copied.
"""
SOURCE = "statistics/0"


class Keeper:
    def __init__(self, models: ReadModels) -> None:
        self._models = models
        self._not_before: dict[str, float] = {}
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._making: set[asyncio.Task[None]] = set()
        self._one = asyncio.Lock()
        """One account after another: statistics never hold up what is projected."""

    def changed(self, accounts: Iterable[str]) -> None:
        loop = asyncio.get_running_loop()
        for account in accounts:
            waiting = self._waiting.pop(account, None)
            if waiting is not None:
                waiting.cancel()
            at = max(loop.time() + REST_S, self._not_before.get(account, 0.0))
            self._waiting[account] = loop.call_at(at, self._start, account)

    def close(self) -> None:
        for waiting in self._waiting.values():
            waiting.cancel()
        for task in self._making:
            task.cancel()

    def _start(self, account: str) -> None:
        self._waiting.pop(account, None)
        task = asyncio.ensure_future(self._make(account))
        self._making.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._making.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("statistics not kept", exc_info=task.exception())

    async def _make(self, account: str) -> None:
        async with self._one:
            time = asyncio.get_running_loop().time
            started = time()
            if started < self._not_before.get(account, 0.0):  # it changed while they were made
                self.changed([account])
                return
            await keep(self._models, account)
            took_s = time() - started
            self._not_before[account] = time() + TIMES * took_s


async def keep(models: ReadModels, account: str) -> None:
    """The version is read first: what comes while they are made leaves them older than the history."""
    state: Any = await models.get(c.ACCOUNTS, account) or {}
    version = state.get("history")
    if not isinstance(version, int):
        return
    report = await report_of(models, account)
    kept: dict[str, Any] = {
        "version": version,
        "balance": balance_of(state),
        "stats": stats_of(report),
        "recent": recent_results(report.bars),
        "charts": charts_of(report, exclude_same_bars=True),
        "growth": [[day.isoformat(), str(factor)] for day, factor in growth_by_day(report.bars)],
    }
    await models.upsert(
        [Upsert(collection=c.TRADE_STATS, id=account, source=SOURCE, version=version, fields=kept)]
    )
