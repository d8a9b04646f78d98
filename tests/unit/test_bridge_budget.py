"""The budget of background reads for one bridge address."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest
from copypro.adapters.bridge_wire import Budget


async def test_a_burst_passes_and_then_reads_are_spaced() -> None:
    budget = Budget(per_s=100)
    started = monotonic()
    for _ in range(100):
        await budget.take()
    burst_s = monotonic() - started
    await asyncio.gather(*(budget.take() for _ in range(20)))
    assert burst_s < 0.1
    assert monotonic() - started >= 0.15


async def test_urgent_reads_never_wait_and_are_counted() -> None:
    budget = Budget(per_s=10)
    started = monotonic()
    for _ in range(12):
        await budget.take(urgent=True)
    assert monotonic() - started < 0.1
    await budget.take()
    assert monotonic() - started >= 0.2


def test_each_too_many_requests_halves_it_down_to_a_floor() -> None:
    budget = Budget(per_s=64)
    budget.throttle()
    assert budget.per_s == 32
    for _ in range(20):
        budget.throttle()
    assert budget.per_s == pytest.approx(1)
