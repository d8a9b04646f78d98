"""When an account's statistics are made: once it rests, and the longer that takes, the less often."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro_standalone.backtest import virtual_time
from copypro_stats import keeper
from copypro_stats.keeper import REST_S, TIMES, Keeper


class Made:
    """In the place of `keep`: which account's are made, and when they were begun."""

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s
        self.begun: list[tuple[str, float]] = []

    async def __call__(self, models: Any, account: str) -> None:
        self.begun.append((account, asyncio.get_running_loop().time()))
        await asyncio.sleep(self._takes_s)


def after(changes: list[tuple[float, str]], takes_s: float, patched: pytest.MonkeyPatch) -> Made:
    """What is made of these changes, each at its second, where making takes so long."""
    made = Made(takes_s)
    patched.setattr(keeper, "keep", made)

    async def happens() -> None:
        keeps = Keeper(MemoryReadModels())
        for at, account in changes:
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            keeps.changed([account])
        await asyncio.sleep(1000)
        keeps.close()

    virtual_time.run(happens())
    return made


def test_they_are_made_once_of_all_that_happened_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = after([(10, "a"), (11, "a"), (12, "a"), (20, "a")], 0.01, monkeypatch)
    assert [at for _, at in made.begun] == [12 + REST_S, 20 + REST_S]


def test_those_that_took_long_are_made_after_a_longer_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history of years on a machine that trades: it must not be worked through for every close."""
    made = after([(10, "a"), (20, "a"), (21, "b")], 2.0, monkeypatch)
    assert made.begun == [
        ("a", 10 + REST_S),
        ("b", 21 + REST_S),
        ("a", 10 + REST_S + 2.0 + 2.0 * TIMES),
    ]


def test_those_that_took_long_are_made_of_a_history_that_never_rests_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else each who asks for them while it trades makes them for himself."""
    made = after([(at, "a") for at in range(10, 200, 10)], 2.0, monkeypatch)
    every_s = 2.0 + 2.0 * TIMES
    assert made.begun == [("a", 10 + REST_S + number * every_s) for number in range(6)]
