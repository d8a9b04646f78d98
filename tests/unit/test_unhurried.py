"""Journals that wait: nothing is told at once, all is told in order, and no more waits than may."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from copypro.ports import Told
from copypro.unhurried import Unhurried
from copypro.values import MessageId

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Lines:
    def __init__(self, name: str, lines: asyncio.Queue[str]) -> None:
        self._name, self._lines = name, lines

    def tell(self, told: Sequence[Told], decided_at: datetime, recorded_at: datetime) -> None:
        for one in told:
            self._lines.put_nowait(f"{self._name}: {one.event}")


def told(event: str) -> list[Told]:
    return [Told(event, MessageId("m"))]


async def test_what_two_services_told_is_told_later_in_its_order() -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    unhurried = Unhurried(after_s=0.001)
    watcher = unhurried.journal(Lines("watcher", lines))
    replicator = unhurried.journal(Lines("replicator", lines))
    watcher.tell(told("opened"), NOW, NOW)
    replicator.tell(told("planned"), NOW, NOW)
    watcher.tell(told("started"), NOW, NOW)
    assert lines.empty()
    said = [await asyncio.wait_for(lines.get(), 60) for _ in range(3)]
    assert said == ["watcher: opened", "replicator: planned", "watcher: started"]


async def test_no_more_waits_than_may_and_the_rest_is_told_at_the_end() -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    unhurried = Unhurried(after_s=60, most=2)
    journal = unhurried.journal(Lines("watcher", lines))
    for event in ("1", "2", "3"):
        journal.tell(told(event), NOW, NOW)
    assert [lines.get_nowait() for _ in range(2)] == ["watcher: 1", "watcher: 2"]
    assert lines.empty()
    unhurried.flush()
    assert lines.get_nowait() == "watcher: 3"
