"""TradeStats in the original's shape: kept ones by stats, others made here and kept until the
account's history moves. Each question is made once at a time, for all who ask it meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import UTC, date, timedelta
from typing import Any

import msgspec
from copypro import collections as c
from copypro.account_history import FIRST, is_current, report_of, version_of
from copypro.ports import Clock, ReadModels
from copypro.statistics.answers import LastingStats, Stats, TradeSummary
from copypro.statistics.original import charts_of, recent_results, stats_of, summary_of
from msgspec import Struct

Doc = dict[str, Any]
MOST_BYTES = 64_000_000
"""Of answers that are kept; the one that was not asked for longest goes first."""
BARE_BYTES = 10_000
"""Of an answer besides its charts, about: what is kept of one without any is more than nothing."""
SIDE_BY_SIDE = 3
"""Questions: a long history does not hold up a short one, and many at once do not hold up trades."""
Question = tuple[str, str, bool]
"""Account, since when, without the days on which nothing changed."""
_encode = msgspec.json.Encoder().encode


class _Made(Struct):
    """Statistics of one question, and the answer that was last made of them."""

    version: object
    stats: LastingStats
    recent: list[Any]
    charts: bytes
    of: object = None
    answer: bytes = b""
    bare: bytes = b""


class _Running(Struct):
    version: object
    making: asyncio.Task[_Made]


class TradeStats:
    def __init__(self, models: ReadModels, clock: Clock, most_bytes: int = MOST_BYTES) -> None:
        self._models, self._clock, self._most_bytes = models, clock, most_bytes
        self._made: OrderedDict[Question, _Made] = OrderedDict()
        self._running: dict[Question, _Running] = {}
        self._side_by_side = asyncio.Semaphore(SIDE_BY_SIDE)
        self._bytes = 0

    async def answer(
        self, account: str, since: str | None, *, exclude_same_bars: bool, charts: bool
    ) -> bytes:
        """JSON. The account's version is looked at each time, so nothing old is ever given."""
        question = (account, since or FIRST, exclude_same_bars)
        state = await self._state(account)
        running = self._running.get(question)
        if running is not None and running.version != version_of(state):
            # It may lack what is visible by now; whatever runs after it began after he asked.
            await asyncio.wait([running.making])
            state = await self._state(account)
        made = self._known(question, state) or await self._shared(question, state)
        present = (state.get("open_trades"), (state.get("figures") or {}).get("profit"))
        now = (self._today(state), *present)
        if made.of != now:
            self._render(made, now)
        return made.answer if charts else made.bare

    async def summary(self, account: str) -> TradeSummary:
        """TradeSummary: what closed, by the broker's days, and what is open."""
        bare = await self.answer(account, None, exclude_same_bars=True, charts=False)
        summary: TradeSummary = msgspec.json.decode(bare)["summary"]
        return summary

    async def _state(self, account: str) -> Doc:
        return await self._models.get(c.ACCOUNTS, account) or {}

    def _today(self, state: Doc) -> date:
        offset = timedelta(minutes=state.get("clock_offset_minutes") or 0)
        return (self._clock().astimezone(UTC) + offset).date()

    def _render(self, made: _Made, now: tuple[date, int | None, str | None]) -> None:
        today, open_trades, open_profit = now
        profit = None if open_profit is None else float(open_profit)
        summary = summary_of(made.stats, made.recent, today, open_trades, profit)
        shown: Stats = {**made.stats, "summary": summary}
        made.bare = _encode(shown)
        made.answer = b'{"stats":' + made.bare + b',"charts":' + made.charts + b"}"
        made.of = now

    def _known(self, question: Question, state: Doc) -> _Made | None:
        known = self._made.get(question)
        if known is None or known.version != version_of(state):
            return None
        self._made.move_to_end(question)
        return known

    async def _shared(self, question: Question, state: Doc) -> _Made:
        """Errors: its own, to all who asked meanwhile. Who goes away ends it for nobody: a client that
        asks again after a time-out finds it further on, or made.
        """
        running = self._running.get(question)
        if running is None:
            making = asyncio.create_task(self._make(question, state))
            making.add_done_callback(lambda _: self._running.pop(question))
            running = self._running[question] = _Running(version_of(state), making)
        return await asyncio.shield(running.making)

    async def _make(self, question: Question, state: Doc) -> _Made:
        account, since, exclude = question
        made = await self._kept(account, state) if exclude and since == FIRST else None
        if made is None:
            async with self._side_by_side:
                report = await report_of(self._models, account, since)
            charts = _encode(charts_of(report, exclude_same_bars=exclude))
            recent = recent_results(report.bars)
            made = _Made(version_of(state), stats_of(report), recent, charts)
        self._keep(question, made)
        return made

    async def _kept(self, account: str, state: Doc) -> _Made | None:
        kept: Any = await self._models.get(c.TRADE_STATS, account)
        if kept is None or not is_current(kept, state):
            return None
        return _Made(version_of(state), kept["stats"], kept["recent"], _encode(kept["charts"]))

    def _keep(self, question: Question, made: _Made) -> None:
        former = self._made.pop(question, None)
        self._bytes += _size(made) - (0 if former is None else _size(former))
        self._made[question] = made
        while self._bytes > self._most_bytes and len(self._made) > 1:
            _, gone = self._made.popitem(last=False)
            self._bytes -= _size(gone)


def _size(made: _Made) -> int:
    """The charts are kept once by themselves and once in the answer."""
    return 2 * len(made.charts) + BARE_BYTES
